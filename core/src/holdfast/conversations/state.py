"""Replaying events into the state of a dialogue, with the results of Rasa Open Source 3.6.

Rasa applies events one by one, and at each `undo` and `rewind` starts over from the events that still count. A full
reset makes everything before it irrelevant, so only the *last* reset, undo or rewind needs to be found: the events
that count at that point are applied once, then the rest. That gives the same state in one pass, however many events
were taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from holdfast.conversations.domain import Domain
from holdfast.conversations.event import Event, JSONObject
from holdfast.conversations.events import LISTEN_ACTION, SESSION_START_ACTION, UserUttered

_NO_MESSAGE = UserUttered()
_TAKEN_BACK = frozenset(("undo", "rewind"))
_RESETS = frozenset(("restart", "session_started"))


class State:
    """Where a dialogue stands after its events.

    Attributes:
        slots: every slot's value.
        paused: whether the assistant is to be silent.
        latest_action: `{"action_name": …}` or `{"action_text": …}`; empty before the first action.
        latest_bot_utterance: the latest `bot` event, if any.
        followup_action: the action that must run next, if any.
        active_loop: name, is_interrupted, rejected and trigger_message of the active loop; empty without one.
    """

    __slots__ = (
        "_added_entities",
        "_domain",
        "_featurization",
        "_message",
        "active_loop",
        "followup_action",
        "latest_action",
        "latest_bot_utterance",
        "paused",
        "slots",
    )

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.reset()

    def reset(self) -> None:
        """Back to how a conversation begins."""
        self.slots: dict[str, Any] = self._domain.initial_slots()
        self.paused = False
        self.latest_action: dict[str, Any] = {}
        self.latest_bot_utterance: Event | None = None
        self.followup_action: str | None = LISTEN_ACTION
        self.active_loop: dict[str, Any] = {}
        self._message: Event = _NO_MESSAGE
        self._added_entities: list[JSONObject] = []
        self._featurization: Event | None = None

    @property
    def latest_message(self) -> JSONObject:
        """What is known of the latest message: intent, entities, text and the rest of its parse data."""
        message = self._message._data
        parsed = message.get("parse_data")
        parsed = parsed if isinstance(parsed, dict) else {}
        entities = list(parsed["entities"]) if isinstance(parsed.get("entities"), list) else []
        entities += [entity for entity in self._added_entities if entity not in entities]
        return {
            "intent": {},
            "text": message.get("text"),
            "message_id": message.get("message_id"),
            "metadata": message.get("metadata") or {},
            **parsed,
            "entities": entities,
        }

    @property
    def latest_action_name(self) -> str | None:
        """Name of the latest action, or its text."""
        return self.latest_action.get("action_name") or self.latest_action.get("action_text")

    @property
    def use_text_for_featurization(self) -> bool | None:
        """What the latest `user_featurization` said of the latest message, if one did."""
        return None if self._featurization is None else self._featurization._data.get("use_text_for_featurization")

    def apply(self, event: Event) -> None:
        """Apply one event; `undo` and `rewind` need the events before them, see `replay`."""
        handler = _HANDLERS.get(event.event)
        if handler is not None:
            handler(self, event)


def _user(state: State, event: Event) -> None:
    state._message = event
    state._added_entities = []
    state._featurization = None
    state.followup_action = None


def _bot(state: State, event: Event) -> None:
    state.latest_bot_utterance = event


def _action(state: State, event: Event) -> None:
    name = event.name
    state.latest_action = {"action_name": name} if name else {"action_text": event._data.get("action_text")}
    state.followup_action = None
    loop = state.active_loop
    if loop:
        loop["is_interrupted"] = False
        if name == loop["name"]:
            loop["rejected"] = False


def _slot(state: State, event: Event) -> None:
    name, value = str(event.name), event._data.get("value")
    declared = state._domain.slots
    if declared is None:
        state.slots[name] = value
    elif name in declared:
        state.slots[name] = declared[name].coerce(value)


def _reset_slots(state: State, _: Event) -> None:
    state.slots = state._domain.initial_slots()


def _entities(state: State, event: Event) -> None:
    if state.latest_action_name == LISTEN_ACTION:
        known = state._added_entities
        known.extend(entity for entity in event._data.get("entities") or () if entity not in known)


def _featurization(state: State, event: Event) -> None:
    if state.latest_action_name == LISTEN_ACTION:
        state._featurization = event


def _loop(state: State, event: Event) -> None:
    name = event.name
    state.active_loop = (
        {}
        if name is None
        else {"name": name, "is_interrupted": False, "rejected": False, "trigger_message": state.latest_message}
    )


def _interrupt(state: State, is_interrupted: bool) -> None:
    if state.active_loop:
        state.active_loop["is_interrupted"] = is_interrupted


def _reject(state: State, event: Event) -> None:
    if state.active_loop and event.name == state.active_loop["name"]:
        state.active_loop["rejected"] = True


def _followup(state: State, event: Event) -> None:
    state.followup_action = event.name


def _pause(state: State, event: Event) -> None:
    state.paused = event.event == "pause"


def _restart(state: State, _: Event) -> None:
    state.reset()
    state.followup_action = SESSION_START_ACTION


_HANDLERS: dict[str, Callable[[State, Event], None]] = {
    "user": _user,
    "bot": _bot,
    "action": _action,
    "slot": _slot,
    "reset_slots": _reset_slots,
    "entities": _entities,
    "user_featurization": _featurization,
    "active_loop": _loop,
    "form": _loop,
    "loop_interrupted": lambda state, event: _interrupt(state, bool(event._data.get("is_interrupted", False))),
    "form_validation": lambda state, event: _interrupt(state, not event._data.get("validate", True)),
    "action_execution_rejected": _reject,
    "followup": _followup,
    "pause": _pause,
    "resume": _pause,
    "restart": _restart,
    "session_started": lambda state, _: state.reset(),
}


def replay(events: Sequence[Event], domain: Domain) -> State:
    """The state after `events`, the same as applying them one after the other."""
    state = State(domain)
    start = 0
    for index in range(len(events) - 1, -1, -1):
        kind = events[index].event
        if kind in _TAKEN_BACK:
            for event in applied(events[: index + 1]):
                state.apply(event)
            start = index + 1
            break
        if kind in _RESETS:
            start = index
            break
    for index in range(start, len(events)):
        state.apply(events[index])
    return state


def applied(events: Iterable[Event]) -> list[Event]:
    """The events that still count: none before the last restart or session start, none that was taken back.

    A loop that runs again collapses into its earlier run, so that one form turn counts once.
    """
    events = list(events)
    loops = {event.name for event in events if event.event in ("active_loop", "form")} - {None}
    counted: list[Event] = []
    for event in events:
        kind = event.event
        if kind in _RESETS:
            counted = []
        elif kind == "undo":
            _take_back(counted, "action")
        elif kind == "rewind":
            _take_back(counted, "user")
            _take_back(counted, "action")
        elif kind == "action" and event.name in loops and not _is_first_run(str(event.name), counted):
            _collapse(str(event.name), counted)
        else:
            counted.append(event)
    return counted


def _take_back(counted: list[Event], kind: str) -> None:
    while counted and counted.pop().event != kind:
        pass


def _is_first_run(loop: str, counted: Sequence[Event]) -> bool:
    """Whether the loop has not run since it was activated, or runs again after the user went another way."""
    following_action: str | None = None
    for event in reversed(counted):
        kind, name = event.event, event.name
        if kind in ("active_loop", "form") and name is None:
            return True
        if kind == "action_execution_rejected" and name == loop:
            return True
        if kind == "user" and following_action is not None and following_action != loop:
            return True
        if kind == "action":
            if name == loop:
                return False
            following_action = name
    return True


def _collapse(loop: str, counted: list[Event]) -> None:
    """Drop actions and messages since the loop's earlier run; slots and the rest of what happened there stay."""
    for index in range(len(counted) - 1, -1, -1):
        event = counted[index]
        if event.event == "action" and event.name == loop:
            return
        if event.event in ("action", "user", "user_featurization"):
            del counted[index]
