"""MongoDB-protocol servers: a genuine mongod if there is one, else FerretDB, which `.ci/servers/mongo` builds."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from servers.process import HOST, Process, accepts, free_port

URL = "HOLDFAST_TEST_MONGO_URL"
"""Environment variable: a server to use instead of one that is started; nothing is killed or paused there."""

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast"
_SOURCES = Path(__file__).parent / "ferretdb"


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
    sources = b"".join((_SOURCES / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    ferretdb = _CACHE / f"ferretdb-{hashlib.sha256(sources).hexdigest()[:12]}"
    if not ferretdb.exists():
        pytest.skip(f"neither mongod nor FerretDB is here: run .ci/servers/mongo, which needs Go, or set {URL}")
    return [str(ferretdb), f"{HOST}:{port}", str(data)]
