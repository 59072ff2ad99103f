"""Servers that are down, killed, paused, cut off, overloaded or half way through an election."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast import (
    ANY,
    NEW,
    BackendError,
    ConfigurationError,
    ConflictError,
    Conversations,
    Event,
    SlotSet,
    TrackerStore,
    UnavailableError,
    UserUttered,
    connect,
)
from holdfast_mongo.store import MongoTrackerStore
from holdfast_testkit import TrackerStoreTests
from holdfast_testkit.opening import open_store as open_section
from servers.mongo import Mongo
from servers.mongo_wire import Wire
from servers.process import HOST, free_port
from servers.proxy import Proxy

pytestmark = pytest.mark.server("mongo")

Open = Callable[..., MongoTrackerStore]
QUICK = {"server_selection_timeout": 0.5, "connect_timeout": 0.5, "socket_timeout": 0.5}


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


def texts(store: TrackerStore, conversation: str = "c") -> list[str]:
    stored = list(store.read(conversation, 1, 100_000))
    assert [number for number, _ in stored] == list(range(1, len(stored) + 1))
    return [event.get("text", event.get("value")) for event in (Event.from_json(text).as_dict() for _, text in stored)]


def patiently(operation: Callable[[], Any]) -> Any:
    """Try again, as the core does; each connection that was cut may cost a try."""
    for _ in range(10):
        try:
            return operation()
        except UnavailableError:
            pass
    return operation()


@pytest.fixture
def wire(mongo_port: int) -> Iterator[Wire]:
    with Wire(mongo_port) as wire:
        yield wire


# No server, no login


def test_a_server_that_is_down_is_named_and_the_password_is_not(tmp_path: Path) -> None:
    port = free_port()
    section = {"type": "mongo", "url": f"mongodb://{HOST}:{port}/?tls=false", "username": "ann", "password": "s3cr3t"}
    (tmp_path / "endpoints.yml").write_text(yaml.safe_dump({"tracker_store": {**section, **QUICK}}))
    with connect(tmp_path / "endpoints.yml") as hf, pytest.raises(UnavailableError) as refused:
        hf.conversations._policy.store._store.count()  # once, without the retries above it
    assert f"{HOST}:{port}" in str(refused.value)
    assert "s3cr3t" not in f"{refused.value!r} {refused.value.__cause__!r}"


def test_a_store_that_found_no_server_finds_it_once_it_is_there(tmp_path: Path, open_store: Open) -> None:
    server = Mongo(tmp_path / "late")
    store = open_store(url=server.url, **QUICK)
    with pytest.raises(UnavailableError):
        store.append("c", said("a"), expected=NEW, batch_id="1")
    with server:
        assert store.append("c", said("a"), expected=NEW, batch_id="1").version == 1
        store.close()


def test_a_refused_login_says_what_to_check(wire: Wire, open_store: Open) -> None:
    def refuse(name: str, command: dict[str, Any]) -> dict[str, Any] | None:
        if name == "saslStart":
            return {"ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "Authentication failed."}
        return None

    wire.answer = refuse
    for keys in ({"username": "ann", "password": "s3cr3t"}, {"url": wire.url.replace("//", "//ann:s3cr3t@")}):
        store = open_store(**{"url": wire.url, **QUICK, **keys})
        with pytest.raises(BackendError, match="Check 'username', 'password', 'auth_source'") as refused:
            store.count()
        assert not isinstance(refused.value, UnavailableError)
        assert "s3cr3t" not in str(refused.value)


def test_options_the_driver_refuses_are_an_error_of_the_configuration(open_store: Open, mongo_url: str) -> None:
    store = open_store(url=f"{mongo_url}?authMechanism=SCRAM-SHA-256")
    with pytest.raises(ConfigurationError, match="the driver refused the options"):
        store.count()
    with pytest.raises(ConfigurationError, match="w=0"):
        open_store(url=f"{mongo_url}?w=0").count()


# Killed, paused, cut


def acknowledged_by(store: TrackerStore, batch: list[Event], batch_id: str) -> bool:
    try:
        store.append("c", batch, expected=ANY, batch_id=batch_id)
    except BackendError:
        return False
    return True


def test_a_server_killed_amid_writes_keeps_what_it_acknowledged_once(  # one story
    mongo_server: Mongo, open_store: Open
) -> None:
    stores = [open_store(url=mongo_server.url, db="killed", **QUICK) for _ in range(3)]
    stores[0].count()
    done = threading.Event()
    acknowledged: list[list[str]] = [[], [], []]

    def write(number: int) -> None:
        for turn in itertools.count():
            batch = said(f"{number}.{turn}.a", f"{number}.{turn}.b")
            while not acknowledged_by(stores[number], batch, f"{number}.{turn}"):
                if done.wait(0.05):
                    return
            acknowledged[number].append(f"{number}.{turn}")
            if done.wait(0.03):  # FerretDB searches the collection, so a writer in a hurry would starve the others
                return

    def wait_for_more(turns: int) -> None:
        goals = [len(ours) + turns for ours in acknowledged]
        while any(len(ours) < goal for ours, goal in zip(acknowledged, goals, strict=True)):
            time.sleep(0.01)
            assert not any(future.done() for future in writing)

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, number) for number in range(3)]
        try:
            for _ in range(2):
                wait_for_more(3)
                mongo_server.kill()
                mongo_server.start()
            wait_for_more(3)
        finally:
            done.set()
        for future in writing:
            future.result()
    fresh = open_store(url=mongo_server.url, db="killed")
    stored = texts(fresh)
    batches = [text[:-2] for text in stored[::2]]
    assert stored == [f"{batch}.{half}" for batch in batches for half in "ab"]
    assert len(set(batches)) == len(batches)
    assert set(batches) >= {batch for ours in acknowledged for batch in ours}
    assert len(batches) <= sum(map(len, acknowledged)) + 3
    assert fresh.list().heads[0].version == len(stored)


def test_a_paused_server_times_out_and_the_same_save_succeeds_later_once(mongo_server: Mongo, open_store: Open) -> None:
    conversations = Conversations(open_store(url=mongo_server.url, db="paused", **QUICK))
    tracker = conversations.get_or_create("c")
    tracker.add(*said("a"))
    conversations.save(tracker)
    tracker.add(*said("b"))
    mongo_server.pause()
    try:
        with pytest.raises(UnavailableError):
            conversations.save(tracker)
    finally:
        mongo_server.resume()
    conversations.save(tracker)
    assert texts(open_store(url=mongo_server.url, db="paused")) == ["a", "b"]
    assert tracker.version == 2


def test_an_answer_that_is_lost_is_asked_for_again_and_nothing_is_doubled(mongo_port: int, open_store: Open) -> None:
    with Proxy(mongo_port) as proxy:
        store = open_store(url=f"mongodb://{HOST}:{proxy.port}/?retryWrites=false", **QUICK)
        store.append("c", said("a"), expected=NEW, batch_id="1")
        for number, expected in ((2, 1), (3, ANY)):
            patiently(lambda: store.head("c"))
            proxy.drop_answers = True
            with pytest.raises(UnavailableError):
                store.append("c", said(f"lost {number}"), expected=expected, batch_id=str(number))
            proxy.drop_answers = False
            proxy.cut()
            again = patiently(
                lambda number=number, expected=expected: store.append(
                    "c", said(f"lost {number}"), expected=expected, batch_id=str(number)
                )
            )
            assert (again.version, again.duplicate) == (number, True)
        assert texts(store) == ["a", "lost 2", "lost 3"]
        store.close()


def test_connections_that_are_cut_between_operations_are_made_again(mongo_port: int, open_store: Open) -> None:
    with Proxy(mongo_port) as proxy:
        conversations = Conversations(open_store(url=f"mongodb://{HOST}:{proxy.port}/", **QUICK))
        tracker = conversations.get_or_create("c")
        for number in range(3):
            tracker.add(*said(str(number)))
            conversations.save(tracker)
            proxy.cut()
        assert texts(open_store()) == ["0", "1", "2"]
        conversations.close()


# What only larger servers answer


@pytest.mark.parametrize(
    "error",
    [
        {"code": 10107, "codeName": "NotWritablePrimary", "errmsg": "not primary"},
        {"code": 189, "codeName": "PrimarySteppedDown", "errmsg": "stepped down"},
        {"code": 16500, "errmsg": "Request rate is large"},
        {"code": 462, "codeName": "IngressRequestRateLimitExceeded", "errmsg": "overloaded"},
    ],
    ids=lambda error: error["code"],
)
def test_an_election_or_an_overload_is_waited_out(wire: Wire, open_store: Open, error: dict[str, Any]) -> None:
    conversations = Conversations(open_store(url=wire.url))
    tracker = conversations.get_or_create("c")
    left = [1, 1]
    wire.answer = lambda name, _: {"ok": 0.0, **error} if name == "insert" and left and left.pop() else None
    tracker.add(*said("a"))
    conversations.save(tracker)
    assert left == []
    assert texts(open_store()) == ["a"]


def test_an_append_that_too_few_members_have_is_not_acknowledged(wire: Wire, open_store: Open) -> None:
    store = open_store(url=wire.url)
    store.append("c", said("a"), expected=NEW, batch_id="1")
    wire.amend["insert"] = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
    for _ in range(2):  # the second time the commit stands, but still only here
        with pytest.raises(UnavailableError, match="replication timed out"):
            store.append("c", said("b"), expected=1, batch_id="2")
    wire.amend.clear()
    assert store.append("c", said("b"), expected=1, batch_id="2").duplicate
    assert texts(store) == ["a", "b"]


# Batches of several documents


@pytest.fixture
def replica_set(mongo_port: int) -> Iterator[Wire]:
    """A server that looks like a replica set: its transactions are undone when aborted, but not isolated."""
    with Wire(mongo_port, replica_set=True) as wire:
        yield wire


@pytest.fixture
def small_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits a thousandth of what they are, for the time of the test."""
    monkeypatch.setattr("holdfast_mongo.documents.PART", 8_000)
    monkeypatch.setattr("holdfast_mongo.documents._DOCUMENT", 16_000)


def large(count: int, size: int = 3_900) -> list[Event]:
    return [SlotSet("s", chr(ord("a") + number) * size, timestamp=1.5) for number in range(count)]


def test_a_batch_too_large_for_a_document_is_several_in_one_transaction(
    small_documents: None, replica_set: Wire, open_store: Open, collections: tuple[Any, Any]
) -> None:
    store = open_store(url=replica_set.url)
    store.append("c", said("before"), expected=NEW, batch_id="1")
    for expected, duplicate in ((1, False), (1, True), (ANY, True)):
        done = store.append("c", large(5), expected=expected, batch_id="2")
        assert (done.version, done.duplicate) == (6, duplicate)
    assert replica_set.commands.count("commitTransaction") == 1
    assert replica_set.commands.count("abortTransaction") == 1
    assert [len(text) for text in texts(store)] == [6] + [3_900] * 5
    assert [(one["_id"]["n"], one["v"]) for one in collections[0].find(sort=[("v", 1)])] == [
        (1, 1),
        (2, 3),
        (4, 5),
        (6, 6),
    ]
    assert store.append("c", said("after"), expected=6, batch_id="3").version == 7


def test_a_batch_of_several_documents_is_written_whole_or_not_at_all(
    small_documents: None, replica_set: Wire, open_store: Open
) -> None:
    store, other = open_store(url=replica_set.url), open_store()
    store.append("c", said("a"), expected=NEW, batch_id="1")
    other.append("c", said("b", "c", "d"), expected=1, batch_id="2")
    with pytest.raises(ConflictError):
        store.append("c", large(5), expected=1, batch_id="3")
    assert texts(other) == ["a", "b", "c", "d"]
    store.head("c")
    other.delete("c")
    with pytest.raises(Exception, match="behind"):
        store.append("c", large(5), expected=4, batch_id="3")
    assert other.head("c") is None


def test_without_transactions_a_batch_is_refused_when_a_document_cannot_hold_it(
    small_documents: None, open_store: Open
) -> None:
    store = open_store(socket_timeout=60)
    assert store.append("c", large(3), expected=NEW, batch_id="1").version == 3
    with pytest.raises(BackendError, match=r"no transactions.*Nothing was written.*smaller batches"):
        store.append("c", large(5), expected=3, batch_id="2")
    assert len(texts(store)) == 3


def test_an_event_of_ten_megabytes_is_stored_and_one_that_no_document_holds_is_refused(open_store: Open) -> None:
    store = open_store(socket_timeout=60)
    assert store.append("c", large(1, 10_000_000), expected=NEW, batch_id="1").version == 1
    with pytest.raises(BackendError, match=r"event 2 of a batch for conversation 'c' has 17,\d+,\d+ bytes.*16 MiB"):
        store.append("c", [*said("x"), *large(1, 17_000_000)], expected=1, batch_id="2")
    assert [len(text) for text in texts(store)] == [10_000_000]


# Servers without every index


def refuse_indexes(name: str, command: dict[str, Any]) -> dict[str, Any] | None:
    if name == "createIndexes":
        return {"ok": 0.0, "code": 67, "codeName": "CannotCreateIndex", "errmsg": "this server makes no such index"}
    return None


class TestWithoutIndexes(TrackerStoreTests):
    """The kit, where the server makes no index at all."""

    @pytest.fixture
    def section(self, wire: Wire, database: str) -> dict[str, Any]:
        wire.answer = refuse_indexes
        return {"type": "mongod", "url": wire.url, "db": database}

    @pytest.fixture(params=("own face",))
    def open_another(self, section: dict[str, Any], tmp_path: Path) -> Iterator[Callable[[], TrackerStore]]:
        opened: list[TrackerStore] = []

        def open_one() -> TrackerStore:
            opened.append(open_section(section, tmp_path, derived=False))
            return opened[-1]

        yield open_one
        for store in opened:
            store.close()


def test_a_refused_index_is_told_once_and_a_stale_writer_is_still_told(
    wire: Wire, open_store: Open, caplog: pytest.LogCaptureFixture, collections: tuple[Any, Any]
) -> None:
    wire.answer = refuse_indexes
    store = open_store(url=wire.url)
    with caplog.at_level(logging.WARNING, "holdfast_mongo"):
        for number in range(3):
            store.append("c", said("x"), expected=number, batch_id=str(number))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told)) == 8
    assert "each append takes a second command" in told[0]
    open_store().delete("c")
    with pytest.raises(Exception, match="behind"):
        store.append("c", said("x"), expected=3, batch_id="3")
    assert collections[0].count_documents({}) == 0
