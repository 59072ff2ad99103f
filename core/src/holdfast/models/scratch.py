"""Local files that survive a kill: drafts nobody sees, published in one step, and swept when their writer died.

A draft's name says who writes it: `.holdfast-<machine>-<pid>-<start>-<random>`. The machine is a hash of host name,
boot and process namespace, so that two containers with one host name never judge each other's processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from typing import Self

Data = bytes | bytearray | memoryview

ABANDONED_AFTER = 24 * 3600.0
"""Seconds after which a draft of a process that cannot be judged from here counts as abandoned."""

_NAME = re.compile(r"\.holdfast-(?P<machine>[0-9a-f]{12})-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{12}")
_WRITE_BACK = 8 << 20
"""Bytes after which a file starts to move to the disk, while more of it is still coming."""


def draft_name() -> str:
    """Return a fresh name for something this process has not finished."""
    pid = os.getpid()
    return f".holdfast-{_machine()}-{pid}-{_start(pid) or 0}-{secrets.token_hex(6)}"


def sweep(folder: Path) -> None:
    """Remove the drafts in `folder` whose writer is surely dead, or which are older than a day; touch nothing else."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None:
                continue
            with contextlib.suppress(OSError):  # another process sweeps the same draft
                here = match["machine"] == _machine()
                old = time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED_AFTER
                if old or (here and not _lives(int(match["pid"]), int(match["start"]))):
                    remove(Path(entry.path))


def remove(path: Path) -> None:
    """Remove a file or a whole tree, read-only or not; something already gone is fine."""
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            with contextlib.suppress(FileNotFoundError):
                Path(folder).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents; those that are new survive a power failure."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def free_space(folder: Path) -> int:
    """Return the bytes this process may still write below `folder`, which need not exist yet."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


class WriteBehind:
    """An open file that moves to the disk in another thread while it is still being written.

    Args:
        descriptor: open for writing; it is closed by `finish` or `drop`, whichever comes first.
        pool: where syncing happens; it runs what is submitted first, first.
    """

    def __init__(self, descriptor: int, pool: ThreadPoolExecutor) -> None:
        self._descriptor = descriptor
        self._pool = pool
        self._syncing: Future[None] | None = None
        self._unsynced = 0
        self._end = 0
        self._open = True

    @property
    def size(self) -> int:
        """Bytes up to the last one written."""
        return self._end

    def write(self, data: Data, offset: int | None = None) -> None:
        """Write all of `data` at `offset`, by default at the end."""
        offset = self._end if offset is None else offset
        view = memoryview(data)
        while view:
            done = os.pwrite(self._descriptor, view, offset)
            view, offset = view[done:], offset + done
        self._end = max(self._end, offset)
        self._unsynced += len(data)
        if self._unsynced >= _WRITE_BACK and (self._syncing is None or self._syncing.done()):
            self._unsynced = 0
            self._syncing = self._pool.submit(os.fdatasync, self._descriptor)

    def finish(self, mode: int | None = None) -> None:
        """Set the permissions, make the file durable, and close it."""
        try:
            if self._syncing is not None:
                self._syncing.result()
            if mode is not None:
                os.fchmod(self._descriptor, mode)
            os.fsync(self._descriptor)
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the file as it is; harmless after `finish`."""
        if self._open:
            self._open = False
            if self._syncing is not None:
                wait((self._syncing,))
            os.close(self._descriptor)


class Draft:
    """A file being written in `folder`: `publish` makes it visible, whole and durable; without it no trace stays.

    Args:
        folder: made if it is missing; on the filesystem of the final name.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.path = folder / draft_name()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._pool = ThreadPoolExecutor(1, "holdfast-sync")
        self._file = WriteBehind(os.open(self.path, flags, 0o666), self._pool)
        self._published = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    @property
    def size(self) -> int:
        """Bytes up to the last one written."""
        return self._file.size

    def write(self, data: Data, offset: int | None = None) -> None:
        """Write all of `data` at `offset`, by default at the end."""
        self._file.write(data, offset)

    def publish(self, final: Path, *, mode: int | None = None) -> None:
        """Give the finished file its final name, replacing what stands there."""
        self._file.finish(mode)
        make_folder(final.parent)
        self.path.replace(final)
        self._published = True
        sync_folder(final.parent)

    def abandon(self) -> None:
        """Remove the draft; harmless after `publish`."""
        self._file.drop()
        self._pool.shutdown()
        if not self._published:
            self.path.unlink(missing_ok=True)


def write_file(final: Path, data: bytes, drafts: Path) -> None:
    """Replace the file `final` in one durable step; `drafts` is on the same filesystem."""
    with Draft(drafts) as draft:
        draft.write(data)
        draft.publish(final)


@contextlib.contextmanager
def turn(lock: Path, *, shared: bool = False, patience: float = 600.0) -> Iterator[None]:
    """Take turns with other threads and processes; a politeness that saves work, never what keeps data right.

    Where the filesystem has no locks, or after `patience` seconds, the caller simply goes ahead.
    """
    with _opened(lock) as descriptor:
        deadline = time.monotonic() + patience
        while _lock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX) is False and time.monotonic() < deadline:
            time.sleep(0.02)
        yield


@contextlib.contextmanager
def free_turn(lock: Path) -> Iterator[bool]:
    """Take a turn if that is possible at once, and tell whether surely nobody else has one until the block ends."""
    with _opened(lock) as descriptor:
        yield _lock(descriptor, fcntl.LOCK_EX) is True


@contextlib.contextmanager
def _opened(lock: Path) -> Iterator[int]:
    make_folder(lock.parent)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool | None:
    """Return `None` where there are no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@lru_cache(maxsize=1)
def _machine() -> str:
    facts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # only Linux has these
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _start(pid: int) -> int | None:
    """Return when `pid` started, in clock ticks since boot; -1 if it is a zombie, `None` if that cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the command's name and may hold blanks and brackets; the fields are those of proc(5).
    fields = text.rpartition(")")[2].split()
    return -1 if fields[0] in "ZX" else int(fields[19])


def _lives(pid: int, start: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    now = _start(pid)
    return now is None or start in {0, now}
