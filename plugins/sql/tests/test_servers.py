"""What holds on PostgreSQL and MariaDB alike: round trips, faults, crashes, processes, hostile values."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast import ANY, NEW, Appended, BackendError, Conversations, Event, SlotSet, UnavailableError, UserUttered
from holdfast_sql.config import SQLConfig
from holdfast_sql.store import SQLTrackerStore
from servers.process import Process, free_port
from servers.proxy import Proxy

Open = Callable[..., SQLTrackerStore]


def opened(section: Mapping[str, Any], **keys: Any) -> SQLTrackerStore:
    return SQLTrackerStore(SQLConfig(**{key: value for key, value in {**section, **keys}.items() if key != "type"}))


@pytest.fixture
def open_store(on_each_server: dict[str, Any]) -> Iterator[Open]:
    stores: list[SQLTrackerStore] = []

    def open_one(**keys: Any) -> SQLTrackerStore:
        stores.append(opened(on_each_server, **keys))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def proxy(server: Any) -> Iterator[Proxy]:
    with Proxy(server.section["port"]) as between:
        yield between


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


# Round trips


def test_an_append_is_one_round_trip_however_long_the_conversation_is(open_store: Open, proxy: Proxy) -> None:
    store = open_store(port=proxy.port)
    for begin in range(0, 10_000, 1000):
        store.append("long", said(*map(str, range(1000))), expected=begin, batch_id=str(begin))
    for number in range(10):  # psycopg prepares a statement when it comes for the sixth time
        store.append(f"warm {number}", said("a"), expected=NEW, batch_id="1")
        store.append("warm", said("a"), expected=ANY, batch_id=str(number))
        store.append("warm 0", said("a"), expected=number + 1, batch_id=f"w{number}")
    for conversation, expected in (("long", 10_000), ("new", NEW), ("warm", ANY)):
        before = proxy.round_trips
        store.append(conversation, said("x", "y"), expected=expected, batch_id="counted")
        assert proxy.round_trips - before == 1, conversation


def test_a_turn_is_three_round_trips_whatever_stands_in_older_sessions(open_store: Open, proxy: Proxy) -> None:
    conversations = Conversations(open_store(port=proxy.port))
    counted = []
    for session in range(100):
        tracker = conversations.get_or_create("c")
        tracker.start_session()
        tracker.add(*said(*map(str, range(97))))
        conversations.save(tracker)
        if session in (10, 99):
            before = proxy.round_trips
            tracker = conversations.get_or_create("c")
            assert len(tracker.events) == 100
            tracker.add(*said("again"))
            conversations.save(tracker)
            counted.append(proxy.round_trips - before)
    assert counted == [3, 3]


def test_a_connection_is_not_checked_while_it_is_busy(open_store: Open, proxy: Proxy) -> None:
    store = open_store(port=proxy.port)
    for _ in range(10):  # until psycopg has prepared the statement
        store.count()
    before = proxy.round_trips
    for _ in range(5):
        store.count()
    assert (proxy.round_trips - before, proxy.connections) == (5, 1)


# Faults


def test_an_answer_that_is_lost_after_the_append_was_done_does_not_double_it(open_store: Open, proxy: Proxy) -> None:
    store = open_store(port=proxy.port, statement_timeout=1)
    conversations = Conversations(store)
    tracker = conversations.get_or_create("c")
    tracker.add(*said("a"))
    conversations.save(tracker)
    proxy.drop_answers = True
    with pytest.raises(UnavailableError):
        store.append("c", said("b"), expected=1, batch_id="2")
    proxy.drop_answers = False
    assert store.append("c", said("b"), expected=1, batch_id="2") == Appended(2, duplicate=True)
    assert [number for number, _ in store.read("c", 1, 9)] == [1, 2]


def test_connections_that_were_cut_are_replaced_and_the_save_succeeds(open_store: Open, proxy: Proxy) -> None:
    store = open_store(port=proxy.port)
    conversations = Conversations(store)
    with ThreadPoolExecutor(8) as pool:  # many connections, all of which are cut
        list(pool.map(lambda number: store.append(str(number), said("x"), expected=NEW, batch_id="1"), range(40)))
    proxy.cut()
    tracker = conversations.get_or_create("c")
    tracker.add(*said("a"))
    conversations.save(tracker)
    proxy.cut()
    tracker.add(*said("b"))
    conversations.save(tracker)
    assert [number for number, _ in store.read("c", 1, 9)] == [1, 2]


def test_a_connection_that_was_cut_while_idle_is_noticed_before_it_is_used(open_store: Open, proxy: Proxy) -> None:
    store = open_store(port=proxy.port)
    store.count()
    proxy.cut()
    time.sleep(1.1)
    assert store.append("c", said("a"), expected=NEW, batch_id="1") == Appended(1)


def test_a_server_that_cannot_be_reached_is_named_and_no_secret_is(server: Any, open_store: Open) -> None:
    port = free_port()
    store = open_store(port=port)
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}") as unreachable:
        Conversations(store).count()
    assert "s3cret" not in str(unreachable.value)


def test_a_wrong_password_is_an_error_that_is_not_tried_again(open_store: Open, proxy: Proxy) -> None:
    store = open_store(port=proxy.port, password="wr0ng")
    with pytest.raises(BackendError, match=r"(?i)password|denied") as refused:
        Conversations(store).count()
    assert not isinstance(refused.value, UnavailableError)
    assert "wr0ng" not in str(refused.value)
    assert proxy.connections <= 2  # libpq tries once with TLS and once without


def test_a_pool_that_is_exhausted_is_unavailable(open_store: Open) -> None:
    store = open_store(pool_size=1, max_overflow=0, pool_timeout=0.2)
    store.count()
    with (
        store._dialect.reading(store._engine),
        pytest.raises(UnavailableError, match="pool_timeout"),
    ):
        store.count()
    assert store.count() == 0


def test_who_reads_page_by_page_may_write_meanwhile_with_one_connection(open_store: Open) -> None:
    store = open_store(pool_size=1, max_overflow=0, pool_timeout=1)
    store.append("c", said(*map(str, range(1200))), expected=NEW, batch_id="1")
    for number, text in store.read("c", 1, 1200):
        if number % 400 == 0:
            store.append("copy", [Event.from_json(text)], expected=ANY, batch_id=str(number))
    assert store.head("copy").version == 3  # type: ignore[union-attr]  # it stands


def test_a_reader_between_two_pages_is_not_given_a_conversation_that_began_anew(open_store: Open) -> None:
    store = open_store()
    store.append("c", said(*["old"] * 600), expected=NEW, batch_id="1")
    reading = store.read("c", 1, 600)
    seen = [next(reading) for _ in range(400)]
    store.delete("c")
    store.append("c", said(*["new"] * 600), expected=NEW, batch_id="2")
    seen += reading
    assert len(seen) == 500
    assert not any("new" in text for _, text in seen)


# Crashes


def hurt(process: Process, fault: str) -> None:
    if fault == "kill":
        process.kill()
        process.start()
    else:
        process.pause()
        time.sleep(3)
        process.resume()


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_what_was_acknowledged_survives_a_server_that_is_killed_or_hangs_while_many_write(
    server: Any, open_store: Open, fault: str
) -> None:
    if server.process is None:
        pytest.skip("the server is not ours to kill")
    stores = [open_store(statement_timeout=1, connect_timeout=2) for _ in range(2)]
    stores[0].count()
    acknowledged: list[tuple[str, int, str]] = []
    enough, done = threading.Event(), threading.Event()

    def write(number: int) -> None:
        store, conversation = stores[number % 2], ("hot", "own")[number % 2 == 0] + ("" if number % 2 else str(number))
        turn = 0
        while not done.is_set():
            try:
                appended = store.append(
                    conversation,
                    said(f"{number}.{turn}.a", f"{number}.{turn}.b"),
                    expected=ANY,
                    batch_id=f"{number}.{turn}",
                )
            except UnavailableError:
                time.sleep(0.05)
                continue  # the same batch again
            acknowledged.append((conversation, appended.version, f"{number}.{turn}"))
            turn += 1
            if len(acknowledged) % 60 == 0:
                enough.set()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(2):
            enough.clear()
            assert enough.wait(60)
            hurt(server.process, fault)
        enough.clear()
        assert enough.wait(60)
    finally:
        done.set()
        for writer in writers:
            writer.join()
    for conversation in {name for name, _, _ in acknowledged}:
        mine = sorted((version, batch) for name, version, batch in acknowledged if name == conversation)
        stored = list(stores[0].read(conversation, 1, 1_000_000))
        assert [number for number, _ in stored] == list(range(1, len(stored) + 1))
        texts = [Event.from_json(text).as_dict()["text"] for _, text in stored]
        assert len(set(texts)) == len(texts)
        assert mine == [(2 * index + 2, text[:-2]) for index, text in enumerate(texts[::2])]
        assert texts[1::2] == [f"{text[:-2]}.b" for text in texts[::2]]


# Processes


def writing_process(section: dict[str, Any], name: str, turns: int) -> None:
    store = opened(section)
    for turn in range(turns):
        store.append("hot", said(f"{name}.{turn}.a", f"{name}.{turn}.b"), expected=ANY, batch_id=f"{name}.{turn}")
    store.close()


def test_processes_that_start_at_once_make_the_tables_once(on_each_server: dict[str, Any], open_store: Open) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=writing_process, args=(on_each_server, str(number), 5)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert [number for number, _ in open_store().read("hot", 1, 1000)] == list(range(1, 41))


def test_a_store_that_was_used_before_a_fork_works_on_both_sides(open_store: Open) -> None:
    store = open_store()
    store.append("c", said("parent"), expected=NEW, batch_id="1")
    child = os.fork()
    if child == 0:
        try:
            store.append("c", said("child"), expected=1, batch_id="2")
            os._exit(0 if store.head("c").version == 2 else 1)  # type: ignore[union-attr]  # it stands
        except BaseException:  # noqa: BLE001  # whatever it is, the child must not go on
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.append("c", said("parent again"), expected=2, batch_id="3")
    assert [number for number, _ in store.read("c", 1, 9)] == [1, 2, 3]


def test_a_delete_waits_for_the_append_that_is_under_way_and_leaves_none_of_its_events(open_store: Open) -> None:
    store = open_store()

    def write(number: int) -> None:
        for turn in range(15):
            store.append("c", said("x", "y"), expected=ANY, batch_id=f"{number}.{turn}")

    def erase() -> None:
        for _ in range(15):
            store.delete("c")

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(write, 1), pool.submit(write, 2), pool.submit(erase)]:
            done.result()
    store.delete("c")
    assert list(store.read("c", 1, 1000)) == []
    assert store.append("c", said("x"), expected=NEW, batch_id="1.1") == Appended(1)


# Hostile values

HOSTILE = ("\x00", "a\x00b", "\x01", "\x010000", "\ud800", "a", "a ", "a  ", "A", "ä", "a\u0308", "", " ", "%s", "%(key)s",
           "'; DROP TABLE holdfast_event; --", "\\", "\\'", "😀" * 300, "x" * 400, "x" * 401, "x" * 100_000, "x" * 100_001)  # fmt: skip


def test_any_text_is_an_id(open_store: Open) -> None:
    store = open_store()
    for number, conversation in enumerate(HOSTILE):
        store.append(conversation, [SlotSet("s", number, timestamp=1.5)], expected=NEW, batch_id="1")
    for number, conversation in enumerate(HOSTILE):
        ((_, text),) = store.read(conversation, 1, 9)
        assert Event.from_json(text).as_dict()["value"] == number
    seen, cursor = [], None
    while True:
        page = store.list(cursor, 4)
        seen += [head.conversation for head in page.heads]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(HOSTILE)
    assert all(store.delete(conversation) for conversation in HOSTILE)
    assert store.count() == 0


@pytest.mark.parametrize("user", ["", "a\x00b", "Ann ", "%s", "\ud800", "x" * 400])
def test_any_text_is_a_user(open_store: Open, user: str) -> None:
    store = open_store()
    store.append("c", said("x"), expected=NEW, batch_id="1", user=user)
    store.append("d", said("x"), expected=NEW, batch_id="1", user="Ann")
    assert [(head.conversation, head.user) for head in store.list(user=user).heads] == [("c", user)]


@pytest.mark.parametrize(
    "data",
    [
        {"event": "slot", "name": ["no", "name"], "timestamp": 10**400},
        {"event": "slot", "name": "nul \x00 and \ud800", "timestamp": float("nan")},
        {"event": "t" * 1000, "name": "n" * 1000, "timestamp": float("-inf")},
        {"event": "user", "text": "%s %(key)s ' \\ \x00 \u2028", "parse_data": {"intent": {"name": {"a": 1}}}},
        {"event": "slot", "name": 7, "value": "\\u0000 literally", "timestamp": True},
        {"event": " ", "timestamp": "soon"},
    ],
    ids=range(6),
)
def test_an_event_that_fits_no_column_comes_back_as_it_went(open_store: Open, data: dict[str, Any]) -> None:
    store = open_store()
    event = Event.from_dict(data)
    store.append("c", [event], expected=NEW, batch_id="1")
    ((_, text),) = store.read("c", 1, 1)
    assert text == event.json


def test_an_event_of_10_megabytes_is_stored_whole(open_store: Open) -> None:
    store = open_store()
    event = SlotSet("large", "ü" * 5_000_000, timestamp=1.5)
    store.append("c", [event], expected=NEW, batch_id="1")
    ((_, text),) = store.read("c", 1, 1)
    assert text == event.json


def test_the_columns_of_an_event_are_those_rasas_users_query(open_store: Open) -> None:
    store = open_store()
    events = [
        UserUttered("hello", intent={"name": "greet"}, timestamp=1.5),
        SlotSet("tea", "oolong", timestamp=1795336092.670832),
    ]
    store.append("c", events, expected=NEW, batch_id="1")
    from holdfast_sql.schema import events as table

    with store._dialect.reading(store._engine) as connection:
        rows = connection.execute(table.select().order_by(table.c.seq)).all()
    assert [(row.type_name, row.timestamp, row.intent_name, row.action_name) for row in rows] == [
        ("user", 1.5, "greet", None),
        ("slot", 1795336092.670832, None, "tea"),
    ]
