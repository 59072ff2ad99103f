"""The DynamoDB tracker store; its layout is told in `holdfast_dynamo.layout`."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence

from holdfast import Event
from holdfast.conversations.store import Appended, Head, Page, TrackerStore
from holdfast_dynamo.appending import Appender
from holdfast_dynamo.client import Client
from holdfast_dynamo.config import DynamoConfig
from holdfast_dynamo.erasing import Eraser
from holdfast_dynamo.layout import head_of, key_text
from holdfast_dynamo.listing import Lister
from holdfast_dynamo.reading import Reader
from holdfast_dynamo.table import prepare


class DynamoTrackerStore(TrackerStore):
    """Keeps conversations in one table, which the first operation looks at and, if need be, creates."""

    def __init__(self, config: DynamoConfig) -> None:
        self.config = config
        self._open()
        _opened.add(self)

    def _open(self) -> None:
        self.client = Client(self.config)
        self._eraser = Eraser(self.client)
        self._appender = Appender(self.client, self._eraser)
        self._reader = Reader(self._eraser)
        self._lister = Lister(self.client)
        self._prepared = False
        self._preparing = threading.Lock()

    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        self._prepare()
        return self._appender.append(conversation, events, expected=expected, batch_id=batch_id, user=user)

    def head(self, conversation: str) -> Head | None:
        self._prepare()
        item = self._eraser.head(key_text(conversation))
        return None if item is None else head_of(item)

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        self._prepare()
        return self._reader.read(key_text(conversation), first, last)

    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        self._prepare()
        return self._lister.list(cursor, limit, user, updated_before)

    def count(self) -> int:
        self._prepare()
        return self._lister.count()

    def delete(self, conversation: str) -> bool:
        self._prepare()
        return self._eraser.delete(key_text(conversation))

    def truncate(self, conversation: str, before: int) -> int:
        self._prepare()
        return self._eraser.truncate(key_text(conversation), before)

    def close(self) -> None:
        self.client.close()

    def _prepare(self) -> None:
        if not self._prepared:
            with self._preparing:
                if not self._prepared:
                    prepare(self.client)
                    self._prepared = True


_opened: weakref.WeakSet[DynamoTrackerStore] = weakref.WeakSet()


def _forget_connections() -> None:
    """In a forked child: the parent goes on using its connections, the child makes its own."""
    for store in _opened:
        store._open()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
