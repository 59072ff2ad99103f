"""A tracker store on SQL databases: PostgreSQL, MySQL, MariaDB, SQLite, Oracle, SQL Server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast import Backend, hookimpl
from holdfast_sql.config import SQLConfig

if TYPE_CHECKING:
    from holdfast.errors import BackendError
    from holdfast_sql.store import SQLTrackerStore


@hookimpl
def holdfast_tracker_store() -> Backend[SQLConfig, SQLTrackerStore]:
    """Offer the SQL tracker store."""
    return Backend(config=SQLConfig, open=_open, errors=_errors, summary="PostgreSQL, MySQL, MariaDB or a SQLite file")


def _open(config: SQLConfig) -> SQLTrackerStore:
    from holdfast_sql.store import SQLTrackerStore

    return SQLTrackerStore(config)


def _errors() -> dict[type[BaseException], type[BackendError]]:
    import sqlite3

    from sqlalchemy.exc import SQLAlchemyError

    from holdfast.errors import BackendError

    return {SQLAlchemyError: BackendError, sqlite3.Error: BackendError, OSError: BackendError}
