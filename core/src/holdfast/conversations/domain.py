"""The domain: which slots a conversation has and when its sessions end."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.errors import DomainError

_DOMAIN_KEYS = frozenset(
    ("slots", "forms", "actions", "entities", "intents", "responses", "e2e_actions", "session_config")
)
_SLOT_TYPES = frozenset(("text", "bool", "categorical", "float", "list", "any", "unfeaturized"))


@dataclass(frozen=True)
class Slot:
    """One slot, as the domain declares it.

    Attributes:
        type: `text`, `bool`, `categorical`, `float`, `list` or `any`, or the dotted path of a custom class.
        initial_value: the value before anything set it and after a reset.
        values: the values a categorical slot is meant to take.
        min_value, max_value: the range a float slot is meant to stay in.
    """

    name: str
    type: str = "any"
    initial_value: Any = None
    influence_conversation: bool = True
    mappings: tuple[Mapping[str, Any], ...] = ()
    values: tuple[Any, ...] = ()
    min_value: float | None = None
    max_value: float | None = None

    def coerce(self, value: Any) -> Any:
        """The value the slot holds once it is set to `value`: a list slot wraps a single value."""
        return [value] if self.type == "list" and value and not isinstance(value, list) else value


@dataclass(frozen=True)
class SessionConfig:
    """When a session ends.

    Attributes:
        expiration_minutes: of silence after which the next message starts a new session; 0 means never.
        carry_over_slots: whether the new session begins with the slots of the old one.
    """

    expiration_minutes: float = 60
    carry_over_slots: bool = True


@dataclass(frozen=True)
class Domain:
    """Slots and session settings.

    Attributes:
        slots: by name; `None` means that no domain is known and that every slot an event sets exists.
        session: the session settings.
    """

    slots: Mapping[str, Slot] | None = None
    session: SessionConfig = field(default_factory=SessionConfig)

    @classmethod
    def load(cls, path: str | Path) -> Domain:
        """Read a `domain.yml`, or merge all domain files in a directory and below it.

        Raises:
            DomainError: nothing stands at the path, or what stands there is no domain.
        """
        from holdfast.yamlfile import read_yaml

        path = Path(path)
        if not path.is_dir():
            return cls.from_dict(read_yaml(path, error=DomainError), origin=str(path))
        files = sorted(file for pattern in ("*.yml", "*.yaml") for file in path.rglob(pattern))
        found = [(file, read_yaml(file, error=DomainError)) for file in files]
        domains = [(file, data) for file, data in found if isinstance(data, dict) and _DOMAIN_KEYS & data.keys()]
        if not domains:
            raise DomainError(f"{path}: no file in this directory has a domain's keys (slots, intents, actions, …)")
        return cls.from_dict(_merged(domains), origin=str(path))

    @classmethod
    def from_dict(cls, data: Any, *, origin: str = "domain") -> Domain:
        """Take slots and session settings from the mapping a `domain.yml` holds.

        The slots Rasa adds by itself are added: `session_started_metadata`, `requested_slot` where there are forms,
        and those of the knowledge base action where it is listed.

        Raises:
            DomainError: it is not a domain; the text begins with `origin`.
        """
        if data is None:
            data = {}
        if not isinstance(data, Mapping):
            raise DomainError(f"{origin}: a domain is a mapping with keys such as 'slots', not {_kind(data)}")
        declared = _mapping(data, "slots", origin)
        slots = {str(name): _slot(str(name), options, origin) for name, options in declared.items()}
        for name in _implied_slots(data):
            slots.setdefault(name, Slot(name, type="text", influence_conversation=False))
        slots.setdefault("session_started_metadata", Slot("session_started_metadata", influence_conversation=False))
        return cls(slots, _session(_mapping(data, "session_config", origin), origin))

    def initial_slots(self) -> dict[str, Any]:
        """A fresh mapping of every slot to its initial value."""
        return {name: copy.deepcopy(slot.initial_value) for name, slot in (self.slots or {}).items()}


def _implied_slots(data: Mapping[str, Any]) -> Iterable[str]:
    if data.get("forms"):
        yield "requested_slot"
    if "action_query_knowledge_base" in (data.get("actions") or ()):
        yield from ("knowledge_base_listed_objects", "knowledge_base_last_object", "knowledge_base_last_object_type")


def _merged(domains: Iterable[tuple[Path, Mapping[str, Any]]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for file, data in domains:
        for key in ("slots", "forms"):
            value = data.get(key)
            if isinstance(value, Mapping):
                merged[key] = {**merged.get(key, {}), **value}
            elif value:
                raise DomainError(f"{file}: '{key}' is a mapping of names, not {_kind(value)}")
        merged.setdefault("actions", []).extend(data.get("actions") or ())
        if data.get("session_config"):
            merged.setdefault("session_config", data["session_config"])
    return merged


def _slot(name: str, options: Any, origin: str) -> Slot:
    where = f"{origin}: slot {name!r}"
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        raise DomainError(f"{where} is a mapping with the key 'type', not {_kind(options)}")
    kind = options.get("type")
    if not isinstance(kind, str):
        raise DomainError(f"{where} needs a 'type': one of {', '.join(sorted(_SLOT_TYPES))}, or a class path")
    if kind.lower() in _SLOT_TYPES:
        kind = kind.lower()
    elif "." not in kind:
        raise DomainError(f"{where} has the unknown type {kind!r}; known are {', '.join(sorted(_SLOT_TYPES))}")
    slot = Slot(
        name,
        kind,
        options.get("initial_value"),
        bool(options.get("influence_conversation", kind not in ("any", "unfeaturized"))),
        tuple(options.get("mappings") or ()),
        tuple(options.get("values") or ()),
        options.get("min_value"),
        options.get("max_value"),
    )
    if slot.type == "float" and slot.initial_value is not None and not isinstance(slot.initial_value, int | float):
        raise DomainError(f"{where} is a float, but its initial_value is {_kind(slot.initial_value)}")
    return Slot(**{**slot.__dict__, "initial_value": slot.coerce(slot.initial_value)})


def _session(options: Mapping[str, Any], origin: str) -> SessionConfig:
    minutes = options.get("session_expiration_time", SessionConfig.expiration_minutes)
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or minutes < 0:
        raise DomainError(f"{origin}: session_config.session_expiration_time is a number of minutes, 0 for never")
    carry_over = options.get("carry_over_slots_to_new_session", True)
    if not isinstance(carry_over, bool):
        raise DomainError(f"{origin}: session_config.carry_over_slots_to_new_session is true or false")
    return SessionConfig(minutes, carry_over)


def _mapping(data: Mapping[str, Any], key: str, origin: str) -> Mapping[str, Any]:
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DomainError(f"{origin}: '{key}' is a mapping, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    return {dict: "a mapping", list: "a list", str: "a text", bool: "true or false"}.get(
        type(value), type(value).__name__
    )
