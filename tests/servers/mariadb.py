"""A MariaDB server with TLS."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from servers.process import HOST, Process, free_port, program
from servers.temporary import USER, as_user, certificate, directory

PASSWORD = "s3cret word/:@"


@dataclass(frozen=True)
class MariaDB:
    """A running server; its user `holdfast` with `PASSWORD` may do everything.

    Attributes:
        port: on the loopback interface.
        process: to stop, kill and pause it.
        root_certificate: what its certificate, for `localhost`, is verified against.
    """

    port: int
    process: Process
    root_certificate: Path


@contextlib.contextmanager
def running(*, durable: bool = False) -> Iterator[MariaDB]:
    """Start a server.

    Args:
        durable: whether it waits for the disk. Without, a killed server loses nothing, only a machine without power.
    """
    server = program("mariadbd", package="mariadb-server")
    install = program("mariadb-install-db", package="mariadb-server")
    with directory("mariadb") as folder:
        subprocess.run(
            [install, "--no-defaults", f"--datadir={folder / 'data'}", f"--tmpdir={folder}", "--auth-root-authentication-method=normal",
             "--skip-test-db"],
            check=True, capture_output=True, cwd=folder, user=as_user(),
        )  # fmt: skip
        cert, key = certificate(folder)
        grants = folder / "grants.sql"
        grants.write_text(
            f"CREATE USER IF NOT EXISTS holdfast IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO holdfast;\n"
        )
        port = free_port()
        settings = {
            "datadir": folder / "data",
            "tmpdir": folder,
            "socket": folder / "socket",
            "pid-file": folder / "pid",
            "port": port,
            "bind-address": HOST,
            "ssl-cert": cert,
            "ssl-key": key,
            "init-file": grants,
            "innodb-flush-log-at-trx-commit": 1 if durable else 2,
            "innodb-flush-method": "fsync" if durable else "nosync",
            "innodb-buffer-pool-size": "64M",
            "max-connections": 200,
        }
        command = [
            server,
            "--no-defaults",
            "--skip-log-bin",
            *(f"--{name}={value}" for name, value in settings.items()),
        ]

        process = Process(command, folder, ready=lambda: _greets(port), user=USER)
        with process:
            yield MariaDB(port, process, cert)


def _greets(port: int) -> bool:
    # The server speaks first, once it has read the file of grants.
    with socket.create_connection((HOST, port), timeout=1) as probe:
        return bool(probe.recv(1))
