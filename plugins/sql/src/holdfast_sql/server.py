"""What all databases on a server have in common: pool, health of connections, errors, reading page by page, tables."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, PoolProxiedConnection, bindparam, create_engine, event, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, NoSuchModuleError, TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from holdfast import BackendError, ConfigurationError, Event, UnavailableError
from holdfast.conversations.store import ANY, Appended, refusal
from holdfast_sql.address import place, server_url
from holdfast_sql.config import SQLConfig
from holdfast_sql.dialect import Dialect
from holdfast_sql.place import Place
from holdfast_sql.schema import VERSION, conversations, events, migrations

FETCH = 500
"""Events that are in memory at once while a conversation is read."""

_PAGE = (
    select(events.c.seq, events.c.data, conversations.c.created)
    .join(conversations, conversations.c.conversation == events.c.conversation)
    .where(events.c.conversation == bindparam("key"), events.c.seq.between(bindparam("first"), bindparam("last")))
    .order_by(events.c.seq)
    .limit(FETCH)
)

_PING_AFTER = 1.0
"""Seconds of idleness after which a connection may have been cut, by a fail-over or a firewall."""

_AGAIN = 10
"""How often an append is tried again when what refused it was gone by the time it was looked at."""


class ServerDialect(Dialect):
    """A database on a server, reached through a pool."""

    title: str
    backend: str
    """SQLAlchemy's name."""
    drivers: tuple[str, ...]
    packages: dict[str, str]
    """What to give to `pip install`, by driver."""
    autocommit = True
    """Whether transactions are begun and ended in plain sight, instead of by the driver."""

    def __init__(self, config: SQLConfig) -> None:
        self.config = config
        self.url = server_url(config, self.drivers, self.backend)
        self.where = f"tracker store 'SQL': {self.title} at {place(self.url)}"
        self.schema = config.schema_name if self.backend in ("postgresql", "oracle", "mssql") else None
        self._generation = 0
        if config.login_db and self.backend != "postgresql":
            raise ConfigurationError("tracker_store: 'login_db' is for PostgreSQL; create the database yourself")

    # What differs

    @abstractmethod
    def connect_args(self) -> dict[str, Any]:
        """Arguments of the driver's `connect`: time-outs, TLS, session settings."""

    @abstractmethod
    def is_alive(self, connection: DBAPIConnection) -> bool:
        """Ask the server whether it still knows the connection."""

    @abstractmethod
    def failure(self, error: BaseException) -> BackendError | ConfigurationError:
        """The error of holdfast for one of the driver."""

    @abstractmethod
    def is_duplicate(self, error: BaseException) -> bool:
        """Whether the driver's error says that a unique index refused a row."""

    @abstractmethod
    def try_append(self, engine: Engine, place: Place) -> int | None:
        """Append and return the new version; `None`: refused, nothing was written."""

    @abstractmethod
    def migrating(self, connection: Connection) -> Any:
        """A context manager in which no other process migrates; DDL is committed at its end at the latest."""

    @contextmanager
    def answering(self, connection: PoolProxiedConnection | DBAPIConnection) -> Iterator[None]:  # noqa: ARG002  # for those who need it
        """Within, an answer that is overdue ends as a lost connection."""
        yield

    # The engine

    def engine(self, config: SQLConfig) -> Engine:
        return self.engine_to(self.url, config)

    def engine_to(self, url: Any, config: SQLConfig) -> Engine:
        """An engine for another database on the same server."""
        try:
            engine = create_engine(
                url,
                pool_size=config.pool_size or 10,
                max_overflow=20 if config.max_overflow is None else config.max_overflow,
                pool_timeout=config.pool_timeout,
                pool_recycle=config.pool_recycle,
                pool_use_lifo=True,  # connections nobody needs grow old instead of being kept warm
                hide_parameters=True,
                connect_args=self.connect_args(),
                **self.engine_options(),
            )
        except (ModuleNotFoundError, NoSuchModuleError):
            driver = self.url.drivername.partition("+")[2]
            raise ConfigurationError(
                f"tracker_store: the driver {driver} for {self.title} is not installed: "
                f"pip install '{self.packages[driver]}'"
            ) from None
        self.driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        event.listen(engine, "connect", self._connected)
        event.listen(engine, "checkout", self._checked_out)
        event.listen(engine, "checkin", self._checked_in)
        if self.schema:
            engine = engine.execution_options(schema_translate_map={None: self.schema})
        return engine

    def engine_options(self) -> dict[str, Any]:
        """More arguments of `create_engine`."""
        # Nothing is open when a connection goes back: we end what we begin, or the connection.
        return {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None} if self.autocommit else {}

    def _connected(self, _: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["generation"] = self._generation
        record.info["used"] = time.monotonic()

    def _checked_in(self, _: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    def _checked_out(self, connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        # A lost connection condemns those of its time, or each of them would fail an operation of its own.
        fresh = record.info["generation"] == self._generation
        if fresh and self.config.pool_pre_ping and time.monotonic() - record.info["used"] > _PING_AFTER:
            with self.answering(connection):
                fresh = self.is_alive(connection)
        if not fresh:
            raise DisconnectionError

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Errors of the driver and of SQLAlchemy become holdfast's."""
        try:
            yield
        except PoolTimeoutError as error:
            raise UnavailableError(
                f"{self.where}: all connections were in use for pool_timeout={self.config.pool_timeout:g} seconds"
            ) from error
        except DBAPIError as error:
            raise self._failed(error.orig or error) from error
        except DisconnectionError as error:
            raise UnavailableError(f"{self.where}: the connection was lost") from error
        except self.driver_error as error:
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> BackendError | ConfigurationError:
        failure = self.failure(error)
        if isinstance(failure, UnavailableError):
            self._generation += 1
        return failure

    @contextmanager
    def raw(self, engine: Engine) -> Iterator[Any]:
        """A connection of the driver; on any error it does not go back to the pool."""
        with self.translating():
            pooled = engine.raw_connection()
            try:
                with self.answering(pooled):
                    yield pooled.driver_connection
            except BaseException:
                pooled.invalidate()
                raise
            finally:
                pooled.close()

    @contextmanager
    def reading(self, engine: Engine) -> Iterator[Connection]:
        with self.translating(), engine.connect() as connection, self.answering(connection.connection):
            yield connection

    @contextmanager
    def writing(self, engine: Engine) -> Iterator[Connection]:
        with self.translating(), engine.connect() as connection, self.answering(connection.connection):
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                connection.invalidate()  # ends the transaction even where the server does not answer
                raise

    # Operations

    def append(
        self,
        engine: Engine,
        conversation: str,
        events: Sequence[Event],
        *,
        expected: int,
        batch_id: str,
        user: str | None,
    ) -> Appended:
        place = Place(conversation, events, expected, batch_id, user)
        version = 0
        for _ in range(_AGAIN):
            appended = self.try_append(engine, place)
            if appended is not None:
                return Appended(appended)
            version, first = self._standing(engine, place)
            if first is not None and expected in (ANY, first - 1):
                return Appended(first + len(events) - 1, duplicate=True)
            if first is not None or version != expected != ANY:
                break
        raise refusal(conversation, expected, version)

    def _standing(self, engine: Engine, place: Place) -> tuple[int, int | None]:
        """The version, and where the batch stands if it does."""
        version = select(conversations.c.version).where(conversations.c.conversation == place.key)
        batch = select(events.c.seq).where(events.c.conversation == place.key, events.c.batch_id == place.batch_id)
        with self.reading(engine) as connection:
            found = connection.execute(select(version.scalar_subquery(), batch.scalar_subquery())).one()
        return found[0] or 0, found[1]

    def read(self, engine: Engine, key: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        # Page by page, and no connection is held in between: who reads may write meanwhile, and take his time.
        created = None
        while first <= last:
            with self.reading(engine) as connection:
                rows = connection.execute(_PAGE, {"key": key, "first": first, "last": last}).all()
            if not rows or (created is not None and rows[0].created != created):
                return  # erased, or even begun anew, between two pages
            for seq, data, _ in rows:
                yield seq, data
            created, first = rows[0].created, rows[-1].seq + 1
            if len(rows) < FETCH:
                return

    # Tables

    def prepare(self, engine: Engine) -> None:
        self.create_database()
        with self.translating(), engine.connect() as connection:
            self.check(connection)
            if self._schema_version(connection) == VERSION:
                return
            with self.migrating(connection):
                version = self._schema_version(connection)
                if version > VERSION:
                    raise ConfigurationError(
                        f"tracker_store: the tables in the database have schema version {version}, newer than the "
                        f"{VERSION} this holdfast-sql knows; upgrade it: pip install -U holdfast-sql"
                    )
                if version == 0:
                    self._execute(
                        connection,
                        text(f"CREATE TABLE {self.table('holdfast_schema')} (version INTEGER NOT NULL PRIMARY KEY)"),
                    )
                for number, migration in enumerate(migrations(self.backend)[version:], version + 1):
                    for element in migration:
                        self._execute(connection, element)
                    connection.execute(
                        text(f"INSERT INTO {self.table('holdfast_schema')} (version) VALUES (:number)"),  # noqa: S608  # our own name
                        {"number": number},
                    )

    def create_database(self) -> None:
        """Create the database if the section asks for that."""

    def check(self, connection: Connection) -> None:
        """Refuse a database in which conversations would be damaged, or that lacks what the section names."""

    def _schema_version(self, connection: Connection) -> int:
        if not self.has_table(connection):
            return 0
        found = connection.execute(text(f"SELECT max(version) FROM {self.table('holdfast_schema')}"))  # noqa: S608  # our own name
        return found.scalar_one() or 0

    def has_table(self, connection: Connection) -> bool:
        """Whether `holdfast_schema` exists."""
        return connection.dialect.has_table(connection, "holdfast_schema", schema=self.schema)

    def _execute(self, connection: Connection, statement: Any) -> None:
        connection.execute(statement)

    def table(self, name: str) -> str:
        """The name of a table as it has to be written in a statement."""
        return f"{self.quote(self.schema)}.{name}" if self.schema else name

    def quote(self, name: str) -> str:
        """An identifier in quotes."""
        return '"' + name.replace('"', '""') + '"'
