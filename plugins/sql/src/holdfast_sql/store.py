"""The SQL tracker store: what is the same SQL on every database; the rest stands behind `Dialect`."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, bindparam, case, delete, func, or_, select, update

from holdfast import Event
from holdfast.conversations.cursor import decode_cursor, encode_cursor
from holdfast.conversations.store import Appended, Head, Page, TrackerStore
from holdfast_sql.config import SQLConfig
from holdfast_sql.dialect import dialect_for
from holdfast_sql.schema import conversations, events
from holdfast_sql.texts import key, original, user_key

_HEAD = select(
    conversations.c.conversation,
    conversations.c.version,
    conversations.c.first,
    conversations.c.session,
    conversations.c.session_first,
    conversations.c.created,
    conversations.c.updated,
    conversations.c.user_id,
    conversations.c.long_id,
)
_HEAD_OF = _HEAD.where(conversations.c.conversation == bindparam("key"))


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
        with self._dialect.reading(self._ready()) as connection:
            row = connection.execute(_HEAD_OF, {"key": key(conversation)}).one_or_none()
        return None if row is None else _head(row)

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        return self._dialect.read(self._ready(), key(conversation), first, last)

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
            statement = statement.where(head.user_id == user_key(user))
        if updated_before is not None:
            statement = statement.where(head.updated < updated_before)
        if cursor is not None:
            updated, conversation = decode_cursor(cursor)
            statement = statement.where(_behind(updated, key(conversation)))
        with self._dialect.reading(self._ready()) as connection:
            heads = tuple(map(_head, connection.execute(statement)))
        page = heads[:limit]
        more = len(heads) > limit
        return Page(page, encode_cursor(page[-1].updated, page[-1].conversation) if more else None)

    def count(self) -> int:
        with self._dialect.reading(self._ready()) as connection:
            return connection.execute(select(func.count()).select_from(conversations)).scalar_one()

    def delete(self, conversation: str) -> bool:
        erased = key(conversation)
        with self._dialect.writing(self._ready()) as connection:
            # The head first: it waits for an append that is under way, whose events have to go as well.
            done = connection.execute(delete(conversations).where(conversations.c.conversation == erased))
            connection.execute(delete(events).where(events.c.conversation == erased))
            return done.rowcount > 0

    def truncate(self, conversation: str, before: int) -> int:
        head = conversations.c
        here = head.conversation == key(conversation)
        with self._dialect.writing(self._ready()) as connection:
            connection.execute(select(head.version).where(here).with_for_update())  # as in `delete`
            erased = connection.execute(
                delete(events).where(events.c.conversation == key(conversation), events.c.seq < before)
            ).rowcount
            if erased:
                first = head.first + erased
                start = case((head.session_first < first, first), else_=head.session_first)
                # `session_first` first: MySQL assigns from left to right, and sees what it assigned.
                statement = (
                    update(conversations).where(here).ordered_values((head.session_first, start), (head.first, first))
                )
                connection.execute(statement)
            return erased

    def close(self) -> None:
        self._engine.dispose()
        self._dialect.close()

    def _ready(self) -> Engine:
        if not self._prepared:
            with self._preparing:
                if not self._prepared:
                    self._dialect.prepare(self._engine)
                    self._prepared = True
        return self._engine


def _head(row: Any) -> Head:
    return Head(
        original(row.long_id or row.conversation),
        row.version,
        row.first,
        row.session,
        row.session_first,
        row.created,
        row.updated,
        None if row.user_id is None else original(row.user_id),
    )


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
