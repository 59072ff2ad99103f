"""The tables, and how they came to be: numbered migrations.

`holdfast_conversation` is a row for each conversation, its head; `holdfast_event` a row for each event. The columns of
an event bear the names Rasa gives them (type_name, timestamp, intent_name, action_name, data), so that queries written
for Rasa's table need little change. A batch's id stands on the first of its rows only, where a partial unique index
makes a second copy impossible at next to no cost.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, MetaData, String, Table, Text, text
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

metadata = MetaData()

conversations = Table(
    "holdfast_conversation",
    metadata,
    Column("conversation", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("session", BigInteger, nullable=False),
    Column("session_first", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("user_id", Text),
    sqlite_with_rowid=False,
)
_by_time = Index("holdfast_conversation_updated", conversations.c.updated, conversations.c.conversation)
_by_user = Index(
    "holdfast_conversation_user",
    conversations.c.user_id,
    conversations.c.updated,
    sqlite_where=conversations.c.user_id.is_not(None),
)

events = Table(
    "holdfast_event",
    metadata,
    Column("conversation", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("batch_id", String(64)),
    Column("type_name", Text, nullable=False),
    Column("timestamp", Double),
    Column("intent_name", Text),
    Column("action_name", Text),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,
)
_by_batch = Index(
    "holdfast_event_batch",
    events.c.conversation,
    events.c.batch_id,
    unique=True,
    sqlite_where=text("batch_id IS NOT NULL"),
)

MIGRATIONS: tuple[tuple[ExecutableDDLElement, ...], ...] = (
    (
        CreateTable(conversations),
        CreateIndex(_by_time),
        CreateIndex(_by_user),
        CreateTable(events),
        CreateIndex(_by_batch),
    ),
)
"""What to execute to get from one schema version to the next; the first brings an empty database to version 1."""
