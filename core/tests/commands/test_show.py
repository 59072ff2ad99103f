"""`holdfast conversations show`: the state for a program, the dialogue for a person."""

import json
import re
import time

import pytest
from rich.cells import cell_len

from holdfast import (
    ActionExecuted,
    ActionExecutionRejected,
    ActionReverted,
    ActiveLoop,
    AgentUttered,
    AllSlotsReset,
    BotUttered,
    ConversationPaused,
    ConversationResumed,
    DefinePrevUserUtteredFeaturization,
    Domain,
    EntitiesAdded,
    FollowupAction,
    LegacyFormValidation,
    LoopInterrupted,
    ReminderCancelled,
    ReminderScheduled,
    Restarted,
    SessionStarted,
    SlotSet,
    StoryExported,
    Tracker,
    UserUtteranceReverted,
    UserUttered,
)
from holdfast.commands import exit_codes
from holdfast.commands.conversations.description import describe
from holdfast.commands.conversations.drawing import taken_back
from holdfast.conversations.event import Event

NOON = 1_800_014_400.0  # 2027-01-15 12:00:00 UTC
DOMAIN = """
slots:
  cuisine: {type: text}
  guests: {type: float, initial_value: 2}
  vip: {type: bool}
"""


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def dialogue(conversations, here):
    (here / "domain.yml").write_text(DOMAIN, encoding="utf-8")
    conversations.append(
        "d",
        [
            ActionExecuted("action_session_start", timestamp=NOON - 90_000),
            SessionStarted(timestamp=NOON - 90_000),
            UserUttered("the day before", timestamp=NOON - 90_000),
            ActionExecuted("action_session_start", timestamp=NOON),
            SessionStarted(timestamp=NOON),
            ActionExecuted("action_listen", timestamp=NOON),
            UserUttered("book", intent={"name": "book_table", "confidence": 0.987}, timestamp=NOON + 1),
            ActionExecuted("booking_form", timestamp=NOON + 1, policy="rules", confidence=1.0),
            ActiveLoop("booking_form", timestamp=NOON + 1),
            SlotSet("cuisine", "greek", timestamp=NOON + 2),
            BotUttered("How many?", data={"buttons": [{"title": "Two", "payload": "/two"}]}, timestamp=NOON + 2),
        ],
        user="ann",
    )
    return conversations


def test_json_is_the_state_with_the_events_behind_the_last_restart(hf, dialogue):
    dialogue.append("d", [Restarted(), UserUttered("again")])
    state = hf("conversations", "show", "d", "--json").json()
    assert state == dialogue.retrieve("d").current_state("AFTER_RESTART") | {"slots": state["slots"]}
    assert state["slots"] == {"cuisine": None, "guests": 2, "session_started_metadata": None, "vip": None}
    assert [event["text"] for event in state["events"]] == ["again"]


@pytest.mark.parametrize("verbosity", ["ALL", "APPLIED", "AFTER_RESTART", "NONE", "none"])
@pytest.mark.parametrize("everything", [True, False])
def test_each_verbosity_is_that_of_the_tracker(hf, dialogue, verbosity, everything):
    arguments = ["conversations", "show", "d", "--json", "--verbosity", verbosity, "--domain", "domain.yml"]
    state = hf(*arguments, *(["--all-sessions"] if everything else [])).json()
    tracker = dialogue.retrieve_full("d") if everything else dialogue.retrieve("d")
    expected = Tracker("d", Domain.load("domain.yml"), events=tracker.events).current_state(verbosity.upper())
    assert state == expected


@pytest.mark.parametrize(
    ("rule", "events"), [("action_session_start", 8), ("session_started", 7), ("inactive", 11), ("none", 11)]
)
def test_the_session_rule_decides_where_the_session_begins(hf, dialogue, here, rule, events):
    shown = hf("conversations", "show", "d", "--json", "--session-rule", rule).json()
    assert len(shown["events"]) == events
    (here / "endpoints.yml").write_text(f"tracker_store: {{type: shelf.Store, session_rule: {rule}}}", encoding="utf-8")
    assert hf("conversations", "show", "d", "--json").json() == shown


def test_an_unknown_verbosity_is_a_usage_error(hf, dialogue):
    assert hf("conversations", "show", "d", "--verbosity", "SOME").code == exit_codes.USAGE


def test_an_unknown_conversation_is_not_found(hf, dialogue):
    result = hf("conversations", "show", "nobody")
    assert (result.code, result.out) == (exit_codes.NOT_FOUND, "")
    assert result.err == "error: no conversation 'nobody' in the tracker store\n"


def test_without_a_domain_every_slot_exists_and_only_the_curious_are_told(hf, conversations):
    conversations.append("d", [SlotSet("x", 1)])
    assert hf("conversations", "show", "d", "--json").json()["slots"] == {"x": 1}
    assert "no domain" in hf("conversations", "show", "d", "-v").err
    assert hf("conversations", "show", "d").err == ""


def test_a_person_sees_who_said_what_and_what_changed(hf, dialogue):
    assert hf("conversations", "show", "d").out == (
        "d\n"
        "user ann, version 11, session 2 of 2, 2027-01-15 12:00:00 to 12:00:02 UTC\n"
        "--- session 2 of 2, 2027-01-15\n"
        "12:00:00         action action_session_start\n"
        "12:00:01  user   book\n"
        "                   book_table 0.99\n"
        "                 action booking_form\n"
        "                 form booking_form begins\n"
        '12:00:02         slot cuisine = "greek"\n'
        "           bot   How many?\n"
        "                 [Two] /two\n"
        "--- now\n"
        "in the form booking_form\n"
        'slot cuisine = "greek"\n'
    )


def test_a_curious_person_sees_everything(hf, dialogue):
    out = hf("conversations", "show", "d", "-v").out
    assert "action booking_form  by rules 1.00" in out
    assert "session started" in out
    assert "action action_listen" in out
    assert "slot guests = 2\n" in out


def test_all_sessions_are_told_apart(hf, dialogue):
    out = hf("conversations", "show", "d", "--all-sessions").out
    assert "all 2 sessions, 2027-01-14 11:00:00 to 2027-01-15 12:00:02 UTC" in out
    assert "--- session 1 of 2, 2027-01-14\n" in out
    assert "--- session 2 of 2, 2027-01-15\n" in out


def test_verbosity_narrows_what_is_drawn(hf, dialogue):
    dialogue.append("d", [Restarted(timestamp=NOON), UserUttered("again", timestamp=NOON)])
    assert "book" in hf("conversations", "show", "d").out
    after = hf("conversations", "show", "d", "--verbosity", "AFTER_RESTART").out
    assert "again" in after
    assert "book" not in after
    assert "again" not in hf("conversations", "show", "d", "--verbosity", "NONE").out


def test_a_new_day_is_marked(hf, conversations):
    conversations.append("d", [UserUttered("late", timestamp=NOON), UserUttered("early", timestamp=NOON + 86_400)])
    out = hf("conversations", "show", "d").out
    assert "no session begun" in out
    assert "--- 2027-01-15\n" in out
    assert "--- 2027-01-16\n" in out


def test_what_was_taken_back_is_marked(hf, conversations):
    conversations.append(
        "d",
        [
            UserUttered("kept", timestamp=NOON),
            ActionExecuted("action_kept", timestamp=NOON),
            UserUttered("regretted", timestamp=NOON),
            SlotSet("x", 1, timestamp=NOON),
            UserUtteranceReverted(timestamp=NOON),
        ],
    )
    out = hf("conversations", "show", "d").out
    assert "12:00:00  user   kept\n" in out
    assert "          user x regretted\n" in out
    assert "               x slot x = 1\n" in out
    assert "---   rewind: the latest message" in out
    assert "all slots have their initial values" in out


def test_undo_takes_back_the_latest_action_of_this_life_only():
    events = [
        ActionExecuted("a"),
        Restarted(),
        UserUttered("b"),
        ActionExecuted("c"),
        SlotSet("x", 1),
        ActionReverted(),
    ]
    gone = taken_back(events)
    assert [id(event) in gone for event in events] == [False, False, False, True, True, False]


EVENTS = [
    (AgentUttered("I take over", data={"n": 1}), "I take over"),
    (ActionExecuted(action_text="Hello there"), 'action says "Hello there"'),
    (ActionExecutionRejected("a_form"), "action a_form declined to run"),
    (ActiveLoop(None), "the form ends"),
    (AllSlotsReset(), "all slots reset"),
    (BotUttered(data={"image": "https://x/y.png", "custom": {"a": 1}}), "image: https://x/y.png"),
    (ConversationPaused(), "pause: the assistant is silent"),
    (ConversationResumed(), "resume: the assistant speaks again"),
    (DefinePrevUserUtteredFeaturization(True), "uses the text"),
    (EntitiesAdded([{"entity": "city", "value": "Rome"}]), 'entities added: city="Rome"'),
    (FollowupAction("action_x"), "next action action_x"),
    (LegacyFormValidation(False), "the form is interrupted"),
    (LoopInterrupted(False), "the form goes on"),
    (ReminderCancelled(), "reminders cancelled: all"),
    (ReminderCancelled(intent="x"), 'reminders cancelled: intent "x"'),
    (ReminderScheduled("EXTERNAL_x", "2027-01-01T00:00:00"), "reminder EXTERNAL_x at 2027-01-01T00:00:00"),
    (SessionStarted(), "session started"),
    (StoryExported("x.md"), "exported as a story to x.md"),
    (UserUttered(None), "(no text)"),
    (UserUttered("x", entities=[{"entity": "city", "value": 1, "role": "to"}]), "x"),
    (Event.from_dict({"event": "of_tomorrow", "x": [1], "timestamp": 1.0}), 'of_tomorrow {"x": [1]}'),
    (Event.from_dict({"event": "of_tomorrow"}), "of_tomorrow"),
]


@pytest.mark.parametrize(("event", "text"), EVENTS, ids=[f"{event.event}-{n}" for n, (event, _) in enumerate(EVENTS)])
def test_each_type_of_event_is_told_in_words(event, text):
    assert describe(event, verbose=True).lines[0][0] == text


NONSENSE = [None, 7, "x", [], [7], {"name": 7, "confidence": "high"}, {"x": {"y": [None]}}]


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
@pytest.mark.parametrize("kind", [*Event.known, "of_tomorrow"])
def test_nonsense_in_an_event_is_drawn_all_the_same(hf, conversations, kind, value):
    keys = (
        "text",
        "parse_data",
        "data",
        "name",
        "policy",
        "confidence",
        "action_text",
        "value",
        "entities",
        "date_time",
    )
    event = {"event": kind, "timestamp": value, **dict.fromkeys(keys, value)}
    describe(Event.from_dict(event), verbose=True)
    describe(Event.from_dict({"event": "user", "parse_data": {"intent": value, "entities": value}}), verbose=True)
    keys = ("buttons", "quick_replies", "image", "attachment", "elements", "custom", "more")
    describe(Event.from_dict({"event": "bot", "data": dict.fromkeys(keys, value)}), verbose=True)


def test_a_hostile_message_cannot_reach_the_terminal(hf, conversations):
    hostile = "\x1b[2J\x1b]0;owned\x07[bold red]:smile:\x9b\u202e\r"
    events = [
        UserUttered(hostile, intent={"name": hostile}, entities=[{"entity": hostile, "value": hostile}]),
        BotUttered(hostile, data={"buttons": [{"title": hostile, "payload": hostile}], hostile: hostile}),
        ActionExecuted(hostile, policy=hostile),
        SlotSet(hostile, hostile),
        Event.from_dict({"event": hostile, hostile: hostile}),
    ]
    conversations.append("d", events)
    for arguments in ([], ["-v"], ["--json"]):
        out = hf("conversations", "show", "d", *arguments).out
        assert out.replace("\n", "").isprintable()
    assert "[bold red]:smile:" in out
    assert json.loads(out)["events"][0]["text"] == hostile


@pytest.fixture
def terminal(monkeypatch):
    """Treat stdout as a terminal of so many columns."""

    def wide(columns):
        for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm-256color"), ("COLUMNS", str(columns))):
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("NO_COLOR", raising=False)

    return wide


STYLES = re.compile(r"\x1b\[[0-9;]*m")


def plain(text):
    return [line.rstrip() for line in STYLES.sub("", text).splitlines()]


def test_a_terminal_gets_columns_and_colours(hf, dialogue, terminal):
    terminal(80)
    later = NOON + 3
    listen = ActionExecuted("action_listen", timestamp=later)
    dialogue.append("d", [listen, UserUttered("oops", timestamp=later), UserUtteranceReverted(timestamp=later)])
    out = hf("conversations", "show", "d").out
    assert [" ".join(line.split()) for line in plain(out)] == [
        "d",
        "user ann, version 14, session 2 of 2, 2027-01-15 12:00:00 to 12:00:03 UTC",
        "session 2 of 2, 2027-01-15 " + "─" * 53,
        "12:00:00 action action_session_start",
        "",
        "12:00:01 user book",
        "book_table 0.99",
        "action booking_form",
        "form booking_form begins",
        '12:00:02 slot cuisine = "greek"',
        "bot How many?",
        "[Two] /two",
        "",
        "12:00:03 user x oops",
        "rewind: the latest message and what followed it are taken back",
        "now " + "─" * 76,
        "in the form booking_form",
        "slot value",
        "─" * 17,
        'cuisine "greek"',
    ]
    assert "\x1b[1;36m user" in out
    assert "\x1b[1;32m  bot" in out
    assert "\x1b[2;9moops" in out


@pytest.mark.parametrize("columns", [80, 50])
def test_long_lines_wrap_within_the_terminal(hf, conversations, terminal, columns):
    terminal(columns)
    long = ["word " * 60, "x" * 300, "é☕" * 100]
    conversations.append("n" * 200, [UserUttered(text) for text in long] + [BotUttered(text) for text in long])
    conversations.append("n" * 200, [SlotSet("s" * 100, long), ActionExecuted("a" * 200)])
    out = hf("conversations", "show", "n" * 200).out
    assert all(cell_len(line) <= columns for line in plain(out))
    assert "".join("".join(plain(out)).split()).count("x") >= 600


def test_a_terminal_obeys_nothing_that_a_message_says(hf, conversations, terminal):
    terminal(80)
    hostile = "\x1b[2J\x1b]0;owned\x07[bold red]:smile:\x9b\u202e\r"
    events = [UserUttered(hostile, timestamp=NOON), BotUttered(hostile), SlotSet(hostile, hostile), ActiveLoop(hostile)]
    conversations.append("d" + hostile, events)
    for arguments in (["show", "--", "d" + hostile], ["show", "-v", "--", "d" + hostile], ["list"]):
        out = STYLES.sub("", hf("conversations", *arguments).out)
        assert out.replace("\n", "").isprintable()
        assert "[bold red]:smile:" in out or arguments == ["list"]


def test_initial_values_are_shown_to_the_curious(hf, dialogue, terminal):
    terminal(80)
    dialogue.append("d", [ConversationPaused(timestamp=NOON + 3), Restarted(timestamp=NOON + 3)])
    lines = plain(hf("conversations", "show", "d").out)
    assert "all slots have their initial values" in lines
    assert "next action action_session_start" in lines
    assert "guests                     2" in plain(hf("conversations", "show", "d", "-v").out)
