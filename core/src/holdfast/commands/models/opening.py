"""Opens what a command needs of the configuration: the models, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from holdfast.commands.options import load_endpoints
from holdfast.commands.output import Output
from holdfast.endpoints import Endpoints
from holdfast.models.service import Models
from holdfast.opening import open_persistor


@contextmanager
def opened(endpoints: Path | None, remote_storage: str | None, out: Output) -> Iterator[Models]:
    """Give the models of a configuration, and close the persistor at the end.

    Args:
        endpoints: as on the command line.
        remote_storage: as on the command line.
        out: for what is said meanwhile.
    """
    with closing(models_of(load_endpoints(endpoints, out), remote_storage)) as models:
        yield models


def models_of(endpoints: Endpoints, remote_storage: str | None = None) -> Models:
    """The models of a configuration; without a persistor, whatever needs one says so.

    Args:
        endpoints: what endpoints.yml says.
        remote_storage: name of a persistor to use instead.
    """
    return Models.of(open_persistor(endpoints, remote_storage), endpoints.models)
