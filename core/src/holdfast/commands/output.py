"""Where a command puts what it has to say: results on stdout, messages on stderr, for a person or for a program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from holdfast.commands.redaction import redacted
from holdfast.commands.visible import json_text, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class ClosedPipe(Exception):  # noqa: N818  # not an error: the reader has seen enough
    """Whoever read our stdout went away."""


class Output:
    """What a command prints through.

    Args:
        as_json: write for a program (`--json`).
        verbose: say more (`-v`).
    """

    def __init__(self, *, as_json: bool = False, verbose: bool = False) -> None:
        self.as_json = as_json
        self.verbose = verbose

    @cached_property
    def console(self) -> Console:
        """Knows the terminal: its width, its colours. It never writes by itself."""
        return make_console(sys.stdout)

    @property
    def for_person(self) -> bool:
        """Whether a person looks at a terminal; a pipe or a file gets plain lines of any length."""
        return not self.as_json and is_terminal(sys.stdout)

    # Results

    def line(self, text: str = "") -> None:
        """One line of text for a person; control characters in it are made visible."""
        write(sys.stdout, visible(text) + "\n")

    def raw(self, text: str) -> None:
        """Text as it is, which must be made of JSON."""
        write(sys.stdout, text)

    def json(self, value: Any) -> None:
        """One JSON document on a line."""
        text = json_text(value)
        if not (sys.stdout.encoding or "").lower().startswith("utf"):
            text = json.dumps(value)
        write(sys.stdout, text + "\n")

    def drawn(self, *renderables: RenderableType, width: int | None = None) -> None:
        """Something drawn with rich, whose texts went through `visible`."""
        with self.console.capture() as captured:
            for renderable in renderables:
                self.console.print(renderable, width=width)
        write(sys.stdout, captured.get())

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]], *, titled: bool = True) -> None:
        """Rows in columns under headings; for a pipe one line a row, tabs between the cells and no headings."""
        if not self.for_person:
            for row in rows:
                write(sys.stdout, "\t".join(visible("" if cell is None else cell) for cell in row) + "\n")
            return
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD if titled else None, show_header=titled, show_edge=False, pad_edge=False)
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*("" if cell is None else visible(cell) for cell in row))
        self.drawn(table)

    # Messages

    def note(self, text: str) -> None:
        """What only a person needs."""
        if not self.as_json:
            message(text)

    def detail(self, text: str) -> None:
        """What only a curious person needs (`-v`)."""
        if self.verbose:
            self.note(text)

    def warning(self, text: str) -> None:
        """What should not be overlooked, but stops nothing."""
        if self.as_json:
            write(sys.stderr, json_text({"warning": {"message": redacted(text)}}) + "\n")
        else:
            message(f"warning: {text}")

    def error(self, kind: str, text: str) -> None:
        """Why the command, or a part of what it was to do, failed."""
        report_error(kind, text, as_json=self.as_json)


def report_error(kind: str, text: str, *, as_json: bool) -> None:
    """Write an error on stderr: its text for a person, type and text for a program."""
    if as_json:
        write(sys.stderr, json_text({"error": {"type": kind, "message": redacted(text)}}) + "\n")
    else:
        message(f"error: {text}")


def message(text: str) -> None:
    """Write a line, or a few, on stderr."""
    write(sys.stderr, visible(redacted(text), lines=True) + "\n")


def make_console(stream: TextIO) -> Console:
    """A console that takes every text as it is: no markup, no emoji names, no highlighting of numbers."""
    from rich.console import Console

    return Console(file=stream, force_terminal=is_terminal(stream), markup=False, emoji=False, highlight=False)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at the stream; `FORCE_COLOR` says so for a pipe into a pager."""
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def write(stream: TextIO, text: str) -> None:
    """Write and flush, so that lines of both streams appear in their order.

    Raises:
        ClosedPipe: nobody reads any more.
    """
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        silence(stream)
        raise ClosedPipe from None


def silence(stream: TextIO) -> None:
    """Let what is still buffered for a closed pipe go nowhere, or Python complains when it ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except OSError:  # no real file behind it
        return
