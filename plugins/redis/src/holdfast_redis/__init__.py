"""A tracker store on Redis and Valkey: one server, Sentinel or Cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast import Backend, hookimpl
from holdfast_redis.config import RedisConfig

if TYPE_CHECKING:
    from holdfast.errors import BackendError
    from holdfast_redis.store import RedisTrackerStore


@hookimpl
def holdfast_tracker_store() -> Backend[RedisConfig, RedisTrackerStore]:
    """Offer the Redis tracker store."""
    return Backend(
        config=RedisConfig,
        open=_open,
        errors=_errors,
        summary="a Redis or Valkey server, behind Sentinel or in a Cluster if you like",
    )


def _open(config: RedisConfig) -> RedisTrackerStore:
    from holdfast_redis.store import RedisTrackerStore

    return RedisTrackerStore(config)


def _errors() -> dict[type[BaseException], type[BackendError]]:
    from holdfast_redis.failure import ERRORS

    return ERRORS
