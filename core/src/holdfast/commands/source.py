"""Where `holdfast run` takes its model from. What was named is taken, or nothing: never another model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from holdfast.endpoints import Endpoints
from holdfast.errors import ConfigurationError, ModelNotFoundError

if TYPE_CHECKING:
    from holdfast.models.deployment import Deployment
    from holdfast.models.service import Models

DEFAULT_PATH: Final = Path("models")
MODEL_SERVER: Final = (
    "models: url: taking the model from an HTTP model server comes with the next release; until then write "
    "`path:` (an archive or a directory) or `name:` (a model in the persistor)."
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the model comes from.

    Attributes:
        text: says so.
        deploy: looks for the model that is there now, and deploys it unless it is deployed already.
    """

    text: str
    deploy: Callable[[], Deployment]


def resolve(endpoints: Endpoints, models: Models, model: str | None, remote_storage: str | None) -> Source:
    """Find where the model comes from: the section `models:`, else a storage, else a path.

    Args:
        endpoints: what endpoints.yml says.
        models: deploys.
        model: `--model`, if given: a path, or the name of a model in the storage.
        remote_storage: `--remote-storage`, if given.

    Raises:
        ConfigurationError: the source is not supported, or two are given.
        ModelNotFoundError: nothing stands at the path.
    """
    config = endpoints.models
    if config is not None:
        if config.url is not None:
            raise ConfigurationError(MODEL_SERVER)
        if model is not None:
            raise ConfigurationError(
                "the section `models:` of endpoints.yml says where the model comes from, and so does --model; "
                "remove one of them."
            )
        if config.name is None:
            return _at(models, config.path or DEFAULT_PATH)
        if endpoints.persistor is None and remote_storage is None:
            raise ConfigurationError(
                f"models: name: the model {config.name!r} is in a persistor, and there is none: add a section "
                "`persistor:` to endpoints.yml, or give --remote-storage."
            )
        return _named(models, config.name)
    if remote_storage is not None:
        if model is None:
            raise ConfigurationError(
                "--remote-storage needs --model NAME: which of the models there is to be deployed?"
            )
        return _named(models, model)
    path = DEFAULT_PATH if model is None else Path(model)
    if model is not None and not path.exists() and endpoints.persistor is not None:
        return _named(models, model)
    if not path.exists():
        default = "" if model is not None else " (the default); name one with --model or in the section `models:`"
        raise ModelNotFoundError(f"no model stands at {path}{default}.")
    return _at(models, path)


def _named(models: Models, name: str) -> Source:
    if Path(name).exists():
        # `Models.deploy` would take what stands in the working directory.
        raise ConfigurationError(
            f"{name!r} is meant to be a model in the persistor, but something of that name stands in the working "
            "directory; rename it, or begin holdfast in another directory."
        )
    return Source(f"model {name!r} in the persistor", lambda: models.deploy(name))


def _at(models: Models, path: Path) -> Source:
    return Source(f"the latest archive in {path}" if path.is_dir() else str(path), lambda: models.deploy(path))
