"""The MongoDB tracker store: one document for each append, written by one command; heads are derived."""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from holdfast import BackendError, Event, UnavailableError
from holdfast.conversations.store import ANY, NEW, Appended, Head, Page, TrackerStore, refusal
from holdfast_mongo.client import Client
from holdfast_mongo.commits import CommitLog
from holdfast_mongo.config import MongoConfig
from holdfast_mongo.documents import Tail, commits, fits_one_document, pack
from holdfast_mongo.heads import Heads

_TRIES = 100
"""How often an append is tried before it is given up because other writers keep being first."""
_REMEMBERED = 10_000
"""Conversations whose tails are remembered, so that the next append need not ask for it."""


class MongoTrackerStore(TrackerStore):
    """Keeps conversations in the collections `<collection>_commits` and `<collection>_heads`.

    What is remembered of a conversation only saves a question: whether it still holds is for the server to say, in the
    command that appends.
    """

    def __init__(self, config: MongoConfig) -> None:
        self.config = config
        self._client = Client(config)
        self._log = CommitLog(self._client)
        self._heads = Heads(self._client, self._log)
        self._reset()
        _opened.add(self)

    def _reset(self) -> None:
        self._tails: OrderedDict[str, Tail] = OrderedDict()
        self._tails_lock = threading.Lock()
        self._heads.reset()

    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        parts = pack(conversation, events)
        with self._client.speaking():
            if len(parts) > 1:
                parts = self._admit(conversation, parts)
            for attempt in range(_TRIES):
                tail = self._tail(conversation, expected)
                if expected in (ANY, tail.version) and not self._stands_already(tail, batch_id):
                    new = commits(tail, parts, batch_id, time.time(), user)
                    if self._log.write(new):
                        self._remember(new.after)
                        self._heads.later(new.documents)
                        return Appended(new.after.version)
                self._forget(conversation)
                done = self._explain(tail, expected, batch_id, len(events))
                if done is not None:
                    return done
                time.sleep(random.uniform(0, 0.001 * min(attempt, 20)))  # noqa: S311  # spreads load, guards nothing
        raise UnavailableError(f"conversation {conversation!a}: other writers were first {_TRIES} times; try again")

    def _admit(self, conversation: str, parts: list[list[Event]]) -> list[list[Event]]:
        """The parts of a batch that is too large for one commit, as the server can take them."""
        if self._client.has_transactions():
            return parts
        if fits_one_document(parts):
            return [[event for part in parts for event in part]]
        raise BackendError(
            f"a batch for conversation {conversation!a:.200} is larger than a MongoDB document, 16 MiB, and this server "
            "has no transactions, which only a replica set has, to write it in several. Nothing was written; append "
            "the events in smaller batches."
        )

    def _tail(self, conversation: str, expected: int) -> Tail:
        """What an append is put behind: remembered if it can be, else asked for."""
        if expected == NEW:
            return Tail.new(conversation)
        with self._tails_lock:
            tail = self._tails.get(conversation)
        if tail is None or expected not in (ANY, tail.version):
            tail = self._log.tail(conversation) or Tail.new(conversation)
        return tail

    def _stands_already(self, tail: Tail, batch_id: str) -> bool:
        """Whether the batch stands in the conversation, where the server does not see to that by itself."""
        if self._client.ready().batched:
            return False
        batch = self._log.batch(tail.conversation, batch_id)
        return batch is not None and batch["g"] == tail.generation

    def _explain(self, tried: Tail, expected: int, batch_id: str, size: int) -> Appended | None:
        """Why nothing could be written behind `tried`: the batch stands, or a refusal, or `None` to try again."""
        conversation = tried.conversation
        obstacle = self._log.at(conversation, tried.version + 1)
        batch = self._log.batch(conversation, batch_id)
        tail = self._log.tail(conversation)
        if tail is None and self._heads.finish_deletion(conversation):
            tail = self._log.tail(conversation)
        for found in (obstacle, batch):
            # It was seen before the tail was, so if it is of another generation, then of one that is gone for good.
            if found is not None and "x" not in found and (tail is None or found["g"] != tail.generation):
                self._log.remove(found)
        if tail is None:
            if expected > NEW:
                raise refusal(conversation, expected, 0)
            return None
        self._remember(tail)
        place = batch["_id"]["n"] if batch is not None and batch["g"] == tail.generation else None
        if place is not None and place <= tail.erased:
            self._log.cut(tail, tail.erased)  # somebody was stopped before it forgot the batch
            place = None
        if place is not None and expected in (ANY, place - 1):
            return Appended(place - 1 + size, duplicate=True)
        if place is not None or expected not in (ANY, tail.version):
            raise refusal(conversation, expected, tail.version)
        return None

    def head(self, conversation: str) -> Head | None:
        with self._client.speaking():
            tail = self._log.tail(conversation)
        if tail is None:
            self._forget(conversation)
            return None
        self._remember(tail)
        return tail.head()

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        with self._client.speaking():
            yield from self._log.read(conversation, first, last)

    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        with self._client.speaking():
            self._heads.settle_all()
            return self._heads.page(cursor, limit, user, updated_before)

    def count(self) -> int:
        with self._client.speaking():
            self._heads.settle_all()
            return self._heads.count()

    def delete(self, conversation: str) -> bool:
        self._forget(conversation)
        with self._heads.updating, self._client.speaking():
            marked = self._log.mark_deleted(conversation)
            # Whoever lists meanwhile may finish it; and what another began and did not finish is finished here.
            finished = self._heads.finish_deletion(conversation)
            while marked is not None and self._log.lives(conversation, marked):
                # Another process's update met the mark on a server that loses one of the two; see Heads.updating.
                self._log.mark_deleted(conversation)
                self._heads.finish_deletion(conversation)
            return finished or marked is not None

    def truncate(self, conversation: str, before: int) -> int:
        with self._heads.updating, self._client.speaking():
            while True:
                tail = self._log.tail(conversation)
                target = 0 if tail is None else min(before - 1, tail.version)
                if tail is None or target < 1:
                    return 0
                target = max(target, tail.erased)
                if self._log.truncate(tail, target):
                    self._heads.truncated(tail, target)
                    return target - tail.erased

    def close(self) -> None:
        self._heads.close()
        self._client.close()

    def _remember(self, tail: Tail) -> None:
        with self._tails_lock:
            self._tails[tail.conversation] = tail
            self._tails.move_to_end(tail.conversation)
            if len(self._tails) > _REMEMBERED:
                self._tails.popitem(last=False)

    def _forget(self, conversation: str) -> None:
        with self._tails_lock:
            self._tails.pop(conversation, None)


_opened: weakref.WeakSet[MongoTrackerStore] = weakref.WeakSet()


def _begin_anew() -> None:
    """In a forked child: locks and the thread belong to the parent."""
    for store in _opened:
        store._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
