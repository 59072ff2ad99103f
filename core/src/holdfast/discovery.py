"""Which backends are installed, read from entry-point metadata; nothing is imported but the reader of metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.kinds import Kind

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

CORE = "holdfast"


@dataclass(frozen=True, slots=True)
class Offer:
    """A distribution's offer of one backend under one name.

    Attributes:
        kind: what kind of backend.
        name: the name users write after `type:`, as its author spells it.
        distribution, version: who offers it.
        value: the module that holds the hook, or `module:object`.
        entry_point: loads it.
    """

    kind: Kind
    name: str
    distribution: str
    version: str
    value: str
    entry_point: EntryPoint

    @property
    def origin(self) -> str:
        """Distribution and version, for a message."""
        return f"{self.distribution} {self.version}"


def offers(kind: Kind) -> list[Offer]:
    """Return every offer of a kind: the core's first, then by distribution.

    Metadata of one distribution may stand on `sys.path` more than once (an editable install, a vendored copy). As
    with imports the first one counts. Metadata that cannot be read belongs to no offer: it must not stop the others.
    """
    from importlib_metadata import distribution, distributions

    names = {_normal(found.name): found.name for found in distributions() if _entry_points(found, kind)}
    found_offers = []
    for name in sorted(names, key=lambda name: (name != CORE, name)):
        first = distribution(names[name])
        # Swapped case sorts `memory` before its alias `InMemory`.
        points = sorted(_entry_points(first, kind), key=lambda point: point.name.swapcase())
        found_offers += [Offer(kind, point.name, first.name, first.version, point.value, point) for point in points]
    return found_offers


def named(found: list[Offer], name: str) -> list[Offer]:
    """Select the offers of one name, without case. More than one means that the name is claimed by different code."""
    claims: dict[tuple[str, str], Offer] = {}
    for offer in found:
        if offer.name.casefold() == name.casefold():
            claims.setdefault((offer.distribution, offer.value), offer)
    return list(claims.values())


def _entry_points(distribution: Any, kind: Kind) -> list[EntryPoint]:
    try:
        points = list(distribution.entry_points.select(group=kind.group))
        return points if points and distribution.name and distribution.version else []
    except Exception:  # noqa: BLE001  # damaged metadata raises whatever its parser stumbled over
        return []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
