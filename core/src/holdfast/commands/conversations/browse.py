"""`holdfast conversations list` and `delete`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.commands import exit_codes, options
from holdfast.commands.moments import as_seconds, written
from holdfast.commands.output import Output

if TYPE_CHECKING:
    from holdfast.conversations.store import Head

_HEADINGS = ("id", "user", "events", "sessions", "updated")
_AT_ONCE = 500


@click.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many on a page.")
@click.option("--cursor", metavar="TEXT", help="Where the page begins: what the page before ended with.")
@click.option("--user", help="Only those of this user.")
@click.option("--updated-before", type=as_seconds, metavar="TIME", help="Only those not updated since (ISO 8601).")
@click.option("--all", "everything", is_flag=True, help="All pages; with --json, one JSON object a line.")
@options.domain
@options.endpoints
@options.output
def list_(
    *,
    limit: int,
    cursor: str | None,
    user: str | None,
    updated_before: float | None,
    everything: bool,
    domain: Path | None,
    endpoints: Path | None,
    out: Output,
) -> None:
    """List conversations, the most recently updated first."""
    from holdfast.commands.conversations.opening import opened

    first = True
    with opened(endpoints, out, domain=domain) as conversations:
        while True:
            page = conversations.list(
                cursor, _AT_ONCE if everything else limit, user=user, updated_before=updated_before
            )
            cursor = page.cursor
            if out.as_json and not everything:
                out.json({"conversations": [_object(head) for head in page.heads], "cursor": cursor})
            elif out.as_json:
                for head in page.heads:
                    out.json(_object(head))
            elif page.heads:
                out.table(_HEADINGS, [_row(head, zone=not out.for_person) for head in page.heads], titled=first)
            elif first:
                out.note("no conversations")
            first = False
            if not everything or cursor is None:
                break
    if cursor is not None:
        out.note(f"there are more: --cursor {cursor}, or --all")


@click.command("delete")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=options.as_id)
@options.yes
@options.domain
@options.endpoints
@options.output
@click.pass_context
def delete(
    ctx: click.Context,
    *,
    ids: Sequence[str],
    yes: bool,
    domain: Path | None,
    endpoints: Path | None,
    out: Output,
) -> None:
    """Erase conversations for good.

    The exit code is 3 if one of them does not exist; the others are erased all the same.
    """
    from holdfast.commands.conversations.opening import opened
    from holdfast.errors import ConversationNotFoundError

    ids = tuple(dict.fromkeys(ids))
    what = f"conversation {ids[0]!r}" if len(ids) == 1 else f"{len(ids)} conversations"
    deleted: list[str] = []
    missing: list[str] = []
    with opened(endpoints, out, domain=domain) as conversations:
        if not options.confirm(f"Erase {what} for good?", yes=yes):
            out.note("nothing was erased")
            ctx.exit(exit_codes.FAILURE)
        for sender_id in ids:
            (deleted if conversations.delete(sender_id) else missing).append(sender_id)
            if not out.as_json and sender_id in deleted[-1:]:
                out.line(f"erased {sender_id}")
    if out.as_json:
        out.json({"deleted": deleted, "not_found": missing})
    for sender_id in missing:
        out.error("ConversationNotFoundError", str(ConversationNotFoundError(sender_id)))
    if missing:
        ctx.exit(exit_codes.NOT_FOUND)


def _object(head: Head) -> dict[str, Any]:
    found = asdict(head)
    return {"sender_id": found.pop("conversation"), **found}


def _row(head: Head, *, zone: bool) -> tuple[object, ...]:
    return (head.conversation, head.user, head.version - head.first + 1, head.session, written(head.updated, zone=zone))
