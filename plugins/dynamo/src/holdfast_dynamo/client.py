"""The boto3 client: made on first use, its errors turned into ours."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as ConnectingError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from holdfast import BackendError, ConfigurationError, UnavailableError
from holdfast_dynamo.config import DynamoConfig

_PASSING = {
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}
"""Error codes of a service that is overloaded, or busy with the same item."""

_REFUSED = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
"""Error codes that mean the credentials."""


class ConditionFailed(Exception):  # noqa: N818  # an answer, not an error: always caught here
    """A condition did not hold, so nothing was written.

    Attributes:
        items: for each action of a transaction whose condition failed, by its place, the item that stands there, if any.
    """

    def __init__(self, items: dict[int, dict[str, Any]]) -> None:
        super().__init__("a condition did not hold")
        self.items = items


class Busy(Exception):  # noqa: N818  # likewise
    """Another transaction is just writing one of the items."""


class Client:
    """Calls operations of DynamoDB on one table, from any thread."""

    def __init__(self, config: DynamoConfig) -> None:
        self.config = config
        self.where = f"DynamoDB at {config.endpoint_url or config.region}"
        self._lock = threading.Lock()
        self._boto: Any = None

    @property
    def boto(self) -> Any:
        """The client of boto3."""
        if self._boto is None:
            with self._lock:
                if self._boto is None:
                    self._boto = self._make()
        return self._boto

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation on the table.

        Raises:
            ConditionFailed: the operation has a condition, which did not hold.
            UnavailableError: the service cannot be reached, is overloaded or did not answer in time.
            BackendError: it refused.
        """
        return self.plain(operation, TableName=self.config.table_name, **parameters)

    def transact(self, actions: list[dict[str, dict[str, Any]]]) -> None:
        """Do all of the actions, or none.

        Raises:
            Busy, and those of `call`.
        """
        for action in actions:
            for parameters in action.values():
                parameters["TableName"] = self.config.table_name
        self.plain("transact_write_items", TransactItems=actions)

    def plain(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation; see `call`."""
        try:
            answer: dict[str, Any] = getattr(self.boto, operation)(**parameters)
        except ClientError as error:
            raise self._refusal(operation, error) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise BackendError(
                f"{self.where}: there are no AWS credentials; set aws_access_key_id and aws_secret_access_key in the "
                "section, or provide them in one of boto3's usual places"
            ) from error
        except SSLError as error:
            raise BackendError(f"{self.where} has no certificate that is trusted here ('verify'): {error}") from error
        except (ConnectingError, HTTPClientError) as error:
            raise UnavailableError(f"{self.where} cannot be reached or does not answer: {error}") from error
        except ResponseParserError as error:
            raise UnavailableError(f"{self.where}: {operation}: the answer makes no sense: {error}") from error
        except BotoCoreError as error:
            raise BackendError(f"{self.where}: {operation}: {error}") from error
        return answer

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        with self._lock:
            boto, self._boto = self._boto, None
        if boto is not None:
            boto.close()

    def _make(self) -> Any:
        config = self.config
        secrets = {
            name: None if secret is None else secret.get_secret_value()
            for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
            for secret in (getattr(config, name),)
        }
        # A session of its own: boto3's default one is not made for threads.
        try:
            boto = boto3.session.Session().client(
                "dynamodb",
                region_name=config.region,
                endpoint_url=config.endpoint_url,
                verify=config.verify,
                config=Config(
                    connect_timeout=config.connect_timeout,
                    read_timeout=config.read_timeout,
                    max_pool_connections=config.max_pool_connections,
                    retries={"total_max_attempts": config.retries + 1, "mode": "standard"},
                    # Else AWS_ENDPOINT_URL, set for a storage of models, would lead here as well.
                    ignore_configured_endpoint_urls=True,
                ),
                **secrets,
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"tracker_store: boto3 takes no such configuration: {error}") from error
        boto.meta.events.register("needs-retry.dynamodb", self._see_that_it_is_whole)
        return boto

    def _see_that_it_is_whole(self, response: Any, **_: Any) -> None:
        """Refuse an answer that was cut: boto3 would take one without a body for "there is no such item"."""
        if response is None:
            return
        http, _parsed = response
        announced = http.headers.get("Content-Length")
        if announced is not None and len(http.content) < int(announced):
            raise UnavailableError(f"{self.where}: the answer was cut short")

    def _refusal(self, operation: str, error: ClientError) -> Exception:
        details: dict[str, Any] = error.response.get("Error", {})
        code, message = details.get("Code", ""), details.get("Message", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "ConditionalCheckFailedException":
            return ConditionFailed({0: error.response.get("Item") or {}})
        if code == "TransactionCanceledException":
            return self._cancelled(error)
        if code in _PASSING or status >= 500:
            return UnavailableError(f"{self.where}: {operation}: {code}: {message}")
        if code in _REFUSED or status in {401, 403}:
            return BackendError(
                f"{self.where} refuses these credentials ({code}): check them, and that they may use table "
                f"'{self.config.table_name}' ({operation})"
            )
        if code == "ResourceNotFoundException":
            return BackendError(f"{self.where} has no table '{self.config.table_name}' any more")
        if code == "UnknownOperationException":
            return BackendError(
                f"{self.where} does not know {operation}; this server is too old or too small an imitation"
            )
        return BackendError(f"{self.where}: {operation}: {code}: {message}")

    def _cancelled(self, error: ClientError) -> Exception:
        reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])
        failed = {
            place: reason.get("Item") or {}
            for place, reason in enumerate(reasons)
            if reason.get("Code") == "ConditionalCheckFailed"
        }
        codes = {reason.get("Code", "None") for reason in reasons} - {"None", "ConditionalCheckFailed"}
        if codes & {"TransactionConflict"}:
            return Busy()
        if codes & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
            return UnavailableError(f"{self.where}: the transaction was cancelled: {', '.join(sorted(codes))}")
        if failed and not codes:
            return ConditionFailed(failed)
        messages = "; ".join(sorted({f"{reason.get('Code')}: {reason.get('Message')}" for reason in reasons}))
        return BackendError(f"{self.where}: the transaction was cancelled: {messages or error}")
