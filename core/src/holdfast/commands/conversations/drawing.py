"""Draws a dialogue and its slots for a person, on a terminal of any width or as plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.commands.conversations.description import SAID, Entry, describe
from holdfast.commands.moments import moment
from holdfast.commands.output import Output
from holdfast.commands.visible import json_text, visible
from holdfast.conversations.event import Event
from holdfast.conversations.state import applied
from holdfast.conversations.store import Head
from holdfast.conversations.tracker import Tracker, Verbosity

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_TAKEN_BACK = "x"
_WIDEST = 100  # longer lines are hard to read
_SPEAKERS = {"user": "bold cyan", "bot": "bold green", "agent": "bold magenta"}
_RESETS = frozenset(("restart", "session_started"))
_TAKE_BACK = frozenset(("undo", "rewind"))


def draw(tracker: Tracker, head: Head, out: Output, *, verbosity: Verbosity) -> None:
    """Draw a conversation.

    Args:
        tracker: holds the events to draw.
        head: of the conversation.
        out: where to, and whether verbosely.
        verbosity: which of the events.
    """
    events = tuple(tracker._chosen(verbosity) or ())
    session = head.session - sum(event.starts_session for event in events)
    painter = _Terminal(out) if out.for_person else _Plain(out)
    painter.title(visible(tracker.sender_id), _facts(tracker, head))
    day = None
    gone = taken_back(tracker.events)
    shown = ""
    for event in events:
        when = moment(event.timestamp)
        if event.starts_session:
            session += 1
            painter.across(f"session {session} of {head.session}" + (f", {when:%Y-%m-%d}" if when else ""))
            day = when and when.date()
        elif when is not None and when.date() != day:
            day = when.date()
            painter.across(f"{when:%Y-%m-%d}")
        entry = describe(event, verbose=out.verbose)
        if entry is not None:
            time = f"{when:%H:%M:%S}" if when else ""
            painter.entry("" if time == shown else time, entry, taken_back=id(event) in gone)
            shown = time
    painter.facts(list(_standing(tracker)), _slots(tracker, verbose=out.verbose))


def taken_back(events: Sequence[Event]) -> set[int]:
    """The `id()` of each event that an `undo` or a `rewind` took back."""
    gone: set[int] = set()
    start = 0
    for index, event in enumerate(events):
        if event.event in _RESETS:
            start = index
        elif event.event in _TAKE_BACK:
            before = {id(each) for each in applied(events[start:index])}
            gone |= before - {id(each) for each in applied(events[start : index + 1])}
    return gone


def _facts(tracker: Tracker, head: Head) -> str:
    events = tracker.events
    times = [found for event in (*events[:1], *events[-1:]) if (found := moment(event.timestamp))]
    facts = [f"user {visible(head.user)}"] if head.user is not None else []
    facts.append(f"version {head.version}")
    if head.session == 0:
        facts.append("no session begun")
    else:
        earlier = sum(event.starts_session for event in tracker.events) > 1
        facts.append(f"all {head.session} sessions" if earlier else f"session {head.session} of {head.session}")
    if times:
        begin, end = f"{times[0]:%Y-%m-%d %H:%M:%S}", f"{times[-1]:%Y-%m-%d %H:%M:%S %Z}"
        if times[0].date() == times[-1].date():
            end = f"{times[-1]:%H:%M:%S %Z}"
        facts.append(f"{begin} to {end}")
    return ", ".join(facts)


def _standing(tracker: Tracker) -> Iterator[str]:
    state = tracker.state
    if state.paused:
        yield "paused: the assistant is silent"
    if state.active_loop:
        asks = state.slots.get("requested_slot")
        yield f"in the form {visible(state.active_loop.get('name'))}" + (f", asks for {visible(asks)}" if asks else "")
    if state.followup_action:
        yield f"next action {visible(state.followup_action)}"


def _slots(tracker: Tracker, *, verbose: bool) -> list[tuple[str, str, bool]]:
    """Name, value, and whether it differs from the initial one, of the slots to show."""
    initial = tracker.domain.initial_slots()
    found = [(name, value, value != initial.get(name)) for name, value in sorted(tracker.slots.items())]
    return [(visible(name), visible(json_text(value)), changed) for name, value, changed in found if changed or verbose]


class _Plain:
    """Lines of any length, one for each line that was said."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def title(self, name: str, facts: str) -> None:
        self._line(name)
        self._line(facts)

    def across(self, text: str) -> None:
        self._line(f"--- {text}")

    def entry(self, time: str, entry: Entry, *, taken_back: bool) -> None:
        mark = _TAKEN_BACK if taken_back else " "
        who = entry.who or ("---" if entry.mark else "")
        for text, style in entry.lines:
            for part in text.split("\n"):
                self._line(f"{time:8} {who:>5} {mark} {'' if style == SAID or not entry.who else '  '}{part}".rstrip())
                time = who = ""

    def facts(self, standing: list[str], slots: list[tuple[str, str, bool]]) -> None:
        self._line("--- now")
        for text in standing:
            self._line(text)
        for name, value, _ in slots:
            self._line(f"slot {name} = {value}")
        if not slots:
            self._line("all slots have their initial values")

    def _line(self, text: str) -> None:
        self._out.line(text)


class _Terminal:
    """Columns that wrap, and colours."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._width = min(out.console.width, _WIDEST)
        self._rows: Table | None = None

    def title(self, name: str, facts: str) -> None:
        from rich.text import Text

        self._draw(Text(name, style="bold", overflow="fold"), Text(facts, style="dim", overflow="fold"))

    def across(self, text: str) -> None:
        from rich.rule import Rule
        from rich.text import Text

        self._flush()
        self._draw(Rule(Text(text, style="bold dim"), align="left", style="dim"))

    def entry(self, time: str, entry: Entry, *, taken_back: bool) -> None:
        from rich.text import Text

        style = "dim strike" if taken_back else ""
        body = Text(overflow="fold")
        for index, (text, kind) in enumerate(entry.lines):
            body.append("\n" if index else "")
            body.append(text, style or ("" if kind == SAID else "dim yellow" if entry.mark else "dim"))
        if entry.who == "user":
            self._flush()
            self._draw("")
        mark = Text(_TAKEN_BACK if taken_back else "", style="red")
        who = Text(entry.who, style=style or _SPEAKERS.get(entry.who, ""))
        self._grid().add_row(Text(time, style="dim"), who, mark, body)

    def facts(self, standing: list[str], slots: list[tuple[str, str, bool]]) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        self.across("now")
        for text in standing:
            self._draw(Text(text, overflow="fold"))
        if not slots:
            self._draw(Text("all slots have their initial values", style="dim"))
            return
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column("slot", overflow="fold")
        table.add_column("value", overflow="fold")
        for name, value, changed in slots:
            table.add_row(Text(name), Text(value), style="" if changed else "dim")
        self._draw(table)

    def _grid(self) -> Table:
        if self._rows is None:
            from rich.table import Table

            self._rows = Table.grid(padding=(0, 1))
            self._rows.add_column(width=8)
            self._rows.add_column(width=5, justify="right")
            self._rows.add_column(width=1)
            self._rows.add_column(overflow="fold")
        return self._rows

    def _flush(self) -> None:
        rows, self._rows = self._rows, None
        if rows is not None:
            self._draw(rows)

    def _draw(self, *renderables: RenderableType) -> None:
        self._out.drawn(*renderables, width=self._width)
