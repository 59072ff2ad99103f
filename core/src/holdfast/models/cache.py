"""The local directory of an application: archives and unpacked trees by digest, and what is not finished yet.

<directory>/blobs/<sha256>.tar.gz       read-only
<directory>/unpacked/<sha256>/          read-only
<directory>/drafts/                     swept by the next run
<directory>/turns/                      locks by which processes spare each other work
<directory>/deployed.json               what is deployed; see `deployment.py`
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from zlib import crc32

from holdfast.errors import VerificationError
from holdfast.models import scratch
from holdfast.models.archive import UnpackLimits, read_blocks
from holdfast.models.manifest import SUFFIX, is_digest
from holdfast.models.unpack import unpack
from holdfast.models.worker import sha256

_LOCKS = 256


class Cache:
    """The archives and trees below `directory`, which is made by the first write.

    Args:
        directory: on one filesystem, writable, and shared at most by applications that deploy the same models.
        keep: how many archives and how many trees stay.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self.directory = directory.expanduser().absolute()
        self.drafts = self.directory / "drafts"
        self.deployed = self.directory / "deployed.json"
        self.keep = keep

    def blob(self, digest: str) -> Path:
        """Return where the archive with this digest belongs."""
        return self.directory / "blobs" / f"{digest}{SUFFIX}"

    def tree(self, digest: str) -> Path:
        """Return where the archive with this digest is unpacked to."""
        return self.directory / "unpacked" / digest

    def verified_blob(self, digest: str) -> Path | None:
        """Return the archive with this digest if it is here and, read again, still has it."""
        blob = self.blob(digest)
        try:
            if sha256(read_blocks(blob)) != digest:
                return None
        except FileNotFoundError:
            return None
        _touch(blob)
        return blob

    def unpack(self, archive: Path, digest: str, limits: UnpackLimits) -> Path:
        """Return the tree of `archive`, unpacked now unless it was before. Raises as `unpack` does."""
        tree = self.tree(digest)
        with self.turn("unpack", digest):
            if tree.is_dir():
                _touch(tree)
            else:
                try:
                    unpack(archive, tree, digest=digest, limits=limits, drafts=self.drafts)
                except VerificationError:
                    if archive == self.blob(digest):
                        scratch.remove(archive)  # so that the next try gets it again
                    raise
        return tree

    def turn(self, what: str, subject: str) -> AbstractContextManager[None]:
        """Do a piece of work on one subject, a name or a digest, while others who want to do the same wait."""
        return scratch.turn(self._lock(what, subject))

    def using(self, digest: str) -> AbstractContextManager[None]:
        """Keep `prune` of every process away from one digest."""
        return scratch.turn(self._lock("use", digest), shared=True)

    def switching(self) -> AbstractContextManager[None]:
        """Change what is deployed while no other process does, or prunes."""
        return scratch.turn(self.directory / "turns" / "switch")

    def prune(self, needed: Callable[[], set[str]]) -> None:
        """Remove archives and trees beyond the newest `keep`, but none that is needed or being used."""
        with self.switching():
            digests = needed()
            for folder, suffix in ((self.directory / "blobs", SUFFIX), (self.directory / "unpacked", "")):
                for path in _by_age(folder, suffix)[self.keep :]:
                    if (digest := path.name.removesuffix(suffix)) not in digests:
                        self._discard(path, digest)

    def _discard(self, path: Path, digest: str) -> None:
        with scratch.free_turn(self._lock("use", digest)) as free, suppress(OSError):
            if free:
                # Under a draft's name first: a half removed tree must not stand under a digest.
                scratch.make_folder(self.drafts)
                away = self.drafts / scratch.draft_name()
                if path.is_dir():
                    path.chmod(0o700)
                path.rename(away)
                scratch.remove(away)

    def _lock(self, what: str, subject: str) -> Path:
        # A number, so that there are not ever more of these files.
        return self.directory / "turns" / f"{what}-{crc32(subject.encode()) % _LOCKS}"


def _by_age(folder: Path, suffix: str) -> list[Path]:
    """Return the paths named by a digest, newest first."""
    found: list[tuple[float, Path]] = []
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            if is_digest(path.name.removesuffix(suffix)):
                with suppress(FileNotFoundError):
                    found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)]


def _touch(path: Path) -> None:
    with suppress(OSError):  # `prune` may think it older than it is
        os.utime(path)
