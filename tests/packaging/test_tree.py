"""What must be true of the files that are handed on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE_PATH = re.compile(rb"(?<![\w.])/(?:home|root|Users|work)/[\w.]")


def handed_on() -> list[Path]:
    """Return what a clone of this working tree would hold."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git working tree")
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in handed_on()
        for match in MACHINE_PATH.finditer(path.read_bytes())
        if path != Path(__file__) and path.suffix not in {".gz", ".db"}
    ]
    assert not found


def test_no_generated_file_is_handed_on() -> None:
    generated = {".venv", ".nox", "__pycache__", "dist", "build", "_build", "uv.lock", ".coverage"}
    assert not [path for path in handed_on() if generated & set(path.relative_to(ROOT).parts)]


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_the_readme_says_it_in_one_line(heading: str) -> None:
    section = (ROOT / "README.md").read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    first = re.search(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert first
    assert first[1] == "sh"
    (line,) = first[2].splitlines()
    assert line.startswith("python3 -m venv .venv && .venv/bin/pip install -q ")
