"""The policy above the tracker store contract: sessions, conflicts, retries.

It is written once, as coroutines over the async face. `AsyncConversations` awaits them; over a blocking store it runs
each as a whole in a thread. `Conversations` drives them to their end at once, over a store whose coroutines never
suspend.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from holdfast.conversations.domain import Domain
from holdfast.conversations.event import Event
from holdfast.conversations.rule import SessionRule
from holdfast.conversations.store import Appended, AsyncTrackerStore, Head, Page
from holdfast.conversations.tracker import Tracker
from holdfast.errors import BackendError, ConflictError, ConversationError, StoreBehindError, UnavailableError
from holdfast.wrapping import Errors, wrapping

T = TypeVar("T")

OnConflict = Literal["raise", "rebase"]

_REBASES = 10
_TRIES = 4
_BACK_OFF = 0.05
"""Seconds; doubled from try to try, then multiplied by a random number between 0 and 1."""


def _check_id(conversation: str) -> None:
    """Refuse an id that no database can hold."""
    if not isinstance(conversation, str):
        raise ConversationError(f"a conversation's id is a text, not {type(conversation).__name__}")
    try:
        conversation.encode()
    except UnicodeEncodeError:
        raise ConversationError(
            f"the conversation id {conversation!r} holds half a surrogate pair, which is no text"
        ) from None


class _Changed(Exception):  # noqa: N818  # not an error: the conversation was cut while it was read
    pass


class Policy:
    """What `Conversations` and `AsyncConversations` do; the methods are documented there."""

    def __init__(
        self,
        store: AsyncTrackerStore,
        domain: Domain,
        session_rule: SessionRule,
        name: str,
        errors: Errors,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.store = store
        self.domain = domain
        self.session_rule = session_rule
        self._where = f"tracker store {name!r}"
        self._errors = errors
        self._sleep = sleep

    async def retrieve(self, conversation: str, *, all_sessions: bool) -> Tracker | None:
        whole = all_sessions or self.session_rule is SessionRule.NONE
        for _ in range(_TRIES):
            head = await self.head(conversation)
            if head is None:
                return None
            try:
                if whole or self.session_rule is SessionRule.ACTION_SESSION_START:
                    first = head.first if whole else head.session_first
                    events = await self._events(conversation, first, head.version)
                else:
                    first, events = await self._back_to_marker(head)
            except _Changed:
                continue
            return Tracker(conversation, self.domain, events=events, version=head.version, first=first, user=head.user)
        raise BackendError(f"{self._where}: conversation {conversation!r} was cut again each time it was read")

    async def get_or_create(self, conversation: str, user: str | None) -> Tracker:
        tracker = await self.retrieve(conversation, all_sessions=False) or Tracker(conversation, self.domain)
        if user is not None:
            tracker.user = user
        return tracker

    async def save(self, tracker: Tracker, on_conflict: OnConflict) -> None:
        rebases = 0
        while (batch := tracker._next_batch()) is not None:
            try:
                appended = await self._append(tracker.sender_id, batch.events, batch.expected, batch.id, tracker.user)
            except ConflictError as conflict:
                tracker._take_back(batch)
                rebases += 1
                if on_conflict != "rebase" or rebases > _REBASES:
                    raise
                try:
                    missed = await self._events(tracker.sender_id, tracker.version + 1, conflict.actual)
                except _Changed:
                    raise conflict from None
                tracker._rebase(missed, conflict.actual)
            except StoreBehindError:
                tracker._take_back(batch)
                raise
            else:
                tracker._acknowledge(batch, appended.version)

    async def append(
        self,
        conversation: str,
        events: Iterable[Event | Mapping[str, Any]],
        expected: int,
        user: str | None,
        batch_id: str | None,
    ) -> Appended:
        batch = [event if isinstance(event, Event) else Event.from_dict(event) for event in events]
        if not batch:
            raise ConversationError(f"nothing to append to conversation {conversation!r}: the batch is empty")
        return await self._append(conversation, batch, expected, batch_id or uuid.uuid4().hex, user)

    async def events(self, conversation: str, first: int, last: int | None) -> AsyncIterator[tuple[int, Event]]:
        if last is None:
            head = await self.head(conversation)
            last = 0 if head is None else head.version
        with wrapping(self._errors, self._where):
            async for sequence, text in self.store.read(conversation, first, last):
                yield sequence, Event.stored(text)

    async def head(self, conversation: str) -> Head | None:
        return await self._patiently(lambda: self.store.head(conversation))

    async def count(self) -> int:
        return await self._patiently(self.store.count)

    async def page(self, cursor: str | None, limit: int, user: str | None, updated_before: float | None) -> Page:
        if not 1 <= limit <= 1000:
            raise ConversationError(f"a page has 1 to 1000 conversations, not {limit}")
        return await self._patiently(lambda: self.store.list(cursor, limit, user=user, updated_before=updated_before))

    async def heads(self, user: str | None, updated_before: float | None) -> AsyncIterator[Head]:
        cursor = None
        while True:
            page = await self.page(cursor, 500, user, updated_before)
            for head in page.heads:
                yield head
            cursor = page.cursor
            if cursor is None:
                return

    async def delete(self, conversation: str) -> bool:
        return await self._patiently(lambda: self.store.delete(conversation))

    async def truncate(self, conversation: str, before: int) -> int:
        return await self._patiently(lambda: self.store.truncate(conversation, before))

    async def close(self) -> None:
        with wrapping(self._errors, self._where):
            await self.store.close()

    async def _append(
        self, conversation: str, events: Sequence[Event], expected: int, batch_id: str, user: str | None
    ) -> Appended:
        _check_id(conversation)
        return await self._patiently(
            lambda: self.store.append(conversation, events, expected=expected, batch_id=batch_id, user=user)
        )

    async def _events(self, conversation: str, first: int, last: int) -> list[Event]:
        """All of the events `first` to `last`, or `_Changed` if some are gone by now."""

        async def read() -> list[Event]:
            events: list[Event] = []
            async for sequence, text in self.store.read(conversation, first, last):
                if sequence != first + len(events):
                    raise _Changed
                events.append(Event.stored(text))
            return events

        events = await self._patiently(read)
        if len(events) != last - first + 1:
            raise _Changed
        return events

    async def _back_to_marker(self, head: Head) -> tuple[int, list[Event]]:
        """Read backwards, in growing steps, until the marker that begins the session under the rule is found."""
        events: list[Event] = []
        first, step = head.version + 1, 128
        while first > head.first:
            earlier = max(head.first, first - step)
            chunk = await self._events(head.conversation, earlier, first - 1)
            for index in range(len(chunk) - 1, -1, -1):
                if chunk[index].event == self.session_rule.value:
                    begin = index + (self.session_rule is SessionRule.INACTIVE)
                    return earlier + begin, chunk[begin:] + events
            first, step, events = earlier, step * 4, chunk + events
        return first, events

    async def _patiently(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Try again while the store is unavailable: every operation of the contract may be repeated."""
        for attempt in range(1, _TRIES + 1):
            try:
                with wrapping(self._errors, self._where):
                    return await operation()
            except UnavailableError:
                if attempt == _TRIES:
                    raise
            await self._sleep(_BACK_OFF * 2**attempt * random.random())  # noqa: S311  # spreads load, guards nothing
        raise AssertionError("unreachable")
