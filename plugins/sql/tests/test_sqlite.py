"""What is SQLite's own: configuration, files, processes, crashes, statements."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from holdfast import (
    ANY,
    NEW,
    BackendError,
    ConfigurationError,
    Conversations,
    Event,
    SlotSet,
    UnavailableError,
    UserUttered,
    connect,
)
from holdfast_sql.config import SQLConfig
from holdfast_sql.schema import VERSION
from holdfast_sql.store import SQLTrackerStore


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "conversations.db"


@pytest.fixture
def open_store(database: Path) -> Iterator[Callable[..., SQLTrackerStore]]:
    opened: list[SQLTrackerStore] = []

    def open_one(**keys: Any) -> SQLTrackerStore:
        store = SQLTrackerStore(SQLConfig(**{"db": str(database), **keys}))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


# Configuration


def test_opening_does_no_io(open_store: Callable[..., SQLTrackerStore], database: Path) -> None:
    open_store()
    assert not database.parent.exists()


@pytest.mark.parametrize("keys", [{"db": ":memory:"}, {"url": "sqlite://"}, {"db": ""}])
def test_a_database_in_memory_is_refused_because_there_is_a_store_for_that(keys: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="'type: memory'"):
        SQLTrackerStore(SQLConfig(**keys))


def test_a_host_is_refused_because_sqlite_is_a_file() -> None:
    with pytest.raises(ConfigurationError, match="SQLite is a file"):
        SQLTrackerStore(SQLConfig(url="localhost"))


def test_an_empty_url_is_no_url(open_store: Callable[..., SQLTrackerStore]) -> None:
    assert open_store(url="").count() == 0


def test_a_whole_url_decides_where_the_file_is(tmp_path: Path) -> None:
    store = SQLTrackerStore(SQLConfig(url=f"sqlite:///{tmp_path}/by-url.db", db="ignored.db"))
    assert store.count() == 0
    assert (tmp_path / "by-url.db").exists()
    store.close()


def test_appends_wait_for_the_disk_unless_told_otherwise(open_store: Callable[..., SQLTrackerStore]) -> None:
    for keys, level in (({}, 2), ({"synchronous": "NORMAL"}, 1), ({"synchronous": "EXTRA"}, 3)):
        with open_store(**keys)._ready().connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == level
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


# The tables


def test_the_columns_of_an_event_are_those_rasas_users_query(
    open_store: Callable[..., SQLTrackerStore], database: Path
) -> None:
    open_store().append(
        "c",
        [
            UserUttered("hello", intent={"name": "greet"}, timestamp=1.5),
            Event.from_dict({"event": "action", "name": "utter_greet", "timestamp": 2.5}),
            SlotSet("tea", "oolong", timestamp=3.5),
            Event.from_dict({"event": "pause"}),
        ],
        expected=NEW,
        batch_id="1",
    )
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT seq, type_name, timestamp, intent_name, action_name FROM holdfast_event "
            "WHERE conversation = 'c' ORDER BY seq"
        ).fetchall()
    assert rows == [
        (1, "user", 1.5, "greet", None),
        (2, "action", 2.5, None, "utter_greet"),
        (3, "slot", 3.5, None, "tea"),
        (4, "pause", None, None, None),
    ]


def test_tables_of_a_newer_version_are_left_alone(open_store: Callable[..., SQLTrackerStore], database: Path) -> None:
    open_store().count()
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO holdfast_schema VALUES (?)", (VERSION + 1,))
    with pytest.raises(ConfigurationError, match=r"newer than.*pip install -U holdfast-sql"):
        open_store().count()


def test_a_file_that_rasa_wrote_is_not_touched_but_for_our_own_tables(tmp_path: Path) -> None:
    fixture = Path(__file__).parents[3] / "tests" / "fixtures" / "rasa_events.db"
    copy = tmp_path / "rasa.db"
    copy.write_bytes(fixture.read_bytes())
    store = SQLTrackerStore(SQLConfig(db=str(copy)))
    store.append("c", said("a"), expected=NEW, batch_id="1")
    store.close()
    with sqlite3.connect(copy) as ours, sqlite3.connect(fixture) as theirs:
        assert list(ours.execute("SELECT * FROM events")) == list(theirs.execute("SELECT * FROM events"))


def test_a_file_that_is_no_database_is_an_error_of_holdfast(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is text, and long enough to be no header of a database" * 10)
    (tmp_path / "endpoints.yml").write_text(f"tracker_store: {{type: SQL, db: {tmp_path / 'no.db'}}}\n")
    with connect(tmp_path / "endpoints.yml") as hf, pytest.raises(BackendError, match="not a database"):
        hf.conversations.count()


# Statements


@pytest.fixture
def statements(open_store: Callable[..., SQLTrackerStore]) -> tuple[SQLTrackerStore, list[str]]:
    """A store whose statements, of SQLAlchemy and past it, are written down."""
    store = open_store()
    store.count()
    seen: list[str] = []

    @event.listens_for(store._engine, "checkout")
    def _trace(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(seen.append)

    return store, seen


def kinds(seen: list[str]) -> list[str]:
    return [statement.split()[0].upper() for statement in seen if not statement.startswith("--")]


def test_an_append_is_one_transaction_that_reads_nothing(statements: tuple[SQLTrackerStore, list[str]]) -> None:
    store, seen = statements
    store.append("c", said("a", "b"), expected=NEW, batch_id="1")
    assert kinds(seen) == ["BEGIN", "UPDATE", "INSERT", "INSERT", "INSERT", "COMMIT"]
    seen.clear()
    store.append("c", said("c", "d", "e"), expected=2, batch_id="2")
    assert kinds(seen) == ["BEGIN", "UPDATE", "INSERT", "INSERT", "INSERT", "COMMIT"]


def test_a_resume_reads_the_head_and_the_session_and_its_cost_does_not_grow_with_the_history(
    statements: tuple[SQLTrackerStore, list[str]],
) -> None:
    store, seen = statements
    conversations = Conversations(store)
    for session in range(100):
        tracker = conversations.get_or_create("c")
        tracker.start_session()
        tracker.add(*said(*(str(number) for number in range(97))))
        conversations.save(tracker)
        if session in (0, 99):
            seen.clear()
            tracker = conversations.get_or_create("c")
            assert len(tracker.events) == 100
            assert kinds(seen) == ["SELECT", "SELECT"]
            plan = "\n".join(plan_of(store, statement) for statement in seen)
            assert "SCAN" not in plan
            assert "TEMP B-TREE" not in plan


def test_listing_uses_an_index(statements: tuple[SQLTrackerStore, list[str]]) -> None:
    store, seen = statements
    for number in range(5):
        store.append(str(number), said("x"), expected=NEW, batch_id="1", user="ann")
    seen.clear()
    store.list(store.list(limit=2).cursor, limit=2)
    store.list(user="ann", limit=2)
    for statement in seen:
        plan = plan_of(store, statement)
        assert "USING INDEX" in plan or "USING COVERING INDEX" in plan
        assert "TEMP B-TREE" not in plan.replace("USE TEMP B-TREE FOR LAST TERM OF ORDER BY", "")


def plan_of(store: SQLTrackerStore, statement: str) -> str:
    with store._engine.connect() as connection:
        return "\n".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}"))


# Processes


def writing_process(database: str, name: str, turns: int) -> None:
    store = SQLTrackerStore(SQLConfig(db=database, busy_timeout=60))
    for turn in range(turns):
        store.append("hot", said(f"{name}.{turn}.a", f"{name}.{turn}.b"), expected=ANY, batch_id=f"{name}.{turn}")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_start_at_once_share_the_file(
    open_store: Callable[..., SQLTrackerStore], database: Path, method: str
) -> None:
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=writing_process, args=(str(database), str(number), 10)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    stored = list(open_store().read("hot", 1, 1000))
    assert [number for number, _ in stored] == list(range(1, 81))
    texts = [Event.from_json(text).as_dict()["text"] for _, text in stored]
    assert {text[:-2] for text in texts} == {f"{name}.{turn}" for name in range(4) for turn in range(10)}
    assert all(first[:-1] == second[:-1] for first, second in zip(texts[::2], texts[1::2], strict=True))


def test_a_store_that_was_used_before_a_fork_works_on_both_sides(
    open_store: Callable[..., SQLTrackerStore],
) -> None:
    store = open_store()
    store.append("c", said("parent"), expected=NEW, batch_id="1")
    holding = threading.Thread(target=lambda: time.sleep(0.2))
    with store._dialect._writing:  # type: ignore[attr-defined]  # held during the fork, as by another thread
        holding.start()
        child = os.fork()
        if child == 0:
            try:
                store.append("c", said("child"), expected=1, batch_id="2")
                os._exit(0 if store.head("c").version == 2 else 1)  # type: ignore[union-attr]  # it stands
            except BaseException:  # noqa: BLE001  # whatever it is, the child must not go on
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    holding.join()
    store.append("c", said("parent again"), expected=2, batch_id="3")
    assert [number for number, _ in store.read("c", 1, 9)] == [1, 2, 3]


WRITER = """
    import sys
    from holdfast import UserUttered
    from holdfast_sql.config import SQLConfig
    from holdfast_sql.store import SQLTrackerStore

    store = SQLTrackerStore(SQLConfig(db=sys.argv[1]))
    head = store.head("c")
    version = head.version if head else 0
    while True:
        batch = [UserUttered(f"{version + number}", timestamp=1.0) for number in (1, 2, 3)]
        version = store.append("c", batch, expected=version, batch_id=f"b{version}").version
        print(version, flush=True)
"""


def test_a_killed_writer_leaves_what_was_acknowledged_and_no_torn_turn(
    open_store: Callable[..., SQLTrackerStore], database: Path
) -> None:
    for life in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(database)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            acknowledged = 0
            for _ in range(3 + 4 * life):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split()
        acknowledged = max([acknowledged, *(int(line) for line in rest if line.isdigit())])
        stored = list(open_store().read("c", 1, 100_000))
        assert len(stored) % 3 == 0
        assert acknowledged <= len(stored) <= acknowledged + 3
        assert [number for number, _ in stored] == list(range(1, len(stored) + 1))
        assert [Event.from_json(text).as_dict()["text"] for _, text in stored] == [str(number) for number, _ in stored]


def test_a_file_that_another_process_keeps_locked_is_unavailable_and_nothing_is_lost(
    open_store: Callable[..., SQLTrackerStore], database: Path
) -> None:
    store = open_store(busy_timeout=0.05)
    store.append("c", said("a"), expected=NEW, batch_id="1")
    conversations = Conversations(store)
    tracker = conversations.get_or_create("c")
    tracker.add(*said("b"))
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="busy_timeout"):
        conversations.save(tracker)
    with pytest.raises(UnavailableError, match="busy_timeout"):
        store.delete("c")
    assert conversations.retrieve("c").version == 1  # type: ignore[union-attr]  # readers go on
    other.execute("ROLLBACK")
    conversations.save(tracker)
    assert [number for number, _ in store.read("c", 1, 9)] == [1, 2]
    other.close()


def test_nothing_of_a_deleted_conversation_is_left_in_any_table(
    open_store: Callable[..., SQLTrackerStore], database: Path
) -> None:
    store = open_store()
    store.append("c", said("a secret"), expected=NEW, batch_id="1", user="ann")
    store.delete("c")
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM holdfast_event").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM holdfast_conversation").fetchone() == (0,)


def test_a_folder_that_cannot_be_made_is_an_error_of_holdfast(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "endpoints.yml").write_text(f"tracker_store: {{type: SQL, db: {tmp_path / 'file' / 'x.db'}}}\n")
    with connect(tmp_path / "endpoints.yml") as hf, pytest.raises(BackendError, match="tracker store 'SQL'"):
        hf.conversations.count()
