"""`holdfast models push`, `pull` and `verify`: commands that move or read whole archives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from holdfast.commands import exit_codes, options
from holdfast.commands.output import Output
from holdfast.commands.progress import bar
from holdfast.errors import BackendError, HoldfastError


@click.command("push")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("name", metavar="[NAME]", required=False, type=options.as_id)
@click.option("--overwrite", is_flag=True, help="Replace another model of that name.")
@options.remote_storage
@options.endpoints
@options.output
def push(
    *, file: Path, name: str | None, overwrite: bool, remote_storage: str | None, endpoints: Path | None, out: Output
) -> None:
    """Store the archive FILE as NAME; by default under the name of the file.

    It is looked into while it moves: a damaged or hostile archive never becomes visible. The exit code is 5 if another
    model has that name; pushing the same one again is harmless.
    """
    from holdfast.commands.models.description import line
    from holdfast.commands.models.opening import opened

    with (
        opened(endpoints, remote_storage, out) as models,
        bar(out, f"pushing {file.name}", in_bytes=True) as progress,
    ):
        model = models.push(file, name, overwrite=overwrite, progress=progress)
    if out.as_json:
        out.json(model.to_dict())
    else:
        out.line(f"pushed {line(model)}")


@click.command("pull")
@click.argument("name", metavar="NAME", type=options.as_id)
@click.option(
    "-o", "--out", "target", metavar="PATH", type=click.Path(path_type=Path), help="File or directory; here by default."
)
@options.remote_storage
@options.endpoints
@options.output
def pull(*, name: str, target: Path | None, remote_storage: str | None, endpoints: Path | None, out: Output) -> None:
    """Fetch the archive of the model NAME; it appears when it is complete and verified."""
    from holdfast.commands.models.opening import opened

    with opened(endpoints, remote_storage, out) as models, bar(out, f"pulling {name}", in_bytes=True) as progress:
        path = models.pull(name, target or Path(), progress=progress)
        model = models.get(name) if out.as_json else None
    if model is not None:
        out.json({**model.to_dict(), "path": str(path)})
    else:
        out.line(str(path))


@click.command("verify")
@click.argument("names", metavar="[NAME...]", nargs=-1, type=options.as_id)
@click.option("--all", "everything", is_flag=True, help="Every model in the storage.")
@options.remote_storage
@options.endpoints
@options.output
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    names: Sequence[str],
    everything: bool,
    remote_storage: str | None,
    endpoints: Path | None,
    out: Output,
) -> None:
    """Read stored archives and compare their digests with the ones they were pushed with.

    One that fails does not stop the others; the exit code is 6 then.
    """
    from holdfast.commands.models.opening import opened

    if bool(names) == everything:
        raise click.UsageError("name the models to verify, or say --all.")
    codes = []
    verified = []
    failed = []
    with opened(endpoints, remote_storage, out) as models:
        for name in [model.name for model in models.list()] if everything else names:
            try:
                with bar(out, f"verifying {name}", in_bytes=True) as progress:
                    found = models.verify(name, progress=progress)
            except BackendError:
                raise
            except HoldfastError as error:
                out.error(type(error).__name__, str(error))
                codes.append(exit_codes.exit_code(error))
                failed.append(name)
            else:
                verified.append(found)
                if not out.as_json:
                    what = "verified" if found.promised else "undamaged, but nothing promises its digest:"
                    out.line(f"{what} {found.name}  sha256 {found.sha256}")
    if out.as_json:
        out.json({"verified": [each.to_dict() for each in verified], "failed": failed})
    ctx.exit(exit_codes.worst(codes))
