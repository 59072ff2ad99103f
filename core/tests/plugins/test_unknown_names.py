"""What somebody reads who wrote a name that is not installed."""

import pytest

from holdfast import registry
from holdfast.errors import ConfigurationError, UnknownBackendError
from holdfast.kinds import PERSISTOR, TRACKER_STORE, Kind


def message(kind, name):
    with pytest.raises(UnknownBackendError) as raised:
        registry.load(kind, name)
    return str(raised.value)


@pytest.fixture
def rocket():
    return Kind(
        section="rockets",
        noun="rocket",
        group="holdfast.rockets_for_tests",
        hook="holdfast_rocket",
        contracts=("holdfast.models.persistor:Persistor",),
        published={"Saturn": "holdfast-saturn"},
    )


def test_it_is_a_mistake_of_the_configuration():
    assert issubclass(UnknownBackendError, ConfigurationError)


def test_it_names_the_section_a_close_match_and_what_is_installed(install, store_source):
    install("holdfast-redis", store_source, stores=["redis"])
    text = message(TRACKER_STORE, "rediss")
    assert text.startswith(
        "tracker_store: no backend is called 'rediss'. Did you mean 'redis'? Installed for tracker_store: memory, InMemory"
    )
    assert "redis" in text.split("Installed")[1]
    assert "pip install" not in text


def test_nothing_close_is_no_suggestion_and_never_memory():
    text = message(TRACKER_STORE, "zzz")
    assert "Did you mean" not in text
    assert "Installed for tracker_store: memory, InMemory" in text
    assert "pip install" not in text


def test_a_name_this_project_publishes_comes_with_the_line_to_install_it(rocket):
    text = message(rocket, "saturn")
    assert text == (
        "rockets: no backend is called 'saturn'. It comes with `pip install holdfast-saturn`. "
        "Installed for rockets: nothing."
    )


def test_a_misspelt_name_that_this_project_publishes_comes_with_both(rocket):
    text = message(rocket, "satrun")
    assert "Did you mean 'Saturn'? It comes with `pip install holdfast-saturn`." in text


def test_sql_is_published():
    assert TRACKER_STORE.published["SQL"] == "holdfast-sql"


def test_a_right_name_in_the_wrong_section():
    text = message(TRACKER_STORE, "disk")
    assert "'disk' is a persistor; it belongs in the section `persistor:`." in text
    assert "Did you mean" not in text
    assert "'MEMORY' is a tracker store; it belongs in the section `tracker_store:`." in message(PERSISTOR, "MEMORY")


def test_a_published_name_in_the_wrong_section():
    assert "'sql' is a tracker store; it belongs in the section `tracker_store:`." in message(PERSISTOR, "sql")


@pytest.mark.parametrize("name", ["my-store", "", "мой", "a b", "../x"])
def test_odd_names_are_unknown_names(name):
    assert "tracker_store: " in message(TRACKER_STORE, name)
