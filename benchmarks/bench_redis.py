"""Redis: what an append and a turn cost, as ratios of the same run.

    python benchmarks/bench_redis.py [--rounds 2000] [--json]

A redis-server of our own is started (`redis-server` must be on the PATH), with its append-only file written every
second, as is usual. One client, one connection.

* append: `append` of 6 events of about 240 bytes, and `save` of a tracker to which they were added, against redis-py
  pushing the same 6 texts to a list in one RPUSH; by turns, so that a change of the machine's speed falls on all.
* history: an append, and a whole turn (resume the latest session, append 6 events), in a conversation with 10,000 events
  in older sessions against one without any.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from holdfast import ANY, ActionExecuted, Conversations, SlotSet, UserUttered
from holdfast_redis.config import RedisConfig
from holdfast_redis.store import RedisTrackerStore

HOST = "127.0.0.1"
TURN = [SlotSet(f"slot_{number}", "x" * 165, timestamp=1700000000.5).frozen() for number in range(6)]
TEXTS = [event.json for event in TURN]


def clock(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@contextmanager
def server() -> Iterator[int]:
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as directory:
        command = [
            program,
            "--port",
            str(port),
            "--bind",
            HOST,
            "--dir",
            directory,
            "--save",
            "",
            "--appendonly",
            "yes",
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            with Redis(host=HOST, port=port) as redis:
                for _ in range(200):
                    try:
                        redis.ping()
                        break
                    except RedisConnectionError:
                        time.sleep(0.02)
            try:
                yield port
            finally:
                process.terminate()


def bench_append(port: int, rounds: int) -> dict[str, float]:
    raw = Redis(host=HOST, port=port, protocol=2)
    conversations = Conversations(RedisTrackerStore(RedisConfig(url=HOST, port=port)))
    tracker = conversations.get_or_create("append")

    def save() -> None:
        tracker.add(*TURN)
        conversations.save(tracker)

    works: dict[str, Callable[[], object]] = {
        "redis_py": lambda: raw.rpush("raw", *TEXTS),
        "append": lambda: conversations.append("events", TURN, batch_id=uuid.uuid4().hex),
        "save": save,
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(clock(work))
    raw.close()
    conversations.close()
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    return {
        **{f"{name}_ms": median * 1e3 for name, median in medians.items()},
        "append_ratio": medians["redis_py"] / medians["append"],
        "save_ratio": medians["redis_py"] / medians["save"],
    }


def bench_history(port: int, rounds: int) -> dict[str, float]:
    store = RedisTrackerStore(RedisConfig(url=HOST, port=port))
    conversations = Conversations(store)
    old_session = [
        ActionExecuted("action_session_start", timestamp=1.0),
        *(SlotSet("s", "x" * 165, timestamp=1.0).frozen() for _ in range(199)),
    ]
    turns: dict[str, list[float]] = {"10000 events": [], "none": []}
    appends: dict[str, list[float]] = {"10000 events": [], "none": []}
    for part in range(rounds // 20):
        trackers = {}
        for name in turns:
            conversation = f"{name} {part}"
            if name != "none":
                for session in range(50):
                    store.append(conversation, old_session, expected=ANY, batch_id=str(session))
            tracker = conversations.get_or_create(conversation)
            tracker.start_session()
            tracker.add(*(UserUttered("hello " * 8, timestamp=1.0) for _ in range(5)))
            conversations.save(tracker)
            trackers[name] = tracker

        def turn(name: str, part: int = part) -> None:
            tracker = conversations.get_or_create(f"{name} {part}")
            tracker.add(*TURN)
            conversations.save(tracker)

        for _ in range(20):
            for name, times in turns.items():
                times.append(clock(partial(turn, name)))
        for name, times in appends.items():
            for number in range(20):
                append = partial(store.append, f"{name} {part}", TURN, expected=ANY, batch_id=f"a{number}")
                times.append(clock(append))
    store.close()
    return {
        "append_ms": statistics.median(appends["none"]) * 1e3,
        "append_ratio": statistics.median(appends["10000 events"]) / statistics.median(appends["none"]),
        "turn_ms": statistics.median(turns["none"]) * 1e3,
        "turn_ratio": statistics.median(turns["10000 events"]) / statistics.median(turns["none"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000, help="measured appends of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with server() as port:
        results = {
            "append, against RPUSH": bench_append(port, options.rounds),
            "10,000 events of history, against none": bench_history(port, max(100, options.rounds // 10)),
        }
    if options.json:
        print(json.dumps(results))
        return
    for title, figures in results.items():
        print(title)
        for figure, value in figures.items():
            print(f"  {figure:32} {value:10.3f}")


if __name__ == "__main__":
    main()
