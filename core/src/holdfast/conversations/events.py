"""The event types that Rasa Open Source 3.6 knows, each with a constructor that fills in the keys Rasa would.

The keys and their defaults are those of `rasa.shared.core.events`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from holdfast.conversations.event import Event, JSONObject
from holdfast.errors import InvalidEventError

SESSION_START_ACTION = "action_session_start"
LISTEN_ACTION = "action_listen"


class _Made(Event):
    """What the constructors of the known types share."""

    __slots__ = ()

    def _fill(self, timestamp: float | None, metadata: Mapping[str, Any] | None, **fields: Any) -> None:
        data: JSONObject = {"event": self.type_name, "timestamp": timestamp or time.time()}
        if metadata:
            data["metadata"] = dict(metadata)
        data.update(fields)
        self.event = self.type_name
        self._object = data
        self._json = None


class _Bare(_Made):
    """A type with nothing but a time and metadata."""

    __slots__ = ()

    def __init__(self, *, timestamp: float | None = None, metadata: Mapping[str, Any] | None = None) -> None:
        self._fill(timestamp, metadata)


class UserUttered(_Made):
    """The user said something.

    `parse_data` is what a language understanding model made of it; `intent` and `entities` are taken from it unless
    given. Without any of them the message simply has no intent.
    """

    __slots__ = ()
    type_name = "user"

    def __init__(
        self,
        text: str | None = None,
        *,
        intent: Mapping[str, Any] | None = None,
        entities: Sequence[Mapping[str, Any]] | None = None,
        parse_data: Mapping[str, Any] | None = None,
        input_channel: str | None = None,
        message_id: str | None = None,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        parsed: JSONObject = {
            "intent": dict(intent or {}),
            "entities": [dict(entity) for entity in entities or ()],
            "text": text,
            "message_id": message_id,
            "metadata": dict(metadata or {}),
            **(parse_data or {}),
        }
        self._fill(timestamp, None, text=text, parse_data=parsed, input_channel=input_channel, message_id=message_id)
        self._data["metadata"] = dict(metadata or {})

    @classmethod
    def external(
        cls, intent: str, *, entities: Sequence[Mapping[str, Any]] | None = None, input_channel: str | None = None
    ) -> Self:
        """An intent that came from outside the dialogue: a reminder, a sensor, another service."""
        return cls(
            f"EXTERNAL: {intent}",
            intent={"name": intent},
            entities=entities,
            input_channel=input_channel,
            metadata={"is_external": True},
        )

    @property
    def text(self) -> str | None:
        """What was said."""
        return self._data.get("text")

    @property
    def parse_data(self) -> JSONObject:
        """What was understood."""
        value = self._data.get("parse_data")
        return value if isinstance(value, dict) else {}

    @property
    def intent_name(self) -> str | None:
        intent = self.parse_data.get("intent")
        name = intent.get("name") if isinstance(intent, dict) else None
        return name if isinstance(name, str) else None

    @property
    def entities(self) -> list[JSONObject]:
        """The entities found in the message."""
        return self.parse_data.get("entities") or []

    @property
    def input_channel(self) -> str | None:
        """The channel the message came through."""
        return self._data.get("input_channel")

    @property
    def message_id(self) -> str | None:
        """The channel's id of the message."""
        return self._data.get("message_id")


class BotUttered(_Made):
    """The assistant said something; `data` holds buttons, images and custom payloads."""

    __slots__ = ()
    type_name = "bot"

    def __init__(
        self,
        text: str | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._fill(timestamp, None, text=text, data=dict(data or {}))
        self._data["metadata"] = dict(metadata or {})

    @property
    def text(self) -> str | None:
        """What was said."""
        return self._data.get("text")

    @property
    def data(self) -> JSONObject:
        """What came with the text."""
        return self._data.get("data") or {}


class AgentUttered(_Made):
    """A human agent said something."""

    __slots__ = ()
    type_name = "agent"

    def __init__(
        self,
        text: str | None = None,
        *,
        data: Any = None,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._fill(timestamp, metadata, text=text, data=data)

    @property
    def text(self) -> str | None:
        """What was said."""
        return self._data.get("text")


class ActionExecuted(_Made):
    """An action ran: `name`, or `action_text` for an end-to-end prediction. One of them is needed."""

    __slots__ = ()
    type_name = "action"

    def __init__(
        self,
        name: str | None = None,
        *,
        policy: str | None = None,
        confidence: float | None = None,
        action_text: str | None = None,
        hide_rule_turn: bool = False,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if name is None and action_text is None:
            raise InvalidEventError("an 'action' event needs a name or an action_text")
        self._fill(
            timestamp,
            metadata,
            name=name,
            policy=policy,
            confidence=confidence,
            action_text=action_text,
            hide_rule_turn=hide_rule_turn,
        )

    @property
    def starts_session(self) -> bool:
        return self._data.get("name") == SESSION_START_ACTION


class SlotSet(_Made):
    """A slot took a value; `None` empties it."""

    __slots__ = ()
    type_name = "slot"

    def __init__(
        self,
        name: str,
        value: Any = None,
        *,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._fill(timestamp, metadata, name=name, value=value)

    @property
    def value(self) -> Any:
        """The value the slot took."""
        return self._data.get("value")


class AllSlotsReset(_Bare):
    """Every slot went back to its initial value."""

    __slots__ = ()
    type_name = "reset_slots"


class EntitiesAdded(_Made):
    """A policy found further entities in the latest message."""

    __slots__ = ()
    type_name = "entities"

    def __init__(
        self,
        entities: Sequence[Mapping[str, Any]],
        *,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._fill(timestamp, metadata, entities=[dict(entity) for entity in entities])

    @property
    def entities(self) -> list[JSONObject]:
        """The entities that were found."""
        return self._data.get("entities") or []


class DefinePrevUserUtteredFeaturization(_Made):
    """Whether the text or the intent of the latest message was used to predict."""

    __slots__ = ()
    type_name = "user_featurization"

    def __init__(
        self,
        use_text_for_featurization: bool,
        *,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._fill(timestamp, metadata, use_text_for_featurization=use_text_for_featurization)


class _Named(_Made):
    """A type whose one field is a name."""

    __slots__ = ()

    def __init__(
        self, name: str | None, *, timestamp: float | None = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        self._fill(timestamp, metadata, name=name)


class ActiveLoop(_Named):
    """A loop (a form) began, or with the name `None` ended."""

    __slots__ = ()
    type_name = "active_loop"


class LegacyForm(_Named):
    """What `active_loop` was called before Rasa 2.0."""

    __slots__ = ()
    type_name = "form"


class FollowupAction(_Named):
    """The named action is to run next."""

    __slots__ = ()
    type_name = "followup"


class LoopInterrupted(_Made):
    """The active loop was interrupted, or taken up again."""

    __slots__ = ()
    type_name = "loop_interrupted"

    def __init__(
        self,
        is_interrupted: bool,
        *,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._fill(timestamp, metadata, is_interrupted=is_interrupted)


class LegacyFormValidation(_Made):
    """What `loop_interrupted` was called before Rasa 2.0, with the opposite sense."""

    __slots__ = ()
    type_name = "form_validation"

    def __init__(
        self, validate: bool, *, timestamp: float | None = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        self._fill(timestamp, metadata, validate=validate)


class ActionExecutionRejected(_Made):
    """An action declined to run; a form does so when the user says something else."""

    __slots__ = ()
    type_name = "action_execution_rejected"

    def __init__(
        self,
        name: str,
        *,
        policy: str | None = None,
        confidence: float | None = None,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._fill(timestamp, metadata, name=name, policy=policy, confidence=confidence)


class ConversationPaused(_Bare):
    """The assistant is silent until resumed."""

    __slots__ = ()
    type_name = "pause"


class ConversationResumed(_Bare):
    """The assistant speaks again."""

    __slots__ = ()
    type_name = "resume"


class Restarted(_Bare):
    """The dialogue started over; the events before it are kept."""

    __slots__ = ()
    type_name = "restart"


class SessionStarted(_Bare):
    """A new session started."""

    __slots__ = ()
    type_name = "session_started"


class UserUtteranceReverted(_Bare):
    """The latest message and all that followed it were taken back."""

    __slots__ = ()
    type_name = "rewind"


class ActionReverted(_Bare):
    """The latest action and all that followed it were taken back."""

    __slots__ = ()
    type_name = "undo"


class ReminderScheduled(_Made):
    """An intent is to be triggered at a time, `date_time` in ISO 8601."""

    __slots__ = ()
    type_name = "reminder"

    def __init__(
        self,
        intent: str,
        date_time: str,
        *,
        entities: Sequence[Mapping[str, Any]] | None = None,
        name: str | None = None,
        kill_on_user_msg: bool = True,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if name is None:
            import uuid

            name = str(uuid.uuid4())
        self._fill(
            timestamp,
            metadata,
            intent=intent,
            date_time=date_time,
            entities=None if entities is None else [dict(entity) for entity in entities],
            name=name,
            kill_on_user_msg=kill_on_user_msg,
        )


class ReminderCancelled(_Made):
    """Reminders were cancelled: the ones that match what is given, or all."""

    __slots__ = ()
    type_name = "cancel_reminder"

    def __init__(
        self,
        *,
        name: str | None = None,
        intent: str | None = None,
        entities: Sequence[Mapping[str, Any]] | None = None,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        given = {"name": name, "intent": intent, "entities": entities and [dict(entity) for entity in entities]}
        self._fill(timestamp, metadata, **{key: value for key, value in given.items() if value is not None})


class StoryExported(_Made):
    """The dialogue was exported as a story."""

    __slots__ = ()
    type_name = "export"

    def __init__(
        self,
        path: str | None = None,
        *,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._fill(timestamp, metadata, **({} if path is None else {"path": path}))
