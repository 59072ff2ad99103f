"""When the server is down, hangs, is killed, loses answers, fails over, or does not let us in."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis

from holdfast import (
    ANY,
    NEW,
    Appended,
    BackendError,
    Conversations,
    Event,
    StoreBehindError,
    UnavailableError,
    UserUttered,
    connect,
)
from holdfast_redis.config import RedisConfig
from holdfast_redis.store import RedisTrackerStore
from servers.process import HOST, Process, free_port, wait_until
from servers.proxy import Proxy
from servers.redis import SERVICE, Sentinels, ask, certificate, port_of, redis_server, sentinels, valkey

pytestmark = pytest.mark.server("redis")

SECRET = "hunter2-secret"


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


@pytest.fixture
def opened() -> Iterator[Callable[..., RedisTrackerStore]]:
    stores: list[RedisTrackerStore] = []

    def open_one(**keys: Any) -> RedisTrackerStore:
        stores.append(RedisTrackerStore(RedisConfig(**keys)))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[Process]:
    """A server of its own that keeps its data when it is killed."""
    with redis_server(tmp_path / "lasting", "--appendonly", "yes") as server:
        yield server


def texts(store: RedisTrackerStore, conversation: str) -> list[str]:
    stored = list(store.read(conversation, 1, 1_000_000))
    assert [number for number, _ in stored] == list(range(1, len(stored) + 1))
    return [Event.from_json(text).as_dict()["text"] for _, text in stored]


# Not there, not answering


@pytest.mark.parametrize("mode", ["standard", "cluster", "sentinel", "socket"])
def test_a_server_that_is_down_is_unavailable_and_named(
    tmp_path: Path, opened: Callable[..., RedisTrackerStore], mode: str
) -> None:
    port = free_port()
    keys: dict[str, Any] = {
        "standard": {"url": HOST, "port": port},
        "cluster": {"deployment_mode": "cluster", "endpoints": (f"{HOST}:{port}",)},
        "sentinel": {"deployment_mode": "sentinel", "endpoints": (f"{HOST}:{port}",)},
        "socket": {"unix_socket": str(tmp_path / "no.sock")},
    }[mode]
    store = opened(**keys, username="app", password=SECRET)
    with pytest.raises(UnavailableError) as refused:
        store.append("c", said("a"), expected=NEW, batch_id="1")
    assert (f"{HOST}:{port}" if mode != "socket" else "no.sock") in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_server_that_hangs_is_unavailable_and_a_retry_writes_nothing_twice(
    lasting: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    store = opened(url=HOST, port=port_of(lasting), socket_timeout=0.3)
    store.append("c", said("a"), expected=NEW, batch_id="1")
    lasting.pause()
    try:
        with pytest.raises(UnavailableError, match=f"{HOST}:{port_of(lasting)}"):
            store.append("c", said("b"), expected=1, batch_id="2")
        with pytest.raises(UnavailableError):
            store.head("c")
    finally:
        lasting.resume()
    wait_until(lambda: ask(port_of(lasting), "ping") == "PONG", seconds=10, what="the server")
    assert store.append("c", said("b"), expected=1, batch_id="2").version == 2
    assert texts(store, "c") == ["a", "b"]


def test_an_answer_that_is_lost_after_the_write_is_retried_without_a_duplicate(
    lasting: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    with Proxy(port_of(lasting)) as proxy:
        store = opened(url=HOST, port=proxy.port, socket_timeout=0.3)
        direct = opened(url=HOST, port=port_of(lasting))
        store.append("c", said("a"), expected=NEW, batch_id="1")
        for number, expected in enumerate((1, ANY, 3), 2):
            proxy.drop_answers = True
            with pytest.raises(UnavailableError):
                store.append("c", said(f"{number}"), expected=expected, batch_id=f"{number}")
            proxy.drop_answers = False
            proxy.cut()
            assert direct.head("c").version == number
            again = store.append("c", said(f"{number}"), expected=expected, batch_id=f"{number}")
            assert again == Appended(number, duplicate=True)
        assert texts(store, "c") == ["a", "2", "3", "4"]


def test_the_core_retries_through_connections_that_are_cut(
    lasting: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    with Proxy(port_of(lasting)) as proxy:
        conversations = Conversations(opened(url=HOST, port=proxy.port))
        tracker = conversations.get_or_create("c")
        for number in range(20):
            tracker.add(*said(f"{number}"))
            if number % 3 == 0:
                proxy.cut()
            conversations.save(tracker)
        assert proxy.connections > 5
    assert texts(opened(url=HOST, port=port_of(lasting)), "c") == [str(number) for number in range(20)]


def test_a_server_killed_while_several_write_has_all_that_was_acknowledged_and_nothing_twice(
    lasting: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    acknowledged: dict[str, list[str]] = {}
    problems: list[BaseException] = []
    over = threading.Event()

    def write(writer: int) -> None:
        store = opened(url=HOST, port=port_of(lasting), socket_timeout=2)
        done = acknowledged.setdefault(str(writer), [])
        try:
            while not over.is_set():
                batch = f"{writer}.{len(done)}"
                while True:
                    try:
                        store.append("hot", said(f"{batch}.a", f"{batch}.b"), expected=ANY, batch_id=batch)
                        break
                    except UnavailableError:
                        time.sleep(0.01)
                done.append(batch)
        except BaseException as error:
            problems.append(error)
            raise

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in writers:
        thread.start()
    for _ in range(3):
        goal = sum(map(len, acknowledged.values())) + 100
        wait_until(lambda goal=goal: sum(map(len, acknowledged.values())) > goal, seconds=30, what="the writers")
        lasting.kill()
        lasting.start()
    over.set()
    for thread in writers:
        thread.join()
    assert problems == []
    stored = texts(opened(url=HOST, port=port_of(lasting)), "hot")
    assert [text[:-2] for text in stored[::2]] == [text[:-2] for text in stored[1::2]]
    assert {text[-1] for text in stored[::2]} == {"a"}
    assert sorted(text[:-2] for text in stored[::2]) == sorted(
        batch for done in acknowledged.values() for batch in done
    )


# Not allowed


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Process]:
    """A server whose user `app` may use keys of one prefix only."""
    (tmp_path / "users.acl").write_text(
        "user default off\n"
        f"user app on >{SECRET} ~app:* resetchannels -@all +@read +@write +@connection +@scripting +time\n"
        f"user reader on >{SECRET} ~* resetchannels +@all -@write\n"
    )
    with redis_server(tmp_path / "guarded", "--aclfile", str(tmp_path / "users.acl")) as server:
        yield server


def test_a_user_of_an_acl_needs_no_more_than_its_prefix(
    guarded: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    store = opened(url=HOST, port=port_of(guarded), username="app", password=SECRET, key_prefix="app", record_exp=100)
    store.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    store.append("c", said("b"), expected=1, batch_id="2", user="bob")
    assert texts(store, "c") == ["a", "b"]
    assert store.list(user="bob").heads == store.list().heads
    assert (store.count(), store.reindex(), store.truncate("c", 2), store.delete("c")) == (1, 1, 1, True)


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        ({"username": "app", "password": SECRET + "x"}, "check 'username' and 'password'"),
        ({"username": "nobody", "password": SECRET}, "check 'username' and 'password'"),
        ({"password": SECRET}, "check 'username' and 'password'"),
        ({}, "check 'username' and 'password'"),
        ({"username": "app", "password": SECRET, "key_prefix": "other"}, "the ACL of 'username' must allow"),
        ({"username": "reader", "password": SECRET}, "the ACL of 'username' must allow"),
    ],
    ids=["wrong password", "wrong user", "no user", "no login", "other keys", "no writes"],
)
def test_who_is_not_allowed_is_told_what_to_do_and_no_secret_is_repeated(
    guarded: Process, opened: Callable[..., RedisTrackerStore], keys: dict[str, Any], advice: str
) -> None:
    store = opened(url=HOST, port=port_of(guarded), **keys)
    with pytest.raises(BackendError, match=advice) as refused:
        store.append("c", said("a"), expected=NEW, batch_id="1")
    assert not isinstance(refused.value, UnavailableError)
    assert f"{HOST}:{port_of(guarded)}" in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_password_that_the_server_repeats_is_not_passed_on(
    tmp_path: Path, opened: Callable[..., RedisTrackerStore]
) -> None:
    with redis_server(tmp_path / "odd", "--rename-command", "AUTH", "") as server:
        store = opened(url=HOST, port=port_of(server), password=SECRET)
        with pytest.raises(BackendError) as refused:
            store.head("c")
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_server_that_is_no_cluster_is_not_taken_for_one(
    lasting: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    store = opened(url=HOST, port=port_of(lasting), deployment_mode="cluster")
    with pytest.raises(BackendError, match="remove 'deployment_mode: cluster'"):
        store.head("c")


def test_a_node_of_a_cluster_is_not_taken_for_a_single_server(
    cluster_section: dict[str, Any], opened: Callable[..., RedisTrackerStore]
) -> None:
    host, _, port = cluster_section["endpoints"][0].rpartition(":")
    store = opened(url=host, port=int(port))
    with pytest.raises(BackendError, match="set 'deployment_mode: cluster'"):
        store.append("c", said("a"), expected=NEW, batch_id="1")  # its index lives in another slot


def test_a_server_whose_memory_is_full_is_an_error_with_the_cure_and_half_a_batch_is_not_written(
    lasting: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    store = opened(url=HOST, port=port_of(lasting))
    store.append("c", said("a"), expected=NEW, batch_id="1")
    ask(port_of(lasting), "config", "set", "maxmemory", "1mb")
    with pytest.raises(BackendError, match="maxmemory"):
        store.append("c", said("b", "c"), expected=1, batch_id="2")
    assert texts(store, "c") == ["a"]
    ask(port_of(lasting), "config", "set", "maxmemory", "0")
    assert store.append("c", said("b", "c"), expected=1, batch_id="2") == Appended(3)


# TLS, Unix socket


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path, Path]]:
    directory = tmp_path_factory.mktemp("tls")
    made, key = certificate(directory)
    port = free_port()
    options = (
        "--tls-port", str(port), "--tls-cert-file", str(made), "--tls-key-file", str(key),
        "--tls-ca-cert-file", str(made), "--requirepass", SECRET,
    )  # fmt: skip
    with redis_server(directory / "server", *options, port=0, ready=port):
        yield port, made, key


def test_tls_with_a_client_certificate(tls: tuple[int, Path, Path], opened: Callable[..., RedisTrackerStore]) -> None:
    port, made, key = tls
    files = {"ssl_ca_certs": str(made), "ssl_certfile": str(made), "ssl_keyfile": str(key)}
    store = opened(url="localhost", port=port, password=SECRET, use_ssl=True, **files)
    store.append("c", said("a"), expected=NEW, batch_id="1")
    assert texts(store, "c") == ["a"]
    store.delete("c")


def test_what_is_wrong_with_tls_is_told(tls: tuple[int, Path, Path], opened: Callable[..., RedisTrackerStore]) -> None:
    port, made, _ = tls
    known = {"url": "localhost", "port": port, "password": SECRET}
    for keys, advice in (
        ({"use_ssl": True}, "set 'ssl_ca_certs'"),
        ({"use_ssl": True, "ssl_ca_certs": "/no/such/file"}, "does not exist"),
    ):
        with pytest.raises(BackendError, match=advice) as refused:
            opened(**known, **keys).head("c")
        assert not isinstance(refused.value, UnavailableError)
        assert SECRET not in "".join(traceback.format_exception(refused.value))
    for keys in ({}, {"use_ssl": True, "ssl_ca_certs": str(made)}):  # no TLS; no client certificate
        with pytest.raises(BackendError, match=f"localhost:{port}"):
            opened(**known, **keys).head("c")


def test_a_unix_socket(tmp_path: Path, opened: Callable[..., RedisTrackerStore]) -> None:
    path = tmp_path / "redis.sock"
    with redis_server(tmp_path / "socket", "--unixsocket", str(path)):
        store = opened(unix_socket=str(path))
        store.append("c", said("a"), expected=NEW, batch_id="1")
        assert texts(store, "c") == ["a"]


# Sentinel


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Sentinels]:
    with sentinels(tmp_path) as running:
        yield running


def test_a_fail_over_goes_on_and_a_lost_end_is_noticed(
    watched: Sentinels, opened: Callable[..., RedisTrackerStore]
) -> None:
    endpoints = tuple(f"{HOST}:{port}" for port in watched.ports)
    keys: dict[str, Any] = {"deployment_mode": "sentinel", "endpoints": endpoints, "sentinel_service": SERVICE}
    store = opened(**keys, socket_timeout=1)
    surely = opened(**keys, durability="replica", durability_timeout=0.5)
    conversations = Conversations(store)
    tracker = conversations.get_or_create("c")
    tracker.add(*said("a", "b"))
    conversations.save(tracker)
    assert surely.append("kept", said("a"), expected=NEW, batch_id="1") == Appended(1)

    watched.replica.kill()  # so that the end of the conversation never reaches it
    tracker.add(*said("lost"))
    conversations.save(tracker)
    assert tracker.version == 3
    with pytest.raises(UnavailableError, match=r"not confirmed by 1 replica\(s\), but by 0"):
        surely.append("kept", said("b"), expected=1, batch_id="2")
    watched.master.kill()
    watched.replica.start()

    def writable() -> bool:
        try:
            return store.append("probe", said("x"), expected=ANY, batch_id="1").version == 1
        except UnavailableError:
            return False

    wait_until(writable, seconds=60, what="the fail-over")
    tracker.add(*said("next"))
    with pytest.raises(StoreBehindError) as behind:
        conversations.save(tracker)
    assert (behind.value.expected, behind.value.actual) == (3, 2)
    assert [event.as_dict()["text"] for event in tracker.events] == ["a", "b", "lost", "next"]
    assert texts(store, "c") == ["a", "b"]
    assert texts(store, "kept") == ["a"]


def test_a_service_the_sentinels_do_not_know_is_named(
    watched: Sentinels, opened: Callable[..., RedisTrackerStore]
) -> None:
    endpoints = tuple(f"{HOST}:{port}" for port in watched.ports)
    store = opened(deployment_mode="sentinel", endpoints=endpoints, sentinel_service="other")
    with pytest.raises(UnavailableError, match="'other'"):
        store.head("c")


# Durability


def test_a_write_no_replica_confirms_is_unavailable_and_its_retry_waits_again(
    tmp_path: Path, lasting: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    port = port_of(lasting)
    store = opened(url=HOST, port=port, durability="replica", durability_timeout=0.1)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="not confirmed"):
            store.append("c", said("a"), expected=NEW, batch_id="1")
    options = ("--replicaof", HOST, str(port), "--repl-diskless-sync-delay", "0")
    with redis_server(tmp_path / "replica", *options) as replica:
        wait_until(
            lambda: "master_link_status:up" in ask(port_of(replica), "info", "replication"),
            seconds=20,
            what="the replica",
        )
        patient = opened(url=HOST, port=port, durability="replica", durability_timeout=5)
        assert patient.append("c", said("a"), expected=NEW, batch_id="1") == Appended(1, duplicate=True)
        with Redis(host=HOST, port=port_of(replica)) as reader:
            assert reader.llen("holdfast:{c}:log") == 1
        replica.pause()
        # The batch stands, but this try wrote something that nobody confirmed.
        with pytest.raises(UnavailableError, match="not confirmed"):
            store.append("c", said("a"), expected=NEW, batch_id="1")
        replica.resume()
        assert patient.delete("c")


def test_a_server_without_waitaof_says_what_to_set_instead(
    lasting: Process, opened: Callable[..., RedisTrackerStore]
) -> None:
    if "waitaof" in ask(port_of(lasting), "command", "info", "waitaof"):
        pytest.skip("this server is new enough")
    store = opened(url=HOST, port=port_of(lasting), durability="fsync")
    with pytest.raises(BackendError, match="needs Redis 7.2 or newer"):
        store.append("c", said("a"), expected=NEW, batch_id="1")


def test_valkey_confirms_the_fsync_in_the_same_round_trip(
    tmp_path: Path, opened: Callable[..., RedisTrackerStore]
) -> None:
    with redis_server(tmp_path / "valkey", "--appendonly", "yes", server=valkey) as server:
        with Proxy(port_of(server)) as proxy:
            store = opened(url=HOST, port=proxy.port, durability="fsync")
            store.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
            before = proxy.round_trips
            assert store.append("c", said("b"), expected=1, batch_id="2") == Appended(2)
            assert store.append("c", said("b"), expected=1, batch_id="2") == Appended(2, duplicate=True)
            assert proxy.round_trips == before + 2
        direct = opened(url=HOST, port=port_of(server), durability="fsync")
        assert texts(direct, "c") == ["a", "b"]
        assert [head.conversation for head in direct.list(user="ann").heads] == ["c"]
        ask(port_of(server), "config", "set", "appendonly", "no")
        with pytest.raises(BackendError, match="with 'appendonly yes'"):
            direct.append("c", said("c"), expected=2, batch_id="3")


def test_a_cluster_waits_on_the_node_that_holds_the_conversation(
    cluster_section: dict[str, Any], fresh: Callable[..., dict[str, Any]], opened: Callable[..., RedisTrackerStore]
) -> None:
    section = {key: value for key, value in fresh(cluster_section).items() if key != "type"}
    store = opened(**section, durability="replica", durability_timeout=0.05)
    for conversation in "abc":
        with pytest.raises(UnavailableError, match="but by 0"):
            store.append(conversation, said("a"), expected=NEW, batch_id="1")
    plain = opened(**section)
    assert [plain.head(conversation).version for conversation in "abc"] == [1, 1, 1]


def test_an_error_of_the_server_reaches_the_application_as_holdfasts(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "endpoints.yml").write_text(
        yaml.safe_dump({"tracker_store": {"type": "redis", "url": HOST, "port": port, "password": SECRET}})
    )
    with connect(tmp_path / "endpoints.yml") as hf, pytest.raises(UnavailableError) as refused:
        hf.conversations.count()
    assert str(refused.value).startswith(f"tracker store 'redis': {HOST}:{port}: ")
    assert SECRET not in "".join(traceback.format_exception(refused.value))
