"""Conversations: what a turn, an append and a replay cost, as ratios of the same run.

    python benchmarks/bench_conversations.py [--rounds 300] [--json]

* turn: resume the latest session and append 6 events of about 250 bytes, with 10,000 events in older sessions against
  none. Measured in turns, one of each, so that a change of the machine's speed falls on both.
* append: against the standard library's sqlite3 writing the same rows into one table in one durable transaction.
* replay: 5,000 recorded events into state, against 358 ms and 572 ms, which Rasa 3.6.21 took to load a full tracker of
  5,000 events from memory and from SQLite on a machine of this class. `stored` begins with the texts a store returns.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast import ANY, ActionExecuted, Conversations, Domain, Event, SlotSet, Tracker, TrackerStore, UserUttered
from holdfast.conversations.memory import MemoryTrackerStore
from holdfast.conversations.state import replay
from holdfast_sql.config import SQLConfig
from holdfast_sql.store import SQLTrackerStore

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures"
RASA_FULL_TRACKER = {"memory": 0.358, "SQLite": 0.572}
TURN = [SlotSet(f"slot_{number}", "x" * 175, timestamp=1700000000.5).frozen() for number in range(6)]


def clock(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def start_session(tracker: Tracker, messages: int) -> None:
    tracker.start_session()
    tracker.add(*(UserUttered("hello " * 8, timestamp=1.0) for _ in range(messages)))


def bench_turn(store: TrackerStore, rounds: int) -> dict[str, float]:
    conversations = Conversations(store)

    def turn(name: str) -> None:
        tracker = conversations.get_or_create(name)
        tracker.add(*TURN)
        conversations.save(tracker)

    times: dict[str, list[float]] = {"long": [], "none": []}
    old_session = [
        ActionExecuted("action_session_start", timestamp=1.0),
        *(SlotSet("s", "x" * 175, timestamp=1.0).frozen() for _ in range(199)),
    ]
    for part in range(rounds // 10):
        for name in times:
            conversation = f"{name} {part}"
            if name == "long":
                for session in range(50):
                    store.append(conversation, old_session, expected=ANY, batch_id=str(session))
            tracker = conversations.get_or_create(conversation)
            start_session(tracker, 5)
            conversations.save(tracker)
        for _ in range(10):
            for name, measured in times.items():
                measured.append(clock(lambda name=name, part=part: turn(f"{name} {part}")))  # type: ignore[misc]  # bound on purpose
    long, none = (statistics.median(times[name]) for name in ("long", "none"))
    return {"none_ms": none * 1e3, "10000_events_ms": long * 1e3, "ratio": long / none}


def bench_append(directory: Path, rounds: int) -> dict[str, float]:
    raw = sqlite3.connect(directory / "raw.db", isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute(
        "CREATE TABLE event (conversation TEXT, seq INTEGER, batch_id TEXT, type_name TEXT, timestamp REAL, "
        "intent_name TEXT, action_name TEXT, data TEXT, PRIMARY KEY (conversation, seq)) WITHOUT ROWID"
    )
    store = SQLTrackerStore(SQLConfig(db=str(directory / "append.db")))
    conversations = Conversations(store)
    tracker = conversations.get_or_create("c")

    def bare(turn: int) -> None:
        rows = [("c", 6 * turn + number, None, "slot", 1.5, None, "s", TURN[number].json) for number in range(6)]
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        raw.execute("COMMIT")

    def save() -> None:
        tracker.add(*TURN)
        conversations.save(tracker)

    bare_times, store_times = [], []
    for turn in range(rounds):
        bare_times.append(clock(lambda turn=turn: bare(turn)))  # type: ignore[misc]  # bound on purpose
        store_times.append(clock(save))
    store.close()
    bare_median, store_median = statistics.median(bare_times), statistics.median(store_times)
    return {"sqlite3_ms": bare_median * 1e3, "holdfast_ms": store_median * 1e3, "ratio": bare_median / store_median}


def bench_replay() -> dict[str, float]:
    domain = Domain.load(FIXTURES / "domain.yml")
    recorded: list[dict[str, Any]] = []
    with (FIXTURES / "conversations.jsonl").open(encoding="utf-8") as file:
        for line in file:
            recorded += json.loads(line)["events"]
    # One endless session: nothing resets the state, so every event is applied.
    endless = [event for event in recorded if event["event"] not in ("session_started", "restart", "rewind", "undo")]
    events = [Event.from_dict(event) for event in (endless * 9)[:5000]]
    texts = [event.json for event in events]

    def from_texts() -> None:
        _ = replay([Event.stored(text) for text in texts], domain).latest_message

    parsed = statistics.median(clock(lambda: replay(events, domain)) for _ in range(15))
    stored = statistics.median(clock(from_texts) for _ in range(15))
    return {
        "events": len(events),
        "replay_ms": parsed * 1e3,
        "stored_ms": stored * 1e3,
        **{f"faster_than_rasa_{name}": seconds / parsed for name, seconds in RASA_FULL_TRACKER.items()},
        **{f"stored_faster_than_rasa_{name}": seconds / stored for name, seconds in RASA_FULL_TRACKER.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="measured turns of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        store = SQLTrackerStore(SQLConfig(db=str(directory / "turn.db")))
        results = {
            "turn on SQLite": bench_turn(store, options.rounds),
            "turn in memory": bench_turn(MemoryTrackerStore(), options.rounds),
            "append on SQLite, synchronous=FULL": bench_append(directory, options.rounds),
            "replay": bench_replay(),
        }
        store.close()
    if options.json:
        print(json.dumps(results))
        return
    for title, figures in results.items():
        print(title)
        for figure, value in figures.items():
            print(f"  {figure:32} {value:10.3f}")


if __name__ == "__main__":
    main()
