"""`holdfast run`: resolve, verify, deploy, open, keep, report, end."""

import json
import shutil
import signal
import time

import pytest

from holdfast.commands import exit_codes

ENDPOINTS = """
tracker_store: {type: SQL, dialect: sqlite, db: conversations.db}
persistor: {type: disk, path: storage}
"""


@pytest.fixture
def tea(fixtures):
    return fixtures / "models" / "tea-1.tar.gz"


@pytest.fixture
def tea2(fixtures):
    return fixtures / "models" / "tea-2.tar.gz"


def configure(here, models=""):
    (here / "endpoints.yml").write_text(ENDPOINTS + models, encoding="utf-8")


def events(result):
    return [json.loads(line) for line in result.out.splitlines()]


class Running:
    """A `holdfast run --json` whose events are read as they come."""

    def __init__(self, process):
        self.process = process

    def next(self, event):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        found = json.loads(line)
        assert found["event"] == event, found
        return found

    def until_ready(self):
        deployed = self.next("deployed")
        self.next("tracker_store")
        self.next("ready")
        return deployed

    def end(self, number):
        self.process.send_signal(number)
        self.next("stopped")
        assert self.process.wait(timeout=10) == 0
        assert self.process.stderr.read() == ""


@pytest.fixture
def running(start):
    return lambda *arguments: Running(start("run", "--json", *arguments))


def test_once_deploys_opens_and_reports(hf, here, tea, fixtures):
    hf("conversations", "import", fixtures / "conversations.jsonl")
    result = hf("run", "--once", "--model", tea, "--json")
    assert (result.code, result.err) == (0, "")
    deployed, store, ready = events(result)
    assert deployed["event"] == "deployed"
    assert deployed["name"] == "tea-1"
    assert len(deployed["digest"]) == 64
    assert deployed["trained_at"].startswith("2026-11-22T09:25:26")
    assert deployed["model_id"]
    assert store == {"event": "tracker_store", "type": "SQL", "conversations": 25}
    assert ready["event"] == "ready"
    assert (here / deployed["path"] / "metadata.json").is_file()


def test_a_person_reads_lines(hf, here, tea):
    result = hf("run", "--once", "--model", tea)
    deployed, store, ready = result.out.splitlines()
    assert deployed.startswith("deployed tea-1 (")
    assert "trained at 2026-11-22 09:25:26 UTC" in deployed
    assert store == "tracker store SQL: 0 conversations"
    assert ready == "ready"


def test_without_a_tracker_store_the_line_says_that_nothing_remains(hf, here, tea):
    (here / "endpoints.yml").unlink()
    assert "gone when this process ends" in hf("run", "--once", "--model", tea).out


def test_a_name_in_the_persistor_needs_no_path(hf, here, tea):
    hf("models", "push", tea, "tea")
    assert events(hf("run", "--once", "--model", "tea", "--json"))[0]["name"] == "tea"


def test_the_section_models_names_the_model(hf, here, tea, tea2):
    hf("models", "push", tea, "tea")
    configure(here, "models: {name: tea}\n")
    assert events(hf("run", "--once", "--json"))[0]["name"] == "tea"
    (here / "shelf").mkdir()
    shutil.copy(tea, here / "shelf")
    shutil.copy(tea2, here / "shelf")
    configure(here, "models: {path: shelf}\n")
    assert events(hf("run", "--once", "--json"))[0]["name"] == "tea-2"


def test_the_latest_archive_of_the_default_directory_is_taken(hf, here, tea, tea2):
    (here / "models").mkdir()
    shutil.copy(tea2, here / "models")
    time.sleep(0.02)
    shutil.copy(tea, here / "models")
    assert events(hf("run", "--once", "--json"))[0]["name"] == "tea-2"


def test_remote_storage_and_a_name_are_taken_without_a_section(hf, here, tea):
    hf("models", "push", tea, "tea")
    assert events(hf("run", "--once", "--remote-storage", "disk", "--model", "tea", "--json"))[0]["name"] == "tea"


def test_a_model_that_is_named_and_not_there_is_never_replaced_by_another(hf, here, tea):
    (here / "models").mkdir()
    shutil.copy(tea, here / "models")
    for arguments in (["--model", "nothing"], ["--model", "models/nothing.tar.gz"]):
        result = hf("run", "--once", *arguments)
        assert (result.code, result.out) == (exit_codes.NOT_FOUND, "")
    configure(here, "models: {name: nothing}\n")
    assert hf("run", "--once").code == exit_codes.NOT_FOUND
    configure(here, "models: {path: nowhere}\n")
    assert hf("run", "--once").code == exit_codes.NOT_FOUND


@pytest.mark.parametrize(
    ("models", "arguments", "message"),
    [
        ("models: {url: 'http://models/tea'}\n", [], "comes with the next release"),
        ("models: {path: shelf}\n", ["--model", "x"], "and so does --model"),
        ("", ["--remote-storage", "disk"], "--remote-storage needs --model NAME"),
        ("models: {pth: x}\n", [], "pth"),
    ],
)
def test_what_cannot_be_meant_is_a_configuration_error(hf, here, models, arguments, message):
    configure(here, models)
    result = hf("run", "--once", *arguments)
    assert result.code == exit_codes.CONFIGURATION
    assert message in result.err


def test_a_file_of_that_name_is_not_taken_for_the_model_in_the_persistor(hf, here, tea, tea2):
    hf("models", "push", tea, "tea")
    shutil.copy(tea2, here / "tea")
    configure(here, "models: {name: tea}\n")
    assert events(hf("run", "--once", "--json"))[0]["model_id"] == hf("models", "latest", "--json").json()["model_id"]
    configure(here)
    named = hf("run", "--once", "--json", "--remote-storage", "disk", "--model", "tea")
    assert events(named)[0]["model_id"] == hf("models", "latest", "--json").json()["model_id"]


def test_a_name_without_a_persistor_is_a_configuration_error(hf, here):
    (here / "endpoints.yml").write_text("models: {name: tea}\n", encoding="utf-8")
    result = hf("run", "--once")
    assert result.code == exit_codes.CONFIGURATION
    assert "there is none" in result.err


def test_a_tracker_store_that_cannot_be_opened_ends_it(hf, here, tea):
    (here / "folder").mkdir()
    (here / "endpoints.yml").write_text("tracker_store: {type: SQL, dialect: sqlite, db: folder}\n", encoding="utf-8")
    result = hf("run", "--once", "--model", tea)
    assert result.code == exit_codes.STORAGE
    assert "Traceback" not in result.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(here, tea, running, number):
    run = running("--model", tea)
    assert run.until_ready()["name"] == "tea-1"
    run.end(number)


def test_a_new_archive_in_the_directory_is_deployed(here, tea, tea2, running):
    (here / "shelf").mkdir()
    shutil.copy(tea, here / "shelf")
    configure(here, "models: {path: shelf, wait_time_between_pulls: 0.1}\n")
    run = running()
    assert run.until_ready()["name"] == "tea-1"
    shutil.copy(tea2, here / "draft")
    (here / "draft").rename(here / "shelf" / "tea-2.tar.gz")
    assert run.next("deployed")["name"] == "tea-2"
    run.end(signal.SIGTERM)


def test_another_model_under_the_name_is_deployed_and_a_failure_changes_nothing(hf, here, tea, tea2, running):
    hf("models", "push", tea, "tea")
    configure(here, "models: {name: tea, wait_time_between_pulls: 0.1}\n")
    run = running()
    first = run.until_ready()
    hf("models", "delete", "--yes", "tea")
    failed = run.next("failed")
    assert failed["type"] == "ModelNotFoundError"
    assert failed["retry_in"] > 0.1
    assert hf("models", "current", "--json").json()["digest"] == first["digest"]
    hf("models", "push", tea2, "tea")
    while (found := json.loads(run.process.stdout.readline()))["event"] == "failed":
        continue
    assert found["event"] == "deployed"
    assert found["digest"] != first["digest"]
    assert hf("models", "rollback", "--json").json()["digest"] == first["digest"]
    run.process.kill()


def test_rolling_back_takes_what_was_deployed_before(hf, here, tea, tea2):
    assert hf("models", "rollback").code == exit_codes.REFUSED
    hf("run", "--once", "--model", tea)
    hf("run", "--once", "--model", tea2)
    assert hf("models", "current").out.startswith("tea-2\t")
    assert hf("models", "rollback").out.startswith("tea-1\t")
    assert hf("models", "current", "--json").json()["name"] == "tea-1"
