"""The section `models:`, where this process takes its model from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from holdfast.backend import BackendConfig

_SOURCES = ("url", "path", "name")
_Text = Annotated[str, Field(coerce_numbers_to_str=True)]


class BasicAuth(BackendConfig):
    """Credentials of HTTP basic authentication."""

    username: str
    password: SecretStr


class ModelsConfig(BackendConfig):
    """One source of a model (a server's `url`, a `path` on disk or a `name` in the persistor) and how to use it."""

    url: str | None = Field(default=None, description="of a model server, http or https")
    path: Path | None = Field(
        default=None,
        description="an archive, or a directory whose latest archive is meant; `models` if nothing is given",
    )
    name: str | None = Field(default=None, min_length=1, description="a model or an alias in the persistor")
    wait_time_between_pulls: float = Field(
        default=100.0, ge=0, allow_inf_nan=False, description="seconds; 0 or null looks for a model once"
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="sent to the server with each request")
    token: SecretStr | None = Field(default=None, description="sent to the server as a query parameter")
    token_name: str = Field(default="token", description="name of that query parameter")
    basic_auth: BasicAuth | None = Field(default=None, description="`username` and `password` for the server")
    params: dict[str, _Text] = Field(default_factory=dict, description="further query parameters for the server")
    cafile: Path | None = Field(default=None, description="certificates to trust instead of the system's")
    directory: Path = Field(default=Path(".holdfast"), description="where models are unpacked")
    keep: int = Field(default=3, ge=1, description="how many unpacked models stay there")

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, keys: Any) -> Any:
        if not isinstance(keys, Mapping):
            return keys
        given = [source for source in _SOURCES if keys.get(source) is not None]
        if len(given) > 1:
            raise ValueError("only one of url, path and name says where the model comes from; remove the others.")
        return keys if given else {**keys, "path": "models"}

    @field_validator("url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                parts = urlsplit(url)
                valid = parts.scheme in ("http", "https") and bool(parts.hostname)
            except ValueError:
                valid = False
            if not valid:
                raise ValueError("must be a URL that begins with http:// or https:// and names a host.")
        return url

    @field_validator("wait_time_between_pulls", mode="before")
    @classmethod
    def _once(cls, seconds: Any) -> Any:
        return 0.0 if seconds is None else seconds
