"""The kinds of plugins: one row of `KINDS` is all that the registry, the configuration and the listing know of a kind."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of plugin.

    Attributes:
        section: its section of endpoints.yml.
        noun: what people call it.
        group: the entry-point group; an entry point's name is the name of a backend.
        hook: the hook that returns the backend.
        contracts: `module:class` of what an opened backend must be one of; a text, because a kind is known without
            importing its contract.
        url_as: the argument under which a class without a configuration model expects the key `url`.
        published: distributions of this project by the name of their backend. No others are ever advertised.
    """

    section: str
    noun: str
    group: str
    hook: str
    contracts: tuple[str, ...]
    url_as: str = "url"
    published: Mapping[str, str] = field(default_factory=dict)

    def is_opened(self, candidate: object) -> bool:
        """Whether `candidate` fulfils the contract of this kind."""
        return isinstance(candidate, tuple(pkgutil.resolve_name(contract) for contract in self.contracts))

    def contract_names(self) -> str:
        """The contract's classes, for a message."""
        return " or ".join("holdfast." + contract.partition(":")[2] for contract in self.contracts)


TRACKER_STORE = Kind(
    section="tracker_store",
    noun="tracker store",
    group="holdfast.tracker_stores",
    hook="holdfast_tracker_store",
    contracts=("holdfast.conversations.store:TrackerStore", "holdfast.conversations.store:AsyncTrackerStore"),
    url_as="host",
    published={
        "SQL": "holdfast-sql",
        "redis": "holdfast-redis",
        "mongo": "holdfast-mongo",
        "mongod": "holdfast-mongo",
        "dynamo": "holdfast-dynamo",
    },
)
PERSISTOR = Kind(
    section="persistor",
    noun="persistor",
    group="holdfast.persistors",
    hook="holdfast_persistor",
    contracts=("holdfast.models.persistor:Persistor",),
)

KINDS = (TRACKER_STORE, PERSISTOR)
