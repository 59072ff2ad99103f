"""`holdfast models list`, `latest` and `delete`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from holdfast.commands import exit_codes, options
from holdfast.commands.output import Output
from holdfast.errors import ModelNotFoundError


@click.command("list")
@options.remote_storage
@options.endpoints
@options.output
def list_(*, remote_storage: str | None, endpoints: Path | None, out: Output) -> None:
    """List models by name; one without a digest was not pushed with holdfast."""
    from holdfast.commands.models.description import HEADINGS, row
    from holdfast.commands.models.opening import opened

    with opened(endpoints, remote_storage, out) as models:
        found = list(models.list())
    if out.as_json:
        out.json({"models": [model.to_dict() for model in found]})
    elif found:
        out.table(HEADINGS, [row(model, zone=not out.for_person) for model in found])
    else:
        out.note("no models")


@click.command("latest")
@options.remote_storage
@options.endpoints
@options.output
def latest(*, remote_storage: str | None, endpoints: Path | None, out: Output) -> None:
    """Name the model that was trained last, by what the archive itself says."""
    from holdfast.commands.models.description import line
    from holdfast.commands.models.opening import opened

    with opened(endpoints, remote_storage, out) as models:
        model = models.latest()
    if out.as_json:
        out.json(model.to_dict())
    elif out.for_person or out.verbose:
        out.line(line(model))
    else:
        out.line(model.name)


@click.command("delete")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=options.as_id)
@options.yes
@options.remote_storage
@options.endpoints
@options.output
@click.pass_context
def delete(
    ctx: click.Context,
    *,
    names: Sequence[str],
    yes: bool,
    remote_storage: str | None,
    endpoints: Path | None,
    out: Output,
) -> None:
    """Delete models for good.

    The exit code is 3 if one of them does not exist; the others are deleted all the same.
    """
    from holdfast.commands.models.opening import opened

    names = tuple(dict.fromkeys(names))
    what = f"the model {names[0]!r}" if len(names) == 1 else f"{len(names)} models"
    deleted = []
    missing = []
    with opened(endpoints, remote_storage, out) as models:
        if not options.confirm(f"Delete {what} for good?", yes=yes):
            out.note("nothing was deleted")
            ctx.exit(exit_codes.FAILURE)
        for name in names:
            try:
                models.delete(name)
            except ModelNotFoundError as error:
                out.error(type(error).__name__, str(error))
                missing.append(name)
            else:
                deleted.append(name)
                if not out.as_json:
                    out.line(f"deleted {name}")
    if out.as_json:
        out.json({"deleted": deleted, "not_found": missing})
    if missing:
        ctx.exit(exit_codes.NOT_FOUND)
