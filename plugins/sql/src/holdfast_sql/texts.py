"""Texts as every database keeps them apart and gives them back.

Ids are any text, but no two databases agree on what a text is: PostgreSQL has no NUL, UTF-8 has no lone surrogates,
Oracle takes the empty text for NULL, MySQL and SQL Server ignore a space at the end, and all limit what an index holds.
What is in the way is escaped, so that an ordinary id stands in the tables as it is and two ids never meet.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

from holdfast import ConversationError, Event

LONGEST = 400
"""UTF-16 units of a key: with its companion columns it fits every index, in bytes as in characters."""

COLUMN = 255
"""Characters of an event's type, intent and action that are kept in columns of their own; `data` has them whole."""

_MARK = "\x01"
_IN_THE_WAY = re.compile("[\x00\x01\ud800-\udfff]| \\Z")
_ESCAPED = re.compile("\x01([0-9a-f]{4})")


def key(text: str) -> str:
    """What stands for an id in a column that is indexed; different for different ids."""
    escaped = _escape(text)
    if len(escaped) <= LONGEST // 2 or _units(escaped) <= LONGEST:
        return escaped
    return f"{escaped[:150]}{_MARK}#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def long_text(text: str, text_key: str) -> str | None:
    """What has to be kept beside the key of an id that is too long for one; `None` for all others."""
    return _escape(text) if text_key[-66:-64] == f"{_MARK}#" else None


def original(stored: str) -> str:
    """The id that `key` or `long_text` was given."""
    if _MARK not in stored:
        return stored
    return "" if stored == _MARK else _ESCAPED.sub(lambda found: chr(int(found[1], 16)), stored)


def user_key(user: str | None) -> str | None:
    """`key` of a user.

    Raises:
        ConversationError: the user's id is too long.
    """
    if user is None:
        return None
    escaped = _escape(user)
    if _units(escaped) > LONGEST:
        raise ConversationError(f"a user's id has at most {LONGEST} characters in the tracker store 'SQL'")
    return escaped


Columns = tuple[str, float | None, str | None, str | None, str]
"""type_name, timestamp, intent_name, action_name, data"""


def columns(events: Sequence[Event]) -> list[Columns]:
    """The columns of some events. All but the last are there to be queried; what no column can hold is left out."""
    return [
        (
            _column(event.event) or "",
            _time(event.timestamp),
            _column(event.intent_name),
            _column(event.name),
            event.json,
        )
        for event in events
    ]


def _column(value: object) -> str | None:
    # An event is any JSON: what should be a name may be a number or a list.
    if not isinstance(value, str):
        return None
    return _IN_THE_WAY.sub(lambda found: found[0] if found[0] == " " else "\ufffd", value[:COLUMN])


def _time(value: float | None) -> float | None:
    try:
        return float(value) if value is not None and math.isfinite(value) else None
    except OverflowError:  # a whole number beyond what a float can be
        return None


def _escape(text: str) -> str:
    if _IN_THE_WAY.search(text) is None:
        return text or _MARK
    return _IN_THE_WAY.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
