"""The persistor of endpoints.yml, and the one that `--remote-storage` names instead."""

import pytest

from holdfast.endpoints import read_endpoints
from holdfast.errors import ConfigurationError, PluginError, UnknownBackendError
from holdfast.opening import open_persistor, open_tracker_store


@pytest.fixture
def endpoints(tmp_path, install, persistor_source):
    install("holdfast-shelf", persistor_source, persistors=["shelf", "rack"])
    install("holdfast-attic", persistor_source, persistors=["attic"])

    def read(text):
        path = tmp_path / "endpoints.yml"
        path.write_text(text, encoding="utf-8")
        return read_endpoints(path, required=True, environ={})

    return read


def test_without_a_section_there_is_none(endpoints):
    assert open_persistor(endpoints("")) is None


def test_the_section_chooses(endpoints):
    opened = open_persistor(endpoints("persistor: {type: Shelf, bucket: b, prefix: /eu/prod/}"), environ={})
    assert (opened.name, opened.opened.config.bucket, opened.prefix) == ("Shelf", "b", "eu/prod")
    assert opened.errors() == {}


def test_an_override_needs_no_section_and_the_environment_fills_it(endpoints):
    opened = open_persistor(endpoints(""), "shelf", environ={"BUCKET_NAME": "from-environment"})
    assert (opened.opened.config.bucket, opened.prefix) == ("from-environment", "")


@pytest.mark.parametrize("override", ["shelf", "SHELF", "rack"])
def test_an_override_by_the_same_backend_uses_the_sections_keys(endpoints, override):
    opened = open_persistor(endpoints("persistor: {type: shelf, bucket: b, prefix: p}"), override, environ={})
    assert (opened.opened.config.bucket, opened.prefix) == ("b", "p")


def test_an_override_by_another_backend_leaves_the_sections_keys_alone(endpoints):
    read = endpoints("persistor: {type: shelf, bucket: b, prefix: p}")
    assert open_persistor(read, "attic", environ={"BUCKET_NAME": "other"}).opened.config.bucket == "other"
    with pytest.raises(
        ConfigurationError, match="persistor: bucket: is missing; .* the environment variable BUCKET_NAME"
    ):
        open_persistor(read, "attic", environ={})


def test_a_section_without_a_type_belongs_to_whatever_the_command_line_names(endpoints):
    read = endpoints("persistor: {bucket: b}")
    assert open_persistor(read, "attic", environ={}).opened.config.bucket == "b"
    with pytest.raises(ConfigurationError, match="`type` is missing; write `type: NAME` in it or use --remote-storage"):
        open_persistor(read, environ={})


def test_an_unknown_override_is_refused(endpoints):
    with pytest.raises(UnknownBackendError, match=r"no backend is called 'shlf'\. Did you mean 'shelf'\?"):
        open_persistor(endpoints(""), "shlf")


def test_a_plugin_that_opens_the_wrong_thing_is_refused(tmp_path, install, store_source):
    source = store_source.replace("open=Store", "open=lambda config: config")
    install("holdfast-wrong", source, stores=["wrong"])
    path = tmp_path / "endpoints.yml"
    path.write_text("tracker_store: {type: wrong, url: s3cr3t}", encoding="utf-8")
    with pytest.raises(PluginError, match="'wrong' opens an object of the class Config") as raised:
        open_tracker_store(read_endpoints(path, required=True))
    assert "s3cr3t" not in str(raised.value)
