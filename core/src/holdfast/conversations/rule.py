"""The session rule: one setting, with the same meaning on every store."""

from __future__ import annotations

from enum import StrEnum


class SessionRule(StrEnum):
    """Where the latest session begins."""

    ACTION_SESSION_START = "action_session_start"
    """At the last action of that name, as Rasa does on Redis, in memory, and in Pro. The default for every store."""
    SESSION_STARTED = "session_started"
    """At the last event of that type, as Rasa 3.6 does on SQL and MongoDB."""
    INACTIVE = "inactive"
    """Behind the last event of that type, as Rasa Pro does without session starts after expiry."""
    NONE = "none"
    """At the first event: all sessions are one, as Rasa 3.6 does on DynamoDB."""
