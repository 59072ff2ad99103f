"""Where a model to deploy comes from: an archive on disk, the latest of a directory, or a name in the storage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from holdfast.errors import ModelNotFoundError, UnsafeArchiveError
from holdfast.models.archive import UnpackLimits, read_blocks, read_facts
from holdfast.models.manifest import SUFFIX
from holdfast.models.worker import sha256

DEFAULT_DIRECTORY = Path("models")
"""Where archives are looked for if nothing else is said, relative to the working directory."""

_SHOWN = 5
_Seen = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class LocalArchive:
    """An archive on disk that was chosen to be deployed: its file, name and digest."""

    path: Path
    name: str
    digest: str


class LocalSources:
    """Chooses archives on disk, and remembers what it read of those that have not changed since."""

    def __init__(self, limits: UnpackLimits) -> None:
        self._limits = limits
        self._digests: dict[_Seen, str] = {}
        self._times: dict[_Seen, datetime] = {}

    def find(self, path: Path) -> LocalArchive:
        """Return the archive at `path`; if that is a directory, the latest of the archives directly inside.

        Raises:
            ModelNotFoundError: nothing is there, or no archive; the message shows what there is. Another model is
                never taken instead.
        """
        path = path.expanduser()
        if path.is_dir():
            path = self.latest(path)
        elif not path.is_file():
            raise ModelNotFoundError(f"no model at {path}: {_there(path.parent)}")
        digest = self._digests.get(_seen(path))
        if digest is None:
            # Looked at before it is read: a file that changes in between is then read again next time.
            seen = _seen(path)
            digest = self._digests[seen] = sha256(read_blocks(path))
        return LocalArchive(path.absolute(), path.name.removesuffix(SUFFIX), digest)

    def latest(self, directory: Path) -> Path:
        """Return the `*.tar.gz` directly inside `directory` that was trained last.

        That is what its own metadata says; copying files or checking them out does not change it. One whose metadata
        has no time, or that is damaged, counts from its modification.

        Raises:
            ModelNotFoundError: there is none.
        """
        archives = [path for path in directory.glob(f"*{SUFFIX}") if path.is_file() and not path.name.startswith(".")]
        if not archives:
            raise ModelNotFoundError(f"no archive (*{SUFFIX}) directly inside {directory}: {_there(directory)}")
        return max(archives, key=lambda path: (self._time(path), path.name))

    def _time(self, path: Path) -> datetime:
        seen = _seen(path)
        if seen not in self._times:
            try:
                trained_at = read_facts(path, self._limits).trained_at
            except UnsafeArchiveError:
                trained_at = None
            self._times[seen] = trained_at or datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return self._times[seen]


def _seen(path: Path) -> _Seen:
    stat = path.stat()
    return str(path.absolute()), stat.st_ino, stat.st_size, stat.st_mtime_ns


def _there(directory: Path) -> str:
    if not directory.is_dir():
        return f"there is no directory {directory}"
    names = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    if not names:
        return f"{directory} is empty"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{directory} holds {', '.join(names[:_SHOWN])}{more}"
