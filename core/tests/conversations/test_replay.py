"""The state after replay equals the answers recorded from Rasa Open Source 3.6.21 (tests/fixtures/README.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import Conversations, Domain, Event, SessionRule, Tracker
from holdfast.conversations.memory import MemoryTrackerStore
from holdfast.conversations.state import State, applied, replay

FIXTURES = Path(__file__).parents[3] / "tests" / "fixtures"


def lines(name: str) -> Iterator[dict[str, Any]]:
    with (FIXTURES / name).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


RECORDED = {line["sender_id"]: line["events"] for line in lines("conversations.jsonl")}
ANSWERS = list(lines("expected_states.jsonl"))
RULES = {"sql": SessionRule.SESSION_STARTED, "redis": SessionRule.ACTION_SESSION_START}


@pytest.fixture(scope="module")
def store() -> MemoryTrackerStore:
    store = MemoryTrackerStore()
    conversations = Conversations(store)
    for sender_id, events in RECORDED.items():
        conversations.append(sender_id, events)
    return store


@pytest.fixture(scope="module")
def domain() -> Domain:
    return Domain.load(FIXTURES / "domain.yml")


def test_the_recording_is_complete() -> None:
    assert len(RECORDED) == 25
    assert len(ANSWERS) == 25 * 4 * 2 + 25 * 2 + 4 + 2


@pytest.mark.parametrize(
    "answer", ANSWERS, ids=lambda line: f"{line['sender_id']}-{line['method']}-{line['verbosity']}-{line['stores'][0]}"
)
def test_the_state_is_the_one_rasa_gave(answer: dict[str, Any], store: MemoryTrackerStore, domain: Domain) -> None:
    same = [
        line
        for line in ANSWERS
        if all(line[key] == answer[key] for key in ("sender_id", "method", "verbosity")) and "sql" in line["stores"]
    ]
    # Where two rows differ, the one of the SQL store is right: it applies events one by one.
    expected_state = same[0]["state_without_events"]
    for rule in {RULES[kind] for kind in answer["stores"] if kind in RULES}:
        conversations = Conversations(store, domain, session_rule=rule)
        retrieve = conversations.retrieve if answer["method"] == "retrieve" else conversations.retrieve_full
        tracker = retrieve(answer["sender_id"])
        assert tracker is not None
        state = tracker.current_state(answer["verbosity"])
        events = state.pop("events")
        recorded = RECORDED[answer["sender_id"]]
        assert state == expected_state
        assert events == (None if answer["events"] is None else [recorded[index] for index in answer["events"]])


def test_the_slots_of_the_domain_are_those_rasa_made(domain: Domain) -> None:
    slots = json.loads((FIXTURES / "slots.json").read_text(encoding="utf-8"))
    assert domain.slots is not None
    assert domain.initial_slots() == {slot["name"]: slot["initial_value"] for slot in slots}
    assert {name: slot.type for name, slot in domain.slots.items()} == {slot["name"]: slot["type"] for slot in slots}


@pytest.mark.parametrize("sender_id", RECORDED)
def test_adding_one_by_one_gives_the_state_of_a_replay(sender_id: str, domain: Domain) -> None:
    tracker = Tracker(sender_id, domain)
    for event in RECORDED[sender_id]:
        _ = tracker.state
        tracker.add(event)
    assert tracker.current_state("APPLIED") == Tracker(
        sender_id, domain, events=[Event.from_dict(event) for event in RECORDED[sender_id]]
    ).current_state("APPLIED")


def one_by_one(events: list[Event], domain: Domain) -> State:
    """What `replay` is to equal: apply each, and start over from what counts at each event that takes others back."""
    state = State(domain)
    for index, event in enumerate(events):
        if event.event in ("undo", "rewind"):
            state = State(domain)
            for counted in applied(events[: index + 1]):
                state.apply(counted)
        else:
            state.apply(event)
    return state


@pytest.mark.parametrize("sender_id", RECORDED)
def test_a_replay_of_any_prefix_equals_applying_one_by_one(sender_id: str, domain: Domain) -> None:
    events = [Event.from_dict(event) for event in RECORDED[sender_id]][:60]
    for end in range(len(events) + 1):
        assert view(replay(events[:end], domain)) == view(one_by_one(events[:end], domain))


def view(state: State) -> tuple[object, ...]:
    return (
        state.slots,
        state.paused,
        state.latest_action,
        state.latest_message,
        state.followup_action,
        state.active_loop,
        state.latest_bot_utterance,
    )


def test_a_rewind_takes_the_slot_back_with_the_message() -> None:
    said = [
        {"event": "action", "name": "action_listen"},
        {"event": "user", "text": "a"},
        {"event": "action", "name": "utter_x"},
        {"event": "action", "name": "action_listen"},
        {"event": "slot", "name": "s", "value": 1},
        {"event": "user", "text": "b"},
        {"event": "slot", "name": "t", "value": 2},
        {"event": "rewind"},
    ]
    tracker = Tracker("c", events=[Event.from_dict(event) for event in said])
    assert tracker.slots == {}
    assert tracker.latest_message["text"] == "a"
    assert tracker.latest_action_name == "utter_x"
    assert tracker.followup_action is None


def test_an_undo_takes_the_last_action_back_and_what_followed_it() -> None:
    said = [
        {"event": "user", "text": "a"},
        {"event": "action", "name": "x"},
        {"event": "slot", "name": "s", "value": 1},
    ]
    tracker = Tracker("c", events=[Event.from_dict(event) for event in [*said, {"event": "undo"}]])
    assert tracker.slots == {}
    assert tracker.latest_action_name is None
    assert [event.event for event in tracker.applied_events()] == ["user"]


def test_a_restart_resets_everything_and_asks_for_a_new_session() -> None:
    domain = Domain.from_dict({"slots": {"s": {"type": "text", "initial_value": "first"}}})
    tracker = Tracker("c", domain)
    tracker.add({"event": "slot", "name": "s", "value": "second"}, {"event": "pause"}, {"event": "restart"})
    assert tracker.slots["s"] == "first"
    assert not tracker.paused
    assert tracker.followup_action == "action_session_start"
    assert tracker.current_state("AFTER_RESTART")["events"] == []


def test_entities_of_a_policy_join_those_of_the_message_once() -> None:
    jazz, rock = {"entity": "topic", "value": "jazz"}, {"entity": "topic", "value": "rock"}
    tracker = Tracker("c")
    tracker.add(
        {"event": "action", "name": "action_listen"},
        {"event": "user", "text": "jazz and rock", "parse_data": {"entities": [jazz]}},
        {"event": "entities", "entities": [jazz, rock]},
    )
    assert tracker.latest_message["entities"] == [jazz, rock]
    assert tracker.events[1].as_dict()["parse_data"]["entities"] == [jazz]


def test_a_form_keeps_what_happened_to_it() -> None:
    tracker = Tracker("c")
    tracker.add({"event": "user", "text": "book"}, {"event": "form", "name": "booking"})
    assert tracker.state.active_loop["trigger_message"]["text"] == "book"
    tracker.add(
        {"event": "action_execution_rejected", "name": "booking"}, {"event": "form_validation", "validate": False}
    )
    assert (tracker.state.active_loop["rejected"], tracker.state.active_loop["is_interrupted"]) == (True, True)
    tracker.add({"event": "action", "name": "booking"})
    assert (tracker.state.active_loop["rejected"], tracker.state.active_loop["is_interrupted"]) == (False, False)
    tracker.add({"event": "active_loop", "name": None})
    assert tracker.active_loop_name is None
    assert tracker.current_state()["active_loop"] == {}


def test_an_event_that_sets_an_unknown_slot_is_kept_but_makes_no_slot() -> None:
    tracker = Tracker("c", Domain.from_dict({"slots": {"known": {"type": "list"}}}))
    tracker.add({"event": "slot", "name": "gone", "value": 1}, {"event": "slot", "name": "known", "value": "one"})
    assert "gone" not in tracker.slots
    assert tracker.slots["known"] == ["one"]
    assert len(tracker.events) == 2


def test_featurization_belongs_to_the_message_it_follows() -> None:
    tracker = Tracker("c")
    tracker.add({"event": "action", "name": "action_listen"}, {"event": "user", "text": "x"})
    assert tracker.state.use_text_for_featurization is None
    tracker.add({"event": "user_featurization", "use_text_for_featurization": True})
    assert tracker.state.use_text_for_featurization is True
    tracker.add({"event": "user", "text": "y"})
    assert tracker.state.use_text_for_featurization is None
