"""`holdfast models` over a storage on disk, with models that were really trained."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from holdfast.commands import exit_codes

MODELS = Path(__file__).parents[3] / "tests" / "fixtures" / "models"


@pytest.fixture
def here(here):
    """With a storage on disk."""
    (here / "endpoints.yml").write_text("persistor: {type: disk, path: storage}\n", encoding="utf-8")
    return here


@pytest.fixture
def tea():
    return MODELS / "tea-1.tar.gz"


@pytest.fixture
def tea2():
    return MODELS / "tea-2.tar.gz"


def evil(path):
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("../../evil")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    return path


def test_push_list_pull_verify_delete(hf, here, tea, tea2):
    pushed = hf("models", "push", tea)
    assert (pushed.code, pushed.err) == (0, "")
    assert pushed.out.startswith("pushed tea-1: 3.4 kB, trained at 2026-11-22")
    assert hf("models", "push", tea2, "folder/other", "--json").json()["name"] == "folder/other"
    assert [line.split("\t")[0] for line in hf("models", "list").out.splitlines()] == ["folder/other", "tea-1"]
    assert [model["name"] for model in hf("models", "list", "--json").json()["models"]] == ["folder/other", "tea-1"]
    assert hf("models", "latest").out == "folder/other\n"
    assert hf("models", "latest", "--json").json()["trained_at"].startswith("2026-11-22T09:25:45")
    pulled = hf("models", "pull", "tea-1")
    assert (pulled.code, pulled.out) == (0, "tea-1.tar.gz\n")
    assert (here / "tea-1.tar.gz").read_bytes() == tea.read_bytes()
    elsewhere = hf("models", "pull", "folder/other", "--out", "x.tar.gz", "--json").json()
    assert (elsewhere["path"], elsewhere["size"]) == ("x.tar.gz", tea2.stat().st_size)
    assert hf("models", "verify", "tea-1").code == 0
    assert len(hf("models", "verify", "--all", "--json").json()["verified"]) == 2
    assert hf("models", "delete", "--yes", "tea-1", "folder/other").out == "deleted tea-1\ndeleted folder/other\n"
    nothing = hf("models", "list")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no models\n")


def test_another_model_of_that_name_is_a_conflict(hf, here, tea, tea2):
    assert hf("models", "push", tea, "tea").code == 0
    assert hf("models", "push", tea, "tea").code == 0
    refused = hf("models", "push", tea2, "tea")
    assert refused.code == exit_codes.CONFLICT
    assert "has other bytes" in refused.err
    assert hf("models", "push", tea2, "tea", "--overwrite").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "push", "nothing.tar.gz"],
        ["models", "pull", "nothing"],
        ["models", "verify", "nothing"],
        ["models", "delete", "--yes", "nothing"],
        ["models", "latest"],
        ["models", "current"],
        ["run", "--once"],
        ["run", "--once", "--model", "nothing.tar.gz"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_has_exit_code_3(hf, here, arguments):
    result = hf(*arguments)
    assert result.code == exit_codes.NOT_FOUND
    assert result.err.startswith("error: ")
    in_json = hf(*arguments, "--json")
    assert json.loads(in_json.err.splitlines()[-1])["error"]["type"] == "ModelNotFoundError"


def test_deleting_goes_on_after_one_that_is_not_there(hf, here, tea):
    hf("models", "push", tea)
    result = hf("models", "delete", "--yes", "--json", "nothing", "tea-1")
    assert result.code == exit_codes.NOT_FOUND
    assert result.json() == {"deleted": ["tea-1"], "not_found": ["nothing"]}


def test_deleting_without_a_terminal_needs_yes(hf, here, tea):
    hf("models", "push", tea)
    assert hf("models", "delete", "tea-1").code == exit_codes.USAGE
    assert "tea-1" in hf("models", "list").out


def test_a_hostile_or_damaged_archive_is_refused(hf, here, tea):
    damaged = here / "damaged.tar.gz"
    damaged.write_bytes(tea.read_bytes()[:-100])
    for archive in (evil(here / "evil.tar.gz"), damaged):
        result = hf("models", "push", archive)
        assert result.code == exit_codes.REFUSED
        assert "Traceback" not in result.err
        assert hf("run", "--once", "--model", archive).code == exit_codes.REFUSED
    assert hf("models", "list").out == ""


def test_verify_reports_each_damaged_model_and_goes_on(hf, here, tea, tea2):
    hf("models", "push", tea, "a")
    hf("models", "push", tea2, "b")
    stored = next((here / "storage").rglob("a.tar.gz"))
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(content)
    result = hf("models", "verify", "--all")
    assert result.code == exit_codes.REFUSED
    assert result.out.startswith("verified b ")
    assert "'a" in result.err
    assert hf("models", "pull", "a").code == exit_codes.REFUSED
    assert not (here / "a.tar.gz").exists()


def test_verify_wants_names_or_all(hf, here):
    assert hf("models", "verify").code == exit_codes.USAGE
    assert hf("models", "verify", "a", "--all").code == exit_codes.USAGE


def test_what_another_tool_stored_is_found_undamaged(hf, here, tea):
    (here / "storage").mkdir()
    (here / "storage" / "plain.tar.gz").write_bytes(tea.read_bytes())
    result = hf("models", "verify", "plain")
    assert result.code == 0
    assert result.out.startswith("undamaged, but nothing promises its digest: plain")


@pytest.mark.parametrize("arguments", [["list"], ["latest"], ["pull", "x"], ["verify", "x"], ["delete", "--yes", "x"]])
def test_without_a_persistor_the_error_names_the_cure(hf, here, tea, arguments):
    (here / "endpoints.yml").unlink()
    for each in (arguments, ["push", str(tea)]):
        result = hf("models", *each)
        assert result.code == exit_codes.CONFIGURATION
        assert "add a `persistor:` section to endpoints.yml, or pass --remote-storage" in result.err


def test_remote_storage_overrides_the_persistor(hf, here, tea):
    (here / "endpoints.yml").write_text("persistor: {type: aws, path: storage}\n", encoding="utf-8")
    assert hf("models", "push", tea).code == exit_codes.CONFIGURATION
    result = hf("models", "push", tea, "--remote-storage", "disk")
    assert result.code == exit_codes.CONFIGURATION
    assert "path: is missing" in result.err


def test_a_storage_that_fails_has_exit_code_7(hf, here, tea):
    (here / "storage").write_text("not a directory", encoding="utf-8")
    assert hf("models", "push", tea).code == exit_codes.STORAGE


def test_a_name_that_climbs_out_is_refused(hf, here, tea):
    result = hf("models", "push", tea, "../../outside")
    assert result.code == exit_codes.FAILURE
    assert not list(here.parent.glob("outside*"))


def test_progress_over_a_large_model_tells_nothing_to_programs(hf, here):
    result = hf("models", "push", MODELS / "rich.tar.gz", "--json")
    assert (result.code, result.err) == (0, "")
    assert result.json()["size"] == (MODELS / "rich.tar.gz").stat().st_size
