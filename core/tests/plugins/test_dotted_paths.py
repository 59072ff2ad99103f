"""A class or a Backend of one's own, named by a dotted path."""

import sys
from textwrap import dedent

import pytest

from holdfast import registry
from holdfast.endpoints import Endpoints, Section
from holdfast.errors import ConfigurationError, PluginError, UnknownBackendError
from holdfast.kinds import PERSISTOR, TRACKER_STORE
from holdfast.opening import open_persistor, open_tracker_store

MODULE = """
    import helper_beside_it
    from holdfast import Backend, BackendConfig, Persistor, TrackerStore
    from holdfast.conversations.memory import MemoryTrackerStore
    from pydantic import BaseModel, SecretStr

    class Plain(MemoryTrackerStore):
        def __init__(self, host, password=None, **others):
            super().__init__()
            self.given = {"host": host, "password": password, **others}

    class Strict(MemoryTrackerStore):
        def __init__(self, port="s3cr3t"):
            super().__init__()
            self.port = port

    class Settings(BackendConfig):
        url: str
        password: SecretStr

    class Configured(MemoryTrackerStore):
        Config = Settings

        def __init__(self, config):
            super().__init__()
            self.settings = config

    class Careless(MemoryTrackerStore):
        class Config(BaseModel):
            password: str

    class Unrelated:
        Config = "just an attribute"

    class Half(TrackerStore):
        def count(self):
            return 0

    class Exploding(MemoryTrackerStore):
        def __init__(self, password):
            raise ValueError("cannot use " + password)

    class Late(MemoryTrackerStore):
        def __init__(self):
            import helper_for_later
            super().__init__()

    class Outer:
        class Inner(MemoryTrackerStore):
            pass

    class Shelf(Persistor):
        def __init__(self, **keys):
            self.keys = keys
        def upload(self, archive, key): ...
        def download(self, key, archive): ...
        def stat(self, key): ...

    class Bare(Shelf):
        def __init__(self):
            self.keys = None

    ready = Backend(config=Settings, open=Configured, summary="made by hand")
    unready = Backend(config=dict, open=Configured)
    number = 5

    def function():
        return Plain(None)

    async def coroutine(config):
        return Plain(None)

    waits = Backend(config=BackendConfig, open=coroutine)
"""


@pytest.fixture(autouse=True)
def module(working_directory):
    (working_directory / "my_module.py").write_text(dedent(MODULE), encoding="utf-8")
    (working_directory / "helper_beside_it.py").write_text("", encoding="utf-8")
    (working_directory / "helper_for_later.py").write_text("", encoding="utf-8")
    (working_directory / "stumbling.py").write_text("import no_such_sdk\n", encoding="utf-8")
    (working_directory / "exiting.py").write_text("raise SystemExit(1)\n", encoding="utf-8")
    package = working_directory / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "inside.py").write_text("from my_module import Plain\n", encoding="utf-8")


def opened_store(path, **options):
    return open_tracker_store(Endpoints(Section(TRACKER_STORE, path, options, "endpoints.yml")), environ={}).opened


def opened_shelf(path, **options):
    return open_persistor(Endpoints(persistor=Section(PERSISTOR, path, options)), environ={}).opened


def test_the_working_directory_is_importable_for_the_moment():
    before = list(sys.path)
    registry.load(TRACKER_STORE, "my_module.Plain")
    assert sys.path == before


def test_the_working_directory_is_importable_while_a_store_opens():
    assert opened_store("my_module.Late")


def test_a_path_goes_through_packages_and_classes():
    assert opened_store("my_package.inside.Plain", url="h").given["host"] == "h"
    assert opened_store("my_module.Outer.Inner")


def test_a_tracker_store_is_called_with_host_and_the_remaining_keys():
    store = opened_store("my_module.Plain", url="localhost", password="p", port=5)
    assert store.given == {"host": "localhost", "password": "p", "port": 5}


def test_a_tracker_store_that_needs_a_host_gets_none_if_there_is_no_url():
    assert opened_store("my_module.Plain").given == {"host": None, "password": None}


def test_a_tracker_store_that_knows_no_host_is_called_without():
    assert opened_store("my_module.Strict").port == "s3cr3t"


def test_url_and_host_are_not_mixed():
    with pytest.raises(ConfigurationError, match="write `url` or `host`, not both"):
        opened_store("my_module.Plain", url="a", host="b")


def test_a_persistor_is_called_without_arguments_or_with_the_sections_keys():
    assert opened_shelf("my_module.Bare").keys is None
    assert opened_shelf("my_module.Shelf", url="u", bucket="b").keys == {"url": "u", "bucket": "b"}


def test_a_class_with_a_config_is_called_with_an_instance_of_it():
    store = opened_store("my_module.Configured", url="u", password="s3cr3t")
    assert store.settings.password.get_secret_value() == "s3cr3t"
    with pytest.raises(ConfigurationError, match="endpoints.yml: tracker_store: password: is missing"):
        opened_store("my_module.Configured", url="u")


def test_a_backend_is_taken_as_it_is():
    assert registry.load(TRACKER_STORE, "my_module.ready").summary == "made by hand"


def test_a_backend_without_a_proper_config_is_refused():
    with pytest.raises(PluginError, match=r"my_module\.unready' is a Backend whose config is not a subclass"):
        registry.load(TRACKER_STORE, "my_module.unready")


def test_a_config_that_would_show_values_is_refused():
    with pytest.raises(PluginError, match=r"its Config must be derived from holdfast\.BackendConfig"):
        registry.load(TRACKER_STORE, "my_module.Careless")


def test_a_missing_module_says_where_it_was_looked_for(working_directory):
    with pytest.raises(UnknownBackendError) as raised:
        registry.load(TRACKER_STORE, "my_modul.Plain")
    message = str(raised.value)
    assert message.startswith("tracker_store: 'my_modul.Plain': there is no module 'my_modul'")
    assert f"the working directory {working_directory}" in message
    assert "installed packages" in message
    assert "Did you mean 'my_module'?" in message


def test_a_missing_class_says_which_part_is_missing(working_directory):
    with pytest.raises(UnknownBackendError) as raised:
        registry.load(TRACKER_STORE, "my_module.Plane")
    message = str(raised.value)
    assert "'my_module' has no 'Plane'" in message
    assert str(working_directory / "my_module.py") in message
    assert "Did you mean 'Plain'?" in message


def test_a_missing_module_of_a_package_is_a_missing_part():
    with pytest.raises(UnknownBackendError, match="'my_package' has no 'insid'"):
        registry.load(TRACKER_STORE, "my_package.insid.Plain")


@pytest.mark.parametrize("path", [".Plain", "my_module.", "my..module", "my-module.Plain", "my_module.5"])
def test_what_is_no_dotted_path(path):
    with pytest.raises(UnknownBackendError, match="neither the name of a backend nor a dotted path"):
        registry.load(TRACKER_STORE, path)


def test_a_module_that_misses_another_one():
    with pytest.raises(PluginError, match="importing 'stumbling' failed: No module named 'no_such_sdk'"):
        registry.load(TRACKER_STORE, "stumbling.Plain")


def test_a_module_that_leaves_the_process():
    with pytest.raises(PluginError, match="importing 'exiting' failed: SystemExit: 1"):
        registry.load(TRACKER_STORE, "exiting.Plain")


@pytest.mark.parametrize(
    ("name", "what"),
    [("number", "an object of the class int"), ("function", "a function"), ("helper_beside_it", "a module")],
)
def test_what_is_neither_a_class_nor_a_backend(name, what):
    with pytest.raises(PluginError, match=rf"'my_module\.{name}' is {what}; a class or a holdfast\.Backend is needed"):
        registry.load(TRACKER_STORE, f"my_module.{name}")


def test_a_class_with_methods_missing():
    with pytest.raises(
        PluginError, match=r"my_module\.Half' is incomplete: its class must define append, delete, head"
    ):
        registry.load(TRACKER_STORE, "my_module.Half")


def test_a_class_that_is_no_tracker_store():
    with pytest.raises(PluginError) as raised:
        opened_store("my_module.Unrelated")
    assert "opens an object of the class Unrelated" in str(raised.value)
    assert "not derived from holdfast.TrackerStore or holdfast.AsyncTrackerStore" in str(raised.value)


def test_a_tracker_store_in_the_section_of_the_persistor():
    with pytest.raises(PluginError, match=r"not derived from holdfast\.Persistor"):
        opened_shelf("my_module.Strict")


def test_an_open_that_is_async():
    with pytest.raises(PluginError, match="opens an object of the class coroutine"):
        opened_store("my_module.waits")


def test_keys_the_class_does_not_take_are_named_and_no_value_is():
    with pytest.raises(ConfigurationError) as raised:
        opened_store("my_module.Strict", prot="s3cr3t")
    message = str(raised.value)
    assert message.startswith("endpoints.yml: tracker_store: the section's keys do not fit my_module.Strict")
    assert "unexpected keyword argument 'prot'" in message
    assert "Its arguments: port." in message
    assert "s3cr3t" not in message


def test_a_constructor_that_fails_is_located_and_its_text_hidden():
    with pytest.raises(PluginError) as raised:
        opened_store("my_module.Exploding", password="s3cr3t")
    message = str(raised.value)
    assert "opening 'my_module.Exploding' failed with ValueError at my_module.py:" in message
    assert "s3cr3t" not in message
    assert raised.value.__context__ is None
