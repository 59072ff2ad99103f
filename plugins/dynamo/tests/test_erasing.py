"""Deleting, truncating and expiring: nothing is left, whatever cuts it short, and nothing new is hit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast import ANY, NEW, Appended, ConflictError, Event, StoreBehindError, UserUttered
from holdfast_dynamo.layout import HEAD, key, key_text
from holdfast_dynamo.store import DynamoTrackerStore

pytestmark = pytest.mark.server("dynamo")

Open = Callable[..., DynamoTrackerStore]


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5).frozen() for text in texts]


def texts(store: DynamoTrackerStore, conversation: str = "c") -> list[tuple[int, str]]:
    return [(number, Event.from_json(text).as_dict()["text"]) for number, text in store.read(conversation, 1, 99_999)]


def everything(store: DynamoTrackerStore) -> list[dict[str, Any]]:
    return [
        item
        for page in store.client.boto.get_paginator("scan").paginate(TableName=store.config.table_name)
        for item in page["Items"]
    ]


class Cut(Exception):
    pass


def cut_before(store: DynamoTrackerStore, monkeypatch: pytest.MonkeyPatch, operation: str, *, times: int = 0) -> None:
    """Let the process of this store die, so to say, before it calls an operation for the (`times` + 1)th time."""
    plain = store.client.plain
    left = [times]

    def dying(name: str, **parameters: Any) -> dict[str, Any]:
        if name == operation:
            if not left[0]:
                raise Cut
            left[0] -= 1
        return plain(name, **parameters)

    monkeypatch.setattr(store.client, "plain", dying)


def test_nothing_of_a_deleted_conversation_is_in_the_table(store: DynamoTrackerStore) -> None:
    for number in range(51):  # two items each: more than one transaction deletes
        store.append("c", said("a secret"), expected=number, batch_id=str(number), user="ann")
    store.append("c", said("x" * 1_000_000), expected=51, batch_id="in parts")
    assert store.delete("c") is True
    assert everything(store) == []


@pytest.mark.parametrize(("operation", "times"), [("query", 0), ("transact_write_items", 1), ("delete_item", 0)])
def test_a_delete_that_was_cut_short_is_finished_by_the_next(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, operation: str, times: int
) -> None:
    store = open_store()
    for number in range(51):
        store.append("c", said("x"), expected=number, batch_id=str(number))
    with monkeypatch.context() as patch:
        cut_before(store, patch, operation, times=times)
        with pytest.raises(Cut):
            store.delete("c")
    other = open_store()
    assert other.head("c") is None
    assert other.list().heads == ()
    assert other.count() == 0
    assert other.delete("c") is True
    assert everything(other) == []


def test_an_append_after_a_delete_that_was_cut_short_begins_a_new_conversation(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.append("c", said("a", "b"), expected=NEW, batch_id="1", user="ann")
    with monkeypatch.context() as patch:
        cut_before(store, patch, "query")
        with pytest.raises(Cut):
            store.delete("c")
    with pytest.raises(StoreBehindError) as refused:
        open_store().append("c", said("x"), expected=2, batch_id="2")
    assert refused.value.actual == 0
    assert open_store().append("c", said("new"), expected=NEW, batch_id="1") == Appended(1)
    assert texts(store) == [(1, "new")]
    head = store.head("c")
    assert head is not None
    assert head.user is None


def test_a_slow_delete_does_not_touch_the_conversation_that_began_anew(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = open_store(), open_store()
    slow.append("c", said("a", "b"), expected=NEW, batch_id="1")
    transact = slow.client.transact

    def late(actions: list[dict[str, Any]]) -> None:
        assert other.delete("c")
        other.append("c", said("new", "newer"), expected=NEW, batch_id="1")
        transact(actions)

    monkeypatch.setattr(slow.client, "transact", late)
    slow.delete("c")
    assert texts(other) == [(1, "new"), (2, "newer")]
    assert other.append("c", said("next"), expected=2, batch_id="2") == Appended(3)


def test_a_writer_is_told_of_a_delete_by_somebody_else(open_store: Open) -> None:
    writer, other = open_store(), open_store()
    writer.append("c", said("a", "b"), expected=NEW, batch_id="1")
    other.delete("c")
    with pytest.raises(StoreBehindError):
        writer.append("c", said("c"), expected=2, batch_id="2")
    assert everything(writer) == []


def test_a_place_inside_a_batch_is_no_version(open_store: Open) -> None:
    open_store().append("c", said("a", "b", "c"), expected=NEW, batch_id="1")
    for version in (1, 2):
        with pytest.raises(ConflictError) as refused:
            open_store().append("c", said("x"), expected=version, batch_id=f"inside {version}")
        assert refused.value.actual == 3


def test_writers_and_deleters_at_once_leave_gapless_conversations(open_store: Open) -> None:
    stores = [open_store() for _ in range(3)]
    stores[0].count()
    stop = threading.Event()

    def write(number: int) -> None:
        for turn in range(12):
            stores[number].append("c", said("x", "y"), expected=ANY, batch_id=f"{number}.{turn}")

    def delete() -> None:
        while not stop.is_set():
            stores[2].delete("c")
            time.sleep(0.05)

    with ThreadPoolExecutor(3) as pool:
        deleting = pool.submit(delete)
        try:
            list(pool.map(write, range(2)))
        finally:
            stop.set()
        deleting.result()
    stores[0].append("c", said("x", "y"), expected=ANY, batch_id="last")
    head = stores[0].head("c")
    assert head is not None
    assert [number for number, _ in texts(stores[0])] == list(range(1, head.version + 1))
    stores[0].delete("c")
    assert everything(stores[0]) == []


# Truncating


def test_a_truncation_cuts_through_a_batch_in_parts(store: DynamoTrackerStore) -> None:
    large = [letter * 400_000 for letter in "abc"]
    store.append("c", said("first", *large, "last"), expected=NEW, batch_id="1")
    store.append("c", said("more"), expected=5, batch_id="2")
    assert store.truncate("c", 4) == 3
    assert texts(store) == [(4, large[2]), (5, "last"), (6, "more")]
    assert "a" * 1000 not in str(everything(store))
    assert store.truncate("c", 5) == 1
    assert texts(store) == [(5, "last"), (6, "more")]
    assert store.truncate("c", 6) == 1
    assert store.append("c", said("x"), expected=6, batch_id="3") == Appended(7)
    assert store.delete("c")
    assert everything(store) == []


def test_truncated_batches_leave_no_trace_and_their_ids_are_free_again(store: DynamoTrackerStore) -> None:
    for number in range(51):
        store.append("c", said("a secret", "x"), expected=2 * number, batch_id=f"b{number}")
    assert store.truncate("c", 102) == 101
    assert len(everything(store)) == 2  # the head, and the batch that was cut, without its id
    assert store.append("c", said("again"), expected=ANY, batch_id="b0") == Appended(103)
    assert texts(store) == [(102, "x"), (103, "again")]


@pytest.mark.parametrize(("operation", "times"), [("query", 0), ("transact_write_items", 0), ("update_item", 1)])
def test_a_truncation_that_was_cut_short_is_finished_by_the_next_and_counted_whole(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, operation: str, times: int
) -> None:
    store = open_store()
    for number in range(4):
        store.append("c", said(f"{number}a", f"{number}b"), expected=2 * number, batch_id=str(number))
    with monkeypatch.context() as patch:
        cut_before(store, patch, operation, times=times)
        with pytest.raises(Cut):
            store.truncate("c", 6)
    assert store.truncate("c", 6) == 5
    assert store.truncate("c", 6) == 0
    assert texts(store) == [(6, "2b"), (7, "3a"), (8, "3b")]


# Expiring


def age(store: DynamoTrackerStore, seconds: float) -> None:
    """Let a conversation's last append be longer ago."""
    head = store._eraser.item("=c", HEAD["S"])
    assert head is not None
    store.client.call("put_item", Item={**head, "until": {"N": str(float(head["until"]["N"]) - seconds)}})


def test_a_time_to_live_is_set_up_and_every_item_has_a_time(open_store: Open) -> None:
    store = open_store(record_exp=100)
    store.append("c", said("a"), expected=NEW, batch_id="1")
    described = store.client.call("describe_time_to_live")["TimeToLiveDescription"]
    assert (described["TimeToLiveStatus"], described["AttributeName"]) == ("ENABLED", "expires")
    now = time.time()
    assert all(now + 190 < int(item["expires"]["N"]) < now + 210 for item in everything(store))
    open_store(record_exp=100).count()  # finds it set up


def test_an_expired_conversation_is_gone_at_once(open_store: Open) -> None:
    store = open_store(record_exp=100)
    store.append("c", said("a", "b"), expected=NEW, batch_id="1", user="ann")
    store.append("other", said("x"), expected=NEW, batch_id="1", user="ann")
    age(store, 101)
    for looking in (store, open_store()):
        assert looking.head("c") is None
        assert texts(looking) == []
        assert [head.conversation for head in looking.list().heads] == ["other"]
        assert [head.conversation for head in looking.list(user="ann").heads] == ["other"]
        assert looking.count() == 1
    assert store.truncate("c", 2) == 0
    with pytest.raises(StoreBehindError):
        store.append("c", said("c"), expected=2, batch_id="2")
    assert store.append("c", said("new"), expected=NEW, batch_id="1") == Appended(1)
    assert texts(store) == [(1, "new")]


def test_deleting_an_expired_conversation_finds_none_and_leaves_nothing(open_store: Open) -> None:
    store = open_store(record_exp=100)
    store.append("c", said("a"), expected=NEW, batch_id="1")
    age(store, 101)
    assert store.delete("c") is False
    assert everything(store) == []


def test_an_append_puts_the_end_off(open_store: Open) -> None:
    store = open_store(record_exp=100)
    store.append("c", said("a"), expected=NEW, batch_id="1")
    age(store, 99)
    store.append("c", said("b"), expected=1, batch_id="2")
    age(store, 99)
    assert texts(store) == [(1, "a"), (2, "b")]


def test_events_outlive_the_time_they_were_given_while_the_conversation_lives(open_store: Open) -> None:
    store = open_store(record_exp=100)
    store.append("c", said("a"), expected=NEW, batch_id="1")
    longer = open_store(record_exp=1000)  # as if most of the time had passed
    longer.append("c", said("b"), expected=1, batch_id="2")
    now = time.time()
    assert all(int(item["expires"]["N"]) > now + 1000 for item in everything(store))
    forever = open_store()
    forever.append("c", said("c"), expected=2, batch_id="3")
    assert not any({"expires", "until", "stamped"} & item.keys() for item in everything(store))
    store.append("c", said("d"), expected=3, batch_id="4")
    assert all(int(item["expires"]["N"]) > now + 100 for item in everything(store))
    assert len(texts(store)) == 4


def test_events_whose_head_the_service_removed_first_never_join_a_new_conversation(open_store: Open) -> None:
    store = open_store(record_exp=100)
    store.append("c", said("old", "older"), expected=NEW, batch_id="1")
    store.client.call("delete_item", Key=key(key_text("c"), "H"))
    assert texts(store) == []
    assert store.append("c", said("new"), expected=NEW, batch_id="2") == Appended(1)
    assert texts(store) == [(1, "new")]
    store.client.call("delete_item", Key=key(key_text("c"), "H"))
    assert store.delete("c") is False
    assert everything(store) == []


# Ids and sizes


@pytest.mark.parametrize(
    "name", ["", "\ud800 lone surrogate", "x" * 5000, "ü" * 600, "nul \u0000", "=x", "#" + "0" * 64], ids=ascii
)
def test_any_id_and_any_user_are_kept_as_they_are(store: DynamoTrackerStore, name: str) -> None:
    store.append(name, said("a"), expected=NEW, batch_id="1", user=name)
    store.append("other", said("a"), expected=NEW, batch_id="1", user="other")
    for head in (store.head(name), *store.list(user=name).heads):
        assert head is not None
        assert (head.conversation, head.user) == (name, name)
    assert {head.conversation for head in store.list().heads} == {name, "other"}
    assert store.delete(name)
    assert len(everything(store)) == 3


def test_an_id_that_looks_like_the_digest_of_another_is_another(store: DynamoTrackerStore) -> None:
    long = "x" * 5000
    digest = key_text(long)
    assert digest.startswith("#")
    for name in (long, digest, digest[1:]):
        store.append(name, said(name[:20]), expected=NEW, batch_id="1")
    assert {head.conversation for head in store.list().heads} == {long, digest, digest[1:]}
