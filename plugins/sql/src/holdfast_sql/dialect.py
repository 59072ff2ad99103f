"""The seam between the store and a database: what differs from one database to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, Engine

from holdfast import ConfigurationError, Event
from holdfast.conversations.store import Appended
from holdfast_sql.address import dialect_name
from holdfast_sql.config import SQLConfig


class Dialect(ABC):
    """One database. Whatever is not named here is the same SQL everywhere and stands in `holdfast_sql.store`."""

    @abstractmethod
    def engine(self, config: SQLConfig) -> Engine:
        """An engine with the pool, time-outs and connection settings that suit the database; it does not connect."""

    @abstractmethod
    def prepare(self, engine: Engine) -> None:
        """Create the tables, or migrate them; safe while other processes do the same."""

    @abstractmethod
    def reading(self, engine: Engine) -> AbstractContextManager[Connection]:
        """A connection whose every statement stands for itself."""

    @abstractmethod
    def writing(self, engine: Engine) -> AbstractContextManager[Connection]:
        """A connection in a transaction that may write: committed at the end, rolled back on an error."""

    @abstractmethod
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
        """`TrackerStore.append`, the way the database does it best."""

    @abstractmethod
    def read(self, engine: Engine, key: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        """`TrackerStore.read`, of the conversation with this key."""

    def close(self) -> None:
        """Release what is held beside the engine."""


def dialect_for(config: SQLConfig) -> Dialect:
    """The dialect a config asks for.

    Raises:
        ConfigurationError: this version does not speak it.
    """
    name = dialect_name(config)
    if name == "sqlite":
        from holdfast_sql.sqlite import SQLite

        return SQLite()
    if name == "postgresql":
        from holdfast_sql.postgresql import PostgreSQL

        return PostgreSQL(config)
    if name in ("mysql", "mariadb"):
        from holdfast_sql.mysql import MySQL

        return MySQL(config)
    if name == "oracle":
        from holdfast_sql.portable import Oracle

        return Oracle(config)
    if name == "mssql":
        from holdfast_sql.portable import SQLServer

        return SQLServer(config)
    raise ConfigurationError(
        "tracker_store: the 'dialect' is none that holdfast-sql speaks; it speaks sqlite, postgresql, mysql, mariadb, "
        "oracle and mssql"
    )
