"""The hooks a plugin implements; an entry point in the group of the same kind makes the plugin known.

# pyproject.toml of a plugin: the entry point's name is the name users write after `type:`
[project.entry-points."holdfast.tracker_stores"]
redis = "holdfast_redis"

# holdfast_redis/__init__.py
@holdfast.hookimpl
def holdfast_tracker_store():
    return Backend(config=RedisConfig, open=RedisTrackerStore)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from holdfast.backend import Backend
    from holdfast.conversations.store import AsyncTrackerStore, TrackerStore
    from holdfast.models.persistor import Persistor

PROJECT = "holdfast"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def holdfast_tracker_store() -> Backend[Any, TrackerStore | AsyncTrackerStore]:  # type: ignore[empty-body]  # a spec has no body
    """Return the backend of a tracker store; no I/O, no import of an SDK that `open` could do later."""


@hookspec
def holdfast_persistor() -> Backend[Any, Persistor]:  # type: ignore[empty-body]  # a spec has no body
    """Return the backend of a persistor; no I/O, no import of an SDK that `open` could do later."""
