"""Nothing that only looks at plugins imports an SDK."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SDKS = {
    "aiohttp",
    "azure",
    "boto3",
    "botocore",
    "google",
    "httpx",
    "psycopg",
    "pymongo",
    "redis",
    "requests",
    "sqlalchemy",
}
BACKENDS = {"holdfast.conversations.memory", "holdfast.models.disk", "holdfast_dynamo", "holdfast_sql"}

LIBRARY = "import holdfast, json, sys; print(json.dumps(list(sys.modules)))"
COMMAND = """
import json, sys
from holdfast.commands.main import main
sys.argv = ["holdfast", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(list(sys.modules)))
"""


def modules_after(code: str, directory: Path, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_an_sdk_is_installed_here() -> None:
    assert importlib.util.find_spec("sqlalchemy"), "without one, the tests below prove nothing"


def test_the_library(tmp_path: Path) -> None:
    loaded = modules_after(LIBRARY, tmp_path)
    assert not loaded & SDKS
    assert not loaded & BACKENDS


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plugins", "list"], ["plugins", "list", "--json"], ["models", "--help"]], ids=" ".join
)
def test_the_command_line(tmp_path: Path, arguments: list[str]) -> None:
    loaded = modules_after(COMMAND, tmp_path, *arguments)
    assert not loaded & SDKS
    assert not loaded & BACKENDS
