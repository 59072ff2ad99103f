"""Deriving one face of a tracker store from the other.

`to_async` runs a blocking store in threads of its own, so that the event loop never waits for it. `to_blocking` runs
an async store on an event loop in a thread of its own. `Immediate` gives a blocking store the async signatures without
any thread: coroutines over it never suspend, so `run_now` can drive them to their end from blocking code. That is how
the policy in `holdfast.conversations.service` is written once and serves both faces.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from holdfast.conversations.event import Event
from holdfast.conversations.store import Appended, AsyncTrackerStore, Head, Page, TrackerStore

T = TypeVar("T")

_READ_AT_ONCE = 500
"""Events that cross from one thread to another in one step."""


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]  # StopIteration does not know the coroutine's type
    coroutine.close()
    raise RuntimeError("a coroutine over a blocking store suspended")


class Threads:
    """Threads for blocking calls, started when they are first needed; safe to create before a fork."""

    def __init__(self, workers: int = 32) -> None:
        self._workers = workers
        self._pool: ThreadPoolExecutor | None = None
        self._pid: int | None = None

    async def run(self, call: Callable[[], T], *, settle: bool = False) -> T:
        """Run `call` in a thread.

        Args:
            call: the blocking work.
            settle: when cancelled, wait for the work to end before passing the cancellation on, because a thread
                cannot be stopped and its outcome must not arrive behind the caller's back.
        """
        future = asyncio.get_running_loop().run_in_executor(self._executor(), call)
        if not settle:
            return await future
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # mark it as seen; the cancellation is what the caller gets
            raise

    def _executor(self) -> ThreadPoolExecutor:
        import os

        if self._pool is None or self._pid != os.getpid():
            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="holdfast")
            self._pid = os.getpid()
        return self._pool

    def close(self) -> None:
        """Let the threads end once they are idle."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


class Immediate(AsyncTrackerStore):
    """A blocking store behind async signatures that never suspend; not for use on an event loop."""

    def __init__(self, store: TrackerStore) -> None:
        self._store = store

    async def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        return self._store.append(conversation, events, expected=expected, batch_id=batch_id, user=user)

    async def head(self, conversation: str) -> Head | None:
        return self._store.head(conversation)

    async def read(self, conversation: str, first: int, last: int) -> AsyncIterator[tuple[int, str]]:
        for numbered in self._store.read(conversation, first, last):
            yield numbered

    async def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        return self._store.list(cursor, limit, user=user, updated_before=updated_before)

    async def count(self) -> int:
        return self._store.count()

    async def delete(self, conversation: str) -> bool:
        return self._store.delete(conversation)

    async def truncate(self, conversation: str, before: int) -> int:
        return self._store.truncate(conversation, before)

    async def close(self) -> None:
        self._store.close()


class _Threaded(AsyncTrackerStore):
    def __init__(self, store: TrackerStore, threads: Threads) -> None:
        self._store = store
        self._threads = threads

    async def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        call = partial(self._store.append, conversation, events, expected=expected, batch_id=batch_id, user=user)
        return await self._threads.run(call, settle=True)

    async def head(self, conversation: str) -> Head | None:
        return await self._threads.run(partial(self._store.head, conversation))

    async def read(self, conversation: str, first: int, last: int) -> AsyncIterator[tuple[int, str]]:
        numbered = self._store.read(conversation, first, last)
        try:
            while chunk := await self._threads.run(lambda: tuple(islice(numbered, _READ_AT_ONCE))):
                for item in chunk:
                    yield item
        finally:
            close = getattr(numbered, "close", None)
            if close is not None:
                await self._threads.run(close, settle=True)

    async def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        call = partial(self._store.list, cursor, limit, user=user, updated_before=updated_before)
        return await self._threads.run(call)

    async def count(self) -> int:
        return await self._threads.run(self._store.count)

    async def delete(self, conversation: str) -> bool:
        return await self._threads.run(partial(self._store.delete, conversation), settle=True)

    async def truncate(self, conversation: str, before: int) -> int:
        return await self._threads.run(partial(self._store.truncate, conversation, before), settle=True)

    async def close(self) -> None:
        await self._threads.run(self._store.close, settle=True)
        self._threads.close()


class _Portal:
    """An event loop in a daemon thread, started when it is first needed; one for each process after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="holdfast-loop", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        with self._lock:
            if self._loop is not None and self._thread is not None and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
            self._loop = self._thread = None


class _Blocking(TrackerStore):
    def __init__(self, store: AsyncTrackerStore) -> None:
        self._store = store
        self._portal = _Portal()

    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        return self._portal.call(
            self._store.append(conversation, events, expected=expected, batch_id=batch_id, user=user)
        )

    def head(self, conversation: str) -> Head | None:
        return self._portal.call(self._store.head(conversation))

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        numbered = self._store.read(conversation, first, last)
        try:
            while chunk := self._portal.call(_take(numbered, _READ_AT_ONCE)):
                yield from chunk
        finally:
            close = getattr(numbered, "aclose", None)
            if close is not None:
                self._portal.call(close())

    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        return self._portal.call(self._store.list(cursor, limit, user=user, updated_before=updated_before))

    def count(self) -> int:
        return self._portal.call(self._store.count())

    def delete(self, conversation: str) -> bool:
        return self._portal.call(self._store.delete(conversation))

    def truncate(self, conversation: str, before: int) -> int:
        return self._portal.call(self._store.truncate(conversation, before))

    def close(self) -> None:
        self._portal.call(self._store.close())
        self._portal.close()


async def _take(numbered: AsyncIterator[tuple[int, str]], limit: int) -> Sequence[tuple[int, str]]:
    taken: list[tuple[int, str]] = []
    async for item in numbered:
        taken.append(item)
        if len(taken) == limit:
            break
    return taken


def to_async(store: TrackerStore | AsyncTrackerStore) -> AsyncTrackerStore:
    """The async face: the store itself if it has it, else the blocking one in threads."""
    return store if isinstance(store, AsyncTrackerStore) else _Threaded(store, Threads())


def to_blocking(store: TrackerStore | AsyncTrackerStore) -> TrackerStore:
    """The blocking face: the store itself if it has it, else the async one on an event loop in a thread."""
    return store if isinstance(store, TrackerStore) else _Blocking(store)
