"""The command line over an SQLite file, in this process or in processes of their own."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from holdfast.commands.main import holdfast

FIXTURES = Path(__file__).parents[1] / "fixtures"
ENDPOINTS = """
tracker_store:
  type: SQL
  dialect: sqlite
  db: conversations.db
persistor:
  type: disk
  path: storage
"""
HOLDFAST = [sys.executable, "-c", "from holdfast.commands.main import main; main()"]


@pytest.fixture(scope="session")
def fixtures():
    return FIXTURES


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with an endpoints.yml: conversations in SQLite, models in a folder."""
    (tmp_path / "endpoints.yml").write_text(ENDPOINTS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
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
def start():
    """Start `holdfast` as a process; what still runs at the end is killed."""
    processes = []

    def started(*arguments, **options):
        process = subprocess.Popen(
            [*HOLDFAST, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()
