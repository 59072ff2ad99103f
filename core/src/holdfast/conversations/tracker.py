"""The tracker: a conversation in hand, its state, and the events that are not yet saved."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from holdfast.conversations.domain import Domain
from holdfast.conversations.event import Event, JSONObject
from holdfast.conversations.events import LISTEN_ACTION, SESSION_START_ACTION, ActionExecuted, SessionStarted, SlotSet
from holdfast.conversations.state import State, applied, replay


class Verbosity(StrEnum):
    """Which events `Tracker.current_state` includes."""

    ALL = "ALL"
    """Every event the tracker holds."""
    AFTER_RESTART = "AFTER_RESTART"
    """Those behind the last restart."""
    APPLIED = "APPLIED"
    """Those that still count: not taken back, not before the last restart or session start."""
    NONE = "NONE"
    """No events at all."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events on their way to the store under one id, so that trying again is harmless."""

    id: str
    expected: int
    events: tuple[Event, ...]


class Tracker:
    """One conversation: the events that were loaded and those added since.

    Attributes:
        sender_id: id of the conversation.
        domain: what its slots are.
        user: the user it belongs to, if one is known.
        version: sequence number of the last event that is known to be stored; 0 before anything is.
        first: sequence number of the oldest event held here.
    """

    def __init__(
        self,
        sender_id: str,
        domain: Domain | None = None,
        *,
        events: Iterable[Event] = (),
        version: int = 0,
        first: int = 1,
        user: str | None = None,
    ) -> None:
        self.sender_id = sender_id
        self.domain = domain if domain is not None else Domain()
        self.user = user
        self.version = version
        self.first = first
        self._stored: list[Event] = list(events)
        self._unsettled: Batch | None = None
        self._added: list[Event] = []
        self._state: State | None = None

    @property
    def events(self) -> tuple[Event, ...]:
        """The events held here, oldest first: those that were loaded, then those added since."""
        return (*self._stored, *self.unsaved)

    @property
    def unsaved(self) -> tuple[Event, ...]:
        """The events that are not known to be stored."""
        return (*(self._unsettled.events if self._unsettled else ()), *self._added)

    def add(self, *events: Event | Mapping[str, Any]) -> None:
        """Add events behind those held here; `save` stores them.

        What is added is copied and can no longer change, so that the state here is the state a reader will see.

        Raises:
            InvalidEventError: one is no event, or holds something JSON cannot express; none was added.
        """
        frozen = [(event if isinstance(event, Event) else Event.from_dict(event)).frozen() for event in events]
        for event in frozen:
            self._added.append(event)
            if self._state is not None:
                if event.event in ("undo", "rewind"):
                    self._state = None
                else:
                    self._state.apply(event)

    @property
    def state(self) -> State:
        """Where the dialogue stands after the events held here."""
        if self._state is None:
            self._state = replay(self.events, self.domain)
        return self._state

    @property
    def slots(self) -> Mapping[str, Any]:
        """The value of every slot."""
        return self.state.slots

    def get_slot(self, name: str) -> Any:
        """The value of a slot, `None` if it is empty or there is no such slot."""
        return self.state.slots.get(name)

    @property
    def latest_message(self) -> JSONObject:
        """What is known of the user's latest message."""
        return self.state.latest_message

    @property
    def latest_action_name(self) -> str | None:
        """The latest action."""
        return self.state.latest_action_name

    @property
    def active_loop_name(self) -> str | None:
        """The active loop, if one is active."""
        return self.state.active_loop.get("name")

    @property
    def followup_action(self) -> str | None:
        """The action that must run next, if one must."""
        return self.state.followup_action

    @property
    def paused(self) -> bool:
        """Whether the assistant is to be silent."""
        return self.state.paused

    @property
    def latest_event_time(self) -> float | None:
        """The time the last event gives, in seconds since the epoch."""
        events = self.events
        return events[-1].timestamp if events else None

    @property
    def latest_input_channel(self) -> str | None:
        """The channel of the user's latest message, even of one that was taken back."""
        for event in reversed(self.events):
            if event.event == "user":
                return event.as_dict().get("input_channel")
        return None

    def applied_events(self) -> tuple[Event, ...]:
        """The events that still count."""
        return tuple(applied(self.events))

    def current_state(self, verbosity: Verbosity | str = Verbosity.NONE) -> JSONObject:
        """The state as one JSON object with the keys of Rasa's tracker JSON.

        Args:
            verbosity: which events go under `events`; `None` stands there for `NONE`.
        """
        state = self.state
        chosen = self._chosen(Verbosity(verbosity))
        return {
            "sender_id": self.sender_id,
            "slots": dict(state.slots),
            "latest_message": state.latest_message,
            "latest_event_time": self.latest_event_time,
            "followup_action": state.followup_action,
            "paused": state.paused,
            "events": None if chosen is None else [event.as_dict() for event in chosen],
            "latest_input_channel": self.latest_input_channel,
            "active_loop": dict(state.active_loop),
            "latest_action": dict(state.latest_action),
            "latest_action_name": state.latest_action_name,
        }

    def _chosen(self, verbosity: Verbosity) -> Sequence[Event] | None:
        if verbosity is Verbosity.NONE:
            return None
        if verbosity is Verbosity.APPLIED:
            return applied(self.events)
        events = self.events
        if verbosity is Verbosity.AFTER_RESTART:
            for index in range(len(events) - 1, -1, -1):
                if events[index].event == "restart":
                    return events[index + 1 :]
        return events

    def session_expired(self, now: float | None = None) -> bool:
        """Whether the next message belongs to a new session.

        That is so when no event counts (a new or just restarted conversation), and when the last message that counts
        is older than the domain's session expiration.

        Args:
            now: seconds since the epoch; the clock by default.
        """
        counted = applied(self.events)
        if not counted:
            return True
        minutes = self.domain.session.expiration_minutes
        said = next((event.timestamp for event in reversed(counted) if event.event == "user"), None)
        if not minutes or said is None:
            return False
        return (time.time() if now is None else now) - said > minutes * 60

    def start_session(self, metadata: Mapping[str, Any] | None = None) -> None:
        """Add the events that begin a session, in Rasa's order.

        The slots set so far are set again behind them if the domain carries slots over: each once, to its last value,
        where Rasa repeats every event that ever set one and so lets sessions grow from one to the next.

        Args:
            metadata: becomes the slot `session_started_metadata`, if given.
        """
        slots = {event.name: event for event in applied(self.events) if isinstance(event, SlotSet)}
        if metadata:
            self.add(SlotSet("session_started_metadata", dict(metadata)))
        self.add(ActionExecuted(SESSION_START_ACTION, confidence=1.0), SessionStarted())
        if self.domain.session.carry_over_slots:
            self.add(*(SlotSet(str(name), event.value) for name, event in slots.items()))
        self.add(ActionExecuted(LISTEN_ACTION))

    # How `Conversations.save` moves events from "added" to "stored".

    def _next_batch(self) -> Batch | None:
        """The batch to send: the one whose outcome is unknown, else all that was added since."""
        if self._unsettled is None and self._added:
            self._unsettled = Batch(uuid.uuid4().hex, self.version, tuple(self._added))
            self._added = []
        return self._unsettled

    def _acknowledge(self, batch: Batch, version: int) -> None:
        self._stored.extend(batch.events)
        self.version = version
        self._unsettled = None

    def _take_back(self, batch: Batch) -> None:
        """The batch is known not to be stored."""
        self._added[:0] = batch.events
        self._unsettled = None

    def _rebase(self, events: Sequence[Event], version: int) -> None:
        """Put events that others appended before those added here."""
        self._stored.extend(events)
        self.version = version
        self._state = None
