"""The Redis tracker store; what is kept where stands in `holdfast_redis.keys`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast import Event
from holdfast.conversations.store import Appended, Head, Page, TrackerStore, refusal
from holdfast.errors import BackendError
from holdfast_redis.client import Client
from holdfast_redis.config import RedisConfig
from holdfast_redis.index import HEAD_FIELDS, Index, to_head
from holdfast_redis.keys import SHARDS, Keys, to_bytes
from holdfast_redis.scripts import APPEND, DAMAGED, DELETE, DUPLICATE, READ, REFUSED, TRUNCATE

_READ_EVENTS = 500
"""Events that are fetched at once while a conversation is read."""
_READ_BYTES = 1 << 20
"""About how many bytes of them, if they are large."""


class RedisTrackerStore(TrackerStore):
    """Keeps conversations on one server, behind Sentinels, or in a cluster."""

    def __init__(self, config: RedisConfig) -> None:
        self.config = config
        self._cluster = config.deployment_mode == "cluster"
        self._keys = Keys(config.key_prefix, SHARDS if self._cluster else 1)
        self._client = Client(config)
        self._index = Index(self._client, self._keys)
        self._ttl = 0 if config.record_exp is None else max(1, round(config.record_exp * 1000))
        self._insist = int(config.durability != "none")

    def append(
        self, conversation: str, events: Sequence[Event], *, expected: int, batch_id: str, user: str | None = None
    ) -> Appended:
        member = to_bytes(conversation)
        answer = self._client.run_durably(
            APPEND,
            self._all_keys(conversation, member),
            [expected, f"b:{batch_id}", member, *self._options(events, user), *[event.json for event in events]],
        )
        if isinstance(answer, int):
            return Appended(answer)
        outcome, version, *noted = answer
        if outcome == REFUSED:
            raise refusal(conversation, expected, version)
        if outcome == DAMAGED:
            raise _damaged(conversation)
        if self._cluster:
            # Also for a batch that stands already: the first try may have been lost between the two.
            self._index.remember(member, *noted)
        return Appended(version, duplicate=outcome == DUPLICATE)

    def _options(self, events: Sequence[Event], user: str | None) -> tuple[bytes | str, ...]:
        """What APPEND must know beside the usual."""
        starts = [offset for offset, event in enumerate(events) if event.starts_session]
        if not starts and user is None and not self._ttl and not self._insist:
            return ("",)
        options = (self._ttl, len(starts), starts[-1] if starts else 0, self._insist, int(user is not None))
        return " ".join(map(str, options)), self._keys.user_prefix, b"" if user is None else to_bytes(user)

    def head(self, conversation: str) -> Head | None:
        key = self._keys.conversation(conversation)[0]
        return to_head(conversation, self._client.speak(lambda redis: redis.hmget(key, HEAD_FIELDS)))

    def read(self, conversation: str, first: int, last: int) -> Iterator[tuple[int, str]]:
        keys = self._keys.conversation(conversation)
        created = None
        while first <= last:
            answer = self._client.run(READ, keys, [first, last, _READ_EVENTS, _READ_BYTES])
            if not answer or created not in (None, answer[0]):  # deleted, or deleted and begun again
                return
            created, version, first, texts = answer
            if not texts and first <= min(last, version):
                raise _damaged(conversation)
            for text in texts:
                yield first, text.decode()
                first += 1
            if first > version:
                return

    def list(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        user: str | None = None,
        updated_before: float | None = None,
    ) -> Page:
        return self._index.page(cursor, limit, user, updated_before)

    def count(self) -> int:
        return self._index.count()

    def delete(self, conversation: str) -> bool:
        member = to_bytes(conversation)
        keys = self._all_keys(conversation, member)
        if self._cluster:
            # First, while the head still tells whose it is: so a second try after a failure finds it, too.
            updated, owner = self._client.speak(lambda redis: redis.hmget(keys[0], ("u", "user")))
            if updated is not None and owner is not None:
                self._index.forget_user(member, owner, updated)
        there, owner, now = self._client.run_durably(DELETE, keys, [member, self._keys.user_prefix])
        if self._cluster:
            if owner is not None:
                self._index.forget_user(member, owner, now)
            self._index.forget(member, now)
        return bool(there)

    def truncate(self, conversation: str, before: int) -> int:
        return int(self._client.run_durably(TRUNCATE, self._keys.conversation(conversation), [before]))

    def reindex(self) -> int:
        """Enter every stored conversation in the indexes that `list` reads, and return how many there are.

        Needed where a client of a cluster died between an append and its index and nobody appended since, or when
        the keys were copied from a server into a cluster.
        """
        return self._index.rebuild()

    def close(self) -> None:
        self._client.close()

    def _all_keys(self, conversation: str, member: bytes) -> Sequence[bytes | str]:
        """What an append and a delete touch in one step: in a cluster, only what lives on one node."""
        keys = self._keys.conversation(conversation)
        return keys if self._cluster else (*keys, *self._keys.shard(member))


def _damaged(conversation: str) -> BackendError:
    return BackendError(
        f"tracker store 'redis': the keys of conversation {conversation!r} do not fit together: the server evicted some "
        "(set 'maxmemory-policy noeviction'), or another program changed them. Delete the conversation to begin again."
    )
