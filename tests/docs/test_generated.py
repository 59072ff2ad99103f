"""The generated reference says what the models and the error classes say."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr

import configuration_reference
import error_reference
import holdfast.errors
from holdfast.backend import BackendConfig


class Everything(BackendConfig):
    bucket: str = Field(description="Where | models\nlie.", json_schema_extra={"env": ["BUCKET_NAME", "BUCKET"]})
    password: SecretStr | None = Field(default=None, description="A secret.")
    port: int = Field(default=6379, ge=1, lt=65536)
    folder: Path = Path("models")
    mode: Literal["fast", "safe"] = "safe"
    hosts: list[str] = Field(default=[])


@pytest.mark.parametrize(
    "row",
    [
        "| `bucket` | text | required | `BUCKET_NAME`, `BUCKET` | Where \\| models lie. |",
        "| `password` | text, secret |  |  | A secret. |",
        "| `port` | whole number ≥ 1 and < 65536 | `6379` |  |  |",
        '| `mode` | `fast` or `safe` | `"safe"` |  |  |',
        '| `folder` | path | `"models"` |  |  |',
        "| `hosts` | list of text | `[]` |  |  |",
    ],
)
def test_a_key(row: str) -> None:
    assert row in configuration_reference.keys(Everything).splitlines()


def test_a_backend_without_keys() -> None:
    assert configuration_reference.keys(BackendConfig) == "No keys.\n"


def test_every_error_has_its_section() -> None:
    text = error_reference.errors()
    for name, kind in vars(holdfast.errors).items():
        if isinstance(kind, type) and kind.__module__ == holdfast.errors.__name__:
            assert f"### `{name}`\n" in text
            assert name in text.split("```", 2)[1], "the drawing at the top of errors.py leaves it out"


def test_attributes_become_a_list() -> None:
    assert "* `expected`: the version the batch was based on.\n" in error_reference.errors()
