"""The kit catches a store that is wrong, by the test that is named for it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CAUGHT_BY = {
    "DropsTheVersionCheck": "test_an_append_on_an_older_version_is_refused_and_writes_nothing",
    "ForgetsTheBatchId": "test_the_same_batch_again_is_a_success_and_is_stored_once",
    "RefusesARepeatedBatch": "test_the_same_batch_again_is_a_success_and_is_stored_once",
    "SwapsTwoEvents": "test_sequence_numbers_start_at_1_and_have_no_gaps",
    "LosesTheLastOfABatch": "test_sequence_numbers_start_at_1_and_have_no_gaps",
    "NumbersFromZero": "test_sequence_numbers_start_at_1_and_have_no_gaps",
    "ReadsOneTooFew": "test_a_read_is_bounded_on_both_sides",
    "FoldsCase": "test_ids_are_kept_apart_character_by_character",
    "ListsWithAPrefix": "test_listing_begins_with_the_most_recently_updated",
    "ListsTheLastPageTwice": "test_listing_pages_meet_every_conversation_once",
    "SharesStateBetweenConversations": "test_each_conversation_has_its_own_numbers",
    "RoundsNumbers": "test_a_value_comes_back_as_it_went",
    "IgnoresTheSession": "test_the_head_follows_the_sessions",
    "StartsAgainAfterATruncation": "test_numbering_continues_after_a_truncation",
    "KeepsTheUserOfADeletedConversation": "test_a_deleted_conversation_leaves_nothing_behind",
    "OrdersByTimestamp": "test_timestamps_neither_order_nor_hide_events",
}


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_a_broken_store_is_caught(name: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(broken_stores=(Path(__file__).parent / "broken_stores.py").read_text(encoding="utf-8"))
    pytester.makepyfile(
        test_it=f"""
        import pytest
        from holdfast_testkit import TrackerStoreTests

        class TestIt(TrackerStoreTests):
            shared = False

            @pytest.fixture
            def section(self):
                return {{"type": "broken_stores.{name}"}}
        """
    )
    result = pytester.runpytest_inprocess(
        "-q", "-x", "-k", CAUGHT_BY[name], "-p", "no:cacheprovider", "-p", "no:asyncio"
    )
    outcome = result.parseoutcomes()
    assert outcome.get("failed") == 1, result.stdout.str()
    assert "errors" not in outcome


def test_what_is_under_test_must_be_said(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from holdfast_testkit import TrackerStoreTests

        class TestIt(TrackerStoreTests):
            pass
        """
    )
    result = pytester.runpytest_inprocess("-q", "-x", "-p", "no:cacheprovider", "-p", "no:asyncio")
    result.stdout.fnmatch_lines(["*override the fixture 'section'*"])
