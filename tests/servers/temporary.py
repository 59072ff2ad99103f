"""Directories and certificates for servers that must not run as root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from servers.process import program

USER = "nobody"
"""Runs the servers that refuse to be root, when the tests are root."""


def as_user(user: str = USER) -> str | None:
    """For `subprocess`: the user to become, if the tests are root."""
    return user if os.geteuid() == 0 else None


def give(path: Path, user: str = USER) -> Path:
    """Make the user the owner of a file or directory, if the tests are root."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


@contextlib.contextmanager
def directory(prefix: str) -> Iterator[Path]:
    """A directory that another user can reach, which pytest's own are not; it is gone at the end."""
    path = Path(tempfile.mkdtemp(prefix=f"holdfast-{prefix}-"))
    try:
        yield give(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) of a server at localhost, signed by itself."""
    cert, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        [program("openssl", package="openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    for path in (cert, key):
        path.chmod(0o600)
        give(path)
    return cert, key
