"""The servers of these tests, and a table of its own for each test."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from holdfast_dynamo.config import DynamoConfig
from holdfast_dynamo.store import DynamoTrackerStore
from servers import dynamo

NUMBERS = itertools.count(1)
KEYS = {"region": "us-east-1", "aws_access_key_id": "testing", "aws_secret_access_key": "a-secret"}


@pytest.fixture(scope="session")
def dynamo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a DynamoDB with transactions is."""
    if url := os.environ.get(dynamo.URL):
        yield url
        return
    with dynamo.moto(tmp_path_factory.mktemp("moto")) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def dynalite_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where dynalite is."""
    with dynamo.dynalite(tmp_path_factory.mktemp("dynalite")) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def section(dynamo_url: str) -> Iterator[Mapping[str, Any]]:
    """The section of endpoints.yml for a table that does not exist yet."""
    name = f"holdfast-{os.getpid()}-{next(NUMBERS)}"
    yield {"type": "dynamo", "table_name": name, "endpoint_url": dynamo_url, **KEYS}
    store = DynamoTrackerStore(DynamoConfig(table_name=name, endpoint_url=dynamo_url, **KEYS))
    boto = store.client.boto
    with contextlib.suppress(boto.exceptions.ResourceNotFoundException):  # the test did not come so far
        boto.delete_table(TableName=name)
    store.close()


@pytest.fixture
def open_store(section: Mapping[str, Any]) -> Iterator[Callable[..., DynamoTrackerStore]]:
    """Opens stores on the test's table; keys may be added or changed."""
    opened: list[DynamoTrackerStore] = []

    def open_one(**keys: Any) -> DynamoTrackerStore:
        given = {name: value for name, value in section.items() if name != "type"}
        store = DynamoTrackerStore(DynamoConfig(**{**given, **keys}))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., DynamoTrackerStore]) -> DynamoTrackerStore:
    return open_store()
