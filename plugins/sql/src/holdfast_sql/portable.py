"""Oracle and SQL Server: an append is one transaction of ordinary statements, which SQLAlchemy writes."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Select, Update, insert, select, text, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError

from holdfast import BackendError, ConfigurationError, UnavailableError
from holdfast.conversations.store import ANY, NEW
from holdfast_sql.place import Place
from holdfast_sql.schema import conversations, events
from holdfast_sql.server import ServerDialect


def move_head(place: Place, version: int, now: float) -> Update:
    """Move the head from the version, if it stands there."""
    head = conversations.c
    changed: dict[str, Any] = {"version": version + len(place.rows), "updated": now}
    if place.sessions:
        changed |= {"session": head.session + place.sessions, "session_first": version + place.session_offset}
    if place.user is not None:
        changed["user_id"] = place.user
    return update(conversations).where(head.conversation == place.key, head.version == version).values(changed)


def new_head(place: Place, now: float) -> dict[str, Any]:
    """The first head of a conversation."""
    return {
        "conversation": place.key,
        "version": len(place.rows),
        "first": 1,
        "session": place.sessions,
        "session_first": max(1, place.session_offset),
        "created": now,
        "updated": now,
        "user_id": place.user,
        "long_id": place.long_id,
    }


def event_rows(place: Place, version: int) -> list[dict[str, Any]]:
    """The rows of the batch behind the version; only the first bears the batch's id."""
    names = ("type_name", "timestamp", "intent_name", "action_name", "data")
    return [
        {
            "conversation": place.key,
            "seq": version + number,
            "batch_id": place.batch_id if number == 1 else None,
            **dict(zip(names, row, strict=True)),
        }
        for number, row in enumerate(place.rows, 1)
    ]


def locked_version(place: Place) -> Select[Any]:
    """The version, kept as it is until the transaction ends."""
    return (
        select(conversations.c.version)
        .where(conversations.c.conversation == place.key)
        .with_for_update()
        .with_hint(conversations, "WITH (UPDLOCK, ROWLOCK)", "mssql")
    )


class Portable(ServerDialect):
    """Statements any database understands, in transactions of the driver."""

    passing: frozenset[int]
    """The server's error numbers after which trying again may help."""

    autocommit = False

    def is_duplicate(self, error: BaseException) -> bool:
        return isinstance(error, IntegrityError)

    def try_append(self, engine: Engine, place: Place) -> int | None:
        now = time.time()
        try:
            with self.writing(engine) as connection:
                version = place.expected
                if version == ANY:
                    version = connection.execute(locked_version(place)).scalar_one_or_none() or NEW
                if version == NEW:
                    connection.execute(insert(conversations), new_head(place, now))
                elif connection.execute(move_head(place, version, now)).rowcount == 0:
                    return None
                connection.execute(insert(events), event_rows(place, version))
                return version + len(place.rows)
        except BackendError as error:
            if self.is_duplicate(error.__cause__ or error):
                return None
            raise

    @contextmanager
    def writing(self, engine: Engine) -> Iterator[Connection]:
        with (
            self.translating(),
            engine.connect() as connection,
            self.answering(connection.connection),
            connection.begin(),
        ):
            yield connection

    def failure(self, error: BaseException) -> BackendError | ConfigurationError:
        number = self.number(error)
        kind = UnavailableError if number is None or number in self.passing else BackendError
        return kind(f"{self.where}: {type(error).__name__} {number or ''}".rstrip())

    @abstractmethod
    def number(self, error: BaseException) -> int | None:
        """The server's error number; `None`: the connection itself failed."""

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        self.lock(connection)
        yield
        connection.commit()

    def lock(self, connection: Connection) -> None:
        """Keep other processes from migrating until the transaction ends."""


class Oracle(Portable):
    """Oracle 12.2 or newer, through python-oracledb. There is no sequence: the head row hands out the numbers."""

    title = "Oracle"
    backend = "oracle"
    drivers = ("oracledb",)
    packages = {"oracledb": "oracledb"}  # noqa: RUF012  # never changed
    # Resource busy, deadlock, shutting down, not available, listener, lost connections, call time-out.
    passing = frozenset((54, 60, 1033, 1034, 1089, 1090, 3113, 3114, 3135, 3156, 12514, 12528, 12537, 12541, 12570))

    def connect_args(self) -> dict[str, Any]:
        return {"tcp_connect_timeout": self.config.connect_timeout}

    def _connected(self, connection: DBAPIConnection, record: Any) -> None:
        super()._connected(connection, record)
        connection.call_timeout = math.ceil(self.config.statement_timeout * 1000)  # oracledb's own

    def is_alive(self, connection: DBAPIConnection) -> bool:
        try:
            connection.ping()  # oracledb's own
        except self.driver_error:
            return False
        return True

    def number(self, error: BaseException) -> int | None:
        code = getattr(error.args[0], "code", None) if error.args else None
        return code or None

    def _execute(self, connection: Connection, statement: Any) -> None:
        # Oracle commits before and after each: another process, or one that was killed, may have been here.
        try:
            super()._execute(connection, statement)
        except Exception as error:
            if self.number(getattr(error, "orig", error)) not in (955, 1):  # the name is taken, the row stands
                raise


class SQLServer(Portable):
    """SQL Server 2016 or newer, through pyodbc."""

    title = "SQL Server"
    backend = "mssql"
    drivers = ("pyodbc",)
    packages = {"pyodbc": "pyodbc"}  # noqa: RUF012  # never changed
    # Deadlock, lock time-out, throttling and fail-over of Azure SQL, lost connections.
    passing = frozenset((1205, 1222, 4060, 10053, 10054, 10060, 10928, 10929, 40197, 40501, 40613, 49918, 49919, 49920))

    def connect_args(self) -> dict[str, Any]:
        return {"timeout": max(1, math.ceil(self.config.connect_timeout))}

    def _connected(self, connection: DBAPIConnection, record: Any) -> None:
        super()._connected(connection, record)
        connection.timeout = max(1, math.ceil(self.config.statement_timeout))  # pyodbc's own

    def is_alive(self, connection: DBAPIConnection) -> bool:
        try:
            connection.cursor().execute("SELECT 1").fetchone()
        except self.driver_error:
            return False
        return True

    def number(self, error: BaseException) -> int | None:
        # The number is the last one in parentheses, before the name of the ODBC function.
        for part in reversed(str(error.args[-1] if error.args else "").split("(")):
            digits = part.split(")")[0]
            if digits.isdigit():
                return int(digits) or None
        return None

    def lock(self, connection: Connection) -> None:
        got = connection.execute(
            text(
                "DECLARE @got int; EXEC @got = sp_getapplock @Resource = 'holdfast', @LockMode = 'Exclusive', "
                "@LockOwner = 'Transaction', @LockTimeout = :wait; SELECT @got"
            ),
            {"wait": math.ceil(self.config.statement_timeout * 1000)},
        ).scalar_one()
        if got < 0:
            raise UnavailableError(f"{self.where}: another process is still creating the tables")

    def quote(self, name: str) -> str:
        return "[" + name.replace("]", "]]") + "]"
