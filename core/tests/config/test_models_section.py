"""The section `models:`."""

from pathlib import Path

import pytest

from holdfast.errors import ConfigurationError


def models(read, text):
    return read(f"models: {{{text}}}").models


def test_nothing_in_it_means_the_directory_models(read):
    config = models(read, "")
    assert (config.url, config.path, config.name) == (None, Path("models"), None)
    assert (config.directory, config.keep, config.wait_time_between_pulls) == (Path(".holdfast"), 3, 100.0)
    assert models(read, "url: null, name: null").path == Path("models")


def test_each_source_alone_is_accepted(read):
    assert models(read, "url: 'http://server/models/default'").path is None
    assert models(read, "path: elsewhere").path == Path("elsewhere")
    assert models(read, "name: production").name == "production"


@pytest.mark.parametrize("text", ["url: 'http://h', path: p", "url: 'http://h', name: n", "path: p, name: n"])
def test_two_sources_are_refused(read, text):
    with pytest.raises(ConfigurationError) as raised:
        models(read, text)
    assert str(raised.value) == (
        "endpoints.yml: models: only one of url, path and name says where the model comes from; remove the others."
    )


@pytest.mark.parametrize("url", ["ftp://h/m", "file:///m", "h/m", "localhost:80/m", "'http://'", "'http://[h'", "''"])
def test_a_url_is_http_or_https(read, url):
    with pytest.raises(ConfigurationError, match="models: url: must be a URL that begins with http:// or https://"):
        models(read, f"url: {url}")


@pytest.mark.parametrize(("text", "seconds"), [("null", 0), ("0", 0), ("10", 10), ("2.5", 2.5), ("'7'", 7)])
def test_how_long_to_wait_between_pulls(read, text, seconds):
    assert models(read, f"url: 'http://h', wait_time_between_pulls: {text}").wait_time_between_pulls == seconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("wait_time_between_pulls: -1", "wait_time_between_pulls: must be at least 0"),
        ("wait_time_between_pulls: .inf", "wait_time_between_pulls: must be a finite number"),
        ("keep: 0", "keep: must be at least 1"),
        ("keep: null", "keep: has no value"),
        ("name: ''", "name: must have at least 1 characters"),
        ("basic_auth: {username: u}", "basic_auth.password: is missing"),
        (
            "wait_time_between_pull: 5",
            "wait_time_between_pull: is not a known key. Did you mean 'wait_time_between_pulls'",
        ),
        ("params: {a: [1]}", "params.a: must be text"),
    ],
)
def test_what_is_wrong_with_a_key(read, text, problem):
    with pytest.raises(ConfigurationError, match="endpoints.yml: models: ") as raised:
        models(read, text)
    assert problem in str(raised.value)


def test_everything_a_server_is_sent(read):
    config = models(
        read,
        "url: 'https://h', token: t, token_name: key, headers: {X-A: a}, params: {v: 2, w: x}, cafile: ca.pem,"
        "basic_auth: {username: u, password: p}",
    )
    assert config.token.get_secret_value() == "t"
    assert config.token_name == "key"
    assert config.headers["X-A"].get_secret_value() == "a"
    assert config.params == {"v": "2", "w": "x"}
    assert config.cafile == Path("ca.pem")
    assert (config.basic_auth.username, config.basic_auth.password.get_secret_value()) == ("u", "p")
