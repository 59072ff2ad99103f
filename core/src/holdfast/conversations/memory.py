"""The memory tracker store: conversations live as long as the process, and are gone with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from holdfast.backend import Backend, BackendConfig
from holdfast.conversations.cursor import decode_cursor, encode_cursor
from holdfast.conversations.event import Event
from holdfast.conversations.store import ANY, Appended, Head, Page, TrackerStore, refusal, session_after
from holdfast.hooks import hookimpl


class MemoryConfig(BackendConfig):
    """The memory tracker store has no settings."""


@dataclass(slots=True)
class _Kept:
    created: float
    updated: float = 0.0
    user: str | None = None
    erased: int = 0
    texts: list[str] = field(default_factory=list)
    batches: dict[str, tuple[int, int]] = field(default_factory=dict)
    session: int = 0
    session_first: int = 1

    @property
    def version(self) -> int:
        return self.erased + len(self.texts)

    def head(self, conversation: str) -> Head:
        first = self.erased + 1
        return Head(
            conversation,
            self.version,
            first,
            self.session,
            max(self.session_first, first),
            self.created,
            self.updated,
            self.user,
        )


class MemoryTrackerStore(TrackerStore):
    """Keeps every event's text in a dict of this process."""

    def __init__(self, config: MemoryConfig | None = None) -> None:
        self.config = config or MemoryConfig()
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        texts = [event.json for event in events]
        with self._lock:
            now = time.time()
            kept = self._kept.get(conversation) or _Kept(created=now)
            version = kept.version
            earlier = kept.batches.get(batch_id)
            if earlier is not None and expected in (ANY, earlier[0] - 1):
                return Appended(earlier[1], duplicate=True)
            if expected not in (ANY, version) or earlier is not None:
                raise refusal(conversation, expected, version)
            kept.session, kept.session_first = session_after(kept.session, kept.session_first, version + 1, events)
            kept.texts.extend(texts)
            kept.batches[batch_id] = (version + 1, kept.version)
            kept.updated = now
            if user is not None:
                kept.user = user
            self._kept[conversation] = kept
            return Appended(kept.version)

    def head(self, conversation: str) -> Head | None:
        with self._lock:
            kept = self._kept.get(conversation)
            return None if kept is None else kept.head(conversation)

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        with self._lock:
            kept = self._kept.get(conversation)
            if kept is None:
                return
            start = max(first, kept.erased + 1)
            texts = kept.texts[start - kept.erased - 1 : max(last - kept.erased, 0)]
        yield from enumerate(texts, start)

    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        behind = None if cursor is None else decode_cursor(cursor)
        with self._lock:
            heads = [
                kept.head(conversation)
                for conversation, kept in self._kept.items()
                if (user is None or kept.user == user)
                and (updated_before is None or kept.updated < updated_before)
                and (behind is None or (kept.updated, conversation) < behind)
            ]
        heads.sort(key=lambda head: (head.updated, head.conversation), reverse=True)
        page = tuple(heads[:limit])
        more = len(heads) > limit
        return Page(page, encode_cursor(page[-1].updated, page[-1].conversation) if more else None)

    def count(self) -> int:
        return len(self._kept)

    def delete(self, conversation: str) -> bool:
        with self._lock:
            return self._kept.pop(conversation, None) is not None

    def truncate(self, conversation: str, before: int) -> int:
        with self._lock:
            kept = self._kept.get(conversation)
            if kept is None:
                return 0
            erased = max(0, min(before - 1, kept.version) - kept.erased)
            del kept.texts[:erased]
            kept.erased += erased
            kept.batches = {key: span for key, span in kept.batches.items() if span[0] > kept.erased}
            return erased


@hookimpl
def holdfast_tracker_store() -> Backend[MemoryConfig, MemoryTrackerStore]:
    """Offer the memory tracker store."""
    return Backend(
        config=MemoryConfig, open=MemoryTrackerStore, summary="in this process only; gone when it ends; for trying out"
    )
