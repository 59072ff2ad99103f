"""The event: one JSON object with the key `event` naming its type, kept verbatim."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from holdfast.errors import InvalidEventError

JSONObject = dict[str, Any]

_TYPE_FIRST = '{"event":"'


class Event:
    """One thing that happened in a conversation; equal to another with the same content.

    The known types are subclasses, in `holdfast.conversations.events`; `from_dict` and `from_json` pick the class. A
    type without a class is a plain `Event` and survives untouched.

    An event holds its JSON object, its JSON text, or both: each is made from the other when it is first needed.
    """

    __slots__ = ("_json", "_object", "event")

    type_name: ClassVar[str] = ""
    known: ClassVar[dict[str, type[Event]]] = {}

    event: str
    """The type as it stands in the JSON."""
    _object: JSONObject | None
    _json: str | None

    def __init_subclass__(cls) -> None:
        if cls.type_name:
            Event.known[cls.type_name] = cls

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Event:
        """Make an event from its JSON object.

        Raises:
            InvalidEventError: `data` is not an object, or has no `event` key that names a type.
        """
        if not isinstance(data, Mapping):
            raise InvalidEventError(f"an event is a JSON object, not {type(data).__name__}")
        kind = data.get("event")
        if not isinstance(kind, str) or not kind:
            raise InvalidEventError("an event needs the key 'event' with the name of its type")
        return _make(kind, dict(data), None)

    @classmethod
    def from_json(cls, text: str) -> Event:
        """Make an event from its JSON text, which is kept as it is.

        Raises:
            InvalidEventError: the text is not JSON, or not that of an event.
        """
        event = cls.from_dict(_decode(text))
        event._json = text
        return event

    @classmethod
    def stored(cls, text: str) -> Event:
        """Make an event from a text that `json` gave before; it is parsed when its content is first looked at."""
        if text.startswith(_TYPE_FIRST):
            kind = text[len(_TYPE_FIRST) : text.find('"', len(_TYPE_FIRST))]
            if "\\" not in kind:
                return _make(kind, None, text)
        return cls.from_json(text)

    def frozen(self) -> Event:
        """A copy that no longer shares anything with this one, with just the content a store would give back.

        Raises:
            InvalidEventError: the content cannot be expressed in JSON.
        """
        return Event.from_json(self.json)

    @property
    def json(self) -> str:
        """The JSON text of the event: no line breaks, encodable as UTF-8, the same text every time.

        Raises:
            InvalidEventError: the content cannot be expressed in JSON.
        """
        if self._json is None:
            self._json = _encode(self._data)
        return self._json

    def as_dict(self) -> JSONObject:
        """The JSON object of the event; a new outer dict on every call."""
        return dict(self._data)

    @property
    def timestamp(self) -> float | None:
        """Seconds since the epoch, as the event says, if that is a number; data, never an order."""
        value = self._data.get("timestamp")
        try:
            return float(value) if isinstance(value, int | float) else None
        except OverflowError:
            return None

    @property
    def metadata(self) -> JSONObject:
        """Whatever the channel or the assistant attached."""
        return self._data.get("metadata") or {}

    @property
    def name(self) -> str | None:
        """The key `name`, if it is a text: of an action, a slot, a loop, a reminder."""
        value = self._data.get("name")
        return value if isinstance(value, str) else None

    @property
    def intent_name(self) -> str | None:
        """The recognised intent of a message; `None` for other events."""
        return None

    @property
    def starts_session(self) -> bool:
        """Whether a new session begins with this event: an `action` named `action_session_start`."""
        return False

    @property
    def _data(self) -> JSONObject:
        if self._object is None:
            self._object = _decode(self._json or "")
        return self._object

    def __eq__(self, other: object) -> bool:
        return self._data == other._data if isinstance(other, Event) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.event, self.timestamp))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._data!r})"


def _make(kind: str, data: JSONObject | None, text: str | None) -> Event:
    """An event of the class that belongs to the type, without calling that class's constructor."""
    event: Event = object.__new__(Event.known.get(kind, Event))
    event.event = kind
    event._object = data
    event._json = text
    return event


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidEventError(f"an event must be JSON: {error}") from None


def _encode(data: JSONObject) -> str:
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:  # a lone surrogate: only the escaped form survives every store
                text = json.dumps(data, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEventError(
            f"the event {data['event']!r} ({data.get('name') or 'no name'}) holds something JSON cannot express: {error}"
        ) from None
    return text
