"""SQLite: a file, one writer at a time, every append one transaction.

Appends go past SQLAlchemy to the driver it manages: in process, building and compiling a statement would cost more
than running it.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url, select

from holdfast import ConfigurationError, Event, UnavailableError
from holdfast.conversations.store import ANY, NEW, Appended, refusal, session_after
from holdfast_sql.config import SQLConfig
from holdfast_sql.dialect import Dialect
from holdfast_sql.schema import VERSION, events, migrations
from holdfast_sql.texts import columns, key, long_text, user_key

_FETCH = 500
"""Events that are in memory at once while a conversation is read."""

_BUSY = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))

_MOVE_HEAD = """
UPDATE holdfast_conversation
SET version = version + ?, session = session + ?, session_first = CASE WHEN ? THEN ? ELSE session_first END,
    updated = ?, user_id = coalesce(?, user_id)
WHERE conversation = ? AND version = ?
"""
_NEW_HEAD = """
INSERT INTO holdfast_conversation
    (conversation, version, first, session, session_first, created, updated, user_id, long_id)
VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_INSERT = """
INSERT INTO holdfast_event (conversation, seq, batch_id, type_name, timestamp, intent_name, action_name, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_VERSION = "SELECT version FROM holdfast_conversation WHERE conversation = ?"
_BATCH = "SELECT seq FROM holdfast_event WHERE conversation = ? AND batch_id = ?"


class SQLite(Dialect):
    """SQLite 3.24 or newer, through the standard library's driver."""

    def __init__(self) -> None:
        # SQLite makes a second writer poll; within one process, waiting on a lock is fairer and costs nothing.
        self._writing = threading.Lock()
        self._busy_timeout = 0.0

    def engine(self, config: SQLConfig) -> Engine:
        url = make_url(config.url) if config.url and "://" in config.url else _url(config)
        if url.database in (None, "", ":memory:"):
            raise ConfigurationError(
                "tracker_store: 'db' must be the path of a SQLite file; for conversations in memory say 'type: memory'"
            )
        self._busy_timeout = config.busy_timeout
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",  # transactions are begun and ended in plain sight, below
            poolclass=QueuePool,
            pool_size=config.pool_size or 8,
            max_overflow=56 if config.max_overflow is None else config.max_overflow,
            pool_timeout=config.pool_timeout,
            hide_parameters=True,
            connect_args={"timeout": config.busy_timeout},
        )

        @event.listens_for(engine, "connect")
        def _configure(connection: sqlite3.Connection, _: object) -> None:
            connection.execute(f"PRAGMA synchronous = {config.synchronous}")

        return engine

    def prepare(self, engine: Engine) -> None:
        Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        with self._writing, _connection(engine) as connection:
            self._use_wal(connection)
            with _transaction(connection):
                connection.execute("CREATE TABLE IF NOT EXISTS holdfast_schema (version INTEGER PRIMARY KEY)")
                (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM holdfast_schema").fetchone()
                if version > VERSION:
                    raise ConfigurationError(
                        f"tracker_store: the tables in {engine.url.database} have schema version {version}, newer than "
                        f"the {VERSION} this holdfast-sql knows; upgrade it: pip install -U holdfast-sql"
                    )
                for number, migration in enumerate(migrations("sqlite")[version:], version + 1):
                    for element in migration:
                        connection.execute(str(element.compile(engine)))
                    connection.execute("INSERT INTO holdfast_schema VALUES (?)", (number,))

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait for other connections here, however long its own time-out is.
        deadline = time.monotonic() + self._busy_timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.001, 0.02))  # noqa: S311  # spreads load, guards nothing
            else:
                return

    def reading(self, engine: Engine) -> AbstractContextManager[Connection]:
        return engine.connect()

    def read(self, engine: Engine, key: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        statement = (
            select(events.c.seq, events.c.data)
            .where(events.c.conversation == key, events.c.seq.between(first, last))
            .order_by(events.c.seq)
        )
        with engine.connect() as connection:
            for row in connection.execution_options(yield_per=_FETCH).execute(statement):
                yield row.seq, row.data

    @contextmanager
    def writing(self, engine: Engine) -> Iterator[Connection]:
        with self._writing, engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            with _unavailable_when_busy(engine), _transaction(driver):
                yield connection

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
        kept, person, batch = key(conversation), user_key(user), columns(events)
        with self._writing, _connection(engine) as connection, _transaction(connection):
            version = expected
            if expected == ANY:
                found = connection.execute(_BATCH, (kept, batch_id)).fetchone()
                if found is not None:
                    return Appended(found[0] + len(events) - 1, duplicate=True)
                stored = connection.execute(_VERSION, (kept,)).fetchone()
                version = stored[0] if stored is not None else NEW
            now = time.time()
            sessions, session_first = session_after(0, 1, version + 1, events)
            last = version + len(events)
            moved = connection.execute(
                _MOVE_HEAD, (len(events), sessions, sessions, session_first, now, person, kept, version)
            )
            if not moved.rowcount and version == NEW:
                head = (kept, last, sessions, session_first, now, now, person, long_text(conversation, kept))
                moved = connection.execute(_NEW_HEAD, head)
            if not moved.rowcount:
                return _explain(connection, conversation, expected, batch_id, len(events))
            batch_ids = {version + 1: batch_id}  # only the first row of a batch bears its id
            rows = [(kept, sequence, batch_ids.get(sequence), *row) for sequence, row in enumerate(batch, version + 1)]
            try:
                connection.executemany(_INSERT, rows)
            except sqlite3.IntegrityError:
                # The batch's id stands elsewhere in the conversation: it must not be written twice.
                raise refusal(conversation, expected, version) from None
            return Appended(last)


def _explain(connection: sqlite3.Connection, conversation: str, expected: int, batch_id: str, size: int) -> Appended:
    """The batch did not fit: it stands there already, or somebody else was first, or the store is behind."""
    kept = key(conversation)
    found = connection.execute(_BATCH, (kept, batch_id)).fetchone()
    if found is not None and found[0] == expected + 1:
        return Appended(expected + size, duplicate=True)
    stored = connection.execute(_VERSION, (kept,)).fetchone()
    raise refusal(conversation, expected, stored[0] if stored is not None else 0)


def _url(config: SQLConfig) -> URL:
    if config.url:
        raise ConfigurationError(
            "tracker_store: 'url' names a server, but SQLite is a file; set 'db' to its path and leave 'url' out"
        )
    return URL.create("sqlite", database=config.db, query=config.query)


@contextmanager
def _connection(engine: Engine) -> Iterator[sqlite3.Connection]:
    pooled = engine.raw_connection()
    try:
        connection = pooled.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        with _unavailable_when_busy(engine):
            yield connection
    finally:
        pooled.close()


@contextmanager
def _unavailable_when_busy(engine: Engine) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _BUSY:
            raise UnavailableError(
                f"tracker store 'SQL': another process kept {engine.url.database} locked for longer than busy_timeout"
            ) from error
        raise


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
