"""Which models a storage holds: looking one up, listing them, finding the latest, deleting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from holdfast.errors import HoldfastError, ModelNotFoundError, UnsafeArchiveError, VerificationError
from holdfast.models.archive import UnpackLimits, facts_in
from holdfast.models.manifest import MANIFEST_LIMIT, Layout, Manifest, Model, model_name, model_of
from holdfast.models.persistor import ObjectStat
from holdfast.models.storage import Storage

_SHOWN = 5
_REMEMBERED = 10_000
_RETRACTED = b"{}"


class Catalog:
    """The models of one storage under one prefix."""

    def __init__(self, storage: Storage, layout: Layout, limits: UnpackLimits) -> None:
        self._storage = storage
        self._layout = layout
        self._limits = limits
        # A version of an object never changes, so what was read of it stays true.
        self._manifests: dict[tuple[str, str], Manifest] = {}
        self._trained: dict[tuple[str, str], datetime | None] = {}

    def get(self, name: str) -> Model:
        """Return one model; its manifest must be sound if there is one.

        Raises:
            ModelNotFoundError: no archive of that name; the message shows what there is.
            VerificationError: archive and manifest contradict each other.
        """
        stat, manifest = self.find(name)
        return model_of(model_name(name), stat, manifest)

    def find(self, name: str) -> tuple[ObjectStat, Manifest | None]:
        """Return the archive's stat and its manifest; as `get`."""
        contradiction = ""
        for _attempt in range(3):  # somebody may overwrite the model between our two looks
            manifest = self.manifest(name)
            stat = self.stat(name)
            if stat is None:
                raise self.missing(name)
            if manifest is None or manifest.size == stat.size:
                return stat, manifest
            contradiction = f"{stat.key!r} in {self._storage} has {stat.size} bytes, not {manifest.size}"
        raise VerificationError(
            f"{contradiction} as its manifest says: it was damaged or replaced; push the model again with overwrite"
        )

    def stat(self, name: str) -> ObjectStat | None:
        """Return what the storage knows of the archive, if it is there."""
        return self._storage.stat(self._layout.archive(model_name(name)))

    def manifest(self, name: str) -> Manifest | None:
        """Return the manifest, if there is one; raises `VerificationError` if it is damaged."""
        stat = self._storage.stat(self._layout.manifest(model_name(name)))
        return None if stat is None else self._read(stat)

    def list(self) -> Iterator[Model]:
        """Yield all models by name; one whose manifest is damaged, or of other bytes, appears as one without."""
        archives: list[tuple[str, ObjectStat]] = []
        manifests: dict[str, ObjectStat] = {}
        for stat in self._storage.list(self._layout.root):
            if (name := self._layout.name(stat.key)) is not None:
                archives.append((name, stat))
            elif (name := self._layout.manifest_name(stat.key)) is not None:
                manifests[name] = stat
        for name, stat in sorted(archives, key=lambda each: each[0]):
            yield model_of(name, stat, self._matching(stat, manifests.get(name)))

    def latest(self) -> Model:
        """Return the model that was trained last.

        An archive without manifest is read up to its metadata; if that has no time, the storage's own counts.

        Raises:
            ModelNotFoundError: there is no model at all.
        """
        models = [self._dated(model) for model in self.list()]
        if not models:
            raise ModelNotFoundError(f"{self._storage} holds no models under {self._layout.root or '/'!r}; push one")
        return max(models, key=lambda model: (model.trained_at or model.modified, model.name))

    def publish(self, manifest: Manifest) -> None:
        """Store a manifest."""
        self._storage.write_small(self._layout.manifest(manifest.name), manifest.to_json())

    def retract(self, name: str) -> None:
        """Take a manifest away, before its archive is replaced."""
        key = self._layout.manifest(name)
        if self._storage.stat(key) is None:
            return
        if self._storage.deletes:
            self._storage.delete(key)
        else:
            # This promises nothing, so it can stand beside any archive.
            self._storage.write_small(key, _RETRACTED)

    def delete(self, name: str) -> None:
        """Delete a model; its manifest goes first, so that none is ever left without its archive.

        Raises:
            ModelNotFoundError: there is none.
        """
        name = model_name(name)
        promised = self._storage.delete(self._layout.manifest(name))
        if not self._storage.delete(self._layout.archive(name)) and not promised:
            raise self.missing(name)

    def missing(self, name: str) -> ModelNotFoundError:
        """Return the error that says so, and what there is instead."""
        there = ""
        with suppress(HoldfastError):
            keys = (stat.key for stat in self._storage.list(self._layout.root))
            names = sorted(found for key in keys if (found := self._layout.name(key)))
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            there = f"; there are {', '.join(map(repr, names[-_SHOWN:]))}{more}" if names else "; there are none"
        return ModelNotFoundError(f"no model {model_name(name)!r} in {self._storage}{there}")

    def _read(self, stat: ObjectStat) -> Manifest | None:
        known = self._manifests.get((stat.key, stat.version))
        if known is not None:
            return known
        try:
            text = self._storage.read_small(stat, MANIFEST_LIMIT)
        except ModelNotFoundError:
            return None  # retracted since
        if text == _RETRACTED:
            return None
        manifest = Manifest.from_json(text, f"{stat.key!r} in {self._storage}")
        if len(self._manifests) >= _REMEMBERED:
            self._manifests.clear()
        self._manifests[stat.key, stat.version] = manifest
        return manifest

    def _matching(self, archive: ObjectStat, promise: ObjectStat | None) -> Manifest | None:
        if promise is None:
            return None
        try:
            manifest = self._read(promise)
        except VerificationError:
            return None
        return manifest if manifest is not None and manifest.size == archive.size else None

    def _dated(self, model: Model) -> Model:
        if model.sha256 is not None:
            return model
        stat = self.stat(model.name)
        if stat is None:
            return model
        version = (stat.key, stat.version)
        if version not in self._trained:
            try:
                self._trained[version] = facts_in(self._storage.read(stat), self._limits).trained_at
            except UnsafeArchiveError:
                self._trained[version] = None
        return replace(model, trained_at=self._trained[version])
