"""Archives, honest and hostile, and models over a disk."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast import Models
from holdfast.models.disk import DiskPersistor

FIXTURES = Path(__file__).parents[3] / "tests" / "fixtures" / "models"

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, data: bytes = b"data", **attributes) -> Member:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member, data


def folder(name: str) -> Member:
    return file(name, b"", type=tarfile.DIRTYPE)


@pytest.fixture(name="file")
def file_fixture():
    return file


@pytest.fixture(name="folder")
def folder_fixture():
    return folder


@pytest.fixture
def pack(tmp_path) -> Callable[..., Path]:
    """Write an archive of the given members; further bytes of `raw` replace the tar stream altogether."""

    def pack(
        *members: Member, name: str = "made.tar.gz", raw: bytes | None = None, dialect: int = tarfile.PAX_FORMAT
    ) -> Path:
        if raw is None:
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w", format=dialect) as tar:
                for member, data in members:
                    tar.addfile(member, io.BytesIO(data) if data else None)
            raw = buffer.getvalue()
        path = tmp_path / name
        path.write_bytes(gzip.compress(raw, 1))
        return path

    return pack


@pytest.fixture
def train(pack) -> Callable[..., Path]:
    """Write a model archive that says when it was trained."""

    def train(name: str, trained_at: str | None = "2026-01-01T00:00:00", text: bytes = b"weights") -> Path:
        metadata = json.dumps({"trained_at": trained_at, "model_id": name} if trained_at else {}).encode()
        return pack(file("components/weights", text), file("metadata.json", metadata), name=f"{name}.tar.gz")

    return train


@pytest.fixture
def tea() -> Callable[[int], Path]:
    return lambda number: FIXTURES / f"tea-{number}.tar.gz"


@pytest.fixture
def rich() -> Path:
    return FIXTURES / "rich.tar.gz"


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def models(tmp_path, store) -> Models:
    return Models(DiskPersistor(store), directory=tmp_path / "cache", name="disk")


@pytest.fixture
def visible() -> Callable[[Path], list[str]]:
    """List what a person sees below a directory: all files, but nothing inside hidden folders or of locks."""

    def visible(directory: Path) -> list[str]:
        paths = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
        return sorted(
            str(path)
            for path in paths
            if not any(part.startswith(".") for part in path.parts) and "turns" not in path.parts
        )

    return visible


@pytest.fixture
def drafts() -> Callable[[Path], list[Path]]:
    return lambda directory: [path for path in directory.rglob(".holdfast-*-*-*") if path.name != ".holdfast-drafts"]


@pytest.fixture
def modes() -> Callable[[Path], dict[str, int]]:
    return lambda tree: {str(p.relative_to(tree)): stat.S_IMODE(p.stat().st_mode) for p in (tree, *tree.rglob("*"))}
