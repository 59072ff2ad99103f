"""Ends waiting for a server that has stopped answering.

libpq waits for an answer as long as the connection lives, and the connection to a server that hangs lives: its kernel
goes on confirming packets. So a thread shuts down the sockets of connections whose answer is overdue, which their
drivers report as a lost connection. Noting a deadline takes a microsecond, a timer for each statement would take fifty.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_STEP = 0.1
"""Seconds between two looks at the deadlines."""


class Watch:
    """Deadlines of connections that are waiting for an answer."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, int]] = {}
        self._tokens = itertools.count()
        self._lock = threading.Lock()
        self._running: tuple[threading.Thread, threading.Event] | None = None

    @contextmanager
    def within(self, seconds: float, descriptor: int) -> Iterator[None]:
        """Shut the socket with this descriptor down if the block takes longer."""
        token = next(self._tokens)
        with self._lock:
            self._due[token] = (time.monotonic() + seconds, descriptor)
            if self._running is None:
                closed = threading.Event()
                thread = threading.Thread(target=self._run, args=(closed,), name="holdfast-sql watch", daemon=True)
                self._running = thread, closed
                thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._due.pop(token, None)

    def close(self) -> None:
        """End the thread; it starts again when it is needed."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            thread, closed = running
            closed.set()
            thread.join()

    def _run(self, closed: threading.Event) -> None:
        while not closed.wait(_STEP):
            now = time.monotonic()
            with self._lock:  # held, so that no descriptor is closed and given to somebody else meanwhile
                for token in [token for token, (deadline, _) in self._due.items() if deadline < now]:
                    _shut_down(self._due.pop(token)[1])


def _shut_down(descriptor: int) -> None:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            copy.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the connection ended by itself just now, which is all that is wanted
