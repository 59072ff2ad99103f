"""Keeps the newest model deployed until the process is told to end."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.models.deployment import Deployment

_JITTER = 0.1
_LONGEST_BACK_OFF = 3600.0


class Stopped(BaseException):
    """SIGTERM or SIGINT arrived; what is under way is given up, which leaves nothing half done."""


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raise `Stopped` in the block at the first SIGTERM or SIGINT, and ignore further ones."""
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return

    def stop(*_: Any) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_newest(
    current: Deployment,
    deploy: Callable[[], Deployment],
    wait: float,
    deployed: Callable[[Deployment], None],
    failed: Callable[[Exception, float], None],
    sleep: Callable[[float | None], Any] | None = None,
) -> None:
    """Look for another model again and again; never returns.

    Args:
        current: what is deployed.
        deploy: looks, and deploys what is new; what was deployed stays if it fails.
        wait: seconds between two looks, more or less, so that many processes do not look at once; 0 for no looks.
        deployed: told of each new deployment.
        failed: told of each failure, and of the seconds until the next try, which grow from failure to failure.
        sleep: waits so many seconds, `None` for ever.
    """
    sleep = sleep or threading.Event().wait
    failures = 0
    while True:
        delay = min(wait * 2**failures, max(wait, _LONGEST_BACK_OFF)) if failures else wait
        delay *= random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # spreads load, guards nothing
        sleep(delay if wait else None)
        try:
            found = deploy()
        except Exception as error:  # noqa: BLE001  # whatever happens, what is deployed stays
            failures = min(failures + 1, 30)
            failed(error, min(wait * 2**failures, max(wait, _LONGEST_BACK_OFF)))
        else:
            failures = 0
            if found.digest != current.digest:
                current = found
                deployed(found)
