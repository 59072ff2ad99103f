"""`holdfast models`: what is in the model storage."""

from __future__ import annotations

import click

from holdfast.commands.lazy import LazyGroup

_HERE = "holdfast.commands.models"
_COMMANDS = {
    "push": (f"{_HERE}.transfer:push", "Store an archive, after looking into it."),
    "pull": (f"{_HERE}.transfer:pull", "Fetch an archive, verified."),
    "list": (f"{_HERE}.browse:list_", "List models."),
    "latest": (f"{_HERE}.browse:latest", "Name the model that was trained last."),
    "verify": (f"{_HERE}.transfer:verify", "Read stored archives and compare their digests."),
    "delete": (f"{_HERE}.browse:delete", "Delete models for good."),
    "current": (f"{_HERE}.deployed:current", "Name the model that is deployed here."),
    "rollback": (f"{_HERE}.deployed:rollback", "Deploy again what was deployed before."),
}


@click.group("models", cls=LazyGroup, lazy=_COMMANDS)
def models() -> None:
    """What is in the model storage: the persistor of endpoints.yml, or --remote-storage."""
