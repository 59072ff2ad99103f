"""Whatever goes wrong, no value of endpoints.yml stands in a text, a repr, a traceback or a log."""

import logging
import traceback
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AnyHttpUrl, BaseModel, Field, Json, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from holdfast.backend import Backend, BackendConfig
from holdfast.dotted import AnyKeys
from holdfast.endpoints import Section, read_endpoints
from holdfast.errors import ConfigurationError, HoldfastError, PluginError
from holdfast.kinds import TRACKER_STORE
from holdfast.models_config import ModelsConfig
from holdfast.opening import open_tracker_store
from holdfast.validation import validate

# Named, because a traceback shows the lines of this file as well.
TEXT = "s3cr3t"
NUMBER = 12345
FORBIDDEN = (TEXT, str(NUMBER), "123.45")
SECRETS = [TEXT, NUMBER, 123.45, [TEXT], {"key": TEXT}, [[NUMBER]], TEXT.encode(), f"http://{TEXT}:{NUMBER}@/"]


def assert_hidden(error, caplog):
    texts = [str(error), repr(error), "".join(traceback.format_exception(error)), caplog.text]
    while error := error.__cause__ or error.__context__:
        texts.append(f"{error!s} {error!r}")
    for text in texts:
        for forbidden in FORBIDDEN:
            assert forbidden not in text


class Colour(Enum):
    RED = "red"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def validated(function):
    class Config(BackendConfig):
        password: Any = None

        @field_validator("password", mode="before")
        @classmethod
        def _check(cls, value):
            return function(value)

    return Config


def raises_value_error(value):
    raise ValueError(f"cannot use {value}")


def raises_the_value_itself(value):
    raise ValueError(value)


def raises_from_a_conversion(value):
    return int(f"x{value}")


def asserts(value):
    assert value is None, f"not none but {value}"


def raises_custom_error(value):
    raise PydanticCustomError("mine", f"cannot use {value}")


def raises_custom_error_of_a_known_type(value):
    raise PydanticCustomError("value_error", "cannot use {value}", {"value": str(value)})


def raises_custom_error_with_a_text_of_ours(value):
    raise PydanticCustomError("greater_than", "cannot use {value}", {"value": str(value)})


def raises_key_error(value):
    return {}[str(value)]


def raises_type_error(value):
    raise TypeError(f"cannot use {value}") from ValueError(value)


def leaves(value):
    raise SystemExit(f"cannot use {value}")


def raises_our_error_from_a_leaking_one(value):
    try:
        raises_value_error(value)
    except ValueError as error:
        raise ConfigurationError("the password is wrong") from error


CHECKS = [
    raises_value_error,
    raises_the_value_itself,
    raises_from_a_conversion,
    asserts,
    raises_custom_error,
    raises_custom_error_of_a_known_type,
    raises_custom_error_with_a_text_of_ours,
    raises_key_error,
    raises_type_error,
    leaves,
    raises_our_error_from_a_leaking_one,
]

TYPES = [
    int,
    float,
    bool,
    Literal["a", "b"],
    Colour,
    UUID,
    IPv4Address,
    AnyHttpUrl,
    Json[int],
    dict[str, int],
    list[int],
    Annotated[str, Field(pattern="^x$")],
    Annotated[str, Field(max_length=1)],
    Annotated[int, Field(le=1)],
    Cat,
    Annotated[Cat | Dog, Field(discriminator="kind")],
    int | None,
    SecretStr,
    tuple[int, int],
    type,
]


def typed(annotation):
    class Config(BackendConfig):
        password: annotation = None

    Config.model_config["validate_default"] = False
    Config.model_rebuild(force=True)
    return Config


@pytest.mark.parametrize("secret", SECRETS, ids=repr)
@pytest.mark.parametrize("annotation", TYPES, ids=str)
def test_a_value_of_the_wrong_type(annotation, secret, caplog):
    caplog.set_level(logging.DEBUG)
    try:
        made = validate(typed(annotation), "endpoints.yml: tracker_store", {"password": secret}, {})
    except HoldfastError as error:
        assert_hidden(error, caplog)
    else:
        assert repr(made) == "Config(password=…)"


def test_a_discriminator_is_not_repeated(caplog):
    config = typed(Annotated[Cat | Dog, Field(discriminator="kind")])
    with pytest.raises(ConfigurationError) as raised:
        validate(config, "tracker_store", {"password": {"kind": TEXT}}, {})
    assert_hidden(raised.value, caplog)
    assert "password: is not valid" in str(raised.value)


@pytest.mark.parametrize("secret", [TEXT, NUMBER], ids=repr)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_validator_that_tells(check, secret, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(HoldfastError) as raised:
        validate(validated(check), "endpoints.yml: tracker_store", {"password": secret}, {})
    assert_hidden(raised.value, caplog)
    assert raised.value.__context__ is None
    assert str(raised.value).startswith("endpoints.yml: tracker_store: ")


def test_a_validator_that_is_hidden_is_at_least_located():
    with pytest.raises(
        ConfigurationError, match=r"password: is not valid \(refused with ValueError at test_no_value_leaks"
    ):
        validate(validated(raises_value_error), "tracker_store", {"password": "s3cr3t"}, {})
    with pytest.raises(
        PluginError, match=r"checking the section failed with KeyError at test_no_value_leaks.* Report it"
    ):
        validate(validated(raises_key_error), "tracker_store", {"password": "s3cr3t"}, {})


def test_a_model_validator_that_tells(caplog):
    class Config(BackendConfig):
        password: str

        @model_validator(mode="after")
        def _check(self):
            raise ValueError(f"{self.password} cannot be")

    with pytest.raises(ConfigurationError) as raised:
        validate(Config, "tracker_store", {"password": TEXT}, {})
    assert_hidden(raised.value, caplog)


def test_an_unknown_key_keeps_its_value_to_itself(caplog):
    for secret in SECRETS:
        with pytest.raises(ConfigurationError) as raised:
            validate(BackendConfig, "tracker_store", {"password": secret}, {})
        assert_hidden(raised.value, caplog)


def test_reprs_hide_every_value():
    class Config(BackendConfig):
        url: str
        password: SecretStr

    values = [
        validate(Config, "tracker_store", {"url": "postgres://u: s3cr3t@h", "password": " s3cr3t"}, {}),
        AnyKeys.model_validate({"url": " s3cr3t", "password": 12345}),
        Section(TRACKER_STORE, "redis", {"password": " s3cr3t", "pin": 12345}),
        ModelsConfig.model_validate(
            {
                "url": "http://u:12345@h",
                "token": " s3cr3t",
                "headers": {"X": " s3cr3t"},
                "params": {"key": 12345},
                "basic_auth": {"username": "12345", "password": " s3cr3t"},
            }
        ),
    ]
    for value in values:
        for text in (repr(value), str(value), f"{value}"):
            assert not any(forbidden in text for forbidden in FORBIDDEN)
    assert repr(values[0]) == "Config(url=…, password=…)"


@pytest.mark.parametrize(
    "failure", ["ValueError(config.password)", "SystemExit(config.password)", "OSError(config.password)"]
)
def test_an_open_that_tells(failure, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)

    def leaking(config):
        raise eval(failure)

    class Config(BackendConfig):
        password: str

    monkeypatch.setattr("holdfast.registry.load", lambda kind, name: Backend(config=Config, open=leaking))
    (tmp_path / "endpoints.yml").write_text("tracker_store: {type: x, password: ' s3cr3t'}", encoding="utf-8")
    with pytest.raises(PluginError, match=r"failed with \w+ at test_no_value_leaks.py") as raised:
        open_tracker_store(read_endpoints("endpoints.yml", required=True))
    assert_hidden(raised.value, caplog)


def test_an_open_that_raises_our_error_keeps_its_text_and_loses_its_chain(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    backend = Backend(config=AnyKeys, open=lambda config: raises_our_error_from_a_leaking_one(TEXT))
    monkeypatch.setattr("holdfast.registry.load", lambda kind, name: backend)
    (tmp_path / "endpoints.yml").write_text("tracker_store: {type: x}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="endpoints.yml: tracker_store: the password is wrong") as raised:
        open_tracker_store(read_endpoints("endpoints.yml", required=True))
    assert_hidden(raised.value, caplog)


@pytest.mark.parametrize(
    "text",
    [
        "tracker_store: {type: memory, password: 's3cr3t'}",
        "tracker_store: {type: memory, password: 12345}",
        "tracker_store: {password: 12345}",
        "tracker_store: [12345]",
        "tracker_store: 12345",
        "tracker_store: {type: 12345}",
        "tracker_store: {type: memory, 12345: x}",
        "tracker_store: {type: x, password: 's3cr3t ${UNSET_FOR_THIS_TEST}'}",
        "tracker_store: {type: memory, password: 's3cr3t}",
        "tracker_store: {type: x, a: 12345, a: 12345}",
        "tracker_store: {type: x, a: {? [12345] : x}}",
        "tracker_store: {type: x, a: !secret 12345}",
        "12345",
        "models: {token: 12345}",
        "models: {url: ' s3cr3t'}",
        "models: {url: 'http://[ s3cr3t'}",
        "models: {headers: {X: 12345}}",
        "models: {headers: [12345]}",
        "models: {params: {X: {Y: 12345}}}",
        "models: {basic_auth: {username: u, password: 12345}}",
        "models: {basic_auth: ' s3cr3t'}",
        "models: {wait_time_between_pulls: ' s3cr3t'}",
        "models: {keep: -12345}",
        "models: {url: 'http://u:12345@h', path: ' s3cr3t'}",
        "persistor: {type: x, prefix: 12345}",
        "persistor: {type: x, prefix: ' s3cr3t/..'}",
    ],
)
def test_a_file_that_is_wrong(text, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "endpoints.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        open_tracker_store(read_endpoints("endpoints.yml", required=True))
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + caplog.text
    assert not any(forbidden in shown for forbidden in FORBIDDEN)
