"""A progress bar on stderr, where a person watches; otherwise nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.commands.output import Output, make_console, message
from holdfast.commands.redaction import redacted
from holdfast.commands.visible import visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """What a command tells of its progress; without a terminal it tells nothing."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, done: int, total: int | None = None) -> None:
        """So much is done, of a total that may be known only now."""
        if self._progress is not None and self._task is not None:
            if total is not None:
                self._progress.update(self._task, completed=done, total=total)
            else:
                self._progress.update(self._task, completed=done)

    def say(self, text: str) -> None:
        """A message, above the bar."""
        if self._progress is None:
            message(text)
        else:
            self._progress.console.print(visible(redacted(text), lines=True), soft_wrap=True)


@contextmanager
def bar(out: Output, what: str, total: int | None = None, *, in_bytes: bool = False) -> Iterator[Bar]:
    """Show a bar while the block runs.

    Args:
        out: decides whether it is shown at all: not with `--json`.
        what: stands before the bar.
        total: what makes it full; a bar without one only moves.
        in_bytes: show size and rate; else count.
    """
    if out.as_json or not sys.stderr.isatty():
        yield Bar()
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    amount: list[ProgressColumn] = [DownloadColumn(), TransferSpeedColumn()] if in_bytes else [MofNCompleteColumn()]
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *amount,
        TimeRemainingColumn(),
        console=make_console(sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        yield Bar(progress, progress.add_task(visible(what), total=total))
