"""A missing server is skipped on a newcomer's machine and fails where all are required."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import pytest

@pytest.mark.server("postgresql")
def test_needs_a_server():
    pytest.skip("no postgres on PATH")

def test_skips_for_another_reason():
    pytest.skip("not on this system")
"""


@pytest.mark.parametrize(("required", "outcome"), [("", "2 skipped"), ("1", "1 failed, 1 skipped")])
def test_a_missing_server(tmp_path: Path, required: str, outcome: str) -> None:
    shutil.copy(Path(__file__).parents[2] / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = server(name): needs it\n")
    env = {**os.environ, "HOLDFAST_REQUIRE_SERVERS": required, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert outcome in done.stdout.splitlines()[-1]
    if required:
        assert "postgresql is missing" in done.stdout
        assert "no postgres on PATH" in done.stdout
