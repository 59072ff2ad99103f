"""A tracker store on MongoDB and on servers that speak its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast import Backend, hookimpl
from holdfast_mongo.config import MongoConfig

if TYPE_CHECKING:
    from holdfast.errors import BackendError
    from holdfast_mongo.store import MongoTrackerStore


@hookimpl
def holdfast_tracker_store() -> Backend[MongoConfig, MongoTrackerStore]:
    """Offer the MongoDB tracker store."""
    return Backend(config=MongoConfig, open=_open, errors=_errors, summary="a MongoDB server or replica set")


def _open(config: MongoConfig) -> MongoTrackerStore:
    from holdfast_mongo.store import MongoTrackerStore

    return MongoTrackerStore(config)


def _errors() -> dict[type[BaseException], type[BackendError]]:
    # The store turns the driver's errors into holdfast's itself, because most tell by their code what they are; this
    # is for what it did not foresee.
    from bson.errors import BSONError
    from pymongo.errors import ConnectionFailure, PyMongoError

    from holdfast.errors import BackendError, UnavailableError

    return {ConnectionFailure: UnavailableError, PyMongoError: BackendError, BSONError: BackendError}
