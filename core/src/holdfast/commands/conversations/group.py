"""`holdfast conversations`: what is in the tracker store."""

from __future__ import annotations

import click

from holdfast.commands.lazy import LazyGroup

_HERE = "holdfast.commands.conversations"
_COMMANDS = {
    "list": (f"{_HERE}.browse:list_", "List conversations, the most recently updated first."),
    "show": (f"{_HERE}.show:show", "Draw a dialogue and its slots, or print its state as JSON."),
    "delete": (f"{_HERE}.browse:delete", "Erase conversations for good."),
    "export": (f"{_HERE}.transfer:export", "Write conversations as JSON lines."),
    "import": (f"{_HERE}.transfer:import_", "Read conversations from JSON lines."),
}


@click.group("conversations", cls=LazyGroup, lazy=_COMMANDS)
def conversations() -> None:
    """What is in the tracker store.

    An ID is taken as it is; write -- before one that begins with a dash.
    """
