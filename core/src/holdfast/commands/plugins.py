"""`holdfast plugins`: the backends that are installed."""

from __future__ import annotations

from dataclasses import asdict

import click

from holdfast.commands import exit_codes, options
from holdfast.commands.lazy import LazyGroup
from holdfast.commands.output import Output


@click.group(
    "plugins",
    cls=LazyGroup,
    lazy={"list": (f"{__name__}:list_", "List every installed backend; --check imports them.")},
)
def plugins() -> None:
    """The backends that are installed."""


@click.command("list")
@click.option("--check", is_flag=True, help="Import each of them, and say which cannot be used.")
@options.output
@click.pass_context
def list_(ctx: click.Context, *, check: bool, out: Output) -> None:
    """List name, kind, distribution, version and status of every installed backend.

    NAME is what stands in endpoints.yml after `type:`, KIND the section. Nothing is imported without --check. With it,
    the exit code is 4 if one cannot be used.
    """
    from holdfast import registry

    found = registry.listing(check=check)
    if out.as_json:
        out.json({"plugins": [asdict(info) for info in found]})
    else:
        status = {"ok": "works" if check else "installed"}
        out.table(
            ["name", "kind", "distribution", "version", "status", *(["what it is"] if check else [])],
            [
                (info.name, info.kind, info.distribution, info.version, status.get(info.status, info.status))
                + ((info.summary,) if check else ())
                for info in found
            ],
        )
    failed = [info for info in found if info.status != "ok"]
    for detail in dict.fromkeys(info.detail for info in failed):
        out.note(f"error: {detail}")
    if check and failed:
        ctx.exit(exit_codes.CONFIGURATION)
