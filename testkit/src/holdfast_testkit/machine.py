"""Any sequence of operations on a store, compared with a model that is nothing but lists."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast import ANY, Appended, ConflictError, Event, StoreBehindError, TrackerStore

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
_EVENTS = st.builds(lambda value: Event.from_dict({"event": "slot", "name": "s", "value": value}), _VALUES) | st.just(
    Event.from_dict({"event": "action", "name": "action_session_start"})
)
_NAMES = st.sampled_from(("a", "A", "b", "ü"))


@dataclass
class _Modelled:
    texts: list[str] = field(default_factory=list)
    erased: int = 0
    batches: dict[str, tuple[int, int]] = field(default_factory=dict)
    sessions: list[int] = field(default_factory=list)
    exists: bool = False


class StoreMachine(RuleBasedStateMachine):
    """Rules are operations; each is done on the store and on the model, and the answers must agree."""

    store: TrackerStore
    """Set by the test; the examples of one run share it and keep apart by their ids."""
    numbers = itertools.count()

    @initialize()
    def begin(self) -> None:
        self.example = next(StoreMachine.numbers)
        self.model: dict[str, _Modelled] = {}
        self.batch_ids = itertools.count()
        self.tried: list[tuple[str, list[Event], int, str]] = []

    def _of(self, name: str) -> tuple[str, _Modelled]:
        return f"{self.example}:{name}", self.model.setdefault(name, _Modelled())

    def _append(self, name: str, events: list[Event], expected: int, batch_id: str) -> None:
        conversation, modelled = self._of(name)
        version = modelled.erased + len(modelled.texts)
        earlier = modelled.batches.get(batch_id)
        answer: Any
        try:
            answer = self.store.append(conversation, events, expected=expected, batch_id=batch_id)
        except (ConflictError, StoreBehindError) as refused:
            answer = (type(refused), refused.actual)
        if earlier is not None and expected in (ANY, earlier[0] - 1):
            assert answer == Appended(earlier[1], duplicate=True)
        elif expected not in (ANY, version) or earlier is not None:
            assert answer == (StoreBehindError if expected > version else ConflictError, version)
        else:
            assert answer == Appended(version + len(events))
            modelled.sessions += [version + index for index, event in enumerate(events, 1) if event.starts_session]
            modelled.texts += [event.json for event in events]
            modelled.batches[batch_id] = (version + 1, version + len(events))
            modelled.exists = True

    @rule(name=_NAMES, events=st.lists(_EVENTS, min_size=1, max_size=4), off=st.sampled_from((0, 0, 0, -1, 1, None)))
    def append(self, name: str, events: list[Event], off: int | None) -> None:
        """On the version, beside it, or on any."""
        _, modelled = self._of(name)
        version = modelled.erased + len(modelled.texts)
        expected = ANY if off is None else max(0, version + off)
        batch_id = str(next(self.batch_ids))
        self._append(name, events, expected, batch_id)
        self.tried.append((name, events, expected, batch_id))

    @rule(data=st.data())
    def append_again(self, data: st.DataObject) -> None:
        """Something that was tried before, refused or not."""
        if self.tried:
            self._append(*data.draw(st.sampled_from(self.tried)))

    @rule(name=_NAMES, first=st.integers(1, 12), last=st.integers(0, 14))
    def read(self, name: str, first: int, last: int) -> None:
        conversation, modelled = self._of(name)
        numbered = list(enumerate(modelled.texts, modelled.erased + 1))
        assert list(self.store.read(conversation, first, last)) == [
            (number, text) for number, text in numbered if first <= number <= last
        ]

    @rule(name=_NAMES, before=st.integers(1, 10))
    def truncate(self, name: str, before: int) -> None:
        conversation, modelled = self._of(name)
        erased = max(0, min(before - 1, modelled.erased + len(modelled.texts)) - modelled.erased)
        assert self.store.truncate(conversation, before) == erased
        del modelled.texts[:erased]
        modelled.erased += erased
        modelled.batches = {key: span for key, span in modelled.batches.items() if span[0] > modelled.erased}

    @rule(name=_NAMES)
    def delete(self, name: str) -> None:
        conversation, modelled = self._of(name)
        assert self.store.delete(conversation) is modelled.exists
        self.model[name] = _Modelled()

    @invariant()
    def heads_agree(self) -> None:
        for name in getattr(self, "model", {}):
            conversation, modelled = self._of(name)
            head = self.store.head(conversation)
            assert (head is not None) is modelled.exists
            if head is not None:
                version = modelled.erased + len(modelled.texts)
                first = modelled.erased + 1
                begun = max(modelled.sessions[-1] if modelled.sessions else 1, first)
                assert (head.conversation, head.version, head.first) == (conversation, version, first)
                assert (head.session, head.session_first) == (len(modelled.sessions), begun)

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        listed = {
            head.conversation
            for head in self.store.list(limit=1000).heads
            if head.conversation.startswith(f"{self.example}:")
        }
        assert listed == {f"{self.example}:{name}" for name, modelled in self.model.items() if modelled.exists}
        for name in self.model:
            self.store.delete(f"{self.example}:{name}")
