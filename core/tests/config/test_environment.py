"""`${VAR}` in endpoints.yml, and variables that fill what it leaves out."""

import pytest
from pydantic import AliasChoices, Field, SecretStr

from holdfast.backend import BackendConfig
from holdfast.errors import ConfigurationError
from holdfast.validation import validate


class Config(BackendConfig):
    use_ssl: bool = True
    port: int = 1
    timeout: float = 1.0
    password: SecretStr | None = None
    bucket: str = Field(default="", json_schema_extra={"env": ["BUCKET_NAME", "OLD_BUCKET_NAME"]})
    region: str = Field(default="", alias="aws_region", json_schema_extra={"env": ["REGION"]})
    zone: str = Field(default="", validation_alias=AliasChoices("zone", "area"), json_schema_extra={"env": ["ZONE"]})


def config(options, **environ):
    return validate(Config, "persistor", options, environ)


def refusal(read, text, **environ):
    with pytest.raises(ConfigurationError) as raised:
        read(text, **environ)
    return str(raised.value)


def test_variables_are_expanded_in_every_text_however_nested(read):
    section = read(
        "tracker_store:\n"
        "  type: ${KIND}\n"
        "  url: redis://${HOST}:${PORT}/x\n"
        "  query: {ssl: {mode: '${MODE}'}, hosts: ['${HOST}', plain, 5, null]}\n",
        KIND="redis",
        HOST="h",
        PORT="6379",
        MODE="require",
    ).tracker_store
    assert section.name == "redis"
    assert section.options == {
        "url": "redis://h:6379/x",
        "query": {"ssl": {"mode": "require"}, "hosts": ["h", "plain", 5, None]},
    }


def test_the_results_are_texts_that_become_what_the_field_is(read):
    section = read(
        "persistor: {type: x, use_ssl: '${SSL}', port: '${PORT}', timeout: '${TIMEOUT}', password: '${PASSWORD}'}",
        SSL="false",
        PORT="6379",
        TIMEOUT="2.5",
        PASSWORD="12345",
    ).persistor
    assert section.options["port"] == "6379"
    made = config(section.options)
    assert (made.use_ssl, made.port, made.timeout) == (False, 6379, 2.5)
    assert made.password.get_secret_value() == "12345"


def test_what_a_variable_holds_is_not_expanded_again(read):
    assert read("tracker_store: {type: x, a: '${A}'}", A="${B}").tracker_store.options == {"a": "${B}"}


def test_other_dollar_signs_are_ordinary_text(read):
    options = read("tracker_store: {type: x, a: pa$$word, b: $HOME, c: '${unclosed', d: 5$}").tracker_store.options
    assert options == {"a": "pa$$word", "b": "$HOME", "c": "${unclosed", "d": "5$"}


def test_an_empty_variable_is_set(read):
    assert read("tracker_store: {type: x, a: '${A}'}", A="").tracker_store.options == {"a": ""}


def test_an_unset_variable_is_named_with_section_and_key(read):
    message = refusal(read, "tracker_store: {type: x, password: 's3cr3t${DB_PASSWORD}'}")
    assert message == (
        "endpoints.yml: tracker_store: password: the environment variable DB_PASSWORD is not set. "
        "Set it, or write the value itself."
    )


def test_all_unset_variables_of_a_section_are_listed(read):
    message = refusal(read, "models: {url: '${A}', headers: {X: '${B}'}, list: ['${A}', '${C}']}", A="s3cr3t")
    assert message.splitlines()[0] == "endpoints.yml: models:"
    assert "  headers.X: the environment variable B is not set" in message
    assert "  list[1]: the environment variable C is not set" in message
    assert "s3cr3t" not in message


def test_defaults_of_other_programs_are_refused_and_not_shown(read):
    message = refusal(read, "tracker_store: {type: x, password: '${PASSWORD:-s3cr3t}'}")
    assert "password: only the name of an environment variable can stand between `${` and `}`." in message
    assert "s3cr3t" not in message


def test_a_mapping_that_contains_itself_is_refused(read):
    assert "nested too deeply" in refusal(read, "tracker_store: &a\n  type: x\n  again: *a\n")


def test_the_environment_fills_what_is_left_out():
    made = config({}, BUCKET_NAME="b", REGION="r", ZONE="z")
    assert (made.bucket, made.region, made.zone) == ("b", "r", "z")


def test_the_section_beats_the_environment():
    made = config({"bucket": "mine", "aws_region": "mine", "area": "mine"}, BUCKET_NAME="b", REGION="r", ZONE="z")
    assert (made.bucket, made.region, made.zone) == ("mine", "mine", "mine")


def test_the_first_variable_that_is_set_and_not_empty_counts():
    assert config({}, BUCKET_NAME="", OLD_BUCKET_NAME="old").bucket == "old"
    assert config({}, BUCKET_NAME="new", OLD_BUCKET_NAME="old").bucket == "new"
    assert config({}, BUCKET_NAME="").bucket == ""


def test_a_wrong_value_from_the_environment_names_the_variable():
    class Sized(BackendConfig):
        size: int = Field(default=1, json_schema_extra={"env": ["SIZE"]})

    with pytest.raises(ConfigurationError) as raised:
        validate(Sized, "persistor", {}, {"SIZE": "s3cr3t"})
    assert str(raised.value) == "persistor: size (taken from the environment variable SIZE): must be a whole number."
