"""The chain of commits stays whole whatever stale, stopped and concurrent writers do; heads follow it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast import ANY, NEW, ConflictError, ConversationError, Event, StoreBehindError, UserUttered
from holdfast_mongo.documents import Tail, commits, probe
from holdfast_mongo.store import MongoTrackerStore
from holdfast_testkit.tracker_store import IDS

pytestmark = pytest.mark.server("mongo")

Open = Callable[..., MongoTrackerStore]


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


def texts(store: MongoTrackerStore, conversation: str = "c") -> list[tuple[int, str]]:
    return [(number, Event.from_json(text).as_dict()["text"]) for number, text in store.read(conversation, 1, 999)]


@pytest.fixture
def two(open_store: Open) -> tuple[MongoTrackerStore, MongoTrackerStore]:
    """Two stores that both remember the conversation `c` with the events a, b, c, of which a and b are one batch."""
    first, second = open_store(), open_store()
    first.append("c", said("a", "b"), expected=NEW, batch_id="1")
    first.append("c", said("c"), expected=2, batch_id="2")
    assert second.head("c") == first.head("c")
    return first, second


@pytest.fixture
def without_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes end before they write any head."""
    monkeypatch.setattr("holdfast_mongo.heads.Heads.later", lambda *_: None)


# Stale writers


def test_a_version_inside_a_batch_is_a_conflict(two: tuple[MongoTrackerStore, MongoTrackerStore]) -> None:
    for store in two:
        with pytest.raises(ConflictError) as refused:
            store.append("c", said("x"), expected=1, batch_id="x")
        assert refused.value.actual == 3
    assert texts(two[0]) == [(1, "a"), (2, "b"), (3, "c")]


def test_a_writer_whose_conversation_another_deleted_is_told_and_leaves_nothing(
    two: tuple[MongoTrackerStore, MongoTrackerStore], collections: tuple[Any, Any]
) -> None:
    deleting, stale = two
    assert deleting.delete("c")
    with pytest.raises(StoreBehindError) as refused:
        stale.append("c", said("x"), expected=3, batch_id="x")
    assert refused.value.actual == 0
    assert deleting.count() == 0
    for collection in collections:
        assert list(collection.find()) == []


@pytest.mark.parametrize(("again", "error"), [(1, StoreBehindError), (4, ConflictError), (9, ConflictError)])
def test_a_writer_whose_conversation_another_began_again_is_told(
    two: tuple[MongoTrackerStore, MongoTrackerStore], again: int, error: type[ConversationError]
) -> None:
    other, stale = two
    other.delete("c")
    other.append("c", said(*(f"new {number}" for number in range(1, again + 1))), expected=NEW, batch_id="1")
    with pytest.raises(error) as refused:
        stale.append("c", said("x"), expected=3, batch_id="x")
    assert refused.value.actual == again
    assert texts(other) == [(number, f"new {number}") for number in range(1, again + 1)]


def test_what_a_writer_remembers_of_a_deleted_conversation_is_not_told_of_the_next(
    two: tuple[MongoTrackerStore, MongoTrackerStore],
) -> None:
    other, stale = two
    stale.append("c", said("d"), expected=3, batch_id="3", user="ann")
    other.delete("c")
    other.append("c", said("1", "2", "3", "4"), expected=NEW, batch_id="1")
    begun = other.head("c")
    assert stale.append("c", said("5"), expected=4, batch_id="5").version == 5
    head = stale.head("c")
    assert (head.user, head.created) == (None, begun.created)


def test_a_writer_behind_a_truncation_is_told(two: tuple[MongoTrackerStore, MongoTrackerStore]) -> None:
    other, stale = two
    other.append("c", said("d", "e"), expected=3, batch_id="3")
    other.append("c", said("f"), expected=5, batch_id="4")
    assert other.truncate("c", 6) == 5
    for expected in (0, 2, 3):
        with pytest.raises(ConflictError) as refused:
            stale.append("c", said(*"a long stale turn"), expected=expected, batch_id=f"stale {expected}")
        assert refused.value.actual == 6
    assert texts(other) == [(6, "f")]
    assert stale.append("c", said("g"), expected=6, batch_id="5").version == 7


def test_any_version_finds_the_end_that_others_moved(two: tuple[MongoTrackerStore, MongoTrackerStore]) -> None:
    other, stale = two
    for number in range(5):
        other.append("c", said(f"other {number}"), expected=ANY, batch_id=f"other {number}")
    assert stale.append("c", said("mine"), expected=ANY, batch_id="mine").version == 9
    assert other.append("c", said("mine"), expected=ANY, batch_id="mine").duplicate
    other.delete("c")
    assert stale.append("c", said("mine"), expected=ANY, batch_id="mine").version == 1


# Writers that were stopped half way


def remains(store: MongoTrackerStore, collection: Any, *, generation: str | None = None, version: int = 3) -> None:
    """What is left of a writer that was stopped after its insert behind a commit that is gone."""
    tail = store._log.tail("c") or Tail.new("c")
    gone = Tail("c", version, generation or tail.generation, 0, 1, 1.0, 1.0, "eve")
    collection.insert_many([*commits(gone, [said("ghost", "ghost")], "ghost", 1.0, None).documents, probe(gone)])


def test_remains_behind_a_lost_commit_are_no_events_and_are_removed(
    two: tuple[MongoTrackerStore, MongoTrackerStore], collections: tuple[Any, Any]
) -> None:
    written, _ = collections
    remains(two[0], written, version=7)
    for store in two:
        assert store.head("c").version == 3
    assert texts(two[0]) == [(1, "a"), (2, "b"), (3, "c")]
    assert two[1].append("c", said("d"), expected=3, batch_id="d").version == 4
    assert [one["v"] for one in written.find(sort=[("v", 1)])] == [2, 3, 4]


def test_remains_of_a_deleted_conversation_stand_in_nobodys_way(
    two: tuple[MongoTrackerStore, MongoTrackerStore], collections: tuple[Any, Any]
) -> None:
    written, _ = collections
    remains(two[0], written, generation="long gone")
    for store in two:
        assert store.head("c").version == 3
        assert store.head("c").user is None
        assert texts(store) == [(1, "a"), (2, "b"), (3, "c")]
    assert two[1].append("c", said("d"), expected=3, batch_id="d").version == 4
    remains(two[0], written, generation="long gone", version=8)
    assert [head.version for head in two[0].list().heads] == [4]
    assert all(one["g"] != "long gone" for one in written.find())


def test_a_deletion_that_was_stopped_is_finished_by_the_next_list_or_append(
    two: tuple[MongoTrackerStore, MongoTrackerStore], collections: tuple[Any, Any]
) -> None:
    store, other = two
    written, heads = collections
    store.list()
    assert store._log.mark_deleted("c")
    assert other.head("c") is None
    assert texts(other) == []
    assert other.append("c", said("new"), expected=NEW, batch_id="1").version == 1
    assert texts(store) == [(1, "new")]
    assert store._log.mark_deleted("c")
    assert other.list().heads == ()
    assert list(written.find()) == list(heads.find()) == []


def test_a_truncation_that_was_stopped_shows_nothing_and_the_batch_is_forgotten(
    two: tuple[MongoTrackerStore, MongoTrackerStore], collections: tuple[Any, Any]
) -> None:
    store, other = two
    written, _ = collections
    written.update_one({"_id": {"c": "c", "n": 1}}, {"$set": {"k": 3}})  # its first step
    assert texts(other) == []
    assert (other.head("c").first, other.head("c").version) == (4, 3)
    assert store.append("c", said("again"), expected=3, batch_id="2").version == 4
    assert texts(other) == [(4, "again")]
    assert store.truncate("c", 4) == 0
    assert [one["e"] for one in written.find(sort=[("v", 1)])][:-1] == [[]] * (written.count_documents({}) - 1)


def test_a_truncation_erases_the_texts_it_cuts_out_of_a_batch(open_store: Open, collections: tuple[Any, Any]) -> None:
    store = open_store()
    store.append("c", said(*"abcdefgh"), expected=NEW, batch_id="1")
    store.append("c", said(*"ijk"), expected=8, batch_id="2")
    for before, left in ((3, "cdefghijk"), (3, "cdefghijk"), (10, "jk"), (99, "")):
        store.truncate("c", before)
        assert [text for _, text in texts(store)] == list(left)
        kept = "".join(str(one["e"]) for one in collections[0].find())
        assert kept.count('"event"') == len(left)
    assert store.append("c", said("l"), expected=11, batch_id="1").version == 12


# Heads


def test_a_list_shows_what_a_writer_that_ended_at_once_has_written(
    without_thread: None, open_store: Open, collections: tuple[Any, Any]
) -> None:
    writer = open_store()
    writer.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    writer.append("d", said("a"), expected=NEW, batch_id="1")
    writer.append("c", said("b"), expected=1, batch_id="2")
    assert collections[1].count_documents({}) == 0
    reader = open_store()
    assert [(head.conversation, head.version) for head in reader.list().heads] == [("c", 2), ("d", 1)]
    assert reader.list(user="ann").heads == (writer.head("c"),)
    assert reader.count() == 2
    assert collections[0].count_documents({"d": 1}) == 0


def test_a_head_is_right_before_it_is_written(without_thread: None, open_store: Open) -> None:
    store = open_store()
    start = Event.from_dict({"event": "action", "name": "action_session_start"})
    store.append("c", said("a"), expected=NEW, batch_id="1", user="ann")
    store.append("c", [*said("b"), start], expected=1, batch_id="2")
    head = open_store().head("c")
    assert (head.version, head.session, head.session_first, head.user) == (3, 1, 3, "ann")


def test_heads_are_written_without_being_asked_for(open_store: Open, collections: tuple[Any, Any]) -> None:
    store = open_store()
    for number in range(10):
        store.append("c", said("a"), expected=number, batch_id=str(number))
    store.close()
    written, heads = collections
    assert [one["v"] for one in heads.find()] == [10]
    assert written.count_documents({"d": 1}) == 0
    store.append("c", said("a"), expected=10, batch_id="after closing")
    store.close()
    assert [one["v"] for one in heads.find()] == [11]


def test_a_lost_head_of_a_truncated_conversation_is_written_as_it_was(
    two: tuple[MongoTrackerStore, MongoTrackerStore], collections: tuple[Any, Any]
) -> None:
    store, other = two
    store.truncate("c", 3)
    store.list()
    collections[1].delete_many({})
    store.append("c", said("d"), expected=3, batch_id="3")
    assert other.list().heads == (store.head("c"),)
    assert store.head("c").first == 3


def test_a_head_of_a_deleted_conversation_is_replaced(
    two: tuple[MongoTrackerStore, MongoTrackerStore], collections: tuple[Any, Any]
) -> None:
    store, _ = two
    store.list()
    stray = collections[1].find_one()
    store.delete("c")
    collections[1].insert_one({**stray, "v": 99})
    store.append("c", said("new"), expected=NEW, batch_id="1")
    assert store.list().heads == (store.head("c"),)


def test_pages_keep_apart_conversations_that_were_updated_at_one_moment(
    monkeypatch: pytest.MonkeyPatch, open_store: Open
) -> None:
    store = open_store()
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.25)
    for conversation in IDS:
        store.append(conversation, said("a"), expected=NEW, batch_id="1")

    def walk(**filters: Any) -> Iterator[str]:
        cursor = None
        while True:
            page = store.list(cursor, 4, **filters)
            yield from (head.conversation for head in page.heads)
            cursor = page.cursor
            if cursor is None:
                return

    assert sorted(walk()) == sorted(IDS)
    assert sorted(walk(updated_before=1_800_000_000.5)) == sorted(IDS)
    assert list(walk(updated_before=1_800_000_000.25)) == []


# Threads and processes


def test_deletions_and_appends_at_once_leave_whole_conversations(
    open_store: Open, collections: tuple[Any, Any]
) -> None:
    stores = [open_store() for _ in range(3)]
    done = threading.Event()
    wrong: list[object] = []

    def write(number: int) -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            stores[number].append("c", said("a", "b"), expected=ANY, batch_id=f"{number}.{turn}")
            seen = [sequence for sequence, _ in texts(stores[number])]
            if seen != list(range(1, len(seen) + 1)) or len(seen) % 2:
                wrong.append(seen)

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(write, number) for number in range(2)]
        for _ in range(15):
            stores[2].delete("c")
            time.sleep(0.02)
        done.set()
        for one in writing:
            one.result()
    # A reader between two generations may see the end of one; it never sees a gap or half a batch.
    assert wrong == []
    stores[2].delete("c")
    assert stores[2].count() == 0
    for store in stores:
        store.close()
    assert [list(collection.find()) for collection in collections] == [[], []]


def test_a_store_that_was_used_before_a_fork_works_on_both_sides(open_store: Open) -> None:
    store = open_store()
    store.append("c", said("parent"), expected=NEW, batch_id="1")
    child = os.fork()
    if child == 0:
        try:
            store.append("c", said("child"), expected=1, batch_id="2")
            right = store.list().heads[0].version == 2
            store.close()
            os._exit(0 if right else 1)
        except BaseException:  # noqa: BLE001  # whatever it is, the child must not go on
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(ConflictError):
        store.append("c", said("stale"), expected=1, batch_id="3")
    assert store.append("c", said("parent again"), expected=2, batch_id="3").version == 3
    assert texts(store) == [(1, "parent"), (2, "child"), (3, "parent again")]


def test_stores_that_start_at_once_make_the_indexes_once(open_store: Open, collections: tuple[Any, Any]) -> None:
    stores = [open_store() for _ in range(8)]
    barrier = threading.Barrier(len(stores))

    def begin(number: int) -> int:
        barrier.wait()
        return stores[number].append("c", said("a"), expected=ANY, batch_id=str(number)).version

    with ThreadPoolExecutor(len(stores)) as pool:
        assert sorted(pool.map(begin, range(len(stores)))) == list(range(1, 9))
    assert sorted(collections[0].index_information()) == ["_id_", "holdfast_batch", "holdfast_chain", "holdfast_dirty"]
    assert sorted(collections[1].index_information()) == ["_id_", "holdfast_updated", "holdfast_user"]


def test_an_id_that_is_no_unicode_is_refused(open_store: Open) -> None:
    store = open_store()
    with pytest.raises(ConversationError, match="lone surrogate"):
        store.append("\ud800", said("a"), expected=NEW, batch_id="1")
    with pytest.raises(ConversationError, match="lone surrogate"):
        store.head("\ud800")
