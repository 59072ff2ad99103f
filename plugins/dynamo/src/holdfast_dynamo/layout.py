"""The items of the table: their keys, and what is in them.

A conversation is one partition (`conversation`), in which the sort key (`item`) tells what an item is:

    H                       the head: version, sessions, times, user; moved by every append
    E<last seq>.<part>      the events of one append, as JSON texts, one a line; a long batch has several parts
    B<batch id>             where that batch stands

The head alone carries `shard`, `recency` and `owner`, so the two indexes hold nothing but heads. Events are keyed by the
last number of their batch: a read from any number begins right at the batch that holds it. Every item that is not a
head carries `token`, random for each append, so that whoever erases can tell a later item under the same key.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from holdfast import ConversationError
from holdfast.conversations.store import Head

Item = dict[str, Any]
"""An item or a key as DynamoDB's API writes it: {"name": {"S": "text"}}."""

HEAD: Final = {"S": "H"}
BY_RECENCY: Final = "holdfast_by_recency"
BY_USER: Final = "holdfast_by_user"
SHARDS: Final = 8
"""Partitions of the listing: one alone takes some 500 appends a second in AWS. Every version must know them all."""

PART: Final = 350_000
"""Bytes of events in one item; DynamoDB's limit for a whole item is 409,600."""
BATCH: Final = 3_900_000
"""Bytes of events in one append; DynamoDB's limit for a transaction is 4 MiB."""

_LONGEST_KEY = 1000
_LATEST = 10**16 - 1


def text(value: str) -> dict[str, str]:
    """A text as an attribute."""
    return {"S": value}


def number(value: float) -> dict[str, str]:
    """A number as an attribute; Python's shortest form of it is exact."""
    return {"N": str(value)}


def expressions(values: Item | None = None, **texts: str) -> dict[str, Any]:
    """Expressions as parameters of a request, with the names they use: `#name` stands for the attribute `name`.

    DynamoDB reserves so many words that every name is written this way.

    Args:
        values: what `:name` stands for.
        texts: the expressions by their kind, for example `Condition="attribute_exists(#item)"`.
    """
    names = sorted({name for expression in texts.values() for name in re.findall(r"#(\w+)", expression)})
    parameters: dict[str, Any] = {f"{kind}Expression": expression for kind, expression in texts.items()}
    parameters["ExpressionAttributeNames"] = {f"#{name}": name for name in names}
    if values:
        parameters["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    return parameters


def key_text(name: str) -> str:
    """The key of an id or a user: the text itself, or a digest of one that no key can hold."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        encoded = b""
    if (encoded and len(encoded) <= _LONGEST_KEY) or not name:
        return f"={name}"
    return f"#{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"


def original(key: str, item: Item, kept_in: str) -> str:
    """The text that `key_text` made `key` of; if that is a digest, it is kept, as JSON, in an attribute."""
    return key[1:] if key.startswith("=") else str(json.loads(item[kept_in]["S"]))


def kept(name: str) -> dict[str, str]:
    """The attribute in which a text stands whose key is a digest."""
    return text(json.dumps(name))


def key(partition: str, item: str) -> Item:
    """The primary key of an item."""
    return {"conversation": text(partition), "item": text(item)}


def batch_key(partition: str, batch_id: str) -> Item:
    """The primary key of the item that tells where a batch stands."""
    return key(partition, f"B{batch_id}")


def events_from(sequence: int) -> str:
    """Where in the sort key the batch that holds this event begins."""
    return f"E{sequence:016d}"


def part_key(partition: str, last: int, part: int) -> Item:
    """The primary key of a part of a batch."""
    return key(partition, f"{events_from(last)}.{part:03d}")


def micros(seconds: float) -> int:
    """A time as the table keeps it: whole microseconds, within what a key can order."""
    return round(max(0.0, min(seconds * 1e6, float(_LATEST)))) if not math.isnan(seconds) else 0


def shard(partition: str) -> str:
    """The part of the listing a conversation belongs to."""
    return str(hashlib.sha256(partition.encode()).digest()[0] % SHARDS)


def recency(updated: int, partition: str) -> str:
    """The sort key of the indexes: by time in microseconds, then by a digest, so that no two are equal."""
    return f"{updated:016d}{hashlib.sha256(partition.encode()).hexdigest()[:16]}"


def integer(item: Item, name: str, default: int = 0) -> int:
    """A whole number among an item's attributes."""
    return int(item[name]["N"]) if name in item else default


def expired(item: Item, now: float) -> bool:
    """Whether the conversation of this head has expired."""
    return "until" in item and float(item["until"]["N"]) <= now


def head_of(item: Item) -> Head:
    """The head that stands in an item."""
    first = integer(item, "first", 1)
    return Head(
        conversation=original(item["conversation"]["S"], item, "id"),
        version=integer(item, "version"),
        first=first,
        session=integer(item, "session"),
        session_first=max(integer(item, "session_first"), first),
        created=integer(item, "created") / 1e6,
        updated=integer(item, "updated") / 1e6,
        user=original(item["owner"]["S"], item, "user") if "owner" in item else None,
    )


def parts_of(conversation: str, texts: Sequence[str]) -> list[str]:
    """The texts, one a line, cut into parts that each fit into an item.

    Raises:
        ConversationError: together they do not fit into one transaction.
    """
    whole = "\n".join(texts)
    encoded = whole.encode()
    if len(encoded) > BATCH:
        raise ConversationError(
            f"the {len(texts)} events appended to conversation {conversation!r} are {len(encoded):,} bytes, and DynamoDB "
            f"writes at most {BATCH:,} at once: append them in several batches, and keep large contents elsewhere"
        )
    return [whole] if len(encoded) <= PART else list(_cut(encoded))


def _cut(encoded: bytes) -> Iterator[str]:
    begin = 0
    while begin < len(encoded):
        end = min(begin + PART, len(encoded))
        while end < len(encoded) and encoded[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        yield encoded[begin:end].decode()
        begin = end
