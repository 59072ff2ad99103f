"""A server for the session, and an empty database for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from pymongo import MongoClient

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
def database(mongo_url: str) -> Iterator[str]:
    """The name of a database that does not exist yet, and will not afterwards."""
    name = f"holdfast_test_{os.getpid()}_{next(_numbers)}"
    yield name
    with MongoClient(mongo_url) as client:
        client.drop_database(name)
