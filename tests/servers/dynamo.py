"""Imitations of DynamoDB: moto (pip) for everything, dynalite (npm) for what it knows."""

from __future__ import annotations

import importlib.util
import os
import sys
import urllib.request
from pathlib import Path

import pytest

from servers.process import HOST, Process, free_port, program

URL = "HOLDFAST_TEST_DYNAMO_URL"
"""Environment variable: a server to use instead of moto."""


def answers(port: int, path: str) -> bool:
    with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=2) as answer:
        return bool(answer.status == 200)


def moto(directory: Path, *, port: int | None = None, authorise_after: int | None = None) -> Process:
    """moto's server.

    Args:
        directory: for its log.
        port: to listen on; a free one by default.
        authorise_after: from how many requests on it checks credentials; never by default.
    """
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed (pip: requirements-dev.txt)")
    port = port or free_port()
    script = Path(__file__).with_name("moto_in_turn.py")
    process = Process(
        [sys.executable, str(script), str(port)],
        directory,
        ready=lambda: answers(port, "/moto-api/"),
        env={} if authorise_after is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(authorise_after)},
    )
    process.port = port  # type: ignore[attr-defined]  # tests ask for it
    return process


def dynalite(directory: Path) -> Process:
    """dynalite, whose only transactions are none."""
    port = free_port()
    command = program(
        "dynalite", package="npm: dynalite", beside=[os.path.expanduser("~/.local/bin"), "/usr/local/bin"]
    )
    process = Process(
        [
            command,
            "--host",
            HOST,
            "--port",
            str(port),
            *(f"--{name}TableMs=0" for name in ("create", "delete", "update")),
        ],
        directory,
        ready=lambda: listens(port),
    )
    process.port = port  # type: ignore[attr-defined]  # tests ask for it
    return process


def listens(port: int) -> bool:
    from servers.process import accepts

    return accepts(port)
