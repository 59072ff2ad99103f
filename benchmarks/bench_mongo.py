"""MongoDB: what an append and a turn cost, as ratios to the driver in the same run.

    python benchmarks/bench_mongo.py [--url mongodb://…] [--rounds 200] [--json]

Without a URL a server is started as the tests start theirs (`.ci/servers/mongo` builds it).

* append: `Conversations.save` of 6 events of about 250 bytes, against the driver's `insert_one` of one document with
  the same texts and a collection with the same indexes, in the same write concern.
* turn: resume the latest session and append, with 10,000 events in older sessions against none. FerretDB 1 searches the
  collection for each query, so there this ratio tells of the server; each side has a database of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient, WriteConcern

from holdfast import ActionExecuted, Conversations, SlotSet, UserUttered
from holdfast_mongo.client import _index_commits
from holdfast_mongo.config import MongoConfig
from holdfast_mongo.store import MongoTrackerStore

TURN = [SlotSet(f"slot_{number}", "x" * 175, timestamp=1700000000.5).frozen() for number in range(6)]


@contextmanager
def server(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from servers.mongo import Mongo

    with tempfile.TemporaryDirectory() as name, Mongo(Path(name)) as started:
        yield started.url


def clock(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def bench_append(url: str, rounds: int) -> dict[str, float]:
    client: MongoClient[dict[str, Any]] = MongoClient(url)
    client.drop_database("bench_raw")
    client.drop_database("bench_append")
    raw = client["bench_raw"].get_collection("commits", write_concern=WriteConcern("majority", j=True))
    _index_commits(raw)
    store = MongoTrackerStore(MongoConfig(url=url, db="bench_append"))
    conversations = Conversations(store)
    tracker = conversations.get_or_create("c")
    texts = [event.json for event in TURN]

    def bare(turn: int) -> None:
        first = 6 * turn + 1
        raw.insert_one({"_id": {"c": "c", "n": first}, "v": first + 5, "g": "g", "b": str(turn), "d": 1, "e": texts})

    def save() -> None:
        tracker.add(*TURN)
        conversations.save(tracker)

    bare_times, store_times = [], []
    for turn in range(rounds):
        bare_times.append(clock(lambda turn=turn: bare(turn)))  # type: ignore[misc]  # bound on purpose
        store_times.append(clock(save))
    store.close()
    client.drop_database("bench_raw")
    client.drop_database("bench_append")
    client.close()
    bare_median, store_median = statistics.median(bare_times), statistics.median(store_times)
    return {"insert_one_ms": bare_median * 1e3, "holdfast_ms": store_median * 1e3, "ratio": bare_median / store_median}


def bench_turn(url: str, rounds: int) -> dict[str, float]:
    sides: dict[str, Conversations] = {}
    for name in ("long", "none"):
        store = MongoTrackerStore(MongoConfig(url=url, db=f"bench_{name}"))
        store.delete("c")
        for number in range(50 if name == "long" else 0):
            session = [ActionExecuted("action_session_start", timestamp=1.0), *(TURN[:1] * 199)]
            store.append("c", session, expected=200 * number, batch_id=f"old {number}")
        sides[name] = Conversations(store)
        tracker = sides[name].get_or_create("c")
        tracker.start_session()
        tracker.add(*(UserUttered("hello " * 8, timestamp=1.0) for _ in range(5)))
        sides[name].save(tracker)

    def turn(conversations: Conversations) -> None:
        tracker = conversations.get_or_create("c")
        tracker.add(*TURN)
        conversations.save(tracker)

    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, conversations in sides.items():
            times[name].append(clock(lambda conversations=conversations: turn(conversations)))  # type: ignore[misc]  # bound on purpose
    for conversations in sides.values():
        conversations.delete("c")
        conversations.close()
    long, none = (statistics.median(times[name]) for name in ("long", "none"))
    return {"none_ms": none * 1e3, "10000_events_ms": long * 1e3, "ratio": long / none}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="the server to measure on")
    parser.add_argument("--rounds", type=int, default=200, help="measured appends and turns of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with server(options.url) as url:
        results = {"append": bench_append(url, options.rounds), "turn": bench_turn(url, min(options.rounds, 50))}
    if options.json:
        print(json.dumps(results))
        return
    for title, figures in results.items():
        print(title)
        for figure, value in figures.items():
            print(f"  {figure:32} {value:10.3f}")


if __name__ == "__main__":
    main()
