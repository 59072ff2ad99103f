"""Environment variables in endpoints.yml: `${VAR}` in a value, and the ones that fill what a section leaves out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, BaseModel

from holdfast.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEPEST = 50  # a YAML alias may contain itself


def expand(section: Mapping[str, Any], label: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Replace `${VAR}` in every text of a section, however deeply nested; the results are texts.

    Args:
        section: keys and values; it is not changed.
        label: names the section in messages.
        environ: the environment variables.

    Raises:
        ConfigurationError: names every key whose variable is not set.
    """
    problems: list[str] = []
    expanded = {key: _expand(value, str(key), environ, problems, _DEEPEST) for key, value in section.items()}
    if problems:
        raise ConfigurationError(bullets(label, problems))
    return expanded


def from_environment(model: type[BaseModel], options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Find the keys that are left out and stand in the environment; an empty variable counts as not set.

    Returns:
        The variable for each of these keys.
    """
    found = {}
    for name, field in model.model_fields.items():
        keys = key_names(name, field)
        if not any(key in options for key in keys):
            first = next(filter(environ.get, variables(field)), None)
            if first is not None:
                found[keys[0]] = first
    return found


def variables(field: FieldInfo) -> list[str]:
    """Return the environment variables a field declares."""
    extra = field.json_schema_extra
    names = extra.get("env") if isinstance(extra, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def key_names(name: str, field: FieldInfo) -> list[str]:
    """Return the keys a field can be written as, its usual one first."""
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)] or [name]
    return [alias] if isinstance(alias, str) else [name]


def bullets(label: str, problems: list[str]) -> str:
    """One problem stands on the line of its label, several below it."""
    return f"{label}: {problems[0]}" if len(problems) == 1 else "\n  ".join([f"{label}:", *problems])


def _expand(value: Any, key: str, environ: Mapping[str, str], problems: list[str], depth: int) -> Any:
    if depth == 0:
        problems.append(f"{key}: is nested too deeply.")
    elif isinstance(value, dict):
        return {inner: _expand(each, f"{key}.{inner}", environ, problems, depth - 1) for inner, each in value.items()}
    elif isinstance(value, list):
        return [_expand(each, f"{key}[{index}]", environ, problems, depth - 1) for index, each in enumerate(value)]
    elif isinstance(value, str):
        return _REFERENCE.sub(lambda found: _look_up(found[1], key, environ, problems), value)
    return value


def _look_up(name: str, key: str, environ: Mapping[str, str], problems: list[str]) -> str:
    if not _NAME.fullmatch(name):
        # Not shown: `${PASSWORD:-secret}` is how other programs write a default.
        problems.append(f"{key}: only the name of an environment variable can stand between `${{` and `}}`.")
    elif name not in environ:
        problems.append(f"{key}: the environment variable {name} is not set. Set it, or write the value itself.")
    return environ.get(name, "")
