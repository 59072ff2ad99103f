"""Reading events: page by page, and never one without the one before it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from holdfast import UnavailableError
from holdfast_dynamo.erasing import Eraser
from holdfast_dynamo.layout import Item, events_from, integer

_TRIES = 6
_PAGE = 500
_FEW = 12
"""Items asked for at least: a batch of one event may have this many parts."""


class Reader:
    """Reads the events of conversations."""

    def __init__(self, eraser: Eraser) -> None:
        self._eraser = eraser

    def read(self, partition: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        """See `TrackerStore.read`.

        Items of one transaction become visible one after the other. So where an event is missing that the head says is
        there, it will be in a moment.
        """
        due = max(first, 1)
        if due > last:
            return
        for attempt in range(1, _TRIES + 1):
            for begin, texts in self._batches(partition, due, last):
                if begin > due and not self._erased(partition, begin):
                    break
                yield from enumerate(texts[max(0, due - begin) : last - begin + 1], max(begin, due))
                due = max(due, begin + len(texts))
                if due > last:
                    return
            if due > last:
                return
            head = self._eraser.head(partition)
            if head is None or integer(head, "version") < due or integer(head, "first") > last:
                return
            due = max(due, integer(head, "first"))
            time.sleep(0.01 * 2**attempt)
        raise UnavailableError(f"event {due} of a conversation is not visible yet, though its head says it is there")

    def _erased(self, partition: str, begin: int) -> bool:
        head = self._eraser.head(partition)
        return head is not None and integer(head, "first") >= begin

    def _batches(self, partition: str, first: int, last: int) -> Iterator[tuple[int, list[str]]]:
        """(first number, texts) of the whole batches that hold the events; what follows an incomplete one is left out."""
        # Each item holds at least one event or a part of one, so this many are enough and few are read in vain.
        limit = max(_FEW, min(last - first + 1, _PAGE))
        parts: list[Item] = []
        checked = False
        for item in self._eraser.items(partition, events_from(first), "F", limit=limit):
            if "expires" in item and not checked:
                checked = True
                if self._eraser.head(partition) is None:
                    return
            if integer(item, "first") > last:
                return
            if parts and item["last"] != parts[0]["last"]:
                return
            parts.append(item)
            if len(parts) == integer(item, "parts"):
                yield integer(item, "first"), "".join(part["events"]["S"] for part in parts).split("\n")
                parts = []
