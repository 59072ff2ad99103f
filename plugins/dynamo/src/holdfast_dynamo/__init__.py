"""A tracker store on Amazon DynamoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast import Backend, hookimpl
from holdfast_dynamo.config import DynamoConfig

if TYPE_CHECKING:
    from holdfast.errors import BackendError
    from holdfast_dynamo.store import DynamoTrackerStore


@hookimpl
def holdfast_tracker_store() -> Backend[DynamoConfig, DynamoTrackerStore]:
    """Offer the DynamoDB tracker store."""
    return Backend(config=DynamoConfig, open=_open, errors=_errors, summary="a table in Amazon DynamoDB")


def _open(config: DynamoConfig) -> DynamoTrackerStore:
    from holdfast_dynamo.store import DynamoTrackerStore

    return DynamoTrackerStore(config)


def _errors() -> dict[type[BaseException], type[BackendError]]:
    from botocore.exceptions import BotoCoreError, ClientError

    from holdfast.errors import BackendError

    return {BotoCoreError: BackendError, ClientError: BackendError}
