"""Chooses a backend by name and imports that one; lists the installed ones without importing any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from holdfast.discovery import CORE, Offer, named, offers
from holdfast.errors import HoldfastError, PluginError, UnknownBackendError
from holdfast.kinds import KINDS, Kind
from holdfast.suggestion import close_match

if TYPE_CHECKING:
    from holdfast.backend import AnyBackend


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One line of `holdfast plugins list`.

    Attributes:
        kind: the section of endpoints.yml the backend belongs to.
        name: what to write there after `type:`.
        distribution, version: who offers it.
        value: the module that holds the hook.
        status: `conflict` if different code claims the name, `broken` if it was tried and failed, else `ok`.
        detail: why the status is not `ok`.
        summary: the backend's line about itself; known only once the backend was imported.
    """

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    status: Literal["ok", "conflict", "broken"] = "ok"
    detail: str = ""
    summary: str = ""


def load(kind: Kind, name: str) -> AnyBackend:
    """Import one backend.

    Args:
        kind: what kind of backend.
        name: its name in any case, or the dotted path of a class or a `Backend` (`my_module.MyStore`).

    Raises:
        UnknownBackendError: nothing has that name. Another backend is never taken instead.
        PluginError: what has that name cannot be used, or two distributions claim it.
    """
    from holdfast import dotted, plugin  # with pydantic, which a listing does not need

    found = offers(kind)
    match named(found, name):
        case [offer]:
            return plugin.load(offer)
        case []:
            if "." in name:
                return dotted.load(kind, name)
            raise UnknownBackendError(_unknown(kind, name, found))
        case claims:
            raise PluginError(_conflict(kind, name, claims))


def same_backend(kind: Kind, name: str, other: str) -> bool:
    """Whether two names mean one backend: written alike but for the case, or aliases of each other."""
    if name.casefold() == other.casefold():
        return True
    found = offers(kind)
    owners = [{(offer.distribution, offer.value) for offer in named(found, each)} for each in (name, other)]
    return bool(owners[0]) and owners[0] == owners[1]


def listing(*, check: bool = False) -> tuple[PluginInfo, ...]:
    """Describe every installed backend, by kind.

    Args:
        check: import each backend as well. One that fails does not stop the others; its `detail` says why.
    """
    lines = []
    for kind in KINDS:
        found = offers(kind)
        lines += [_describe(offer, found, check) for offer in found]
    return tuple(lines)


def _describe(offer: Offer, found: list[Offer], check: bool) -> PluginInfo:
    status: Literal["ok", "conflict", "broken"] = "ok"
    detail = summary = ""
    claims = named(found, offer.name)
    if len(claims) > 1:
        status, detail = "conflict", _conflict(offer.kind, offer.name, claims)
    elif check:
        from holdfast import plugin

        try:
            summary = plugin.load(offer).summary
        except HoldfastError as error:
            status, detail = "broken", str(error)
    return PluginInfo(
        offer.kind.section, offer.name, offer.distribution, offer.version, offer.value, status, detail, summary
    )


def _conflict(kind: Kind, name: str, claims: list[Offer]) -> str:
    claimants = " and ".join(f"{claim.origin} ({claim.value})" for claim in claims)
    removable = sorted({claim.distribution for claim in claims} - {CORE})
    if len({claim.distribution for claim in claims}) == 1:
        return f"{kind.section}: the name {name!r} stands for different code: {claimants}. Report it to its author."
    cure = " or ".join(f"`pip uninstall {distribution}`" for distribution in removable)
    return f"{kind.section}: more than one distribution offers {name!r}: {claimants}. Keep one of them: {cure}."


def _unknown(kind: Kind, name: str, found: list[Offer]) -> str:
    installed = [offer.name for offer in found]
    sentences = [f"{kind.section}: no backend is called {name!r}."]
    published = _published(kind, name)
    elsewhere = [
        other for other in KINDS if other is not kind and (named(offers(other), name) or _published(other, name))
    ]
    if published:
        sentences.append(f"It comes with `pip install {published}`.")
    elif elsewhere:
        sentences += [
            f"{name!r} is a {other.noun}; it belongs in the section `{other.section}:`." for other in elsewhere
        ]
    elif close := close_match(name, [*kind.published, *installed]):
        install = "" if close in installed else f" It comes with `pip install {_published(kind, close)}`."
        sentences.append(f"Did you mean {close!r}?{install}")
    sentences.append(f"Installed for {kind.section}: {', '.join(installed) or 'nothing'}.")
    return " ".join(sentences)


def _published(kind: Kind, name: str) -> str | None:
    lower = {backend.casefold(): distribution for backend, distribution in kind.published.items()}
    return lower.get(name.casefold())
