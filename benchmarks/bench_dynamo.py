"""DynamoDB: what an append and a turn cost, as ratios to boto3 sending the same items, and to a short conversation.

    python benchmarks/bench_dynamo.py [--rounds 100] [--url http://…] [--json]

Without a URL it starts moto, an imitation in Python: wall times are mostly moto's and say nothing about AWS. The CPU
time is that of this process alone, so it is what holdfast adds to boto3. Measured in turns, one of each.

* append: `Conversations.save` of 6 events of about 250 bytes, against `transact_write_items` with items of the same
  size, and against `put_item` of the events alone.
* turn: resume the latest session and append 6 events, with 10,000 events in older sessions against none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast import ActionExecuted, Conversations, SlotSet, UserUttered
from holdfast_dynamo.config import DynamoConfig
from holdfast_dynamo.store import DynamoTrackerStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.dynamo import moto  # the harness of the tests

TURN = [SlotSet(f"slot_{number}", "x" * 175, timestamp=1700000000.5).frozen() for number in range(6)]

Times = dict[str, list[tuple[float, float]]]


def clock(call: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def store_of(url: str, name: str) -> DynamoTrackerStore:
    store = DynamoTrackerStore(
        DynamoConfig(table_name=name, endpoint_url=url, aws_access_key_id="bench", aws_secret_access_key="bench")
    )
    store.count()
    return store


def figures(times: Times) -> dict[str, float]:
    medians = {}
    for name, measured in times.items():
        for place, kind in enumerate(("wall", "cpu")):
            medians[f"{name} {kind} ms"] = statistics.median(pair[place] for pair in measured) * 1e3
    return medians


def bench_append(url: str, rounds: int) -> dict[str, float]:
    stamp = str(time.time_ns())
    store = store_of(url, f"append-{stamp}")
    bare = store_of(url, f"bare-{stamp}")
    conversations = Conversations(store)
    tracker = conversations.get_or_create("c")
    table, boto = f"bare-{stamp}", bare.client.boto

    def save() -> None:
        tracker.add(*TURN)
        conversations.save(tracker)

    def put(item: dict[str, Any]) -> dict[str, Any]:
        return {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(conversation)"}

    def events(kind: str, turn: int) -> dict[str, Any]:
        text = "\n".join(event.json for event in TURN)
        return {"conversation": {"S": "c"}, "item": {"S": f"{kind}{turn:016d}"}, "events": {"S": text}}

    def transact(turn: int) -> None:
        head = {"conversation": {"S": "c"}, "item": {"S": "H"}, "shard": {"S": "0"}, "recency": {"S": f"{turn:032d}"}}
        mark = {"conversation": {"S": "c"}, "item": {"S": f"B{turn}"}, "token": {"S": "x" * 16}}
        head_put = {"Put": {"TableName": table, "Item": head}}
        boto.transact_write_items(TransactItems=[head_put, {"Put": put(mark)}, {"Put": put(events("E", turn))}])

    times: Times = {"transact_write_items": [], "put_item": [], "holdfast": []}
    for turn in range(rounds):
        times["transact_write_items"].append(clock(lambda turn=turn: transact(turn)))  # type: ignore[misc]  # bound on purpose
        times["put_item"].append(clock(lambda turn=turn: boto.put_item(**put(events("P", turn)))))  # type: ignore[misc]  # bound on purpose
        times["holdfast"].append(clock(save))
    result = figures(times)
    for kind in ("wall", "cpu"):
        for raw in ("transact_write_items", "put_item"):
            result[f"ratio to {raw}, {kind}"] = result[f"{raw} {kind} ms"] / result[f"holdfast {kind} ms"]
    store.client.call("delete_table")
    bare.client.call("delete_table")
    return result


def bench_turn(url: str, rounds: int) -> dict[str, float]:
    store = store_of(url, f"turn-{time.time_ns()}")
    conversations = Conversations(store)
    old = [ActionExecuted("action_session_start", timestamp=1.0)]
    old += [UserUttered("x" * 30, timestamp=1.0) for _ in range(199)]
    for session in range(50):
        store.append("long", old, expected=200 * session, batch_id=str(session))
    times: Times = {"none": [], "10000 events": []}
    for part in range(rounds // 10):
        for name in times:
            tracker = conversations.get_or_create("long" if name != "none" else f"none {part}")
            tracker.start_session()
            conversations.save(tracker)
        for _ in range(10):
            for name, measured in times.items():
                conversation = "long" if name != "none" else f"none {part}"

                def turn(conversation: str = conversation) -> None:
                    tracker = conversations.get_or_create(conversation)
                    tracker.add(*TURN)
                    conversations.save(tracker)

                measured.append(clock(turn))
    result = figures(times)
    for kind in ("wall", "cpu"):
        result[f"10000 events / none, {kind}"] = result[f"10000 events {kind} ms"] / result[f"none {kind} ms"]
    store.client.call("delete_table")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="measured turns of each kind")
    parser.add_argument("--url", help="a DynamoDB to measure on")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = None if options.url else moto(Path(directory)).start()
        url = options.url or f"http://127.0.0.1:{server.port}"  # type: ignore[union-attr]  # started without a URL
        try:
            results = {"append": bench_append(url, options.rounds), "turn": bench_turn(url, options.rounds)}
        finally:
            if server is not None:
                server.stop()
    if options.json:
        print(json.dumps(results))
        return
    for title, measured in results.items():
        print(title)
        for figure, value in measured.items():
            print(f"  {figure:40} {value:10.3f}")


if __name__ == "__main__":
    main()
