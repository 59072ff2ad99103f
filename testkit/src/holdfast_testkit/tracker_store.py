"""The tracker store contract as tests: inherit, say which section of endpoints.yml to open, run pytest.

    class TestRedis(TrackerStoreTests):
        @pytest.fixture
        def section(self, redis_server):
            return {"type": "redis", "url": redis_server.host, "port": redis_server.port}

Every test runs twice: on the face the store has and on the one the core derives from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from holdfast import (
    ANY,
    NEW,
    Appended,
    ConflictError,
    ConversationError,
    Event,
    StoreBehindError,
    TrackerStore,
    UserUttered,
)
from holdfast_testkit.machine import StoreMachine
from holdfast_testkit.opening import open_store

IDS = (
    "plain",
    "",
    " spaces around ",
    "UPPER and lower",
    "upper AND LOWER",
    "ünïcödé ☕ 你好",
    "u\u0308 decomposed",
    "with/slash?and=query&more#fragment%20",
    "quote ' double \" back \\ slash",
    "line\nbreak\ttab",
    "{braces} [brackets] *star* ?",
    "a:colon",
    "x" * 300,
    "-1",
    "12345",
)
"""Conversation ids a store must keep apart; none may be changed, shortened or folded."""


def said(*texts: str) -> tuple[Event, ...]:
    """One `user` event for each text, with a fixed time."""
    return tuple(UserUttered(text, timestamp=1700000000.5).frozen() for text in texts)


class TrackerStoreFixtures:
    """What the tests of a tracker store are given."""

    shared: ClassVar[bool] = True
    """Whether two stores opened from one section see the same conversations; a store in memory says `False`."""

    @pytest.fixture
    def section(self) -> Mapping[str, Any]:
        """The section `tracker_store` of endpoints.yml, for an empty database of its own."""
        raise AssertionError("override the fixture 'section'")

    @pytest.fixture(params=("own face", "derived face"))
    def open_another(
        self, request: pytest.FixtureRequest, section: Mapping[str, Any], tmp_path: Path
    ) -> Iterator[Callable[[], TrackerStore]]:
        """Opens a store from the section, as often as it is called; all are closed at the end."""
        opened: list[TrackerStore] = []

        def open_one() -> TrackerStore:
            store = open_store(section, tmp_path, derived=request.param == "derived face")
            opened.append(store)
            return store

        yield open_one
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, open_another: Callable[[], TrackerStore]) -> TrackerStore:
        """The store under test."""
        return open_another()

    @pytest.fixture
    def writers(self, store: TrackerStore, open_another: Callable[[], TrackerStore]) -> Sequence[TrackerStore]:
        """Four stores on the same conversations; one store four times where a second would see others."""
        return [store, *(open_another() if self.shared else store for _ in range(3))]


def append(
    store: TrackerStore, conversation: str, *texts: str, expected: int = ANY, batch_id: str | None = None
) -> Appended:
    """Append one `user` event for each text."""
    return store.append(
        conversation, said(*texts), expected=expected, batch_id=batch_id or f"{conversation[:20]!a}-{texts[0]}"[:64]
    )


def texts(store: TrackerStore, conversation: str, first: int = 1, last: int = 1_000_000) -> list[tuple[int, Any]]:
    """(sequence number, what was said) of the events in a range."""
    return [(seq, Event.from_json(text).as_dict()["text"]) for seq, text in store.read(conversation, first, last)]


class TrackerStoreTests(TrackerStoreFixtures):
    """Every promise of `holdfast.conversations.store`, on one store and on several writers."""

    # Numbers

    def test_sequence_numbers_start_at_1_and_have_no_gaps(self, store: TrackerStore) -> None:
        assert append(store, "c", "a", "b", expected=NEW) == Appended(2)
        assert append(store, "c", "c", expected=2) == Appended(3)
        assert texts(store, "c") == [(1, "a"), (2, "b"), (3, "c")]

    def test_each_conversation_has_its_own_numbers(self, store: TrackerStore) -> None:
        append(store, "one", "a", "b")
        append(store, "two", "x")
        assert texts(store, "one") == [(1, "a"), (2, "b")]
        assert texts(store, "two") == [(1, "x")]

    def test_timestamps_neither_order_nor_hide_events(self, store: TrackerStore) -> None:
        times = (2000.0, 1000.0, 1000.0, -5.0, 9e12)
        events = [UserUttered(str(index), timestamp=time).frozen() for index, time in enumerate(times)]
        store.append("c", events[:2], expected=NEW, batch_id="1")
        store.append("c", events[2:], expected=2, batch_id="2")
        assert [text for _, text in texts(store, "c")] == ["0", "1", "2", "3", "4"]

    # Expected versions

    def test_an_append_on_an_older_version_is_refused_and_writes_nothing(self, store: TrackerStore) -> None:
        append(store, "c", "a", "b", expected=NEW)
        with pytest.raises(ConflictError) as refused:
            append(store, "c", "stale", expected=1)
        assert (refused.value.conversation, refused.value.expected, refused.value.actual) == ("c", 1, 2)
        assert texts(store, "c") == [(1, "a"), (2, "b")]

    def test_an_append_as_new_is_refused_where_a_conversation_stands(self, store: TrackerStore) -> None:
        append(store, "c", "a", expected=NEW)
        with pytest.raises(ConflictError):
            append(store, "c", "b", expected=NEW)
        assert texts(store, "c") == [(1, "a")]

    def test_an_append_on_a_version_the_store_does_not_have_says_that_the_store_is_behind(
        self, store: TrackerStore
    ) -> None:
        append(store, "c", "a", expected=NEW)
        with pytest.raises(StoreBehindError) as refused:
            append(store, "c", "b", expected=5)
        assert (refused.value.expected, refused.value.actual) == (5, 1)
        with pytest.raises(StoreBehindError) as refused:
            append(store, "never seen", "b", expected=3)
        assert refused.value.actual == 0
        assert store.head("never seen") is None

    def test_an_append_on_any_version_goes_behind_what_stands(self, store: TrackerStore) -> None:
        append(store, "c", "a", expected=ANY)
        assert append(store, "c", "b", "c", expected=ANY) == Appended(3)
        assert texts(store, "c") == [(1, "a"), (2, "b"), (3, "c")]

    # Trying again

    def test_the_same_batch_again_is_a_success_and_is_stored_once(self, store: TrackerStore) -> None:
        append(store, "c", "a", expected=NEW, batch_id="1")
        assert append(store, "c", "b", "c", expected=1, batch_id="2") == Appended(3)
        assert append(store, "c", "b", "c", expected=1, batch_id="2") == Appended(3, duplicate=True)
        assert texts(store, "c") == [(1, "a"), (2, "b"), (3, "c")]

    def test_the_first_batch_of_a_conversation_again_is_a_success(self, store: TrackerStore) -> None:
        append(store, "c", "a", "b", expected=NEW, batch_id="1")
        assert append(store, "c", "a", "b", expected=NEW, batch_id="1") == Appended(2, duplicate=True)
        assert texts(store, "c") == [(1, "a"), (2, "b")]

    def test_a_batch_again_is_recognised_after_others_appended(self, store: TrackerStore) -> None:
        append(store, "c", "a", expected=NEW, batch_id="1")
        append(store, "c", "b", expected=1, batch_id="2")
        append(store, "c", "x", "y", expected=2, batch_id="3")
        assert append(store, "c", "b", expected=1, batch_id="2") == Appended(2, duplicate=True)
        assert append(store, "c", "a", expected=NEW, batch_id="1") == Appended(1, duplicate=True)

    def test_a_batch_on_any_version_again_is_recognised_after_others_appended(self, store: TrackerStore) -> None:
        append(store, "c", "a", expected=ANY, batch_id="1")
        append(store, "c", "b", "c", expected=ANY, batch_id="2")
        append(store, "c", "d", expected=ANY, batch_id="3")
        assert append(store, "c", "b", "c", expected=ANY, batch_id="2") == Appended(3, duplicate=True)
        assert [text for _, text in texts(store, "c")] == ["a", "b", "c", "d"]

    def test_another_batch_at_the_place_of_one_is_a_conflict_even_with_equal_events(self, store: TrackerStore) -> None:
        append(store, "c", "a", expected=NEW, batch_id="1")
        with pytest.raises(ConflictError):
            append(store, "c", "a", expected=NEW, batch_id="2")

    def test_a_batch_id_is_never_written_twice_into_one_conversation(self, store: TrackerStore) -> None:
        append(store, "c", "a", expected=NEW, batch_id="1")
        append(store, "c", "b", expected=1, batch_id="2")
        with pytest.raises(ConflictError):
            append(store, "c", "again", expected=2, batch_id="1")
        assert texts(store, "c") == [(1, "a"), (2, "b")]

    def test_a_batch_id_belongs_to_its_conversation(self, store: TrackerStore) -> None:
        append(store, "one", "a", expected=NEW, batch_id="same")
        assert append(store, "two", "a", expected=NEW, batch_id="same") == Appended(1)
        assert append(store, "three", "a", expected=ANY, batch_id="same") == Appended(1)

    # Head

    def test_there_is_no_head_before_the_first_append(self, store: TrackerStore) -> None:
        assert store.head("c") is None
        assert texts(store, "c") == []

    def test_the_head_tells_version_times_and_user(self, store: TrackerStore) -> None:
        store.append("c", said("a", "b"), expected=NEW, batch_id="1", user="ann")
        first = store.head("c")
        assert first is not None
        assert (first.conversation, first.version, first.first, first.user) == ("c", 2, 1, "ann")
        assert first.created == first.updated > 1_600_000_000
        store.append("c", said("c"), expected=2, batch_id="2")
        second = store.head("c")
        assert second is not None
        assert (second.version, second.user, second.created) == (3, "ann", first.created)
        assert second.updated >= first.updated

    def test_the_user_can_be_given_later(self, store: TrackerStore) -> None:
        append(store, "c", "a", expected=NEW)
        store.append("c", said("b"), expected=1, batch_id="2", user="bob")
        head = store.head("c")
        assert head is not None
        assert head.user == "bob"

    def test_the_head_follows_the_sessions(self, store: TrackerStore) -> None:
        start = Event.from_dict({"event": "action", "name": "action_session_start", "timestamp": 1.0})
        listen = Event.from_dict({"event": "action", "name": "action_listen", "timestamp": 1.0})
        expected_heads = []
        version = 0
        for batch in ([listen], [start, listen], [listen], [listen, start, listen], [start, start]):
            store.append("c", batch, expected=version, batch_id=str(version))
            version += len(batch)
            head = store.head("c")
            assert head is not None
            expected_heads.append((head.session, head.session_first))
        assert expected_heads == [(0, 1), (1, 2), (1, 2), (2, 6), (4, 9)]

    def test_sessions_are_followed_on_any_version_too(self, store: TrackerStore) -> None:
        start = Event.from_dict({"event": "action", "name": "action_session_start", "timestamp": 1.0})
        append(store, "c", "a", "b", expected=ANY)
        store.append("c", [start, *said("c")], expected=ANY, batch_id="2")
        head = store.head("c")
        assert head is not None
        assert (head.session, head.session_first, head.version) == (1, 3, 4)

    # Reading

    def test_a_read_is_bounded_on_both_sides(self, store: TrackerStore) -> None:
        append(store, "c", *"abcdef")
        assert texts(store, "c", 2, 4) == [(2, "b"), (3, "c"), (4, "d")]
        assert texts(store, "c", 6, 6) == [(6, "f")]
        assert texts(store, "c", 5, 99) == [(5, "e"), (6, "f")]
        assert texts(store, "c", 7, 99) == []
        assert texts(store, "c", 4, 3) == []

    def test_a_read_may_be_given_up_half_way(self, store: TrackerStore) -> None:
        append(store, "c", *(str(number) for number in range(1500)))
        for _ in range(20):
            reading = iter(store.read("c", 1, 1500))
            assert next(reading)[0] == 1
            del reading
        assert append(store, "c", "still writable", expected=1500) == Appended(1501)

    def test_a_long_conversation_is_read_whole_and_in_order(self, store: TrackerStore) -> None:
        for begin in range(0, 4000, 1000):
            append(store, "c", *(str(number) for number in range(begin, begin + 1000)), expected=begin)
        assert texts(store, "c") == [(number + 1, str(number)) for number in range(4000)]

    @pytest.mark.parametrize(
        "value",
        [
            "ünïcödé ☕ 你好 \U0001f600",
            "nul \u0000 and bell \u0007",
            "\ud800 lone surrogate",
            "line\u2028separator",
            0.1 + 0.2,
            1e-200,
            1795336092.6708324,
            2**70,
            -(2**63),
            float("inf"),
            [],
            {},
            None,
            True,
            {"deep": [1, 2.5, None, True, {"é": [[[]]]}]},
            {"numbers as keys": {"1": "one"}},
            3,
            3.0,
        ],
        ids=repr,
    )
    def test_a_value_comes_back_as_it_went(self, store: TrackerStore, value: object) -> None:
        event = Event.from_dict({"event": "slot", "name": "s", "value": value, "timestamp": 1.0})
        store.append("c", [event], expected=NEW, batch_id="1")
        ((_, text),) = store.read("c", 1, 1)
        assert text == event.json
        back = Event.from_json(text).as_dict()["value"]
        assert back == value
        assert type(back) is type(value)

    def test_not_a_number_comes_back(self, store: TrackerStore) -> None:
        event = Event.from_dict({"event": "slot", "name": "s", "value": float("nan"), "timestamp": 1.0})
        store.append("c", [event], expected=NEW, batch_id="1")
        ((_, text),) = store.read("c", 1, 1)
        assert text == event.json

    def test_unknown_types_and_fields_survive(self, store: TrackerStore) -> None:
        event = Event.from_dict({"event": "flow_started", "flow_id": "x", "nested": {"a": [1]}, "timestamp": None})
        store.append("c", [event], expected=NEW, batch_id="1")
        ((_, text),) = store.read("c", 1, 1)
        assert Event.from_json(text).as_dict() == event.as_dict()

    @pytest.mark.parametrize(
        "odd",
        [
            {"event": "user", "text": "x", "timestamp": 10**400, "parse_data": {"intent": {"name": {"a": 1}}}},
            {"event": "user", "text": "x", "timestamp": "yesterday", "parse_data": "none"},
            {"event": "slot", "name": {"not": "a text"}, "timestamp": True},
            {"event": "action", "name": ["a"], "timestamp": float("nan")},
            {"event": "x" * 5000, "name": "y" * 5000, "timestamp": -0.0},
        ],
        ids=["numbers and intents", "texts", "names", "lists", "lengths"],
    )
    def test_fields_of_an_unexpected_kind_are_kept_too(self, store: TrackerStore, odd: dict[str, Any]) -> None:
        event = Event.from_dict(odd)
        store.append("c", [event], expected=NEW, batch_id="1")
        assert list(store.read("c", 1, 1)) == [(1, event.json)]

    def test_a_large_event_is_stored_whole(self, store: TrackerStore) -> None:
        event = Event.from_dict({"event": "bot", "text": "ü" * 1_000_000, "timestamp": 1.0})
        store.append("c", [event, *said("after")], expected=NEW, batch_id="1")
        (first, second) = store.read("c", 1, 2)
        assert first[1] == event.json
        assert second[0] == 2

    # Ids

    def test_ids_are_kept_apart_character_by_character(self, store: TrackerStore) -> None:
        for conversation in IDS:
            append(store, conversation, conversation or "empty", expected=NEW, batch_id="1")
        for conversation in IDS:
            assert texts(store, conversation) == [(1, conversation or "empty")]
        page = store.list(limit=1000)
        assert sorted(head.conversation for head in page.heads) == sorted(IDS)
        assert store.delete("UPPER and lower")
        assert store.head("upper AND LOWER") is not None

    # Listing

    def test_listing_begins_with_the_most_recently_updated(self, store: TrackerStore) -> None:
        for conversation in ("a", "b", "c"):
            append(store, conversation, "1")
        append(store, "a", "2")
        heads = store.list().heads
        assert [head.updated for head in heads] == sorted((head.updated for head in heads), reverse=True)
        assert {head.conversation: head.version for head in heads} == {"a": 2, "b": 1, "c": 1}
        assert store.count() == 3

    def test_listing_pages_meet_every_conversation_once(self, store: TrackerStore) -> None:
        ids = {f"c{number}" for number in range(25)}
        for conversation in ids:
            append(store, conversation, "x")
        seen: list[str] = []
        cursor = None
        for number in range(5):
            page = store.list(cursor, 7)
            assert len(page.heads) <= 7
            seen += [head.conversation for head in page.heads]
            cursor = page.cursor
            if cursor is None:
                break
            append(store, f"new while listing {number}", "x")
        assert cursor is None, "25 conversations do not fill 5 pages of 7"
        assert ids <= set(seen)
        assert len([conversation for conversation in seen if conversation in ids]) == 25

    def test_the_last_page_has_no_cursor(self, store: TrackerStore) -> None:
        for number in range(4):
            append(store, str(number), "x")
        page = store.list(limit=2)
        assert page.cursor is not None
        assert store.list(page.cursor, limit=2).cursor is None
        assert store.list(limit=4).cursor is None

    def test_listing_by_user(self, store: TrackerStore) -> None:
        for conversation, user in (("a", "ann"), ("b", "bob"), ("c", "ann"), ("d", None)):
            store.append(conversation, said("x"), expected=NEW, batch_id="1", user=user)
        assert {head.conversation for head in store.list(user="ann").heads} == {"a", "c"}
        assert store.list(user="nobody").heads == ()

    def test_listing_what_was_not_updated_since_a_time(self, store: TrackerStore) -> None:
        append(store, "old", "x")
        old = store.head("old")
        assert old is not None
        while store.head("new") is None or store.head("new").updated == old.updated:  # type: ignore[union-attr]  # the loop ends once it stands
            append(store, "new", "x", batch_id=None)
            store.delete("new")
            append(store, "new", "x")
        new = store.head("new")
        assert new is not None
        assert [head.conversation for head in store.list(updated_before=new.updated).heads] == ["old"]
        assert store.list(updated_before=old.updated).heads == ()

    def test_a_text_that_is_no_cursor_is_refused(self, store: TrackerStore) -> None:
        append(store, "a", "x")
        with pytest.raises(ConversationError, match="cursor"):
            store.list("not a cursor")

    # Erasing

    def test_a_deleted_conversation_leaves_nothing_behind(self, store: TrackerStore) -> None:
        store.append("c", said("a", "b"), expected=NEW, batch_id="1", user="ann")
        append(store, "other", "x")
        assert store.delete("c") is True
        assert store.head("c") is None
        assert texts(store, "c") == []
        assert store.list(user="ann").heads == ()
        assert store.count() == 1
        assert store.delete("c") is False
        assert append(store, "c", "new", expected=NEW, batch_id="1") == Appended(1)
        assert texts(store, "c") == [(1, "new")]
        head = store.head("c")
        assert head is not None
        assert head.user is None

    def test_a_writer_that_knew_the_deleted_conversation_is_told(self, store: TrackerStore) -> None:
        append(store, "c", "a", "b")
        store.delete("c")
        with pytest.raises(StoreBehindError):
            append(store, "c", "more", expected=2)

    def test_numbering_continues_after_a_truncation(self, store: TrackerStore) -> None:
        append(store, "c", *"abcde", expected=NEW)
        assert store.truncate("c", 4) == 3
        assert texts(store, "c") == [(4, "d"), (5, "e")]
        head = store.head("c")
        assert head is not None
        assert (head.version, head.first, head.session_first) == (5, 4, 4)
        assert append(store, "c", "f", expected=5) == Appended(6)
        assert store.truncate("c", 4) == 0
        assert store.truncate("never seen", 4) == 0

    def test_a_conversation_of_which_no_event_is_left_keeps_its_version(self, store: TrackerStore) -> None:
        append(store, "c", "a", "b", expected=NEW)
        assert store.truncate("c", 100) == 2
        head = store.head("c")
        assert head is not None
        assert (head.version, head.first) == (2, 3)
        assert texts(store, "c") == []
        assert append(store, "c", "c", expected=2) == Appended(3)
        assert texts(store, "c") == [(3, "c")]

    # Several writers

    def test_what_one_store_wrote_another_reads(self, writers: Sequence[TrackerStore]) -> None:
        append(writers[0], "c", "a", expected=NEW)
        append(writers[1], "c", "b", expected=1)
        for store in writers:
            assert texts(store, "c") == [(1, "a"), (2, "b")]

    def test_of_writers_on_one_version_just_one_wins(self, writers: Sequence[TrackerStore]) -> None:
        barrier = threading.Barrier(len(writers))

        def write(number: int, expected: int) -> bool:
            barrier.wait()
            try:
                append(writers[number], "c", f"{expected}-{number}", "second", expected=expected)
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(len(writers)) as pool:
            for turn in range(10):
                won = list(pool.map(write, range(len(writers)), [2 * turn] * len(writers)))
                assert won.count(True) == 1
        assert [number for number, _ in texts(writers[0], "c")] == list(range(1, 21))
        assert [text for _, text in texts(writers[0], "c")][1::2] == ["second"] * 10

    def test_writers_on_any_version_all_succeed_without_gaps_and_without_interleaving(
        self, writers: Sequence[TrackerStore]
    ) -> None:
        def write(number: int) -> list[int]:
            return [
                append(writers[number], "c", f"{number}.{turn}.a", f"{number}.{turn}.b").version for turn in range(15)
            ]

        with ThreadPoolExecutor(len(writers)) as pool:
            acknowledged = sorted(version for versions in pool.map(write, range(len(writers))) for version in versions)
        assert acknowledged == list(range(2, 2 * 15 * len(writers) + 1, 2))
        stored = texts(writers[0], "c")
        assert [number for number, _ in stored] == list(range(1, 2 * 15 * len(writers) + 1))
        for (_, first), (_, second) in zip(stored[::2], stored[1::2], strict=True):
            assert (first[:-1], first[-1], second[-1]) == (second[:-1], "a", "b")

    def test_a_reader_never_sees_an_event_without_the_one_before_it(self, writers: Sequence[TrackerStore]) -> None:
        done = threading.Event()
        torn: list[object] = []

        def watch() -> None:
            while not done.is_set():
                seen = [number for number, _ in texts(writers[1], "c")]
                if seen != list(range(1, len(seen) + 1)) or len(seen) % 3:
                    torn.append(seen)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            for turn in range(30):
                append(writers[0], "c", f"{turn}a", f"{turn}b", f"{turn}c", expected=3 * turn)
        finally:
            done.set()
            watcher.join()
        assert torn == []

    def test_any_sequence_of_operations_agrees_with_a_plain_model(self, store: TrackerStore) -> None:
        class Machine(StoreMachine):
            pass

        Machine.store = store
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=20,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )

    def test_closing_twice_does_nothing(self, open_another: Callable[[], TrackerStore]) -> None:
        store = open_another()
        append(store, "c", "a")
        store.close()
        store.close()
