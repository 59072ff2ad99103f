"""What reaches a terminal, a pipe or a program: never a control character, never a secret, never a traceback."""

import json

import pytest

from holdfast.commands import exit_codes, redaction
from holdfast.commands.visible import json_text, visible
from holdfast.endpoints import parse_endpoints
from holdfast.errors import (
    BackendError,
    ConfigurationError,
    ConflictError,
    ConversationNotFoundError,
    DeploymentError,
    DomainError,
    HoldfastError,
    InvalidEventError,
    ModelError,
    ModelExistsError,
    ModelNotFoundError,
    PluginError,
    StoreBehindError,
    UnavailableError,
    UnknownBackendError,
    UnsafeArchiveError,
    UnsupportedError,
    VerificationError,
)

HOSTILE = "a\x1b[31mb\x07c\x9bd\u202ee\u2028f\ud800g\r\th\x7f"


@pytest.mark.parametrize("text", ["plain", "ünï ☕ 🏳️‍🌈", "שלום", "back\\slash"])
def test_ordinary_text_is_shown_as_it_is(text):
    assert visible(text) == text


def test_what_a_terminal_would_obey_is_written_out():
    assert visible(HOSTILE) == r"a\x1b[31mb\x07c\x9bd\u202ee\u2028f\ud800g\r\th\x7f"


def test_a_line_stays_a_line():
    assert visible("a\nb") == r"a\nb"
    assert visible("a\r\nb\tc\x1b", lines=True) == "a\nb    c\\x1b"


def test_json_means_the_same_and_holds_no_control_character():
    text = json_text({"text": HOSTILE + "é"})
    assert json.loads(text) == {"text": HOSTILE + "é"}
    assert text.isprintable()
    assert "é" in text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HoldfastError("x"), 1),
        (InvalidEventError("x"), 1),
        (ModelError("x"), 1),
        (ValueError("x"), 1),
        (ConversationNotFoundError("x"), 3),
        (ModelNotFoundError("x"), 3),
        (ConfigurationError("x"), 4),
        (UnknownBackendError("x"), 4),
        (DomainError("x"), 4),
        (PluginError("x"), 4),
        (UnsupportedError("x"), 4),
        (ConflictError("x", 1, 2), 5),
        (StoreBehindError("x", 2, 1), 5),
        (ModelExistsError("x"), 5),
        (VerificationError("x"), 6),
        (UnsafeArchiveError("x"), 6),
        (DeploymentError("x"), 6),
        (BackendError("x"), 7),
        (UnavailableError("x"), 7),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert exit_codes.exit_code(error) == code


def test_the_worst_of_several_is_the_one_to_repair_first():
    assert exit_codes.worst([]) == 0
    assert exit_codes.worst([7, 3]) == 3
    assert exit_codes.worst([7, 4, 3]) == 4


def failing(monkeypatch, error):
    def fail(**_):
        raise error

    monkeypatch.setattr("holdfast.registry.listing", fail)


def test_an_error_is_one_line_on_stderr(hf, monkeypatch):
    failing(monkeypatch, BackendError("the storage \x1b[2Jfailed"))
    result = hf("plugins", "list")
    assert (result.code, result.out, result.err) == (7, "", "error: the storage \\x1b[2Jfailed\n")


def test_an_error_is_json_for_programs(hf, monkeypatch):
    failing(monkeypatch, BackendError("the storage failed"))
    result = hf("plugins", "list", "--json")
    assert json.loads(result.err) == {"error": {"type": "BackendError", "message": "the storage failed"}}
    assert (result.code, result.out) == (7, "")


def test_an_unexpected_error_says_where_and_not_what(hf, monkeypatch):
    failing(monkeypatch, KeyError("hunter2"))
    result = hf("plugins", "list")
    assert result.code == 1
    assert "unexpected KeyError at test_output.py:" in result.err
    assert "hunter2" not in result.err
    assert "Traceback" not in result.err


def test_an_error_of_the_system_names_the_file(hf, monkeypatch):
    failing(monkeypatch, PermissionError(13, "Permission denied", "out.jsonl"))
    result = hf("plugins", "list")
    assert (result.code, result.err) == (1, "error: out.jsonl: Permission denied\n")


def test_the_traceback_is_shown_on_demand_without_secrets(hf, monkeypatch):
    monkeypatch.setattr(redaction, "_known", set())
    section = {"type": "SQL", "password": 271828, "url": "postgresql://me:sw%40rd@db/x"}
    redaction.remember(parse_endpoints({"tracker_store": section}, "endpoints.yml", {}))
    monkeypatch.setenv("HOLDFAST_DEBUG", "1")
    monkeypatch.setenv("SOME_API_TOKEN", "abcdefgh12345")
    error = BackendError("login with 271828, sw@rd, sw%40rd and abcdefgh12345 failed")
    failing(monkeypatch, error)
    result = hf("plugins", "list")
    assert result.code == 7
    assert "Traceback" in result.err
    assert "login with …, …, … and … failed" in result.err
    for secret in ("271828", "sw@rd", "sw%40rd", "abcdefgh12345"):
        assert secret not in result.err


def test_the_secrets_of_the_section_models_are_known_too(monkeypatch):
    monkeypatch.setattr(redaction, "_known", set())
    models = {"url": "http://models/x", "token": "tok-1", "headers": {"X-Key": "key-2", "Accept": "all"}}
    models["basic_auth"] = {"username": "me", "password": "pass-3"}
    redaction.remember(parse_endpoints({"models": models}, "endpoints.yml", {}))
    assert redaction.redacted("tok-1 key-2 pass-3 me") == "… … … me"


def test_ctrl_c_ends_with_130(hf, monkeypatch):
    failing(monkeypatch, KeyboardInterrupt())
    assert hf("plugins", "list").code == exit_codes.INTERRUPTED
