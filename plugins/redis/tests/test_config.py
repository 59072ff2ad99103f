"""Every key of the section: what is refused, and what reaches redis-py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.sentinel import SentinelConnectionPool

from holdfast import ConfigurationError, connect
from holdfast_redis.client import _connect
from holdfast_redis.config import RedisConfig
from holdfast_redis.store import RedisTrackerStore

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"url": "redis://user:hunter2@host:6379/1"}, "must be a host; write port, db, username, password"),
    ({"url": "user@host"}, "must be a host"),
    ({"url": "host:6379"}, "write the port as the key 'port'"),
    ({"url": " "}, "must not be empty"),
    ({"url": None}, "has no value"),
    ({"port": 0}, "port: must be at least 1"),
    ({"port": 65536}, "port: must be at most 65535"),
    ({"db": -1}, "db: must be at least 0"),
    ({"record_exp": 0}, "record_exp: must be greater than 0"),
    ({"record_exp": float("inf")}, "record_exp: must be a finite number"),
    ({"key_prefix": "my-assistant"}, "must consist of letters and digits only"),
    ({"key_prefix": ""}, "must consist of letters and digits only"),
    ({"deployment_mode": "Cluster"}, "deployment_mode: must be one of"),
    ({"deployment_mode": "cluster", "db": 1}, "a cluster has only database 0"),
    ({"deployment_mode": "cluster", "endpoints": ["host"]}, "of the form host:port"),
    ({"deployment_mode": "cluster", "endpoints": ["host:0"]}, "of the form host:port"),
    ({"deployment_mode": "cluster", "endpoints": [":6379"]}, "of the form host:port"),
    ({"deployment_mode": "cluster", "unix_socket": "/run/redis.sock"}, "'unix_socket' excludes"),
    ({"deployment_mode": "sentinel"}, "needs 'endpoints', the host:port of each Sentinel"),
    ({"deployment_mode": "sentinel", "endpoints": ["a:26379"], "url": "host"}, "the Sentinels name the server"),
    ({"endpoints": ["host:6379"]}, "'endpoints' needs 'deployment_mode: cluster'"),
    ({"unix_socket": "/run/redis.sock", "port": 6379}, "'unix_socket' excludes"),
    ({"unix_socket": "/run/redis.sock", "use_ssl": True}, "a Unix socket does not speak TLS"),
    ({"ssl_ca_certs": "/ca.pem"}, "there is no TLS without 'use_ssl: true'"),
    ({"username": "app"}, "'username' needs a 'password'"),
    ({"socket_timeout": 0}, "socket_timeout: must be greater than 0"),
    ({"pool_size": 0}, "pool_size: must be at least 1"),
    ({"health_check_interval": -1}, "health_check_interval: must be at least 0"),
    ({"durability": "disk"}, "durability: must be one of"),
    ({"durability": "replica", "replicas": 0}, "replicas: must be at least 1"),
    ({"durability": "fsync", "socket_timeout": 2}, "'durability_timeout' must be less than 'socket_timeout'"),
    ({"hots": "typo"}, "hots: is not a known key"),
]


@pytest.mark.parametrize(("keys", "message"), REFUSED, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_a_section_that_cannot_work_is_refused_and_its_values_are_not_repeated(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    path = tmp_path / "endpoints.yml"
    path.write_text(yaml.safe_dump({"tracker_store": {"type": "redis", **keys}}))
    with pytest.raises(ConfigurationError) as refused, connect(path):
        pass
    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_section_as_rasa_documents_it_is_accepted(tmp_path: Path) -> None:
    section = {
        "type": "redis", "url": "localhost", "port": 6379, "db": 0, "password": "hunter2", "username": "u",
        "use_ssl": True, "ssl_keyfile": "k", "ssl_certfile": "c", "ssl_ca_certs": "a", "record_exp": 30.5,
        "key_prefix": "Prefix1",
    }  # fmt: skip
    path = tmp_path / "endpoints.yml"
    path.write_text(yaml.safe_dump({"tracker_store": section}))
    with connect(path) as hf:
        assert hf.conversations is not None


def test_opening_does_no_io_in_any_mode() -> None:
    for keys in (
        {"url": "no.such.host.invalid"},
        {"deployment_mode": "cluster", "endpoints": ("no.such.host.invalid:1",)},
        {"deployment_mode": "sentinel", "endpoints": ("no.such.host.invalid:1",)},
        {"unix_socket": "/no/such/socket"},
    ):
        RedisTrackerStore(RedisConfig(**keys)).close()


def test_the_keys_reach_the_connections() -> None:
    config = RedisConfig(
        url="::1", port=7000, db=3, username="app", password="hunter2", socket_timeout=7, socket_connect_timeout=2,
        health_check_interval=11, use_ssl=True, ssl_keyfile="k", ssl_certfile="c", ssl_ca_certs="a",
        ssl_check_hostname=False,
    )  # fmt: skip
    kwargs = _connect(config).connection_pool.connection_kwargs
    wanted = {
        "host": "::1", "port": 7000, "db": 3, "username": "app", "password": "hunter2", "socket_timeout": 7,
        "socket_connect_timeout": 2, "health_check_interval": 11, "ssl_keyfile": "k", "ssl_certfile": "c",
        "ssl_ca_certs": "a", "ssl_check_hostname": False,
    }  # fmt: skip
    assert {key: kwargs[key] for key in wanted} == wanted
    assert kwargs["retry"]._retries == 0


def test_the_keys_reach_the_sentinels_and_the_master() -> None:
    config = RedisConfig(
        deployment_mode="sentinel", endpoints=("a:1", "[::1]:2"), sentinel_service="main", db=2, password="data",
        sentinel_username="watch", sentinel_password="men", use_ssl=True,
    )  # fmt: skip
    pool = _connect(config).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert (pool.service_name, pool.connection_kwargs["db"], pool.connection_kwargs["password"]) == ("main", 2, "data")
    asked = [client.connection_pool.connection_kwargs for client in pool.sentinel_manager.sentinels]
    assert [(kwargs["host"], kwargs["port"]) for kwargs in asked] == [("a", 1), ("::1", 2)]
    assert all((kwargs["username"], kwargs["password"]) == ("watch", "men") for kwargs in asked)


def test_no_secret_is_shown() -> None:
    config = RedisConfig(password="hunter2", sentinel_password="hunter3")
    assert "hunter" not in repr(config)
    assert "hunter" not in str(config)
