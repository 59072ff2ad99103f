"""What an operation costs: requests on the wire, and what they carry."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import ANY, NEW, ActionExecuted, Appended, Conversations, UserUttered
from holdfast_dynamo.store import DynamoTrackerStore

pytestmark = pytest.mark.server("dynamo")


class Wire:
    """Each request, retries included, as (operation, bytes sent, bytes received)."""

    def __init__(self, boto: Any) -> None:
        self.sent: list[tuple[str, int]] = []
        self.received: list[int] = []
        boto.meta.events.register("before-send.dynamodb", self._before_send)
        boto.meta.events.register("before-parse.dynamodb", self._before_parse)

    def _before_send(self, request: Any, **_: Any) -> None:
        self.sent.append((request.headers["X-Amz-Target"].decode().split(".")[-1], len(request.body)))

    def _before_parse(self, response_dict: Any, **_: Any) -> None:
        self.received.append(len(response_dict["body"]))

    def operations(self) -> list[str]:
        operations = [operation for operation, _ in self.sent]
        self.sent.clear()
        self.received.clear()
        return operations


@pytest.fixture
def wire(store: DynamoTrackerStore) -> Wire:
    store.count()
    return Wire(store.client.boto)


def said(*texts: str) -> list[UserUttered]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


def test_an_append_is_one_request_and_so_is_its_retry(store: DynamoTrackerStore, wire: Wire) -> None:
    store.append("c", said("a", "b"), expected=NEW, batch_id="1", user="ann")
    assert wire.operations() == ["TransactWriteItems"]
    store.append("c", said("c"), expected=2, batch_id="2")
    assert wire.operations() == ["TransactWriteItems"]
    store.append("c", [ActionExecuted("action_session_start")], expected=3, batch_id="3")
    assert wire.operations() == ["TransactWriteItems"]
    assert store.append("c", said("c"), expected=2, batch_id="2") == Appended(3, duplicate=True)
    assert store.append("c", said("a", "b"), expected=NEW, batch_id="1") == Appended(2, duplicate=True)
    assert wire.operations() == ["TransactWriteItems"] * 2


def test_a_store_that_never_saw_the_conversation_appends_in_one_request(store: DynamoTrackerStore, open_store) -> None:
    store.append("c", said("a", "b"), expected=NEW, batch_id="1")
    other = open_store()
    other.count()
    wire = Wire(other.client.boto)
    assert other.append("c", said("c"), expected=2, batch_id="2") == Appended(3)
    assert wire.operations() == ["TransactWriteItems"]


def test_an_append_on_any_version_asks_for_the_version_first(store: DynamoTrackerStore, wire: Wire) -> None:
    for batch_id in ("1", "2", "2"):
        store.append("c", said("a"), expected=ANY, batch_id=batch_id)
    assert wire.operations() == ["GetItem", "TransactWriteItems"] * 3


def test_a_head_is_one_request_and_a_read_another(store: DynamoTrackerStore, wire: Wire) -> None:
    store.append("c", said("a", "b"), expected=NEW, batch_id="1")
    store.append("c", said("c", "d"), expected=2, batch_id="2")
    wire.operations()
    store.head("c")
    assert wire.operations() == ["GetItem"]
    assert len(list(store.read("c", 2, 3))) == 2
    assert wire.operations() == ["Query"]


def test_a_turn_costs_the_same_behind_10000_events_as_behind_none(store: DynamoTrackerStore, wire: Wire) -> None:
    conversations = Conversations(store)
    costs = []
    for sessions in (0, 50):
        name = f"{sessions:02}"
        for session in range(sessions):
            old = [ActionExecuted("action_session_start", timestamp=1.5)]
            old += said(*["x" * 100] * 199)
            store.append(name, old, expected=200 * session, batch_id=str(session))
        tracker = conversations.get_or_create(name)
        tracker.start_session()
        conversations.save(tracker)
        wire.operations()
        tracker = conversations.get_or_create(name)
        assert len(tracker.events) == 3
        resumed = list(wire.sent), list(wire.received)
        assert wire.operations() == ["GetItem", "Query"]
        tracker.add(*said("a", "b", "c"))
        conversations.save(tracker)
        saved = list(wire.sent)
        assert wire.operations() == ["TransactWriteItems"]
        costs.append((resumed[0][0][1] + resumed[0][1][1], sum(resumed[1]), saved[0][1]))
    # Larger numbers have more digits: that is all.
    assert all(many - few < 100 for few, many in zip(*costs, strict=True))


def test_a_long_conversation_is_read_page_by_page_while_it_is_used(store: DynamoTrackerStore, wire: Wire) -> None:
    for number in range(8):
        store.append("c", said("x" * 300_000), expected=number, batch_id=str(number))
    wire.operations()
    reading = store.read("c", 1, 8)
    next(reading)
    assert wire.operations() == ["Query"]
    assert [number for number, _ in reading] == list(range(2, 9))
    more = wire.operations()
    assert len(more) >= 2
    assert set(more) == {"Query"}


def test_a_list_reads_the_indexes_and_never_scans(store: DynamoTrackerStore, wire: Wire) -> None:
    for number in range(40):
        store.append(str(number), said("x"), expected=NEW, batch_id="1", user="ann")
    wire.operations()
    page = store.list(limit=4)
    assert len(page.heads) == 4
    store.list(page.cursor, limit=4)
    store.count()
    assert set(wire.operations()) == {"Query"}
    assert len(store.list(user="ann", limit=4).heads) == 4
    assert wire.operations() == ["Query"]


def test_pages_are_followed_to_the_end_everywhere(store: DynamoTrackerStore) -> None:
    ids = [f"c{number}" for number in range(21)]
    for conversation in ids:
        store.append(conversation, said("x"), expected=NEW, batch_id="1", user="ann" if conversation < "c2" else None)
    for keys in ({}, {"user": "ann"}):
        seen: list[str] = []
        cursor = None
        while True:
            page = store.list(cursor, 1, **keys)
            seen += [head.conversation for head in page.heads]
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == [conversation for conversation in reversed(ids) if not keys or conversation < "c2"]
