"""An author writes one face; the core derives the other, without blocking the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from holdfast import (
    NEW,
    Appended,
    AsyncConversations,
    AsyncTrackerStore,
    BackendError,
    Conversations,
    Event,
    Head,
    Page,
    UnavailableError,
    UserUttered,
)
from holdfast.conversations.faces import run_now, to_async, to_blocking
from holdfast.conversations.memory import MemoryTrackerStore


class AsyncOnly(AsyncTrackerStore):
    """What an author of an async driver writes: each call suspends."""

    def __init__(self) -> None:
        self.kept = MemoryTrackerStore()
        self.loops: set[int] = set()

    async def _suspend(self) -> None:
        self.loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)

    async def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        await self._suspend()
        return self.kept.append(conversation, events, expected=expected, batch_id=batch_id, user=user)

    async def head(self, conversation: str) -> Head | None:
        await self._suspend()
        return self.kept.head(conversation)

    async def read(self, conversation: str, first: int, last: int) -> AsyncIterator[tuple[int, str]]:
        for numbered in self.kept.read(conversation, first, last):
            await self._suspend()
            yield numbered

    async def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        await self._suspend()
        return self.kept.list(cursor, limit, user=user, updated_before=updated_before)

    async def count(self) -> int:
        await self._suspend()
        return self.kept.count()

    async def delete(self, conversation: str) -> bool:
        await self._suspend()
        return self.kept.delete(conversation)

    async def truncate(self, conversation: str, before: int) -> int:
        await self._suspend()
        return self.kept.truncate(conversation, before)


class Slow(MemoryTrackerStore):
    """A blocking driver that takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.threads: set[int] = set()

    def append(self, *args: Any, **options: Any) -> Appended:
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        return super().append(*args, **options)

    def head(self, conversation: str) -> Head | None:
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        return super().head(conversation)


def test_an_async_store_serves_a_blocking_application() -> None:
    store = AsyncOnly()
    conversations = Conversations(store)
    for number in range(3):
        tracker = conversations.get_or_create("c")
        tracker.add(UserUttered(str(number)))
        conversations.save(tracker)
    assert [event.as_dict()["text"] for _, event in conversations.events("c")] == ["0", "1", "2"]
    assert list(conversations.keys()) == ["c"]
    assert conversations.count() == 1
    assert conversations.delete("c")
    assert len(store.loops) == 1
    conversations.close()
    conversations.close()


async def test_an_async_store_is_awaited_on_the_callers_loop() -> None:
    store = AsyncOnly()
    conversations = AsyncConversations(store)
    tracker = await conversations.get_or_create("c", user="ann")
    tracker.add(UserUttered("x"))
    await conversations.save(tracker)
    assert (await conversations.append("c", [UserUttered("y")])).version == 2
    assert [sequence async for sequence, _ in conversations.events("c")] == [1, 2]
    assert [key async for key in conversations.keys()] == ["c"]  # noqa: SIM118  # not a mapping
    assert (await conversations.list(user="ann")).heads[0].version == 2
    assert await conversations.truncate("c", 2) == 1
    assert await conversations.exists("c")
    assert (await conversations.retrieve_full("c")).first == 2  # type: ignore[union-attr]  # it exists
    assert await conversations.delete("c")
    assert await conversations.count() == 0
    assert await conversations.retrieve("c") is None
    assert store.loops == {id(asyncio.get_running_loop())}
    await conversations.close()


async def test_a_slow_blocking_store_does_not_hold_the_event_loop() -> None:
    store = Slow(0.2)
    conversations = AsyncConversations(store)
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - begin)

    ticking = asyncio.create_task(tick())

    async def turn(name: str) -> None:
        tracker = await conversations.get_or_create(name)
        tracker.add(UserUttered("x"))
        await conversations.save(tracker)

    begin = time.perf_counter()
    await asyncio.gather(*(turn(str(number)) for number in range(8)))
    took = time.perf_counter() - begin
    ticking.cancel()
    assert threading.get_ident() not in store.threads
    assert took < 8 * 0.4, "the turns ran one after the other"
    assert longest < 0.15
    await conversations.close()


async def test_a_cancelled_save_settles_before_the_cancellation_arrives() -> None:
    store = Slow(0.2)
    conversations = AsyncConversations(store)
    tracker = await conversations.get_or_create("c")
    tracker.add(UserUttered("x"))
    saving = asyncio.create_task(conversations.save(tracker))
    await asyncio.sleep(0.05)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert (tracker.version, tracker.unsaved) == (1, ())
    await conversations.save(tracker)
    assert [event.as_dict()["text"] for _, event in stored_in(store)] == ["x"]


def stored_in(store: MemoryTrackerStore) -> list[tuple[int, Event]]:
    return [(sequence, Event.stored(text)) for sequence, text in store.read("c", 1, 100)]


async def test_a_save_cancelled_on_an_async_store_can_be_tried_again() -> None:
    store = AsyncOnly()
    conversations = AsyncConversations(store)
    tracker = await conversations.get_or_create("c")
    tracker.add(UserUttered("x"))
    saving = asyncio.create_task(conversations.save(tracker))
    await asyncio.sleep(0)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    await conversations.save(tracker)
    assert [event.as_dict()["text"] for _, event in stored_in(store.kept)] == ["x"]


async def test_a_stream_in_threads_crosses_in_chunks_and_may_be_given_up() -> None:
    store = MemoryTrackerStore()
    store.append("c", [UserUttered(str(number)) for number in range(1200)], expected=NEW, batch_id="1")
    conversations = AsyncConversations(store)
    assert [sequence async for sequence, _ in conversations.events("c")] == list(range(1, 1201))
    async for sequence, _ in conversations.events("c"):
        if sequence == 3:
            break
    faces = to_async(store)
    assert [sequence async for sequence, _ in faces.read("c", 2, 1100)] == list(range(2, 1101))
    await faces.close()
    await conversations.close()


def test_the_face_a_store_has_is_used_as_it_is() -> None:
    blocking, asynchronous = MemoryTrackerStore(), AsyncOnly()
    assert to_blocking(blocking) is blocking
    assert to_async(asynchronous) is asynchronous


def test_a_coroutine_that_suspends_is_a_mistake_in_blocking_code() -> None:
    async def suspends() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="suspended"):
        run_now(suspends())


class DriverError(Exception):
    pass


class DriverTimeout(DriverError):
    pass


class Failing(MemoryTrackerStore):
    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)
        self.calls = 0

    def head(self, conversation: str) -> Head | None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return super().head(conversation)


def driver_errors() -> dict[type[BaseException], type[BackendError]]:
    return {DriverTimeout: UnavailableError, DriverError: BackendError}


def test_an_unavailable_store_is_tried_again_and_then_reported_with_its_cause() -> None:
    store = Failing(DriverTimeout("slow"), DriverTimeout("slow"))
    assert Conversations(store, name="mine", errors=driver_errors).head("c") is None
    assert store.calls == 3
    store = Failing(*(DriverTimeout("slow") for _ in range(9)))
    with pytest.raises(UnavailableError, match=r"tracker store 'mine': DriverTimeout: slow") as failed:
        Conversations(store, name="mine", errors=driver_errors).head("c")
    assert isinstance(failed.value.__cause__, DriverTimeout)
    assert store.calls == 4


def test_other_errors_of_the_driver_are_wrapped_at_once_and_bugs_pass_through() -> None:
    store = Failing(DriverError("broken"))
    with pytest.raises(BackendError, match="DriverError: broken"):
        Conversations(store, errors=driver_errors).retrieve("c")
    assert store.calls == 1
    with pytest.raises(ZeroDivisionError):
        Conversations(Failing(ZeroDivisionError()), errors=driver_errors).retrieve("c")


def test_a_page_and_a_batch_have_sensible_sizes() -> None:
    conversations = Conversations(MemoryTrackerStore())
    with pytest.raises(Exception, match="1 to 1000"):
        conversations.list(limit=0)
    with pytest.raises(Exception, match="batch is empty"):
        conversations.append("c", [])


def test_a_conversation_that_is_cut_while_it_is_read_is_read_again() -> None:
    class Cutting(MemoryTrackerStore):
        cuts = 0

        def head(self, conversation: str) -> Head | None:
            head = super().head(conversation)
            if self.cuts:
                self.cuts -= 1
                self.truncate(conversation, 3)
            return head

    store = Cutting()
    store.append("c", [UserUttered(str(number)) for number in range(4)], expected=NEW, batch_id="1")
    store.cuts = 1
    tracker = Conversations(store).retrieve_full("c")
    assert tracker is not None
    assert (tracker.first, tracker.version) == (3, 4)
