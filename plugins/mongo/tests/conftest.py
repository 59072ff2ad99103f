"""A server for the session, an empty database for each test, and stores on it."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener, CommandStartedEvent

from holdfast_mongo.config import MongoConfig
from holdfast_mongo.store import MongoTrackerStore
from servers.mongo import URL, Mongo

_numbers = itertools.count()


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get(URL)
    if given:
        yield given
        return
    with Mongo(tmp_path_factory.mktemp("mongo")) as server:
        yield server.url


@pytest.fixture
def mongo_port(mongo_url: str) -> int:
    """Its port, for tests that stand in between; they need a single server on this machine, without a login."""
    parts = urlsplit(mongo_url)
    if parts.hostname not in {"127.0.0.1", "localhost"} or parts.username or parts.query:
        pytest.skip(f"the server of {URL} is not a plain one on this machine")
    return parts.port or 27017


@pytest.fixture
def database(mongo_url: str) -> Iterator[str]:
    """The name of a database that does not exist yet, and will not afterwards."""
    name = f"holdfast_test_{os.getpid()}_{next(_numbers)}"
    yield name
    with MongoClient(mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
def open_store(mongo_url: str, database: str) -> Iterator[Callable[..., MongoTrackerStore]]:
    """Opens a store on the test's database, as often as it is called."""
    opened: list[MongoTrackerStore] = []

    def open_one(**keys: Any) -> MongoTrackerStore:
        store = MongoTrackerStore(MongoConfig(**{"url": mongo_url, "db": database, **keys}))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def collections(mongo_url: str, database: str) -> Iterator[tuple[Any, Any]]:
    """The collections of commits and heads, to look behind the store."""
    with MongoClient(mongo_url) as client:
        yield client[database]["conversations_commits"], client[database]["conversations_heads"]


@pytest.fixture
def mongo_server(tmp_path: Path) -> Iterator[Mongo]:
    """A server that the test may kill, pause and start again."""
    with Mongo(tmp_path / "server") as server:
        yield server


class Commands(CommandListener):
    """The commands that the test's own thread sent, by name; what goes on beside it is not counted."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.seen: list[CommandStartedEvent] = []

    def started(self, event: CommandStartedEvent) -> None:
        if threading.get_ident() == self.thread:
            self.seen.append(event)

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass

    def take(self) -> list[str]:
        """Their names since this was called last."""
        names = [event.command_name for event in self.seen]
        self.seen.clear()
        return names


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Listens to every client that a store makes from now on."""
    listener = Commands()
    monkeypatch.setattr("holdfast_mongo.client.MongoClient", partial(MongoClient, event_listeners=[listener]))
    return listener
