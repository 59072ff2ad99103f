"""The section of endpoints.yml: what it takes, what it refuses, where requests then go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast import BackendError, ConfigurationError, UnavailableError, connect
from holdfast_dynamo.config import DynamoConfig
from holdfast_dynamo.store import DynamoTrackerStore
from holdfast_testkit.opening import open_store as open_section
from servers.process import free_port

SECRET = "no-one-may-read-this"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def opened(directory: Path, **keys: Any) -> DynamoTrackerStore:
    store = open_section({"type": "dynamo", **keys}, directory, derived=False)
    assert isinstance(store, DynamoTrackerStore)
    return store


def test_without_keys_the_table_and_the_region_are_those_of_rasa(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    assert (store.config.table_name, store.config.region) == ("states", "us-east-1")
    assert store.client.boto.meta.endpoint_url == "https://dynamodb.us-east-1.amazonaws.com"


def test_the_key_region_goes_before_the_environment(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_REGION", "eu-west-3")
    assert opened(tmp_path).config.region == "eu-west-3"
    environment.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert opened(tmp_path).config.region == "eu-west-1"
    assert opened(tmp_path, region="eu-central-1").config.region == "eu-central-1"


def test_the_endpoint_of_another_service_does_not_lead_here(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ENDPOINT_URL", "http://models.example:9000")
    assert opened(tmp_path).client.boto.meta.endpoint_url == "https://dynamodb.us-east-1.amazonaws.com"
    environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://tables.example:8000")
    assert opened(tmp_path).client.boto.meta.endpoint_url == "http://tables.example:8000"
    own = opened(tmp_path, endpoint_url="http://own.example:8000")
    assert own.client.boto.meta.endpoint_url == "http://own.example:8000"


def test_time_outs_pool_and_retries_reach_boto3(tmp_path: Path) -> None:
    store = opened(tmp_path, connect_timeout=1.5, read_timeout=2.5, max_pool_connections=7, retries=0)
    config = store.client.boto.meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1.5, 2.5, 7)
    assert config.retries["total_max_attempts"] == 1


@pytest.mark.parametrize(
    ("keys", "culprit"),
    [
        ({"endpoint_url": "localhost:8000"}, "http://"),
        ({"aws_access_key_id": SECRET}, "give both or neither"),
        ({"aws_secret_access_key": SECRET}, "give both or neither"),
        ({"aws_session_token": SECRET}, "aws_session_token"),
        ({"table_name": "no"}, "table_name"),
        ({"table_name": "with space"}, "table_name"),
        ({"record_exp": 0}, "record_exp"),
        ({"max_pool_connections": 0}, "max_pool_connections"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"read_timeout": -1}, "read_timeout"),
        ({"retries": -1}, "retries"),
        ({"tablename": "typing-error"}, "tablename"),
    ],
    ids=str,
)
def test_a_wrong_key_is_refused_by_name_and_without_its_value(
    tmp_path: Path, keys: dict[str, Any], culprit: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        opened(tmp_path, **keys)
    assert culprit in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_configuration_hides_its_secrets() -> None:
    config = DynamoConfig(aws_access_key_id=SECRET, aws_secret_access_key=SECRET, aws_session_token=SECRET)
    assert SECRET not in repr(config) + str(config) + str(config.model_dump())


def test_a_region_that_cannot_be_one_is_an_error_of_the_configuration() -> None:
    store = DynamoTrackerStore(DynamoConfig(region="not a region"))
    with pytest.raises(ConfigurationError, match="boto3 takes no such configuration"):
        store.head("c")


def test_opening_does_no_io_and_a_server_that_is_down_is_unavailable_by_name(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "endpoints.yml").write_text(
        f"tracker_store: {{type: dynamo, endpoint_url: '{url}', aws_access_key_id: AK, "
        f"aws_secret_access_key: {SECRET}, retries: 0}}\n"
    )
    with connect(tmp_path / "endpoints.yml") as hf, pytest.raises(UnavailableError) as refused:
        hf.conversations.count()
    assert url in str(refused.value)
    assert SECRET not in str(refused.value)


def test_missing_credentials_are_named_with_the_cure(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        environment.delenv(name, raising=False)
    environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    environment.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    store = opened(tmp_path, endpoint_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(BackendError, match="there are no AWS credentials; set aws_access_key_id"):
        store.head("c")
