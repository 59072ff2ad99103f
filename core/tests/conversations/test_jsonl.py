"""JSON lines in and out: repeatable, resumable, and never merging."""

import json

import pytest

from holdfast import BackendError, ConversationNotFoundError, Conversations, Event
from holdfast.conversations.jsonl import Outcome, export_lines, import_lines
from holdfast.conversations.memory import MemoryTrackerStore


class Dying(MemoryTrackerStore):
    """Stores a few batches, then dies: before or after it stored one more."""

    def __init__(self, appends, *, after):
        super().__init__()
        self.appends, self.after = appends, after

    def append(self, *args, **kwargs):
        self.appends -= 1
        if self.appends == 0 and not self.after:
            raise BackendError("killed")
        appended = super().append(*args, **kwargs)
        if self.appends == 0:
            raise BackendError("killed")
        return appended


def events(count, start=0):
    return [{"event": "user", "text": f"message {start + n}", "timestamp": 1.5} for n in range(count)]


def line(sender_id, said, **more):
    return json.dumps({"sender_id": sender_id, "events": said, **more})


def texts(conversations, sender_id):
    return [event.as_dict() for _, event in conversations.events(sender_id)]


@pytest.fixture
def conversations():
    return Conversations(MemoryTrackerStore())


def test_what_is_exported_is_imported_again(conversations):
    odd = [
        {"event": "user", "text": "é ☕ \u2028 \x00 \ud800", "n": [1, 2.5, None, True]},
        {"event": "of_tomorrow", "x": {}},
    ]
    conversations.append("a/b c", odd, user="me")
    conversations.append("-x", events(3))
    lines = list(export_lines(conversations))
    assert all("\n" not in each for each in lines)
    other = Conversations(MemoryTrackerStore())
    report = import_lines(other, lines)
    assert (report.imported, report.events, report.bad) == (2, 5, 0)
    assert texts(other, "a/b c") == odd
    assert other.head("a/b c").user == "me"
    assert sorted(export_lines(other)) == sorted(lines)


def test_an_export_of_some_ids_keeps_their_order(conversations):
    for name in "abc":
        conversations.append(name, events(1))
    assert [json.loads(each)["sender_id"] for each in export_lines(conversations, ["c", "a"])] == ["c", "a"]


def test_exporting_an_unknown_id_is_an_error(conversations):
    with pytest.raises(ConversationNotFoundError):
        list(export_lines(conversations, ["nobody"]))


def test_what_was_erased_from_the_front_is_not_exported(conversations):
    conversations.append("a", events(5))
    conversations.truncate("a", 4)
    (exported,) = export_lines(conversations)
    assert json.loads(exported)["events"] == events(2, start=3)


def test_importing_again_changes_nothing(conversations):
    lines = [line("a", events(2500)), line("b", events(1))]
    first = import_lines(conversations, lines)
    assert (first.imported, first.events) == (2, 2501)
    again = import_lines(conversations, lines)
    assert (again.imported, again.already_there, again.events) == (0, 2, 0)
    assert conversations.head("a").version == 2500


@pytest.mark.parametrize("after", [True, False], ids=["after the commit", "before the commit"])
@pytest.mark.parametrize("appends", [1, 2, 3, 4])
def test_an_import_that_was_killed_goes_on_where_it_stopped(appends, after):
    store = Dying(appends, after=after)
    lines = [line("a", events(2500)), line("b", events(1))]
    with pytest.raises(BackendError):
        import_lines(Conversations(store), lines)
    conversations = Conversations(store)
    report = import_lines(conversations, lines)
    assert report.conflicting == 0
    assert texts(conversations, "a") == events(2500)
    assert texts(conversations, "b") == events(1)
    assert report.events == 2501 - min(1000 * (appends - 1 + after), 2500) - (appends == 4 and after)


def test_a_longer_recording_continues_a_shorter_one(conversations):
    import_lines(conversations, [line("a", events(1500))])
    report = import_lines(conversations, [line("a", events(1700))])
    assert (report.imported, report.events) == (1, 200)
    assert texts(conversations, "a") == events(1700)


def test_a_shorter_recording_is_already_there(conversations):
    conversations.append("a", events(7))
    report = import_lines(conversations, [line("a", events(3)), line("a", [])])
    assert (report.already_there, report.events) == (2, 0)


def test_what_the_assistant_recorded_itself_is_already_there(conversations):
    conversations.append("a", [Event.from_json('{"event" : "user",  "n": NaN, "text": "x"}')])
    assert import_lines(conversations, export_lines(conversations)).already_there == 1


def test_other_events_conflict_and_are_left_alone(conversations):
    conversations.append("a", events(2, start=5))
    seen = []
    report = import_lines(conversations, [line("a", events(3)), line("b", events(1))], seen.append)
    assert (report.conflicting, report.imported) == (1, 1)
    assert texts(conversations, "a") == events(2, start=5)
    assert seen[0].detail == "other events stand in conversation 'a'"


def test_a_truncated_conversation_conflicts(conversations):
    import_lines(conversations, [line("a", events(3))])
    conversations.truncate("a", 3)
    assert import_lines(conversations, [line("a", events(4))]).conflicting == 1
    assert conversations.head("a").version == 3


def test_a_conversation_deleted_meanwhile_conflicts():
    class Forgetful(MemoryTrackerStore):
        def append(self, conversation, *args, **kwargs):
            appended = super().append(conversation, *args, **kwargs)
            self.delete(conversation)
            return appended

    report = import_lines(Conversations(Forgetful()), [line("a", events(1500))])
    assert report.conflicting == 1


BAD = [
    ("{", "this is not JSON"),
    ("[]", "a line must be a JSON object"),
    ('{"events": []}', "'sender_id' must be the id"),
    ('{"sender_id": "", "events": []}', "'sender_id' must be the id"),
    ('{"sender_id": 12, "events": []}', "'sender_id' must be the id"),
    ('{"sender_id": "a"}', "conversation 'a': 'events' must be a list"),
    ('{"sender_id": "a", "events": {}}', "conversation 'a': 'events' must be a list"),
    ('{"sender_id": "a", "user": 1, "events": []}', "conversation 'a': 'user' must be a text"),
    (
        '{"sender_id": "a", "events": [{"event": "user"}, {}]}',
        "conversation 'a', events[1]: an event needs the key 'event'",
    ),
    ('{"sender_id": "a", "events": ["x"]}', "conversation 'a', events[0]: an event is a JSON object, not str"),
    (b'{"sender_id": "\xff"}', "this is not UTF-8 text"),
    ("[" * 100_000, "this is not JSON"),
]


@pytest.mark.parametrize(("text", "detail"), BAD, ids=[detail for _, detail in BAD])
def test_a_bad_line_is_reported_and_stops_nothing(conversations, text, detail):
    seen = []
    report = import_lines(conversations, [text, line("b", events(1))], seen.append)
    assert (report.bad, report.imported) == (1, 1)
    assert (seen[0].number, seen[0].outcome) == (1, Outcome.BAD)
    assert detail in seen[0].detail
    assert not conversations.exists("a")


def test_empty_lines_are_skipped_and_counted(conversations):
    seen = []
    report = import_lines(conversations, ["\n", "  ", b"\n", "{"], seen.append)
    assert report.bad == 1
    assert seen[0].number == 4


@pytest.mark.parametrize("text", ["\ufeff" + line("a", events(1)), b"\xef\xbb\xbf" + line("a", events(1)).encode()])
def test_a_byte_order_mark_is_no_part_of_the_line(conversations, text):
    assert import_lines(conversations, [text]).imported == 1


def test_a_dry_run_compares_and_writes_nothing(conversations):
    conversations.append("there", events(2))
    conversations.append("shorter", events(2))
    conversations.append("other", events(2, start=9))
    lines = [
        line("there", events(2)),
        line("shorter", events(5)),
        line("other", events(2)),
        line("new", events(1)),
        "{",
    ]
    report = import_lines(conversations, lines, dry_run=True)
    assert (report.imported, report.already_there, report.conflicting, report.bad) == (2, 1, 1, 1)
    assert report.events == 4
    assert conversations.head("shorter").version == 2
    assert not conversations.exists("new")


def test_batches_with_the_same_events_are_told_apart(conversations):
    same = events(1) * 2000
    import_lines(conversations, [line("a", same)])
    assert conversations.head("a").version == 2000
    assert import_lines(conversations, [line("a", same)]).already_there == 1
