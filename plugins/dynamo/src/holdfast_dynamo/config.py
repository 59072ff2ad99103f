"""The keys of `tracker_store: {type: dynamo}`; `table_name`, `region` and `max_pool_connections` are Rasa's."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from holdfast import BackendConfig


class DynamoConfig(BackendConfig):
    """Which table, where it is, and how to talk to it."""

    table_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")] = Field(
        "states", description="The table; not one that Rasa wrote, whose layout is another."
    )
    region: str = Field(
        "us-east-1",
        description="The AWS region.",
        json_schema_extra={"env": ["AWS_DEFAULT_REGION", "AWS_REGION"]},
    )
    endpoint_url: str | None = Field(
        None,
        description="URL of the service, if it is not that of the region; `AWS_ENDPOINT_URL` does not count here.",
        json_schema_extra={"env": ["AWS_ENDPOINT_URL_DYNAMODB"]},
    )
    aws_access_key_id: SecretStr | None = Field(
        None, description="Access key; without one, boto3 finds credentials as it does everywhere."
    )
    aws_secret_access_key: SecretStr | None = Field(None, description="Secret that belongs to `aws_access_key_id`.")
    aws_session_token: SecretStr | None = Field(None, description="Token of temporary credentials.")
    create_table: bool = Field(
        default=True,
        description="Create the table on first use if there is none; `false` makes a missing table an error.",
    )
    record_exp: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Seconds after its last append until a conversation expires; without it, none does."
    )
    max_pool_connections: Annotated[int, Field(gt=0)] = Field(
        50, description="Connections that are kept open for other threads to use."
    )
    connect_timeout: Annotated[float, Field(gt=0)] = Field(5.0, description="Seconds to wait for a connection.")
    read_timeout: Annotated[float, Field(gt=0)] = Field(10.0, description="Seconds to wait for an answer.")
    retries: Annotated[int, Field(ge=0)] = Field(
        1, description="How often boto3 itself tries a request again before holdfast hears of it."
    )
    verify: bool | str = Field(
        default=True,
        description="Check the service's certificate; a path names a file of authorities to trust instead.",
    )

    @field_validator("endpoint_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("an endpoint begins with http:// or https://")
        return value

    @model_validator(mode="after")
    def _credentials_are_complete(self) -> Self:
        if (self.aws_access_key_id is None) is not (self.aws_secret_access_key is None):
            raise ValueError("'aws_access_key_id' and 'aws_secret_access_key' come together: give both or neither")
        if self.aws_session_token is not None and self.aws_access_key_id is None:
            raise ValueError("'aws_session_token' needs 'aws_access_key_id' and 'aws_secret_access_key' beside it")
        return self
