"""Commands of plugins: entry points in the group `holdfast.commands`, each a click command under its name.

    [project.entry-points."holdfast.commands"]
    serve = "holdfast_server.command:serve"

They are known from metadata; one is imported when it is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import click

from holdfast.discovery import Offer, offers
from holdfast.errors import PluginError
from holdfast.kinds import Kind

COMMANDS = Kind(section="commands", noun="command", group="holdfast.commands", hook="", contracts=("click:Command",))


@dataclass(frozen=True, slots=True)
class Extension:
    """A command that is installed.

    Attributes:
        name: what to type.
        claims: who offers it; more than one means that it cannot be called.
    """

    name: str
    claims: tuple[Offer, ...]

    @property
    def origin(self) -> str:
        """Distribution and version of whoever offers it."""
        return " and ".join(claim.origin for claim in self.claims)


@cache
def extensions() -> dict[str, Extension]:
    """The commands of all installed distributions, by name; nothing is imported."""
    found: dict[str, list[Offer]] = {}
    for offer in offers(COMMANDS):
        claims = found.setdefault(offer.name, [])
        if not any(claim.value == offer.value and claim.distribution == offer.distribution for claim in claims):
            claims.append(offer)
    return {name: Extension(name, tuple(claims)) for name, claims in sorted(found.items())}


def load(extension: Extension) -> click.Command:
    """Import a command.

    Raises:
        PluginError: it cannot be imported, is no click command, or two distributions offer it.
    """
    offer = extension.claims[0]
    if len(extension.claims) > 1:
        raise PluginError(
            f"the command {extension.name!r} is offered by {extension.origin}. Uninstall all but one of them."
        )
    blame = f"the command {extension.name!r} of {offer.origin} (entry point `{offer.name} = {offer.value}`)"
    try:
        command = offer.entry_point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{blame} cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(command, click.Command):
        raise PluginError(f"{blame} is {type(command).__name__}, not a click command.")
    return command
