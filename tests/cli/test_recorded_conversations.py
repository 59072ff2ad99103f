"""The main job on real input: import what Rasa recorded, and show the state that Rasa answered."""

import json
import time

import pytest

from holdfast.commands import exit_codes

# The slice of events that each of Rasa's stores gave is that of a session rule of ours.
RULES = {"sql": "session_started", "redis": "action_session_start"}


@pytest.fixture(scope="module")
def recorded(fixtures):
    with (fixtures / "conversations.jsonl").open(encoding="utf-8") as file:
        return {line["sender_id"]: line["events"] for line in map(json.loads, file)}


@pytest.fixture(scope="module")
def answers(fixtures):
    with (fixtures / "expected_states.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def imported(fixtures, hf, tmp_path_factory):
    """An endpoints.yml whose tracker store holds the recorded conversations."""
    directory = tmp_path_factory.mktemp("recorded")
    endpoints = directory / "endpoints.yml"
    section = f"tracker_store: {{type: SQL, dialect: sqlite, db: {directory / 'conversations.db'}}}\n"
    endpoints.write_text(section, encoding="utf-8")
    result = hf("conversations", "import", fixtures / "conversations.jsonl", "--endpoints", endpoints)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("25 imported")
    return endpoints


def test_show_gives_every_state_as_rasa_answered_it(hf, imported, fixtures, recorded, answers):
    # Where rows of different stores differ in the state, the one of the SQL store is right (README of the fixtures).
    right = {
        (row["sender_id"], row["method"], row["verbosity"]): row["state_without_events"]
        for row in answers
        if "sql" in row["stores"]
    }
    compared = 0
    for row in answers:
        state_is = right[row["sender_id"], row["method"], row["verbosity"]]
        for rule in {RULES[store] for store in row["stores"] if store in RULES}:
            result = hf(
                *("conversations", "show", "--json", "--verbosity", row["verbosity"], "--session-rule", rule),
                *("--endpoints", imported, "--domain", fixtures / "domain.yml"),
                *(["--all-sessions"] if row["method"] == "retrieve_full_tracker" else []),
                *("--", row["sender_id"]),
            )
            assert (result.code, result.err) == (0, "")
            state = result.json()
            events = state.pop("events")
            said = recorded[row["sender_id"]]
            assert state == state_is, (row["sender_id"], rule, row["method"], row["verbosity"])
            assert events == (None if row["events"] is None else [said[index] for index in row["events"]])
            compared += 1
    assert compared >= len(answers)


def test_importing_again_changes_nothing(hf, imported, fixtures):
    result = hf("conversations", "import", fixtures / "conversations.jsonl", "--endpoints", imported, "--json")
    assert result.json()["already_there"] == 25
    assert result.json()["imported"] == 0


def test_an_export_holds_every_event_as_it_was_recorded(hf, imported, recorded):
    result = hf("conversations", "export", "--endpoints", imported)
    assert {line["sender_id"]: line["events"] for line in map(json.loads, result.out.splitlines())} == recorded


def test_every_conversation_can_be_drawn(hf, imported, fixtures, recorded):
    for sender_id in recorded:
        for more in ([], ["-v", "--all-sessions"]):
            arguments = ["--endpoints", imported, "--domain", fixtures / "domain.yml", *more, "--", sender_id]
            result = hf("conversations", "show", *arguments)
            assert (result.code, result.err) == (0, "")
            assert result.out.startswith(f"{sender_id}\n")


def test_check_says_what_is_there(hf, imported):
    result = hf("check", imported)
    assert result.code == 0
    assert "tracker_store\tok\tSQL: 25 conversations" in result.out


def test_every_conversation_can_be_found_and_deleted(hf, here, fixtures, recorded):
    assert hf("conversations", "import", fixtures / "conversations.jsonl").code == 0
    first = hf("conversations", "list", "--limit", "10", "--json").json()
    second = hf("conversations", "list", "--limit", "100", "--cursor", first["cursor"], "--json").json()
    found = [head["sender_id"] for page in (first, second) for head in page["conversations"]]
    assert sorted(found) == sorted(recorded)
    assert hf("conversations", "delete", "--yes", "--", *found).code == 0
    assert hf("conversations", "list").out == ""
    assert hf("conversations", "show", "--", found[0]).code == exit_codes.NOT_FOUND


def test_an_import_that_is_killed_again_and_again_completes(hf, here, start):
    """Kill the process wherever it happens to be; nothing is lost, doubled or out of order in the end."""
    events = [{"event": "user", "text": f"message {n}", "timestamp": float(n)} for n in range(3500)]
    lines = [json.dumps({"sender_id": f"c{n}", "events": events[n:]}) for n in range(4)]
    (here / "many.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for delay in (0.35, 0.5, 0.65, 0.8):
        process = start("conversations", "import", "many.jsonl")
        time.sleep(delay)
        process.kill()
        process.communicate()
    assert hf("conversations", "import", "many.jsonl").code == 0
    exported = {
        line["sender_id"]: line["events"] for line in map(json.loads, hf("conversations", "export").out.splitlines())
    }
    assert exported == {f"c{n}": events[n:] for n in range(4)}


def test_two_imports_at_once_leave_one_copy(hf, here, start, fixtures):
    both = [start("conversations", "import", fixtures / "conversations.jsonl", "--json") for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    assert all(report["conflicting"] == report["bad"] == 0 for report in reports)
    assert sum(report["events"] for report in reports) == 848
    assert hf("conversations", "import", fixtures / "conversations.jsonl", "--json").json()["already_there"] == 25
