"""Checks a section against its model and says what is wrong with it, without ever repeating a value.

pydantic's own texts are not used: some quote the input, and what a plugin's validator says may, too.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from holdfast.backend import BackendConfig
from holdfast.environment import bullets, from_environment, key_names, variables
from holdfast.errors import ConfigurationError, PluginError
from holdfast.suggestion import did_you_mean

ConfigT = TypeVar("ConfigT", bound=BackendConfig)

_NUMBER = "must be a number."
_WHOLE = "must be a whole number."
_SWITCH = "must be true or false."
_MAPPING = "must be a mapping (`key: value`)."
_LIST = "must be a list."
_URL = "must be a URL."

# What pydantic knows to be wrong, in our words. The names in braces come from the model, never from the input.
_TEXTS = {
    "string_type": "must be text; put the value in quotes.",
    "string_too_short": "must have at least {min_length} characters.",
    "string_too_long": "must have at most {max_length} characters.",
    "string_pattern_mismatch": "must match the pattern {pattern}.",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "finite_number": "must be a finite number.",
    "greater_than": "must be greater than {gt}.",
    "greater_than_equal": "must be at least {ge}.",
    "less_than": "must be less than {lt}.",
    "less_than_equal": "must be at most {le}.",
    "multiple_of": "must be a multiple of {multiple_of}.",
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "literal_error": "must be one of {expected}.",
    "enum": "must be one of {expected}.",
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "too_short": "must have at least {min_length} items.",
    "too_long": "must have at most {max_length} items.",
    "none_required": "must be left empty.",
    "url_type": _URL,
    "url_parsing": _URL,
    "url_syntax_violation": _URL,
    "url_too_long": _URL,
    "url_scheme": "must be a URL that begins with {expected_schemes}.",
    "path_type": "must be a path.",
    "path_not_file": "must be the path of a file that exists.",
    "path_not_directory": "must be the path of a directory that exists.",
}


def validate(model: type[ConfigT], label: str, options: Mapping[Any, Any], environ: Mapping[str, str]) -> ConfigT:
    """Make a configuration from the keys of a section.

    Args:
        model: a field for each key.
        label: file and section, for messages.
        options: keys and values, `${VAR}` already expanded.
        environ: environment variables, which fill fields that declare them and are left out.

    Raises:
        ConfigurationError: lists every problem by its key. Neither the text nor a chained error holds a value.
        PluginError: a validator of the model failed by itself.
    """
    unnamed = [type(key).__name__ for key in options if not isinstance(key, str)]
    if unnamed:
        raise ConfigurationError(f"{label}: a key is of type {unnamed[0]}; put it in quotes.")
    taken = from_environment(model, options, environ)
    filled = {**options, **{key: environ[variable] for key, variable in taken.items()}}
    # Raised after the except clauses, so that pydantic's error, which holds the values, is not the context.
    failure: ConfigurationError | PluginError
    try:
        return model.model_validate(filled)
    except ValidationError as error:
        failure = ConfigurationError(bullets(label, list(_problems(model, filled, taken, error))))
    except ConfigurationError as error:
        failure = ConfigurationError(f"{label}: {error}")
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin's validator may raise anything
        failure = PluginError(
            f"{label}: checking the section failed with {type(error).__name__} at {location(error)}. "
            "Report it to the plugin's authors."
        )
    raise failure


def location(error: BaseException) -> str:
    """Where an error was raised, for a message that must not contain its text."""
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else "an unknown place"
    )


def _problems(
    model: type[BaseModel], options: Mapping[str, Any], taken: Mapping[str, str], error: ValidationError
) -> Iterator[str]:
    # A union reports one error for each of its members.
    texts: dict[str, list[str]] = {}
    for each in error.errors(include_url=False):
        path = _path(each["loc"], options, missing=each["type"] == "missing")
        text = _text(model, path, each)
        known = texts.setdefault(".".join(map(str, path)), [])
        if text not in known:
            known.append(text)
    for key, alternatives in texts.items():
        joined = ", or ".join([*(text.rstrip(".") for text in alternatives[:-1]), alternatives[-1]])
        origin = f" (taken from the environment variable {taken[key]})" if key in taken else ""
        yield f"{key}{origin}: {joined}" if key else joined


def _path(loc: tuple[int | str, ...], options: Any, *, missing: bool) -> list[int | str]:
    """The part of pydantic's location that stands in the section; the rest names members of unions and the like."""
    path: list[int | str] = []
    here = options
    for step in loc:
        try:
            here = here[step]
        except (LookupError, TypeError):
            if not missing or step != loc[-1]:
                continue
        path.append(step)
    return path or list(loc[:1])


def _text(model: type[BaseModel], path: list[int | str], problem: Any) -> str:
    kind = problem["type"]
    if kind == "missing":
        field = _keys(model, path[:-1]).get(str(path[-1]))
        names = " or ".join(variables(field)) if field is not None and len(path) == 1 else ""
        return f"is missing; write it in the section{f' or set the environment variable {names}' if names else ''}."
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        keys = list(_keys(model, path[:-1]))
        return "is not a known key." + (
            did_you_mean(str(path[-1]), keys) or f" Known keys: {', '.join(keys) or 'none'}."
        )
    if problem["input"] is None:
        return "has no value; write one or remove the key."
    if kind in ("value_error", "assertion_error"):
        return _own_words(problem.get("ctx", {}).get("error"))
    limits = {
        name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in problem.get("ctx", {}).items()
    }
    try:
        return _TEXTS[kind].format_map(limits)
    except KeyError:  # a type of error that a plugin made up, with a text of its own
        return "is not valid."


def _keys(model: type[BaseModel], path: list[int | str]) -> dict[str, Any]:
    """The fields of the model that stands at `path`, by the key they are written as."""
    fields = {key: field for name, field in model.model_fields.items() for key in key_names(name, field)}
    if not path:
        return fields
    field = fields.get(str(path[0]))
    inner = next(_models(field.annotation), None) if field is not None else None
    return _keys(inner, path[1:]) if inner is not None else {}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _own_words(error: BaseException | None) -> str:
    """What a validator said, if the sentence stands in its code; a text that was composed may contain the value."""
    if error is None:
        return "is not valid."
    text = str(error)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        # A single word may be a value and a constant by chance.
        if " " in text and any(isinstance(each, str) and each == text for each in frame.f_code.co_consts):
            return text if text.endswith(".") else f"{text}."
    return f"is not valid (refused with {type(error).__name__} at {location(error)})."
