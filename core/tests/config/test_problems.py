"""Everything that can be wrong with a section is named, in one go, in words an operator can act on."""

from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import AnyHttpUrl, Field, SecretStr, field_validator

from holdfast.backend import Backend, BackendConfig
from holdfast.errors import ConfigurationError
from holdfast.validation import validate


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Login(BackendConfig):
    username: str
    password: SecretStr


class Config(BackendConfig):
    bucket: str = Field(json_schema_extra={"env": ["BUCKET_NAME"]})
    password: SecretStr = SecretStr("")
    port: int = Field(default=1, ge=1, le=65535)
    ratio: float = Field(default=0.5, gt=0, lt=1)
    use_ssl: bool = False
    mode: Literal["standard", "cluster"] = "standard"
    colour: Colour = Colour.RED
    login: Login | None = None
    hosts: list[str] = Field(default_factory=list)
    query: dict[str, str] = Field(default_factory=dict)
    limit: int | Literal["none"] = 1
    code: str = Field(default="abc", min_length=2, max_length=4, pattern="^[a-z]+$")
    site: AnyHttpUrl | None = None
    steps: Annotated[list[int], Field(max_length=2)] = Field(default_factory=list)

    @field_validator("bucket")
    @classmethod
    def _bucket(cls, bucket):
        if bucket == "constant":
            raise ValueError("may not be constant")
        if bucket == "exact":
            raise ConfigurationError("a bucket of that name is never what you want")
        return bucket


def refusal(options, **environ):
    with pytest.raises(ConfigurationError) as raised:
        validate(Config, "endpoints.yml: persistor", options, environ)
    return str(raised.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"password": 12345}, "password: must be text; put the value in quotes."),
        ({"bucket": 12345}, "bucket: must be text; put the value in quotes."),
        ({"port": "x"}, "port: must be a whole number."),
        ({"port": 1.5}, "port: must be a whole number."),
        ({"port": 0}, "port: must be at least 1."),
        ({"port": 70000}, "port: must be at most 65535."),
        ({"port": None}, "port: has no value; write one or remove the key."),
        ({"ratio": "x"}, "ratio: must be a number."),
        ({"ratio": 0}, "ratio: must be greater than 0."),
        ({"ratio": 1}, "ratio: must be less than 1."),
        ({"use_ssl": "perhaps"}, "use_ssl: must be true or false."),
        ({"mode": "cloister"}, "mode: must be one of 'standard' or 'cluster'."),
        ({"colour": "green"}, "colour: must be one of 'red' or 'blue'."),
        ({"login": "x"}, "login: must be a mapping (`key: value`)."),
        ({"login": {"username": "u"}}, "login.password: is missing; write it in the section."),
        ({"login": {"username": "u", "password": 5}}, "login.password: must be text; put the value in quotes."),
        (
            {"login": {"username": "u", "password": "p", "pasword": "p"}},
            "login.pasword: is not a known key. Did you mean 'password'?",
        ),
        ({"hosts": "x"}, "hosts: must be a list."),
        ({"hosts": ["x", 5]}, "hosts.1: must be text; put the value in quotes."),
        ({"query": ["x"]}, "query: must be a mapping (`key: value`)."),
        ({"query": {"sslmode": True}}, "query.sslmode: must be text; put the value in quotes."),
        ({"limit": "x"}, "limit: must be a whole number, or must be one of 'none'."),
        ({"code": "a"}, "code: must have at least 2 characters."),
        ({"code": "abcde"}, "code: must have at most 4 characters."),
        ({"code": "ABC"}, "code: must match the pattern ^[a-z]+$."),
        ({"site": "nowhere"}, "site: must be a URL."),
        ({"site": "ftp://host"}, "site: must be a URL that begins with 'http' or 'https'."),
        ({"steps": [1, 2, 3]}, "steps: must have at most 2 items."),
        ({"prot": 5}, "prot: is not a known key. Did you mean 'port'?"),
        ({"bucket": "constant"}, "bucket: may not be constant."),
        ({"bucket": "exact"}, "a bucket of that name is never what you want"),
    ],
)
def test_a_problem_is_named_with_its_key(options, problem):
    assert refusal({"bucket": "b", **options}) == f"endpoints.yml: persistor: {problem}"


def test_a_missing_key_says_how_to_give_it():
    assert refusal({}) == (
        "endpoints.yml: persistor: bucket: is missing; write it in the section or set the environment variable BUCKET_NAME."
    )


def test_a_key_like_no_other_is_answered_with_all_keys():
    assert "zzzz: is not a known key. Known keys: bucket, password, port" in refusal({"bucket": "b", "zzzz": 1})


def test_every_problem_is_listed():
    lines = refusal({"port": "x", "use_ssl": "x", "pasword": "x"}).splitlines()
    assert lines[0] == "endpoints.yml: persistor:"
    assert [line.split(":")[0] for line in lines[1:]] == ["  bucket", "  port", "  use_ssl", "  pasword"]


def test_a_key_that_is_not_text_is_refused():
    assert refusal({5: "x"}) == "endpoints.yml: persistor: a key is of type int; put it in quotes."


def test_a_default_that_its_own_model_refuses_is_named():
    class Wrong(BackendConfig):
        port: int = "x"

    with pytest.raises(ConfigurationError, match="persistor: port: must be a whole number"):
        validate(Wrong, "persistor", {}, {})


def test_a_configuration_is_frozen():
    made = validate(Config, "persistor", {"bucket": "b"}, {})
    with pytest.raises(ValueError, match="frozen"):
        made.bucket = "other"


def test_a_backend_says_what_it_is():
    assert Backend(config=Config, open=print).errors() == {}
