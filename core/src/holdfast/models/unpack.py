"""Unpacking a model archive: nothing is visible before all is checked and on the disk, and then it is read-only."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

from holdfast.errors import ModelError, VerificationError
from holdfast.models import scratch
from holdfast.models.archive import ArchiveFacts, Rules, UnpackLimits, facts_in_tree, read_blocks, walk
from holdfast.models.scratch import WriteBehind
from holdfast.models.tarstream import TarStream, inflate
from holdfast.models.worker import Block, Worker, sha256

_SYNC_THREADS = 8
_SYNCS_WAITING = 64  # each holds an open file
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(
    archive: Path,
    target: Path,
    *,
    digest: str | None = None,
    limits: UnpackLimits | None = None,
    drafts: Path | None = None,
) -> ArchiveFacts:
    """Unpack the file `archive` into the directory `target`: files 0444, directories 0555, owner and times dropped.

    A `target` that exists by the end is left alone: somebody else was faster with the same archive.

    Args:
        archive: a `.tar.gz`; it is read once.
        target: appears in one step, complete and durable.
        digest: SHA-256, in hexadecimal, that the archive must have.
        limits: how much it may unpack to.
        drafts: directory for the tree while it is incomplete, on the filesystem of `target`; by default beside it.

    Raises:
        UnsafeArchiveError: the archive is damaged or hostile; the message names member and rule.
        VerificationError: it has another digest.
        ModelError: the disk is full.
        OSError: the archive cannot be read, or the tree not written.
    """
    drafts = drafts or target.parent
    scratch.make_folder(target.parent)
    scratch.make_folder(drafts)
    scratch.sweep(drafts)
    tree = drafts / scratch.draft_name()
    tree.mkdir(mode=0o700)
    try:
        facts = _fill(archive, tree, digest, limits or UnpackLimits())
        try:
            tree.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        else:
            target.chmod(0o555)  # only now: moving a directory needs write permission on it
            scratch.sync_folder(target.parent)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise ModelError(f"no space is left to unpack {archive} into {target.parent}: free some") from error
        raise
    finally:
        scratch.remove(tree)
    return facts


def _fill(archive: Path, tree: Path, digest: str | None, limits: UnpackLimits) -> ArchiveFacts:
    """One thread inflates, one hashes, one writes, some move what is written to the disk."""
    with Worker(sha256) as hasher, Worker(lambda blocks: _write(blocks, tree, limits)) as writer:

        def compressed() -> Iterator[bytes]:
            for block in read_blocks(archive):
                if digest is not None:
                    hasher.feed(block)
                yield block

        for block in inflate(compressed(), limits):
            writer.feed(block)
        facts = writer.result()
        if digest not in {None, found := hasher.result()}:
            raise VerificationError(f"{archive} has the SHA-256 {found}, not {digest}: it was changed; get it again")
    return facts


def _write(blocks: Iterable[Block], path: Path, limits: UnpackLimits) -> ArchiveFacts:
    stream, rules = TarStream(blocks), Rules(limits)
    with _Tree(path) as tree:
        for member, parts in walk(stream, rules):
            if member.type == "5":
                tree.folder(parts)
                continue
            file = tree.new_file(parts)
            for data in stream.data():
                file.write(data)
            tree.sync(file)
        tree.seal()
    return replace(facts_in_tree(path), members=rules.members, unpacked_size=rules.size)


class _Tree:
    """A tree under construction; every step goes through the descriptor of a directory and follows no link."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[tuple[str, int]] = [("", os.open(path, _FOLDER))]  # from the top to where we are
        self._pool = ThreadPoolExecutor(_SYNC_THREADS, "holdfast-sync")
        self._syncing: deque[Future[None]] = deque()
        self._file: WriteBehind | None = None  # the one being written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.drop()
        self._pool.shutdown()
        for _name, descriptor in self._open:
            os.close(descriptor)

    def folder(self, parts: tuple[str, ...]) -> int:
        """Return the descriptor of a folder, which is made if it is missing, as are those above it."""
        here = 0
        while here < min(len(parts), len(self._open) - 1) and self._open[here + 1][0] == parts[here]:
            here += 1
        while len(self._open) > here + 1:
            os.close(self._open.pop()[1])
        for part in parts[here:]:
            above = self._open[-1][1]
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=above)
            self._open.append((part, os.open(part, _FOLDER, dir_fd=above)))
        return self._open[-1][1]

    def new_file(self, parts: tuple[str, ...]) -> WriteBehind:
        """Create a file; `sync` takes it when it is written."""
        self._file = WriteBehind(os.open(parts[-1], _NEW_FILE, 0o600, dir_fd=self.folder(parts[:-1])), self._pool)
        return self._file

    def sync(self, file: WriteBehind) -> None:
        """Make a finished file read-only and durable, while the next ones are written."""
        self._file = None
        self._syncing.append(self._pool.submit(file.finish, 0o444))
        if len(self._syncing) > _SYNCS_WAITING:
            self._syncing.popleft().result()

    def seal(self) -> None:
        """Wait until all files are durable, then make the directories so and read-only, the top one excepted."""
        for done in self._syncing:
            done.result()
        self.folder(())
        top = self._open[0][1]
        for _folder, names, _files, descriptor in os.fwalk(".", topdown=False, dir_fd=top):
            os.fsync(descriptor)
            for name in names:
                os.chmod(name, 0o555, dir_fd=descriptor)  # noqa: S103  # read-only for all
