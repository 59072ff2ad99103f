"""Opening what is under test the way an application does: by the YAML section alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from holdfast import Persistor, TrackerStore
from holdfast.conversations.faces import to_async, to_blocking
from holdfast.endpoints import read_endpoints
from holdfast.opening import open_persistor, open_tracker_store


def _endpoints(directory: Path, name: str, section: Mapping[str, Any]) -> Path:
    path = directory / "endpoints.yml"
    path.write_text(yaml.safe_dump({name: dict(section)}, allow_unicode=True), encoding="utf-8")
    return path


def open_store(section: Mapping[str, Any], directory: Path, *, derived: bool) -> TrackerStore:
    """Open the tracker store of a section.

    Args:
        section: the mapping under `tracker_store:`.
        directory: where to write the endpoints.yml.
        derived: whether calls go through the face the core derives, instead of straight to the store.
    """
    store = open_tracker_store(read_endpoints(_endpoints(directory, "tracker_store", section), required=True)).opened
    return to_blocking(to_async(to_blocking(store))) if derived else to_blocking(store)


def open_persistor_of(section: Mapping[str, Any], directory: Path) -> Persistor:
    """Open the persistor of a section, the mapping under `persistor:`."""
    opened = open_persistor(read_endpoints(_endpoints(directory, "persistor", section), required=True))
    assert opened is not None
    return opened.opened
