"""Conversations on PostgreSQL and MariaDB: an append and a turn, as ratios of the same run.

    python benchmarks/bench_sql.py [--rounds 300] [--json]

* append: `save` of 6 events of about 250 bytes, against the driver writing the same rows into one table by one INSERT
  of six rows, which commits by itself; with the server waiting for the disk, and without.
* head, append, turn: with 10,000 events in older sessions against none. Measured in turns, one of each, so that a
  change of the machine's speed falls on both. A turn resumes the latest session and appends.
* against Rasa: a turn with 5,000 events in 50 sessions, against 39 ms, which Rasa 3.6.21 took on PostgreSQL on a
  machine of this class (on another day, so read it as an order of magnitude).

Servers are started from the tests' own harness; one that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from holdfast import ANY, NEW, ActionExecuted, Conversations, SlotSet, UserUttered
from holdfast_sql.config import SQLConfig
from holdfast_sql.store import SQLTrackerStore
from servers import mariadb, postgresql
from servers.process import HOST

TURN = [SlotSet(f"slot_{number}", "x" * 175, timestamp=1700000000.5).frozen() for number in range(6)]
RAW = """CREATE TABLE raw_event (conversation {key}, seq BIGINT, batch_id VARCHAR(64), type_name VARCHAR(255),
timestamp {float}, intent_name VARCHAR(255), action_name VARCHAR(255), data {text}, PRIMARY KEY (conversation, seq))"""
INSERT = "INSERT INTO raw_event VALUES " + ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s)"] * 6)

Execute = Callable[..., Any]


def clock(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def milliseconds(times: list[float]) -> float:
    return statistics.median(times) * 1e3


def bench_append(store: SQLTrackerStore, execute: Execute, rounds: int, name: str) -> dict[str, float]:
    conversations = Conversations(store)
    tracker = conversations.get_or_create(name)
    sequence = 0

    def bare() -> None:
        nonlocal sequence
        values: list[Any] = []
        for event in TURN:
            sequence += 1
            batch = "b" * 32 if sequence % 6 == 1 else None
            values += [name, sequence, batch, "slot", 1.5, None, event.name, event.json]
        execute(INSERT, values)

    def save() -> None:
        tracker.add(*TURN)
        conversations.save(tracker)

    for _ in range(20):
        bare(), save()
    raw, ours = [], []
    for _ in range(rounds):
        raw.append(clock(bare))
        ours.append(clock(save))
    return {
        "driver_ms": milliseconds(raw),
        "holdfast_ms": milliseconds(ours),
        "ratio": milliseconds(raw) / milliseconds(ours),
    }


def bench_length(store: SQLTrackerStore, rounds: int) -> dict[str, float]:
    conversations = Conversations(store)
    session = [
        ActionExecuted("action_session_start", timestamp=1.0),
        *(SlotSet("s", "x" * 175, timestamp=1.0).frozen() for _ in range(199)),
    ]
    names = {"long": "long {}", "none": "none {}"}
    times: dict[str, list[float]] = {f"{what} {name}": [] for what in ("head", "append", "turn") for name in names}

    def turn(conversation: str) -> None:
        tracker = conversations.get_or_create(conversation)
        tracker.add(*TURN)
        conversations.save(tracker)

    for part in range(max(1, rounds // 30)):
        for name, pattern in names.items():
            if name == "long":
                for number in range(50):
                    store.append(pattern.format(part), session, expected=ANY, batch_id=str(number))
            tracker = conversations.get_or_create(pattern.format(part))
            tracker.start_session()
            tracker.add(*(UserUttered("hello " * 8, timestamp=1.0) for _ in range(5)))
            conversations.save(tracker)
        for number in range(30):
            for name, pattern in names.items():
                conversation = pattern.format(part)
                times[f"head {name}"].append(clock(lambda c=conversation: store.head(c)))  # type: ignore[misc]  # bound on purpose
                head = store.head(conversation)
                assert head is not None
                times[f"append {name}"].append(
                    clock(
                        lambda c=conversation, v=head.version, n=number: store.append(  # type: ignore[misc]  # bound on purpose
                            c, TURN, expected=v, batch_id=f"append {n}"
                        )
                    )
                )
                times[f"turn {name}"].append(clock(lambda c=conversation: turn(c)))  # type: ignore[misc]  # bound on purpose
    result = {f"{key}_ms": milliseconds(value) for key, value in times.items()}
    for what in ("head", "append", "turn"):
        result[f"{what}_ratio"] = result[f"{what} long_ms"] / result[f"{what} none_ms"]
    return result


def bench_against_rasa(store: SQLTrackerStore, rounds: int) -> dict[str, float]:
    conversations = Conversations(store)
    for number in range(50):
        session = [
            ActionExecuted("action_session_start", timestamp=1.0),
            *(SlotSet("s", "x" * 175, timestamp=1.0).frozen() for _ in range(99)),
        ]
        store.append("rasa", session, expected=NEW if number == 0 else 100 * number, batch_id=str(number))

    def turn() -> None:
        tracker = conversations.get_or_create("rasa")
        tracker.add(*TURN)
        conversations.save(tracker)

    ours = milliseconds([clock(turn) for _ in range(min(rounds, 20))])
    return {"turn_ms": ours, "faster_than_rasa": RASA_TURN / ours}


RASA_TURN = 39.0


@contextmanager
def on_postgresql() -> Iterator[tuple[SQLTrackerStore, Execute, list[tuple[str, str]]]]:
    import psycopg

    with postgresql.running(durable=True) as server:
        login = {"host": HOST, "port": server.port, "user": "postgres", "password": postgresql.PASSWORD}
        with psycopg.connect(**login, dbname="postgres", autocommit=True, sslmode="disable") as raw:
            raw.execute(RAW.format(key='TEXT COLLATE "C"', float="float8", text="TEXT"))

            def execute(statement: str, values: list[Any] | None = None) -> None:
                with raw.cursor() as cursor:
                    cursor.execute(statement, values)

            config = SQLConfig(
                dialect="postgresql", url=HOST, port=server.port, db="postgres", username="postgres",
                password=postgresql.PASSWORD, ssl_mode="disable",  # type: ignore[arg-type]  # pydantic makes a SecretStr
            )  # fmt: skip
            store = SQLTrackerStore(config)
            setting = "ALTER SYSTEM SET synchronous_commit = '{}'"
            yield store, execute, [("durable", setting.format("on")), ("synchronous_commit off", setting.format("off"))]
            store.close()


@contextmanager
def on_mariadb() -> Iterator[tuple[SQLTrackerStore, Execute, list[tuple[str, str]]]]:
    import pymysql

    with mariadb.running(durable=True) as server:
        login: dict[str, Any] = {"host": HOST, "port": server.port, "user": "holdfast", "password": mariadb.PASSWORD}
        raw = pymysql.connect(**login, autocommit=True, charset="utf8mb4", ssl_disabled=True)
        with raw.cursor() as cursor:
            cursor.execute("CREATE DATABASE bench")
            cursor.execute("USE bench")
            cursor.execute(
                RAW.format(key="VARCHAR(400)", float="DOUBLE", text="LONGTEXT") + " CHARSET utf8mb4 COLLATE utf8mb4_bin"
            )

        def execute(statement: str, values: list[Any] | None = None) -> None:
            with raw.cursor() as cursor:
                cursor.execute(statement, values)

        config = SQLConfig(
            dialect="mariadb", url=HOST, port=server.port, db="bench", username="holdfast",
            password=mariadb.PASSWORD, ssl_mode="disable",  # type: ignore[arg-type]  # pydantic makes a SecretStr
        )  # fmt: skip
        store = SQLTrackerStore(config)
        setting = "SET GLOBAL innodb_flush_log_at_trx_commit = {}"
        yield store, execute, [("durable", setting.format(1)), ("flush once a second", setting.format(2))]
        store.close()
        raw.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="measured operations of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    for title, place in (("PostgreSQL", on_postgresql), ("MariaDB", on_mariadb)):
        try:
            with place() as (store, execute, settings):
                for name, statement in settings:
                    execute(statement)
                    if title == "PostgreSQL":
                        execute("SELECT pg_reload_conf()")
                        time.sleep(0.5)
                    results[f"append on {title}, {name}"] = bench_append(store, execute, options.rounds, name)
                results[f"10,000 events in older sessions on {title}"] = bench_length(store, options.rounds)
                results[f"5,000 events in 50 sessions on {title}"] = bench_against_rasa(store, options.rounds)
        except pytest.skip.Exception as missing:
            print(f"{title}: {missing}", file=sys.stderr)
    if options.json:
        print(json.dumps(results))
        return
    for title, figures in results.items():
        print(title)
        for figure, value in figures.items():
            print(f"  {figure:32} {value:10.3f}")


if __name__ == "__main__":
    main()
