"""One persistor as the rest of the core sees it: errors wrapped, capabilities asked for in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from holdfast.errors import ConfigurationError, ModelNotFoundError, UnsupportedError, VerificationError
from holdfast.models import scratch
from holdfast.models.persistor import (
    DeletesObjects,
    ListsObjects,
    ObjectStat,
    PartUpload,
    Persistor,
    ReadsRanges,
    WritesParts,
)
from holdfast.wrapping import Errors, wrapping

_COALESCE = 256 << 10


class Storage:
    """Every call to the persistor goes through here.

    Args:
        persistor: `None` if none is configured; then every use says so.
        name: the name of its backend, for messages.
        errors: see `Backend.errors`.
        drafts: local directory for files on their way to or from a persistor that moves nothing but files.
    """

    def __init__(self, persistor: Persistor | None, name: str, errors: Errors, drafts: Path) -> None:
        self._persistor = persistor
        self._name = name
        self._errors = errors
        self._drafts = drafts

    @property
    def configured(self) -> bool:
        """Whether there is a persistor at all."""
        return self._persistor is not None

    @property
    def lists(self) -> bool:
        """Whether the persistor lists objects."""
        return isinstance(self._persistor, ListsObjects)

    @property
    def deletes(self) -> bool:
        """Whether the persistor deletes objects."""
        return isinstance(self._persistor, DeletesObjects)

    def stat(self, key: str) -> ObjectStat | None:
        """See `Persistor.stat`."""
        with self._wrapping():
            return self._given().stat(key)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """See `ListsObjects.list`; raises `UnsupportedError` without that capability."""
        persistor = self._given()
        if not isinstance(persistor, ListsObjects):
            raise self._unsupported("ListsObjects", "listing models; name the model instead")
        with self._wrapping():
            yield from persistor.list(prefix)

    def delete(self, key: str) -> bool:
        """See `DeletesObjects.delete`; raises `UnsupportedError` without that capability."""
        persistor = self._given()
        if not isinstance(persistor, DeletesObjects):
            raise self._unsupported("DeletesObjects", "deleting; use the storage's own tools")
        with self._wrapping():
            return persistor.delete(key)

    def read(self, stat: ObjectStat) -> Iterator[bytes]:
        """Yield all bytes of one version of an object, in pieces of at least 256 KiB where there are as many."""
        persistor = self._given()
        if isinstance(persistor, ReadsRanges):
            with self._wrapping():
                yield from _coalesce(persistor.read_range(stat, 0, stat.size))
            return
        scratch.make_folder(self._drafts)
        scratch.sweep(self._drafts)
        copy = self._drafts / scratch.draft_name()
        try:
            with self._wrapping():
                persistor.download(stat.key, copy)
            if not copy.is_file():
                raise ModelNotFoundError(f"{self} gave no file for {stat.key!r}")
            with copy.open("rb", buffering=0) as file:
                while data := file.read(1 << 20):
                    yield data
        finally:
            copy.unlink(missing_ok=True)

    def read_small(self, stat: ObjectStat, limit: int) -> bytes:
        """Return an object of at most `limit` bytes."""
        if stat.size > limit:
            raise VerificationError(f"{stat.key!r} in {self} has {stat.size} bytes where at most {limit} make sense")
        return b"".join(self.read(stat))

    def start_upload(self, key: str, size: int) -> tuple[PartUpload, int] | None:
        """Begin to write an object in parts; the number is the bytes of a part. `None` without that capability."""
        persistor = self._given()
        if not isinstance(persistor, WritesParts):
            return None
        with self._wrapping():
            return _Wrapped(persistor.start_upload(key, size), self._wrapping), persistor.part_size

    def upload(self, archive: Path, key: str) -> None:
        """See `Persistor.upload`."""
        with self._wrapping():
            self._given().upload(archive, key)

    def write_small(self, key: str, data: bytes) -> None:
        """Store an object that fits in memory and in one part, replacing what stands there."""
        started = self.start_upload(key, len(data))
        if started is not None:
            upload, _part_size = started
            with upload:
                upload.write(0, data)
                upload.finish()
            return
        with scratch.Draft(self._drafts) as draft:
            draft.write(data)
            self.upload(draft.path, key)

    def close(self) -> None:
        """See `Persistor.close`."""
        if self._persistor is not None:
            with self._wrapping():
                self._persistor.close()

    def __str__(self) -> str:
        return f"persistor {self._name!r}"

    def _given(self) -> Persistor:
        if self._persistor is None:
            raise ConfigurationError(
                "no persistor is configured: add a `persistor:` section to endpoints.yml, or pass --remote-storage"
            )
        return self._persistor

    def _unsupported(self, capability: str, action: str) -> UnsupportedError:
        kind = type(self._persistor).__name__
        return UnsupportedError(f"{self} ({kind}) lacks the capability {capability}, needed for {action}")

    def _wrapping(self) -> AbstractContextManager[None]:
        return wrapping(self._errors, str(self))


class _Wrapped(PartUpload):
    def __init__(self, upload: PartUpload, wrap: Callable[[], AbstractContextManager[None]]) -> None:
        self._upload = upload
        self._wrap = wrap

    def write(self, offset: int, data: bytes | memoryview) -> None:
        with self._wrap():
            self._upload.write(offset, data)

    def finish(self) -> None:
        with self._wrap():
            self._upload.finish()

    def abandon(self) -> None:
        with self._wrap():
            self._upload.abandon()


def _coalesce(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        if not held and len(chunk) >= _COALESCE:
            yield chunk
            continue
        held.append(chunk)
        size += len(chunk)
        if size >= _COALESCE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
