"""`holdfast conversations show`: one dialogue, for a person or for a program."""

from __future__ import annotations

from pathlib import Path

import click

from holdfast.commands import options
from holdfast.commands.output import Output

# As in `Verbosity` and `SessionRule`, which are imported only when the command is called.
_VERBOSITIES = ("ALL", "APPLIED", "AFTER_RESTART", "NONE")
_RULES = ("action_session_start", "session_started", "inactive", "none")


@click.command("show")
@click.argument("sender_id", metavar="ID", type=options.as_id)
@click.option(
    "--verbosity",
    type=click.Choice(_VERBOSITIES, case_sensitive=False),
    metavar="|".join(_VERBOSITIES),
    help="Which events: ALL, those that still count (APPLIED), those behind the last restart, or NONE. "
    "By default AFTER_RESTART with --json, and ALL without.",
)
@click.option("--all-sessions", is_flag=True, help="Not only the latest session.")
@click.option(
    "--session-rule",
    type=click.Choice(_RULES, case_sensitive=False),
    metavar="RULE",
    help=f"Where the latest session begins: {', '.join(_RULES)}. By default what endpoints.yml says, or the first.",
)
@options.domain
@options.endpoints
@options.output
def show(
    *,
    sender_id: str,
    verbosity: str | None,
    all_sessions: bool,
    session_rule: str | None,
    domain: Path | None,
    endpoints: Path | None,
    out: Output,
) -> None:
    """Draw a dialogue and its slots; with --json print its state, with the keys of Rasa's tracker JSON.

    Drawn are messages, actions and what they changed. Events that were taken back are marked with x. Slots are shown
    when they are not at their initial value, all of them with -v.
    """
    from holdfast.commands.conversations.opening import opened
    from holdfast.conversations.rule import SessionRule
    from holdfast.conversations.tracker import Verbosity
    from holdfast.errors import ConversationNotFoundError

    rule = SessionRule(session_rule) if session_rule else None
    with opened(endpoints, out, domain=domain, needs_domain=True, session_rule=rule) as conversations:
        tracker = conversations.retrieve_full(sender_id) if all_sessions else conversations.retrieve(sender_id)
        head = conversations.head(sender_id)
    if tracker is None or head is None:
        raise ConversationNotFoundError(sender_id)
    if out.as_json:
        out.json(tracker.current_state(Verbosity(verbosity or Verbosity.AFTER_RESTART)))
        return
    from holdfast.commands.conversations.drawing import draw

    draw(tracker, head, out, verbosity=Verbosity(verbosity or Verbosity.ALL))
