"""redis-py's errors as holdfast's: what happened, where, and what to do."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from redis import exceptions as sdk

from holdfast.errors import BackendError, UnavailableError

_DENIED = (
    sdk.AuthenticationError,
    sdk.AuthorizationError,
    sdk.AuthenticationWrongNumberOfArgsError,
    sdk.NoPermissionError,
)
_PASSING = (
    sdk.ConnectionError,
    sdk.TimeoutError,
    sdk.InvalidResponse,  # the connection is out of step; another will not be
    sdk.ReadOnlyError,  # a master that was just made a replica
    sdk.ClusterError,
    sdk.TryAgainError,
    sdk.AskError,  # and MovedError
    sdk.RedisClusterException,
    OSError,
)

ERRORS: dict[type[BaseException], type[BackendError]] = {
    **dict.fromkeys(_DENIED, BackendError),
    **dict.fromkeys(_PASSING, UnavailableError),
    sdk.RedisError: BackendError,
}
"""See `holdfast.Backend.errors`; the order matters."""

_PASSING_CODES = ("NOREPLICAS", "BUSY ", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN")
_DENIED_INSIDE = ("user executing the script can't", "ACL failure in script")
_NO_CLUSTER = "cluster mode is not enabled"


def wrapped(error: Exception, where: str, secrets: tuple[str, ...], *, tls: bool) -> BackendError:
    """The error to raise from `error`.

    Args:
        error: what redis-py raised.
        where: the server, for the message.
        secrets: texts that must not appear, whatever the server says.
        tls: whether certificates may be what is missing.
    """
    text = str(error)
    for secret in secrets:
        text = text.replace(secret, "…")
    kind, advice = _kind(error, tls=tls)
    return kind(f"tracker store 'redis': {where}: {text or type(error).__name__}{advice}")


def shown(error: Exception, secrets: tuple[str, ...]) -> Exception | None:
    """The error as the cause of another, or nothing if the server repeated a secret in it."""
    return None if any(secret in str(cause) for cause in _chain(error) for secret in secrets) else error


def _kind(error: Exception, *, tls: bool) -> tuple[type[BackendError], str]:
    causes = list(_chain(error))
    if isinstance(error, sdk.NoPermissionError) or any(text in str(error) for text in _DENIED_INSIDE):
        return BackendError, "; the ACL of 'username' must allow its commands and the keys that begin with 'key_prefix'"
    if any(isinstance(cause, _DENIED) for cause in causes):
        return BackendError, "; check 'username' and 'password'"
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return BackendError, "; set 'ssl_ca_certs' to the certificate of who signed the server's"
    if tls and any(isinstance(cause, FileNotFoundError) for cause in causes):
        return BackendError, "; a path of 'ssl_keyfile', 'ssl_certfile' or 'ssl_ca_certs' does not exist"
    if any(_NO_CLUSTER in str(cause).lower() for cause in causes):
        return BackendError, "; this server is no cluster: remove 'deployment_mode: cluster'"
    if isinstance(error, sdk.ClusterCrossSlotError | sdk.MovedError) or "CROSSSLOT" in str(error):
        return BackendError, "; this server is part of a cluster: set 'deployment_mode: cluster'"
    if isinstance(error, sdk.OutOfMemoryError):
        return BackendError, "; the server's memory is full: raise 'maxmemory' or set 'record_exp'"
    if isinstance(error, _PASSING) or any(code in str(error) for code in _PASSING_CODES):
        return UnavailableError, ""
    return BackendError, ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
