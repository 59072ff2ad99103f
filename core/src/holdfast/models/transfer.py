"""The transfer engine: an archive moves once, and is hashed and inspected while it moves.

For now one stream, in order. Memory does not depend on the size of the archive.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from holdfast.errors import ModelError, ModelNotFoundError, VerificationError
from holdfast.models import scratch
from holdfast.models.archive import ArchiveFacts, UnpackLimits, inspect
from holdfast.models.persistor import ObjectStat
from holdfast.models.storage import Storage
from holdfast.models.worker import Worker, sha256

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total, in the thread that moves them; what it raises ends the transfer."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a whole archive told: its digest (SHA-256 in hexadecimal), its size, and what it says of itself."""

    sha256: str
    size: int
    facts: ArchiveFacts


def check(archive: Path, limits: UnpackLimits, progress: Progress | None = None) -> Checked:
    """Read the local file `archive` once: hash it, and inspect it by the rules of unpacking.

    Raises:
        ModelNotFoundError: there is no such file.
        UnsafeArchiveError: it is no model, damaged, or hostile.
    """
    with _Source(archive, limits) as source:
        for offset, block in source.blocks(_BLOCK):
            _tell(progress, offset + len(block), source.size)
        return source.checked()


def send(
    archive: Path,
    storage: Storage,
    key: str,
    limits: UnpackLimits,
    *,
    progress: Progress | None = None,
    ready: Callable[[], None] | None = None,
) -> tuple[Checked, ObjectStat]:
    """Store the local file `archive` under `key`, inspected before it becomes visible.

    Args:
        archive: the file.
        storage: where to.
        key: the full key; what stands there is replaced.
        limits: what the archive may unpack to.
        progress: told after each part.
        ready: called when all is checked, just before the object becomes visible; what it raises prevents that.

    Returns:
        what the archive is, and what the storage says of the new object.

    Raises:
        UnsafeArchiveError: it is no model, damaged or hostile; nothing became visible.
    """
    with _Source(archive, limits) as source:
        started = storage.start_upload(key, source.size)
        if started is None:
            # The persistor takes whole files only: read once to check, and let it read again.
            for _offset, _part in source.blocks(_BLOCK):
                pass
            checked = source.checked()
            if ready is not None:
                ready()
            storage.upload(archive, key)
            source.unchanged()
            _tell(progress, source.size, source.size)
        else:
            upload, part_size = started
            with upload:
                for offset, part in source.blocks(part_size):
                    upload.write(offset, part)
                    _tell(progress, offset + len(part), source.size)
                checked = source.checked()
                if ready is not None:
                    ready()
                upload.finish()
    stored = storage.stat(key)
    if stored is None or stored.size != checked.size:
        there = "nothing" if stored is None else f"{stored.size} bytes"
        raise VerificationError(f"{storage} holds {there} under {key!r} after an upload of {checked.size} bytes")
    return checked, stored


def fetch(
    storage: Storage,
    stat: ObjectStat,
    drafts: Path,
    place: Callable[[str], Path],
    *,
    digest: str | None = None,
    mode: int | None = None,
    progress: Progress | None = None,
) -> tuple[Path, str]:
    """Copy one version of an object to a local file, which appears only when it is complete and verified.

    Args:
        storage: where from.
        stat: the version.
        drafts: directory for the file while it is incomplete, on the filesystem of its place.
        place: tells the final path, given the digest.
        digest: SHA-256, in hexadecimal, that the bytes must have; without it any will do.
        mode: permissions of the file; by default those of any new file.
        progress: told after each piece.

    Returns:
        the final path and the digest.

    Raises:
        VerificationError: the bytes are not those promised.
        ModelError: there is no room for them.
    """
    free = scratch.free_space(drafts)
    if free < stat.size:
        raise ModelError(f"{stat.key!r} has {stat.size} bytes but {drafts} has room for {free}: free some space")
    scratch.sweep(drafts)
    with scratch.Draft(drafts) as draft, Worker(sha256) as hasher:
        for block in storage.read(stat):
            hasher.feed(block)
            draft.write(block)
            _tell(progress, draft.size, stat.size)
        found = hasher.result()
        agree(storage, stat, draft.size, found, digest)
        final = place(found)
        draft.publish(final, mode=mode)
    return final, found


def read_back(storage: Storage, stat: ObjectStat, limits: UnpackLimits | None, progress: Progress | None) -> Checked:
    """Read an object without keeping it: hash it and, given `limits`, inspect it, too."""
    with ExitStack() as stack:
        hasher = stack.enter_context(Worker(sha256))
        inspector = stack.enter_context(Worker(lambda blocks: inspect(blocks, limits))) if limits is not None else None
        size = 0
        for block in storage.read(stat):
            hasher.feed(block)
            if inspector is not None:
                inspector.feed(block)
            size += len(block)
            _tell(progress, size, stat.size)
        facts = ArchiveFacts() if inspector is None else inspector.result()
        return Checked(hasher.result(), size, facts)


def agree(storage: Storage, stat: ObjectStat, size: int, found: str, digest: str | None) -> None:
    """Raise `VerificationError` unless as many bytes came as `stat` says, and with the digest that was promised."""
    if size != stat.size:
        raise VerificationError(f"{storage} gave {size} bytes of {stat.key!r}, not {stat.size}: try again")
    if digest is not None and found != digest:
        raise VerificationError(
            f"{stat.key!r} in {storage} has the SHA-256 {found}, not {digest} as its manifest says: "
            "it was damaged or replaced; push the model again with overwrite"
        )


class _Source:
    """A local archive that is read once, with hashing and inspecting in threads beside."""

    def __init__(self, archive: Path, limits: UnpackLimits) -> None:
        self._archive = archive
        self._hasher = Worker(sha256)
        self._inspector = Worker(lambda blocks: inspect(blocks, limits))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._file = self._stack.enter_context(self._archive.open("rb", buffering=0))
        except (FileNotFoundError, IsADirectoryError) as error:
            raise ModelNotFoundError(f"no archive at {self._archive}: a model is a .tar.gz file") from error
        self._before = os.fstat(self._file.fileno())
        self.size = self._before.st_size
        self._stack.enter_context(self._hasher)
        self._stack.enter_context(self._inspector)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def blocks(self, size: int) -> Iterator[tuple[int, memoryview]]:
        """Yield offset and bytes of each block of `size`; the last may be smaller."""
        offset = 0
        while block := self._read(size):
            view = memoryview(block).toreadonly()
            for start in range(0, len(view), _BLOCK):
                self._hasher.feed(view[start : start + _BLOCK])
                self._inspector.feed(view[start : start + _BLOCK])
            yield offset, view
            offset += len(view)

    def checked(self) -> Checked:
        """Return what was found; raises if the archive is unsafe or changed meanwhile."""
        facts = self._inspector.result()
        digest = self._hasher.result()
        self.unchanged()
        return Checked(digest, self.size, facts)

    def unchanged(self) -> None:
        """Raise `VerificationError` if the file was changed since it was opened."""
        now = self._archive.stat()
        for fact in ("st_ino", "st_size", "st_mtime_ns"):
            if getattr(now, fact) != getattr(self._before, fact):
                raise VerificationError(f"{self._archive} was changed while it was read; push it when it is complete")

    def _read(self, size: int) -> bytearray:
        block = bytearray(size)
        filled = 0
        with memoryview(block) as view:
            while filled < size and (count := self._file.readinto(view[filled:])):
                filled += count
        del block[filled:]
        return block


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
