"""What the exit code of `holdfast` means; scripts may rely on it."""

from __future__ import annotations

from typing import Final

from holdfast.errors import (
    BackendError,
    ConfigurationError,
    ConflictError,
    ConversationNotFoundError,
    DeploymentError,
    HoldfastError,
    ModelExistsError,
    ModelNotFoundError,
    PluginError,
    StoreBehindError,
    UnsafeArchiveError,
    UnsupportedError,
    VerificationError,
)

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
CONFIGURATION: Final = 4
CONFLICT: Final = 5
REFUSED: Final = 6
STORAGE: Final = 7
INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141

MEANINGS: Final = {
    OK: "done",
    FAILURE: "failed for another reason than those below",
    USAGE: "the command line is wrong",
    NOT_FOUND: "no such conversation or model",
    CONFIGURATION: "endpoints.yml, the domain or a plugin is wrong",
    CONFLICT: "somebody else was first: other events or another model stand there",
    REFUSED: "a model failed verification, is unsafe to unpack, or was refused",
    STORAGE: "a storage cannot be reached or failed",
    INTERRUPTED: "interrupted (Ctrl-C)",
    CLOSED_PIPE: "the reader of the output went away",
}

_CODES: Final[tuple[tuple[type[HoldfastError], int], ...]] = (
    (ConversationNotFoundError, NOT_FOUND),
    (ModelNotFoundError, NOT_FOUND),
    (ConfigurationError, CONFIGURATION),
    (PluginError, CONFIGURATION),
    (UnsupportedError, CONFIGURATION),
    (ConflictError, CONFLICT),
    (StoreBehindError, CONFLICT),
    (ModelExistsError, CONFLICT),
    (VerificationError, REFUSED),
    (UnsafeArchiveError, REFUSED),
    (DeploymentError, REFUSED),
    (BackendError, STORAGE),
)

# What to repair first: a wrong configuration does not heal by itself, a storage may.
_WORST_FIRST: Final = (FAILURE, CONFIGURATION, REFUSED, CONFLICT, NOT_FOUND, STORAGE)


def exit_code(error: BaseException) -> int:
    """The exit code that stands for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILURE)


def worst(codes: list[int]) -> int:
    """The exit code of a command that did several things, each with its own; `OK` if all went well."""
    return next((code for code in _WORST_FIRST if code in codes), OK)
