"""`holdfast models current` and `rollback`: what is deployed in this directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.commands import options
from holdfast.commands.output import Output
from holdfast.errors import ModelNotFoundError

if TYPE_CHECKING:
    from holdfast.models.deployment import Deployment


@click.command("current")
@options.endpoints
@options.output
def current(*, endpoints: Path | None, out: Output) -> None:
    """Name the model that is deployed here, and where it is unpacked."""
    from holdfast.commands.models.opening import opened

    with opened(endpoints, None, out) as models:
        deployment = models.current()
    if deployment is None:
        raise ModelNotFoundError("no model is deployed here; `holdfast run` deploys one.")
    _show(deployment, out)


@click.command("rollback")
@options.endpoints
@options.output
def rollback(*, endpoints: Path | None, out: Output) -> None:
    """Deploy again what was deployed before the current model; no storage is asked.

    A `holdfast run` that is under way deploys the newest model again when it looks next.
    """
    from holdfast.commands.models.opening import opened

    with opened(endpoints, None, out) as models:
        deployment = models.rollback()
    _show(deployment, out)


def _show(deployment: Deployment, out: Output) -> None:
    if out.as_json:
        out.json(deployment.to_dict())
    elif out.for_person:
        out.line(f"{deployment.name} (sha256 {deployment.digest})")
        out.line(f"in {deployment.path}")
    else:
        out.table(("name", "path"), [(deployment.name, deployment.path)])
