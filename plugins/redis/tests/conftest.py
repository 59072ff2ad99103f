"""The servers of these tests: each starts once, when the first test asks for it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis, RedisCluster

from holdfast_redis.config import RedisConfig
from holdfast_redis.store import RedisTrackerStore
from servers.process import HOST
from servers.redis import cluster, port_of, redis_server


def section_of(url: str) -> dict[str, Any]:
    """The section that opens what a URL of an environment variable names."""
    parts = urlsplit(url)
    given = {
        "url": parts.hostname,
        "port": parts.port,
        "username": parts.username,
        "password": parts.password,
        "use_ssl": parts.scheme == "rediss" or None,
    }
    return {key: value for key, value in given.items() if value is not None}


@pytest.fixture(scope="session")
def redis_section(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """The section of a server: that of HOLDFAST_TEST_REDIS_URL, or one of our own."""
    if url := os.environ.get("HOLDFAST_TEST_REDIS_URL"):
        yield {"type": "redis", **section_of(url)}
        return
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield {"type": "redis", "url": HOST, "port": port_of(server)}


@pytest.fixture(scope="session")
def cluster_section(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """The section of a cluster: that of HOLDFAST_TEST_REDIS_CLUSTER_URL, or one of our own."""
    if url := os.environ.get("HOLDFAST_TEST_REDIS_CLUSTER_URL"):
        yield {"type": "redis", "deployment_mode": "cluster", **section_of(url)}
        return
    with cluster(tmp_path_factory.mktemp("cluster")) as ports:
        endpoints = [f"{HOST}:{port}" for port in ports]
        yield {"type": "redis", "deployment_mode": "cluster", "endpoints": endpoints}


@pytest.fixture
def fresh() -> Iterator[Callable[[Mapping[str, Any]], dict[str, Any]]]:
    """Gives a section key names of its own, and erases them in the end."""
    made: list[dict[str, Any]] = []

    def make(section: Mapping[str, Any]) -> dict[str, Any]:
        made.append({**section, "key_prefix": f"t{uuid.uuid4().hex[:12]}"})
        return made[-1]

    yield make
    for section in made:
        with raw(section) as redis:
            for key in redis.scan_iter(f"{section['key_prefix']}:*", count=1000):
                redis.unlink(key)


def raw(section: Mapping[str, Any]) -> Redis | RedisCluster:
    """A plain client of redis-py for what a section names."""
    if section.get("deployment_mode") == "cluster":
        host, _, port = section["endpoints"][0].rpartition(":") if "endpoints" in section else ("", "", "0")
        return RedisCluster(host=section.get("url", host), port=section.get("port", int(port)))
    login = {key: section[key] for key in ("username", "password") if key in section}
    return Redis(host=section["url"], port=section.get("port", 6379), ssl=section.get("use_ssl", False), **login)


@pytest.fixture
def section(redis_section: Mapping[str, Any], fresh: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """An empty namespace on the one server."""
    return fresh(redis_section)


@pytest.fixture
def plain(section: Mapping[str, Any]) -> Iterator[Redis]:
    """A plain client of the one server."""
    with raw(section) as client:
        yield client


@pytest.fixture
def open_store(section: Mapping[str, Any]) -> Iterator[Callable[..., RedisTrackerStore]]:
    """Opens stores on the one server; keys of the section may be added or, by `None`, left out."""
    opened: list[RedisTrackerStore] = []

    def open_one(**keys: Any) -> RedisTrackerStore:
        merged = {key: value for key, value in {**section, **keys}.items() if value is not None and key != "type"}
        opened.append(RedisTrackerStore(RedisConfig(**merged)))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()
