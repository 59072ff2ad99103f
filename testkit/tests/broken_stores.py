"""Tracker stores that are wrong in one way each. The kit must catch every one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast import ANY, Appended, Event, Head, Page
from holdfast.conversations.memory import MemoryTrackerStore


class Broken(MemoryTrackerStore):
    def __init__(self, **_: Any) -> None:
        super().__init__()


class DropsTheVersionCheck(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        return super().append(conversation, events, **{**options, "expected": ANY})


class ForgetsTheBatchId(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        appended = super().append(conversation, events, **options)
        self._kept[conversation].batches.clear()
        return appended


class RefusesARepeatedBatch(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        appended = super().append(conversation, events, **options)
        if appended.duplicate:
            raise RuntimeError("duplicate key")
        return appended


class SwapsTwoEvents(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        return super().append(conversation, [*events[1:2], *events[:1], *events[2:]], **options)


class LosesTheLastOfABatch(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        return super().append(conversation, events[:-1] or events, **options)


class NumbersFromZero(Broken):
    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        for number, text in super().read(conversation, first, last):
            yield number - 1, text


class ReadsOneTooFew(Broken):
    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        return super().read(conversation, first, last - 1)


class FoldsCase(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        return super().append(conversation.lower(), events, **options)

    def head(self, conversation: str) -> Head | None:
        return super().head(conversation.lower())

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        return super().read(conversation.lower(), first, last)


class ListsWithAPrefix(Broken):
    def list(self, *arguments: Any, **options: Any) -> Page:
        page = super().list(*arguments, **options)
        return Page(
            tuple(
                Head(f"tracker:{head.conversation}", *(getattr(head, name) for name in Head.__slots__[1:]))
                for head in page.heads
            ),
            page.cursor,
        )


class ListsTheLastPageTwice(Broken):
    def list(self, cursor: str | None = None, limit: int = 100, **options: Any) -> Page:
        page = super().list(cursor, limit, **options)
        return Page(page.heads, super().list(None, limit, **options).cursor) if cursor and page.cursor else page


class SharesStateBetweenConversations(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        return super().append("shared", events, **options)

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        return super().read("shared", first, last)

    def head(self, conversation: str) -> Head | None:
        return super().head("shared")


class RoundsNumbers(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        def rounded(value: Any) -> Any:
            return round(value, 9) if isinstance(value, float) else value

        return super().append(
            conversation,
            [Event.from_dict({key: rounded(value) for key, value in event.as_dict().items()}) for event in events],
            **options,
        )


class IgnoresTheSession(Broken):
    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        appended = super().append(conversation, events, **options)
        self._kept[conversation].session = 0
        self._kept[conversation].session_first = 1
        return appended


class StartsAgainAfterATruncation(Broken):
    def truncate(self, conversation: str, before: int) -> int:
        erased = super().truncate(conversation, before)
        if conversation in self._kept:
            self._kept[conversation].erased = 0
        return erased


class KeepsTheUserOfADeletedConversation(Broken):
    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.users: dict[str, str | None] = {}

    def append(self, conversation: str, events: Sequence[Event], **options: Any) -> Appended:
        self.users[conversation] = options.get("user") or self.users.get(conversation)
        appended = super().append(conversation, events, **options)
        self._kept[conversation].user = self.users[conversation]
        return appended


class OrdersByTimestamp(Broken):
    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        numbered = list(super().read(conversation, first, last))
        texts = sorted((text for _, text in numbered), key=lambda text: Event.from_json(text).timestamp or 0)
        return iter(list(zip((number for number, _ in numbered), texts, strict=True)))
