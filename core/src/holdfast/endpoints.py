"""Reads endpoints.yml. Nothing is guessed, nothing is opened, no backend is imported.

Sections: `tracker_store`, `persistor` and `models`. All others belong to other programs and are left alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from holdfast import registry
from holdfast.conversations.rule import SessionRule
from holdfast.environment import expand
from holdfast.errors import ConfigurationError
from holdfast.kinds import KINDS, PERSISTOR, TRACKER_STORE, Kind
from holdfast.models_config import ModelsConfig
from holdfast.validation import validate
from holdfast.yamlfile import read_yaml


@dataclass(frozen=True, slots=True)
class Section:
    """A section that names a backend.

    Attributes:
        kind: of the backend.
        name: of the backend, as it was written; empty if a persistor's section leaves it to `--remote-storage`.
        options: the backend's keys, `${VAR}` expanded.
        file: the file it was read from.
        is_default: there is no such section; the documented default stands here.
        prefix: the folder of the storage that models are kept under, without `/` at its ends (persistors only).
        session_rule: where the latest session of a conversation begins (tracker stores only).
    """

    kind: Kind
    name: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    file: str = ""
    is_default: bool = False
    prefix: str = ""
    session_rule: SessionRule = SessionRule.ACTION_SESSION_START

    @property
    def label(self) -> str:
        """File and section, for messages."""
        return f"{self.file}: {self.kind.section}" if self.file else self.kind.section


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What endpoints.yml says.

    Attributes:
        tracker_store: where conversations live; the default is `memory`.
        persistor: where models are stored, if anywhere.
        models: where this process takes its model from; `None` if there is no such section.
    """

    tracker_store: Section = Section(TRACKER_STORE, "memory", is_default=True)
    persistor: Section | None = None
    models: ModelsConfig | None = None


def read_endpoints(
    path: Path | str | None, *, required: bool = False, environ: Mapping[str, str] | None = None
) -> Endpoints:
    """Read endpoints.yml.

    Args:
        path: the file; `None` stands for a file without sections.
        required: refuse a file that does not exist, instead of taking it for one without sections.
        environ: environment variables; those of the process if `None`.

    Raises:
        ConfigurationError: no such file, not YAML, a key stands twice, a section is no mapping or names no backend, a
            `${VAR}` is not set, the section `models` is wrong. What a backend makes of its keys is seen when it opens.
    """
    environ = os.environ if environ is None else environ
    if path is None or (not required and not Path(path).exists()):
        return Endpoints()
    return parse_endpoints(read_yaml(Path(path)), str(path), environ)


def parse_endpoints(document: Any, file: str, environ: Mapping[str, str]) -> Endpoints:
    """Make sense of what stands in an endpoints.yml.

    Args:
        document: what the YAML says.
        file: names it in messages.
        environ: environment variables.

    Raises:
        ConfigurationError: as `read_endpoints`.
    """
    document = {} if document is None else document
    if not isinstance(document, dict):
        raise ConfigurationError(f"{file}: must hold sections (`tracker_store:` and others), not {_found(document)}.")
    _refuse_misspelt(document, file)
    tracker_store = _section(TRACKER_STORE, document, file, environ)
    persistor = _section(PERSISTOR, document, file, environ)
    models = _mapping("models", document, file, environ)
    if tracker_store is not None and not tracker_store.name:
        raise ConfigurationError(no_type(tracker_store))
    return Endpoints(
        Section(TRACKER_STORE, "memory", file=file, is_default=True)
        if tracker_store is None
        else _with_session_rule(tracker_store),
        None if persistor is None else _with_prefix(persistor),
        None if models is None else validate(ModelsConfig, f"{file}: models", models, environ),
    )


def no_type(section: Section) -> str:
    """What to say of a section that names no backend."""
    choices = ", ".join(info.name for info in registry.listing() if info.kind == section.kind.section)
    override = " or use --remote-storage" if section.kind is PERSISTOR else ""
    return f"{section.label}: `type` is missing; write `type: NAME` in it{override}. Installed: {choices or 'none'}."


def _section(kind: Kind, document: dict[Any, Any], file: str, environ: Mapping[str, str]) -> Section | None:
    options = _mapping(kind.section, document, file, environ)
    if options is None:
        return None
    # The older name of `type` wins, as it does for Rasa.
    names = [name for name in (options.pop("store_type", None), options.pop("type", None)) if name is not None]
    section = Section(kind, names[0] if names else "", options, file)
    if not isinstance(section.name, str):
        raise ConfigurationError(f"{section.label}: type: must be the name of a backend, not {_found(names[0])}.")
    return section


def _mapping(name: str, document: dict[Any, Any], file: str, environ: Mapping[str, str]) -> dict[str, Any] | None:
    section = document.get(name)
    if section is None:
        return None
    if not isinstance(section, dict):
        raise ConfigurationError(f"{file}: {name}: must be a mapping (`key: value`), not {_found(section)}.")
    return expand(section, f"{file}: {name}", environ)


def _with_prefix(section: Section) -> Section:
    """Take the key `prefix`, which the core applies for every persistor alike, from the backend's options."""
    options = dict(section.options)
    prefix = options.pop("prefix", None) or ""
    if not isinstance(prefix, str):
        raise ConfigurationError(f"{section.label}: prefix: must be text; put the value in quotes.")
    if ".." in prefix.split("/"):
        raise ConfigurationError(f"{section.label}: prefix: must not contain `..`.")
    return replace(section, options=options, prefix=prefix.strip("/"))


def _with_session_rule(section: Section) -> Section:
    """Take the key `session_rule`, which the core applies for every tracker store alike, from the backend's options."""
    options = dict(section.options)
    rule = options.pop("session_rule", None)
    if rule is None:
        return replace(section, options=options)
    if rule not in tuple(SessionRule):
        raise ConfigurationError(f"{section.label}: session_rule: must be one of {', '.join(SessionRule)}.")
    return replace(section, options=options, session_rule=SessionRule(rule))


def _refuse_misspelt(document: dict[Any, Any], file: str) -> None:
    # To take `tracker-store:` for somebody else's would keep conversations in memory, and lose them.
    for kind in KINDS:
        plain = kind.section.replace("_", "")
        for name in document:
            if (
                name != kind.section
                and str(name).lower().translate({45: "", 95: "", 32: ""}).removesuffix("s") == plain
            ):
                raise ConfigurationError(f"{file}: there is no section `{name}:`. Did you mean `{kind.section}:`?")


def _found(value: object) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return names.get(type(value), f"a value of type {type(value).__name__}")
