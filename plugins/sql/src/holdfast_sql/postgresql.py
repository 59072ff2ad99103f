"""PostgreSQL: an append is one statement, which moves the head and inserts the events from one JSON parameter.

Appends go past SQLAlchemy to the driver it manages. Everything is passed as text and cast there: psycopg would choose
another integer type, and so another prepared statement, as numbers grow. JSON in JSON keeps every character: what
PostgreSQL's own JSON cannot hold (NUL, lone surrogates, NaN) stands escaped in the inner text, or was left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, PoolProxiedConnection, create_engine, text
from sqlalchemy.engine.interfaces import DBAPIConnection

from holdfast import BackendError, ConfigurationError, UnavailableError
from holdfast.conversations.store import ANY, NEW
from holdfast_sql.config import SQLConfig
from holdfast_sql.place import Place
from holdfast_sql.server import ServerDialect
from holdfast_sql.watch import Watch

_LOCK = 0x686F6C6466617374
"""Of the advisory lock under which tables are made: "holdfast" in ASCII, the same in every process."""

_GRACE = 1.0
"""Seconds for which the server may still say that it gave up."""

_NOW = "extract(epoch from statement_timestamp())::float8"
_MOVE = """
UPDATE {head} SET version = version + %(size)s::bigint, session = session + %(sessions)s::bigint,
    session_first = CASE WHEN %(offset)s::bigint > 0 THEN version + %(offset)s::bigint ELSE session_first END,
    updated = {now}, user_id = coalesce(%(user)s::text, user_id)
WHERE conversation = %(key)s::text AND version = %(expected)s::bigint
RETURNING version
"""
_CREATE = """
INSERT INTO {head} AS h
    (conversation, version, first, session, session_first, created, updated, user_id, long_id)
VALUES (%(key)s::text, %(size)s::bigint, 1, %(sessions)s::bigint, greatest(1, %(offset)s::bigint), {now}, {now},
    %(user)s::text, %(long)s::text)
ON CONFLICT (conversation) DO {otherwise}
RETURNING version
"""
_MOVE_ANY = """UPDATE SET version = h.version + %(size)s::bigint, session = h.session + %(sessions)s::bigint,
    session_first = CASE WHEN %(offset)s::bigint > 0 THEN h.version + %(offset)s::bigint ELSE h.session_first END,
    updated = {now}, user_id = coalesce(%(user)s::text, h.user_id)"""
_APPEND = """
WITH moved AS ({move}), stored AS (
    INSERT INTO {event} (conversation, seq, batch_id, type_name, timestamp, intent_name, action_name, data)
    SELECT %(key)s::text, moved.version - %(size)s::bigint + e.number, CASE WHEN e.number = 1 THEN %(batch)s::text END,
        e.row ->> 0, (e.row ->> 1)::float8, e.row ->> 2, e.row ->> 3, e.row ->> 4
    FROM moved, jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS e (row, number)
)
SELECT version FROM moved
"""

# SQLSTATEs and classes of them (appendix A of PostgreSQL's manual) after which trying again may help.
_PASSING = ("08", "53", "57P01", "57P02", "57P03", "57014", "55P03", "40", "25006")
# libpq tells no SQLSTATE of a connection that was refused; these will be refused again.
_LASTING = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "certificate",
            "does not support SSL", "not permitted to log in", "permission denied")  # fmt: skip


class PostgreSQL(ServerDialect):
    """PostgreSQL 12 or newer, through psycopg 3 or psycopg2."""

    title = "PostgreSQL"
    backend = "postgresql"
    drivers = ("psycopg", "psycopg2")
    packages = {"psycopg": "holdfast-sql[postgresql]", "psycopg2": "psycopg2-binary"}  # noqa: RUF012  # never changed

    def __init__(self, config: SQLConfig) -> None:
        super().__init__(config)
        self._watch = Watch()
        names = {
            "head": self.table("holdfast_conversation"),
            "event": self.table("holdfast_event"),
            "now": _NOW,
        }
        create = _CREATE.replace("{otherwise}", "NOTHING").format(**names)
        create_or_move = _CREATE.replace("{otherwise}", _MOVE_ANY).format(**names)
        self._append = {
            NEW: _APPEND.format(move=create, **names),
            ANY: _APPEND.format(move=create_or_move, **names),
        }
        self._append_exact = _APPEND.format(move=_MOVE.format(**names), **names)

    def connect_args(self) -> dict[str, Any]:
        given, config = self.url.query, self.config
        args: dict[str, Any] = {
            "connect_timeout": max(2, math.ceil(config.connect_timeout)),  # libpq takes 1 for 2
            "application_name": "holdfast",
            "client_encoding": "utf8",
        }
        if config.ssl_mode is not None:
            args["sslmode"] = config.ssl_mode
        if config.ssl_root_certificate is not None:
            args["sslrootcert"] = str(config.ssl_root_certificate)
        args = {name: value for name, value in args.items() if name not in given}
        if config.pgbouncer:
            if self.url.drivername.endswith("psycopg"):
                args["prepare_threshold"] = None
        else:
            timeout = f"-c statement_timeout={math.ceil(config.statement_timeout * 1000)}"
            options = given.get("options")
            args["options"] = f"{options} {timeout}" if options else timeout
        return args

    @contextmanager
    def answering(self, connection: PoolProxiedConnection | DBAPIConnection) -> Iterator[None]:
        driver: Any = getattr(connection, "driver_connection", connection)
        with self._watch.within(self.config.statement_timeout + _GRACE, driver.fileno()):
            yield

    def is_alive(self, connection: DBAPIConnection) -> bool:
        try:
            with connection.cursor() as cursor:  # type: ignore[attr-defined]  # DB-API cursors of both drivers do that
                cursor.execute("SELECT 1")
        except self.driver_error:
            return False
        return True

    def is_duplicate(self, error: BaseException) -> bool:
        return _state(error) == "23505"

    def failure(self, error: BaseException) -> BackendError | ConfigurationError:
        state = _state(error)
        words = _words(error)
        if state is None:
            kind = BackendError if any(reason in words for reason in _LASTING) else UnavailableError
        else:
            kind = UnavailableError if state.startswith(_PASSING) else BackendError
        return kind(f"{self.where}: {words}")

    def try_append(self, engine: Engine, place: Place) -> int | None:
        values = {
            "key": place.key,
            "long": place.long_id,
            "user": place.user,
            "expected": str(place.expected),
            "batch": place.batch_id,
            "size": str(len(place.rows)),
            "sessions": str(place.sessions),
            "offset": str(place.session_offset),
            "rows": json.dumps(place.rows, ensure_ascii=False, separators=(",", ":")),
        }
        statement = self._append.get(place.expected, self._append_exact)
        try:
            with self.raw(engine) as connection, connection.cursor() as cursor:
                try:
                    cursor.execute(statement, values)
                except self.driver_error as error:
                    if self.is_duplicate(error):
                        return None
                    raise
                row = cursor.fetchone()
        except UnicodeEncodeError as error:  # pragma: no cover  # `columns` and `key` leave nothing of that kind
            raise BackendError(f"{self.where}: a text cannot be encoded") from error
        return None if row is None else int(row[0])

    # Tables

    def create_database(self) -> None:
        if not self.config.login_db:
            return
        engine = create_engine(
            self.url.set(database=self.config.login_db),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            hide_parameters=True,
            connect_args=self.connect_args(),
        )
        with self.translating(), engine.connect() as connection:
            there = text("SELECT 1 FROM pg_database WHERE datname = :name")
            if connection.execute(there, {"name": self.url.database}).first() is None:
                try:
                    connection.exec_driver_sql(
                        f"CREATE DATABASE {self.quote(self.url.database or '')} ENCODING 'UTF8' TEMPLATE template0"
                    )
                except Exception as error:
                    # Another process was faster: the name is taken, or being taken.
                    if _state(getattr(error, "orig", error)) not in ("42P04", "23505"):
                        raise

    def check(self, connection: Connection) -> None:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise ConfigurationError(
                "tracker_store: the database does not keep texts as UTF-8; create it with ENCODING 'UTF8'"
            )
        schema = self.schema
        if schema:
            there = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
            if connection.execute(there, {"name": schema}).first() is None:
                raise ConfigurationError(
                    "tracker_store: the 'schema' (or POSTGRESQL_SCHEMA) does not exist in the database; run "
                    "CREATE SCHEMA there, or name another"
                )

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        connection.exec_driver_sql("BEGIN")
        try:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.invalidate()
            raise

    def close(self) -> None:
        self._watch.close()


def _state(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _words(error: BaseException) -> str:
    """What the server says, without the rows that its details quote."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return primary or " ".join(str(error).split()) or type(error).__name__
