"""Cursors of `TrackerStore.list`: where a page ended, as opaque text."""

from __future__ import annotations

import base64
import binascii
import json

from holdfast.errors import ConversationError


def encode_cursor(updated: float, conversation: str) -> str:
    """A cursor that continues behind the head with this time and id."""
    return base64.urlsafe_b64encode(json.dumps([updated, conversation]).encode()).decode()


def decode_cursor(cursor: str) -> tuple[float, str]:
    """The time and id a cursor stands for.

    Raises:
        ConversationError: the text is no cursor.
    """
    try:
        updated, conversation = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return float(updated), str(conversation)
    except (binascii.Error, ValueError, TypeError):
        raise ConversationError("this is not a cursor that `list` gave; begin again without one") from None
