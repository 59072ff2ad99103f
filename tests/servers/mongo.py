"""MongoDB-protocol servers: a genuine mongod if there is one, else FerretDB, which `.ci/servers/mongo` builds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from servers.process import HOST, Process, accepts, free_port

URL = "HOLDFAST_TEST_MONGO_URL"
"""Environment variable: a server to use instead of one that is started; nothing is killed or paused there."""

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast"
_FERRETDB = "ferretdb-v1.24.2"


class Mongo(Process):
    """A server on a port and in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        data = directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        super().__init__(_command(self.port, data), directory, ready=lambda: accepts(self.port))

    @property
    def url(self) -> str:
        return f"mongodb://{HOST}:{self.port}/"


def _command(port: int, data: Path) -> list[str]:
    mongod = shutil.which("mongod")
    if mongod is not None:
        return [mongod, "--bind_ip", HOST, "--port", str(port), "--dbpath", str(data), "--quiet"]
    ferretdb = _CACHE / _FERRETDB
    if not ferretdb.exists():
        pytest.skip(f"neither mongod nor FerretDB is here: run .ci/servers/mongo, which needs Go, or set {URL}")
    return [str(ferretdb), f"{HOST}:{port}", str(data)]
