"""Where an append goes, in the terms of the tables."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast import Event
from holdfast_sql.texts import Columns, columns, key, long_text, user_key


class Place:
    """Where an append goes, and what it takes there."""

    def __init__(
        self, conversation: str, events: Sequence[Event], expected: int, batch_id: str, user: str | None
    ) -> None:
        self.conversation = conversation
        self.key = key(conversation)
        self.long_id = long_text(conversation, self.key)
        self.user = user_key(user)
        self.expected = expected
        self.batch_id = batch_id
        self.rows: list[Columns] = columns(events)
        starts = [index for index, each in enumerate(events) if each.starts_session]
        self.sessions = len(starts)
        self.session_offset = starts[-1] + 1 if starts else 0
        """The batch's event, counted from 1, that begins the latest session; 0 if none does."""
