from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import (
    ActionExecuted,
    BotUttered,
    Event,
    InvalidEventError,
    ReminderCancelled,
    ReminderScheduled,
    SlotSet,
    StoryExported,
    Tracker,
    UserUttered,
)

TYPES = json.loads((Path(__file__).parents[3] / "tests" / "fixtures" / "event_types.json").read_text(encoding="utf-8"))
MADE = [row for row in TYPES if "fields" in row]
READ = [row for row in TYPES if "as_dict" in row]


def construct(row: dict[str, Any]) -> Event:
    """Call the constructor of the row's class with what Rasa's JSON holds."""
    data = dict(row["as_dict"])
    del data["event"]
    if row["class"] == "LegacyFormValidation":
        data["validate"] = not data.pop("is_interrupted")
    event: Event = getattr(holdfast, row["class"])(**data)
    return event


@pytest.mark.parametrize("row", MADE, ids=lambda row: row["label"])
def test_a_constructor_makes_the_json_rasa_makes(row: dict[str, Any]) -> None:
    made = construct(row).as_dict()
    if row["class"].startswith("Legacy"):
        assert made["event"] == row["type_name"]
        assert made["timestamp"] == row["as_dict"]["timestamp"]
    else:
        assert made == row["as_dict"]


@pytest.mark.parametrize("row", READ, ids=lambda row: row["label"])
def test_an_event_of_a_known_type_gets_its_class_and_keeps_its_json(row: dict[str, Any]) -> None:
    event = Event.from_dict(row["as_dict"])
    assert type(event).type_name == row["as_dict"]["event"]
    assert event.as_dict() == row["as_dict"]
    assert Event.from_json(event.json) == event == Event.stored(event.json)
    assert type(Event.stored(event.json)) is type(event)


def test_every_known_type_has_a_public_class() -> None:
    assert {row["type_name"] for row in MADE} <= Event.known.keys()
    assert all(getattr(holdfast, kind.__name__) is kind for kind in Event.known.values())


def test_what_rasa_loses_is_kept() -> None:
    assert ReminderCancelled(name="r", intent="i").as_dict()["intent"] == "i"
    assert StoryExported("stories.yml").as_dict()["path"] == "stories.yml"
    assert set(ReminderCancelled(timestamp=1.0).as_dict()) == {"event", "timestamp"}


def test_an_unknown_type_survives_untouched() -> None:
    data = {"event": "flow_started", "flow_id": "x", "timestamp": None, "more": {"a": [1, None]}}
    event = Event.from_dict(data)
    assert type(event) is Event
    assert event.as_dict() == data
    assert Event.stored(event.json).as_dict() == data
    assert event.timestamp is None


@pytest.mark.parametrize("data", [{}, {"event": ""}, {"event": 3}, {"text": "hello"}])
def test_what_names_no_type_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidEventError, match="'event'"):
        Event.from_dict(data)


@pytest.mark.parametrize("data", ["text", 3, None, ["event"]])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(InvalidEventError, match="JSON object"):
        Event.from_dict(data)


@pytest.mark.parametrize("text", ["", "{", '{"event":"user"', "[1]", '"user"'])
def test_what_is_no_json_of_an_event_is_refused(text: str) -> None:
    with pytest.raises(InvalidEventError):
        _ = Event.from_json(text)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), {("a", "b"): 1}], ids=repr)
def test_what_json_cannot_express_is_refused_when_it_is_added_and_names_the_event(value: object) -> None:
    tracker = Tracker("c")
    with pytest.raises(InvalidEventError, match=r"'slot' \(basket\)"):
        tracker.add(UserUttered("fine"), SlotSet("basket", value))
    assert tracker.events == ()


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(InvalidEventError):
        Tracker("c").add(SlotSet("s", loop))


def test_what_was_added_no_longer_changes() -> None:
    basket = ["tea"]
    tracker = Tracker("c")
    tracker.add(SlotSet("basket", basket))
    basket.append("coffee")
    assert tracker.get_slot("basket") == ["tea"]
    assert json.loads(tracker.unsaved[0].json)["value"] == ["tea"]


def test_state_here_is_what_a_reader_will_see() -> None:
    tracker = Tracker("c")
    tracker.add(SlotSet("numbers", {1: ("a", "b")}))
    assert tracker.get_slot("numbers") == {"1": ["a", "b"]}


def test_json_keeps_what_some_encoders_lose() -> None:
    for value in (2**70, 0.1 + 0.2, 1e-200, "\ud800", "\x00", "ü☕"):
        assert Event.from_json(SlotSet("s", value).json).as_dict()["value"] == value
    assert math.isnan(Event.from_json(SlotSet("s", float("nan")).json).as_dict()["value"])


def test_json_can_always_be_encoded_as_utf_8() -> None:
    assert SlotSet("s", "\ud800 ü").json.encode()
    assert "ü" in SlotSet("s", "ü").json


def test_a_type_that_needs_escaping_is_read_back() -> None:
    event = Event.from_dict({"event": 'odd"type\\', "timestamp": 1.0})
    assert Event.stored(event.json).event == 'odd"type\\'


def test_a_text_with_the_type_elsewhere_is_read_back() -> None:
    assert Event.stored('{"timestamp": 1.0, "event": "user", "text": "x"}').event == "user"


def test_an_action_needs_a_name_or_a_text() -> None:
    with pytest.raises(InvalidEventError, match="name or an action_text"):
        ActionExecuted()
    assert ActionExecuted(action_text="hello").name is None


def test_times_and_names_are_filled_in() -> None:
    assert UserUttered("x").timestamp == pytest.approx(__import__("time").time(), abs=5)
    assert ReminderScheduled("i", "2030-01-02T03:04:05+00:00").name


def test_an_external_message_carries_its_intent() -> None:
    event = UserUttered.external("EXTERNAL_reminder", entities=[{"entity": "topic", "value": "jazz"}])
    assert event.intent_name == "EXTERNAL_reminder"
    assert event.metadata == {"is_external": True}
    assert event.text == "EXTERNAL: EXTERNAL_reminder"


def test_events_compare_by_content() -> None:
    assert BotUttered("x", timestamp=1.0) == BotUttered("x", timestamp=1.0)
    assert BotUttered("x", timestamp=1.0) != BotUttered("x", timestamp=2.0)
    assert len({BotUttered("x", timestamp=1.0), BotUttered("x", timestamp=1.0)}) == 1
    assert BotUttered("x") != "x"
