"""`holdfast check`: every section is looked at, whatever is wrong with the others."""

import json

import pytest

from holdfast import UnavailableError
from holdfast.commands import exit_codes
from holdfast.conversations.memory import MemoryTrackerStore


@pytest.fixture
def check(hf, here):
    """Check an endpoints.yml; gives the exit code and status, text and error by section."""

    def checked(text, *arguments):
        (here / "endpoints.yml").write_text(text, encoding="utf-8")
        result = hf("check", "--json", *arguments)
        sections = result.json()["sections"]
        assert result.json()["ok"] == (result.code == 0)
        return result.code, {section.pop("section"): section for section in sections}

    return checked


def test_without_a_file_the_defaults_are_named(hf):
    result = hf("check")
    assert result.code == 0
    assert result.out == (
        "endpoints.yml\tdefault\tthere is no endpoints.yml here: the defaults apply\n"
        "tracker_store\tdefault\tno section tracker_store: conversations are kept in memory and are gone when the "
        "process ends\n"
        "persistor\tdefault\tno section persistor: models are neither pushed nor pulled\n"
        "models\tdefault\tno section models: `holdfast run` takes the latest archive in ./models\n"
    )


@pytest.mark.parametrize(
    "arguments", [["other.yml"], ["--endpoints", "other.yml"], ["other.yml", "--endpoints", "other.yml"]]
)
def test_a_file_that_is_named_must_exist(hf, arguments):
    result = hf("check", *arguments)
    assert result.code == exit_codes.CONFIGURATION
    assert "error: other.yml: no such file" in result.err


def test_two_different_files_are_a_usage_error(hf):
    assert hf("check", "a.yml", "--endpoints", "b.yml").code == exit_codes.USAGE


def test_every_section_that_works_says_what_is_there(check, conversations, here):
    conversations.append("a", [{"event": "restart"}])
    (here / "domain.yml").write_text("slots: {a: {type: text}}", encoding="utf-8")
    (here / "one.tar.gz").write_bytes(b"")
    code, found = check(
        "tracker_store: {type: shelf.Store}\n"
        "persistor: {type: disk, path: storage}\n"
        "models: {path: one.tar.gz}\n"
        "action_endpoint: {url: http://localhost}\n"
    )
    assert code == 0
    assert found["endpoints.yml"]["text"] == "endpoints.yml; not ours and left alone: action_endpoint"
    assert found["tracker_store"]["text"] == "shelf.Store: 1 conversation, session rule action_session_start"
    assert found["persistor"]["text"] == "disk: answers, and is empty"
    assert found["models"]["text"] == "the archive one.tar.gz"
    assert found["domain"]["text"] == "domain.yml: 2 slots, sessions end after 60 minutes"
    assert {section["status"] for section in found.values()} == {"ok"}


def test_one_wrong_section_does_not_hide_another(check):
    code, found = check(
        "tracker_store: {type: memry}\npersistor: {type: disk}\nmodels: {url: ftp://x}\n", "--domain", "nothing.yml"
    )
    assert code == exit_codes.CONFIGURATION
    assert {name: section["status"] for name, section in found.items()} == {
        "endpoints.yml": "ok",
        "tracker_store": "failed",
        "persistor": "failed",
        "models": "failed",
        "domain": "failed",
    }
    assert "Did you mean 'memory'?" in found["tracker_store"]["error"]["message"]
    assert "path: is missing" in found["persistor"]["error"]["message"]
    assert "must be a URL" in found["models"]["error"]["message"]
    assert found["domain"]["error"]["type"] == "DomainError"


@pytest.mark.parametrize("text", ["a: [", "- a", "a: 1\na: 2\n"])
def test_a_file_that_is_no_mapping_ends_the_check(check, text):
    code, found = check(text)
    assert code == exit_codes.CONFIGURATION
    assert list(found) == ["endpoints.yml"]


def test_a_misspelt_section_is_found_and_the_others_are_checked(check):
    code, found = check("tracker-store: {type: memory}\npersistor: {type: disk, path: storage}\n")
    assert code == exit_codes.CONFIGURATION
    assert "Did you mean `tracker_store:`?" in found["endpoints.yml"]["error"]["message"]
    assert found["persistor"]["status"] == "ok"


def test_a_section_that_looks_like_one_of_ours_is_pointed_out(check):
    _, found = check("tracker_stor: {type: memory}\nmodel: {}\nlock_store: {}\nevent_broker: {}\n")
    assert found["endpoints.yml"]["text"] == (
        "endpoints.yml; not ours and left alone: tracker_stor (did you mean tracker_store?), "
        "model (did you mean models?), lock_store, event_broker"
    )


def test_an_unset_variable_is_found(check):
    code, found = check("persistor: {type: disk, path: '${NOT_SET_ANYWHERE}'}\n")
    assert code == exit_codes.CONFIGURATION
    assert "NOT_SET_ANYWHERE is not set" in found["persistor"]["error"]["message"]


def test_a_store_that_does_not_answer_has_exit_code_7(check, conversations, monkeypatch):
    def failing(*_):
        raise UnavailableError("tracker store: no answer")

    monkeypatch.setattr(MemoryTrackerStore, "count", failing)
    monkeypatch.setattr("holdfast.conversations.policy._BACK_OFF", 0.0)
    code, found = check("tracker_store: {type: shelf.Store}\n")
    assert code == exit_codes.STORAGE
    assert found["tracker_store"]["error"] == {"type": "UnavailableError", "message": "tracker store: no answer"}


def test_an_sdk_that_raises_anything_fails_only_its_section(check, conversations, monkeypatch):
    def failing(*_):
        raise ZeroDivisionError("hunter2")

    monkeypatch.setattr(MemoryTrackerStore, "count", failing)
    code, found = check("tracker_store: {type: shelf.Store}\npersistor: {type: disk, path: storage}\n")
    assert code == exit_codes.FAILURE
    assert "unexpected ZeroDivisionError at test_check.py" in found["tracker_store"]["error"]["message"]
    assert "hunter2" not in json.dumps(found)
    assert found["persistor"]["status"] == "ok"


def test_remote_storage_is_checked_instead_of_the_persistor(check):
    code, found = check("persistor: {type: disk, path: storage}\n", "--remote-storage", "aws")
    assert code == exit_codes.CONFIGURATION
    assert "no backend is called 'aws'" in found["persistor"]["error"]["message"]
    (code, found) = check("models: {path: x}\n", "--remote-storage", "disk")
    assert "path: is missing" in found["persistor"]["error"]["message"]


def test_a_persistor_of_three_methods_is_asked_for_a_probe(check, here):
    (here / "shelves.py").write_text(
        "from pathlib import Path\n"
        "from holdfast import Persistor\n"
        "class Shelf(Persistor):\n"
        "    def upload(self, archive, key): ...\n"
        "    def download(self, key, archive): ...\n"
        "    def stat(self, key): Path('asked').write_text(key)\n",
        encoding="utf-8",
    )
    code, found = check("persistor: {type: shelves.Shelf, prefix: a/b}\n")
    assert code == 0
    assert found["persistor"]["text"] == "shelves.Shelf: answers"
    assert (here / "asked").read_text(encoding="utf-8") == "a/b/holdfast-check.tar.gz"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{path: nowhere}", "nothing stands at nowhere"),
        ("{path: empty}", "the directory empty holds no *.tar.gz"),
    ],
)
def test_a_source_that_is_not_there_has_exit_code_3(check, here, section, message):
    (here / "empty").mkdir()
    code, found = check(f"models: {section}\n")
    assert code == exit_codes.NOT_FOUND
    assert message in found["models"]["error"]["message"]


def test_a_model_in_the_storage_is_looked_up(check):
    code, found = check("persistor: {type: disk, path: storage}\nmodels: {name: tea}\n")
    assert code == exit_codes.NOT_FOUND
    assert "no model 'tea'" in found["models"]["error"]["message"]


def test_a_model_in_a_storage_that_is_wrong_is_unknown(check):
    code, found = check("persistor: {type: disk}\nmodels: {name: tea}\n")
    assert code == exit_codes.CONFIGURATION
    assert found["models"] == {"status": "unknown", "text": "tea is in the persistor, which is to be repaired first"}


def test_a_model_without_a_storage_is_a_configuration_error(check):
    code, found = check("models: {name: tea}\n")
    assert code == exit_codes.CONFIGURATION
    assert "persistor" in found["models"]["error"]["message"]


def test_a_model_server_comes_later(check):
    code, found = check("models: {url: http://models/tea}\n")
    assert code == exit_codes.CONFIGURATION
    assert "comes with the next release" in found["models"]["error"]["message"]


def test_a_secret_is_never_shown(hf, here):
    (here / "endpoints.yml").write_text(
        "tracker_store: {type: SQL, password: 271828, port: 'x271828'}\n"
        "persistor: {type: disk, path: s, secret: 271828}\nmodels: {url: 'http://x', token: 271828, wait: 271828}\n",
        encoding="utf-8",
    )
    for arguments in ([], ["--json"], ["-v"]):
        result = hf("check", *arguments)
        assert result.code == exit_codes.CONFIGURATION
        assert "271828" not in result.out + result.err
