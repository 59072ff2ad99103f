"""Where `holdfast run` takes its model from. What was named is taken, or nothing: never another model."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from holdfast.endpoints import Endpoints
from holdfast.errors import ConfigurationError, ModelNotFoundError
from holdfast.models_config import ModelsConfig

DEFAULT_PATH: Final = Path("models")
MODEL_SERVER: Final = (
    "models: url: taking the model from an HTTP model server comes with the next release; until then write "
    "`path:` (an archive or a directory) or `name:` (a model in the persistor)."
)


def resolve(endpoints: Endpoints, model: str | None, remote_storage: str | None) -> ModelsConfig:
    """Find where the model comes from: the section `models:`, else a storage, else a path.

    Args:
        endpoints: what endpoints.yml says.
        model: `--model`, if given: a path, or the name of a model in the storage.
        remote_storage: `--remote-storage`, if given.

    Returns:
        the section `models:`, or what it would have to say; either `name` or `path` is given.

    Raises:
        ConfigurationError: the source is not supported, two are given, or a name without a storage.
        ModelNotFoundError: nothing stands at the path.
    """
    config = endpoints.models
    stored = remote_storage is not None or endpoints.persistor is not None
    if config is not None:
        return _checked(config, model, stored=stored)
    if remote_storage is not None:
        if model is None:
            raise ConfigurationError(
                "--remote-storage needs --model NAME: which of the models there is to be deployed?"
            )
        return ModelsConfig(name=model)
    path = DEFAULT_PATH if model is None else Path(model)
    if path.exists():
        return ModelsConfig(path=path)
    if model is not None and stored:
        return ModelsConfig(name=model)
    default = "" if model is not None else " (the default); name one with --model or in the section `models:`"
    raise ModelNotFoundError(f"no model stands at {path}{default}.")


def describe(config: ModelsConfig) -> str:
    """Say where the model comes from."""
    if config.name is not None:
        return f"model {config.name!r} in the persistor"
    path = config.path or DEFAULT_PATH
    return f"the latest archive in {path}" if path.is_dir() else str(path)


def _checked(config: ModelsConfig, model: str | None, *, stored: bool) -> ModelsConfig:
    if config.url is not None:
        raise ConfigurationError(MODEL_SERVER)
    if model is not None:
        raise ConfigurationError(
            "the section `models:` of endpoints.yml says where the model comes from, and so does --model; "
            "remove one of them."
        )
    if config.name is not None and not stored:
        raise ConfigurationError(
            f"models: name: the model {config.name!r} is in a persistor, and there is none: add a section "
            "`persistor:` to endpoints.yml, or give --remote-storage."
        )
    return config
