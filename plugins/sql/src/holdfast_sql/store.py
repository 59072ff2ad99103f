"""The SQL tracker store: what is the same SQL on every database; the rest stands behind `Dialect`."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Engine, and_, case, delete, func, or_, select, update

from holdfast import Event
from holdfast.conversations.cursor import decode_cursor, encode_cursor
from holdfast.conversations.store import Appended, Head, Page, TrackerStore
from holdfast_sql.config import SQLConfig
from holdfast_sql.dialect import dialect_for
from holdfast_sql.schema import conversations, events

_FETCH = 500
"""Events that are in memory at once while a conversation is read."""

_HEAD = select(
    conversations.c.conversation,
    conversations.c.version,
    conversations.c.first,
    conversations.c.session,
    conversations.c.session_first,
    conversations.c.created,
    conversations.c.updated,
    conversations.c.user_id,
)


class SQLTrackerStore(TrackerStore):
    """Keeps conversations in the tables of `holdfast_sql.schema`, which the first operation creates."""

    def __init__(self, config: SQLConfig) -> None:
        self.config = config
        self._open()
        _opened.add(self)

    def _open(self) -> None:
        self._dialect = dialect_for(self.config)
        self._engine = self._dialect.engine(self.config)
        self._prepared = False
        self._preparing = threading.Lock()

    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        return self._dialect.append(
            self._ready(), conversation, events, expected=expected, batch_id=batch_id, user=user
        )

    def head(self, conversation: str) -> Head | None:
        with self._ready().connect() as connection:
            row = connection.execute(_HEAD.where(conversations.c.conversation == conversation)).one_or_none()
        return None if row is None else Head(*row)

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        statement = (
            select(events.c.seq, events.c.data)
            .where(events.c.conversation == conversation, events.c.seq.between(first, last))
            .order_by(events.c.seq)
        )
        with self._ready().connect() as connection:
            for row in connection.execution_options(yield_per=_FETCH).execute(statement):
                yield row.seq, row.data

    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        head = conversations.c
        statement = _HEAD.order_by(head.updated.desc(), head.conversation.desc()).limit(limit + 1)
        if user is not None:
            statement = statement.where(head.user_id == user)
        if updated_before is not None:
            statement = statement.where(head.updated < updated_before)
        if cursor is not None:
            statement = statement.where(_behind(*decode_cursor(cursor)))
        with self._ready().connect() as connection:
            heads = tuple(Head(*row) for row in connection.execute(statement))
        page = heads[:limit]
        more = len(heads) > limit
        return Page(page, encode_cursor(page[-1].updated, page[-1].conversation) if more else None)

    def count(self) -> int:
        with self._ready().connect() as connection:
            return connection.execute(select(func.count()).select_from(conversations)).scalar_one()

    def delete(self, conversation: str) -> bool:
        with self._dialect.writing(self._ready()) as connection:
            connection.execute(delete(events).where(events.c.conversation == conversation))
            done = connection.execute(delete(conversations).where(conversations.c.conversation == conversation))
            return done.rowcount > 0

    def truncate(self, conversation: str, before: int) -> int:
        head = conversations.c
        with self._dialect.writing(self._ready()) as connection:
            erased = connection.execute(
                delete(events).where(events.c.conversation == conversation, events.c.seq < before)
            ).rowcount
            if erased:
                first = head.first + erased
                connection.execute(
                    update(conversations)
                    .where(head.conversation == conversation)
                    .values(
                        first=first, session_first=case((head.session_first < first, first), else_=head.session_first)
                    )
                )
            return erased

    def close(self) -> None:
        self._engine.dispose()

    def _ready(self) -> Engine:
        if not self._prepared:
            with self._preparing:
                if not self._prepared:
                    self._dialect.prepare(self._engine)
                    self._prepared = True
        return self._engine


def _behind(updated: float, conversation: str) -> ColumnElement[bool]:
    """Ordered behind the head with this time and id; in this form an index on both columns can be used."""
    head = conversations.c
    return and_(head.updated <= updated, or_(head.updated < updated, head.conversation < conversation))


_opened: weakref.WeakSet[SQLTrackerStore] = weakref.WeakSet()


def _forget_connections() -> None:
    """In a forked child: the parent goes on using its connections, the child makes its own."""
    for store in _opened:
        store._engine.dispose(close=False)
        store._open()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
