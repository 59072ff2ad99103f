"""The section, without a server: what is refused, in which words, and what reaches the driver."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import MongoClient

from holdfast import ConfigurationError
from holdfast_mongo.config import MongoConfig
from holdfast_mongo.store import MongoTrackerStore


def refusal(tmp_path: Path, **keys: Any) -> str:
    """The text of the error that the section is refused with."""
    from holdfast import connect

    (tmp_path / "endpoints.yml").write_text(yaml.safe_dump({"tracker_store": {"type": "mongod", **keys}}))
    with pytest.raises(ConfigurationError) as refused, connect(tmp_path / "endpoints.yml"):
        pass
    assert refused.value.__cause__ is None
    return str(refused.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "postgresql://host/12345"}, "must begin with mongodb://"),
        ({"url": "mongodb://ann:pass/12345@host"}, "are written as %3A %2F"),
        ({"url": "mongodb://host:port12345"}, "is no MongoDB URI"),
        ({"url": "mongodb://host/?w=majority&socketTimeoutMS=a12345"}, "is no MongoDB URI"),
        ({"url": "mongodb://host/?tls=true&tlsCAFile=/12345/ca.pem"}, "cannot be read"),
        ({"url": ""}, "is no MongoDB URI"),
        ({"db": "my 12345"}, "must be 1 to 63 bytes"),
        ({"db": ""}, "must be 1 to 63 bytes"),
        ({"db": "é" * 32}, "must be 1 to 63 bytes"),
        ({"collection": "a$12345"}, "must be 1 to 120 bytes"),
        ({"collection": "system.12345"}, "must be 1 to 120 bytes"),
        ({"collection": ""}, "must be 1 to 120 bytes"),
        ({"write_concern": 0}, "an append is acknowledged"),
        ({"write_concern": "0"}, "an append is acknowledged"),
        ({"password": "12345"}, "'password' is set but 'username' is not"),
        ({"socket_timeout": 0}, "greater than 0"),
        ({"max_pool_size": 0}, "must be at least 1"),
        ({"username": 5, "colection": "12345"}, "colection"),
    ],
    ids=str,
)
def test_a_wrong_key_is_refused_in_words_that_do_not_repeat_its_value(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    text = refusal(tmp_path, **keys)
    assert said in text
    assert "12345" not in text


def test_a_bare_host_is_an_address() -> None:
    assert MongoConfig(url="mongo.internal:27018").url == "mongodb://mongo.internal:27018"
    assert MongoConfig().url == "mongodb://localhost:27017"


def test_a_name_of_a_write_concern_and_a_number_in_quotes_are_taken() -> None:
    assert MongoConfig(write_concern="2").write_concern == 2
    assert MongoConfig(write_concern="twoRegions").write_concern == "twoRegions"


def test_opening_connects_to_nothing_and_closing_again_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    for url in ("mongodb+srv://cluster.example.com", "mongodb://localhost"):
        store = MongoTrackerStore(MongoConfig(url=url))
        store.close()
        store.close()


def options(**keys: Any) -> Any:
    """The driver's options for a section."""
    from holdfast_mongo.client import Client

    config = MongoConfig(**keys)
    with MongoClient(config.url, connect=False, **Client(config)._options()) as client:
        return client.options


def test_time_outs_and_the_pool_have_limits_that_the_uri_and_the_keys_move() -> None:
    plain = options()
    assert plain.server_selection_timeout == 5
    assert plain.pool_options.connect_timeout == 5
    assert plain.pool_options.socket_timeout == 20
    assert plain.pool_options.wait_queue_timeout == 10
    assert plain.pool_options.max_pool_size == 100
    assert plain.pool_options.appname == "holdfast"
    uri = "mongodb://host/?socketTimeoutMS=1500&maxPoolSize=7&serverSelectionTimeoutMS=2500&appName=bot"
    by_uri = options(url=uri)
    assert by_uri.server_selection_timeout == 2.5
    assert by_uri.pool_options.socket_timeout == 1.5
    assert by_uri.pool_options.max_pool_size == 7
    assert by_uri.pool_options.appname == "bot"
    by_key = options(url=uri, socket_timeout=3, max_pool_size=9)
    assert by_key.pool_options.socket_timeout == 3
    assert by_key.pool_options.max_pool_size == 9
    assert by_key.server_selection_timeout == 2.5


@pytest.mark.parametrize(
    ("keys", "user", "source"),
    [
        ({"username": "ann", "password": "p"}, "ann", "admin"),
        ({"username": "ann", "password": "p", "auth_source": "bots"}, "ann", "bots"),
        ({"username": "ann", "password": "p", "url": "mongodb://host/?authSource=users"}, "ann", "users"),
        (
            {"username": "ann", "password": "p", "url": "mongodb://host/?authSource=users", "auth_source": "bots"},
            "ann",
            "bots",
        ),
        ({"url": "mongodb://bob:p@host/app"}, "bob", "app"),
        ({"url": "mongodb://bob:p@host/?authSource=users", "auth_source": "bots"}, "bob", "users"),
        ({"url": "mongodb://bob:p@host/", "username": "ann", "password": "q"}, "ann", "admin"),
    ],
    ids=str,
)
def test_the_keys_log_in_and_else_the_uri_does(keys: dict[str, Any], user: str, source: str) -> None:
    credentials = options(**keys).pool_options._credentials
    assert (credentials.username, credentials.source) == (user, source)


def test_without_credentials_nobody_logs_in() -> None:
    assert options(auth_source="bots").pool_options._credentials is None
