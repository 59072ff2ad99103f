from __future__ import annotations

import pytest

from holdfast import Domain, SlotSet, Tracker, UserUttered, Verbosity

FOREVER = Domain.from_dict({"session_config": {"session_expiration_time": 0}})
NOTHING_CARRIED = Domain.from_dict(
    {"slots": {"s": {"type": "text"}}, "session_config": {"carry_over_slots_to_new_session": False}}
)


def test_a_new_and_a_just_restarted_conversation_need_a_session() -> None:
    tracker = Tracker("c")
    assert tracker.session_expired()
    tracker.start_session()
    assert not tracker.session_expired()
    tracker.add({"event": "restart"})
    assert tracker.session_expired()


def test_a_session_expires_after_the_minutes_of_the_domain() -> None:
    tracker = Tracker("c")
    tracker.start_session()
    tracker.add(UserUttered("x", timestamp=1000.0))
    assert not tracker.session_expired(now=1000.0 + 3600)
    assert tracker.session_expired(now=1000.0 + 3601)
    forever = Tracker("c", FOREVER, events=tracker.events)
    assert not forever.session_expired(now=1e12)


def test_a_session_without_a_message_does_not_expire() -> None:
    tracker = Tracker("c")
    tracker.start_session()
    assert not tracker.session_expired(now=1e12)


def test_a_session_begins_with_the_events_rasa_writes_and_each_slot_once() -> None:
    tracker = Tracker("c")
    tracker.add(SlotSet("s", 1), SlotSet("t", 3), SlotSet("s", 2))
    tracker.start_session({"channel": "rest"})
    assert [(event.event, event.name) for event in tracker.events[3:]] == [
        ("slot", "session_started_metadata"),
        ("action", "action_session_start"),
        ("session_started", None),
        ("slot", "s"),
        ("slot", "t"),
        ("action", "action_listen"),
    ]
    assert tracker.slots["s"] == 2


def test_slots_stay_behind_if_the_domain_says_so() -> None:
    tracker = Tracker("c", NOTHING_CARRIED)
    tracker.add(SlotSet("s", "x"))
    tracker.start_session()
    assert tracker.get_slot("s") is None


def test_the_state_object_has_the_keys_of_rasas_tracker_json() -> None:
    tracker = Tracker("c")
    assert tracker.current_state() == {
        "sender_id": "c",
        "slots": {},
        "latest_message": {"intent": {}, "entities": [], "text": None, "message_id": None, "metadata": {}},
        "latest_event_time": None,
        "followup_action": "action_listen",
        "paused": False,
        "events": None,
        "latest_input_channel": None,
        "active_loop": {},
        "latest_action": {},
        "latest_action_name": None,
    }


def test_an_unknown_verbosity_is_refused_and_the_known_ones_are_texts() -> None:
    with pytest.raises(ValueError, match="SOME"):
        Tracker("c").current_state("SOME")
    assert Tracker("c").current_state(Verbosity.ALL)["events"] == []


def test_the_channel_of_a_message_that_was_taken_back_is_remembered() -> None:
    tracker = Tracker("c")
    tracker.add(UserUttered("x", input_channel="rest"), {"event": "rewind"})
    assert tracker.latest_message["text"] is None
    assert tracker.latest_input_channel == "rest"


def test_a_failed_add_leaves_the_tracker_as_it_was() -> None:
    tracker = Tracker("c")
    tracker.add(SlotSet("s", 1))
    with pytest.raises(ValueError, match="'event'"):
        tracker.add(SlotSet("s", 2), {"no": "type"})
    assert tracker.get_slot("s") == 1
    assert len(tracker.unsaved) == 1
