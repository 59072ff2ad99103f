"""Faults between an application and its tracker store, made on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from holdfast import Appended, Event, Head, Page, TrackerStore, UnavailableError

Fault = Literal["before", "after"]
"""`before`: the append never reached the store. `after`: it was done, and the answer was lost."""


class FaultyStore(TrackerStore):
    """Passes everything on to another store, and loses the appends it is told to lose.

    Attributes:
        faults: what happens to the next appends, first to last; after that all goes well.
        appends: how many appends were tried.
        reads: how many heads, pages, counts and ranges of events were asked for.
    """

    def __init__(self, store: TrackerStore, faults: Sequence[Fault] = ()) -> None:
        self._store = store
        self.faults = list(faults)
        self.appends = 0
        self.reads = 0

    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        self.appends += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault == "before":
            raise UnavailableError("the connection was cut before the append")
        appended = self._store.append(conversation, events, expected=expected, batch_id=batch_id, user=user)
        if fault == "after":
            raise UnavailableError("the connection was cut before the answer")
        return appended

    def head(self, conversation: str) -> Head | None:
        self.reads += 1
        return self._store.head(conversation)

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        self.reads += 1
        return self._store.read(conversation, first, last)

    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        self.reads += 1
        return self._store.list(cursor, limit, user=user, updated_before=updated_before)

    def count(self) -> int:
        self.reads += 1
        return self._store.count()

    def delete(self, conversation: str) -> bool:
        return self._store.delete(conversation)

    def truncate(self, conversation: str, before: int) -> int:
        return self._store.truncate(conversation, before)

    def close(self) -> None:
        self._store.close()
