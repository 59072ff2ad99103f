"""The persistor `disk`: models in a directory, for one machine or a shared filesystem."""

from __future__ import annotations

import os
import shutil
import stat as modes
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from holdfast.backend import Backend, BackendConfig
from holdfast.errors import BackendError, ModelError, ModelNotFoundError, UnavailableError, VerificationError
from holdfast.hooks import hookimpl
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

DRAFTS = ".holdfast-drafts"
"""Folder inside the directory for uploads under way: the same filesystem, and never listed."""

_CHUNK = 1 << 20


class DiskConfig(BackendConfig):
    """The keys of a `persistor:` section of type `disk`."""

    path: Path
    """The directory; it is made by the first upload."""


class DiskPersistor(Persistor, ReadsRanges, WritesParts, ListsObjects, DeletesObjects):
    """Each object is the file of that name below `path`.

    An upload is a draft until it is whole and on the disk; what killed uploads left behind is removed by later ones.
    """

    part_size = _CHUNK

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()
        self._drafts = self._path / DRAFTS

    def upload(self, archive: Path, key: str) -> None:
        with archive.open("rb", buffering=0) as source:
            size = os.fstat(source.fileno()).st_size
            with self.start_upload(key, size) as upload:
                offset = 0
                while data := source.read(_CHUNK):
                    upload.write(offset, data)
                    offset += len(data)
                upload.finish()

    def download(self, key: str, archive: Path) -> None:
        # One open file is one version, however often the name is given to another meanwhile.
        with self._open(key) as source, archive.open("wb", buffering=0) as target:
            shutil.copyfileobj(source, target, _CHUNK)

    def stat(self, key: str) -> ObjectStat | None:
        try:
            found = self._file(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _describe(key, found) if modes.S_ISREG(found.st_mode) else None

    def read_range(self, stat: ObjectStat, first: int, size: int) -> Iterator[bytes]:
        with self._open(stat.key) as source:
            # From here on the open file pins the version: an upload replaces the name, never these bytes.
            if _describe(stat.key, os.fstat(source.fileno())).version != stat.version:
                raise VerificationError(f"{stat.key!r} in {self._path} was replaced since it was looked up; try again")
            source.seek(first)
            while size > 0:
                data = source.read(min(size, _CHUNK))
                if not data:
                    raise VerificationError(f"{stat.key!r} in {self._path} ends {size} bytes too early")
                yield data
                size -= len(data)

    def start_upload(self, key: str, size: int) -> PartUpload:
        final = self._file(key)
        free = scratch.free_space(self._path)
        if free < size:
            raise BackendError(
                f"{key!r} has {size} bytes but {self._path} has room for {free}: free some space or choose another path"
            )
        scratch.sweep(self._drafts)
        return _Upload(self._drafts, final, size)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        if self._path.is_dir():
            yield from self._walk("", prefix)

    def delete(self, key: str) -> bool:
        try:
            self._file(key).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _file(self, key: str) -> Path:
        parts = key.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or "\\" in key or "\0" in key or parts[0] == DRAFTS:
            raise ModelError(
                f"{key!r} is no key of a disk persistor: parts between '/' must not be empty, '.' or '..', the first "
                f"must not be {DRAFTS!r}, and neither backslash nor NUL may occur"
            )
        return self._path / key

    def _open(self, key: str) -> FileIO:
        try:
            file = FileIO(self._file(key))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ModelNotFoundError(f"no object {key!r} in {self._path}") from None
        return file

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectStat]:
        try:
            with os.scandir(self._path / folder) as scan:
                # With its slash a folder sorts among the files as its keys do.
                keys = sorted(f"{folder}{entry.name}{'/' * entry.is_dir(follow_symlinks=False)}" for entry in scan)
        except FileNotFoundError:
            return  # deleted while we walk
        for key in keys:
            if key == f"{DRAFTS}/" or "\\" in key or not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if key.endswith("/"):
                yield from self._walk(key, prefix)
            elif key.startswith(prefix) and (found := self.stat(key)):
                yield found


class _Upload(PartUpload):
    def __init__(self, drafts: Path, final: Path, size: int) -> None:
        self._draft = scratch.Draft(drafts)
        self._final = final
        self._size = size

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self._draft.write(data, offset)

    def finish(self) -> None:
        if (size := self._draft.size) != self._size:
            raise VerificationError(f"{self._final}: {size} bytes were written, not the {self._size} announced")
        self._draft.publish(self._final)

    def abandon(self) -> None:
        self._draft.abandon()


def _describe(key: str, found: os.stat_result) -> ObjectStat:
    version = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    return ObjectStat(key, found.st_size, found.st_mtime, version)


def _errors() -> dict[type[BaseException], type[BackendError]]:
    return {ConnectionError: UnavailableError, TimeoutError: UnavailableError, OSError: BackendError}


@hookimpl
def holdfast_persistor() -> Backend[DiskConfig, DiskPersistor]:
    """Return the backend `disk`."""
    return Backend(
        config=DiskConfig,
        open=lambda config: DiskPersistor(config.path),
        errors=_errors,
        summary="models in a directory: a local disk or a shared filesystem",
    )
