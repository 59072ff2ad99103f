"""Imitations of DynamoDB: moto (pip) for everything, dynalite (npm) for what it knows."""

from __future__ import annotations

import importlib.util
import sys
import urllib.request
from pathlib import Path

import pytest

from servers.process import HOST, Process, accepts, free_port, program

URL = "HOLDFAST_TEST_DYNAMO_URL"
"""Environment variable: a server to use instead of moto."""


def answers(port: int, path: str) -> bool:
    """Whether a server on the port answers an HTTP request."""
    with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=2) as answer:
        return bool(answer.status == 200)


class Server(Process):
    """A server process that knows its port."""

    port: int


def moto(directory: Path, *, authorise_after: int | None = None) -> Server:
    """moto's server.

    Args:
        directory: for its log.
        authorise_after: from how many requests on it checks credentials; never by default.
    """
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed (pip: requirements-dev.txt)")
    port = free_port()
    server = Server(
        [sys.executable, str(Path(__file__).with_name("moto_in_turn.py")), str(port)],
        directory,
        ready=lambda: answers(port, "/moto-api/"),
        env={} if authorise_after is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(authorise_after)},
    )
    server.port = port
    return server


def dynalite(directory: Path) -> Server:
    """Dynalite, which knows no transactions."""
    port = free_port()
    server = Server(
        [
            program("dynalite", package="npm install --global dynalite"),
            *("--host", HOST, "--port", str(port)),
            *("--createTableMs", "0", "--deleteTableMs", "0", "--updateTableMs", "0"),
        ],
        directory,
        ready=lambda: accepts(port),
    )
    server.port = port
    return server
