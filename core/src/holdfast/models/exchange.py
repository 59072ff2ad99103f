"""Pushing and pulling: the order of steps that keeps a storage true whenever it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from holdfast.errors import ModelExistsError, VerificationError
from holdfast.models import transfer
from holdfast.models.archive import UnpackLimits
from holdfast.models.cache import Cache
from holdfast.models.catalog import Catalog
from holdfast.models.manifest import Layout, Manifest, Model, Verification, model_name, model_of
from holdfast.models.persistor import ObjectStat
from holdfast.models.storage import Storage
from holdfast.models.transfer import Checked, Progress

T = TypeVar("T")

_READ_ONLY = 0o444


class Exchange:
    """Moves archives between this machine and a storage; arguments and errors are those of `Models`."""

    def __init__(self, storage: Storage, layout: Layout, catalog: Catalog, cache: Cache, limits: UnpackLimits) -> None:
        self._storage = storage
        self._layout = layout
        self._catalog = catalog
        self._cache = cache
        self._limits = limits

    def push(self, archive: Path, name: str, overwrite: bool, progress: Progress | None) -> Model:
        """See `Models.push`.

        The manifest is written last. What a kill leaves is an archive without one, which is a model all the same, and
        which the next push of these bytes adopts.
        """
        name = model_name(name)
        stored = self._catalog.stat(name)
        if stored is not None:
            checked = transfer.check(archive, self._limits)
            manifest = self._promise(name)
            if self._digest_of(stored, manifest, checked.size) == checked.sha256:
                if manifest is None or manifest.sha256 != checked.sha256:
                    manifest = self._publish(name, checked)
                return model_of(name, stored, manifest)
            if not overwrite:
                raise ModelExistsError(
                    f"model {name!r} in {self._storage} has other bytes than {archive}: "
                    "push under another name, or with overwrite"
                )
        checked, stat = transfer.send(
            archive,
            self._storage,
            self._layout.archive(name),
            self._limits,
            progress=progress,
            # Before the old archive goes, its manifest must: it would name other bytes.
            ready=lambda: self._catalog.retract(name),
        )
        return model_of(name, stat, self._publish(name, checked))

    def copy(self, name: str, target: Path, progress: Progress | None) -> Path:
        """Pull to a file, or into a directory."""

        def fetch(stat: ObjectStat, manifest: Manifest | None) -> Path:
            final = target / Path(stat.key).name if target.is_dir() else target
            digest = None if manifest is None else manifest.sha256
            transfer.fetch(self._storage, stat, final.parent, lambda _: final, digest=digest, progress=progress)
            return final

        return self._steady(name, fetch)

    def cached(self, name: str, progress: Progress | None) -> tuple[Path, str]:
        """Return the archive in the local cache, pulled now unless it is there already, and its digest."""

        def fetch(stat: ObjectStat, manifest: Manifest | None) -> tuple[Path, str]:
            digest = None if manifest is None else manifest.sha256
            if digest is not None and (blob := self._cache.verified_blob(digest)) is not None:
                return blob, digest
            return transfer.fetch(
                self._storage,
                stat,
                self._cache.drafts,
                self._cache.blob,
                digest=digest,
                mode=_READ_ONLY,
                progress=progress,
            )

        with self._cache.turn("pull", model_name(name)):
            return self._steady(name, fetch)

    def verify(self, name: str, progress: Progress | None) -> Verification:
        """See `Models.verify`."""

        def read(stat: ObjectStat, manifest: Manifest | None) -> Verification:
            checked = transfer.read_back(self._storage, stat, None if manifest else self._limits, progress)
            digest = None if manifest is None else manifest.sha256
            transfer.agree(self._storage, stat, checked.size, checked.sha256, digest)
            return Verification(model_name(name), stat.key, checked.size, checked.sha256, manifest is not None)

        return self._steady(name, read)

    def _steady(self, name: str, action: Callable[[ObjectStat, Manifest | None], T]) -> T:
        """Do something with a stored archive, and again if it was overwritten meanwhile."""
        for _attempt in range(2):
            stat, manifest = self._catalog.find(name)
            try:
                return action(stat, manifest)
            except VerificationError:
                now = self._catalog.stat(name)
                if now is not None and now.version == stat.version:
                    raise
        return action(*self._catalog.find(name))

    def _promise(self, name: str) -> Manifest | None:
        try:
            return self._catalog.manifest(name)
        except VerificationError:
            return None  # damaged, so it promises nothing, and this push replaces it

    def _digest_of(self, stored: ObjectStat, manifest: Manifest | None, size: int) -> str | None:
        """Return the digest of what is stored, reading it only if nothing else says; `None` if not even the size fits."""
        if stored.size != size:
            return None
        if manifest is not None and manifest.size == size:
            return manifest.sha256
        return transfer.read_back(self._storage, stored, None, None).sha256

    def _publish(self, name: str, checked: Checked) -> Manifest:
        key = self._layout.archive(name)
        manifest = Manifest(name, key, checked.size, checked.sha256, datetime.now(UTC), checked.facts)
        self._catalog.publish(manifest)
        return manifest
