"""One server process: where its program is, how it starts, when it is ready, how it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

HOST = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on now; take it soon."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def program(name: str, *, package: str, beside: Iterable[str] = ()) -> str:
    """The path of a program, or a skip that says what to install.

    Args:
        name: of the program.
        package: how people get it.
        beside: directories to look in that are not on the PATH.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", *beside])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed ({package})")
    return found


def wait_until(
    ready: Callable[[], bool], *, seconds: float, what: str, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Ask `ready` until it is true; it may raise `OSError` as long as it is not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except OSError:
            pass
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode} before it was ready")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not ready within {seconds} seconds")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on the port."""
    with socket.create_connection((HOST, port), timeout=1):
        return True


class Process:
    """A server process that can be stopped, killed, paused and started again on the same port and data.

    Args:
        command: the program and its arguments.
        directory: its working directory, where `log` is written.
        ready: see `wait_until`.
        env: added to the environment.
        user: the user to run as when the tests run as root; some servers refuse to be root.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        *,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.command = list(command)
        self.directory = directory
        self.log = directory / f"{Path(command[0]).name}.log"
        self._ready = ready
        self._env = {**os.environ, **(env or {})}
        self._user = user if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, seconds: float = 30) -> Self:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=self._env,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self._ready, seconds=seconds, what=self.command[0], process=self._process)
        except BaseException as error:
            self.kill()
            error.add_note(self.log.read_text(encoding="utf-8", errors="replace")[-4000:])
            raise
        return self

    def stop(self, *, seconds: float = 10) -> None:
        """Ask it to end, and end it if it does not."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """End it and its children at once, as a crash would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Let it hang: it accepts connections and never answers."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
