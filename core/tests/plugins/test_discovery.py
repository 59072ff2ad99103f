"""Which backends there are is read from metadata; only the one asked for is imported."""

import subprocess
import sys

import pytest

from holdfast import registry
from holdfast.errors import PluginError
from holdfast.kinds import KINDS, PERSISTOR, TRACKER_STORE

EXPLOSIVE = "raise AssertionError('imported')"


def entries(name):
    return [info for info in registry.listing() if info.name == name]


def test_the_core_offers_memory_under_two_names_and_disk():
    names = [(info.kind, info.name) for info in registry.listing() if info.distribution == "holdfast"]
    assert names == [("tracker_store", "memory"), ("tracker_store", "InMemory"), ("persistor", "disk")]


def test_listing_says_who_offers_what_and_imports_nothing(install):
    module = install("holdfast-shelf", EXPLOSIVE, version="2.3", persistors=["shelf"])
    [info] = entries("shelf")
    assert (info.kind, info.distribution, info.version, info.value, info.status) == (
        "persistor",
        "holdfast-shelf",
        "2.3",
        module,
        "ok",
    )
    assert module not in sys.modules


def test_listing_in_a_fresh_process_imports_no_backend_at_all():
    program = (
        "import sys; from holdfast import registry; assert registry.listing();"
        "print([m for m in sys.modules if m.startswith(('holdfast_', 'holdfast.conversations.', 'holdfast.models.'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_registry_does_not_import_the_reader_of_metadata():
    program = "import sys, holdfast.registry, holdfast.endpoints, holdfast.opening; print('importlib_metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_loading_one_backend_leaves_the_others_out(install, store_source):
    chosen = install("holdfast-one", store_source, stores=["one"])
    other = install("holdfast-two", EXPLOSIVE, stores=["two"], persistors=["two"])
    assert registry.load(TRACKER_STORE, "one").summary == "a store for tests"
    assert chosen in sys.modules
    assert other not in sys.modules


@pytest.mark.parametrize("name", ["Rocket", "rocket", "ROCKET", "alias"])
def test_a_name_matches_without_case_and_so_does_an_alias(install, store_source, name):
    install("holdfast-rocket", store_source, stores=["Rocket", "alias"])
    assert registry.load(TRACKER_STORE, name).open.__name__ == "Store"


def test_the_same_distribution_twice_on_the_path_is_no_conflict(install, store_source):
    install("holdfast-rocket", store_source, stores=["rocket"], site="old")
    install("holdfast-rocket", store_source, stores=["rocket"], site="new")
    assert [info.status for info in entries("rocket")] == ["ok"]
    assert registry.load(TRACKER_STORE, "rocket")


def test_of_two_versions_on_the_path_the_one_that_is_imported_counts(install, store_source):
    install("holdfast-rocket", store_source, version="1.0", stores=["rocket", "gone"], site="shadowed")
    install("holdfast-rocket", store_source, version="2.0", stores=["rocket"], site="first")
    assert [info.version for info in entries("rocket")] == ["2.0"]
    assert entries("gone") == []


def test_a_name_offered_by_two_distributions_is_refused_naming_both(install, store_source):
    install("holdfast-rocket", store_source, version="1.0", stores=["rocket"])
    install("other-rocket", store_source, version="7.1", stores=["Rocket"])
    with pytest.raises(PluginError) as raised:
        registry.load(TRACKER_STORE, "rocket")
    message = str(raised.value)
    assert "'rocket'" in message
    assert "holdfast-rocket 1.0" in message
    assert "other-rocket 7.1" in message
    assert "`pip uninstall holdfast-rocket` or `pip uninstall other-rocket`" in message


def test_a_conflict_stops_nobody_else_and_shows_in_the_listing(install, store_source):
    install("holdfast-rocket", store_source, stores=["rocket", "fine"])
    install("other-rocket", store_source, stores=["rocket"])
    assert [info.status for info in entries("rocket")] == ["conflict", "conflict"]
    assert "other-rocket 1.0" in entries("rocket")[0].detail
    assert registry.load(TRACKER_STORE, "fine")


def test_nobody_is_told_to_uninstall_the_core(install, store_source):
    install("memory-thief", store_source, stores=["MEMORY"])
    with pytest.raises(PluginError, match="Keep one of them: `pip uninstall memory-thief`") as raised:
        registry.load(TRACKER_STORE, "memory")
    assert "uninstall holdfast`" not in str(raised.value)


def test_one_distribution_with_two_meanings_of_a_name_is_refused(install, store_source):
    module = install("holdfast-rocket", store_source, stores=["rocket"])
    import importlib_metadata

    path = importlib_metadata.distribution("holdfast-rocket").locate_file(f"{module}-1.0.dist-info/entry_points.txt")
    with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write("[holdfast.tracker_stores]\nROCKET = elsewhere\n")
    with pytest.raises(PluginError, match=r"different code: .*\(holdfast_rocket\).*\(elsewhere\)|\(elsewhere\).*"):
        registry.load(TRACKER_STORE, "rocket")


@pytest.mark.parametrize(
    "damage", ["no = section", "[holdfast.tracker_stores]\nthis line has no equals sign", "[x\n= ="]
)
def test_damaged_metadata_of_one_distribution_stops_no_other(install, store_source, tmp_path, damage):
    install("holdfast-fine", store_source, stores=["fine"])
    install("holdfast-damaged", EXPLOSIVE, stores=["damaged"])
    (tmp_path / "site" / "holdfast_damaged-1.0.dist-info" / "entry_points.txt").write_text(damage, encoding="utf-8")
    assert [info.status for info in entries("fine")] == ["ok"]


def test_a_distribution_without_a_name_stops_no_other(install, store_source, tmp_path):
    install("holdfast-fine", store_source, stores=["fine"])
    install("holdfast-nameless", store_source, stores=["nameless"])
    (tmp_path / "site" / "holdfast_nameless-1.0.dist-info" / "METADATA").unlink()
    assert [info.status for info in entries("fine")] == ["ok"]
    assert entries("nameless") == []


def test_a_checked_listing_reports_each_failure_and_goes_on(install, store_source):
    install("holdfast-broken", "import no_such_sdk", stores=["broken"])
    install("holdfast-fine", store_source, stores=["fine"])
    found = {info.name: info for info in registry.listing(check=True)}
    assert (found["fine"].status, found["fine"].summary) == ("ok", "a store for tests")
    assert found["broken"].status == "broken"
    assert "no_such_sdk" in found["broken"].detail
    assert found["memory"].status == "ok"


def test_each_row_of_the_table_names_a_hook_and_contracts_that_exist():
    from holdfast import hooks

    for kind in KINDS:
        assert callable(getattr(hooks, kind.hook))
        assert not kind.is_opened(object())


def test_aliases_mean_the_same_backend_and_unknown_names_do_not():
    assert registry.same_backend(TRACKER_STORE, "memory", "inmemory")
    assert not registry.same_backend(TRACKER_STORE, "memory", "nothing")
    assert not registry.same_backend(PERSISTOR, "nothing", "no-more")
    assert registry.same_backend(PERSISTOR, "my_module.MyStore", "my_module.MyStore")
