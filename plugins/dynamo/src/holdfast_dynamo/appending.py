"""Appending: one transaction moves the head, notes the batch and puts its events.

The head's condition is what makes an append safe: no gap, no place inside another batch, no deleted conversation. A
conditional PutItem of the events alone could see none of that, because a condition sees only the item it is about.
"""

from __future__ import annotations

import math
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast import BackendError, Event, UnavailableError
from holdfast.conversations.store import ANY, NEW, Appended, refusal, session_after
from holdfast_dynamo.client import Busy, Client, ConditionFailed
from holdfast_dynamo.erasing import Eraser
from holdfast_dynamo.layout import (
    HEAD,
    Item,
    batch_key,
    expired,
    expressions,
    integer,
    kept,
    key_text,
    micros,
    number,
    part_key,
    parts_of,
    recency,
    shard,
    text,
)

_TRIES = 8
_RACES = 100
"""Other writers that an append on any version lets go first before it gives up."""


@dataclass(frozen=True, slots=True)
class _Batch:
    conversation: str
    partition: str
    events: Sequence[Event]
    parts: Sequence[str]
    id: str
    user: str | None
    any: bool


class _Again(Exception):  # noqa: N818  # not an error: what stood in the way is gone
    pass


class Appender:
    """Appends batches to conversations."""

    def __init__(self, client: Client, eraser: Eraser) -> None:
        self._client = client
        self._eraser = eraser
        self._lifetime = client.config.record_exp

    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None
    ) -> Appended:
        """See `TrackerStore.append`."""
        parts = parts_of(conversation, [event.json for event in events])
        batch = _Batch(conversation, key_text(conversation), events, parts, batch_id, user, any=expected == ANY)
        for _ in range(_RACES):
            version = self._version(batch.partition) if batch.any else expected
            try:
                return self._write(batch, version)
            except _Again:
                continue
        raise UnavailableError(
            f"{self._client.where}: too many writers append to conversation {conversation!r} at once"
        )

    def _version(self, partition: str) -> int:
        head = self._eraser.head(partition)
        return NEW if head is None else integer(head, "version")

    def _write(self, batch: _Batch, version: int) -> Appended:
        if version == NEW and self._lifetime is not None:
            # The head of an expired conversation may be gone while some of its events are not yet.
            self._eraser.erase_leftovers(batch.partition)
        for attempt in range(1, _TRIES + 1):
            try:
                self._client.transact(self._actions(batch, version))
                return Appended(version + len(batch.events))
            except ConditionFailed as failed:
                return self._refused(batch, version, failed.items)
            except Busy:
                time.sleep(0.005 * 2**attempt * random.random())  # noqa: S311  # spreads load, guards nothing
        raise UnavailableError(f"{self._client.where}: conversation {batch.conversation!r} is busy")

    def _actions(self, batch: _Batch, version: int) -> list[dict[str, dict[str, Any]]]:
        now = time.time()
        token = text(secrets.token_urlsafe(9))
        last = version + len(batch.events)
        span = {"first": number(version + 1), "last": number(last), "token": token}
        if self._lifetime is not None:
            span["expires"] = number(math.ceil(now + 2 * self._lifetime))
        puts: list[Item] = [{**batch_key(batch.partition, batch.id), **span}]
        puts += [
            {
                **part_key(batch.partition, last, place),
                **span,
                "events": text(part),
                "parts": number(len(batch.parts)),
                "batch": text(batch.id),
            }
            for place, part in enumerate(batch.parts)
        ]
        return [
            {"Update": self._moved_head(batch, version, now)},
            *(
                {
                    "Put": {
                        "Item": put,
                        **expressions(Condition="attribute_not_exists(#conversation)"),
                        # What stands there instead tells a retry its answer.
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD" if place == 0 else "NONE",
                    }
                }
                for place, put in enumerate(puts)
            ),
        ]

    def _moved_head(self, batch: _Batch, version: int, now: float) -> dict[str, Any]:
        updated = micros(now)
        begun, begins = session_after(0, 0, version + 1, batch.events)
        sets = {
            "version": number(version + len(batch.events)),
            "updated": number(updated),
            "recency": text(recency(updated, batch.partition)),
            "shard": text(shard(batch.partition)),
        }
        if version == NEW:
            sets |= {"created": number(updated), "first": number(1), "session": number(begun)}
            if batch.partition.startswith("#"):
                sets["id"] = kept(batch.conversation)
        if begun:
            sets["session_first"] = number(begins)
        if batch.user is not None:
            sets["owner"] = text(key_text(batch.user))
            if sets["owner"]["S"].startswith("#"):
                sets["user"] = kept(batch.user)
        conditions, values = ["attribute_not_exists(#version)"], {}
        if version != NEW:
            conditions = ["#version = :expected", "attribute_not_exists(#deleting)"]
            values = {"expected": number(version)}
        if self._lifetime is None:
            conditions += ["attribute_not_exists(#stamped)"]
        else:
            until = now + self._lifetime
            sets |= {"until": number(until), "expires": number(math.ceil(until + self._lifetime))}
            if version == NEW:
                sets["stamped"] = number(math.floor(until + self._lifetime))
            else:
                conditions += ["#until > :now", "#stamped >= :due"]
                values |= {"now": number(now), "due": number(until)}
        updates = [f"#{name} = :{name}" for name in sets]
        if begun and version != NEW:
            updates.append("#session = #session + :begun")
            values["begun"] = number(begun)
        return {
            "Key": {"conversation": text(batch.partition), "item": HEAD},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **expressions(values | sets, Update=f"SET {', '.join(updates)}", Condition=" AND ".join(conditions)),
        }

    def _refused(self, batch: _Batch, version: int, failed: dict[int, Item]) -> Appended:
        """Why nothing was written: a success of an earlier try, a conflict, or (`_Again`) something that is gone now."""
        head: Item | None
        if 0 not in failed:  # the head is as expected, so it is not read
            head, actual = None, version
        else:
            # A failed condition comes with the item; some imitations of DynamoDB leave it out.
            head = failed[0] or self._eraser.item(batch.partition, HEAD["S"])
            if head is not None and ("deleting" in head or expired(head, time.time())):
                self._eraser.erase(batch.partition)
                raise _Again
            actual = NEW if head is None else integer(head, "version")
        if actual > NEW:
            stands = failed.get(1) or self._eraser.item(batch.partition, batch_key("", batch.id)["item"]["S"])
            if stands is not None and (batch.any or integer(stands, "first") == version + 1):
                return Appended(integer(stands, "last"), duplicate=True)
            if stands is None and actual == version:
                if head is None:
                    raise BackendError(
                        f"conversation {batch.conversation!r} holds events behind its version {version}, which holdfast "
                        "did not write"
                    )
                self._eraser.stamp(batch.partition)
                raise _Again
        elif 0 not in failed:
            self._eraser.erase_leftovers(batch.partition)
            raise _Again
        if batch.any:
            raise _Again
        raise refusal(batch.conversation, version, actual)
