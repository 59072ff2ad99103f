"""The heads of all conversations, derived from their commits, to list them by recency.

An append does not wait for its head: a thread writes the heads of this process's appends a moment later, many appends
of one conversation at once. Until then the commit bears a mark, and whoever lists writes the heads of marked commits
first, whichever process made them. So a list shows every acknowledged append, and a crash leaves nothing to repair.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from holdfast import Head, HoldfastError, Page
from holdfast.conversations.cursor import decode_cursor, encode_cursor
from holdfast_mongo.client import Client
from holdfast_mongo.commits import CommitLog
from holdfast_mongo.documents import Document, Tail

logger = logging.getLogger(__name__)

_DELAY = 0.2
"""Seconds in which the appends of a conversation gather before its head is written."""
_IDLE = 5.0
"""Seconds without an append after which the thread ends."""


class Heads:
    """Reads and writes `<collection>_heads`."""

    def __init__(self, client: Client, log: CommitLog) -> None:
        self._client = client
        self._log = log
        self.reset()

    def reset(self) -> None:
        """Begin without a thread, as in a forked process, which leaves the parent's appends to the parent."""
        # Settling, deleting and truncating update the same documents. MongoDB does that one after the other by itself;
        # FerretDB 1 loses one of two updates that meet, so at least one process does not do it to itself.
        self.updating = threading.Lock()
        self._changed = threading.Condition()
        self._pending: dict[str, list[Document]] = {}
        self._thread: threading.Thread | None = None
        self._closing = False

    def later(self, commits: Iterable[Document]) -> None:
        """Have the heads of commits written soon."""
        with self._changed:
            for commit in commits:
                named = {name: commit[name] for name in ("_id", "g", "v")}
                self._pending.setdefault(commit["_id"]["c"], []).append(named)
            if self._thread is None or not self._thread.is_alive():
                self._closing = False
                self._thread = threading.Thread(target=self._work, name="holdfast-mongo-heads", daemon=True)
                self._thread.start()
            else:
                self._changed.notify()

    def close(self) -> None:
        """Write the heads that are pending, and end the thread."""
        with self._changed:
            self._closing = True
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._pending and not self._closing:
                    self._changed.wait(_IDLE)
                if not self._pending:
                    self._thread = None
                    return
                if not self._closing:
                    self._changed.wait_for(lambda: self._closing, _DELAY)
                pending, self._pending = self._pending, {}
            try:
                for conversation, commits in pending.items():
                    self.settle(conversation, commits)
            except HoldfastError as error:
                logger.warning("heads of conversations are written when conversations are listed next: %s", error)

    def settle_all(self) -> None:
        """Write the heads of all marked commits, and finish what a crash left of deletions."""
        conversations: dict[str, list[Document]] = {}
        with self._client.speaking():
            for commit in self._log.dirty():
                conversations.setdefault(commit["_id"]["c"], []).append(commit)
        for conversation, commits in conversations.items():
            self.settle(conversation, commits)

    def settle(self, conversation: str, commits: list[Document]) -> None:
        """Write a conversation's head, and take the marks off its commits."""
        with self.updating, self._client.speaking():
            tail = self._log.tail(conversation)
            if tail is None:
                self.finish_deletion(conversation)
            else:
                self._write(tail)
            living = [commit["v"] for commit in commits if tail is not None and commit["g"] == tail.generation]
            for commit in commits:
                if commit["g"] and (tail is None or commit["g"] != tail.generation):
                    self._log.remove(commit)
            if tail is not None and living:
                self._log.clean(tail, min(living), min(max(living), tail.version))

    def _write(self, tail: Tail) -> None:
        heads = self._client.ready().heads
        values = {
            "v": tail.version,
            "s": tail.session,
            "f": tail.session_first,
            "t": tail.created,
            "u": tail.updated,
            "o": tail.user,
        }
        of_it = {"_id": tail.conversation, "g": tail.generation}
        while True:
            try:
                done = heads.update_one(
                    {**of_it, "v": {"$lte": tail.version}}, {"$set": values, "$max": {"k": tail.erased}}, upsert=True
                )
            except DuplicateKeyError:
                standing = heads.find_one({"_id": tail.conversation}, {"g": 1})
                if standing is None:
                    continue
                if standing["g"] == tail.generation:
                    return  # a later one
                if not self._log.lives(tail.conversation, tail.generation):
                    return
                # We lived before and after it was seen, so it is of a conversation that was deleted before ours began.
                heads.delete_one({"_id": tail.conversation, "g": standing["g"]})
            else:
                if done.upserted_id is not None and not self._log.lives(tail.conversation, tail.generation):
                    heads.delete_one(of_it)
                return

    def finish_deletion(self, conversation: str) -> bool:
        """Erase what is left of a conversation that was marked deleted; `False` if there is nothing."""
        generation = self._log.deleted_generation(conversation)
        if generation is None:
            return False
        self._log.erase_generation(conversation, generation)
        self._client.ready().heads.delete_one({"_id": conversation, "g": generation})
        return self._log.erase_mark(conversation, generation)

    def truncated(self, tail: Tail, target: int) -> None:
        """Tell the head, if it is written, that events up to `target` are erased."""
        self._client.ready().heads.update_one({"_id": tail.conversation, "g": tail.generation}, {"$max": {"k": target}})

    def page(self, cursor: str | None, limit: int, user: str | None, updated_before: float | None) -> Page:
        """See `TrackerStore.list`."""
        wanted: Document = {}
        if user is not None:
            wanted["o"] = user
        bounds: Document = {}
        if updated_before is not None:
            bounds["$lt"] = updated_before
        if cursor is not None:
            updated, conversation = decode_cursor(cursor)
            bounds["$lte"] = updated
            wanted["$or"] = [{"u": {"$lt": updated}}, {"_id": {"$lt": conversation}}]
        if bounds:
            wanted["u"] = bounds
        found = self._client.ready().heads.find(wanted, sort=[("u", DESCENDING), ("_id", DESCENDING)], limit=limit + 1)
        heads = [_head(document) for document in found]
        page = tuple(heads[:limit])
        more = len(heads) > limit
        return Page(page, encode_cursor(page[-1].updated, page[-1].conversation) if more else None)

    def count(self) -> int:
        return self._client.ready().heads.count_documents({})


def _head(document: Document) -> Head:
    first = document["k"] + 1
    return Head(
        document["_id"],
        document["v"],
        first,
        document["s"],
        max(document["f"], first),
        document["t"],
        document["u"],
        document["o"],
    )
