"""The seam between the store and a database: what differs from one database to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, Engine

from holdfast import ConfigurationError, Event
from holdfast.conversations.store import Appended
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


def dialect_for(config: SQLConfig) -> Dialect:
    """The dialect a config asks for.

    Raises:
        ConfigurationError: this version does not speak it.
    """
    name = config.url.split("://")[0] if config.url and "://" in config.url else config.dialect
    if name.split("+")[0].lower() == "sqlite":
        from holdfast_sql.sqlite import SQLite

        return SQLite()
    raise ConfigurationError(
        "tracker_store: this version of holdfast-sql speaks only sqlite; set 'dialect: sqlite', 'db' to the path of a "
        "file, and no 'url'"
    )
