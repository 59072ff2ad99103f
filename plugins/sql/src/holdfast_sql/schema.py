"""The tables, and how they came to be: numbered migrations.

`holdfast_conversation` is a row for each conversation, its head; `holdfast_event` a row for each event. The columns of
an event bear the names Rasa gives them (type_name, timestamp, intent_name, action_name, data), so that queries written
for Rasa's table need little change. A batch's id stands on the first of its rows only, where a unique index makes a
second copy impossible at next to no cost.

What a column is, differs: MySQL's default text folds case and ends at 64 KB, its default float has steps of 128
seconds for the time of today; PostgreSQL's collations change with the operating system, which would break an index.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, MetaData, String, Table, Text, text
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlalchemy.sql.elements import quoted_name

from holdfast_sql.texts import COLUMN, LONGEST

metadata = MetaData()

_BINARY = "Latin1_General_100_BIN2"
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def _short(length: int) -> String:
    return (
        String(length)
        .with_variant(Text(), "sqlite")
        .with_variant(postgresql.TEXT(collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql")
        .with_variant(oracle.VARCHAR2(length), "oracle")
        .with_variant(mssql.NVARCHAR(length, collation=_BINARY), "mssql")
    )


_key = _short(LONGEST)
_name = _short(COLUMN)
_long = (
    Text()
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql")
    .with_variant(oracle.CLOB(), "oracle")
    .with_variant(mssql.NVARCHAR(None, collation=_BINARY), "mssql")
)
_float: Double[Any] = Double().with_variant(oracle.BINARY_DOUBLE(), "oracle").with_variant(mssql.FLOAT(53), "mssql")

conversations = Table(
    "holdfast_conversation",
    metadata,
    Column("conversation", _key, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column(quoted_name("session", quote=True), BigInteger, nullable=False),  # a word of Oracle's own
    Column("session_first", BigInteger, nullable=False),
    Column("created", _float, nullable=False),
    Column("updated", _float, nullable=False),
    Column("user_id", _key),
    Column("long_id", _long),
    sqlite_with_rowid=False,
    **_MYSQL,
)
_by_time = Index("holdfast_conversation_updated", conversations.c.updated, conversations.c.conversation)
_with_user = conversations.c.user_id.is_not(None)
_by_user = Index(
    "holdfast_conversation_user",
    conversations.c.user_id,
    conversations.c.updated,
    sqlite_where=_with_user,
    postgresql_where=_with_user,
    mssql_where=_with_user,
)

events = Table(
    "holdfast_event",
    metadata,
    Column("conversation", _key, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("batch_id", String(64).with_variant(mysql.VARCHAR(64, charset="ascii", collation="ascii_bin"), "mysql")),
    Column("type_name", _name, nullable=False),
    Column("timestamp", _float),
    Column("intent_name", _name),
    Column("action_name", _name),
    Column("data", _long, nullable=False),
    sqlite_with_rowid=False,
    **_MYSQL,
)
_with_batch = text("batch_id IS NOT NULL")
_by_batch = Index(
    "holdfast_event_batch",
    events.c.conversation,
    events.c.batch_id,
    unique=True,
    sqlite_where=_with_batch,
    postgresql_where=_with_batch,
    mssql_where=_with_batch,
)
# Oracle has no partial indexes, but leaves out rows whose every indexed expression is NULL.
_by_batch_on_oracle = Index(
    "holdfast_event_batch",
    text("CASE WHEN batch_id IS NOT NULL THEN conversation END"),
    text("batch_id"),
    unique=True,
    _table=events,
)

Migration = tuple[ExecutableDDLElement, ...]


def migrations(dialect: str) -> tuple[Migration, ...]:
    """What to execute to get from one schema version to the next; the first brings an empty database to version 1.

    Args:
        dialect: SQLAlchemy's name of the database.
    """
    return (
        (
            CreateTable(conversations),
            CreateIndex(_by_time),
            CreateIndex(_by_user),
            CreateTable(events),
            CreateIndex(_by_batch_on_oracle if dialect == "oracle" else _by_batch),
        ),
    )


VERSION = len(migrations("sqlite"))
"""The schema version this distribution works with."""
