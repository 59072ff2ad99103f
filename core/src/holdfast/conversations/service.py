"""`Conversations`: what a blocking application uses, above any tracker store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from holdfast.conversations.domain import Domain
from holdfast.conversations.event import Event
from holdfast.conversations.faces import Immediate, run_now, to_blocking
from holdfast.conversations.policy import OnConflict, Policy
from holdfast.conversations.rule import SessionRule
from holdfast.conversations.store import ANY, Appended, AsyncTrackerStore, Head, Page, TrackerStore
from holdfast.conversations.tracker import Tracker
from holdfast.wrapping import Errors

T = TypeVar("T")


async def sleep_in_thread(seconds: float) -> None:
    """Wait without suspending, for coroutines that `run_now` drives."""
    time.sleep(seconds)  # noqa: ASYNC251  # never runs on an event loop: see Immediate


class Conversations:
    """The blocking face.

    Args:
        store: where the events are kept; an async store is run on an event loop in a thread.
        domain: slots and session settings of the trackers; without one, every slot an event sets exists.
        session_rule: where the latest session begins.
        name: what error messages call the store.
        errors: see `Backend.errors`.

    All methods raise `BackendError` if the store fails. While it is unavailable they try again a few times, waiting a
    random, growing time, before they raise `UnavailableError`.
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
        self._policy = Policy(
            Immediate(to_blocking(store)),
            domain or Domain(),
            SessionRule(session_rule),
            name,
            errors,
            sleep_in_thread,
        )

    @property
    def domain(self) -> Domain:
        """Slots and session settings."""
        return self._policy.domain

    def retrieve(self, conversation: str) -> Tracker | None:
        """The tracker with the events of the latest session; `None` if there is no such conversation."""
        return run_now(self._policy.retrieve(conversation, all_sessions=False))

    def retrieve_full(self, conversation: str) -> Tracker | None:
        """The tracker with the events of all sessions; `None` if there is no such conversation."""
        return run_now(self._policy.retrieve(conversation, all_sessions=True))

    def get_or_create(self, conversation: str, *, user: str | None = None) -> Tracker:
        """The tracker with the latest session, or a new, empty one. Nothing is stored before it is saved."""
        return run_now(self._policy.get_or_create(conversation, user))

    def save(self, tracker: Tracker, *, on_conflict: OnConflict = "raise") -> None:
        """Store the events that were added to the tracker, and read nothing.

        After a failure whose outcome is unknown, saving the tracker again is harmless: the store recognises the batch.

        Args:
            tracker: its `version` says what its events are based on.
            on_conflict: what to do when another writer appended meanwhile: `"raise"`, or `"rebase"`: read what the
                other wrote, put it before the added events, and try again.

        Raises:
            ConflictError: another writer appended first; nothing was written, the tracker still holds its events.
            StoreBehindError: the store lost events the tracker has seen; nothing was written.
        """
        run_now(self._policy.save(tracker, on_conflict))

    def append(
        self,
        conversation: str,
        events: Iterable[Event | Mapping[str, Any]],
        *,
        expected: int = ANY,
        user: str | None = None,
        batch_id: str | None = None,
    ) -> Appended:
        """Append events without loading the conversation.

        Args:
            conversation: its id.
            events: at least one.
            expected: the version they are based on, `NEW`, or `ANY` for whatever stands there.
            user: sets the conversation's user, if given.
            batch_id: give the same id to make trying again harmless.

        Raises:
            ConflictError, StoreBehindError: the conversation is not at the expected version; nothing was written.
        """
        return run_now(self._policy.append(conversation, events, expected, user, batch_id))

    def events(self, conversation: str, first: int = 1, last: int | None = None) -> Iterator[tuple[int, Event]]:
        """Yield (sequence number, event), from `first` to `last`, both included, in constant memory."""
        stream = self._policy.events(conversation, first, last)
        return iterate(stream)

    def head(self, conversation: str) -> Head | None:
        """Version, session and times, without reading events; `None` if there is no such conversation."""
        return run_now(self._policy.head(conversation))

    def exists(self, conversation: str) -> bool:
        """Whether there is such a conversation."""
        return self.head(conversation) is not None

    def count(self) -> int:
        """How many conversations there are."""
        return run_now(self._policy.count())

    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        """One page of heads, the most recently updated first; see `TrackerStore.list`."""
        return run_now(self._policy.page(cursor, limit, user, updated_before))

    def heads(self, *, user: str | None = None, updated_before: float | None = None) -> Iterator[Head]:
        """Yield every head, the most recently updated first, page by page."""
        return iterate(self._policy.heads(user, updated_before))

    def keys(self) -> Iterator[str]:
        """Yield every conversation's id, the most recently updated first, page by page."""
        return (head.conversation for head in self.heads())

    def delete(self, conversation: str) -> bool:
        """Erase a conversation for good; `False` if there was none."""
        return run_now(self._policy.delete(conversation))

    def truncate(self, conversation: str, before: int) -> int:
        """Erase the events numbered below `before` for good, and return how many; numbering continues."""
        return run_now(self._policy.truncate(conversation, before))

    def close(self) -> None:
        """Close the store; calling it again does nothing."""
        run_now(self._policy.close())


def iterate(stream: AsyncIterator[T]) -> Iterator[T]:
    """The items of an async generator that never suspends."""
    try:
        while True:
            try:
                yield run_now(stream.__anext__())  # type: ignore[arg-type]  # an async generator's __anext__ is driven the same way
            except StopAsyncIteration:
                return
    finally:
        run_now(stream.aclose())  # type: ignore[attr-defined]  # all streams here are async generators
