"""Turning an SDK's errors into holdfast's, so that callers catch one family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from holdfast.errors import BackendError, HoldfastError

Errors = Callable[[], dict[type[BaseException], type[BackendError]]]
"""See `Backend.errors`."""


@contextmanager
def wrapping(errors: Errors, where: str) -> Iterator[None]:
    """Raise the declared error in place of an SDK's; holdfast's own and undeclared errors pass through.

    Args:
        errors: which types to wrap, into what; the first match wins.
        where: begins the message, for example `tracker store 'SQL'`.
    """
    try:
        yield
    except HoldfastError:
        raise
    except Exception as error:
        for kind, wrapper in errors().items():
            if isinstance(error, kind):
                raise wrapper(f"{where}: {type(error).__name__}: {error}") from error
        raise
