"""What `Conversations` promises above a store: turns are never lost, doubled, torn or moved into another session.

The interleavings are those in which Rasa 3.6 and its stores lose or double events. A tracker stands for an assistant
process that has loaded a conversation.
"""

from __future__ import annotations

import pytest

from holdfast import (
    ActionExecuted,
    BotUttered,
    ConflictError,
    ConversationError,
    Conversations,
    SessionRule,
    SlotSet,
    StoreBehindError,
    Tracker,
    TrackerStore,
    UnavailableError,
    UserUttered,
)
from holdfast_testkit.faults import Fault, FaultyStore
from holdfast_testkit.tracker_store import TrackerStoreFixtures


def turn(tracker: Tracker, name: str) -> None:
    """Add the four events of a turn: heard, answered, said, listening."""
    tracker.add(
        UserUttered(f"{name} user"),
        ActionExecuted(f"utter_{name}"),
        BotUttered(f"{name} bot"),
        ActionExecuted("action_listen"),
    )


def told(tracker: Tracker | None) -> list[str]:
    """The conversation in short: one word for each event."""
    assert tracker is not None
    return [str(event.as_dict().get("text") or event.name or event.event) for event in tracker.events]


SESSION = ["action_session_start", "session_started", "action_listen"]


def spoken(*names: str) -> list[str]:
    """What `told` says of some turns."""
    return [word for name in names for word in (f"{name} user", f"utter_{name}", f"{name} bot", "action_listen")]


class ConversationsTests(TrackerStoreFixtures):
    """Turns of one and of several processes, on any store."""

    @pytest.fixture
    def conversations(self, store: TrackerStore) -> Conversations:
        """Conversations on the store, holding a session with one turn, `a`, under the id `c`."""
        conversations = Conversations(store)
        tracker = conversations.get_or_create("c")
        tracker.start_session()
        turn(tracker, "a")
        conversations.save(tracker)
        return conversations

    @pytest.fixture
    def loaded(self, conversations: Conversations) -> tuple[Tracker, Tracker]:
        """Two trackers that loaded the conversation at the same version."""
        first, second = conversations.retrieve("c"), conversations.retrieve("c")
        assert first is not None
        assert second is not None
        return first, second

    # The interleavings

    def test_a_stale_save_is_refused_and_its_turn_is_kept_for_another_try(
        self, conversations: Conversations, loaded: tuple[Tracker, Tracker]
    ) -> None:
        first, second = loaded
        turn(first, "x")
        conversations.save(first)
        turn(second, "y")
        with pytest.raises(ConflictError):
            conversations.save(second)
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a", "x")
        assert second.unsaved[0].as_dict()["text"] == "y user"
        conversations.save(second, on_conflict="rebase")
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a", "x", "y")
        assert told(second) == told(conversations.retrieve_full("c"))

    def test_a_longer_stale_turn_leaves_no_orphan_tail(
        self, conversations: Conversations, loaded: tuple[Tracker, Tracker]
    ) -> None:
        first, second = loaded
        turn(first, "x")
        conversations.save(first)
        turn(second, "y")
        second.add(SlotSet("s", 1), ActionExecuted("action_listen"))
        with pytest.raises(ConflictError):
            conversations.save(second)
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a", "x")
        conversations.save(second, on_conflict="rebase")
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a", "x", "y") + ["s", "action_listen"]

    def test_of_two_turns_worked_out_before_either_is_saved_none_is_lost(
        self, conversations: Conversations, loaded: tuple[Tracker, Tracker]
    ) -> None:
        first, second = loaded
        turn(first, "x")
        turn(second, "y")
        conversations.save(first)
        conversations.save(second, on_conflict="rebase")
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a", "x", "y")

    def test_a_turn_of_the_old_session_never_copies_it_into_the_new_one(
        self, conversations: Conversations, loaded: tuple[Tracker, Tracker]
    ) -> None:
        first, second = loaded
        first.start_session()
        turn(first, "x")
        conversations.save(first)
        turn(second, "y")
        with pytest.raises(ConflictError):
            conversations.save(second)
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a") + SESSION + spoken("x")
        assert told(conversations.retrieve("c")) == SESSION + spoken("x")

    def test_saving_a_tracker_twice_stores_its_events_once(self, conversations: Conversations) -> None:
        tracker = conversations.get_or_create("new")
        tracker.start_session()
        turn(tracker, "a")
        conversations.save(tracker)
        conversations.save(tracker)
        assert told(conversations.retrieve_full("new")) == SESSION + spoken("a")
        assert tracker.version == 7

    def test_a_tracker_kept_across_a_session_start_never_inserts_the_session_again(
        self, conversations: Conversations, loaded: tuple[Tracker, Tracker]
    ) -> None:
        tracker, _ = loaded
        tracker.start_session()
        turn(tracker, "x")
        conversations.save(tracker)
        conversations.save(tracker)
        turn(tracker, "y")
        conversations.save(tracker)
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a") + SESSION + spoken("x", "y")
        assert told(conversations.retrieve("c")) == SESSION + spoken("x", "y")

    def test_a_turn_added_to_the_full_tracker_is_stored_once(self, conversations: Conversations) -> None:
        before = conversations.retrieve("c")
        assert before is not None
        before.start_session()
        conversations.save(before)
        tracker = conversations.retrieve_full("c")
        assert tracker is not None
        turn(tracker, "x")
        conversations.save(tracker)
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a") + SESSION + spoken("x")

    def test_replacing_by_a_shorter_list_truly_replaces(self, conversations: Conversations) -> None:
        conversations.delete("c")
        replacement = conversations.get_or_create("c")
        replacement.add(UserUttered("only this"))
        conversations.save(replacement)
        assert told(conversations.retrieve_full("c")) == ["only this"]

    # Outcomes that are not known

    @pytest.mark.parametrize("fault", ["before", "after"])
    def test_an_append_whose_answer_is_lost_is_tried_again_and_stored_once(
        self, store: TrackerStore, fault: Fault
    ) -> None:
        faulty = FaultyStore(store, [fault])
        conversations = Conversations(faulty)
        tracker = conversations.get_or_create("c")
        turn(tracker, "a")
        conversations.save(tracker)
        assert faulty.appends == 2
        assert told(conversations.retrieve_full("c")) == spoken("a")

    @pytest.mark.parametrize("fault", ["before", "after"])
    def test_after_an_outage_the_application_saves_the_same_tracker_and_nothing_is_lost_or_doubled(
        self, store: TrackerStore, fault: Fault
    ) -> None:
        faulty = FaultyStore(store)
        conversations = Conversations(faulty)
        tracker = conversations.get_or_create("c")
        turn(tracker, "a")
        faulty.faults = [fault] * 4
        with pytest.raises(UnavailableError):
            conversations.save(tracker)
        turn(tracker, "b")
        conversations.save(tracker)
        assert told(conversations.retrieve_full("c")) == spoken("a", "b") == told(tracker)
        assert tracker.version == 8
        assert tracker.unsaved == ()

    def test_another_writer_during_an_outage_is_a_conflict_if_the_batch_was_lost(self, store: TrackerStore) -> None:
        faulty = FaultyStore(store)
        conversations = Conversations(faulty)
        tracker = conversations.get_or_create("c")
        turn(tracker, "a")
        faulty.faults = ["before"] * 4
        with pytest.raises(UnavailableError):
            conversations.save(tracker)
        other = Conversations(store).get_or_create("c")
        turn(other, "x")
        Conversations(store).save(other)
        with pytest.raises(ConflictError):
            conversations.save(tracker)
        conversations.save(tracker, on_conflict="rebase")
        assert told(conversations.retrieve_full("c")) == spoken("x", "a")

    def test_another_writer_during_an_outage_is_no_conflict_if_the_batch_was_stored(self, store: TrackerStore) -> None:
        faulty = FaultyStore(store)
        conversations = Conversations(faulty)
        tracker = conversations.get_or_create("c")
        turn(tracker, "a")
        faulty.faults = ["after"] * 4
        with pytest.raises(UnavailableError):
            conversations.save(tracker)
        other = Conversations(store).retrieve("c")
        assert other is not None
        turn(other, "x")
        Conversations(store).save(other)
        conversations.save(tracker)
        assert tracker.version == 4
        turn(tracker, "b")
        with pytest.raises(ConflictError):
            conversations.save(tracker)
        conversations.save(tracker, on_conflict="rebase")
        assert told(conversations.retrieve_full("c")) == spoken("a", "x", "b")

    def test_a_store_that_lost_events_is_noticed_and_the_turn_is_kept(
        self, store: TrackerStore, conversations: Conversations, loaded: tuple[Tracker, Tracker]
    ) -> None:
        tracker, _ = loaded
        turn(tracker, "x")
        store.delete("c")
        with pytest.raises(StoreBehindError):
            conversations.save(tracker)
        assert told(tracker)[-4:] == spoken("x")
        assert len(tracker.unsaved) == 4

    # What a save costs and leaves

    def test_a_save_is_one_append_and_reads_nothing(self, store: TrackerStore) -> None:
        faulty = FaultyStore(store)
        conversations = Conversations(faulty)
        tracker = conversations.get_or_create("c")
        turn(tracker, "a")
        reads = faulty.reads
        conversations.save(tracker)
        turn(tracker, "b")
        conversations.save(tracker)
        assert (faulty.appends, faulty.reads) == (2, reads)
        conversations.save(tracker)
        assert (faulty.appends, faulty.reads) == (2, reads)

    def test_a_conversation_that_nobody_spoke_in_is_not_stored(self, conversations: Conversations) -> None:
        tracker = conversations.get_or_create("silent")
        conversations.save(tracker)
        assert not conversations.exists("silent")
        assert conversations.retrieve("silent") is None
        assert conversations.count() == 1

    def test_keys_are_ids_that_retrieve_takes(self, conversations: Conversations) -> None:
        for conversation in ("tracker:c", "prefix:tracker:d", "e/f"):
            conversations.append(conversation, [UserUttered("x")])
        keys = set(conversations.keys())
        assert keys == {"c", "tracker:c", "prefix:tracker:d", "e/f"}
        assert all(conversations.retrieve_full(key) is not None for key in keys)

    def test_state_survives_a_save_and_a_retrieve(self, conversations: Conversations) -> None:
        tracker = conversations.get_or_create("c")
        tracker.add(SlotSet("tea", {"kind": "oolong", "cups": [1, 2.5]}), UserUttered("more", input_channel="rest"))
        conversations.save(tracker)
        again = conversations.retrieve("c")
        assert again is not None
        assert again.current_state("ALL") == tracker.current_state("ALL")

    def test_events_can_be_appended_on_a_version_without_loading_the_conversation(
        self, conversations: Conversations
    ) -> None:
        assert conversations.append("c", [UserUttered("x")], expected=7).version == 8
        with pytest.raises(ConflictError):
            conversations.append("c", [UserUttered("y")], expected=7)
        assert conversations.append("c", [UserUttered("y")]).version == 9

    def test_an_id_that_is_no_text_is_refused_before_it_reaches_the_store(self, conversations: Conversations) -> None:
        for conversation in ("half \ud800", 12345):
            with pytest.raises(ConversationError, match="id"):
                conversations.append(conversation, [UserUttered("x")])  # type: ignore[arg-type]  # on purpose
        assert conversations.count() == 1

    def test_events_with_fields_of_an_unexpected_kind_have_a_state(self, conversations: Conversations) -> None:
        tracker = conversations.get_or_create("c")
        tracker.add(
            {"event": "active_loop", "name": {"no": "text"}},
            {"event": "action", "name": {"no": "text"}},
            {"event": "user", "parse_data": None, "text": 5},
            {"event": "slot", "name": ["x"], "value": 1},
            {"event": "rewind"},
        )
        conversations.save(tracker)
        again = conversations.retrieve("c")
        assert again is not None
        assert again.current_state("APPLIED") == tracker.current_state("APPLIED")

    # Sessions

    def test_retrieve_gives_the_latest_session_and_retrieve_full_all_of_them(
        self, conversations: Conversations
    ) -> None:
        for name in ("b", "c"):
            tracker = conversations.get_or_create("c")
            tracker.start_session()
            turn(tracker, name)
            conversations.save(tracker)
        latest = conversations.retrieve("c")
        assert told(latest) == SESSION + spoken("c")
        assert latest is not None
        assert (latest.first, latest.version) == (15, 21)
        assert told(conversations.retrieve_full("c")) == SESSION + spoken("a") + SESSION + spoken(
            "b"
        ) + SESSION + spoken("c")

    def test_a_clock_that_goes_back_does_not_bring_the_old_session_back(
        self, store: TrackerStore, conversations: Conversations
    ) -> None:
        tracker = conversations.get_or_create("c")
        tracker.add(
            ActionExecuted("action_session_start", timestamp=1.0),
            {"event": "session_started", "timestamp": 1.0},
            UserUttered("after the clock was set", timestamp=2.0),
        )
        conversations.save(tracker)
        for rule in (SessionRule.ACTION_SESSION_START, SessionRule.SESSION_STARTED):
            retrieved = Conversations(store, session_rule=rule).retrieve("c")
            assert told(retrieved)[-1] == "after the clock was set"
            assert "a user" not in told(retrieved)

    @pytest.mark.parametrize(
        ("rule", "begins_with", "first"),
        [
            (SessionRule.ACTION_SESSION_START, "action_session_start", 9),
            (SessionRule.SESSION_STARTED, "session_started", 10),
            (SessionRule.INACTIVE, "action_session_start", 9),
            (SessionRule.NONE, "action_session_start", 1),
        ],
    )
    def test_every_session_rule_holds_on_every_store(
        self,
        store: TrackerStore,
        conversations: Conversations,
        rule: SessionRule,
        begins_with: str,
        first: int,
    ) -> None:
        tracker = conversations.get_or_create("c")
        tracker.add({"event": "inactive", "timestamp": 1.0})
        tracker.start_session()
        turn(tracker, "b")
        conversations.save(tracker)
        retrieved = Conversations(store, session_rule=rule).retrieve("c")
        assert retrieved is not None
        assert (told(retrieved)[0], retrieved.first, retrieved.version) == (begins_with, first, 15)
        assert told(retrieved) == told(conversations.retrieve_full("c"))[first - 1 :]

    def test_a_marker_far_back_is_found_and_without_one_all_is_one_session(self, store: TrackerStore) -> None:
        conversations = Conversations(store, session_rule=SessionRule.SESSION_STARTED)
        conversations.append("far", [UserUttered("old"), {"event": "session_started", "timestamp": 1.0}])
        for begin in range(0, 1500, 500):
            conversations.append("far", [BotUttered(str(number)) for number in range(begin, begin + 500)])
        far = conversations.retrieve("far")
        assert far is not None
        assert (far.first, far.version, len(far.events)) == (2, 1502, 1501)
        conversations.append("without", [BotUttered(str(number)) for number in range(300)])
        without = conversations.retrieve("without")
        assert without is not None
        assert (without.first, len(without.events)) == (1, 300)

    def test_a_truncated_conversation_goes_on(self, conversations: Conversations) -> None:
        assert conversations.truncate("c", 4) == 3
        tracker = conversations.retrieve_full("c")
        assert told(tracker) == spoken("a")
        assert tracker is not None
        assert tracker.first == 4
        turn(tracker, "b")
        conversations.save(tracker)
        assert told(conversations.retrieve("c")) == spoken("a", "b")
