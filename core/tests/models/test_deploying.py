"""Deploying switches in one step, asks the application first, and can be taken back."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from holdfast import Deployment, DeploymentError, ModelNotFoundError, Models, UnsafeArchiveError, VerificationError
from holdfast.models import cache as cache_module, sources
from holdfast.models.disk import DiskPersistor


@pytest.fixture
def local(tmp_path) -> Models:
    """Models without a storage."""
    return Models(None, directory=tmp_path / "cache")


def tokens(directory: Path, kind: str) -> set[str]:
    return {path.name.removesuffix(".tar.gz")[:6] for path in (directory / kind).iterdir()}


def test_a_stored_model_is_fetched_unpacked_loaded_and_then_current(models, tea, modes, tmp_path):
    models.push(tea(1), "tea")
    assert models.current() is None
    seen: list[Deployment] = []

    def load(deployment: Deployment) -> None:
        assert (deployment.path / "metadata.json").is_file()
        assert models.current() is None
        seen.append(deployment)

    deployed = models.deploy("tea", on_load=load)
    assert seen == [deployed]
    assert models.current() == deployed
    assert deployed.name == "tea"
    assert deployed.source == "tea.tar.gz"
    assert deployed.digest == hashlib.sha256(tea(1).read_bytes()).hexdigest()
    assert deployed.path == tmp_path / "cache" / "unpacked" / deployed.digest
    assert deployed.model_id == "ab5b12f16bcb465fbdd675937a4189ce"
    assert deployed.trained_at.year == 2026
    assert set(modes(deployed.path).values()) == {0o444, 0o555}
    assert json.loads(json.dumps(deployed.to_dict()))["path"] == str(deployed.path)
    assert Models(None, directory=tmp_path / "cache").current() == deployed


def test_deploying_what_is_current_does_nothing_again(models, tea, monkeypatch):
    models.push(tea(1), "tea")
    loads: list[str] = []
    first = models.deploy("tea", on_load=lambda it: loads.append(it.digest))
    monkeypatch.setattr(DiskPersistor, "read_range", lambda *_: pytest.fail("it was fetched"))
    monkeypatch.setattr(cache_module, "unpack", lambda *_, **__: pytest.fail("it was unpacked"))
    assert models.deploy("tea", on_load=lambda it: loads.append(it.digest)) == first
    assert len(loads) == 1


def test_a_new_process_is_told_of_what_is_current_already(models, tea, tmp_path):
    models.push(tea(1), "tea")
    deployed = models.deploy("tea")
    loads: list[Deployment] = []
    assert (
        Models(DiskPersistor(tmp_path / "store"), directory=tmp_path / "cache").deploy("tea", on_load=loads.append)
        == deployed
    )
    assert loads == [deployed]


def test_a_refusing_application_keeps_what_was_deployed(models, tea):
    models.push(tea(1), "tea-1")
    models.push(tea(2), "tea-2")

    def refuse(_: Deployment) -> None:
        raise ValueError("no such component")

    with pytest.raises(
        DeploymentError, match="refused model 'tea-1' .*ValueError: no such component; nothing is deployed"
    ):
        models.deploy("tea-1", on_load=refuse)
    assert models.current() is None
    first = models.deploy("tea-1")
    with pytest.raises(DeploymentError, match="refused model 'tea-2' .*; 'tea-1' stays deployed") as caught:
        models.deploy("tea-2", on_load=refuse)
    assert isinstance(caught.value.__cause__, ValueError)
    assert models.current() == first
    models.deploy("tea-2")
    with pytest.raises(DeploymentError, match="'tea-2' stays deployed"):
        models.rollback(on_load=refuse)
    assert models.current().name == "tea-2"


def test_rolling_back_needs_no_storage(models, tea, tmp_path):
    models.push(tea(1), "tea-1")
    models.push(tea(2), "tea-2")
    with pytest.raises(DeploymentError, match="nothing was deployed in .* before"):
        models.rollback()
    first = models.deploy("tea-1")
    models.deploy("tea-2")
    assert models.history() == (first,)
    loads: list[Deployment] = []
    back = Models(None, directory=tmp_path / "cache").rollback(on_load=loads.append)
    assert loads == [back]
    assert (back.digest, back.path) == (first.digest, first.path)
    assert back.deployed_at > first.deployed_at
    assert models.current() == back
    assert models.history() == ()
    with pytest.raises(DeploymentError, match="nothing was deployed"):
        models.rollback()


def test_rolling_back_unpacks_again_what_was_removed_or_says_what_to_do(models, tea):
    models.push(tea(1), "tea-1")
    models.push(tea(2), "tea-2")
    first = models.deploy("tea-1")
    models.deploy("tea-2")
    cache_module.scratch.remove(first.path)
    assert (models.rollback().path / "metadata.json").is_file()
    models.deploy("tea-2")
    cache_module.scratch.remove(first.path)
    for blob in first.path.parents[1].glob("blobs/*"):
        blob.unlink()
    with pytest.raises(DeploymentError, match=r"no longer in .*: deploy it again from tea-1.tar.gz"):
        models.rollback()
    assert models.current().name == "tea-2"


def test_a_tree_that_was_removed_by_hand_is_unpacked_again(models, tea):
    models.push(tea(1), "tea")
    deployed = models.deploy("tea")
    cache_module.scratch.remove(deployed.path)
    assert models.current() is None
    assert models.deploy("tea").path.is_dir()
    assert models.current().digest == deployed.digest
    assert models.history() == ()


def test_the_newest_few_stay_and_the_current_one_always(train, tmp_path):
    models = Models(None, directory=tmp_path / "cache", keep=2)
    digests = []
    for number in range(5):
        deployed = models.deploy(train(f"m{number}", text=b"%d" % number))
        digests.append(deployed.digest[:6])
        os.utime(deployed.path, (number, number))
    assert tokens(tmp_path / "cache", "unpacked") == set(digests[-2:])
    assert [each.digest[:6] for each in models.history()] == [digests[-2]]
    only = Models(None, directory=tmp_path / "only", keep=1)
    only.deploy(train("a"))
    assert only.deploy(train("b", text=b"b")).path.is_dir()
    assert only.history() == ()
    assert len(tokens(tmp_path / "only", "unpacked")) == 1


def test_pulled_archives_do_not_pile_up(models, train, tmp_path):
    for number in range(6):
        models.push(train(f"m{number}", text=b"%d" % number))
        blob = models.pull(f"m{number}")
        assert blob.is_file()
        os.utime(blob, (number, number))
    assert len(tokens(tmp_path / "cache", "blobs")) == 3


def test_what_another_process_is_deploying_is_not_pruned(train, tmp_path):
    slow, fast = (Models(None, directory=tmp_path / "cache", keep=1) for _ in range(2))
    loading, go_on = threading.Event(), threading.Event()

    def load(deployment: Deployment) -> None:
        os.utime(deployment.path, (1, 1))
        loading.set()
        assert go_on.wait(20)

    thread = threading.Thread(target=lambda: slow.deploy(train("slow"), on_load=load))
    thread.start()
    assert loading.wait(20)
    for number in range(3):
        fast.deploy(train(f"fast{number}", text=b"%d" % number))
    go_on.set()
    thread.join()
    assert fast.current().name == "slow"
    assert fast.current().path.is_dir()


def test_a_damaged_or_newer_state_file_is_named(local, train, tmp_path):
    local.deploy(train("a"))
    state = tmp_path / "cache" / "deployed.json"
    good = json.loads(state.read_text())
    for text in ("", "{}", "[]", json.dumps({**good, "deployments": [{}]})):
        state.write_text(text)
        with pytest.raises(DeploymentError, match=r"deployed.json is damaged: remove it and deploy again"):
            local.current()
    state.write_text(json.dumps({**good, "schema": 2}))
    with pytest.raises(DeploymentError, match="schema 2, which a newer holdfast wrote"):
        local.deploy(train("b", text=b"b"))


def test_the_latest_of_a_directory_is_by_its_own_training_time(local, train, tmp_path):
    older, newer = train("older", "2026-01-01T00:00:00"), train("newer", "2026-02-01T00:00:00")
    os.utime(older, (2e9, 2e9))
    (tmp_path / "sub").mkdir()
    train("sub/newest", "2027-01-01T00:00:00")
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.tar.gz").write_bytes(newer.read_bytes())
    assert local.deploy(tmp_path).name == "newer"
    timeless = train("timeless", None)
    assert local.deploy(tmp_path).name == "timeless"
    os.utime(timeless, (1, 1))
    timeless.write_bytes(b"damaged")
    os.utime(timeless, (1, 1))
    assert local.deploy(str(tmp_path)).name == "newer"


def test_the_latest_of_a_directory_is_of_rasas_archives_too(local, tea):
    assert local.deploy(tea(1).parent).name == "tea-2"


def test_unchanged_archives_are_not_read_again(local, train, tmp_path, monkeypatch):
    train("older", "2025-01-01T00:00:00")
    first = local.deploy(train("newer").parent)
    monkeypatch.setattr(sources, "read_facts", lambda *_: pytest.fail("it was read"))
    monkeypatch.setattr(sources, "read_blocks", lambda *_: pytest.fail("it was read"))
    assert local.deploy(tmp_path) == first
    monkeypatch.undo()
    train("older", "2027-01-01T00:00:00")
    assert local.deploy(tmp_path).name == "older"


def test_a_path_that_is_not_there_is_never_replaced_by_another_model(local, models, train, tmp_path, monkeypatch):
    train("real")
    monkeypatch.chdir(tmp_path)
    models.push(tmp_path / "real.tar.gz", "real")
    with pytest.raises(ModelNotFoundError, match=r"no model at .*typo.tar.gz: .* holds real.tar.gz"):
        local.deploy(tmp_path / "typo.tar.gz")
    with pytest.raises(ModelNotFoundError, match=r"no model at .*/none/x: there is no directory"):
        models.deploy(tmp_path / "none" / "x")
    with pytest.raises(ModelNotFoundError, match=r"no model at missing.tar.gz"):
        models.deploy("./missing.tar.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFoundError, match=r"directly inside .*empty: .* is empty"):
        models.deploy("empty")
    with pytest.raises(ModelNotFoundError, match="no model 'typo' in persistor"):
        models.deploy("typo")
    with pytest.raises(ModelNotFoundError, match="no model at models"):
        local.deploy()
    assert models.current() is None


def test_without_a_source_the_latest_is_deployed(local, models, tea, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "local.tar.gz").write_bytes(tea(1).read_bytes())
    assert local.deploy().name == "local"
    models.push(tea(2), "stored")
    models.push(tea(1), "older")
    assert models.deploy().name == "stored"
    told = Models(DiskPersistor(tmp_path / "store"), directory=tmp_path / "cache", source="older")
    assert told.deploy().name == "older"
    assert Models(DiskPersistor(tmp_path / "store"), source=tmp_path / "models").deploy().name == "local"


def test_an_archive_without_manifest_is_deployed_all_the_same(models, tea, store):
    store.mkdir()
    (store / "tea.tar.gz").write_bytes(tea(1).read_bytes())
    assert models.deploy("tea").model_id == "ab5b12f16bcb465fbdd675937a4189ce"
    assert models.deploy("tea") == models.current()


def test_a_hostile_archive_is_not_deployed(local, pack, file, tmp_path):
    with pytest.raises(UnsafeArchiveError):
        local.deploy(pack(file("../evil")))
    assert local.current() is None
    assert not list((tmp_path / "cache" / "unpacked").iterdir())
    assert not list((tmp_path / "cache" / "drafts").iterdir())


def test_an_archive_that_changes_between_hashing_and_unpacking_is_refused(local, train, monkeypatch):
    archive = train("a")
    real = sources.sha256

    def change(blocks):
        found = real(blocks)
        archive.write_bytes(train("b", text=b"b").read_bytes())
        return found

    monkeypatch.setattr(sources, "sha256", change)
    with pytest.raises(VerificationError, match="it was changed"):
        local.deploy(archive)


def test_a_damaged_cached_archive_is_fetched_again_next_time(models, tea):
    models.push(tea(1), "tea")
    blob = models.pull("tea")
    real = cache_module.Cache.verified_blob

    def then_damage(self, digest):
        found = real(self, digest)
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes()[:-1] + b"x")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module.Cache, "verified_blob", then_damage)
        with pytest.raises((VerificationError, UnsafeArchiveError)):
            models.deploy("tea")
    assert models.deploy("tea").path.is_dir()


def _deploy_at_once(directory: Path, store: Path, name: str, start, results) -> None:
    models = Models(DiskPersistor(store), directory=directory)
    start.wait()
    try:
        deployed = models.deploy(name, on_load=lambda it: time.sleep(0.01))
        assert models.current() is not None
        results.put((name, (deployed.path / "metadata.json").is_file()))
    except BaseException as error:  # noqa: BLE001  # the parent shows it
        results.put((name, repr(error)))


@pytest.mark.parametrize("locks", [True, False], ids=["with locks", "where locks do nothing"])
def test_processes_that_deploy_at_once_all_succeed(locks, models, tea, rich, store, tmp_path, monkeypatch, drafts):
    for archive, name in ((tea(1), "tea"), (rich, "rich")):
        models.push(archive, name)
    if not locks:
        monkeypatch.setattr("fcntl.flock", lambda *_: None)
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(6), context.Queue()
    names = ["rich", "rich", "rich", "tea", "tea", "rich"]
    processes = [
        context.Process(target=_deploy_at_once, args=(tmp_path / "cache", store, name, start, results))
        for name in names
    ]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=60) for _ in names]
    for process in processes:
        process.join()
    assert sorted(outcomes) == sorted((name, True) for name in names)
    assert models.current().path.is_dir()
    assert {each.name for each in (models.current(), *models.history())} <= {"rich", "tea"}
    assert len(list((tmp_path / "cache" / "unpacked").iterdir())) == 2
    assert not drafts(tmp_path)
