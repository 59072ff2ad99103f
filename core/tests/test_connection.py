"""`holdfast.connect`: both halves from one endpoints.yml, blocking and async."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import holdfast
from holdfast import (
    AsyncConversations,
    AsyncModels,
    ConfigurationError,
    Conversations,
    DomainError,
    ModelNotFoundError,
    Models,
    UnknownBackendError,
    UserUttered,
    connect,
)

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"

ENDPOINTS = """
tracker_store: {type: memory}
persistor: {type: disk, path: storage}
models: {name: tea, directory: deployed}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_blocking_application_gets_both_halves(here: Path) -> None:
    (here / "endpoints.yml").write_text(ENDPOINTS)
    with connect(domain=FIXTURES / "domain.yml") as hf:
        assert isinstance(hf.conversations, Conversations)
        assert isinstance(hf.models, Models)
        tracker = hf.conversations.get_or_create("c")
        assert tracker.slots["language"] == "en"
        tracker.add(UserUttered("x"))
        hf.conversations.save(tracker)
        hf.models.push(FIXTURES / "models" / "tea-1.tar.gz", "tea")
        deployment = hf.models.deploy()
        assert (deployment.name, deployment.path.parent.parent) == ("tea", here / "deployed")
        assert hf.models.current() == deployment


async def test_an_async_application_gets_both_halves(here: Path) -> None:
    (here / "endpoints.yml").write_text(ENDPOINTS)
    async with connect("endpoints.yml") as hf:
        assert isinstance(hf.conversations, AsyncConversations)
        assert isinstance(hf.models, AsyncModels)
        tracker = await hf.conversations.get_or_create("c")
        tracker.add(UserUttered("x"))
        await hf.conversations.save(tracker)
        await hf.models.push(FIXTURES / "models" / "tea-1.tar.gz", "tea")
        assert (await hf.models.deploy()).name == "tea"
        assert [model.name for model in await hf.models.list()] == ["tea"]
        await hf.models.verify("tea")
        with pytest.raises(ModelNotFoundError):
            await hf.models.pull("nothing")


def test_without_a_file_there_are_defaults_and_with_one_that_is_missing_an_error(here: Path) -> None:
    with connect() as hf:
        assert hf.endpoints.tracker_store.is_default
        assert hf.conversations.count() == 0
    with pytest.raises(ConfigurationError, match=r"mine\.yml: no such file"):
        connect("mine.yml")
    with pytest.raises(DomainError, match=r"d\.yml: no such file"):
        connect(domain="d.yml")


def test_nothing_is_opened_before_it_is_entered_and_an_unknown_store_is_never_replaced(here: Path) -> None:
    (here / "endpoints.yml").write_text("tracker_store: {type: redsi}\n")
    connection = connect()
    with pytest.raises(UnknownBackendError, match="redsi"):
        connection.__enter__()


def test_opening_does_no_io(here: Path) -> None:
    (here / "endpoints.yml").write_text(ENDPOINTS)
    with connect():
        assert [path.name for path in here.iterdir()] == ["endpoints.yml"]


def test_a_connection_can_be_entered_again(here: Path) -> None:
    (here / "endpoints.yml").write_text(ENDPOINTS)
    connection = connect()
    for _ in range(2):
        with connection as hf:
            assert hf.conversations.count() == 0


def test_the_session_rule_of_the_file_holds_and_an_argument_beats_it(here: Path) -> None:
    (here / "endpoints.yml").write_text("tracker_store: {type: memory, session_rule: none}\n")
    for rule, expected in ((None, 2), ("action_session_start", 1)):
        with connect(session_rule=rule) as hf:
            hf.conversations.append("c", [UserUttered("x"), {"event": "action", "name": "action_session_start"}])
            tracker = hf.conversations.retrieve("c")
            assert tracker is not None
            assert len(tracker.events) == expected


def test_remote_storage_chooses_another_persistor(here: Path) -> None:
    (here / "mine.py").write_text(
        "from holdfast import Persistor\n"
        "class Mine(Persistor):\n"
        "    def upload(self, archive, key): ...\n"
        "    def download(self, key, archive): ...\n"
        "    def stat(self, key): return None\n"
    )
    (here / "endpoints.yml").write_text(ENDPOINTS)
    with connect(remote_storage="mine.Mine") as hf, pytest.raises(ModelNotFoundError, match=r"mine\.Mine"):
        hf.models.get("tea")


def test_importing_holdfast_imports_little(here: Path) -> None:
    program = (
        "import sys, holdfast; print(sorted({'pydantic', 'pluggy', 'yaml', 'asyncio', 'click'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_public_names_are_those_listed_and_each_exists() -> None:
    for name in holdfast.__all__:
        assert getattr(holdfast, name) is not None
    assert set(holdfast.__all__) <= set(dir(holdfast))
    with pytest.raises(AttributeError, match="'holdfast' has no attribute 'nothing'"):
        _ = holdfast.nothing
