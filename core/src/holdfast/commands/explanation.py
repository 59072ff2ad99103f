"""What to say of an error: its text where that is ours, else where it came from, for its text may hold a secret."""

from __future__ import annotations

from holdfast.errors import HoldfastError


def explain(error: BaseException) -> str:
    """One message for a person or a program, without a traceback."""
    if isinstance(error, HoldfastError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    from holdfast.validation import location

    return (
        f"unexpected {type(error).__name__} at {location(error)}. This is a defect of holdfast or of a plugin. "
        "HOLDFAST_DEBUG=1 shows more."
    )
