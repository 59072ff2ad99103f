"""The table: created once, checked, and never written if it is not ours."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from holdfast import ANY, NEW, BackendError, ConfigurationError, UserUttered
from holdfast_dynamo.config import DynamoConfig
from holdfast_dynamo.layout import BY_RECENCY
from holdfast_dynamo.store import DynamoTrackerStore
from servers import dynamo

pytestmark = pytest.mark.server("dynamo")

Open = Callable[..., DynamoTrackerStore]


@pytest.fixture
def boto(open_store: Open) -> Iterator[Any]:
    return open_store().client.boto


def create(boto: Any, name: str, *keys: str, **more: Any) -> None:
    boto.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        **more,
    )


def test_the_table_is_created_on_first_use_billed_on_demand(store: DynamoTrackerStore) -> None:
    assert store.count() == 0
    table = store.client.call("describe_table")["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert {index["Projection"]["ProjectionType"] for index in table["GlobalSecondaryIndexes"]} == {"ALL"}


def test_a_missing_table_is_an_error_where_none_is_to_be_created(open_store: Open) -> None:
    store = open_store(create_table=False)
    with pytest.raises(ConfigurationError, match="create_table: true"):
        store.head("c")
    with pytest.raises(store.client.boto.exceptions.ResourceNotFoundException):
        store.client.boto.describe_table(TableName=store.config.table_name)


def test_a_table_that_is_there_is_used(open_store: Open) -> None:
    open_store().append("c", [UserUttered("a")], expected=NEW, batch_id="1")
    assert open_store(create_table=False).count() == 1


@pytest.mark.parametrize("keys", [("sender_id",), ("sender_id", "session_date")], ids=str)
def test_a_table_of_rasa_is_recognised_and_not_written(
    store: DynamoTrackerStore, boto: Any, keys: tuple[str, ...]
) -> None:
    name = store.config.table_name
    create(boto, name, *keys)
    item = {key: {"S": "c"} for key in keys} | {"events": {"L": []}}
    boto.put_item(TableName=name, Item=item)
    for operation in (
        lambda: store.append("c", [UserUttered("a")], expected=ANY, batch_id="1"),
        lambda: store.delete("c"),
        store.count,
    ):
        with pytest.raises(ConfigurationError, match=r"layout of Rasa's.*another 'table_name'"):
            operation()
    assert boto.scan(TableName=name)["Items"] == [item]


def test_a_table_of_somebody_else_is_refused(store: DynamoTrackerStore, boto: Any) -> None:
    create(boto, store.config.table_name, "pk", "sk")
    with pytest.raises(ConfigurationError, match="no table of holdfast"):
        store.head("c")


def test_a_table_without_the_indexes_is_refused(store: DynamoTrackerStore, boto: Any) -> None:
    create(boto, store.config.table_name, "conversation", "item")
    with pytest.raises(ConfigurationError, match=f"lacks the index '{BY_RECENCY}' on shard and recency"):
        store.head("c")


def test_a_table_that_is_gone_again_is_an_error(store: DynamoTrackerStore) -> None:
    store.count()
    store.client.call("delete_table")
    with pytest.raises(BackendError, match="any more"):
        store.head("c")


def first_use(section: dict[str, Any], name: str) -> None:
    store = DynamoTrackerStore(DynamoConfig(**section))
    for turn in range(3):
        store.append("hot", [UserUttered(f"{name}.{turn}")], expected=ANY, batch_id=f"{name}.{turn}")


def test_processes_that_start_at_once_create_one_table(section: Mapping[str, Any], open_store: Open) -> None:
    keys = {name: value for name, value in section.items() if name != "type"}
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=first_use, args=(keys, str(number))) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert [number for number, _ in open_store().read("hot", 1, 99)] == list(range(1, 10))


def test_wrong_credentials_are_refused_without_showing_them(tmp_path: Path) -> None:
    with dynamo.moto(tmp_path, authorise_after=0) as server:
        store = DynamoTrackerStore(
            DynamoConfig(
                endpoint_url=f"http://127.0.0.1:{server.port}",
                aws_access_key_id="AKIAWRONG",
                aws_secret_access_key="wrong-secret",
            )
        )
        with pytest.raises(BackendError, match="refuses these credentials") as refused:
            store.head("c")
        assert "wrong-secret" not in str(refused.value)
        store.close()


@pytest.mark.server("dynalite")
def test_a_server_without_transactions_is_named_before_anything_is_written(
    dynalite_url: str, section: Mapping[str, Any]
) -> None:
    keys = {name: value for name, value in section.items() if name != "type"}
    store = DynamoTrackerStore(DynamoConfig(**{**keys, "endpoint_url": dynalite_url}))
    assert store.head("c") is None
    assert store.count() == 0
    with pytest.raises(BackendError, match="does not know transact_write_items"):
        store.append("c", [UserUttered("a")], expected=NEW, batch_id="1")
    assert store.list().heads == ()
    assert list(store.read("c", 1, 9)) == []
    store.close()
