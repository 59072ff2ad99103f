"""A PostgreSQL server with passwords and TLS."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from servers.process import HOST, Process, accepts, free_port, program
from servers.temporary import USER, as_user, certificate, directory

PASSWORD = "s3cret word/:@"
"""With characters that have to be escaped in a URL."""


@dataclass(frozen=True)
class PostgreSQL:
    """A running server; its superuser is `postgres` with `PASSWORD`.

    Attributes:
        port: on the loopback interface.
        process: to stop, kill and pause it.
        root_certificate: what its certificate, for `localhost`, is verified against.
    """

    port: int
    process: Process
    root_certificate: Path


class _Postmaster(Process):
    """Kills and pauses the server's own processes as well, each of which leads a group of its own."""

    def kill(self) -> None:
        children = self._children()
        super().kill()
        _signal(children, signal.SIGKILL)

    def pause(self) -> None:
        _signal(self._children(), signal.SIGSTOP)
        super().pause()

    def resume(self) -> None:
        _signal(self._children(), signal.SIGCONT)
        super().resume()

    def _children(self) -> list[int]:
        if self._process is None:
            return []
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


@contextlib.contextmanager
def running(*, durable: bool = False) -> Iterator[PostgreSQL]:
    """Start a server.

    Args:
        durable: whether it waits for the disk. Without, a killed server loses nothing, only a machine without power.
    """
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    beside = [str(path) for path in reversed(versions)]
    initdb = program("initdb", package="postgresql", beside=beside)
    postgres = program("postgres", package="postgresql", beside=beside)
    with directory("postgresql") as folder:
        (folder / "password").write_text(PASSWORD)
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", str(data), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, user=as_user(),
        )  # fmt: skip
        cert, key = certificate(folder)
        port = free_port()
        settings = {
            "port": port,
            "listen_addresses": HOST,
            "unix_socket_directories": folder,
            "ssl": "on",
            "ssl_cert_file": cert,
            "ssl_key_file": key,
            "fsync": "on" if durable else "off",
            "shared_buffers": "32MB",
            "max_connections": 200,
        }
        command = [postgres, "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]
        process = _Postmaster(command, folder, ready=lambda: _takes_logins(port), user=USER)
        with process:
            yield PostgreSQL(port, process, cert)


def _takes_logins(port: int) -> bool:
    accepts(port)
    isready = program("pg_isready", package="postgresql-client")
    return subprocess.run([isready, "-q", "-h", HOST, "-p", str(port)], check=False).returncode == 0
