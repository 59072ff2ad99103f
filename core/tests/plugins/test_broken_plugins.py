"""Each way a plugin can be wrong, and whom the refusal names."""

import pytest

from holdfast import registry
from holdfast.errors import PluginError
from holdfast.kinds import PERSISTOR, TRACKER_STORE

HEAD = "import asyncio\nfrom holdfast import Backend, BackendConfig, hookimpl\n"


def refusal(install, source, **options):
    module = install("holdfast-rocket", HEAD + source, version="4.2", stores=["rocket"], **options)
    with pytest.raises(PluginError) as raised:
        registry.load(TRACKER_STORE, "rocket")
    message = str(raised.value)
    assert "holdfast-rocket 4.2" in message
    assert f"`rocket = {options.get('value', module)}`" in message
    assert "Install another version of holdfast-rocket, or report it to its authors." in message
    return message


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_sdk", "ModuleNotFoundError: No module named 'no_such_sdk'"),
        ("from holdfast import NoSuchName", "ImportError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise SystemExit", "SystemExit"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_plugin_that_cannot_be_imported(install, source, reason):
    message = refusal(install, source)
    assert f"importing it failed: {reason}" in message
    assert "`pip check`" in message


@pytest.mark.parametrize("value", ["holdfast_absent", "holdfast_rocket:absent", "not a module!"])
def test_an_entry_point_that_leads_nowhere(install, value):
    assert "importing it failed" in refusal(install, "", value=value)


def test_a_misspelt_hook_suggests_the_right_one(install):
    message = refusal(install, "@hookimpl\ndef holdfast_traker_store(): ...")
    assert "there is no hook 'holdfast_traker_store'. Did you mean 'holdfast_tracker_store'?" in message


def test_a_hook_that_resembles_none_lists_them(install):
    message = refusal(install, "@hookimpl\ndef offer(): ...")
    assert "The hooks are holdfast_tracker_store, holdfast_persistor." in message


def test_a_misspelt_hook_does_not_poison_the_next_plugin(install, store_source):
    install("holdfast-fine", store_source, stores=["fine"])
    refusal(install, "@hookimpl\ndef holdfast_traker_store(): ...")
    assert registry.load(TRACKER_STORE, "fine")


def test_an_optional_hook_of_a_newer_holdfast_is_no_mistake(install, store_source):
    source = store_source + "\n@hookimpl(optionalhook=True)\ndef holdfast_of_tomorrow(): ...\n"
    install("holdfast-new", source, stores=["new"])
    assert registry.load(TRACKER_STORE, "new")


def test_a_hook_with_an_argument(install):
    message = refusal(install, "@hookimpl\ndef holdfast_tracker_store(config): ...")
    assert "wrong form" in message
    assert "config" in message
    assert "Hooks take no arguments" in message


def test_a_plugin_of_another_kind(install):
    message = refusal(install, "@hookimpl\ndef holdfast_persistor(): ...")
    assert "it implements holdfast_persistor, not holdfast_tracker_store" in message
    assert "its entry point belongs in the group holdfast.persistors" in message


def test_a_module_without_hooks(install):
    assert "it implements no hook; it should implement holdfast_tracker_store" in refusal(install, "")


def test_a_hook_without_its_decorator(install):
    message = refusal(install, "def holdfast_tracker_store(): ...")
    assert "its function holdfast_tracker_store lacks the decorator @holdfast.hookimpl" in message


def test_one_hook_implemented_twice(install):
    source = """
@hookimpl
def holdfast_tracker_store(): ...
@hookimpl(specname="holdfast_tracker_store")
def another(): ...
"""
    assert "it implements holdfast_tracker_store 2 times" in refusal(install, source)


@pytest.mark.parametrize(
    ("result", "what"),
    [
        ("None", "None, not a holdfast.Backend"),
        ("BackendConfig", "the class BackendConfig, not a holdfast.Backend"),
        ("BackendConfig()", "an object of the class BackendConfig, not a holdfast.Backend"),
        ("asyncio", "a module, not a holdfast.Backend"),
        ("asyncio.sleep(0)", "an object of the class coroutine, not a holdfast.Backend"),
        ("len", "a function, not a holdfast.Backend"),
        ("Backend(config=dict, open=print)", "a Backend whose config is not a subclass of holdfast.BackendConfig"),
        ("Backend(config=BackendConfig(), open=print)", "a Backend whose config is not a subclass"),
        ("Backend(config=BackendConfig, open=5)", "a Backend whose open cannot be called"),
    ],
)
def test_a_hook_that_returns_something_else(install, result, what):
    message = refusal(install, f"@hookimpl\ndef holdfast_tracker_store():\n    return {result}")
    assert f"its hook holdfast_tracker_store returned {what}" in message


@pytest.mark.parametrize("failure", ["RuntimeError('no luck')", "SystemExit('no luck')"])
def test_a_hook_that_raises(install, failure):
    message = refusal(install, f"@hookimpl\ndef holdfast_tracker_store():\n    raise {failure}")
    assert f"its hook holdfast_tracker_store failed: {failure.partition('(')[0]}: no luck" in message


def test_an_object_instead_of_a_module_can_hold_the_hook(install):
    source = """
class Plugin:
    @hookimpl
    def holdfast_tracker_store(self):
        return Backend(config=BackendConfig, open=print, summary="from an object")
plugin = Plugin()
"""
    install("holdfast-rocket", HEAD + source, stores=["rocket"], value="holdfast_rocket:plugin")
    assert registry.load(TRACKER_STORE, "rocket").summary == "from an object"


def test_a_plugin_of_both_kinds_is_asked_for_the_one_that_is_needed(install, store_source, persistor_source):
    source = store_source + persistor_source.replace("class Config", "class ShelfConfig").replace(
        "=Config", "=ShelfConfig"
    )
    install("holdfast-both", source, stores=["both"], persistors=["both"])
    assert registry.load(TRACKER_STORE, "both").open.__name__ == "Store"
    assert registry.load(PERSISTOR, "both").open.__name__ == "Shelf"
