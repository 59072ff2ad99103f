"""Times, as people read and write them."""

from __future__ import annotations

from datetime import datetime

import click


def moment(seconds: float | None) -> datetime | None:
    """The local time; `None` for none, or for a number that is no time."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds).astimezone()
    except (OverflowError, ValueError, OSError):
        return None


def written(seconds: float | datetime | None, *, zone: bool = True) -> str:
    """Local date and time to the second, by default with the distance to UTC."""
    found = seconds.astimezone() if isinstance(seconds, datetime) else moment(seconds)
    if found is None:
        return ""
    return (found if zone else found.replace(tzinfo=None)).isoformat(" ", "seconds")


def as_seconds(text: str) -> float:
    """Type of an option: a time in ISO 8601, local if it names no zone; becomes seconds since the epoch."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a time in ISO 8601, such as 2026-01-31 or 2026-01-31T18:00Z."
        ) from None
