"""The contract of a persistor: a place where model archives are kept under keys.

Three methods make a persistor. Each further capability is a class to inherit from as well; inheriting declares it,
and `isinstance` is how the core asks for it. All methods block, may be called from many threads, and move files:
no method holds a whole archive in memory. Opening does no I/O.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What a storage knows of one object without reading it.

    Attributes:
        key: the full key, `/` between its parts, no leading `/`.
        size: bytes.
        modified: seconds since the epoch, by the storage's clock.
        version: opaque text that changes when the bytes change (ETag, generation, inode and times).
    """

    key: str
    size: int
    modified: float
    version: str


class Persistor(ABC):
    """What every persistor can do."""

    @abstractmethod
    def upload(self, archive: Path, key: str) -> None:
        """Store the file `archive` under `key`, replacing what stands there.

        Readers see the old object or the whole new one, never a part. Raises the storage's errors.
        """

    @abstractmethod
    def download(self, key: str, archive: Path) -> None:
        """Write the object under `key` to the path `archive`, whose directory exists.

        Raises `ModelNotFoundError` if nothing stands there.
        """

    @abstractmethod
    def stat(self, key: str) -> ObjectStat | None:
        """Describe the object under `key`; `None` if there is none."""

    def close(self) -> None:
        """Release connections; calling it again does nothing."""


class ReadsRanges(ABC):
    """Capability: read a range of one version of an object."""

    @abstractmethod
    def read_range(self, stat: ObjectStat, first: int, size: int) -> Iterator[bytes]:
        """Yield `size` bytes from offset `first` of exactly the version in `stat`, in chunks of the storage's choice.

        Raises `ModelNotFoundError` if the object is gone and `VerificationError` if it is another version by now.
        """


class PartUpload(ABC):
    """An upload under way: invisible until `finish`, gone without a trace after `abandon`."""

    @abstractmethod
    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Store one part at `offset`; every part but the last has `WritesParts.part_size` bytes."""

    @abstractmethod
    def finish(self) -> None:
        """Make the object visible, whole and durable, in one step."""

    @abstractmethod
    def abandon(self) -> None:
        """Give up and remove what was stored; harmless after `finish`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()


class WritesParts(ABC):
    """Capability: write an object in parts."""

    part_size: int
    """Bytes in each part but the last."""

    @abstractmethod
    def start_upload(self, key: str, size: int) -> PartUpload:
        """Begin an object of `size` bytes under `key`."""


class ListsObjects(ABC):
    """Capability: list what is stored."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """Yield every object whose key starts with `prefix`, in the order of the keys, paged by the storage."""


class DeletesObjects(ABC):
    """Capability: delete objects."""

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Delete the object under `key`; `False` if there was none."""
