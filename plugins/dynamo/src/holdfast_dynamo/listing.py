"""Listing: the two indexes of heads, which the service brings up to date a moment after an append."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from typing import Any

from holdfast.conversations.cursor import decode_cursor, encode_cursor
from holdfast.conversations.store import Page
from holdfast_dynamo.client import Client
from holdfast_dynamo.layout import (
    BY_RECENCY,
    BY_USER,
    SHARDS,
    Item,
    expired,
    expressions,
    head_of,
    key_text,
    micros,
    number,
    recency,
    text,
)


class Lister:
    """Lists and counts conversations."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, cursor: str | None, limit: int, user: str | None, updated_before: float | None) -> Page:
        """See `TrackerStore.list`."""
        bounds = []
        if cursor is not None:
            updated, conversation = decode_cursor(cursor)
            bounds.append(recency(micros(updated), key_text(conversation)))
        if updated_before is not None:
            bounds.append(f"{micros(updated_before):016d}")
        bound = min(bounds, default=None)
        if user is not None:
            found = self._index(BY_USER, "owner", key_text(user), bound, limit + 1)
        else:
            # The shards hold about equally many, so most pages need one request to each.
            each = limit // SHARDS + 4
            shards = [self._index(BY_RECENCY, "shard", str(name), bound, each) for name in range(SHARDS)]
            found = heapq.merge(*shards, key=lambda item: item["recency"]["S"], reverse=True)
        now = time.time()
        heads = []
        for item in found:
            if not expired(item, now):
                heads.append(head_of(item))
            if len(heads) > limit:
                break
        page = tuple(heads[:limit])
        more = len(heads) > limit
        return Page(page, encode_cursor(page[-1].updated, page[-1].conversation) if more else None)

    def count(self) -> int:
        """See `TrackerStore.count`; reads the index, at about 4,000 conversations a page."""
        return sum(
            answer["Count"]
            for name in range(SHARDS)
            for answer in self._pages(
                IndexName=BY_RECENCY,
                Select="COUNT",
                **expressions(
                    {"shard": text(str(name)), "now": number(time.time())},
                    KeyCondition="#shard = :shard",
                    Filter="attribute_not_exists(#until) OR #until > :now",
                ),
            )
        )

    def _index(self, index: str, name: str, value: str, bound: str | None, limit: int) -> Iterator[Item]:
        condition, values = f"#{name} = :value", {"value": text(value)}
        if bound is not None:
            condition += " AND #recency < :bound"
            values["bound"] = text(bound)
        for answer in self._pages(
            IndexName=index,
            **expressions(values, KeyCondition=condition),
            ScanIndexForward=False,
            Limit=limit,
        ):
            yield from answer["Items"]

    def _pages(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        while True:
            answer = self._client.call("query", **parameters)
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
