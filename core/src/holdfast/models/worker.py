"""A second pair of hands: work on a stream of blocks in a thread, while the caller reads or moves the next ones.

Hashing, inflating and file I/O all leave the interpreter free, so these threads do run at the same time.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, Self, TypeVar

T = TypeVar("T")

Block = bytes | memoryview


class Worker(Generic[T]):
    """Run `work` in a thread on the blocks given to `feed`; at most `depth` of them wait, then `feed` does.

    Use it in a `with` statement: leaving it early ends the thread, and whatever `work` made of that is dropped.
    """

    def __init__(self, work: Callable[[Iterator[Block]], T], depth: int = 4) -> None:
        self._queue: queue.Queue[Block | None] = queue.Queue(depth)
        self._work = work
        self._outcome: list[T] = []
        self._error: BaseException | None = None
        self._fed = True
        self._thread = threading.Thread(target=self._run, name="holdfast-worker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def feed(self, block: Block) -> None:
        """Hand over the next block, which nobody may change afterwards; raises what `work` raised, if it did."""
        if self._error is not None:
            self._end()
            raise self._error
        self._queue.put(block)

    def result(self) -> T:
        """End the stream and return what `work` returned, or raise what it raised."""
        self._end()
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def _end(self) -> None:
        if self._fed:
            self._fed = False
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False

        def blocks() -> Iterator[Block]:
            nonlocal ended
            while (block := self._queue.get()) is not None:
                yield block
            ended = True

        try:
            self._outcome.append(self._work(blocks()))
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that feeds
            self._error = error
        while not ended:  # so that `feed` never waits for a worker that gave up
            ended = self._queue.get() is None


def sha256(blocks: Iterator[Block]) -> str:
    """Return the SHA-256 of `blocks`, in lower-case hexadecimal: the digest of an archive."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
