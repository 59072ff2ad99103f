"""How keys are called, and how texts become the bytes in them.

| key | type | what |
|---|---|---|
| `NS:{ID}:head` | hash | the head, and the batches, see below |
| `NS:{ID}:log` | list | the JSON text of every event that is kept, oldest first |
| `NS:recent:{N}` | sorted set | conversations by the time of their last append |
| `NS:expiring:{N}` | sorted set | conversations by the time they expire, in ms; only those that will |
| `NS:user:USER` | sorted set | the conversations of a user by the time of their last append |

NS is `holdfast`, or `PREFIX:holdfast`. The braces are a hash tag: in a cluster, what stands between the first two
decides where a key lives, so that both keys of a conversation are together. ID is the conversation's id with
braces and `%` escaped as in a URL. N is 0 on one server; a cluster spreads the two indexes over `SHARDS`.

Fields of the head: `v` version, `f` number of the oldest event that is kept, `s` sessions begun, `sf` number of the event
the last of them begins with, `c` and `u` seconds of the first and the latest append, `user` if there is one, `x` the
millisecond it expires at if it does, and `b:BATCH` for each batch, with the numbers of its first and last event.
"""

from __future__ import annotations

from zlib import crc32

SHARDS = 16
"""Into how many parts a cluster's indexes are divided. What is stored depends on it: never change it."""

_ESCAPES = {"%": "%25", "{": "%7B", "}": "%7D"}
_EMPTY = "%"
"""In place of an empty id, because an empty tag is none. No escaped id is a single `%`."""


def to_bytes(text: str) -> bytes:
    """A conversation's or a user's id as bytes, which sort as the texts do; lone surrogates survive."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """The text that `to_bytes` was given."""
    return data.decode("utf-8", "surrogatepass")


def escape(conversation: str) -> str:
    """The id as it stands between the braces of a hash tag."""
    if not conversation:
        return _EMPTY
    if conversation.isalnum():
        return conversation
    return "".join(_ESCAPES.get(character, character) for character in conversation)


def unescape(tag: str) -> str:
    """The id that `escape` was given."""
    if tag == _EMPTY:
        return ""
    return tag.replace("%7B", "{").replace("%7D", "}").replace("%25", "%")


class Keys:
    """The names of all keys under one prefix.

    Args:
        prefix: the config's `key_prefix`.
        shards: into how many parts the indexes are divided.
    """

    def __init__(self, prefix: str | None, shards: int) -> None:
        self._namespace = f"{prefix}:holdfast" if prefix else "holdfast"
        self._shards = shards
        self.user_prefix = to_bytes(f"{self._namespace}:user:")
        self.heads = f"{self._namespace}:{{*}}:head"
        """A pattern for SCAN; neither the namespace nor a brace means anything else in a pattern."""
        self.shards = [self._shard(number) for number in range(shards)]
        """The two indexes, by time and by expiry, of each shard."""

    def conversation(self, conversation: str) -> tuple[bytes, bytes]:
        """Head and log."""
        stem = to_bytes(f"{self._namespace}:{{{escape(conversation)}}}:")
        return stem + b"head", stem + b"log"

    def conversation_of(self, head: bytes) -> str:
        """The id of the conversation a head's key belongs to."""
        return unescape(to_text(head)[len(self._namespace) + 2 : -len("}:head")])

    def shard(self, member: bytes) -> tuple[str, str]:
        """The two indexes that hold a conversation, by its id as bytes."""
        return self.shards[crc32(member) % self._shards if self._shards > 1 else 0]

    def user(self, user: bytes) -> bytes:
        """The index of a user's conversations."""
        return self.user_prefix + user

    def _shard(self, number: int) -> tuple[str, str]:
        return f"{self._namespace}:recent:{{{number}}}", f"{self._namespace}:expiring:{{{number}}}"
