from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast import Domain, DomainError


def domain(tmp_path: Path, text: str) -> Domain:
    path = tmp_path / "domain.yml"
    path.write_text(text, encoding="utf-8")
    return Domain.load(path)


def test_slots_have_types_and_initial_values(tmp_path: Path) -> None:
    loaded = domain(
        tmp_path,
        """
        slots:
          name: {type: text}
          cups: {type: float, initial_value: 1, min_value: 0, max_value: 12}
          size: {type: categorical, values: [small, large], initial_value: small}
          tags: {type: list, initial_value: [new]}
          custom: {type: my_module.MySlot}
        """,
    )
    assert loaded.slots is not None
    assert loaded.slots["size"].values == ("small", "large")
    assert (loaded.slots["cups"].min_value, loaded.slots["cups"].max_value) == (0, 12)
    assert loaded.slots["custom"].type == "my_module.MySlot"
    assert loaded.initial_slots() == {
        "name": None,
        "cups": 1,
        "size": "small",
        "tags": ["new"],
        "custom": None,
        "session_started_metadata": None,
    }


def test_initial_values_are_not_shared_between_conversations() -> None:
    loaded = Domain.from_dict({"slots": {"tags": {"type": "list", "initial_value": ["new"]}}})
    loaded.initial_slots()["tags"].append("changed")
    assert loaded.initial_slots()["tags"] == ["new"]


def test_forms_and_the_knowledge_base_bring_their_slots() -> None:
    assert "requested_slot" in Domain.from_dict({"forms": {"f": {}}}).initial_slots()
    assert "requested_slot" not in Domain.from_dict({}).initial_slots()
    with_action = Domain.from_dict({"actions": ["action_query_knowledge_base"]}).initial_slots()
    assert "knowledge_base_last_object" in with_action


def test_yaml_is_read_as_version_1_2_where_no_is_a_text(tmp_path: Path) -> None:
    loaded = domain(
        tmp_path,
        "slots:\n  answer: {type: categorical, values: [yes, no, on, 12:30], initial_value: no}\n"
        "  truth: {type: bool, initial_value: true}\n  n: {type: float, initial_value: 1e3}\n  o: {type: any, initial_value: 0o17}\n",
    )
    assert loaded.slots is not None
    assert loaded.slots["answer"].values == ("yes", "no", "on", "12:30")
    assert loaded.slots["answer"].initial_value == "no"
    assert loaded.slots["truth"].initial_value is True
    assert loaded.slots["n"].initial_value == 1000.0
    assert loaded.slots["o"].initial_value == 15


def test_session_settings(tmp_path: Path) -> None:
    loaded = domain(tmp_path, "session_config: {session_expiration_time: 0, carry_over_slots_to_new_session: false}\n")
    assert (loaded.session.expiration_minutes, loaded.session.carry_over_slots) == (0, False)
    assert Domain.from_dict({}).session.expiration_minutes == 60
    assert Domain.from_dict({}).session.carry_over_slots is True


def test_a_directory_of_domain_files_is_merged(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.yml").write_text("slots: {a: {type: text}}\nactions: [one]\n")
    (tmp_path / "deep" / "b.yaml").write_text(
        "slots: {b: {type: bool}}\nforms: {f: {}}\nsession_config: {session_expiration_time: 5}\n"
    )
    (tmp_path / "nlu.yml").write_text("nlu: []\n")
    loaded = Domain.load(tmp_path)
    assert set(loaded.initial_slots()) == {"a", "b", "requested_slot", "session_started_metadata"}
    assert loaded.session.expiration_minutes == 5


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "a domain is a mapping"),
        ({"slots": ["a"]}, "'slots' is a mapping, not a list"),
        ({"slots": {"a": "text"}}, "slot 'a' is a mapping"),
        ({"slots": {"a": {}}}, "slot 'a' needs a 'type'"),
        ({"slots": {"a": {"type": "txt"}}}, "unknown type 'txt'; known are any, bool, categorical"),
        ({"slots": {"a": {"type": "float", "initial_value": "x"}}}, "'a' is a float, but its initial_value is a text"),
        ({"session_config": {"session_expiration_time": "x"}}, "session_expiration_time is a number of minutes"),
        ({"session_config": {"session_expiration_time": True}}, "session_expiration_time is a number of minutes"),
        ({"session_config": {"session_expiration_time": -1}}, "session_expiration_time is a number of minutes"),
        ({"session_config": {"carry_over_slots_to_new_session": "no"}}, "is true or false"),
    ],
)
def test_a_mistake_names_the_culprit_and_the_cure(data: Any, says: str) -> None:
    with pytest.raises(DomainError, match="my.yml") as refused:
        Domain.from_dict(data, origin="my.yml")
    assert says in str(refused.value)


def test_a_missing_file_and_an_empty_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=r"nothing\.yml: no such file"):
        Domain.load(tmp_path / "nothing.yml")
    with pytest.raises(DomainError, match="no file in this directory has a domain's keys"):
        Domain.load(tmp_path)
    (tmp_path / "bad.yml").write_text("slots:\n  a: {type: text\n")
    with pytest.raises(DomainError, match=r"bad\.yml, line 3, column 1: this is not YAML"):
        Domain.load(tmp_path / "bad.yml")
    (tmp_path / "bad.yml").write_text("slots:\n  a: {type: text}\n  a: {type: bool}\n")
    with pytest.raises(DomainError, match=r"bad\.yml, line 3.*'a' stands twice"):
        Domain.load(tmp_path / "bad.yml")
    (tmp_path / "bad.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DomainError, match="not UTF-8"):
        Domain.load(tmp_path / "bad.yml")
