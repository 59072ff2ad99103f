"""The contract of a tracker store: where the events of every conversation are kept.

An author writes one face, `TrackerStore` (blocking) or `AsyncTrackerStore`; `holdfast.conversations.faces` derives the
other. A store never looks inside an event: it keeps `event.json` and gives that text back. Policy (sessions, conflicts,
retries, state) lives above the contract, in `holdfast.conversations.service`.

Rules:

1. Sequence numbers begin at 1, have no gaps and belong to one conversation. The version is the last one. It is the only
   order; timestamps are data.
2. `expected` is a version, `NEW` (the same as 0) or `ANY`. Equal to the version: write. Smaller, and the very batch
   (same `batch_id`) stands just behind it: success, `duplicate=True`. Smaller otherwise: `ConflictError`. Larger:
   `StoreBehindError`. With `ANY`, a batch whose `batch_id` stands anywhere in the conversation is a duplicate. No
   `batch_id` is ever written twice into one conversation.
3. A retried append is harmless, whatever became of the first try.
4. An append touches O(new events), a read O(events asked for); neither grows with the history.
5. A read after an acknowledged append sees it, and no reader sees event k+1 without event k.
6. A batch is written whole, without a gap and without another batch inside, or not at all.
7. Texts come back character for character.

All methods may be called from many threads (or tasks). Opening does no I/O; a store may be created before a fork.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.conversations.event import Event
from holdfast.errors import ConflictError, StoreBehindError

ANY: Final = -1
"""`expected`: append whatever the version is."""
NEW: Final = 0
"""`expected`: append only as the first events of the conversation."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did.

    Attributes:
        version: sequence number of the batch's last event.
        duplicate: the batch stood there already; nothing was written.
    """

    version: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a conversation without reading its events.

    Attributes:
        conversation: its id.
        version: sequence number of the last event.
        first: sequence number of the oldest event still kept; version + 1 if none is.
        session: how many sessions have begun; 0 if no event began one.
        session_first: sequence number at which the latest session begins, `first` if none has begun.
        created, updated: seconds since the epoch of the first and the latest append, by the store's clock.
        user: the user the conversation belongs to, if one was given.
    """

    conversation: str
    version: int
    first: int
    session: int
    session_first: int
    created: float
    updated: float
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some heads, and where the next page begins (`None`: there is no next page)."""

    heads: tuple[Head, ...]
    cursor: str | None


class TrackerStore(ABC):
    """The blocking face."""

    @abstractmethod
    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        """Append a batch of at least one event, in one round trip where the engine can.

        Args:
            conversation: id; any text, compared character by character.
            events: the batch; `event.json` is what to keep, `event.starts_session` moves the head's session.
            expected: the version the batch is based on, `NEW` or `ANY`.
            batch_id: identifies the batch in every try to write it; at most 64 ASCII characters.
            user: sets the conversation's user, if given.

        Raises:
            ConflictError, StoreBehindError: rule 2.
        """

    @abstractmethod
    def head(self, conversation: str) -> Head | None:
        """The head, or `None` if there is no such conversation."""

    @abstractmethod
    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        """Yield (sequence number, JSON text) of the events `first` to `last`, both included, as far as they are kept.

        A conversation that does not exist has no events. Memory does not grow with the number of events.
        """

    @abstractmethod
    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        """One page of heads, the most recently updated first.

        Following the cursors while others write yields every conversation that is not written to meanwhile exactly
        once.

        Args:
            cursor: what the page before gave; opaque text.
            limit: heads on a page, 1 to 1000.
            user: only conversations of this user.
            updated_before: only those not updated since this time, in seconds since the epoch.
        """

    @abstractmethod
    def count(self) -> int:
        """How many conversations there are."""

    @abstractmethod
    def delete(self, conversation: str) -> bool:
        """Erase a conversation and every trace of it; `False` if there was none. Its numbering begins again at 1."""

    @abstractmethod
    def truncate(self, conversation: str, before: int) -> int:
        """Erase the events with a sequence number smaller than `before`, and return how many.

        The conversation keeps its version and numbering continues, even if no event is left.
        """

    def close(self) -> None:
        """Release what is held; calling it again does nothing."""


class AsyncTrackerStore(ABC):
    """The async face: the same operations, with the same promises, for a driver that is async by nature."""

    @abstractmethod
    async def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        """See `TrackerStore.append`."""

    @abstractmethod
    async def head(self, conversation: str) -> Head | None:
        """See `TrackerStore.head`."""

    @abstractmethod
    def read(self, conversation: str, first: int, last: int) -> AsyncIterator[tuple[int, str]]:
        """See `TrackerStore.read`; an async generator."""

    @abstractmethod
    async def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        """See `TrackerStore.list`."""

    @abstractmethod
    async def count(self) -> int:
        """See `TrackerStore.count`."""

    @abstractmethod
    async def delete(self, conversation: str) -> bool:
        """See `TrackerStore.delete`."""

    @abstractmethod
    async def truncate(self, conversation: str, before: int) -> int:
        """See `TrackerStore.truncate`."""

    async def close(self) -> None:
        """See `TrackerStore.close`."""


def refusal(conversation: str, expected: int, version: int) -> ConflictError | StoreBehindError:
    """The error for a batch that is not written because `expected` is not the `version` (rule 2)."""
    kind = StoreBehindError if expected > version else ConflictError
    return kind(conversation, expected, version)


def session_after(session: int, session_first: int, first_new: int, events: Sequence[Event]) -> tuple[int, int]:
    """(`session`, `session_first`) of a head once `events`, numbered from `first_new`, stand behind it."""
    for index, event in enumerate(events):
        if event.starts_session:
            session += 1
            session_first = first_new + index
    return session, session_first
