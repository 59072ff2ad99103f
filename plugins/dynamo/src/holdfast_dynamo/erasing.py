"""Erasing: deleting, truncating and expiring, each so that it can be cut short anywhere and finished later.

Others may be erasing the same conversation, and it may begin anew meanwhile, with items under the same keys. So nothing
is deleted but under the condition that its `token` is still the one that was read.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

from holdfast import UnavailableError
from holdfast_dynamo.client import Busy, Client, ConditionFailed
from holdfast_dynamo.layout import (
    HEAD,
    Item,
    batch_key,
    events_from,
    expired,
    expressions,
    integer,
    key,
    number,
    part_key,
    parts_of,
    text,
)

_TRIES = 8
_AT_ONCE = 100
"""Actions in a transaction; DynamoDB's limit."""

_Action = dict[str, dict[str, Any]]


class Eraser:
    """Reads heads, and erases what is behind them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lifetime = client.config.record_exp

    def item(self, partition: str, name: str) -> Item | None:
        """One item as it is now, or `None`."""
        return self._client.call("get_item", Key=key(partition, name), ConsistentRead=True).get("Item")

    def head(self, partition: str) -> Item | None:
        """The head as it is now; `None` if there is no conversation, or none any more."""
        head = self.item(partition, HEAD["S"])
        return None if head is None or "deleting" in head or expired(head, time.time()) else head

    def items(
        self, partition: str, first: str, last: str, *, keys_only: bool = False, limit: int = 0
    ) -> Iterator[Item]:
        """The items whose sort keys lie between two, both included, page by page.

        Args:
            partition: of the conversation.
            first: the first sort key.
            last: the last sort key.
            keys_only: leave the events out.
            limit: items on a page; 0 leaves it to the service, which stops at 1 MB.
        """
        texts = {"KeyCondition": "#conversation = :conversation AND #item BETWEEN :first AND :last"}
        if keys_only:
            texts["Projection"] = "#conversation, #item, #first, #last, #token, #batch"
        values = {"conversation": text(partition), "first": text(first), "last": text(last)}
        more: dict[str, Any] = {"ConsistentRead": True, **expressions(values, **texts)}
        if limit:
            more["Limit"] = limit
        while True:
            page = self._client.call("query", **more)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            more["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def delete(self, partition: str) -> bool:
        """See `TrackerStore.delete`. The head is marked first: from then on there is no such conversation."""
        try:
            marked = self._mark(partition, "attribute_exists(#version)")
        except ConditionFailed:
            self.erase_leftovers(partition)
            return False
        self.erase(partition)
        return not expired(marked, time.time())

    def erase(self, partition: str) -> None:
        """Erase a conversation that is marked or has expired."""
        try:
            self._mark(partition, "attribute_exists(#deleting) OR #until <= :now")
            self._delete_all(self.items(partition, "B", "F", keys_only=True))
            self._on_head("delete_item", partition, Condition="attribute_exists(#deleting)")
        except ConditionFailed:  # somebody else finished it, and it may have begun anew
            return

    def erase_leftovers(self, partition: str) -> None:
        """Erase what an expired conversation left when the service deleted its head first."""
        if next(self.items(partition, "B", "F", keys_only=True, limit=1), None) is None:
            return
        if self.item(partition, HEAD["S"]) is None:
            try:
                self._delete_all(self.items(partition, "B", "F", keys_only=True))
            except ConditionFailed:  # it began anew
                return

    def truncate(self, partition: str, before: int) -> int:
        """See `TrackerStore.truncate`. The head says first what is gone; if then all is not, the next call goes on."""
        while True:
            head = self.head(partition)
            if head is None:
                return 0
            version, was = integer(head, "version"), integer(head, "first")
            first = max(was, min(before, version + 1))
            if first == was and "kept" not in head:
                return 0
            try:
                self._on_head(
                    "update_item",
                    partition,
                    {"first": number(first), "was": number(was)},
                    Update="SET #first = :first, #kept = if_not_exists(#kept, :was)",
                    Condition="#first = :was AND attribute_not_exists(#deleting)",
                )
            except ConditionFailed:
                continue
            try:
                self._cut(partition, first)
                self._on_head(
                    "update_item",
                    partition,
                    {"first": number(first)},
                    Update="REMOVE #kept",
                    Condition="#first = :first",
                )
            except ConditionFailed:  # deleted, or truncated further, by somebody else
                pass
            return first - integer(head, "kept", was)

    def stamp(self, partition: str) -> None:
        """Let every item of a conversation live as long as the configuration says now."""
        until = None if self._lifetime is None else time.time() + 2 * self._lifetime
        values = {} if until is None else {"expires": number(math.ceil(until))}
        change = "REMOVE #expires" if until is None else "SET #expires = :expires"
        try:
            self._transact(
                {
                    "Update": {
                        "Key": _key_of(item),
                        **expressions({"token": item["token"], **values}, Update=change, Condition="#token = :token"),
                    }
                }
                for item in self.items(partition, "B", "F", keys_only=True)
            )
            self._on_head(
                "update_item",
                partition,
                {} if until is None else {"stamped": number(math.floor(until))},
                Update="REMOVE #stamped, #until, #expires"
                if until is None
                # A conversation that had no time begins to have one.
                else "SET #stamped = :stamped, #until = if_not_exists(#until, :stamped)",
                Condition="attribute_exists(#version)",
            )
        except ConditionFailed:  # truncated or deleted meanwhile: whoever asked looks again
            return

    def _cut(self, partition: str, first: int) -> None:
        """Erase the events before `first`, and the ids of the batches that begin before it."""
        self._delete_all(self.items(partition, "E", events_from(first), keys_only=True))
        parts: list[Item] = []
        for item in self.items(partition, events_from(first), "F", limit=1):
            parts.append(item)
            if integer(item, "first") >= first or len(parts) == integer(item, "parts"):
                break
        if not parts or integer(parts[0], "first") >= first:
            return
        last = integer(parts[0], "last")
        texts = "".join(part["events"]["S"] for part in parts).split("\n")
        rest = parts_of("", texts[first - integer(parts[0], "first") :])
        token = expressions({"token": parts[0]["token"]}, Condition="#token = :token")
        actions: list[_Action] = [
            {
                "Put": {
                    "Item": {
                        **{name: value for name, value in part.items() if name != "batch"},
                        "first": number(first),
                        "events": text(rest[place]),
                        "parts": number(len(rest)),
                    },
                    **token,
                }
            }
            if place < len(rest)
            else {"Delete": {"Key": part_key(partition, last, place), **token}}
            for place, part in enumerate(parts)
        ]
        if "batch" in parts[0]:
            actions.append(_deletion({**batch_key(partition, parts[0]["batch"]["S"]), "token": parts[0]["token"]}))
        self._transact(actions)

    def _delete_all(self, items: Iterable[Item]) -> None:
        """Delete items, and the ids of the batches that parts belong to."""
        known = set()

        def doomed() -> Iterator[_Action]:
            for item in items:
                yield _deletion(item)
                if item["item"]["S"].startswith("B"):
                    known.add(item["item"]["S"])
                elif "batch" in item and (name := f"B{item['batch']['S']}") not in known:
                    known.add(name)
                    yield _deletion({**item, "item": text(name)})

        self._transact(doomed())

    def _transact(self, actions: Iterable[_Action]) -> None:
        rest = iter(actions)
        while some := list(itertools.islice(rest, _AT_ONCE)):
            self._patiently(lambda some=some: self._client.transact(some))

    def _mark(self, partition: str, condition: str) -> Item:
        """Mark a head as deleted and take it out of the lists; return what it was."""
        marked = self._on_head(
            "update_item",
            partition,
            {"now": number(time.time())},
            returning="ALL_OLD",
            Update="SET #deleting = :now REMOVE #shard, #recency, #owner, #user",
            Condition=condition,
        )
        old: Item = marked["Attributes"]
        return old

    def _on_head(
        self, operation: str, partition: str, values: Item | None = None, *, returning: str = "NONE", **texts: str
    ) -> dict[str, Any]:
        parameters = expressions(values, **texts)
        answer: dict[str, Any] = self._patiently(
            lambda: self._client.call(operation, Key=key(partition, HEAD["S"]), ReturnValues=returning, **parameters)
        )
        return answer

    def _patiently(self, call: Any) -> Any:
        for attempt in range(1, _TRIES + 1):
            try:
                return call()
            except Busy:
                time.sleep(0.005 * 2**attempt * random.random())  # noqa: S311  # spreads load, guards nothing
        raise UnavailableError(f"{self._client.where}: other writers keep the conversation busy")


def _key_of(item: Item) -> Item:
    return {name: item[name] for name in ("conversation", "item")}


def _deletion(item: Item) -> _Action:
    same = "attribute_not_exists(#conversation) OR #token = :token"
    return {"Delete": {"Key": _key_of(item), **expressions({"token": item["token"]}, Condition=same)}}
