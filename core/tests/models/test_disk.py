"""The persistor `disk` keeps every promise of the contract."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from holdfast import BackendError, ModelError, ModelNotFoundError, ObjectStat, VerificationError
from holdfast.models import disk, scratch
from holdfast.models.disk import DRAFTS, DiskConfig, DiskPersistor


@pytest.fixture
def persistor(store) -> DiskPersistor:
    return DiskPersistor(store)


@pytest.fixture
def put(persistor, tmp_path):
    def put(key: str, data: bytes = b"bytes") -> ObjectStat:
        (tmp_path / "source").write_bytes(data)
        persistor.upload(tmp_path / "source", key)
        return persistor.stat(key)

    return put


def test_the_hook_opens_it_without_touching_the_disk(store):
    backend = disk.holdfast_persistor()
    assert isinstance(backend.open(backend.config(path=store)), DiskPersistor)
    assert backend.config is DiskConfig
    assert backend.errors()[OSError] is BackendError
    assert not store.exists()


def test_what_is_uploaded_can_be_downloaded_described_and_deleted(persistor, put, tmp_path):
    found = put("a/b/model.tar.gz", b"one")
    assert (found.key, found.size) == ("a/b/model.tar.gz", 3)
    assert found.modified == pytest.approx(time.time(), abs=60)
    persistor.download("a/b/model.tar.gz", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"one"
    assert put("a/b/model.tar.gz", b"two").version != found.version
    assert persistor.delete("a/b/model.tar.gz") is True
    assert persistor.delete("a/b/model.tar.gz") is False
    assert persistor.stat("a/b/model.tar.gz") is None


def test_what_is_not_there_is_not_found(persistor, put, tmp_path):
    put("file")
    for key in ("none", "no/ne", "file/below"):
        assert persistor.stat(key) is None
        assert persistor.delete(key) is False
        with pytest.raises(ModelNotFoundError, match=key):
            persistor.download(key, tmp_path / "copy")
        with pytest.raises(ModelNotFoundError, match=key):
            list(persistor.read_range(ObjectStat(key, 1, 0.0, "v"), 0, 1))
    put("folder/file")
    assert persistor.stat("folder") is None


@pytest.mark.parametrize("key", ["", "/etc/x", "../x", "a/../x", "a//b", "a/", "./a", "a\\b", "a\0b", f"{DRAFTS}/x"])
def test_a_key_that_is_no_path_below_the_directory_is_refused(key, persistor, put):
    for use in (persistor.stat, persistor.delete, put, lambda key: persistor.start_upload(key, 1)):
        with pytest.raises(ModelError, match="no key of a disk persistor"):
            use(key)


def test_ranges_are_exact_and_of_one_version(persistor, put):
    data = os.urandom((1 << 20) + 7)
    found = put("big", data)
    assert b"".join(persistor.read_range(found, 0, len(data))) == data
    assert b"".join(persistor.read_range(found, 5, 11)) == data[5:16]
    assert b"".join(persistor.read_range(found, 5, 0)) == b""
    with pytest.raises(VerificationError, match="ends 1 bytes too early"):
        list(persistor.read_range(found, 1, len(data)))
    reading = persistor.read_range(found, 0, len(data))
    first = next(reading)
    put("big", b"new" * 1000)
    assert first + b"".join(reading) == data
    with pytest.raises(VerificationError, match="was replaced"):
        next(persistor.read_range(found, 0, 1))


def test_parts_may_come_in_any_order_and_show_only_at_the_end(persistor, store, visible):
    size = persistor.part_size
    with persistor.start_upload("x/y", size + 3) as upload:
        upload.write(size, b"end")
        upload.write(0, b"p" * size)
        assert visible(store) == []
        upload.finish()
        upload.abandon()
    assert (store / "x/y").read_bytes() == b"p" * size + b"end"
    assert not list((store / DRAFTS).iterdir())


def test_an_upload_that_is_given_up_or_incomplete_leaves_nothing(persistor, store, put):
    put("x", b"old")
    with persistor.start_upload("x", 3) as upload:
        upload.write(0, b"ne")
    with persistor.start_upload("x", 3) as upload:
        upload.write(0, b"ne")
        with pytest.raises(VerificationError, match="2 bytes were written, not the 3"):
            upload.finish()
    assert (store / "x").read_bytes() == b"old"
    assert not list((store / DRAFTS).iterdir())


def test_listing_is_by_key_and_shows_neither_drafts_nor_folders(persistor, put):
    keys = ["a", "a-b", "a.b/c", "a/b", "a/b-c", "a/b/c", "b/a", "é"]
    for key in reversed(keys):
        if key not in {"a", "a/b"}:
            put(key)
    keys = [key for key in keys if key not in {"a", "a/b"}]
    with persistor.start_upload("under-way", 1) as upload:
        upload.write(0, b"x")
        assert [found.key for found in persistor.list("")] == keys == sorted(keys)
    assert [found.key for found in persistor.list("a")] == ["a-b", "a.b/c", "a/b-c", "a/b/c"]
    assert [found.key for found in persistor.list("a/b")] == ["a/b-c", "a/b/c"]
    assert [found.key for found in persistor.list("a/b/")] == ["a/b/c"]
    assert list(persistor.list("zzz")) == []
    assert list(DiskPersistor(Path("not-there")).list("")) == []


@given(
    st.lists(st.from_regex(r"[-a-c.0]{1,2}(/[-a-c.0]{1,2}){0,2}", fullmatch=True), max_size=12),
    st.sampled_from(["", "a", "a/", "b-"]),
)
@settings(max_examples=40, deadline=None)
def test_listing_any_keys_is_in_order(tmp_path_factory, keys, prefix):
    store = tmp_path_factory.mktemp("listed")
    persistor = DiskPersistor(store)
    stored = set()
    for key in keys:
        try:
            with persistor.start_upload(key, 0) as upload:
                upload.finish()
            stored.add(key)
        except (ModelError, OSError):  # no key, or a file stands where a folder must be
            continue
    assert [found.key for found in persistor.list(prefix)] == sorted(key for key in stored if key.startswith(prefix))


def test_a_full_disk_is_seen_before_the_first_byte(monkeypatch, persistor, put, store):
    monkeypatch.setattr(scratch, "free_space", lambda _: 3)
    with pytest.raises(BackendError, match=r"'x' has 5 bytes but .*store has room for 3: free some space"):
        put("x")
    assert not store.exists()


def test_drafts_of_the_dead_are_swept_and_those_of_the_living_kept(persistor, put, store):
    mine = scratch.draft_name()
    machine = mine.split("-")[1]
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    start = scratch._start(os.getpid())
    drafts = {
        "mine": (mine, True),
        "dead": (f".holdfast-{machine}-{int(dead.stdout)}-{start}-aaaaaaaaaaaa", False),
        "restarted": (f".holdfast-{machine}-{os.getpid()}-{start - 1}-aaaaaaaaaaaa", False),
        "elsewhere": (f".holdfast-{'0' * 12}-{int(dead.stdout)}-{start}-aaaaaaaaaaaa", True),
        "old": (f".holdfast-{'0' * 12}-{int(dead.stdout)}-{start}-bbbbbbbbbbbb", False),
        "foreign": ("somebody-elses-file", True),
    }
    put("first")
    for name, _ in drafts.values():
        (store / DRAFTS / name).touch()
    long_ago = time.time() - scratch.ABANDONED_AFTER - 1
    os.utime(store / DRAFTS / drafts["old"][0], (long_ago, long_ago))
    os.utime(store / DRAFTS / drafts["foreign"][0], (long_ago, long_ago))
    put("second")
    assert {name: (store / DRAFTS / draft).exists() for name, (draft, _) in drafts.items()} == {
        name: kept for name, (_, kept) in drafts.items()
    }


def test_another_host_or_container_has_another_name(monkeypatch):
    mine = scratch._machine()
    scratch._machine.cache_clear()
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    try:
        assert scratch._machine() != mine
    finally:
        scratch._machine.cache_clear()
