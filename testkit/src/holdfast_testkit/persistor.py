"""The persistor contract as tests: inherit, say which section of endpoints.yml to open, run pytest.

    class TestS3(PersistorTests):
        @pytest.fixture
        def section(self, s3_server):
            return {"type": "aws", "bucket": "models", "endpoint_url": s3_server.url}

Tests of a capability are skipped, saying so, where a persistor does not declare it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from holdfast import (
    DeletesObjects,
    ListsObjects,
    ModelNotFoundError,
    ObjectStat,
    Persistor,
    ReadsRanges,
    VerificationError,
    WritesParts,
)
from holdfast_testkit.opening import open_persistor_of

CapabilityT = TypeVar("CapabilityT")

KEYS = (
    "tea.tar.gz",
    "models/deep/er/20261122-092526-tea.tar.gz",
    "UPPER.tar.gz",
    "with space & ünïcödé ☕.tar.gz",
    "percent%20+plus.tar.gz",
    ".holdfast/v1/m/tea.json",
)


def capable(persistor: Persistor, capability: type[CapabilityT]) -> CapabilityT:
    """The persistor as what it declares to be, or a skip."""
    if not isinstance(persistor, capability):
        pytest.skip(f"{type(persistor).__name__} does not declare {capability.__name__}")
    return persistor


class PersistorTests:
    """Every promise of `holdfast.models.persistor`."""

    @pytest.fixture
    def section(self) -> Mapping[str, Any]:
        """The section `persistor` of endpoints.yml, for an empty place of its own."""
        raise AssertionError("override the fixture 'section'")

    @pytest.fixture
    def open_another(self, section: Mapping[str, Any], tmp_path: Path) -> Iterator[Callable[[], Persistor]]:
        """Opens a persistor from the section, as often as it is called; all are closed at the end."""
        opened: list[Persistor] = []

        def open_one() -> Persistor:
            opened.append(open_persistor_of(section, tmp_path))
            return opened[-1]

        yield open_one
        for persistor in opened:
            persistor.close()

    @pytest.fixture
    def persistor(self, open_another: Callable[[], Persistor]) -> Persistor:
        """The persistor under test."""
        return open_another()

    @pytest.fixture
    def file(self, tmp_path: Path) -> Callable[[bytes], Path]:
        """Writes bytes to a new file of its own."""
        directory = tmp_path / "files"
        directory.mkdir()

        def write(content: bytes) -> Path:
            path = directory / hashlib.sha256(content).hexdigest()
            path.write_bytes(content)
            return path

        return write

    @staticmethod
    def content(persistor: Persistor, key: str, tmp_path: Path) -> bytes:
        """The bytes under a key."""
        target = tmp_path / "downloaded"
        persistor.download(key, target)
        return target.read_bytes()

    # Files

    @pytest.mark.parametrize("size", [0, 1, 1000, 5_000_001], ids="{} bytes".format)
    def test_what_was_uploaded_comes_back(
        self, persistor: Persistor, file: Callable[[bytes], Path], tmp_path: Path, size: int
    ) -> None:
        content = random.Random(size).randbytes(size)  # noqa: S311  # any bytes do
        persistor.upload(file(content), "a/tea.tar.gz")
        assert self.content(persistor, "a/tea.tar.gz", tmp_path) == content

    @pytest.mark.parametrize("key", KEYS)
    def test_keys_are_taken_as_they_are(
        self, persistor: Persistor, file: Callable[[bytes], Path], tmp_path: Path, key: str
    ) -> None:
        persistor.upload(file(key.encode()), key)
        stat = persistor.stat(key)
        assert stat is not None
        assert (stat.key, stat.size) == (key, len(key.encode()))
        assert self.content(persistor, key, tmp_path) == key.encode()

    def test_what_is_not_there_has_no_stat_and_cannot_be_downloaded(self, persistor: Persistor, tmp_path: Path) -> None:
        assert persistor.stat("nothing.tar.gz") is None
        assert persistor.stat("no/folder/either.tar.gz") is None
        with pytest.raises(ModelNotFoundError, match=r"nothing\.tar\.gz"):
            persistor.download("nothing.tar.gz", tmp_path / "x")

    def test_a_folder_of_keys_is_no_object(self, persistor: Persistor, file: Callable[[bytes], Path]) -> None:
        persistor.upload(file(b"x"), "folder/tea.tar.gz")
        assert persistor.stat("folder") is None

    def test_an_upload_replaces_what_stood_there_and_changes_the_version(
        self, persistor: Persistor, file: Callable[[bytes], Path], tmp_path: Path
    ) -> None:
        persistor.upload(file(b"first"), "k")
        first = persistor.stat("k")
        persistor.upload(file(b"other"), "k")
        second = persistor.stat("k")
        assert first is not None
        assert second is not None
        assert first.version != second.version
        assert self.content(persistor, "k", tmp_path) == b"other"

    def test_the_version_stays_as_long_as_the_bytes(
        self, open_another: Callable[[], Persistor], file: Callable[[bytes], Path]
    ) -> None:
        open_another().upload(file(b"first"), "k")
        assert open_another().stat("k") == open_another().stat("k")

    def test_the_uploaded_file_stays_where_it_is(self, persistor: Persistor, file: Callable[[bytes], Path]) -> None:
        path = file(b"mine")
        persistor.upload(path, "k")
        assert path.read_bytes() == b"mine"

    def test_modified_is_a_time_in_seconds(self, persistor: Persistor, file: Callable[[bytes], Path]) -> None:
        persistor.upload(file(b"x"), "k")
        stat = persistor.stat("k")
        assert stat is not None
        assert 1_600_000_000 < stat.modified < 10_000_000_000

    def test_of_uploads_at_once_one_is_there_whole(
        self, open_another: Callable[[], Persistor], file: Callable[[bytes], Path], tmp_path: Path
    ) -> None:
        contents = [bytes([number]) * 300_000 for number in range(6)]
        paths = [file(content) for content in contents]
        persistors = [open_another() for _ in paths]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda persistor, path: persistor.upload(path, "k"), persistors, paths))
        assert self.content(open_another(), "k", tmp_path) in contents

    def test_a_reader_sees_the_old_object_or_the_new_one(
        self, open_another: Callable[[], Persistor], file: Callable[[bytes], Path], tmp_path: Path
    ) -> None:
        contents = [bytes([number]) * 200_000 for number in range(2)]
        paths = [file(content) for content in contents]
        writer, reader = open_another(), open_another()
        writer.upload(paths[0], "k")
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(lambda: [writer.upload(paths[turn % 2], "k") for turn in range(20)])
            while not writing.done():
                assert self.content(reader, "k", tmp_path) in contents
            writing.result()

    def test_closing_twice_does_nothing(self, open_another: Callable[[], Persistor]) -> None:
        persistor = open_another()
        persistor.close()
        persistor.close()

    # ReadsRanges

    def test_ranges_of_an_object_are_read_exactly(self, persistor: Persistor, file: Callable[[bytes], Path]) -> None:
        ranges = capable(persistor, ReadsRanges)
        content = random.Random(1).randbytes(300_000)  # noqa: S311  # any bytes do
        persistor.upload(file(content), "k")
        stat = persistor.stat("k")
        assert stat is not None
        for first, size in ((0, 300_000), (0, 1), (299_999, 1), (123, 4567), (100_000, 200_000)):
            assert b"".join(ranges.read_range(stat, first, size)) == content[first : first + size]

    def test_a_range_of_another_version_is_refused(self, persistor: Persistor, file: Callable[[bytes], Path]) -> None:
        ranges = capable(persistor, ReadsRanges)
        persistor.upload(file(b"first"), "k")
        stat = persistor.stat("k")
        assert stat is not None
        persistor.upload(file(b"other"), "k")
        with pytest.raises(VerificationError):
            list(ranges.read_range(stat, 0, 5))

    def test_a_range_of_what_is_gone_is_refused(self, persistor: Persistor) -> None:
        ranges = capable(persistor, ReadsRanges)
        with pytest.raises(ModelNotFoundError):
            list(ranges.read_range(ObjectStat("gone", 5, 1.7e9, "x"), 0, 5))

    # WritesParts

    def test_parts_are_visible_only_once_finished(self, persistor: Persistor, tmp_path: Path) -> None:
        parts = capable(persistor, WritesParts)
        size = parts.part_size + 10
        content = random.Random(2).randbytes(size)  # noqa: S311  # any bytes do
        with parts.start_upload("a/k", size) as upload:
            upload.write(parts.part_size, content[parts.part_size :])
            upload.write(0, memoryview(content)[: parts.part_size])
            assert persistor.stat("a/k") is None
            upload.finish()
        assert self.content(persistor, "a/k", tmp_path) == content

    def test_an_abandoned_upload_leaves_nothing(self, persistor: Persistor, file: Callable[[bytes], Path]) -> None:
        parts = capable(persistor, WritesParts)
        persistor.upload(file(b"old"), "k")
        before = persistor.stat("k")
        with parts.start_upload("k", 5) as upload:
            upload.write(0, b"newer")
        upload.abandon()
        assert persistor.stat("k") == before

    def test_two_uploads_of_parts_at_once_do_not_mix(self, persistor: Persistor, tmp_path: Path) -> None:
        parts = capable(persistor, WritesParts)
        with parts.start_upload("k", 4) as one, parts.start_upload("k", 4) as two:
            one.write(0, b"1111")
            two.write(0, b"2222")
            two.finish()
            one.finish()
        assert self.content(persistor, "k", tmp_path) == b"1111"

    # ListsObjects, DeletesObjects

    def test_listing_gives_what_stat_gives_in_the_order_of_the_keys(
        self, persistor: Persistor, file: Callable[[bytes], Path]
    ) -> None:
        listing = capable(persistor, ListsObjects)
        for key in ("b", "a/2", "a/10", "c/d/e", "a.tar.gz"):
            persistor.upload(file(key.encode()), key)
        listed = list(listing.list(""))
        assert [stat.key for stat in listed] == sorted(("b", "a/2", "a/10", "c/d/e", "a.tar.gz"))
        assert listed == [persistor.stat(stat.key) for stat in listed]

    def test_listing_by_prefix_is_by_text_not_by_folder(
        self, persistor: Persistor, file: Callable[[bytes], Path]
    ) -> None:
        listing = capable(persistor, ListsObjects)
        for key in ("a/1", "a/2", "ab", "b/a"):
            persistor.upload(file(b"x"), key)
        assert [stat.key for stat in listing.list("a")] == ["a/1", "a/2", "ab"]
        assert [stat.key for stat in listing.list("a/")] == ["a/1", "a/2"]
        assert list(listing.list("nothing")) == []

    def test_what_was_deleted_is_gone(self, persistor: Persistor, file: Callable[[bytes], Path]) -> None:
        deleting = capable(persistor, DeletesObjects)
        persistor.upload(file(b"x"), "a/k")
        persistor.upload(file(b"x"), "a/l")
        assert deleting.delete("a/k") is True
        assert persistor.stat("a/k") is None
        assert persistor.stat("a/l") is not None
        assert deleting.delete("a/k") is False
