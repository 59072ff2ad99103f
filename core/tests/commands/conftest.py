"""The command line in this process, in a directory of its own, with a store that outlives an invocation."""

import inspect
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from holdfast import Conversations
from holdfast.commands.extensions import extensions
from holdfast.commands.main import holdfast
from holdfast.conversations.memory import MemoryTrackerStore

SHELF = """
from holdfast.conversations.memory import MemoryTrackerStore

class Kept(MemoryTrackerStore):
    pass

SHARED = Kept()

class Store(MemoryTrackerStore):
    def __new__(cls, host=None, **options):
        return SHARED
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    before = set(sys.modules)
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    for variable in ("FORCE_COLOR", "HOLDFAST_DEBUG", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    extensions.cache_clear()
    yield directory
    extensions.cache_clear()
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def hf():
    """Run `holdfast` with some arguments; gives exit code, stdout and stderr."""
    separate = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click 8.1
    runner = CliRunner(**separate)

    def run(*arguments, input=None):  # noqa: A002  # as subprocess.run calls it
        result = runner.invoke(holdfast, [str(argument) for argument in arguments], input=input, prog_name="holdfast")
        return SimpleNamespace(
            code=result.exit_code, out=result.stdout, err=result.stderr, json=lambda: json.loads(result.stdout)
        )

    return run


@pytest.fixture
def conversations(here):
    """What the commands find in their tracker store."""
    (here / "shelf.py").write_text(SHELF, encoding="utf-8")
    (here / "endpoints.yml").write_text("tracker_store:\n  type: shelf.Store\n", encoding="utf-8")
    sys.path.insert(0, str(here))
    try:
        import shelf
    finally:
        sys.path.remove(str(here))
    assert isinstance(shelf.SHARED, MemoryTrackerStore)
    return Conversations(shelf.SHARED)
