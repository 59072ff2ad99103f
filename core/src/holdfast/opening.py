"""Opens the backends that endpoints.yml names. Opening does no I/O."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holdfast import registry
from holdfast.endpoints import Endpoints, Section, no_type
from holdfast.errors import ConfigurationError, HoldfastError, PluginError
from holdfast.kinds import PERSISTOR
from holdfast.plugin import kind_of
from holdfast.validation import location, validate
from holdfast.wrapping import Errors

if TYPE_CHECKING:
    from holdfast.conversations.store import AsyncTrackerStore, TrackerStore
    from holdfast.models.persistor import Persistor

OpenedT = TypeVar("OpenedT")


@dataclass(frozen=True, slots=True)
class OpenedBackend(Generic[OpenedT]):
    """A backend, ready for use.

    Attributes:
        name: of the backend, as it was written.
        opened: the tracker store (one of the two faces) or the persistor.
        errors: what its SDK's exceptions are wrapped in, see `Backend.errors`.
        is_default: nobody chose it: conversations are in memory because endpoints.yml has no `tracker_store`.
        prefix: the folder of the storage that models are kept under, without `/` at its ends (persistors only).
    """

    name: str
    opened: OpenedT
    errors: Errors
    is_default: bool = False
    prefix: str = ""


def open_tracker_store(
    endpoints: Endpoints, *, environ: Mapping[str, str] | None = None
) -> OpenedBackend[TrackerStore | AsyncTrackerStore]:
    """Open the tracker store.

    Args:
        endpoints: what endpoints.yml says.
        environ: environment variables; those of the process if `None`.

    Raises:
        UnknownBackendError: no backend has the name that the section gives.
        ConfigurationError: a key is wrong; every problem is listed, no value is.
        PluginError: the plugin cannot be used.
    """
    return _open(endpoints.tracker_store, environ)


def open_persistor(
    endpoints: Endpoints, override: str | None = None, *, environ: Mapping[str, str] | None = None
) -> OpenedBackend[Persistor] | None:
    """Open the persistor; `None` if none is configured.

    Args:
        endpoints: what endpoints.yml says.
        override: name of the backend to use instead of the section's (`--remote-storage`). The section's keys are
            used only if they are this backend's.
        environ: environment variables; those of the process if `None`.

    Raises:
        UnknownBackendError, ConfigurationError, PluginError: as `open_tracker_store`.
    """
    section = endpoints.persistor
    if override:
        if section is None or (section.name and not registry.same_backend(PERSISTOR, section.name, override)):
            section = Section(PERSISTOR, override)
        section = replace(section, name=override)
    return None if section is None else _open(section, environ)


def _open(section: Section, environ: Mapping[str, str] | None) -> OpenedBackend[Any]:
    if not section.name:
        raise ConfigurationError(no_type(section))
    backend = registry.load(section.kind, section.name)
    config = validate(backend.config, section.label, section.options, os.environ if environ is None else environ)
    # Raised after the except clauses: the chain of an error raised inside them would hold the plugin's, and its values.
    failure: HoldfastError
    try:
        opened = backend.open(config)
    except ConfigurationError as error:
        failure = ConfigurationError(f"{section.label}: {str(error).removeprefix(f'{section.kind.section}: ')}")
    except HoldfastError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may raise anything
        failure = PluginError(
            f"{section.label}: opening {section.name!r} failed with {type(error).__name__} at {location(error)}. "
            "Its text is not shown, because it may contain a value of the section. Check the section's keys."
        )
    else:
        if section.kind.is_opened(opened):
            return OpenedBackend(section.name, opened, backend.errors, section.is_default, section.prefix)
        if inspect.iscoroutine(opened):
            opened.close()  # else Python warns that it was never awaited
        failure = PluginError(
            f"{section.label}: {section.name!r} opens {kind_of(opened)}, "
            f"which is not derived from {section.kind.contract_names()}."
        )
    raise failure
