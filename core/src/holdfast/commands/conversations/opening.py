"""Opens what a command needs of the configuration: the tracker store, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from holdfast.commands.options import load_domain, load_endpoints
from holdfast.commands.output import Output
from holdfast.conversations.memory import MemoryTrackerStore
from holdfast.conversations.rule import SessionRule
from holdfast.conversations.service import Conversations
from holdfast.opening import open_tracker_store

_IN_MEMORY = "conversations are kept in memory: none are there when a command begins, and none remain when it ends. "


@contextmanager
def opened(
    endpoints: Path | None,
    out: Output,
    *,
    domain: Path | None = None,
    needs_domain: bool = False,
    session_rule: SessionRule | None = None,
) -> Iterator[Conversations]:
    """Give the conversations of a tracker store, and close it at the end.

    Args:
        endpoints: as on the command line.
        out: for what is said meanwhile.
        domain: as on the command line.
        needs_domain: whether slots matter.
        session_rule: where the latest session begins; `None` for what endpoints.yml says.
    """
    found = load_endpoints(endpoints, out)
    slots = load_domain(domain, out) if needs_domain or domain is not None else None
    store = open_tracker_store(found)
    if type(store.opened) is MemoryTrackerStore:
        cure = "There is no section tracker_store in endpoints.yml." if store.is_default else "See tracker_store."
        out.warning(_IN_MEMORY + cure)
    rule = session_rule or found.tracker_store.session_rule
    with closing(
        Conversations(store.opened, slots, session_rule=rule, name=store.name, errors=store.errors)
    ) as conversations:
        yield conversations
