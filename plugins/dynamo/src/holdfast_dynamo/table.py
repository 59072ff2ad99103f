"""The table: looked at on first use, and created if there is none."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError

from holdfast import BackendError, ConfigurationError, UnavailableError
from holdfast_dynamo.client import Client
from holdfast_dynamo.layout import BY_RECENCY, BY_USER

_KEYS = ("conversation", "item")
_INDEXES = {BY_RECENCY: ("shard", "recency"), BY_USER: ("owner", "recency")}
_USABLE = {"ACTIVE", "UPDATING"}
_PATIENCE = 60.0
"""Seconds to wait for a table that is being created; AWS takes about ten."""


def prepare(client: Client) -> None:
    """See that the table is there, and ours.

    Raises:
        ConfigurationError: there is none and none is to be created, or it is one with another layout.
    """
    create = client.config.create_table
    table = _describe(client)
    if table is None:
        if not create:
            raise ConfigurationError(
                f"{client.where} has no table '{client.config.table_name}'; create it, or let holdfast do so with "
                "'create_table: true'"
            )
        _create(client)
    if table is None or table["TableStatus"] not in _USABLE:
        table = _when_active(client)
    _check(client, table)
    if client.config.record_exp is not None and create:
        _expire(client)


def _describe(client: Client) -> dict[str, Any] | None:
    try:
        table: dict[str, Any] = client.call("describe_table")["Table"]
    except BackendError as error:
        if _code(error) == "ResourceNotFoundException":
            return None
        raise
    return table


def _create(client: Client) -> None:
    names = sorted({*_KEYS, *(name for keys in _INDEXES.values() for name in keys)})
    try:
        client.call(
            "create_table",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=_schema(*_KEYS),
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            GlobalSecondaryIndexes=[
                {"IndexName": index, "KeySchema": _schema(*keys), "Projection": {"ProjectionType": "ALL"}}
                for index, keys in _INDEXES.items()
            ],
        )
    except BackendError as error:
        if _code(error) != "ResourceInUseException":  # another process was faster
            raise


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def _when_active(client: Client) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE
    while True:
        table = _describe(client)
        if table is not None and table["TableStatus"] in _USABLE:
            return table
        if time.monotonic() > deadline:
            raise UnavailableError(f"{client.where}: table '{client.config.table_name}' is not active yet")
        time.sleep(0.25)


def _check(client: Client, table: dict[str, Any]) -> None:
    name = client.config.table_name
    cure = "give holdfast another 'table_name'"
    keys = _names(table["KeySchema"])
    if keys == ("sender_id",) or (keys and keys[0] == "sender_id"):
        raise ConfigurationError(
            f"table '{name}' of {client.where} has the layout of Rasa's tracker store, which holdfast does not write: "
            f"{cure}, for example '{name}-holdfast'; what Rasa stored is imported, not changed"
        )
    if keys != _KEYS:
        raise ConfigurationError(f"table '{name}' of {client.where} is no table of holdfast: {cure}")
    indexes = {index["IndexName"]: _names(index["KeySchema"]) for index in table.get("GlobalSecondaryIndexes", ())}
    for index, wanted in _INDEXES.items():
        if indexes.get(index) != wanted:
            raise ConfigurationError(
                f"table '{name}' of {client.where} lacks the index '{index}' on {wanted[0]} and {wanted[1]}: create it, "
                "projecting all attributes"
            )


def _names(schema: list[dict[str, str]]) -> tuple[str, ...]:
    ordered = sorted(schema, key=lambda part: part["KeyType"])  # HASH before RANGE
    return tuple(part["AttributeName"] for part in ordered)


def _expire(client: Client) -> None:
    status = client.call("describe_time_to_live")["TimeToLiveDescription"]["TimeToLiveStatus"]
    if status == "DISABLED":
        try:
            client.call("update_time_to_live", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
        except BackendError as error:
            if "already enabled" not in str(error.__cause__):  # another process was faster
                raise


def _code(error: BackendError) -> str:
    cause = error.__cause__
    return str(cause.response["Error"].get("Code")) if isinstance(cause, ClientError) else ""
