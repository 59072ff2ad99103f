"""The reference of endpoints.yml, from the pydantic models that validate it."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from holdfast import registry
from holdfast.discovery import Offer, offers
from holdfast.kinds import KINDS

if TYPE_CHECKING:
    from pydantic import BaseModel


def backends() -> str:
    """Return a section for every kind of backend, and one below it for every backend installed here."""
    parts = []
    for kind in KINDS:
        parts += [f"## `{kind.section}:`", ""]
        by_module: dict[str, list[Offer]] = {}
        for offer in offers(kind):
            by_module.setdefault(offer.value, []).append(offer)
        for first, *aliases in by_module.values():
            backend = registry.load(kind, first.name)
            parts += [
                f"### `type: {first.name}`",
                "",
                _sentence(backend.summary),
                f"Distribution: `{first.distribution}`.",
                "",
            ]
            parts += [f"Also called {', '.join(f'`{alias.name}`' for alias in aliases)}.", ""] if aliases else []
            parts += [keys(backend.config), ""]
    return "\n".join(parts)


def models() -> str:
    """Return the keys of the section `models:`."""
    from holdfast.models_config import ModelsConfig

    return keys(ModelsConfig)


def keys(config: type[BaseModel]) -> str:
    """Return a table of a model's keys."""
    schema = config.model_json_schema()
    if not schema.get("properties"):
        return "No keys.\n"
    rows = ["| key | type | default | environment | meaning |", "|---|---|---|---|---|"]
    for key, field in schema["properties"].items():
        default = "required" if key in schema.get("required", ()) else _default(field)
        env = ", ".join(f"`{name}`" for name in field.get("env", ()))
        cells = (f"`{key}`", _type(field, schema.get("$defs", {})), default, env, _line(field.get("description", "")))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        return _type(definitions[field["$ref"].rsplit("/", 1)[1]], definitions)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in field:
            kinds = [_type(option, definitions) for option in field[choice] if option.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "const" in field or "enum" in field:
        return " or ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field.get("format") == "password":
        return "text, secret"
    if field.get("format") in {"path", "file-path", "directory-path"}:
        return "path"
    kind = field.get("type", "anything")
    if kind == "array":
        return f"list of {_type(field.get('items', {}), definitions)}"
    name = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`", "object": "mapping"}.get(
        kind, kind
    )
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[bound]}" for bound, sign in bounds.items() if bound in field]
    return f"{name} {' and '.join(limits)}".strip()


def _default(field: dict[str, Any]) -> str:
    # A default made by a factory is not in the schema; its description says what it is.
    return f"`{json.dumps(field['default'], ensure_ascii=False)}`" if field.get("default") is not None else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _line(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split())
