"""Redis: what an append and a turn cost, as ratios of the same run.

    python benchmarks/bench_redis.py [--rounds 2000] [--json]

A redis-server of our own is started (`redis-server` must be on the PATH), with its append-only file written every
second, as is usual. One client, one connection.

* append: `save` of 6 events of about 240 bytes against redis-py pushing the same 6 texts to a list in one RPUSH; by turns,
  so that a change of the machine's speed falls on both.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    raw_times, store_times = [], []
    for _ in range(rounds):
        raw_times.append(clock(lambda: raw.rpush("raw", *TEXTS)))
        store_times.append(clock(save))
    raw.close()
    conversations.close()
    raw_median, store_median = statistics.median(raw_times), statistics.median(store_times)
    return {"redis_py_ms": raw_median * 1e3, "holdfast_ms": store_median * 1e3, "ratio": raw_median / store_median}


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
            for name in turns:
                turns[name].append(clock(lambda name=name: turn(name)))  # type: ignore[misc]  # bound on purpose
        for name in turns:
            version = store.head(f"{name} {part}").version  # type: ignore[union-attr]  # it stands
            for number in range(20):
                appends[name].append(
                    clock(
                        lambda name=name, at=version + 6 * number: store.append(  # type: ignore[misc]  # bound on purpose
                            f"{name} {part}", TURN, expected=at, batch_id=f"a{at}"
                        )
                    )
                )
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
