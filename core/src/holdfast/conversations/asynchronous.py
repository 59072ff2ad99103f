"""`AsyncConversations`: what an async application uses, above any tracker store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from holdfast.conversations.domain import Domain
from holdfast.conversations.event import Event
from holdfast.conversations.faces import Immediate, Threads, run_now
from holdfast.conversations.policy import OnConflict, Policy
from holdfast.conversations.rule import SessionRule
from holdfast.conversations.service import iterate, sleep_in_thread
from holdfast.conversations.store import ANY, Appended, AsyncTrackerStore, Head, Page, TrackerStore
from holdfast.conversations.tracker import Tracker
from holdfast.wrapping import Errors

T = TypeVar("T")

_AT_ONCE = 500
"""Items that cross from a thread to the event loop in one step."""


class AsyncConversations:
    """The async face; arguments, methods, promises and errors are those of `Conversations`.

    An async store is awaited. A blocking store works in threads, one hop for each call, so that the event loop never
    waits for it. A cancelled `save`, `append`, `delete` or `truncate` ends before the cancellation is passed on.
    """

    def __init__(
        self,
        store: TrackerStore | AsyncTrackerStore,
        domain: Domain | None = None,
        *,
        session_rule: SessionRule | str = SessionRule.ACTION_SESSION_START,
        name: str = "given",
        errors: Errors = dict,
    ) -> None:
        self._threads = Threads() if isinstance(store, TrackerStore) else None
        self._policy = Policy(
            Immediate(store) if isinstance(store, TrackerStore) else store,
            domain or Domain(),
            SessionRule(session_rule),
            name,
            errors,
            sleep_in_thread if isinstance(store, TrackerStore) else asyncio.sleep,
        )

    @property
    def domain(self) -> Domain:
        """Slots and session settings."""
        return self._policy.domain

    async def retrieve(self, conversation: str) -> Tracker | None:
        """See `Conversations.retrieve`."""
        return await self._run(self._policy.retrieve(conversation, all_sessions=False))

    async def retrieve_full(self, conversation: str) -> Tracker | None:
        """See `Conversations.retrieve_full`."""
        return await self._run(self._policy.retrieve(conversation, all_sessions=True))

    async def get_or_create(self, conversation: str, *, user: str | None = None) -> Tracker:
        """See `Conversations.get_or_create`."""
        return await self._run(self._policy.get_or_create(conversation, user))

    async def save(self, tracker: Tracker, *, on_conflict: OnConflict = "raise") -> None:
        """See `Conversations.save`."""
        await self._run(self._policy.save(tracker, on_conflict), settle=True)

    async def append(
        self,
        conversation: str,
        events: Iterable[Event | Mapping[str, Any]],
        *,
        expected: int = ANY,
        user: str | None = None,
        batch_id: str | None = None,
    ) -> Appended:
        """See `Conversations.append`."""
        return await self._run(self._policy.append(conversation, events, expected, user, batch_id), settle=True)

    def events(self, conversation: str, first: int = 1, last: int | None = None) -> AsyncIterator[tuple[int, Event]]:
        """See `Conversations.events`."""
        return self._stream(self._policy.events(conversation, first, last))

    async def head(self, conversation: str) -> Head | None:
        """See `Conversations.head`."""
        return await self._run(self._policy.head(conversation))

    async def exists(self, conversation: str) -> bool:
        """See `Conversations.exists`."""
        return await self.head(conversation) is not None

    async def count(self) -> int:
        """See `Conversations.count`."""
        return await self._run(self._policy.count())

    async def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        """See `Conversations.list`."""
        return await self._run(self._policy.page(cursor, limit, user, updated_before))

    def heads(self, *, user: str | None = None, updated_before: float | None = None) -> AsyncIterator[Head]:
        """See `Conversations.heads`."""
        return self._stream(self._policy.heads(user, updated_before))

    async def keys(self) -> AsyncIterator[str]:
        """See `Conversations.keys`."""
        async for head in self.heads():
            yield head.conversation

    async def delete(self, conversation: str) -> bool:
        """See `Conversations.delete`."""
        return await self._run(self._policy.delete(conversation), settle=True)

    async def truncate(self, conversation: str, before: int) -> int:
        """See `Conversations.truncate`."""
        return await self._run(self._policy.truncate(conversation, before), settle=True)

    async def close(self) -> None:
        """See `Conversations.close`."""
        await self._run(self._policy.close(), settle=True)
        if self._threads is not None:
            self._threads.close()

    async def _run(self, coroutine: Coroutine[Any, Any, T], *, settle: bool = False) -> T:
        if self._threads is None:
            return await coroutine
        return await self._threads.run(partial(run_now, coroutine), settle=settle)

    async def _stream(self, stream: AsyncIterator[T]) -> AsyncIterator[T]:
        if self._threads is None:
            async for item in stream:
                yield item
            return
        items = iterate(stream)
        try:
            while chunk := await self._threads.run(lambda: tuple(islice(items, _AT_ONCE))):
                for item in chunk:
                    yield item
        finally:
            await self._threads.run(items.close, settle=True)  # type: ignore[attr-defined]  # `iterate` is a generator
