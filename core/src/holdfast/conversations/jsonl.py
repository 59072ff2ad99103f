"""Conversations as JSON lines: `{"sender_id": …, "events": […]}`, one conversation a line.

An import can be repeated, and resumed after it was killed, whatever became of its last append: each batch has an id made
from its content, and the version it is based on. Nothing is ever merged: where other events stand, the line conflicts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest

from holdfast.conversations.event import Event
from holdfast.conversations.service import Conversations
from holdfast.errors import (
    ConflictError,
    ConversationError,
    ConversationNotFoundError,
    InvalidEventError,
    StoreBehindError,
)

_AT_ONCE = 1000
"""Events in a batch."""


class Outcome(StrEnum):
    """What became of a line."""

    IMPORTED = "imported"
    """All of its events stand in the store now; some of them may have stood there before."""
    ALREADY_THERE = "already there"
    """All of its events stood in the store before."""
    CONFLICTING = "conflicting"
    """Other events stand in the store; they were left alone."""
    BAD = "bad"
    """The line is not a conversation."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an import.

    Attributes:
        number: of the line, from 1.
        size: its length, in bytes or characters, as it was given.
        outcome: what became of it.
        sender_id: of the conversation; empty for a bad line.
        events: how many were written, or would be.
        detail: why it is bad or conflicting.
    """

    number: int
    size: int
    outcome: Outcome
    sender_id: str = ""
    events: int = 0
    detail: str = ""


@dataclass(slots=True)
class ImportReport:
    """What an import did, counted by line.

    Attributes:
        counts: lines by what became of them.
        events: events that were written, or would be.
    """

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    events: int = 0

    @property
    def imported(self) -> int:
        """Lines of which events were written."""
        return self.counts[Outcome.IMPORTED]

    @property
    def already_there(self) -> int:
        """Lines of which nothing had to be written."""
        return self.counts[Outcome.ALREADY_THERE]

    @property
    def conflicting(self) -> int:
        """Lines that were left out because other events stand in the store."""
        return self.counts[Outcome.CONFLICTING]

    @property
    def bad(self) -> int:
        """Lines that are no conversations."""
        return self.counts[Outcome.BAD]


def export_lines(conversations: Conversations, ids: Iterable[str] | None = None) -> Iterator[str]:
    """Yield each conversation as one line of JSON, without the line break.

    Args:
        conversations: where they are read from.
        ids: which; `None` for all, the most recently updated first.

    Raises:
        ConversationNotFoundError: there is no conversation of one of the `ids`.
    """
    for sender_id in conversations.keys() if ids is None else ids:
        head = conversations.head(sender_id)
        if head is None:
            if ids is None:
                continue  # deleted since it was listed
            raise ConversationNotFoundError(sender_id)
        user = "" if head.user is None else f'"user": {_dumps(head.user)}, '
        events = ", ".join(event.json for _, event in conversations.events(sender_id, head.first, head.version))
        yield f'{{"sender_id": {_dumps(sender_id)}, {user}"events": [{events}]}}'


def import_lines(
    conversations: Conversations,
    lines: Iterable[str | bytes],
    progress: Callable[[Line], None] | None = None,
    *,
    dry_run: bool = False,
) -> ImportReport:
    """Append the conversations in `lines`; one that fails does not stop the others, empty lines are skipped.

    Args:
        conversations: where they are written to.
        lines: `{"sender_id", "events"}` and, if known, `"user"`; text, or bytes in UTF-8.
        progress: called with each line when it is done.
        dry_run: compare, and write nothing.

    Raises:
        BackendError: the store failed. Importing the same lines again goes on where it stopped.
    """
    report = ImportReport()
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            sender_id, user, events = _parse(text)
            done = _put(conversations, sender_id, user, events, dry_run=dry_run)
            line = Line(number, len(text), done[0], sender_id, *done[1:])
        except ConversationError as error:
            line = Line(number, len(text), Outcome.BAD, detail=str(error))
        report.counts[line.outcome] += 1
        report.events += line.events
        if progress is not None:
            progress(line)
    return report


def _parse(text: str | bytes) -> tuple[str, str | None, list[Event]]:
    try:
        data = json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff"))
    except UnicodeDecodeError:
        raise InvalidEventError("this is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise InvalidEventError("this is not JSON") from None
    if not isinstance(data, dict):
        raise InvalidEventError("a line must be a JSON object with 'sender_id' and 'events'")
    sender_id, user, events = data.get("sender_id"), data.get("user"), data.get("events")
    if not isinstance(sender_id, str) or not sender_id:
        raise InvalidEventError("'sender_id' must be the id of a conversation, a text")
    if user is not None and not isinstance(user, str):
        raise InvalidEventError(f"conversation {sender_id!r}: 'user' must be a text")
    if not isinstance(events, list):
        raise InvalidEventError(f"conversation {sender_id!r}: 'events' must be a list of events")
    parsed = []
    for index, event in enumerate(events):
        try:
            parsed.append(Event.from_dict(event))
        except InvalidEventError as error:
            raise InvalidEventError(f"conversation {sender_id!r}, events[{index}]: {error}") from None
    return sender_id, user, parsed


def _put(
    conversations: Conversations, sender_id: str, user: str | None, events: Sequence[Event], *, dry_run: bool
) -> tuple[Outcome, int, str]:
    """Append what is not there yet; returns outcome, events written, and why it conflicts."""
    append = _compare if dry_run else _append
    written = done = 0
    while done < len(events):
        batch = events[done : done + _AT_ONCE]
        try:
            written += append(conversations, sender_id, done, batch, user)
            done += len(batch)
        except ConflictError as conflict:
            stop = min(conflict.actual, len(events))
            if not _stands(conversations, sender_id, events, done, stop):
                return Outcome.CONFLICTING, written, f"other events stand in conversation {sender_id!r}"
            done = stop
        except StoreBehindError as error:
            return Outcome.CONFLICTING, written, str(error)
    return (Outcome.IMPORTED if written else Outcome.ALREADY_THERE), written, ""


def _append(conversations: Conversations, sender_id: str, done: int, batch: Sequence[Event], user: str | None) -> int:
    """Write a batch behind the first `done` events; returns how many events were written."""
    batch_id = _batch_id(sender_id, done, batch)
    appended = conversations.append(sender_id, batch, expected=done, user=user, batch_id=batch_id)
    return 0 if appended.duplicate else len(batch)


def _compare(conversations: Conversations, sender_id: str, done: int, batch: Sequence[Event], _: str | None) -> int:
    """Do as `_append` would, and write nothing."""
    head = conversations.head(sender_id)
    if head is not None and head.version > done:
        raise ConflictError(sender_id, done, head.version)
    return len(batch)


def _stands(conversations: Conversations, sender_id: str, events: Sequence[Event], first: int, stop: int) -> bool:
    """Whether the events numbered `first` + 1 to `stop` in the store are those given."""
    stored = conversations.events(sender_id, first + 1, stop)
    return all(
        found is not None and mine is not None and found[0] == first + 1 + index and _same(found[1], mine)
        for index, (found, mine) in enumerate(zip_longest(stored, events[first:stop]))
    )


def _same(event: Event, other: Event) -> bool:
    # NaN is equal to nothing, not even to itself; its text is.
    return event == other or _sorted(event) == _sorted(other)


def _sorted(event: Event) -> str:
    return json.dumps(event.as_dict(), sort_keys=True)


def _batch_id(sender_id: str, first: int, batch: Sequence[Event]) -> str:
    digest = hashlib.sha256(f"{len(sender_id)}:{_dumps(sender_id)}:{first}".encode())
    for event in batch:
        digest.update(b"\n" + event.json.encode())
    return digest.hexdigest()


def _dumps(text: str) -> str:
    dumped = json.dumps(text, ensure_ascii=False)
    return dumped if dumped.isprintable() else json.dumps(text)
