"""Backends named by a dotted path: a class or a `Backend` of the user's own, no distribution needed."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from holdfast.backend import AnyBackend, Backend, BackendConfig
from holdfast.errors import ConfigurationError, PluginError, UnknownBackendError
from holdfast.kinds import Kind
from holdfast.plugin import check_backend, kind_of
from holdfast.suggestion import did_you_mean


class AnyKeys(BackendConfig):
    """The configuration of a class that declares none: every key is handed to it as it is."""

    model_config = ConfigDict(extra="allow")


def load(kind: Kind, path: str) -> AnyBackend:
    """Import the object at a dotted path; the working directory is importable meanwhile.

    Args:
        kind: what kind of backend it should be.
        path: names a `Backend`; or a class with a `BackendConfig` as its attribute `Config`, called with an instance
            of it; or any other class, called with the section's keys as keyword arguments (`url` becomes `host` for
            a tracker store).

    Raises:
        UnknownBackendError: the module or the object does not exist.
        PluginError: it exists and cannot be used.
    """
    label = f"{kind.section}: {path!r}"
    found = _find(label, path)
    if isinstance(found, Backend):
        return check_backend(found, lambda reason: PluginError(f"{label} is {reason}."))
    if not isinstance(found, type):
        raise PluginError(f"{label} is {kind_of(found)}; a class or a holdfast.Backend is needed.")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise PluginError(f"{label} is incomplete: its class must define {missing}.")
    config = getattr(found, "Config", None)
    if isinstance(config, type) and issubclass(config, BackendConfig):
        return Backend(config=config, open=_with_working_directory(found))
    if isinstance(config, type) and issubclass(config, BaseModel):
        raise PluginError(f"{label}: its Config must be derived from holdfast.BackendConfig.")
    return Backend(config=AnyKeys, open=_with_working_directory(_caller(kind, path, found)))


def _find(label: str, path: str) -> Any:
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        raise UnknownBackendError(f"{label} is neither the name of a backend nor a dotted path (`my_module.MyStore`).")
    with _working_directory():
        # The longest prefix that is a module; what follows are its attributes.
        for length in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:length])
            module = _import(label, name)
            if module is not None:
                break
        else:
            raise UnknownBackendError(
                f"{label}: there is no module {parts[0]!r}, neither in the working directory {Path.cwd()} nor among "
                f"the installed packages.{did_you_mean(parts[0], _modules_here())}"
            )
        found: Any = module
        for part in parts[length:]:
            try:
                found = getattr(found, part)
            except AttributeError:
                raise UnknownBackendError(
                    f"{label}: {name!r} has no {part!r} (looked in {_place(found)}).{did_you_mean(part, dir(found))}"
                ) from None
    return found


def _import(label: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Missing is the module itself or its parent; or the module is there and a module that it imports is missing.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise PluginError(f"{label}: importing {name!r} failed: {error}. Install what is missing.") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"{label}: importing {name!r} failed: {type(error).__name__}: {error}.") from error


def _caller(kind: Kind, path: str, chosen: type[Any]) -> Callable[[AnyKeys], Any]:
    def open_(config: AnyKeys) -> Any:
        arguments = dict(config.model_extra or {})
        if "url" in arguments and kind.url_as != "url":
            if kind.url_as in arguments:
                raise ConfigurationError(
                    f"{kind.section}: write `url` or `{kind.url_as}`, not both: {path} takes `url` as `{kind.url_as}`."
                )
            arguments[kind.url_as] = arguments.pop("url")
        try:
            signature = inspect.signature(chosen)
        except ValueError:  # written in C
            return chosen(**arguments)
        parameter = signature.parameters.get(kind.url_as)
        if parameter is not None and parameter.default is parameter.empty:
            arguments.setdefault(kind.url_as, None)  # such a class expects to be called with it, url or no url
        mismatch = ""
        try:
            signature.bind(**arguments)
        except TypeError as error:
            mismatch = str(error)  # names arguments, never their values
        if mismatch:
            known = ", ".join(signature.parameters) or "none"
            raise ConfigurationError(
                f"{kind.section}: the section's keys do not fit {path}: {mismatch}. Its arguments: {known}."
            )
        return chosen(**arguments)

    return open_


def _with_working_directory(open_: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def opened(config: Any) -> Any:
        with _working_directory():
            return open_(config)

    return opened


@contextmanager
def _working_directory() -> Iterator[None]:
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with suppress(ValueError):  # the module may have tidied up by itself
            sys.path.remove(here)


def _modules_here() -> list[str]:
    return [entry.stem for entry in Path.cwd().iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()]


def _place(found: object) -> str:
    return str(getattr(found, "__file__", None) or kind_of(found))
