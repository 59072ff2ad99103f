"""Which conversations there are: by recency, by user, paged.

The indexes are sorted sets beside the conversations. On one server the scripts keep them in step; in a cluster, where
they live on other nodes, they are written right after and never removed from too early: an entry too many is noticed
and dropped by whoever lists it, a missing one comes back with the next append or `rebuild`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import partial
from typing import Any

from redis import Redis

from holdfast.conversations.cursor import decode_cursor, encode_cursor
from holdfast.conversations.store import Head, Page
from holdfast_redis.client import AnyRedis, Client
from holdfast_redis.keys import Keys, to_bytes, to_text
from holdfast_redis.scripts import FORGET, PRUNE, REMEMBER, REMEMBER_USER

Place = tuple[float, bytes]
"""Where a conversation stands in an index: its time, then its id."""

HEAD_FIELDS = ("v", "f", "s", "sf", "c", "u", "user")


def to_head(conversation: str, fields: Sequence[bytes | None]) -> Head | None:
    """The head in the fields of its hash, or `None` if they are not there."""
    version, first, session, session_first, created, updated, user = fields
    if not (version and first and session and session_first and created and updated):
        return None
    return Head(
        conversation,
        int(version),
        int(first),
        int(session),
        max(int(session_first), int(first)),
        float(created),
        float(updated),
        None if user is None else to_text(user),
    )


class Index:
    """The indexes of one store."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def remember(
        self, member: bytes, updated: bytes, expires: bytes | None, user: bytes | None, user_before: bytes | None
    ) -> None:
        """Note when a conversation was updated, when it expires, whose it is and whose it was."""
        values = (member, updated, expires or b"")
        self._client.run(REMEMBER, self._keys.shard(member), values)
        if user is not None:
            self._client.run(REMEMBER_USER, [self._keys.user(user)], values)
        if user_before is not None and user_before != user:
            self.forget_user(member, user_before, updated)

    def forget(self, member: bytes, since: bytes) -> None:
        """Drop a conversation, unless it was written to after `since`."""
        self._client.run(FORGET, self._keys.shard(member), [member, since])

    def forget_user(self, member: bytes, user: bytes, since: bytes) -> None:
        """Drop a conversation of a user, unless it was written to after `since`."""
        self._client.run(FORGET, [self._keys.user(user)], [member, since])

    def count(self) -> int:
        """How many conversations there are; the expired ones are dropped first."""
        total = 0
        for shard in self._keys.shards:
            gone = 1
            left = 0
            while gone:
                gone, left = self._client.run(PRUNE, shard, [])
            total += left
        return total

    def page(self, cursor: str | None, limit: int, user: str | None, updated_before: float | None) -> Page:
        """See `TrackerStore.list`."""
        behind: Place | None = None
        if cursor is not None:
            updated, conversation = decode_cursor(cursor)
            behind = (updated, to_bytes(conversation))
        indexes = [(recent, expiring) for recent, expiring in self._keys.shards]
        if user is not None:
            key = self._keys.user(to_bytes(user))
            found = self._live([(key,)], behind, limit + 1, updated_before, user)
        else:
            found = self._live(indexes, behind, limit + 1, updated_before, None)
        heads = tuple(head for _, head in found[:limit])
        if len(found) <= limit:
            return Page(heads, None)
        time, member = found[limit - 1][0]
        return Page(heads, encode_cursor(time, to_text(member)))

    def rebuild(self) -> int:
        """Enter every conversation that is stored, and return how many there are."""
        count = 0
        names = self._client.speak(lambda redis: redis.scan_iter(match=self._keys.heads, count=1000))
        while (key := self._client.speak(lambda _: next(names, None))) is not None:
            updated, expires, user = self._facts(key)
            if updated is not None:
                self.remember(to_bytes(self._keys.conversation_of(key)), updated, expires, user, None)
                count += 1
        return count

    def _live(
        self,
        indexes: Sequence[tuple[bytes | str, ...]],
        behind: Place | None,
        wanted: int,
        before: float | None,
        user: str | None,
    ) -> list[tuple[Place, Head]]:
        """The next conversations of some indexes that exist and pass the filters; entries of others are dropped."""
        live: list[tuple[Place, Head]] = []
        while len(live) < wanted:
            missing = wanted - len(live)
            streams = [self._behind(index[0], behind, before, missing) for index in indexes]
            places = heapq.nlargest(missing, (place for stream in streams for place in stream))
            heads = self._heads([member for _, member in places])
            gone: list[Place] = []
            for place, head in zip(places, heads, strict=True):
                if head is None or (user is not None and head.user != user):
                    gone.append(place)
                elif before is None or head.updated < before:
                    live.append((place, head))
            self._drop(indexes, gone)
            if len(places) < missing:
                break
            behind = places[-1]
        return live

    def _behind(self, key: bytes | str, behind: Place | None, before: float | None, wanted: int) -> list[Place]:
        """The first entries of an index after a place, latest first."""
        top: str = "+inf"
        if behind is not None and (before is None or behind[0] < before):
            top = repr(behind[0])
        elif before is not None:
            top = f"({before!r}"
        found: list[Place] = []
        start = 0
        while len(found) < wanted:
            entries = self._client.speak(partial(_entries, key=key, top=top, start=start, count=wanted))
            places = [(float(time), member) for member, time in entries]
            found += [place for place in places if behind is None or place < behind]
            if len(entries) < wanted:
                break
            start += wanted
        return found[:wanted]

    def _facts(self, head: bytes) -> Any:
        return self._client.speak(lambda redis: redis.hmget(head, ("u", "x", "user")))

    def _heads(self, members: Sequence[bytes]) -> list[Head | None]:
        if not members:
            return []
        names = [to_text(member) for member in members]

        def exchange(redis: AnyRedis) -> Any:
            with redis.pipeline(transaction=False) if isinstance(redis, Redis) else redis.pipeline() as pipeline:
                for name in names:
                    pipeline.hmget(self._keys.conversation(name)[0], HEAD_FIELDS)
                return pipeline.execute()

        rows = self._client.speak(exchange)
        return [to_head(name, fields) for name, fields in zip(names, rows, strict=True)]

    def _drop(self, indexes: Sequence[tuple[bytes | str, ...]], gone: Sequence[Place]) -> None:
        if not gone:
            return
        values = [value for time, member in gone for value in (member, repr(time))]
        for index in indexes:  # each has some of them, and passes over the others
            self._client.run(FORGET, index, values)


def _entries(redis: AnyRedis, key: bytes | str, top: str, start: int, count: int) -> Any:
    return redis.zrevrangebyscore(key, top, "-inf", start=start, num=count, withscores=True)
