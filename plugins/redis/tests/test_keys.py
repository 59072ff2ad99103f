"""The names of keys: one slot for a conversation, whatever its id, and nothing shared between ids."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from redis.crc import key_slot

from holdfast_redis.keys import SHARDS, Keys, escape, to_bytes, to_text, unescape

ids = st.text(st.characters() | st.sampled_from("{}%7BD25"), max_size=12)


@given(ids)
def test_both_keys_of_a_conversation_are_in_one_slot_and_tell_its_id(conversation: str) -> None:
    keys = Keys("prefix", SHARDS)
    head, log = keys.conversation(conversation)
    assert key_slot(head) == key_slot(log) == key_slot(to_bytes(escape(conversation)))
    assert keys.conversation_of(head) == conversation


@given(ids, ids)
def test_different_ids_have_different_keys(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) is (one == other)
    assert unescape(escape(one)) == one


@given(ids, ids)
def test_ids_as_bytes_sort_as_the_texts_do_and_come_back(one: str, other: str) -> None:
    assert (to_bytes(one) < to_bytes(other)) is (one < other)
    assert to_text(to_bytes(one)) == one


@pytest.mark.parametrize("conversation", ["a", "", "ü", "{x}"])
def test_both_indexes_of_a_shard_are_in_one_slot(conversation: str) -> None:
    recent, expiring = Keys(None, SHARDS).shard(to_bytes(conversation))
    assert recent != expiring
    assert key_slot(recent.encode()) == key_slot(expiring.encode())


def test_no_prefix_is_a_namespace_of_its_own() -> None:
    names = [Keys(prefix, 1).conversation("c")[0] for prefix in (None, "holdfast", "a", "aholdfast")]
    assert len(set(names)) == len(names)
    assert not any(other.startswith(name[: name.index(b"{") + 1]) for name in names for other in names if other != name)
