"""endpoints.yml as a file: what is ours in it, and what is wrong with it."""

from pathlib import Path

import pytest

from holdfast.endpoints import Endpoints, read_endpoints
from holdfast.errors import ConfigurationError
from holdfast.opening import open_tracker_store


def refusal(read, text, **environ):
    with pytest.raises(ConfigurationError) as raised:
        read(text, **environ)
    return str(raised.value)


def test_a_missing_file_is_refused_if_it_is_required(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.yml: no such file"):
        read_endpoints(tmp_path / "absent.yml", required=True)


def test_a_missing_file_is_an_empty_one_if_it_is_not(tmp_path):
    assert read_endpoints(tmp_path / "absent.yml", required=False) == Endpoints()
    assert read_endpoints(None, required=True) == Endpoints()


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_endpoints(tmp_path, required=True)


def test_what_is_no_yaml_is_located_and_never_shown(read):
    message = refusal(read, "tracker_store:\n  password: s3cr3t\n  url: [s3cr3t\n")
    assert message == "endpoints.yml, line 4, column 1: this is not YAML"


def test_a_key_that_stands_twice_is_refused(read):
    message = refusal(read, "tracker_store:\n  type: memory\n  url: s3cr3t\n  url: s3cr3t\n")
    assert message == "endpoints.yml, line 4, column 3: the key 'url' stands twice"


def test_a_section_that_stands_twice_is_refused(read):
    assert "line 2, column 1: the key 'models' stands twice" in refusal(read, "models: {}\nmodels: {}\n")


@pytest.mark.parametrize(("text", "found"), [("- s3cr3t", "a list"), ("s3cr3t", "text"), ("5", "a number")])
def test_the_file_must_hold_sections(read, text, found):
    message = refusal(read, text)
    assert message == f"endpoints.yml: must hold sections (`tracker_store:` and others), not {found}."


@pytest.mark.parametrize("section", ["tracker_store", "persistor", "models"])
@pytest.mark.parametrize(
    ("value", "found"), [("s3cr3t", "text"), ("[s3cr3t]", "a list"), ("true", "true or false"), ("12345", "a number")]
)
def test_a_section_must_be_a_mapping(read, section, value, found):
    message = refusal(read, f"{section}: {value}")
    assert message == f"endpoints.yml: {section}: must be a mapping (`key: value`), not {found}."


@pytest.mark.parametrize("text", ["", "# nothing\n", "tracker_store:\npersistor:\nmodels:\n", "{}"])
def test_an_empty_file_and_empty_sections_are_absent_ones(read, text):
    endpoints = read(text)
    assert endpoints.tracker_store.name == "memory"
    assert endpoints.tracker_store.is_default
    assert endpoints.persistor is None
    assert endpoints.models is None


def test_without_a_section_conversations_are_in_memory_and_callers_can_say_so(read):
    opened = open_tracker_store(read(""))
    assert (opened.name, opened.is_default) == ("memory", True)
    assert not open_tracker_store(read("tracker_store: {type: InMemory}")).is_default


def test_a_section_without_a_type_is_refused_and_never_memory(read):
    message = refusal(read, "tracker_store:\n  url: s3cr3t\n")
    assert message.startswith(
        "endpoints.yml: tracker_store: `type` is missing; write `type: NAME` in it. Installed: memory"
    )
    assert "`type` is missing" in refusal(read, "tracker_store: {type: }")
    assert "`type` is missing" in refusal(read, "tracker_store: {}")
    assert "`type` is missing" in refusal(read, "tracker_store: {type: '${EMPTY}'}", EMPTY="")


@pytest.mark.parametrize("value", ["5", "[memory]", "true", "{a: b}"])
def test_a_type_is_a_name(read, value):
    assert "endpoints.yml: tracker_store: type: must be the name of a backend, not " in refusal(
        read, f"tracker_store: {{type: {value}}}"
    )


def test_the_older_name_of_type_is_understood_and_wins(read):
    assert read("tracker_store: {store_type: redis}").tracker_store.name == "redis"
    section = read("tracker_store: {type: SQL, store_type: redis, db: d}").tracker_store
    assert (section.name, section.options) == ("redis", {"db": "d"})


def test_an_unknown_type_is_refused_when_it_is_opened(read):
    with pytest.raises(
        ConfigurationError, match=r"tracker_store: no backend is called 'memroy'\. Did you mean 'memory'\?"
    ):
        open_tracker_store(read("tracker_store: {type: memroy}"))


@pytest.mark.parametrize("name", ["tracker-store", "trackerstore", "tracker_stores", "TrackerStore", "Tracker_Store"])
def test_a_misspelt_section_does_not_silently_mean_memory(read, name):
    message = refusal(read, f"{name}: {{type: redis}}")
    assert message == f"endpoints.yml: there is no section `{name}:`. Did you mean `tracker_store:`?"


def test_other_sections_are_left_alone(read):
    endpoints = read("nlg: {url: '${UNSET}'}\naction_endpoint: [1, 2]\n5: five\nmodel_groups: text\n")
    assert endpoints == read("")


def test_a_misspelt_key_beside_memory_is_refused(read):
    with pytest.raises(
        ConfigurationError, match="endpoints.yml: tracker_store: db: is not a known key. Known keys: none."
    ):
        open_tracker_store(read("tracker_store: {type: memory, db: s3cr3t}"))


def test_a_prefix_belongs_to_the_core(read):
    section = read("persistor: {type: aws, prefix: /a/b/, bucket: b}").persistor
    assert (section.prefix, section.options) == ("a/b", {"bucket": "b"})
    assert read("persistor: {type: aws, prefix: }").persistor.prefix == ""
    assert read("persistor: {type: aws}").persistor.prefix == ""


@pytest.mark.parametrize(
    ("prefix", "problem"), [("2024", "must be text; put the value in quotes"), ("a/../b", r"must not contain `\.\.`")]
)
def test_a_prefix_that_cannot_be_one(read, prefix, problem):
    with pytest.raises(ConfigurationError, match=f"endpoints.yml: persistor: prefix: {problem}"):
        read(f"persistor: {{type: aws, prefix: {prefix}}}")


def test_a_path_may_be_a_path_or_text(tmp_path):
    (tmp_path / "e.yml").write_text("tracker_store: {type: memory}", encoding="utf-8")
    assert read_endpoints(Path(tmp_path / "e.yml"), required=True) == read_endpoints(
        str(tmp_path / "e.yml"), required=True
    )


def test_the_session_rule_belongs_to_the_core(read):
    section = read("tracker_store: {type: memory, session_rule: session_started}").tracker_store
    assert (section.session_rule, section.options) == ("session_started", {})
    assert read("tracker_store: {type: memory, session_rule: }").tracker_store.session_rule == "action_session_start"
    assert read("nothing: 1").tracker_store.session_rule == "action_session_start"


@pytest.mark.parametrize("rule", ["12345", "session", "[inactive]"])
def test_an_unknown_session_rule_is_refused_and_the_known_ones_are_named(read, rule):
    with pytest.raises(
        ConfigurationError, match=r"session_rule: must be one of action_session_start, session_st"
    ) as no:
        read(f"tracker_store: {{type: memory, session_rule: {rule}}}")
    assert "12345" not in str(no.value)
