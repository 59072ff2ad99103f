"""What is Redis's own: round trips, expiry, indexes, keys, threads and forks, on one server and on a cluster."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from holdfast import (
    ANY,
    NEW,
    Appended,
    BackendError,
    ConflictError,
    Conversations,
    Event,
    SlotSet,
    UnavailableError,
    UserUttered,
)
from holdfast_redis.config import RedisConfig
from holdfast_redis.store import RedisTrackerStore
from servers.proxy import Proxy

pytestmark = pytest.mark.server("redis")

Open = Callable[..., RedisTrackerStore]


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


def keys_of(plain: Any, section: Mapping[str, Any]) -> dict[str, int]:
    """Every key of the namespace, and its time to live in ms (-1: it stays)."""
    found = {key.decode(): plain.pttl(key) for key in plain.scan_iter(f"{section['key_prefix']}:*", count=1000)}
    return {key.split(":", 2)[2]: ttl for key, ttl in found.items()}


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


# Round trips


@pytest.fixture
def proxied(section: Mapping[str, Any], open_store: Open) -> Iterator[tuple[RedisTrackerStore, Proxy]]:
    with Proxy(section["port"]) as proxy:
        store = open_store(url="127.0.0.1", port=proxy.port)
        store.append("warm", said("x"), expected=NEW, batch_id="1")
        yield store, proxy


def commands(plain: Redis, work: Callable[[], object]) -> dict[str, int]:
    """How often the server ran each command for `work`, those inside scripts included."""

    def counts() -> dict[str, int]:
        return {name: facts["calls"] for name, facts in plain.info("commandstats").items()}

    before = counts()
    work()
    after = counts()
    difference = {name.removeprefix("cmdstat_"): calls - before.get(name, 0) for name, calls in after.items()}
    return {name: calls for name, calls in difference.items() if calls and name != "info"}


def test_an_append_is_one_round_trip(proxied: tuple[RedisTrackerStore, Proxy]) -> None:
    store, proxy = proxied
    before = proxy.round_trips
    store.append("c", said("a", "b"), expected=NEW, batch_id="1", user="ann")
    assert proxy.round_trips == before + 1
    store.append("c", said("c"), expected=2, batch_id="2")
    store.append("c", said("d"), expected=ANY, batch_id="3", user="bob")
    assert proxy.round_trips == before + 3


def test_a_head_a_bounded_read_a_delete_and_a_truncation_are_one_round_trip_each(
    proxied: tuple[RedisTrackerStore, Proxy],
) -> None:
    store, proxy = proxied
    store.append("c", said("a", "b"), expected=NEW, batch_id="1")
    for work in (
        lambda: store.head("c"),
        lambda: list(store.read("c", 1, 2)),
        lambda: store.truncate("c", 2),
        lambda: store.delete("c"),
    ):
        before = proxy.round_trips
        work()
        if proxy.round_trips != before + 1:  # the server saw the script for the first time
            before = proxy.round_trips
            work()
        assert proxy.round_trips == before + 1


def test_a_script_the_server_forgot_is_sent_again(plain: Redis, open_store: Open) -> None:
    store = open_store()
    store.append("c", said("a"), expected=NEW, batch_id="1")
    plain.script_flush()
    assert store.append("c", said("b"), expected=1, batch_id="2") == Appended(2)


def test_an_append_and_a_resume_do_not_grow_with_the_history(plain: Redis, open_store: Open) -> None:
    store = open_store()
    conversations = Conversations(store)

    def begin(name: str) -> None:
        tracker = conversations.get_or_create(name)
        tracker.start_session()
        tracker.add(*said(*"abcde"))
        conversations.save(tracker)

    def turn(name: str) -> None:
        tracker = conversations.get_or_create(name)
        assert len(tracker.events) == 8
        tracker.add(*said("f"))
        conversations.save(tracker)

    old = [Event.from_dict({"event": "action", "name": "action_session_start"}), *said(*"x" * 199)]
    for session in range(50):
        store.append("long", old, expected=ANY, batch_id=str(session))
    for name in ("warm", "short", "long"):
        begin(name)
    turn("warm")
    of_short = commands(plain, lambda: turn("short"))
    assert of_short == commands(plain, lambda: turn("long"))
    assert of_short == {"hmget": 3, "evalsha": 2, "lrange": 1, "time": 1, "zadd": 1, "rpush": 1, "hset": 1}


def test_no_command_walks_over_all_keys(plain: Redis, open_store: Open) -> None:
    store = open_store(record_exp=100)

    def work() -> None:
        for number in range(30):
            store.append(str(number), said("x"), expected=NEW, batch_id="1", user="ann")
        store.list(store.list(limit=10).cursor, limit=10)
        store.list(user="ann")
        store.count()
        store.truncate("1", 2)
        store.delete("1")

    assert commands(plain, work).keys().isdisjoint({"keys", "scan", "smembers", "lindex", "linsert", "sort"})


def test_a_page_asks_for_no_more_than_a_page(plain: Redis, open_store: Open) -> None:
    store = open_store()
    for number in range(60):
        store.append(str(number), said("x"), expected=NEW, batch_id="1")
    assert commands(plain, lambda: store.list(limit=10)) == {"zrevrangebyscore": 1, "hmget": 11}


# What is stored


def test_nothing_is_left_of_a_deleted_conversation(plain: Redis, section: Mapping[str, Any], open_store: Open) -> None:
    store = open_store(record_exp=100)
    store.append("c", said("secret"), expected=NEW, batch_id="1", user="ann")
    store.append("c", said("more"), expected=1, batch_id="2", user="bob")
    assert set(keys_of(plain, section)) == {
        "{c}:head", "{c}:log", "recent:{0}", "expiring:{0}", "user:bob",
    }  # fmt: skip
    assert store.delete("c")
    assert keys_of(plain, section) == {}


def test_other_keys_in_the_database_are_left_alone(plain: Redis, section: Mapping[str, Any], open_store: Open) -> None:
    rasas = f"{section['key_prefix']}:tracker:c"
    plain.set(rasas, '{"events": [], "name": "c"}')
    store = open_store()
    assert store.head("c") is None
    store.append("c", said("a"), expected=NEW, batch_id="1")
    assert [head.conversation for head in store.list().heads] == ["c"]
    store.delete("c")
    assert plain.get(rasas) == b'{"events": [], "name": "c"}'


def test_prefixes_keep_stores_apart(section: Mapping[str, Any], open_store: Open) -> None:
    one, other = open_store(), open_store(key_prefix=f"{section['key_prefix']}x")
    one.append("c", said("a"), expected=NEW, batch_id="1")
    assert (other.head("c"), other.count(), other.list().heads) == (None, 0, ())
    assert other.append("c", said("b"), expected=NEW, batch_id="1") == Appended(1)
    other.delete("c")
    assert one.count() == 1


def test_a_10_megabyte_event_a_long_id_and_a_batch_of_10000_are_stored_whole(open_store: Open) -> None:
    store = open_store()
    huge = SlotSet("s", "x" * 10_000_000, timestamp=1.0).frozen()
    long = "{" * 5_000 + "ü" * 5_000
    assert store.append(long, [huge, *said("after")], expected=NEW, batch_id="b" * 64) == Appended(2)
    assert [text for _, text in store.read(long, 1, 1)] == [huge.json]
    many = said(*(str(number) for number in range(10_000)))
    assert store.append(long, many, expected=2, batch_id="2") == Appended(10_002)
    assert [number for number, _ in store.read(long, 3, 20_000)] == list(range(3, 10_003))
    assert store.list().heads[0].conversation == long


def test_lone_surrogates_in_ids_and_users_survive(open_store: Open) -> None:
    store = open_store()
    store.append("\ud800", said("a"), expected=NEW, batch_id="1", user="\udfff")
    (head,) = store.list(user="\udfff").heads
    assert (head.conversation, head.user) == ("\ud800", "\udfff")


def test_large_events_are_read_in_small_portions(plain: Redis, open_store: Open) -> None:
    store = open_store()
    store.append("c", said(*("x" * 100_000 for _ in range(100))), expected=NEW, batch_id="1")
    assert commands(plain, lambda: list(store.read("c", 1, 100)))["evalsha"] == 4


def test_a_batch_is_recognised_anywhere_in_a_long_conversation(open_store: Open) -> None:
    store = open_store()
    for number in range(600):
        store.append(
            "c", said("a", "b"), expected=2 * number, batch_id=f"{uuid.uuid5(uuid.NAMESPACE_OID, str(number))}"
        )
    early = str(uuid.uuid5(uuid.NAMESPACE_OID, "3"))
    assert store.append("c", said("a", "b"), expected=ANY, batch_id=early) == Appended(8, duplicate=True)
    assert store.append("c", said("a", "b"), expected=6, batch_id=early) == Appended(8, duplicate=True)
    with pytest.raises(ConflictError):
        store.append("c", said("a", "b"), expected=1200, batch_id=early)
    assert store.truncate("c", 8) == 7
    assert store.append("c", said("a", "b"), expected=ANY, batch_id=early) == Appended(1202)


@pytest.mark.parametrize("lost", ["log", "head"])
def test_keys_that_the_server_evicted_are_noticed_and_deleting_is_the_way_out(
    plain: Redis, section: Mapping[str, Any], open_store: Open, lost: str
) -> None:
    store = open_store()
    store.append("c", said("a", "b"), expected=NEW, batch_id="1")
    plain.unlink(f"{section['key_prefix']}:holdfast:{{c}}:{lost}")
    with pytest.raises(BackendError, match="maxmemory-policy noeviction") as refused:
        store.append("c", said("c"), expected=2 if lost == "log" else NEW, batch_id="2")
    assert not isinstance(refused.value, UnavailableError)
    if lost == "log":
        with pytest.raises(BackendError, match="do not fit together"):
            list(store.read("c", 1, 2))
    else:
        assert plain.llen(f"{section['key_prefix']}:holdfast:{{c}}:log") == 2
    assert store.delete("c")
    assert store.append("c", said("c"), expected=NEW, batch_id="2") == Appended(1)


def test_a_key_of_another_kind_in_our_place_is_an_error_that_says_so(
    plain: Redis, section: Mapping[str, Any], open_store: Open
) -> None:
    plain.set(f"{section['key_prefix']}:holdfast:{{c}}:head", "x")
    with pytest.raises(BackendError, match="WRONGTYPE"):
        open_store().append("c", said("a"), expected=NEW, batch_id="1")


# Expiry


def test_all_keys_of_a_conversation_expire_in_the_same_moment(
    plain: Redis, section: Mapping[str, Any], open_store: Open
) -> None:
    store = open_store(record_exp=100)
    store.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    store.append("c", said("b"), expected=1, batch_id="2")
    name = f"{section['key_prefix']}:holdfast"
    moment = plain.pexpiretime(f"{name}:{{c}}:head")
    assert moment == plain.pexpiretime(f"{name}:{{c}}:log") == plain.zscore(f"{name}:expiring:{{0}}", "c")
    assert 0 < keys_of(plain, section)["user:ann"] <= 100_000


def test_nothing_of_an_expired_conversation_is_shown_or_left(
    plain: Redis, section: Mapping[str, Any], open_store: Open
) -> None:
    lasting = open_store(record_exp=100)
    lasting.append("long", said("a"), expected=NEW, batch_id="1", user="ann")
    store = open_store(record_exp=0.2)
    for conversation in ("short", "other"):
        store.append(conversation, said("a"), expected=NEW, batch_id="1", user="ann")
    wait_for(lambda: store.head("short") is None and store.head("other") is None)
    assert [head.conversation for head in store.list().heads] == ["long"]
    assert [head.conversation for head in store.list(user="ann").heads] == ["long"]
    assert list(store.read("short", 1, 9)) == []
    assert store.count() == 1
    assert plain.zcard(f"{section['key_prefix']}:holdfast:expiring:{{0}}") == 1
    assert plain.zcard(f"{section['key_prefix']}:holdfast:user:ann") == 1
    assert store.append("short", said("again"), expected=NEW, batch_id="1") == Appended(1)


def test_counting_does_not_count_the_expired(open_store: Open) -> None:
    store = open_store(record_exp=0.1)
    for number in range(20):
        store.append(str(number), said("a"), expected=NEW, batch_id="1")
    wait_for(lambda: store.head("19") is None)
    assert store.count() == 0


def test_appends_take_the_expired_out_of_the_indexes(
    plain: Redis, section: Mapping[str, Any], open_store: Open
) -> None:
    store = open_store(record_exp=0.1)
    for number in range(8):
        store.append(str(number), said("a"), expected=NEW, batch_id="1")
    wait_for(lambda: store.head("7") is None)
    lasting = open_store(record_exp=100)
    for number in range(2):
        lasting.append("long", said("a"), expected=ANY, batch_id=str(number))
    for index in ("recent", "expiring"):
        assert plain.zrange(f"{section['key_prefix']}:holdfast:{index}:{{0}}", 0, -1) == [b"long"]


def test_every_append_and_no_read_and_no_truncation_moves_the_expiry(
    plain: Redis, section: Mapping[str, Any], open_store: Open
) -> None:
    store = open_store(record_exp=100)
    head = f"{section['key_prefix']}:holdfast:{{c}}:head"
    store.append("c", said("a", "b"), expected=NEW, batch_id="1")
    first = plain.pexpiretime(head)
    wait_for(lambda: plain.pttl(head) < 99_990)
    store.head("c")
    list(store.read("c", 1, 9))
    store.truncate("c", 2)
    assert plain.pexpiretime(head) == first
    store.append("c", said("b"), expected=2, batch_id="2")
    assert plain.pexpiretime(head) > first


def test_a_conversation_stays_once_it_is_written_to_without_record_exp(
    plain: Redis, section: Mapping[str, Any], open_store: Open
) -> None:
    open_store(record_exp=100).append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    store = open_store()
    store.truncate("c", 9)
    store.append("c", said("b"), expected=1, batch_id="2")
    assert set(keys_of(plain, section).values()) == {-1}
    assert "expiring:{0}" not in keys_of(plain, section)
    open_store(record_exp=100).append("d", said("a"), expected=NEW, batch_id="1", user="ann")
    assert keys_of(plain, section)["user:ann"] == -1


# Listing


def test_pages_meet_every_conversation_once_even_if_all_have_one_time(
    plain: Redis, section: Mapping[str, Any], open_store: Open
) -> None:
    store = open_store()
    for number in range(11):
        store.append(f"c{number}", said("a"), expected=NEW, batch_id="1")
    index = f"{section['key_prefix']}:holdfast:recent:{{0}}"
    plain.zadd(index, dict.fromkeys(plain.zrange(index, 0, -1), 1_700_000_000.5))
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        page = store.list(cursor, 3)
        seen += [head.conversation for head in page.heads]
        cursor = page.cursor
    assert cursor is None
    assert seen == sorted((f"c{number}" for number in range(11)), reverse=True)


def test_a_conversation_that_changes_hands_is_listed_with_its_new_user_only(open_store: Open) -> None:
    store = open_store()
    store.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    store.append("c", said("b"), expected=1, batch_id="2", user="bob")
    assert store.list(user="ann").heads == ()
    assert [head.conversation for head in store.list(user="bob").heads] == ["c"]
    store.append("d", said("a"), expected=NEW, batch_id="1", user="bob")
    store.append("c", said("c"), expected=2, batch_id="3")
    assert [head.conversation for head in store.list(user="bob").heads] == ["c", "d"]


def test_entries_of_conversations_that_are_gone_fill_no_page_and_are_dropped(
    plain: Redis, section: Mapping[str, Any], open_store: Open
) -> None:
    store = open_store()
    for number in range(5):
        store.append(f"c{number}", said("a"), expected=NEW, batch_id="1")
    index = f"{section['key_prefix']}:holdfast:recent:{{0}}"
    plain.zadd(index, {f"gone{number}": 9e9 + number for number in range(7)})
    assert [head.conversation for head in store.list(limit=2).heads] == ["c4", "c3"]
    assert plain.zcard(index) == 5


def test_lost_indexes_can_be_rebuilt(plain: Redis, section: Mapping[str, Any], open_store: Open) -> None:
    store = open_store(record_exp=100)
    ids = ["a", "", "{b}", "ü%7B"]
    for conversation in ids:
        store.append(conversation, said("a"), expected=NEW, batch_id="1", user="ann")
    before = (store.list(), store.list(user="ann"), store.count())
    for key in ("recent:{0}", "expiring:{0}", "user:ann"):
        plain.unlink(f"{section['key_prefix']}:holdfast:{key}")
    assert store.count() == 0
    assert store.reindex() == len(ids)
    assert (store.list(), store.list(user="ann"), store.count()) == before
    assert 0 < keys_of(plain, section)["user:ann"] <= 100_000


# Threads and processes


def test_more_threads_than_connections_wait_for_one_another(open_store: Open) -> None:
    store = open_store(pool_size=2)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: store.append("c", said(f"{n}"), expected=ANY, batch_id=f"{n}"), range(200)))
    assert [number for number, _ in store.read("c", 1, 1000)] == list(range(1, 201))


def test_a_thread_that_finds_no_connection_in_time_is_told_to_raise_the_pool(open_store: Open) -> None:
    store = open_store(pool_size=1, socket_timeout=0.05)
    taken, done = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        taken.set()
        done.wait(20)

    holder = threading.Thread(target=lambda: store._client.speak(hold))
    holder.start()
    taken.wait(20)
    with pytest.raises(UnavailableError, match="stayed busy; raise 'pool_size'"):
        store.head("c")
    done.set()
    holder.join()
    assert store.head("c") is None


def test_a_store_that_was_used_before_a_fork_works_on_both_sides(open_store: Open) -> None:
    store = open_store()
    store.append("c", said("parent"), expected=NEW, batch_id="1")
    with store._client._opening:  # held during the fork, as by another thread
        child = os.fork()
        if child == 0:
            try:
                store.append("c", said("child"), expected=1, batch_id="2")
                os._exit(0 if store.head("c").version == 2 else 1)
            except BaseException:  # noqa: BLE001  # whatever it is, the child must not go on
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.append("c", said("parent again"), expected=2, batch_id="3")
    assert [number for number, _ in store.read("c", 1, 9)] == [1, 2, 3]


def test_a_closed_store_opens_again_when_it_is_used(open_store: Open) -> None:
    store = open_store()
    store.append("c", said("a"), expected=NEW, batch_id="1")
    store.close()
    store.close()
    assert store.append("c", said("b"), expected=1, batch_id="2") == Appended(2)


# In a cluster


@pytest.fixture
def clustered(cluster_section: Mapping[str, Any], fresh: Callable[..., dict[str, Any]]) -> Iterator[RedisTrackerStore]:
    section = {key: value for key, value in fresh(cluster_section).items() if key != "type"}
    store = RedisTrackerStore(RedisConfig(**section))
    yield store
    store.close()


def test_an_index_that_a_dying_client_did_not_write_comes_with_the_retry(
    clustered: RedisTrackerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(clustered._index, "remember", lambda *_: (_ for _ in ()).throw(UnavailableError("died")))
        with pytest.raises(UnavailableError):
            clustered.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    assert clustered.list().heads == ()
    assert clustered.append("c", said("a"), expected=NEW, batch_id="1", user="ann") == Appended(1, duplicate=True)
    assert [head.conversation for head in clustered.list(user="ann").heads] == ["c"]
    assert [head.conversation for head in clustered.list().heads] == ["c"]


def test_the_index_of_a_cluster_can_be_rebuilt_from_all_nodes(
    clustered: RedisTrackerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustered._index, "remember", lambda *_: None)
    for number in range(20):
        clustered.append(f"c{number}", said("a"), expected=NEW, batch_id="1")
    monkeypatch.undo()
    assert clustered.count() == 0
    assert clustered.reindex() == 20
    assert clustered.count() == 20
    assert len(clustered.list().heads) == 20


def test_index_writes_that_arrive_in_the_wrong_order_do_no_harm(clustered: RedisTrackerStore) -> None:
    clustered.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    (head,) = clustered.list().heads
    clustered._index.remember(b"c", b"1000000000.5", None, b"ann", None)
    clustered._index.forget(b"c", b"1000000000.5")
    clustered._index.forget_user(b"c", b"ann", b"1000000000.5")
    assert clustered.list().heads == clustered.list(user="ann").heads == (head,)


def test_nothing_is_left_of_a_conversation_deleted_from_a_cluster(clustered: RedisTrackerStore) -> None:
    clustered.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    clustered.append("c", said("b"), expected=1, batch_id="2", user="bob")
    assert clustered.list(user="ann").heads == ()
    assert clustered.delete("c")
    left = clustered._client.speak(lambda redis: list(redis.scan_iter(f"{clustered.config.key_prefix}:*")))
    assert left == []


def test_conversations_of_a_cluster_expire_and_are_not_listed(clustered: RedisTrackerStore) -> None:
    store = RedisTrackerStore(clustered.config.model_copy(update={"record_exp": 0.2}))
    for number in range(5):
        store.append(f"c{number}", said("a"), expected=NEW, batch_id="1", user="ann")
    wait_for(lambda: store.head("c4") is None)
    assert (store.list().heads, store.list(user="ann").heads, store.count()) == ((), (), 0)
    store.close()
