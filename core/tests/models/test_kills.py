"""A process that is killed at any point leaves the old state or the new one, and the next run cleans up behind it."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import Models
from holdfast.models.disk import DiskPersistor

SCRIPT = """
import itertools, os, signal, sys
from pathlib import Path

store, cache, point, *action = sys.argv[1:]
calls = itertools.count()

def at(function):
    def counted(*arguments, **options):
        if next(calls) == int(point):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return counted

from holdfast import Models
from holdfast.models.disk import DiskPersistor
models = Models(DiskPersistor(Path(store)), directory=cache)
for name in ("open", "pwrite", "fsync", "rename", "replace", "mkdir", "chmod", "fchmod", "unlink"):
    setattr(os, name, at(getattr(os, name)))
match action:
    case ["push", archive]:
        models.push(archive, "model", overwrite=True)
    case ["pull", target]:
        models.pull("model", target)
    case ["deploy"]:
        models.deploy("model")
print(next(calls))
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def run(store, tmp_path):
    """Run an action in a process that kills itself at the system call of that number; tell whether it lived."""

    def run(point: int, *action: str | Path) -> int | None:
        arguments = [store, tmp_path / "cache", point, *action]
        command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == -signal.SIGKILL:
            return None
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    return run


@pytest.fixture
def points(run):
    """Choose points all over an action that was measured by a run that lived, on a fresh stage each."""

    def points(stage, *action: str | Path, count: int = 7) -> list[int]:
        stage()
        total = run(-1, *action)
        assert total is not None
        assert total > count
        return sorted({round(number * (total - 3) / (count - 1)) for number in range(count)})

    return points


@pytest.fixture
def large(pack, file) -> Path:
    """An archive of 15 MB in 10 files: many calls, and quickly made."""
    noise = random.Random(1).randbytes(8 << 20)
    parts = [file(f"components/{n}/weights", noise[n << 20 :][: n << 18]) for n in range(8)]
    return pack(*parts, file("metadata.json", b"{}"), file("all", noise), name="large.tar.gz")


def clean(*folders: Path) -> None:
    for folder in folders:
        subprocess.run(["rm", "-rf", folder], check=True)


def test_a_killed_push_leaves_the_old_model_or_the_new_one(run, points, models, store, tmp_path, tea, large, drafts):
    def stage() -> None:
        clean(store)
        models.push(tea(1), "model")

    left = 0
    for point in points(stage, "push", large):
        stage()
        assert run(point, "push", large) is None
        left += len(drafts(store))
        here = Models(DiskPersistor(store), directory=tmp_path / "elsewhere")
        assert [model.name for model in here.list()] == ["model"]
        assert here.verify("model").sha256 in {digest(tea(1)), digest(large)}
        assert here.push(large, "model", overwrite=True).sha256 == digest(large)
        assert here.push(tea(1), "other").sha256 == digest(tea(1))
        assert here.verify("model").promised
        assert not drafts(store)
    assert left


def test_a_killed_first_push_shows_nothing_before_the_archive_is_whole(run, points, models, store, large, visible):
    for point in points(lambda: clean(store), "push", large, count=5):
        clean(store)
        assert run(point, "push", large) is None
        assert visible(store) in ([], ["model.tar.gz"])
        if visible(store):
            assert digest(store / "model.tar.gz") == digest(large)


def test_a_killed_pull_leaves_nothing_or_the_whole_file(run, points, models, tmp_path, large, drafts):
    models.push(large, "model")
    out = tmp_path / "out"
    left = 0
    for point in points(lambda: clean(out), "pull", out / "model.tar.gz"):
        clean(out)
        assert run(point, "pull", out / "model.tar.gz") is None
        left += len(drafts(out))
        found = [path for path in out.rglob("*") if not path.name.startswith(".")]
        assert all(digest(path) == digest(large) for path in found)
        models.pull("model", out / "model.tar.gz")
        assert [path.name for path in out.iterdir()] == ["model.tar.gz"]
    assert left


def test_a_killed_deployment_leaves_the_old_one_or_the_new_one(
    run, points, models, store, tmp_path, tea, large, drafts
):
    def stage() -> None:
        clean(store, tmp_path / "cache")
        models.push(tea(1), "model")
        models.deploy("model")
        models.push(large, "model", overwrite=True)

    left = 0
    for point in points(stage, "deploy", count=9):
        stage()
        assert run(point, "deploy") is None
        left += len(drafts(tmp_path / "cache"))
        here = Models(DiskPersistor(store), directory=tmp_path / "cache")
        assert here.current().digest in {digest(tea(1)), digest(large)}
        assert (here.current().path / "metadata.json").is_file()
        for tree in (tmp_path / "cache" / "unpacked").iterdir():
            assert (tree / "metadata.json").is_file()
        assert here.deploy("model").digest == digest(large)
        assert here.rollback().digest == digest(tea(1))
        assert not drafts(tmp_path / "cache")
    assert left
