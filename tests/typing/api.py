"""The public interface as a program of a user: it is type-checked, never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from pydantic import Field, SecretStr

from holdfast import (
    Backend,
    BackendConfig,
    BackendError,
    ConflictError,
    HoldfastError,
    ObjectStat,
    Persistor,
    SlotSet,
    Tracker,
    UnavailableError,
    UserUttered,
    connect,
)


class ShelfConfig(BackendConfig):
    path: Path
    token: SecretStr | None = None
    depth: int = Field(default=1, ge=1)


class Shelf(Persistor):
    def __init__(self, config: ShelfConfig) -> None:
        self.path = config.path

    def upload(self, archive: Path, key: str) -> None:
        (self.path / key).write_bytes(archive.read_bytes())

    def download(self, key: str, archive: Path) -> None:
        archive.write_bytes((self.path / key).read_bytes())

    def stat(self, key: str) -> ObjectStat | None:
        found = (self.path / key).stat()
        return ObjectStat(key=key, size=found.st_size, modified=found.st_mtime, version=str(found.st_mtime_ns))


def sdk_errors() -> dict[type[BaseException], type[BackendError]]:
    return {TimeoutError: UnavailableError, OSError: BackendError}


shelf = Backend(config=ShelfConfig, open=Shelf, errors=sdk_errors, summary="On a shelf.")
opened: Shelf = shelf.open(ShelfConfig(path=Path("shelf")))


def handle(error: HoldfastError) -> int:
    return error.actual if isinstance(error, ConflictError) else 0


async def async_application() -> None:
    async with connect("endpoints.yml", domain=Path("domain.yml")) as hf:
        tracker = await hf.conversations.get_or_create("sender-1")
        assert_type(tracker, Tracker)
        tracker.add(UserUttered("hello"), {"event": "slot", "name": "tea", "value": None})
        await hf.conversations.save(tracker, on_conflict="rebase")


def blocking_application() -> None:
    with connect() as hf:
        tracker = hf.conversations.retrieve("sender-1")
        assert_type(tracker, Tracker | None)
        if tracker is not None:
            tracker.add(SlotSet("tea", "green"))
            hf.conversations.save(tracker)
