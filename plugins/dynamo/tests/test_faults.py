"""Lost answers, cut connections, hanging servers, forks, and what the service answers when it is busy."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from holdfast import (
    NEW,
    Appended,
    BackendError,
    ConversationError,
    Conversations,
    Event,
    StoreBehindError,
    UnavailableError,
    UserUttered,
)
from holdfast_dynamo.client import Client
from holdfast_dynamo.config import DynamoConfig
from holdfast_dynamo.layout import key, part_key, text
from holdfast_dynamo.store import DynamoTrackerStore
from servers import dynamo
from servers.process import Process
from servers.proxy import Proxy

pytestmark = pytest.mark.server("dynamo")

Open = Callable[..., DynamoTrackerStore]
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "a-secret"}
QUICK = {"connect_timeout": 1, "read_timeout": 2, "retries": 0}


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5).frozen() for text in texts]


def texts(store: DynamoTrackerStore, conversation: str = "c") -> list[tuple[int, str]]:
    return [(number, Event.from_json(text).as_dict()["text"]) for number, text in store.read(conversation, 1, 99_999)]


@pytest.fixture
def proxy(dynamo_url: str) -> Iterator[Proxy]:
    port = dynamo_url.rpartition(":")[2].strip("/")
    if not port.isdigit():
        pytest.skip("the server in the environment has no port to put a proxy before")
    with Proxy(int(port)) as proxy:
        yield proxy


@pytest.fixture
def behind_proxy(proxy: Proxy, open_store: Open) -> DynamoTrackerStore:
    open_store().count()  # creates the table
    store = open_store(endpoint_url=f"http://127.0.0.1:{proxy.port}", **QUICK)
    store.count()
    return store


def test_an_append_whose_answer_was_lost_is_unavailable_and_its_retry_a_duplicate(
    proxy: Proxy, behind_proxy: DynamoTrackerStore
) -> None:
    proxy.drop_answers = True
    with pytest.raises(UnavailableError, match="does not answer"):
        behind_proxy.append("c", said("a", "b"), expected=NEW, batch_id="1")
    proxy.drop_answers = False
    assert behind_proxy.append("c", said("a", "b"), expected=NEW, batch_id="1") == Appended(2, duplicate=True)
    assert texts(behind_proxy) == [(1, "a"), (2, "b")]


def test_boto3_itself_may_try_again_when_the_answer_was_lost(proxy: Proxy, open_store: Open) -> None:
    store = open_store(endpoint_url=f"http://127.0.0.1:{proxy.port}", **{**QUICK, "retries": 1})
    store.count()
    sent: list[str] = []

    def before_send(**_: Any) -> None:
        sent.append("request")
        proxy.drop_answers = len(sent) == 1

    store.client.boto.meta.events.register("before-send.dynamodb", before_send)
    assert store.append("c", said("a"), expected=NEW, batch_id="1").version == 1
    assert len(sent) == 2
    assert texts(store) == [(1, "a")]


@pytest.mark.parametrize(("status", "length"), [("200 OK", 2), ("200 OK", 400), ("400 Bad Request", 90)])
def test_an_answer_that_was_cut_is_not_taken_for_an_answer(status: str, length: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode())

        answering = threading.Thread(target=answer)
        answering.start()
        client = Client(DynamoConfig(endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}", **KEYS, **QUICK))
        # Some versions of boto3 notice by themselves.
        with pytest.raises(UnavailableError, match="cut short|Connection was closed"):
            client.call("get_item", Key=key("=c", "H"))
        answering.join()
        client.close()


def test_saves_go_on_by_themselves_when_the_server_is_back(proxy: Proxy, behind_proxy: DynamoTrackerStore) -> None:
    conversations = Conversations(behind_proxy)
    tracker = conversations.get_or_create("c")
    tracker.add(*said("a"))
    proxy.refuse()
    proxy.cut()
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{proxy.port} cannot be reached"):
        conversations.save(tracker)
    proxy.listen()
    conversations.save(tracker)
    assert texts(behind_proxy) == [(1, "a")]


def test_writers_whose_connections_are_cut_again_and_again_lose_and_double_nothing(
    proxy: Proxy, behind_proxy: DynamoTrackerStore, open_store: Open
) -> None:
    writers = [behind_proxy, *(open_store(endpoint_url=f"http://127.0.0.1:{proxy.port}", **QUICK) for _ in range(2))]
    acknowledged: list[str] = []
    done = threading.Event()

    def disturb() -> None:
        choice = random.Random(1)
        while not done.is_set():
            time.sleep(choice.uniform(0.05, 0.2))
            proxy.drop_answers = choice.random() < 0.5
            proxy.cut()
            time.sleep(0.02)
            proxy.drop_answers = False

    def write(number: int) -> None:
        conversations = Conversations(writers[number])
        for turn in range(8):
            batch = f"{number}.{turn}"
            while True:
                try:
                    conversations.append("hot", said(f"{batch}.a", f"{batch}.b"), batch_id=batch)
                except UnavailableError:
                    continue
                acknowledged.append(batch)
                break

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(write, range(3)))
    finally:
        done.set()
        disturber.join()
    stored = texts(open_store(), "hot")
    assert [number for number, _ in stored] == list(range(1, 49))
    assert sorted(text for _, text in stored) == sorted(f"{batch}.{part}" for batch in acknowledged for part in "ab")
    assert all(first[:-2] == second[:-2] for (_, first), (_, second) in zip(stored[::2], stored[1::2], strict=True))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Process]:
    with dynamo.moto(tmp_path) as server:
        yield server


@pytest.fixture
def on_own_server(own_server: Process, section: Mapping[str, Any]) -> DynamoTrackerStore:
    keys = {name: value for name, value in section.items() if name != "type"}
    patient = DynamoTrackerStore(DynamoConfig(**{**keys, "endpoint_url": f"http://127.0.0.1:{own_server.port}"}))
    patient.count()  # the first request to moto takes long
    patient.close()
    return DynamoTrackerStore(DynamoConfig(**{**keys, "endpoint_url": f"http://127.0.0.1:{own_server.port}", **QUICK}))


def test_a_server_that_hangs_is_a_time_out_and_the_retry_stores_once(
    own_server: Process, on_own_server: DynamoTrackerStore
) -> None:
    on_own_server.append("c", said("a"), expected=NEW, batch_id="1")
    own_server.pause()
    with pytest.raises(UnavailableError, match="timed out|timeout"):
        on_own_server.append("c", said("b"), expected=1, batch_id="2")
    own_server.resume()
    assert on_own_server.append("c", said("b"), expected=1, batch_id="2").version == 2
    assert texts(on_own_server) == [(1, "a"), (2, "b")]
    on_own_server.close()


def test_a_server_that_lost_everything_is_noticed(own_server: Process, on_own_server: DynamoTrackerStore) -> None:
    on_own_server.append("c", said("a"), expected=NEW, batch_id="1")
    own_server.kill()
    with pytest.raises(UnavailableError):
        on_own_server.append("c", said("b"), expected=1, batch_id="2")
    own_server.start()
    with pytest.raises(BackendError, match="has no table"):
        on_own_server.append("c", said("b"), expected=1, batch_id="2")
    on_own_server.close()
    again = DynamoTrackerStore(on_own_server.config)
    with pytest.raises(StoreBehindError):
        again.append("c", said("b"), expected=1, batch_id="2")
    again.close()


def test_a_store_that_was_used_before_a_fork_works_on_both_sides(store: DynamoTrackerStore) -> None:
    store.append("c", said("parent"), expected=NEW, batch_id="1")
    with store._preparing, store.client._lock:  # held during the fork, as by another thread
        child = os.fork()
        if child == 0:
            try:
                store.append("c", said("child"), expected=1, batch_id="2")
                os._exit(0 if len(texts(store)) == 2 else 1)
            except BaseException:  # noqa: BLE001  # whatever it is, the child must not go on
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.append("c", said("parent again"), expected=2, batch_id="3")
    assert [number for number, _ in texts(store)] == [1, 2, 3]


def test_many_threads_share_a_store(store: DynamoTrackerStore) -> None:
    def write(number: int) -> None:
        for turn in range(4):
            store.append(f"c{number}", said("x", "y"), expected=2 * turn, batch_id=str(turn))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(12)))
    assert {head.conversation: head.version for head in store.list().heads} == {f"c{number}": 8 for number in range(12)}


def test_an_append_larger_than_a_transaction_is_refused_and_nothing_is_written(store: DynamoTrackerStore) -> None:
    with pytest.raises(ConversationError, match=r"20,000,\d\d\d bytes.*at most 3,900,000.*several batches"):
        store.append("c", said("x" * 10_000_000), expected=NEW, batch_id="1")
    assert store.head("c") is None
    assert store.append("c", said("x" * 1_940_000), expected=NEW, batch_id="1") == Appended(1)
    assert len(texts(store)[0][1]) == 1_940_000


def test_letters_of_several_bytes_are_never_cut_apart(store: DynamoTrackerStore) -> None:
    for number, letters in enumerate(("a" + "☕" * 300_000, "ab" + "\U0001f600" * 200_000)):
        store.append("c", said(letters), expected=number, batch_id=str(number))
    assert [text for _, text in texts(store)] == ["a" + "☕" * 300_000, "ab" + "\U0001f600" * 200_000]


# What the imitations never answer


def answering(store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch, *codes: str, **more: Any) -> list[str]:
    """Let the next calls of an operation fail with these codes; return the operations called."""
    store.count()
    real = store.client.boto
    left = list(codes)
    called: list[str] = []

    class Fake:
        def __getattr__(self, operation: str) -> Any:
            def call(**parameters: Any) -> Any:
                called.append(operation)
                if left:
                    response = {"Error": {"Code": left.pop(0), "Message": "so it is"}, **more}
                    raise ClientError(response, operation)
                return getattr(real, operation)(**parameters)

            return call

    monkeypatch.setattr(store.client, "_boto", Fake())
    return called


@pytest.mark.parametrize(
    "code",
    ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "InternalServerError"],
)
def test_an_overloaded_service_is_unavailable(
    store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    answering(store, monkeypatch, code)
    with pytest.raises(UnavailableError, match=code):
        store.head("c")
    assert store.head("c") is None


def test_a_service_that_breaks_is_unavailable(store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(store, monkeypatch, "Whatever", ResponseMetadata={"HTTPStatusCode": 503})
    with pytest.raises(UnavailableError, match="Whatever"):
        store.head("c")


def test_a_throttled_transaction_is_unavailable(store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = [{"Code": "None"}, {"Code": "ThrottlingError", "Message": "slower"}, {"Code": "None"}]
    answering(store, monkeypatch, "TransactionCanceledException", CancellationReasons=reasons)
    with pytest.raises(UnavailableError, match="ThrottlingError"):
        store.append("c", said("a"), expected=NEW, batch_id="1")
    assert store.append("c", said("a"), expected=NEW, batch_id="1") == Appended(1)


def test_a_transaction_that_meets_another_is_tried_again(
    store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = [{"Code": "TransactionConflict", "Message": "busy"}, {"Code": "None"}, {"Code": "None"}]
    called = answering(store, monkeypatch, *["TransactionCanceledException"] * 3, CancellationReasons=reasons)
    assert store.append("c", said("a"), expected=NEW, batch_id="1") == Appended(1)
    assert called == ["transact_write_items"] * 4


def test_a_conversation_that_stays_busy_is_unavailable(
    store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = [{"Code": "TransactionConflict", "Message": "busy"}]
    answering(store, monkeypatch, *["TransactionCanceledException"] * 8, CancellationReasons=reasons)
    with pytest.raises(UnavailableError, match="busy"):
        store.append("c", said("a"), expected=NEW, batch_id="1")


def test_a_transaction_that_is_refused_tells_why(store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = [{"Code": "ValidationError", "Message": "item too large"}]
    answering(store, monkeypatch, "TransactionCanceledException", CancellationReasons=reasons)
    with pytest.raises(BackendError, match="ValidationError: item too large"):
        store.append("c", said("a"), expected=NEW, batch_id="1")


def test_answers_are_right_where_a_failed_condition_does_not_bring_the_item(
    store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append("c", said("a"), expected=NEW, batch_id="1")
    reasons = [{"Code": "ConditionalCheckFailed"}, {"Code": "ConditionalCheckFailed"}, {"Code": "None"}]
    answering(store, monkeypatch, "TransactionCanceledException", CancellationReasons=reasons)
    assert store.append("c", said("a"), expected=NEW, batch_id="1") == Appended(1, duplicate=True)


@pytest.mark.parametrize("hidden", ["first batch", "batch between", "last batch", "second part"])
def test_a_reader_waits_for_events_that_are_not_visible_yet(
    store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    large = "x" * 500_000
    for number, batch in enumerate(("a", large, "c")):
        store.append("c", said(batch), expected=number, batch_id=str(number))
    last, part = {"first batch": (1, 0), "batch between": (2, None), "last batch": (3, 0), "second part": (2, 1)}[
        hidden
    ]
    invisible = [part_key("=c", last, place)["item"] for place in ((part,) if part is not None else (0, 1))]
    plain = store.client.plain
    queries = []

    def call(operation: str, **parameters: Any) -> dict[str, Any]:
        answer = plain(operation, **parameters)
        if operation == "query":
            queries.append(operation)
            if len(queries) == 1:
                answer["Items"] = [item for item in answer["Items"] if item["item"] not in invisible]
        return answer

    monkeypatch.setattr(store.client, "plain", call)
    assert texts(store) == [(1, "a"), (2, large), (3, "c")]


def test_events_that_never_become_visible_are_an_error(store: DynamoTrackerStore) -> None:
    store.append("c", said("a"), expected=NEW, batch_id="1")
    store.append("c", said("b"), expected=1, batch_id="2")
    store.client.call("delete_item", Key={"conversation": text("=c"), "item": part_key("=c", 1, 0)["item"]})
    with pytest.raises(UnavailableError, match="event 1"):
        texts(store)
    assert [number for number, _ in store.read("c", 2, 2)] == [2]
