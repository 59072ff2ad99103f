"""What an event says, in the lines a person reads. Everything in an event is somebody else's: nothing is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.commands.visible import json_text, visible
from holdfast.conversations.event import Event
from holdfast.conversations.events import LISTEN_ACTION

SAID = "said"
ASIDE = "aside"
"""Styles of a line: what was said, and what else is known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it is drawn.

    Attributes:
        who: speaks; empty for what is not a message.
        lines: text and style of each line; the texts hold line breaks, and nothing a terminal would obey.
        mark: the event is a turn of the whole dialogue, drawn across it.
    """

    who: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list)
    mark: bool = False


def describe(event: Event, *, verbose: bool) -> Entry | None:
    """What to draw; `None` for an event only a curious person wants to see, unless `verbose`."""
    data = event.as_dict()
    if event.event in _MESSAGES:
        return Entry(event.event, list(_MESSAGES[event.event](data)))
    if event.event in _QUIET and not verbose:
        return None
    if event.event == "action" and data.get("name") == LISTEN_ACTION and not verbose:
        return None
    if event.event in _MARKS:
        return Entry(lines=[(_MARKS[event.event], ASIDE)], mark=True)
    teller = _ASIDES.get(event.event)
    text = _unknown(event.event, data) if teller is None else teller(data, verbose)
    return Entry(lines=[(text, ASIDE)])


def _user(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield visible(data.get("text") or "(no text)", lines=True), SAID
    parsed = _mapping(data.get("parse_data"))
    known = []
    intent = _mapping(parsed.get("intent"))
    if intent.get("name"):
        known.append(f"{visible(intent['name'])}{_confidence(intent.get('confidence'))}")
    for entity in _mappings(parsed.get("entities")):
        role = f" ({visible(entity['role'])})" if entity.get("role") else ""
        known.append(f"{visible(entity.get('entity'))}={_value(entity.get('value'))}{role}")
    if known:
        yield "  ".join(known), ASIDE


def _bot(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if data.get("text"):
        yield visible(data["text"], lines=True), SAID
    extra = _mapping(data.get("data"))
    for key in ("buttons", "quick_replies"):
        for button in _mappings(extra.get(key)):
            payload = button.get("payload")
            yield f"[{visible(button.get('title') or '')}]" + (f" {visible(payload)}" if payload else ""), SAID
    for key in ("image", "attachment"):
        if extra.get(key):
            yield f"{key}: {_value(extra[key]) if not isinstance(extra[key], str) else visible(extra[key])}", SAID
    for key in ("elements", "custom"):
        if extra.get(key):
            yield f"{key}: {_value(extra[key])}", ASIDE
    known = {"buttons", "quick_replies", "image", "attachment", "elements", "custom"}
    for key, value in extra.items():
        if key not in known and value:
            yield f"{visible(key)}: {_value(value)}", ASIDE


def _agent(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield visible(data.get("text") or "(no text)", lines=True), SAID
    if data.get("data"):
        yield _value(data["data"]), ASIDE


def _action(data: dict[str, Any], verbose: bool) -> str:
    name = data.get("name")
    text = f"action {visible(name)}" if name else f"action says {_value(data.get('action_text'))}"
    if verbose and data.get("policy"):
        text += f"  by {visible(data['policy'])}{_confidence(data.get('confidence'))}"
    return text


def _slot(data: dict[str, Any], _: bool) -> str:
    return f"slot {visible(data.get('name'))} = {_value(data.get('value'))}"


def _loop(data: dict[str, Any], _: bool) -> str:
    return f"form {visible(data['name'])} begins" if data.get("name") else "the form ends"


def _rejected(data: dict[str, Any], _: bool) -> str:
    return f"action {visible(data.get('name'))} declined to run"


def _interrupted(data: dict[str, Any], _: bool) -> str:
    interrupted = data.get("is_interrupted", not data.get("validate", True))
    return "the form is interrupted" if interrupted else "the form goes on"


def _reminder(data: dict[str, Any], _: bool) -> str:
    return f"reminder {visible(data.get('intent'))} at {visible(data.get('date_time'))}"


def _cancelled(data: dict[str, Any], _: bool) -> str:
    which = [f"{key} {_value(data[key])}" for key in ("name", "intent", "entities") if data.get(key)]
    return f"reminders cancelled: {', '.join(which) or 'all'}"


def _entities(data: dict[str, Any], _: bool) -> str:
    found = [f"{visible(each.get('entity'))}={_value(each.get('value'))}" for each in _mappings(data.get("entities"))]
    return f"entities added: {'  '.join(found)}"


def _unknown(kind: str, data: dict[str, Any]) -> str:
    rest = {key: value for key, value in data.items() if key not in ("event", "timestamp", "metadata")}
    return f"{visible(kind)} {json_text(rest) if rest else ''}".rstrip()


def _confidence(value: Any) -> str:
    return f" {value:.2f}" if isinstance(value, int | float) else ""


def _value(value: Any) -> str:
    return visible(json_text(value))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


_MESSAGES: dict[str, Callable[[dict[str, Any]], Iterator[tuple[str, str]]]] = {
    "user": _user,
    "bot": _bot,
    "agent": _agent,
}
_QUIET = frozenset(("session_started", "user_featurization"))
_MARKS = {
    "restart": "restart: what stands above no longer counts",
    "rewind": "rewind: the latest message and what followed it are taken back",
    "undo": "undo: the latest action and what followed it are taken back",
    "pause": "pause: the assistant is silent",
    "resume": "resume: the assistant speaks again",
}
_ASIDES: dict[str, Callable[[dict[str, Any], bool], str]] = {
    "action": _action,
    "slot": _slot,
    "active_loop": _loop,
    "form": _loop,
    "loop_interrupted": _interrupted,
    "form_validation": _interrupted,
    "action_execution_rejected": _rejected,
    "followup": lambda data, _: f"next action {visible(data.get('name'))}",
    "reset_slots": lambda _data, _: "all slots reset",
    "reminder": _reminder,
    "cancel_reminder": _cancelled,
    "entities": _entities,
    "session_started": lambda _data, _: "session started",
    "user_featurization": lambda data, _: f"uses the {'text' if data.get('use_text_for_featurization') else 'intent'}",
    "export": lambda data, _: f"exported as a story to {visible(data.get('path') or 'its default file')}",
}
