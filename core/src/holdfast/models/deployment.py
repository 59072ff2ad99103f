"""Deploying: one small file says what is deployed, and replacing it is the switch.

The file lists what was deployed before, too, so that rolling back needs no storage. Everything it names by digest is
unpacked before the switch, so a kill leaves the old deployment or the new one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.errors import DeploymentError
from holdfast.models import scratch
from holdfast.models.archive import UnpackLimits, facts_in_tree, parse_time
from holdfast.models.cache import Cache
from holdfast.models.manifest import is_digest, iso

OnLoad = Callable[["Deployment"], None]
"""How the application takes a model: it loads it from `Deployment.path` and returns, or raises to refuse it."""

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model that is, or was, deployed here.

    Attributes:
        name: of the model; of a local archive, its file name without `.tar.gz`.
        digest: SHA-256 of the archive, in lower-case hexadecimal.
        path: the unpacked model, read-only.
        source: where it came from: a path, or the key in the storage.
        deployed_at: UTC, by the local clock.
        trained_at: when its training ended, UTC, if it says so.
        model_id: the training's own id.
        assistant_id: the assistant it was trained for.
    """

    name: str
    digest: str
    path: Path
    source: str
    deployed_at: datetime
    trained_at: datetime | None = None
    model_id: str | None = None
    assistant_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON has them; times are ISO 8601."""
        values = asdict(self)
        for key, value in values.items():
            if isinstance(value, datetime):
                values[key] = iso(value)
        return {**values, "path": str(self.path)}


@dataclass(frozen=True, slots=True)
class _State:
    current: Deployment | None = None
    history: tuple[Deployment, ...] = ()  # newest first, without the current one


class Deployments:
    """What is deployed in one local directory; used by many threads and processes at once."""

    def __init__(self, cache: Cache, limits: UnpackLimits) -> None:
        self._cache = cache
        self._limits = limits
        self._lock = threading.RLock()  # one load at a time in this process
        self._loaded: str | None = None

    def current(self) -> Deployment | None:
        """Return what is deployed; `None` if nothing is, or its tree was removed by hand."""
        current = self._read().current
        return current if current is not None and current.path.is_dir() else None

    def history(self) -> tuple[Deployment, ...]:
        """Return what was deployed before and can be rolled back to, newest first."""
        return self._read().history

    def deploy(
        self, name: str, digest: str, source: str, archive: Callable[[], Path], on_load: OnLoad | None
    ) -> Deployment:
        """Make a model the current deployment; see `Models.deploy`.

        Args:
            name: see `Deployment`.
            digest: likewise.
            source: likewise.
            archive: gets the archive, and is called only if the model is not unpacked yet.
            on_load: see `OnLoad`.
        """
        with self._lock:
            current = self.current()
            if current is not None and current.digest == digest:
                self._load(current, on_load, current)
                return current
            with self._cache.using(digest):
                wanted = self._unpack(Deployment(name, digest, self._cache.tree(digest), source, _now()), archive)
                self._load(wanted, on_load, current)
                with self._cache.switching():
                    state = self._read()
                    if state.current is None or state.current.digest != digest:
                        before = [each for each in (state.current, *state.history) if each]
                        history = [each for each in before if each.digest != digest]
                        self._write(_State(wanted, tuple(history[: self._cache.keep - 1])))
        self.prune()
        return wanted

    def rollback(self, on_load: OnLoad | None) -> Deployment:
        """Make the deployment before the current one current again; see `Models.rollback`."""
        with self._lock:
            state = self._read()
            if not state.history:
                raise DeploymentError(f"nothing was deployed in {self._cache.directory} before: deploy a model by name")
            previous = state.history[0]
            with self._cache.using(previous.digest):
                wanted = self._unpack(replace(previous, deployed_at=_now()), lambda: self._cached(previous))
                self._load(wanted, on_load, state.current)
                with self._cache.switching():
                    if self._read() != state:
                        raise DeploymentError(
                            f"another process deployed in {self._cache.directory} meanwhile; look first"
                        )
                    self._write(_State(wanted, state.history[1:]))
        self.prune()
        return wanted

    def prune(self) -> None:
        """Remove what is neither deployed, nor in the history, nor among the newest."""
        self._cache.prune(self._needed)

    def _needed(self) -> set[str]:
        state = self._read()
        return {each.digest for each in (state.current, *state.history) if each}

    def _cached(self, wanted: Deployment) -> Path:
        blob = self._cache.blob(wanted.digest)
        if not blob.is_file():
            raise DeploymentError(
                f"model {wanted.name!r} ({wanted.digest[:12]}) is no longer in {self._cache.directory}: "
                f"deploy it again from {wanted.source}"
            )
        return blob

    def _unpack(self, wanted: Deployment, archive: Callable[[], Path]) -> Deployment:
        """Have it unpacked, and complete it with what the archive says about itself."""
        if not wanted.path.is_dir():
            self._cache.unpack(archive(), wanted.digest, self._limits)
        facts = facts_in_tree(wanted.path)
        return replace(wanted, trained_at=facts.trained_at, model_id=facts.model_id, assistant_id=facts.assistant_id)

    def _load(self, wanted: Deployment, on_load: OnLoad | None, current: Deployment | None) -> None:
        if on_load is None or self._loaded == wanted.digest:
            return
        try:
            on_load(wanted)
        except Exception as error:
            stays = "nothing is deployed" if current is None else f"{current.name!r} stays deployed"
            raise DeploymentError(
                f"the application refused model {wanted.name!r} ({wanted.digest[:12]}): "
                f"{type(error).__name__}: {error}; {stays}"
            ) from error
        self._loaded = wanted.digest

    def _read(self) -> _State:
        file = self._cache.deployed
        try:
            values = json.loads(file.read_bytes())
            schema = values["schema"]
            found = [self._parse(each) for each in values["deployments"]] if schema == _SCHEMA else []
        except FileNotFoundError:
            return _State()
        except (ValueError, KeyError, TypeError) as error:
            raise DeploymentError(f"{file} is damaged: remove it and deploy again") from error
        if not found:
            raise DeploymentError(f"{file} has the schema {schema!r}, which a newer holdfast wrote: upgrade this one")
        return _State(found[0], tuple(found[1:]))

    def _write(self, state: _State) -> None:
        deployments = [each.to_dict() for each in (state.current, *state.history) if each]
        for each in deployments:
            del each["path"]  # it follows from the digest, and the directory may be moved
        values = {"schema": _SCHEMA, "deployments": deployments}
        scratch.write_file(self._cache.deployed, json.dumps(values, indent=2).encode(), self._cache.drafts)

    def _parse(self, values: dict[str, Any]) -> Deployment:
        digest, deployed_at = values["digest"], parse_time(values["deployed_at"])
        if not is_digest(digest) or deployed_at is None:
            raise ValueError("a value is out of range")
        return Deployment(
            values["name"],
            digest,
            self._cache.tree(digest),
            values["source"],
            deployed_at,
            parse_time(values["trained_at"]),
            values["model_id"],
            values["assistant_id"],
        )


def _now() -> datetime:
    return datetime.now(UTC)
