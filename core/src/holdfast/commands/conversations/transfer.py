"""`holdfast conversations export` and `import`: JSON lines out and in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from holdfast.commands import exit_codes, options
from holdfast.commands.output import Output
from holdfast.commands.progress import Bar, bar
from holdfast.commands.visible import visible_json
from holdfast.conversations import jsonl
from holdfast.errors import ConversationNotFoundError


@click.command("export")
@click.argument("ids", metavar="[ID...]", nargs=-1, type=options.as_id)
@click.option(
    "-o", "--out", "target", metavar="FILE", type=click.Path(path_type=Path), help="Write there, not on stdout."
)
@options.domain
@options.endpoints
@options.output
@click.pass_context
def export(
    ctx: click.Context,
    *,
    ids: Sequence[str],
    target: Path | None,
    domain: Path | None,
    endpoints: Path | None,
    out: Output,
) -> None:
    """Write conversations as JSON lines {"sender_id", "events"}, all of them by default.

    FILE appears when it is complete. The exit code is 3 if an ID does not exist; the others are written all the same.
    """
    from holdfast.commands.conversations.opening import opened

    written = 0
    missing = []
    to_file = target is not None and str(target) != "-"
    with opened(endpoints, out, domain=domain) as conversations, _writing(target if to_file else None) as file:
        total = len(ids) or (conversations.count() if to_file else 0)
        with bar(out if to_file else Output(as_json=True), "exporting", total) as progress:
            for sender_id in ids or conversations.keys():
                try:
                    for line in jsonl.export_lines(conversations, [sender_id]):
                        if file is None:
                            out.raw(visible_json(line) + "\n")
                        else:
                            file.write(line + "\n")
                        written += 1
                except ConversationNotFoundError as error:
                    if ids:  # otherwise it was deleted since it was listed
                        missing.append(sender_id)
                        progress.say(f"error: {error}") if not out.as_json else out.error(
                            type(error).__name__, str(error)
                        )
                progress(written + len(missing))
    if to_file:
        if out.as_json:
            out.json({"exported": written, "not_found": missing, "file": str(target)})
        else:
            out.note(f"{written} conversations written to {target}")
    if missing:
        ctx.exit(exit_codes.NOT_FOUND)


@click.command("import")
@click.argument(
    "file", metavar="FILE.jsonl", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option("--dry-run", is_flag=True, help="Compare, and write nothing.")
@options.domain
@options.endpoints
@options.output
@click.pass_context
def import_(
    ctx: click.Context, *, file: Path, dry_run: bool, domain: Path | None, endpoints: Path | None, out: Output
) -> None:
    """Read conversations from JSON lines {"sender_id", "events"}; - is stdin.

    What stands in the store already is left as it is, so an import can be repeated, and goes on where it was stopped.
    The exit code is 1 if a line is bad, 5 if other events stand in the store; the other lines are imported all the
    same.
    """
    from holdfast.commands.conversations.opening import opened

    with opened(endpoints, out, domain=domain) as conversations, _reading(file) as source:
        size = os.fstat(source.fileno()).st_size if str(file) != "-" else None
        with bar(out, "importing", size, in_bytes=True) as progress:
            read = 0

            def tell(line: jsonl.Line) -> None:
                nonlocal read
                read += line.size
                progress(read)
                _tell(line, out, progress)

            report = jsonl.import_lines(conversations, source, tell, dry_run=dry_run)
    if out.as_json:
        out.json(
            {
                "imported": report.imported,
                "already_there": report.already_there,
                "conflicting": report.conflicting,
                "bad": report.bad,
                "events": report.events,
                "dry_run": dry_run,
            }
        )
    else:
        would = "would be " if dry_run else ""
        out.line(
            f"{report.imported} {would}imported ({report.events} events), {report.already_there} already there, "
            f"{report.conflicting} conflicting, {report.bad} bad lines"
        )
    if report.bad:
        ctx.exit(exit_codes.FAILURE)
    if report.conflicting:
        ctx.exit(exit_codes.CONFLICT)


def _tell(line: jsonl.Line, out: Output, progress: Bar) -> None:
    failed = line.outcome in (jsonl.Outcome.BAD, jsonl.Outcome.CONFLICTING)
    text = f"line {line.number}: {line.detail or f'{line.sender_id} {line.outcome.value}'}"
    if failed and out.as_json:
        out.error("ConflictError" if line.outcome is jsonl.Outcome.CONFLICTING else "InvalidEventError", text)
    elif failed:
        progress.say(f"error: {text}")
    elif out.verbose and not out.as_json:
        progress.say(text)


@contextmanager
def _reading(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
    else:
        with file.open("rb") as source:
            yield source


@contextmanager
def _writing(target: Path | None) -> Iterator[IO[str] | None]:
    """A file that gets its name when it is complete; a device or a pipe is written to as it is."""
    if target is None:
        yield None
        return
    if target.exists() and not target.is_file():
        with target.open("w", encoding="utf-8") as file:
            yield file
        return
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
