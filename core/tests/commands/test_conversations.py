"""`holdfast conversations list`, `delete`, `export`, `import`."""

import json

import pytest

from holdfast import UnavailableError
from holdfast.commands import exit_codes
from holdfast.conversations.memory import MemoryTrackerStore

ODD = ["a/b", "with blanks", "-dash", "--json", "ünï", "[bold]x[/bold]"]


def said(*texts):
    return [{"event": "user", "text": text, "timestamp": 1_700_000_000.0} for text in texts]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def three(conversations):
    for name, user in (("a", "ann"), ("b", None), ("c", "ann")):
        conversations.append(name, said("hi", "bye"), user=user)
    return conversations


def test_the_list_shows_the_latest_first(hf, three):
    result = hf("conversations", "list")
    assert result.code == 0
    assert [line.split("\t")[:4] for line in result.out.splitlines()] == [
        ["c", "ann", "2", "0"],
        ["b", "", "2", "0"],
        ["a", "ann", "2", "0"],
    ]


def test_a_page_ends_with_the_cursor_of_the_next(hf, three):
    first = hf("conversations", "list", "--limit", "2", "--json").json()
    assert [head["sender_id"] for head in first["conversations"]] == ["c", "b"]
    assert first["conversations"][0]["version"] == 2
    assert "there are more: --cursor" in hf("conversations", "list", "--limit", "2").err
    second = hf("conversations", "list", "--cursor", first["cursor"], "--json").json()
    assert [head["sender_id"] for head in second["conversations"]] == ["a"]
    assert second["cursor"] is None


def test_the_list_can_be_narrowed(hf, three):
    assert len(hf("conversations", "list", "--user", "ann").out.splitlines()) == 2
    assert len(hf("conversations", "list", "--updated-before", "2999-01-01").out.splitlines()) == 3
    nothing = hf("conversations", "list", "--updated-before", "2001-01-01T00:00+00:00")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no conversations\n")


def test_all_is_a_stream_of_json_lines(hf, three):
    assert [head["sender_id"] for head in lines(hf("conversations", "list", "--all", "--json").out)] == ["c", "b", "a"]


@pytest.mark.parametrize(
    "arguments", [("--limit", "0"), ("--limit", "1001"), ("--updated-before", "yesterday")], ids=lambda value: value[1]
)
def test_a_wrong_value_is_a_usage_error(hf, three, arguments):
    assert hf("conversations", "list", *arguments).code == exit_codes.USAGE


def test_ids_are_taken_as_they_are(hf, conversations):
    for name in ODD:
        conversations.append(name, said("hi"))
    assert [head["sender_id"] for head in hf("conversations", "list", "--json").json()["conversations"]] == ODD[::-1]
    for name in ODD:
        assert hf("conversations", "show", "--json", "--", name).json()["sender_id"] == name
    assert hf("conversations", "delete", "--yes", "--", *ODD).code == 0
    assert conversations.count() == 0


def test_an_id_that_is_no_text_is_a_usage_error(hf, conversations):
    result = hf("conversations", "show", "\udcff")
    assert result.code == exit_codes.USAGE
    assert "is not UTF-8 text" in result.err


def test_control_characters_in_an_id_reach_no_terminal(hf, conversations):
    conversations.append("a\x1b]0;owned\x07\tb\nc", said("hi"))
    out = hf("conversations", "list").out
    assert out.startswith("a\\x1b]0;owned\\x07\\tb\\nc\t")
    assert out.count("\n") == 1


def test_deleting_asks_and_without_a_terminal_refuses(hf, three):
    refused = hf("conversations", "delete", "a")
    assert refused.code == exit_codes.USAGE
    assert "--yes" in refused.err
    assert three.exists("a")


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_at_a_terminal_the_answer_decides(hf, three, monkeypatch, answer, code):
    monkeypatch.setattr("holdfast.commands.options.is_asked_at_terminal", lambda: True)
    result = hf("conversations", "delete", "a", "b", input=answer)
    assert result.code == code
    assert "Erase 2 conversations for good?" in result.err
    assert three.exists("a") == bool(code)


def test_no_answer_is_no_consent(hf, three, monkeypatch):
    monkeypatch.setattr("holdfast.commands.options.is_asked_at_terminal", lambda: True)
    # Where input ends, click gives up; before 8.2 its test runner read an empty answer, which means no.
    assert hf("conversations", "delete", "a", input="").code in (exit_codes.INTERRUPTED, exit_codes.FAILURE)
    assert three.exists("a")


def test_what_does_not_exist_cannot_be_deleted_but_the_others_are(hf, three):
    result = hf("conversations", "delete", "--yes", "a", "nobody", "b")
    assert result.code == exit_codes.NOT_FOUND
    assert result.out == "erased a\nerased b\n"
    assert result.err == "error: no conversation 'nobody' in the tracker store\n"
    again = hf("conversations", "delete", "--yes", "--json", "a", "c")
    assert again.json() == {"deleted": ["c"], "not_found": ["a"]}
    assert json.loads(again.err)["error"]["type"] == "ConversationNotFoundError"


def test_an_export_writes_lines_to_stdout(hf, three):
    result = hf("conversations", "export")
    assert [line["sender_id"] for line in lines(result.out)] == ["c", "b", "a"]
    assert lines(result.out)[0] == {"sender_id": "c", "user": "ann", "events": said("hi", "bye")}
    assert [line["sender_id"] for line in lines(hf("conversations", "export", "a").out)] == ["a"]


def test_an_export_of_an_unknown_id_writes_the_others(hf, three):
    result = hf("conversations", "export", "nobody", "a")
    assert result.code == exit_codes.NOT_FOUND
    assert [line["sender_id"] for line in lines(result.out)] == ["a"]
    assert "no conversation 'nobody'" in result.err


def test_an_export_to_a_file_appears_when_it_is_complete(hf, three, here, monkeypatch):
    (here / "out.jsonl").write_text("before", encoding="utf-8")
    result = hf("conversations", "export", "--out", "out.jsonl")
    assert (result.code, result.out, result.err) == (0, "", "3 conversations written to out.jsonl\n")
    assert len(lines((here / "out.jsonl").read_text(encoding="utf-8"))) == 3

    def failing(*_):
        raise UnavailableError("gone")

    monkeypatch.setattr(MemoryTrackerStore, "read", failing)
    monkeypatch.setattr("holdfast.conversations.policy._BACK_OFF", 0.0)
    assert hf("conversations", "export", "--out", "out.jsonl").code == exit_codes.STORAGE
    assert len(lines((here / "out.jsonl").read_text(encoding="utf-8"))) == 3
    assert {path.name for path in here.iterdir()} - {"__pycache__"} == {"out.jsonl", "endpoints.yml", "shelf.py"}


def test_an_export_that_cannot_be_written_says_so(hf, three):
    result = hf("conversations", "export", "--out", "nowhere/out.jsonl")
    assert result.code == exit_codes.FAILURE
    assert "No such file or directory" in result.err


def test_an_export_in_json_reports_the_file(hf, three):
    result = hf("conversations", "export", "--out", "out.jsonl", "--json", "a", "nobody")
    assert result.json() == {"exported": 1, "not_found": ["nobody"], "file": "out.jsonl"}


def test_an_import_reads_a_file_and_says_what_it_did(hf, conversations, here):
    (here / "in.jsonl").write_text(
        json.dumps({"sender_id": "a", "events": said("hi")})
        + "\n\n"
        + json.dumps({"sender_id": "b", "events": said("x")}),
        encoding="utf-8",
    )
    result = hf("conversations", "import", "in.jsonl")
    assert (result.code, result.err) == (0, "")
    assert result.out == "2 imported (2 events), 0 already there, 0 conflicting, 0 bad lines\n"
    again = hf("conversations", "import", "in.jsonl", "--json", "-v")
    assert again.json() == {
        "imported": 0,
        "already_there": 2,
        "conflicting": 0,
        "bad": 0,
        "events": 0,
        "dry_run": False,
    }
    assert "line 3: b already there" in hf("conversations", "import", "in.jsonl", "-v").err


def test_an_import_reads_stdin(hf, conversations):
    result = hf("conversations", "import", "-", input=json.dumps({"sender_id": "a", "events": said("hi")}))
    assert result.code == 0
    assert conversations.head("a").version == 1


def test_a_bad_line_is_named_and_the_exit_code_is_1(hf, three):
    text = '{"sender_id": \n' + json.dumps({"sender_id": "new", "events": said("hi")}) + "\n"
    text += json.dumps({"sender_id": "a", "events": said("other")})
    result = hf("conversations", "import", "-", input=text)
    assert result.code == exit_codes.FAILURE
    assert "error: line 1: this is not JSON\n" in result.err
    assert "error: line 3: other events stand in conversation 'a'\n" in result.err
    assert result.out == "1 imported (1 events), 0 already there, 1 conflicting, 1 bad lines\n"
    assert three.exists("new")
    in_json = hf("conversations", "import", "-", "--json", input=text)
    assert [error["error"]["type"] for error in lines(in_json.err)] == ["InvalidEventError", "ConflictError"]


def test_a_conflict_alone_has_exit_code_5(hf, three):
    result = hf("conversations", "import", "-", input=json.dumps({"sender_id": "a", "events": said("other")}))
    assert result.code == exit_codes.CONFLICT


def test_a_dry_run_writes_nothing(hf, conversations):
    text = json.dumps({"sender_id": "a", "events": said("hi")})
    result = hf("conversations", "import", "-", "--dry-run", input=text)
    assert result.out.startswith("1 would be imported (1 events)")
    assert not conversations.exists("a")


def test_a_file_that_is_not_there_is_a_usage_error(hf, conversations):
    assert hf("conversations", "import", "nothing.jsonl").code == exit_codes.USAGE


def test_without_a_tracker_store_a_warning_says_that_nothing_remains(hf):
    result = hf("conversations", "list")
    assert result.code == 0
    assert "warning: conversations are kept in memory" in result.err
    assert "There is no section tracker_store" in result.err
    assert json.loads(hf("conversations", "list", "--json").err)["warning"]["message"].startswith("conversations are")


def test_endpoints_that_are_named_must_exist(hf):
    result = hf("conversations", "list", "--endpoints", "other.yml")
    assert result.code == exit_codes.CONFIGURATION
    assert "other.yml: no such file" in result.err


def test_a_domain_that_is_named_must_exist(hf, conversations):
    result = hf("conversations", "list", "--domain", "other.yml")
    assert result.code == exit_codes.CONFIGURATION
    assert "other.yml: no such file" in result.err


def test_an_unknown_store_is_a_configuration_error(hf, here):
    (here / "endpoints.yml").write_text("tracker_store:\n  type: memry\n", encoding="utf-8")
    result = hf("conversations", "list")
    assert result.code == exit_codes.CONFIGURATION
    assert "Did you mean 'memory'?" in result.err


def test_a_store_that_fails_has_exit_code_7(hf, conversations, monkeypatch):
    def failing(*_, **__):
        raise UnavailableError("tracker store: no answer")

    monkeypatch.setattr(MemoryTrackerStore, "list", failing)
    monkeypatch.setattr("holdfast.conversations.policy._BACK_OFF", 0.0)
    result = hf("conversations", "list")
    assert (result.code, result.err) == (exit_codes.STORAGE, "error: tracker store: no answer\n")
