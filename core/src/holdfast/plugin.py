"""Turns an installed plugin into its `Backend`, or says who is to blame and for what."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pluggy

from holdfast import hooks
from holdfast.backend import AnyBackend, Backend, BackendConfig
from holdfast.discovery import Offer
from holdfast.errors import PluginError
from holdfast.kinds import KINDS, Kind
from holdfast.suggestion import did_you_mean


def load(offer: Offer) -> AnyBackend:
    """Import the plugin behind an offer and call its hook.

    Raises:
        PluginError: it cannot be imported, its hook is misspelt, missing, of another kind, takes arguments, fails, or
            returns no `Backend`. The message names distribution, version and entry point.
    """
    kind = offer.kind
    module = _import(offer)
    # A manager for each plugin: in a shared one, a misspelt hook fails `check_pending` for every later plugin too.
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    try:
        manager.register(module)
    except Exception as error:  # looking at a plugin's attributes may run its code
        reason = _text(error).splitlines()[-1]
        raise _broken(offer, f"one of its hooks has the wrong form: {reason}. Hooks take no arguments") from error
    _check_names(offer, manager, module)
    hook = getattr(manager.hook, kind.hook)
    implementations = hook.get_hookimpls()
    if not implementations:
        raise _broken(offer, _missing(kind, manager, module))
    if len(implementations) > 1:
        raise _broken(offer, f"it implements {kind.hook} {len(implementations)} times; one entry point has one hook")
    try:
        returned = implementations[0].function()
    except (Exception, SystemExit) as error:
        raise _broken(offer, f"its hook {kind.hook} failed: {_text(error)}") from error
    if inspect.iscoroutine(returned):
        returned.close()  # else Python warns that it was never awaited
    return check_backend(returned, lambda reason: _broken(offer, f"its hook {kind.hook} returned {reason}"))


def check_backend(candidate: Any, blame: Callable[[str], PluginError]) -> AnyBackend:
    """Return `candidate` if it is a usable `Backend`; else raise what `blame` makes of the reason."""
    if not isinstance(candidate, Backend):
        raise blame(f"{kind_of(candidate)}, not a holdfast.Backend")
    config: object = candidate.config
    if not (isinstance(config, type) and issubclass(config, BackendConfig)):
        raise blame("a Backend whose config is not a subclass of holdfast.BackendConfig")
    if not callable(candidate.open):
        raise blame("a Backend whose open cannot be called")
    return candidate


def kind_of(value: object) -> str:
    """What a value is, without showing it."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.ismodule(value):
        return "a module"
    if inspect.isroutine(value):
        return "a function"
    return f"an object of the class {type(value).__name__}"


def _import(offer: Offer) -> Any:
    try:
        return offer.entry_point.load()
    except (Exception, SystemExit) as error:
        raise _broken(offer, f"importing it failed: {_text(error)}. `pip check` shows missing requirements") from error


def _check_names(offer: Offer, manager: pluggy.PluginManager, module: object) -> None:
    known = [each.hook for each in KINDS]
    for caller in manager.get_hookcallers(module) or ():
        optional = all(each.optionalhook for each in caller.get_hookimpls())
        if not caller.has_spec() and not optional:
            meant = did_you_mean(caller.name, known) or f" The hooks are {', '.join(known)}."
            raise _broken(
                offer,
                f"there is no hook {caller.name!r}.{meant} A hook of a newer holdfast needs `pip install -U holdfast`",
            )
    manager.check_pending()


def _missing(kind: Kind, manager: pluggy.PluginManager, module: object) -> str:
    others = [each for each in KINDS if getattr(manager.hook, each.hook).get_hookimpls()]
    if others:
        other = others[0]
        return (
            f"it implements {other.hook}, not {kind.hook}: it is a {other.noun}, "
            f"its entry point belongs in the group {other.group}"
        )
    if callable(getattr(module, kind.hook, None)):
        return f"its function {kind.hook} lacks the decorator @holdfast.hookimpl"
    return f"it implements no hook; it should implement {kind.hook}"


def _broken(offer: Offer, reason: str) -> PluginError:
    return PluginError(
        f"{offer.kind.section}: the plugin {offer.name!r} of {offer.origin} "
        f"(entry point `{offer.name} = {offer.value}` in {offer.kind.group}) cannot be used: {reason}. "
        f"Install another version of {offer.distribution}, or report it to its authors."
    )


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
