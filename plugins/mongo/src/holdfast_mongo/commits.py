"""The commits of a conversation: a chain that grows at its end only, one document for each append.

The first commit is a single insert that `_id` lets one writer win. Every other append is one insert command with two
documents: the commit, and a probe which the unique index on (conversation, v, g) refuses as long as the commit before
stands. So in one round trip two writers on one version collide on `_id`, and a writer whose conversation was deleted,
truncated or lost meanwhile learns it from the probe that did not collide, and takes its commit back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pymongo import ASCENDING, DESCENDING, DeleteMany, DeleteOne, ReadPreference
from pymongo.errors import BulkWriteError

from holdfast_mongo.client import DUPLICATE_KEY, Client
from holdfast_mongo.documents import Commits, Document, Tail, key, numbered, probe

_FETCH = 100
"""Commits that are in memory at once while a conversation is read."""
_WITHOUT_EVENTS = {"e": 0}
_IS_COMMIT = {"$gte": 1}
_IS_PROBE = {"$lt": 0}


class CommitLog:
    """Reads and writes `<collection>_commits`; knows nothing of heads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def tail(self, conversation: str) -> Tail | None:
        """How the conversation stands; `None` if there is none. Costs the same whatever its length."""
        commits = self._client.ready().commits
        while True:
            root = self._living_root(conversation)
            if root is None:
                return None
            newest = list(
                commits.find(
                    {"_id.c": conversation, "g": root["g"], "_id.n": _IS_COMMIT},
                    _WITHOUT_EVENTS,
                    sort=[("v", DESCENDING)],
                    limit=2,
                )
            )
            if not newest:  # deleted since the first look
                continue
            last, before = newest[0], newest[-1]
            if last["_id"]["n"] == 1 or "r" in last or before["v"] == last["_id"]["n"] - 1:
                return Tail.of(last, root["k"])
            # A writer was stopped before it took this back; a truncation would have marked it before cutting its chain.
            commits.bulk_write(
                [
                    DeleteMany({"_id.c": conversation, "_id.n": _IS_PROBE}),
                    DeleteOne({"_id": last["_id"], "g": last["g"], "r": {"$exists": False}}),
                ]
            )

    def write(self, new: Commits) -> bool:
        """Write commits behind `new.before`; `False` if it is not the end of the conversation, or the batch stands."""
        opened = self._client.ready()
        before, documents = new.before, new.documents
        if len(documents) > 1:
            if not self._write_in_transaction(new):
                return False
        elif before.version and opened.chained:
            return self._write_with_probe(new)
        elif not self._insert(documents):
            return False
        if before.version == 0 or self._stands(before):
            return True
        self._take_back(documents)
        return False

    def _write_with_probe(self, new: Commits) -> bool:
        ours = [*new.documents, probe(new.before)]
        refused = self._insert_as_far_as(ours)
        if refused == len(ours):
            self._take_back(ours)
        return refused == 1

    def _insert(self, documents: list[Document]) -> bool:
        return self._insert_as_far_as(documents) == len(documents)

    def _insert_as_far_as(self, documents: list[Document], session: Any = None) -> int:
        """Insert documents in order, in one command, up to the one that breaks a unique index; return its index."""
        commits = self._client.ready().commits
        try:
            commits.insert_many(documents, ordered=True, session=session)
        except BulkWriteError as error:
            errors = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or not errors or errors[0]["code"] not in DUPLICATE_KEY:
                raise
            return int(errors[0]["index"])
        return len(documents)

    def _write_in_transaction(self, new: Commits) -> bool:
        opened = self._client.ready()
        with opened.client.start_session() as session:
            session.start_transaction(
                write_concern=opened.commits.write_concern, read_preference=ReadPreference.PRIMARY
            )
            if self._insert_as_far_as(new.documents, session) == len(new.documents):
                session.commit_transaction()
                return True
            session.abort_transaction()
            return False

    def _stands(self, tail: Tail) -> bool:
        found = self._client.ready().commits.find_one(
            {"_id.c": tail.conversation, "v": tail.version, "g": tail.generation, "_id.n": _IS_COMMIT}, {"_id": 1}
        )
        return found is not None

    def _take_back(self, documents: list[Document]) -> None:
        # The last first: a probe without its commit would deceive the next writer.
        self._client.ready().commits.bulk_write(
            [DeleteOne({"_id": document["_id"], "g": document["g"]}) for document in reversed(documents)]
        )

    def batch(self, conversation: str, batch_id: str) -> Document | None:
        """The commit, of whatever generation, that the batch begins with; without its events."""
        return self._client.ready().commits.find_one({"_id.c": conversation, "b": batch_id}, _WITHOUT_EVENTS)

    def at(self, conversation: str, first: int) -> Document | None:
        """The commit, of whatever generation, that begins with this number; without its events."""
        return self._client.ready().commits.find_one({"_id": key(conversation, first)}, _WITHOUT_EVENTS)

    def remove(self, commit: Document) -> None:
        """Remove the remains of a deleted conversation."""
        self._client.ready().commits.bulk_write(
            [
                DeleteMany({"_id.c": commit["_id"]["c"], "_id.n": _IS_PROBE, "g": commit["g"]}),
                DeleteOne({"_id": commit["_id"], "g": commit["g"]}),
            ]
        )

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        """Yield the events `first` to `last` with their numbers, as far as they are kept."""
        commits = self._client.ready().commits
        root = self._living_root(conversation)
        if root is None:
            return
        wanted = max(first, root["k"] + 1)
        with commits.find(
            {"_id.c": conversation, "g": root["g"], "v": {"$gte": wanted}, "_id.n": {"$gte": 1, "$lte": last}},
            {"e": 1, "v": 1},
            sort=[("v", ASCENDING)],
            batch_size=_FETCH,
        ) as cursor:
            for commit in cursor:
                if commit["v"] - len(commit["e"]) >= wanted:
                    # What stood between was erased meanwhile: nothing more to show, or only what a truncation leaves.
                    again = self._living_root(conversation)
                    if again is None or again["g"] != root["g"]:
                        return
                    wanted = max(wanted, again["k"] + 1)
                    if commit["v"] - len(commit["e"]) >= wanted:
                        return
                yield from numbered(commit, wanted, last)
                wanted = max(wanted, commit["v"] + 1)

    def _living_root(self, conversation: str) -> Document | None:
        """The first commit, without its events, if there is such a conversation and it is not being deleted."""
        root = self.at(conversation, 1)
        return None if root is None or "x" in root else root

    # Erasing

    def truncate(self, tail: Tail, target: int) -> bool:
        """Hide the events up to `target`, then erase them; `False` if somebody else was quicker."""
        commits = self._client.ready().commits
        root = {"_id": key(tail.conversation, 1), "g": tail.generation}
        if target > tail.erased:
            moved = commits.update_one({**root, "k": tail.erased}, {"$set": {"k": target}})
            if not moved.matched_count:
                return False
        self.cut(tail, target)
        return True

    def cut(self, tail: Tail, target: int) -> None:
        """Erase the hidden events up to `target`; doing it again does nothing."""
        commits = self._client.ready().commits
        of_it = {"_id.c": tail.conversation, "g": tail.generation}
        kept = commits.find_one(
            {**of_it, "v": {"$gte": min(target + 1, tail.version)}, "_id.n": {"$gt": 1}},
            _WITHOUT_EVENTS,
            sort=[("v", ASCENDING)],
        )
        if kept is not None:
            commits.update_one({"_id": kept["_id"], "g": kept["g"]}, {"$set": {"r": 1}})
            if kept["_id"]["n"] <= target:
                self._trim(kept["_id"], tail.generation, target)
        self._trim(key(tail.conversation, 1), tail.generation, target)
        commits.delete_many({**of_it, "v": {"$lte": min(target, tail.version - 1)}, "_id.n": {"$gt": 1}})

    def _trim(self, commit_id: Document, generation: str, target: int) -> None:
        commits = self._client.ready().commits
        while True:
            commit = commits.find_one({"_id": commit_id, "g": generation})
            if commit is None:
                return
            kept = max(0, commit["v"] - target)
            if commit["z"] <= kept:
                return
            trimmed = commit["e"][commit["z"] - kept :]
            commits.update_one(
                {"_id": commit_id, "g": generation, "z": commit["z"]},
                {"$set": {"e": trimmed, "z": kept, "b": f"cut·{commit_id['n']}"}},
            )

    def lives(self, conversation: str, generation: str) -> bool:
        """Whether the conversation stands, of this generation."""
        root = self.at(conversation, 1)
        return root is not None and root["g"] == generation

    def mark_deleted(self, conversation: str) -> str | None:
        """From here on there is no such conversation, and nobody can append to it.

        Returns:
            The generation; `None` if there was no conversation, or somebody else marked it.
        """
        commits = self._client.ready().commits
        while True:
            root = self._living_root(conversation)
            if root is None:
                return None
            marked = commits.update_one(
                {"_id": root["_id"], "g": root["g"]}, {"$set": {"g": "", "x": root["g"], "d": 1, "e": []}}
            )
            if marked.matched_count:
                return str(root["g"])

    def deleted_generation(self, conversation: str) -> str | None:
        """The generation that is being deleted, if one is."""
        root = self.at(conversation, 1)
        return None if root is None else root.get("x")

    def erase_generation(self, conversation: str, generation: str) -> None:
        """Erase all commits of a generation that was marked deleted, but for the one that bears the mark."""
        commits = self._client.ready().commits
        of_it = {"_id.c": conversation, "g": generation}
        while commits.bulk_write([DeleteMany({**of_it, "_id.n": _IS_PROBE}), DeleteMany(of_it)]).deleted_count:
            pass  # what a writer put behind the newest commit before that was gone is found by the next round

    def erase_mark(self, conversation: str, generation: str) -> bool:
        """Erase the last of a deleted conversation; `False` if somebody else did."""
        commits = self._client.ready().commits
        return commits.delete_one({"_id": key(conversation, 1), "x": generation}).deleted_count > 0

    # Marks of commits whose heads are not written

    def dirty(self) -> Iterator[Document]:
        """Yield the commits of which nobody has said that their heads are written."""
        yield from self._client.ready().commits.find({"d": 1}, {"_id": 1, "g": 1, "v": 1, "x": 1})

    def clean(self, tail: Tail, first: int, last: int) -> None:
        """Say that the head is written of the commits that end with the events `first` to `last`."""
        # w=1: a fail-over that loses the head loses this, which came after it, too.
        opened = self._client.ready()
        opened.commits.with_options(write_concern=opened.heads.write_concern).update_many(
            {"_id.c": tail.conversation, "v": {"$gte": first, "$lte": last}, "g": tail.generation, "d": 1},
            {"$unset": {"d": ""}},
        )
