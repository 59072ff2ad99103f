"""`holdfast check`: is endpoints.yml right, and does what it names answer?"""

from __future__ import annotations

from pathlib import Path

import click

from holdfast.commands import exit_codes, options
from holdfast.commands.output import Output


@click.command("check")
@click.argument("file", metavar="[ENDPOINTS]", required=False, type=click.Path(path_type=Path))
@options.remote_storage
@options.domain
@options.endpoints
@options.output
@click.pass_context
def check(
    ctx: click.Context,
    *,
    file: Path | None,
    remote_storage: str | None,
    domain: Path | None,
    endpoints: Path | None,
    out: Output,
) -> None:
    """Validate endpoints.yml, connect to what it names, and say what is there.

    A wrong section does not keep the others from being checked. Nothing is written anywhere. The exit code is that of
    the worst finding.
    """
    from holdfast.commands.explanation import explain
    from holdfast.commands.findings import inspect

    if file is not None and endpoints is not None and file != endpoints:
        raise click.UsageError("name endpoints.yml once: as the argument, or with --endpoints.")
    path = file or endpoints
    findings = list(inspect(path, domain, remote_storage))
    if out.as_json:
        out.json(
            {"ok": all(finding.error is None for finding in findings), "sections": [f.as_dict() for f in findings]}
        )
    else:
        out.table(
            ("section", "status", "what was found"),
            [(finding.section, finding.status, finding.text) for finding in findings],
        )
        for finding in findings:
            if finding.error is not None:
                out.note(f"error: {explain(finding.error)}")
    ctx.exit(exit_codes.worst([exit_codes.exit_code(f.error) for f in findings if f.error is not None]))
