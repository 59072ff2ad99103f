"""What is pushed is what is pulled, or there is an error; nothing is half there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from holdfast import (
    BackendError,
    ConfigurationError,
    DeletesObjects,
    ListsObjects,
    ModelError,
    ModelExistsError,
    ModelNotFoundError,
    Models,
    Persistor,
    ReadsRanges,
    UnavailableError,
    UnsafeArchiveError,
    UnsupportedError,
    VerificationError,
    WritesParts,
)
from holdfast.models.disk import DiskPersistor
from holdfast.models.manifest import Layout, Manifest, model_name


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class FilesOnly(Persistor):
    """A persistor with the three methods alone."""

    def __init__(self, path: Path) -> None:
        self.disk = DiskPersistor(path)

    def upload(self, archive, key):
        self.disk.upload(archive, key)

    def download(self, key, archive):
        self.disk.download(key, archive)

    def stat(self, key):
        return self.disk.stat(key)


class LargeParts(DiskPersistor):
    part_size = 5 << 20


class SmallPieces(DiskPersistor):
    def read_range(self, stat, first, size):
        for piece in super().read_range(stat, first, size):
            for at in range(0, len(piece), 70_001):
                yield piece[at : at + 70_001]


@pytest.mark.parametrize("kind", [DiskPersistor, FilesOnly, LargeParts, SmallPieces])
def test_a_pulled_model_is_the_pushed_one_whatever_the_persistor_can_do(kind, store, tmp_path, rich, drafts):
    models = Models(kind(store), prefix="some/prefix", directory=tmp_path / "cache")
    told: list[tuple[int, int]] = []
    pushed = models.push(rich, "team/rich", progress=lambda *now: told.append(now))
    assert told[-1] == (rich.stat().st_size, rich.stat().st_size)
    assert told == sorted(told)
    assert pushed.sha256 == digest(rich)
    assert (store / "some/prefix/team/rich.tar.gz").read_bytes() == rich.read_bytes()
    told.clear()
    pulled = models.pull("team/rich", progress=lambda *now: told.append(now))
    assert told[-1] == (rich.stat().st_size, rich.stat().st_size)
    assert pulled == tmp_path / "cache" / "blobs" / f"{digest(rich)}.tar.gz"
    assert digest(pulled) == digest(rich)
    assert pulled.stat().st_mode & 0o777 == 0o444
    assert models.verify("team/rich").to_dict() == {
        "name": "team/rich",
        "key": "some/prefix/team/rich.tar.gz",
        "size": rich.stat().st_size,
        "sha256": digest(rich),
        "promised": True,
        "ok": True,
    }
    assert models.push(rich, "team/rich") == pushed
    with pytest.raises(ModelExistsError):
        models.push(rich.with_name("tea-1.tar.gz"), "team/rich")
    assert models.push(rich.with_name("tea-1.tar.gz"), "team/rich", overwrite=True).size == 3379
    assert models.verify("team/rich").promised
    assert not drafts(tmp_path)


def test_the_manifest_beside_an_archive_says_what_it_is(models, tea, store):
    model = models.push(tea(1), "tea")
    text = (store / ".holdfast/v1/m/tea.json").read_text()
    values = json.loads(text)
    assert text == json.dumps(values, sort_keys=True, separators=(",", ":"))
    created = values.pop("created")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", created)
    assert values == {
        "schema": 1,
        "name": "tea",
        "key": "tea.tar.gz",
        "format": "tar.gz",
        "size": 3379,
        "sha256": digest(tea(1)),
        "trained_at": "2026-11-22T09:25:26.513533Z",
        "model_id": "ab5b12f16bcb465fbdd675937a4189ce",
        "assistant_id": "holdfast-example",
        "members": 18,
        "unpacked_size": 16059,
    }
    assert model.to_dict()["trained_at"] == values["trained_at"]
    assert json.loads(json.dumps(model.to_dict()))["sha256"] == model.sha256


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("v1.2", "v1.2"),
        ("v1.2.tar.gz", "v1.2"),
        ("a/b", "a/b"),
        ("20260101-120000-x.tar.gz", "20260101-120000-x"),
        ("ü", "ü"),
    ],
)
def test_a_name_gets_its_ending_once(given, name, models, tea, store):
    assert models.push(tea(1), given).name == name
    assert (store / f"{name}.tar.gz").is_file()
    assert models.get(given) == models.get(name)


@pytest.mark.parametrize(
    "name", ["", ".tar.gz", "..", "../x", "/x", "a//b", "a/", "a\\b", "a\0", "a\nb", ".holdfast/x", "\ud800", "x" * 513]
)
def test_what_cannot_be_a_name_is_refused(name, models, tea, store):
    for use in (
        lambda: models.push(tea(1), name),
        lambda: models.pull(name),
        lambda: models.get(name),
        lambda: models.delete(name),
    ):
        with pytest.raises(ModelError, match="no name of a model"):
            use()
    assert not store.exists()


def test_the_name_is_the_files_by_default(models, tea):
    assert models.push(tea(1)).name == "tea-1"


def test_pushing_the_same_bytes_again_moves_nothing(models, tea, store, tmp_path):
    first = models.push(tea(1), "tea")
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.*")}
    (tmp_path / "copy.tar.gz").write_bytes(tea(1).read_bytes())
    assert models.push(tmp_path / "copy.tar.gz", "tea", overwrite=True) == first
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.*")} == before


def test_pushing_other_bytes_under_a_name_is_a_conflict(models, tea, store):
    models.push(tea(1), "tea")
    with pytest.raises(ModelExistsError, match=r"model 'tea' in persistor 'disk' has other bytes.*overwrite"):
        models.push(tea(2), "tea")
    assert digest(store / "tea.tar.gz") == digest(tea(1))
    assert models.push(tea(2), "tea", overwrite=True).sha256 == digest(tea(2))
    assert models.verify("tea").sha256 == digest(tea(2))


def test_what_is_no_model_is_refused_early_and_leaves_nothing(
    models, tmp_path, pack, file, tea, store, visible, drafts
):
    odd = tmp_path / "odd.tar.gz"
    odd.write_bytes(b"x" * (64 << 20))
    moved: list[int] = []
    with pytest.raises(UnsafeArchiveError, match="not a gzip"):
        models.push(odd, progress=lambda done, _: moved.append(done))
    assert not moved or moved[-1] < 16 << 20
    odd.write_bytes(tea(1).read_bytes()[:-9])
    with pytest.raises(UnsafeArchiveError, match="cut off"):
        models.push(odd)
    with pytest.raises(UnsafeArchiveError, match="'../evil'"):
        models.push(pack(file("../evil")))
    with pytest.raises(ModelNotFoundError, match="no archive at"):
        models.push(tmp_path / "missing.tar.gz")
    with pytest.raises(ModelNotFoundError, match="no archive at"):
        models.push(tmp_path)
    assert visible(store) == []
    assert not drafts(store)


def test_a_refused_overwrite_leaves_the_old_model_whole(models, tea, tmp_path):
    models.push(tea(1), "tea")
    odd = tmp_path / "odd.tar.gz"
    odd.write_bytes(tea(2).read_bytes()[:-1])
    with pytest.raises(UnsafeArchiveError):
        models.push(odd, "tea", overwrite=True)
    assert models.verify("tea").promised


def test_a_file_that_changes_while_it_is_pushed_is_refused(models, tmp_path, rich, store, visible):
    growing = tmp_path / "growing.tar.gz"
    growing.write_bytes(rich.read_bytes())

    def touch(done: int, _: int) -> None:
        if done < 2 << 20:
            os.utime(growing, (1, 1))

    with pytest.raises(VerificationError, match="was changed while it was read"):
        models.push(growing, progress=touch)
    assert visible(store) == []


def test_progress_may_end_a_transfer_and_nothing_stays(models, rich, store, tmp_path, visible, drafts):
    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        models.push(rich, progress=stop)
    assert visible(store) == []
    models.push(rich)
    with pytest.raises(KeyboardInterrupt):
        models.pull("rich", tmp_path / "out" / "rich.tar.gz", progress=stop)
    with pytest.raises(KeyboardInterrupt):
        models.pull("rich", progress=stop)
    assert visible(tmp_path / "out") == visible(tmp_path / "cache") == []
    assert not drafts(tmp_path)


def test_verify_finds_a_flipped_byte_and_a_pull_refuses_it(models, tea, store, tmp_path, visible):
    models.push(tea(1), "tea")
    damaged = bytearray((store / "tea.tar.gz").read_bytes())
    damaged[1000] ^= 1
    (store / "tea.tar.gz").write_bytes(damaged)
    for use in (models.verify, models.pull, models.deploy, lambda name: models.pull(name, tmp_path / "here.tar.gz")):
        with pytest.raises(
            VerificationError, match=r"'tea.tar.gz' in persistor 'disk' has the SHA-256 .*, not .*manifest"
        ):
            use("tea")
    assert visible(tmp_path / "cache") == []
    assert not (tmp_path / "here.tar.gz").exists()
    (store / "tea.tar.gz").write_bytes(damaged[:-1])
    for use in (models.verify, models.pull, models.get):
        with pytest.raises(VerificationError, match="has 3378 bytes, not 3379"):
            use("tea")
    models.push(tea(1), "tea", overwrite=True)
    assert models.verify("tea").promised


def test_a_damaged_manifest_is_named_and_a_push_mends_it(models, tea, store):
    models.push(tea(1), "tea")
    manifest = store / ".holdfast/v1/m/tea.json"
    good = json.loads(manifest.read_text())
    for values, message in [
        (b"", "is no manifest"),
        (b"[]", "is no manifest"),
        (json.dumps({**good, "schema": 2}).encode(), "schema 2, which a newer holdfast wrote"),
        (json.dumps({**good, "sha256": "A" * 64}).encode(), "is no manifest"),
        (json.dumps({**good, "size": -1}).encode(), "is no manifest"),
        (b"x" * 100_000, "100000 bytes where at most"),
    ]:
        manifest.write_bytes(values)
        with pytest.raises(VerificationError, match=message):
            models.pull("tea")
        assert [model.sha256 for model in models.list()] == [None]
        models.push(tea(1), "tea")
        assert models.verify("tea").promised


def test_an_archive_from_elsewhere_is_a_model_and_a_push_adopts_it(models, tea, store, tmp_path):
    store.mkdir()
    (store / "tea.tar.gz").write_bytes(tea(1).read_bytes())
    assert models.get("tea").sha256 is None
    assert models.pull("tea").name == f"{digest(tea(1))}.tar.gz"
    assert models.verify("tea").promised is False
    with pytest.raises(ModelExistsError):
        models.push(tea(2), "tea")
    assert models.push(tea(1), "tea").sha256 == digest(tea(1))
    assert models.verify("tea").promised is True
    (store / "broken.tar.gz").write_bytes(tea(1).read_bytes()[:-20])
    with pytest.raises(UnsafeArchiveError, match="cut off"):
        models.verify("broken")


def test_the_cache_never_serves_what_was_changed_on_disk(models, tea):
    models.push(tea(1), "tea")
    blob = models.pull("tea")
    blob.chmod(0o644)
    blob.write_bytes(b"tampered")
    assert digest(models.pull("tea")) == digest(tea(1))


def test_a_cached_archive_is_not_fetched_again(models, tea, store, monkeypatch):
    models.push(tea(1), "tea")
    blob = models.pull("tea")
    monkeypatch.setattr(DiskPersistor, "read_range", lambda *_: pytest.fail("it was fetched"))
    assert models.pull("tea") == blob


def test_a_pull_may_go_to_a_file_or_a_directory_and_replaces_what_is_there(models, tea, tmp_path):
    models.push(tea(1), "team/tea")
    there = tmp_path / "there"
    assert models.pull("team/tea", there / "new" / "model.tar.gz") == there / "new" / "model.tar.gz"
    (there / "tea.tar.gz").write_bytes(b"old")
    assert models.pull("team/tea", there) == there / "tea.tar.gz"
    assert digest(there / "tea.tar.gz") == digest(tea(1))
    assert sorted(path.name for path in there.iterdir()) == ["new", "tea.tar.gz"]


def test_a_missing_model_is_named_with_what_there_is(models, tea):
    with pytest.raises(ModelNotFoundError, match="no model 'tee' in persistor 'disk'; there are none"):
        models.pull("tee")
    for number in range(7):
        models.push(tea(1), f"tea-{number}")
    for use in (models.pull, models.get, models.verify, models.delete, models.deploy):
        with pytest.raises(ModelNotFoundError, match=r"no model 'tee' .* 'tea-6' and 2 more"):
            use("tee")


def test_models_are_listed_by_name_and_nothing_else_is(models, tea, store):
    models.push(tea(1), "b/one")
    models.push(tea(2), "a")
    (store / "notes.txt").write_text("not a model")
    (store / "foreign.tar.gz").write_bytes(tea(1).read_bytes())
    assert [(model.name, model.sha256 is None) for model in models.list()] == [
        ("a", False),
        ("b/one", False),
        ("foreign", True),
    ]
    inside = Models(DiskPersistor(store), prefix="/b/")
    assert [model.name for model in inside.list()] == ["one"]


def test_the_latest_is_the_one_trained_last_whenever_it_was_stored(models, tea, train, store):
    with pytest.raises(ModelNotFoundError, match="holds no models"):
        models.latest()
    models.push(tea(2))
    models.push(tea(1))
    assert models.latest().name == "tea-2"
    newer = train("foreign", "2027-01-01T00:00:00")
    (store / "foreign.tar.gz").write_bytes(newer.read_bytes())
    assert (models.latest().name, models.latest().trained_at.year) == ("foreign", 2027)
    (store / "timeless.tar.gz").write_bytes(train("timeless", None).read_bytes())
    os.utime(store / "timeless.tar.gz", (2e9, 2e9))
    assert models.latest().name == "timeless"
    (store / "timeless.tar.gz").write_bytes(b"damaged")
    os.utime(store / "timeless.tar.gz", (1e9, 1e9))
    assert models.latest().name == "foreign"


def test_deleting_removes_manifest_and_archive(models, tea, store, visible):
    models.push(tea(1), "tea")
    models.delete("tea.tar.gz")
    assert visible(store) == []
    assert not list((store / ".holdfast").rglob("*.json"))


def test_an_overwrite_that_dies_never_leaves_a_manifest_of_other_bytes(store, tmp_path, tea):
    """Every single write of an overwrite may be the last one."""
    for kind in (DiskPersistor, FilesOnly):
        for survive in range(6):
            root = store / f"{kind.__name__}{survive}"
            models = Models(kind(root), directory=tmp_path / "cache")
            models.push(tea(1), "tea")
            dying = Models(mortal(kind)(root, survive), directory=tmp_path / "cache")
            try:
                dying.push(tea(2), "tea", overwrite=True)
            except KeyboardInterrupt:
                pass
            else:
                assert survive >= 3
            found = models.verify("tea")
            assert found.sha256 in {digest(tea(1)), digest(tea(2))}
            models.push(tea(2), "tea", overwrite=True)
            assert models.verify("tea") == models.verify("tea.tar.gz")
            assert models.get("tea").sha256 == digest(tea(2))


def mortal(kind: type) -> type:
    class Mortal(kind):
        def __init__(self, path: Path, left: int) -> None:
            super().__init__(path)
            self.left = left

        def _breathe(self) -> None:
            if self.left <= 0:
                raise KeyboardInterrupt
            self.left -= 1

        def upload(self, archive, key):
            self._breathe()
            super().upload(archive, key)

        def delete(self, key):
            self._breathe()
            return super().delete(key)

        def start_upload(self, key, size):
            upload = super().start_upload(key, size)
            finish = upload.finish

            def mortal_finish():
                self._breathe()
                finish()

            upload.finish = mortal_finish
            return upload

    if kind is FilesOnly:
        del Mortal.delete, Mortal.start_upload
    return Mortal


def test_a_capability_that_is_missing_is_named(store, tmp_path, tea):
    models = Models(FilesOnly(store), directory=tmp_path / "cache", name="plain")
    models.push(tea(1), "tea")
    for use, capability in [
        (lambda: list(models.list()), ListsObjects),
        (models.latest, ListsObjects),
        (lambda: models.delete("tea"), DeletesObjects),
        (models.deploy, ListsObjects),
    ]:
        with pytest.raises(
            UnsupportedError, match=rf"persistor 'plain' \(FilesOnly\) lacks the capability {capability.__name__}"
        ):
            use()
    with pytest.raises(ModelNotFoundError, match="no model 'tee' in persistor 'plain'$"):
        models.pull("tee")
    assert not issubclass(FilesOnly, ReadsRanges | WritesParts)


def test_without_a_persistor_every_use_says_how_to_get_one(tmp_path, tea):
    models = Models(None, directory=tmp_path / "cache")
    for use in (
        lambda: models.push(tea(1)),
        lambda: models.pull("tea"),
        lambda: list(models.list()),
        models.latest,
        lambda: models.verify("tea"),
    ):
        with pytest.raises(ConfigurationError, match="no persistor is configured: add a `persistor:` section"):
            use()
    models.close()


class SdkError(Exception):
    pass


class SdkTimeout(SdkError):
    pass


class Failing(DiskPersistor):
    error: Exception | None = None

    def _fail(self):
        if self.error:
            raise self.error

    def stat(self, key):
        self._fail()
        return super().stat(key)

    def read_range(self, stat, first, size):
        yield from super().read_range(stat, first, size // 2)
        raise SdkTimeout("slow")


def test_errors_of_an_sdk_are_wrapped_and_others_are_not(store, tmp_path, tea):
    persistor = Failing(store)
    models = Models(
        persistor,
        directory=tmp_path / "cache",
        name="cloud",
        errors=lambda: {SdkTimeout: UnavailableError, SdkError: BackendError},
    )
    models.push(tea(1), "tea")
    with pytest.raises(UnavailableError, match="persistor 'cloud': SdkTimeout: slow") as caught:
        models.pull("tea")
    assert isinstance(caught.value.__cause__, SdkTimeout)
    persistor.error = SdkError("denied")
    with pytest.raises(BackendError, match="persistor 'cloud': SdkError: denied"):
        models.get("tea")
    persistor.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        models.get("tea")


def test_a_model_overwritten_during_a_pull_is_pulled_anew(models, tea, store, monkeypatch):
    models.push(tea(1), "tea")
    original, calls = DiskPersistor.read_range, []

    def overwritten_meanwhile(self, stat, first, size):
        if stat.key == "tea.tar.gz" and not calls:
            calls.append(stat)
            models.push(tea(2), "tea", overwrite=True)
        return original(self, stat, first, size)

    monkeypatch.setattr(DiskPersistor, "read_range", overwritten_meanwhile)
    assert digest(models.pull("tea")) == digest(tea(2))


def test_a_full_disk_is_seen_before_a_pull(models, tea, monkeypatch, tmp_path):
    models.push(tea(1), "tea")
    monkeypatch.setattr("holdfast.models.scratch.free_space", lambda _: 10)
    with pytest.raises(ModelError, match="3379 bytes but .* has room for 10"):
        models.pull("tea", tmp_path / "out")


def test_names_and_keys_translate_both_ways():
    layout = Layout("/a/b/")
    assert layout.archive("x/y") == "a/b/x/y.tar.gz"
    assert layout.manifest("x/y") == "a/b/.holdfast/v1/m/x/y.json"
    assert layout.name("a/b/x/y.tar.gz") == model_name("x/y.tar.gz") == "x/y"
    assert layout.manifest_name("a/b/.holdfast/v1/m/x/y.json") == "x/y"
    for key in ("a/b/.holdfast/v1/m/x.tar.gz", "a/b/x.json", "a/b/x//y.tar.gz"):
        assert layout.name(key) is None
    assert Manifest.from_json.__self__ is Manifest
