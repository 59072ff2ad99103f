"""What operations cost: the commands that the driver sends, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymongo import ReadPreference

from holdfast import ANY, NEW, ActionExecuted, Conversations, Event, UserUttered
from holdfast_mongo.store import MongoTrackerStore

pytestmark = pytest.mark.server("mongo")


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


def test_an_append_is_one_insert_and_nothing_else(
    commands: Any, open_store: Callable[..., MongoTrackerStore], collections: tuple[Any, Any]
) -> None:
    store = open_store()
    store.count()
    commands.take()
    store.append("c", said("a", "b"), expected=NEW, batch_id="1")
    assert commands.take() == ["insert"]
    store.append("c", said("c", "d", "e"), expected=2, batch_id="2")
    assert commands.take() == ["insert"]
    store.append("c", said("f"), expected=ANY, batch_id="3")
    assert commands.take() == ["insert"]
    written, _ = collections
    assert [(one["_id"], one["v"]) for one in written.find(sort=[("v", 1)])] == [
        ({"c": "c", "n": 1}, 2),
        ({"c": "c", "n": 3}, 5),
        ({"c": "c", "n": 6}, 6),
    ]


def test_an_append_after_another_process_loaded_the_conversation_is_one_insert(
    commands: Any, open_store: Callable[..., MongoTrackerStore]
) -> None:
    open_store().append("c", said("a"), expected=NEW, batch_id="1")
    conversations = Conversations(open_store())
    tracker = conversations.retrieve("c")
    assert tracker is not None
    tracker.add(*said("b"))
    commands.take()
    conversations.save(tracker)
    assert commands.take() == ["insert"]


def test_a_repeated_batch_costs_no_more_in_a_long_conversation(
    commands: Any, open_store: Callable[..., MongoTrackerStore]
) -> None:
    store = open_store()
    store.append("c", said("a"), expected=NEW, batch_id="1")
    costs = []
    for number in range(1, 30):
        store.append("c", said("x"), expected=number, batch_id=f"more {number}")
        if number in {1, 29}:
            commands.take()
            assert store.append("c", said("x"), expected=number, batch_id=f"more {number}").duplicate
            costs.append(commands.take())
    assert costs[0] == costs[1]
    assert len(costs[0]) <= 6


def test_what_a_turn_costs_does_not_grow_with_the_history(
    commands: Any, open_store: Callable[..., MongoTrackerStore]
) -> None:
    store = open_store()
    costs, sizes = [], []
    for sessions in (1, 50):
        conversation = f"{sessions} sessions"
        for number in range(sessions):
            session = [ActionExecuted("action_session_start", timestamp=1.5), *said(*map(str, range(199)))]
            store.append(conversation, session, expected=200 * number, batch_id=str(number))
        fresh = Conversations(open_store())
        fresh.count()
        commands.take()
        tracker = fresh.get_or_create(conversation)
        assert len(tracker.events) == 200
        assert tracker.version == 200 * sessions
        tracker.add(*said("one more"))
        fresh.save(tracker)
        sizes.append([len(str(event.command)) // 100 for event in commands.seen])
        costs.append(commands.take())
    assert costs[0] == costs[1] == ["find", "find", "find", "find", "insert"]
    assert sizes[0] == sizes[1]


def test_an_append_asks_for_the_majoritys_journals_and_a_read_for_the_primary(
    commands: Any, open_store: Callable[..., MongoTrackerStore], mongo_url: str
) -> None:
    asked = []
    uri = f"{mongo_url}?w=1&journal=false&wTimeoutMS=7&readPreference=secondaryPreferred"
    for keys in ({}, {"write_concern": 2, "journal": False}, {"url": uri}, {"url": uri, "write_concern": "majority"}):
        store = open_store(**keys)
        store.append(str(len(asked)), said("a"), expected=NEW, batch_id="1")
        concern = next(event.command["writeConcern"] for event in commands.seen if event.command_name == "insert")
        asked.append((concern["w"], concern["j"], concern["wtimeout"]))
        assert store._client.ready().commits.read_preference == ReadPreference.PRIMARY
        commands.take()
    assert asked == [("majority", True, 20_000), (2, False, 20_000), (1, False, 7), ("majority", False, 7)]
