"""What `holdfast check` finds, section by section."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from holdfast.commands.explanation import explain
from holdfast.commands.options import DEFAULT_DOMAIN, DEFAULT_ENDPOINTS
from holdfast.commands.redaction import redacted, remember
from holdfast.commands.source import MODEL_SERVER
from holdfast.conversations.domain import Domain
from holdfast.conversations.service import Conversations
from holdfast.endpoints import Endpoints, parse_endpoints
from holdfast.errors import ConfigurationError, HoldfastError, ModelNotFoundError
from holdfast.models.persistor import ListsObjects
from holdfast.opening import open_persistor, open_tracker_store
from holdfast.wrapping import wrapping
from holdfast.yamlfile import read_yaml

FILE: Final = "endpoints.yml"
SECTIONS: Final = ("tracker_store", "persistor", "models")
_PROBE = "holdfast-check.tar.gz"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of one section.

    Attributes:
        section: its name, or `domain`, or `endpoints.yml` for the file as a whole.
        status: `ok`; `default` for a section that is left out; `failed`; `unknown` if something else must be repaired
            before it can be looked at.
        text: what was found.
        error: why it failed.
    """

    section: str
    status: Literal["ok", "default", "failed", "unknown"]
    text: str
    error: Exception | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        found: dict[str, Any] = {"section": self.section, "status": self.status, "text": self.text}
        if self.error is not None:
            found["error"] = {"type": type(self.error).__name__, "message": redacted(explain(self.error))}
        return found


def inspect(path: Path | None, domain: Path | None, remote_storage: str | None) -> Iterator[Finding]:
    """Look at the file and at every section in turn.

    Args:
        path: of endpoints.yml, which then must exist; `None` for the one in the working directory, where there is one.
        domain: of the domain, likewise.
        remote_storage: name of a persistor to use instead of the configured one.
    """
    document, finding = _file(path)
    yield finding
    if document is not None:
        file = str(path or DEFAULT_ENDPOINTS)
        parsed = {name: _parsed(name, document, file) for name in SECTIONS}
        for name, look in (("tracker_store", _tracker_store), ("persistor", _persistor), ("models", _models)):
            found = parsed[name]
            if isinstance(found, Exception):
                yield _failed(name, found)
                continue
            remember(found)
            finding = _guarded(name, partial(look, found, parsed["persistor"], remote_storage))
            if finding.error is not None:
                parsed[name] = finding.error
            yield finding
    if domain is not None or DEFAULT_DOMAIN.is_file():
        yield _guarded("domain", partial(_domain, domain or DEFAULT_DOMAIN))


def _file(path: Path | None) -> tuple[dict[Any, Any] | None, Finding]:
    """What stands in the file, `None` if it cannot be read; the sections are not looked at."""
    shown = path or DEFAULT_ENDPOINTS
    if path is None and not shown.exists():
        return {}, Finding(FILE, "default", f"there is no {shown} here: the defaults apply")
    document = None
    try:
        document = read_yaml(shown)
        document = {} if document is None else document
        # Without what stands in the sections, only their names are judged.
        parse_endpoints(dict.fromkeys(document) if isinstance(document, dict) else document, str(shown), os.environ)
    except HoldfastError as error:
        return document if isinstance(document, dict) else None, _failed(FILE, error)
    foreign = [str(name) for name in document if name not in SECTIONS]
    others = f"; not ours and left alone: {', '.join(map(_with_likeness, foreign))}" if foreign else ""
    return document, Finding(FILE, "ok", f"{shown}{others}")


def _with_likeness(name: str) -> str:
    close = difflib.get_close_matches(name, SECTIONS, n=1, cutoff=0.85)
    return f"{name} (did you mean {close[0]}?)" if close else name


def _parsed(name: str, document: dict[Any, Any], file: str) -> Endpoints | Exception:
    try:
        return parse_endpoints({name: document[name]} if name in document else {}, file, os.environ)
    except HoldfastError as error:
        return error


def _guarded(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # noqa: BLE001  # an SDK may raise anything
        return _failed(name, error)


def _failed(name: str, error: Exception) -> Finding:
    return Finding(name, "failed", type(error).__name__, error)


def _tracker_store(found: Endpoints, _: Endpoints | Exception, __: str | None) -> Finding:
    store = open_tracker_store(found)
    with closing(Conversations(store.opened, name=store.name, errors=store.errors)) as conversations:
        count = conversations.count()
    if store.is_default:
        return Finding(
            "tracker_store",
            "default",
            "no section tracker_store: conversations are kept in memory and are gone when the process ends",
        )
    rule = found.tracker_store.session_rule
    return Finding("tracker_store", "ok", f"{store.name}: {_counted(count, 'conversation')}, session rule {rule.value}")


def _persistor(found: Endpoints, _: Endpoints | Exception, remote_storage: str | None) -> Finding:
    opened = open_persistor(found, remote_storage)
    if opened is None:
        return Finding("persistor", "default", "no section persistor: models are neither pushed nor pulled")
    with closing(opened.opened) as persistor, wrapping(opened.errors, f"persistor {opened.name!r}"):
        folder = f"{opened.prefix}/" if opened.prefix else ""
        if isinstance(persistor, ListsObjects):
            empty = next(iter(persistor.list(folder)), None) is None
            what = "answers, and is empty" if empty else "answers, and holds models"
        else:
            persistor.stat(f"{folder}{_PROBE}")
            what = "answers"
    return Finding("persistor", "ok", f"{opened.name}: {what}")


def _models(found: Endpoints, persistor: Endpoints | Exception, remote_storage: str | None) -> Finding:
    config = found.models
    if config is None:
        return Finding("models", "default", "no section models: `holdfast run` takes the latest archive in ./models")
    if config.url is not None:
        raise ConfigurationError(MODEL_SERVER)
    if config.path is not None:
        if config.path.is_dir():
            count = sum(1 for archive in config.path.glob("*.tar.gz") if archive.is_file())
            if count == 0:
                raise ModelNotFoundError(f"models: path: the directory {config.path} holds no *.tar.gz")
            return Finding("models", "ok", f"the latest of {_counted(count, 'archive')} in {config.path}")
        if not config.path.is_file():
            raise ModelNotFoundError(f"models: path: nothing stands at {config.path}")
        return Finding("models", "ok", f"the archive {config.path}")
    if isinstance(persistor, Exception):
        return Finding("models", "unknown", f"{config.name} is in the persistor, which is to be repaired first")
    from holdfast.commands.models.opening import models_of

    with closing(models_of(replace(persistor, models=config), remote_storage)) as models:
        model = models.get(str(config.name))
    return Finding("models", "ok", f"{model.name} in the persistor, {model.size} bytes")


def _domain(path: Path) -> Finding:
    domain = Domain.load(path)
    minutes = domain.session.expiration_minutes
    ends = f"sessions end after {minutes:g} minutes" if minutes else "sessions never end"
    return Finding("domain", "ok", f"{path}: {_counted(len(domain.slots or ()), 'slot')}, {ends}")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
