"""The documents: one for each append, one for each conversation's head.

A commit, in `<collection>_commits`, holds the events of one append and, about the conversation as it stands with them,
all that a head tells: whoever reads the newest commit needs no other to know the head.

    _id  {c: conversation, n: sequence number of its first event}
    v    sequence number of its last event
    g    generation: a random text, drawn when the conversation began; all its commits bear it
    b    the batch's id; a batch in several commits goes on under "<id>·1", …; what was cut bears "cut·<n>"
    e    the events' texts, and z, how many they are: those numbered v - z + 1 to v
    s f  how many sessions have begun, and where the latest did
    t u  when the first and this append were made, in seconds since the epoch
    o    the user the conversation belongs to, if one was given
    d    1 until the head is known to be written
    r    1 if the commit before was erased by a truncation

The first commit of a conversation, the one with `n` = 1, stays as long as the conversation does: it says that there is
one, of which generation, and

    k    how many events were erased by truncations
    x    the generation, while the conversation is being deleted (`g` is empty then)

A commit of any other generation is the remains of a deleted conversation and belongs to nobody.

A head, in `<collection>_heads`, is `_id` (the conversation) and g, v, s, f, t, u, o, k as above. Heads are derived and
serve only to list conversations.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast import BackendError, ConversationError, Event
from holdfast.conversations.store import Head, session_after

Document = dict[str, Any]

PART = 8 * 1024 * 1024
"""Bytes of events from which on a batch is split into several commits, where the server has transactions."""
_DOCUMENT = 16 * 1024 * 1024 - 64 * 1024
"""Bytes of texts that surely fit into a document, whose limit is 16 MiB with everything around them."""
_AROUND_TEXT = 16
"""Bytes that BSON puts around each text of an array, at most."""


@dataclass(frozen=True, slots=True)
class Tail:
    """A conversation as it stands with its newest commit; `version` 0 if nothing is written yet."""

    conversation: str
    version: int
    generation: str
    session: int
    session_first: int
    created: float
    updated: float
    user: str | None
    erased: int = 0

    @classmethod
    def new(cls, conversation: str) -> Tail:
        return cls(conversation, 0, secrets.token_hex(8), 0, 1, 0.0, 0.0, None)

    @classmethod
    def of(cls, commit: Document, erased: int) -> Tail:
        return cls(
            commit["_id"]["c"],
            commit["v"],
            commit["g"],
            commit["s"],
            commit["f"],
            commit["t"],
            commit["u"],
            commit.get("o"),
            erased,
        )

    def after(self, events: Sequence[Event], now: float, user: str | None) -> Tail:
        """The tail once `events` stand behind it."""
        session, session_first = session_after(self.session, self.session_first, self.version + 1, events)
        now = max(now, self.updated)  # the clocks of several writers differ
        return replace(
            self,
            version=self.version + len(events),
            session=session,
            session_first=session_first,
            created=self.created if self.version else now,
            updated=now,
            user=self.user if user is None else user,
        )

    def head(self) -> Head:
        first = self.erased + 1
        return Head(
            self.conversation,
            self.version,
            first,
            self.session,
            max(self.session_first, first),
            self.created,
            self.updated,
            self.user,
        )


def key(conversation: str, first: int) -> Document:
    """`_id` of the commit that begins with the event numbered `first`.

    Raises:
        ConversationError: the id holds a lone surrogate, which no document can.
    """
    try:
        conversation.encode()
    except UnicodeEncodeError:
        raise ConversationError(
            f"the conversation id {conversation!a} holds a lone surrogate, which MongoDB cannot keep"
        ) from None
    return {"c": conversation, "n": first}


def commits(before: Tail, parts: Sequence[Sequence[Event]], batch_id: str, now: float, user: str | None) -> Commits:
    """What to write to put a batch, in one or several parts, behind a tail."""
    written, tail = [], before
    for index, part in enumerate(parts):
        first, tail = tail.version + 1, tail.after(part, now, user)
        commit: Document = {
            "_id": key(tail.conversation, first),
            "v": tail.version,
            "g": tail.generation,
            "b": f"{batch_id}·{index}" if index else batch_id,
            "s": tail.session,
            "f": tail.session_first,
            "t": tail.created,
            "u": tail.updated,
            "d": 1,
            "z": len(part),
            "e": [event.json for event in part],
        }
        if tail.user is not None:
            commit["o"] = tail.user
        if first == 1:
            commit["k"] = 0
        written.append(commit)
    return Commits(before, tail, written)


@dataclass(frozen=True, slots=True)
class Commits:
    """Commits to write, and the tails before and after them."""

    before: Tail
    after: Tail
    documents: list[Document]


def probe(tail: Tail) -> Document:
    """A document that the unique index on (conversation, v, g) refuses as long as the tail's newest commit stands.

    Its `n` is negative, as no commit's is.
    """
    return {
        "_id": key(tail.conversation, -tail.version),
        "v": tail.version,
        "g": tail.generation,
        "b": f"probe·{tail.version}",
    }


def pack(conversation: str, events: Sequence[Event]) -> list[list[Event]]:
    """Divide a batch into parts of at most `PART` bytes, or of one event.

    Raises:
        BackendError: an event is larger than a document can be.
    """
    parts: list[list[Event]] = []
    size = 0
    for index, event in enumerate(events, 1):
        more = _size(event.json)
        if more > _DOCUMENT:
            raise BackendError(
                f"event {index} of a batch for conversation {conversation!a:.200} has {more:,} bytes, but a MongoDB "
                "document holds at most 16 MiB. Nothing was written; keep large content elsewhere, and its address "
                "in the event."
            )
        if not parts or size + more > PART:
            parts.append([])
            size = 0
        parts[-1].append(event)
        size += more
    return parts


def fits_one_document(parts: Sequence[Sequence[Event]]) -> bool:
    """Whether all parts together are small enough for one document."""
    return sum(_size(event.json) for part in parts for event in part) <= _DOCUMENT


def _size(text: str) -> int:
    return (len(text) if text.isascii() else len(text.encode())) + _AROUND_TEXT


def numbered(commit: Document, first: int, last: int) -> Iterator[tuple[int, str]]:
    """The commit's events from `first` to `last`, with their numbers."""
    texts: list[str] = commit["e"]
    begin = commit["v"] - len(texts) + 1
    skipped = max(0, first - begin)
    yield from enumerate(texts[skipped : max(0, last - begin + 1)], begin + skipped)
