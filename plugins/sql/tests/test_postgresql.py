"""What is PostgreSQL's own: schemas, login_db, TLS, poolers, drivers, statements."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import ANY, NEW, Appended, BackendError, ConfigurationError, Event, UnavailableError, UserUttered, connect
from holdfast_sql.config import SQLConfig
from holdfast_sql.postgresql import PostgreSQL
from holdfast_sql.store import SQLTrackerStore
from servers.proxy import Proxy

pytestmark = pytest.mark.server("postgresql")


def opened(section: dict[str, Any], **keys: Any) -> SQLTrackerStore:
    return SQLTrackerStore(SQLConfig(**{key: value for key, value in {**section, **keys}.items() if key != "type"}))


def said(*texts: str) -> list[Event]:
    return [UserUttered(text, timestamp=1.5) for text in texts]


@pytest.fixture
def stores() -> Iterator[list[SQLTrackerStore]]:
    """Closed at the end."""
    made: list[SQLTrackerStore] = []
    yield made
    for store in made:
        store.close()


def test_a_schema_that_does_not_exist_is_an_error_that_names_the_cure(
    postgresql_section: dict[str, Any], stores: list[SQLTrackerStore]
) -> None:
    stores.append(opened(postgresql_section, schema="nowhere"))
    with pytest.raises(ConfigurationError, match="CREATE SCHEMA"):
        stores[0].count()


def test_the_schema_may_stand_in_the_environment(
    postgresql_section: dict[str, Any], postgresql_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    monkeypatch.setenv("POSTGRESQL_SCHEMA", postgresql_section["schema"])
    section = {key: value for key, value in postgresql_section.items() if key != "schema"}
    (tmp_path / "endpoints.yml").write_text(yaml.safe_dump({"tracker_store": section}))
    with connect(tmp_path / "endpoints.yml") as hf:
        hf.conversations.append("c", said("x"))
    assert postgresql_server.query(f'SELECT conversation FROM "{postgresql_section["schema"]}".holdfast_event') == [
        ("c",)
    ]


def test_login_db_creates_the_database_whatever_its_name(postgresql_server: Any, stores: list[SQLTrackerStore]) -> None:
    name = f'New "{uuid.uuid4().hex[:8]}'
    for _ in range(2):
        stores.append(opened(postgresql_server.section, db=name, login_db="postgres"))
        stores[-1].append("c", said("x"), expected=ANY, batch_id="1")
    assert stores[-1].count() == 1
    for store in stores:
        store.close()
    postgresql_server.execute('DROP DATABASE "{}"'.format(name.replace('"', '""')))


def test_a_database_that_is_missing_is_an_error(
    postgresql_section: dict[str, Any], stores: list[SQLTrackerStore]
) -> None:
    stores.append(opened(postgresql_section, db="no such"))
    with pytest.raises(BackendError, match="does not exist") as missing:
        stores[0].count()
    assert not isinstance(missing.value, UnavailableError)


def test_a_database_that_is_not_utf_8_is_refused(postgresql_server: Any, stores: list[SQLTrackerStore]) -> None:
    name = f"latin_{uuid.uuid4().hex[:8]}"
    postgresql_server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    stores.append(opened(postgresql_server.section, db=name))
    with pytest.raises(ConfigurationError, match="UTF8"):
        stores[0].count()
    stores[0].close()
    postgresql_server.execute(f"DROP DATABASE {name}")


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_tls_is_verified_against_the_root_certificate(
    postgresql_section: dict[str, Any], postgresql_server: Any, stores: list[SQLTrackerStore], driver: str
) -> None:
    if postgresql_server.root_certificate is None:
        pytest.skip("the server is not ours")
    trusted = {"driver": driver, "ssl_mode": "verify-full", "ssl_root_certificate": postgresql_server.root_certificate}
    stores.append(opened(postgresql_section, **trusted, url="localhost"))
    stores[-1].append("c", said("x"), expected=NEW, batch_id="1")
    with stores[-1]._dialect.reading(stores[-1]._engine) as connection:
        assert connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar_one()
    stores.append(opened(postgresql_section, **trusted))  # the address is not the name in the certificate
    with pytest.raises(BackendError, match="127.0.0.1"):
        stores[-1].count()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_behind_a_pooler_nothing_is_prepared_and_nothing_is_set(
    postgresql_section: dict[str, Any], stores: list[SQLTrackerStore], driver: str
) -> None:
    stores.append(opened(postgresql_section, driver=driver, pgbouncer=True))
    for number in range(20):
        stores[0].append("c", said("x"), expected=number, batch_id=str(number))
    with stores[0]._dialect.reading(stores[0]._engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one() == 0
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "0"


def test_the_statement_time_out_is_the_servers_too(
    postgresql_section: dict[str, Any], stores: list[SQLTrackerStore]
) -> None:
    stores.append(opened(postgresql_section, statement_timeout=0.3))
    stores[0].count()
    with (
        pytest.raises(UnavailableError, match="statement timeout"),
        stores[0]._dialect.reading(stores[0]._engine) as connection,
    ):
        connection.exec_driver_sql("SELECT pg_sleep(5)")


def test_psycopg2_appends_in_one_round_trip_as_well(
    postgresql_section: dict[str, Any], postgresql_server: Any, stores: list[SQLTrackerStore]
) -> None:
    with Proxy(postgresql_server.section["port"]) as proxy:
        stores.append(opened(postgresql_section, driver="psycopg2", port=proxy.port))
        stores[0].append("c", said("x"), expected=NEW, batch_id="1")
        for expected, version in ((1, 2), (ANY, 3)):
            before = proxy.round_trips
            assert stores[0].append("c", said("x"), expected=expected, batch_id=str(version)) == Appended(version)
            assert proxy.round_trips - before == 1
        stores[0].close()


def test_tables_that_a_role_may_not_create_are_used_where_they_stand(
    postgresql_section: dict[str, Any], postgresql_server: Any, stores: list[SQLTrackerStore]
) -> None:
    stores.append(opened(postgresql_section))
    stores[0].count()
    role, schema = f"role_{uuid.uuid4().hex[:8]}", postgresql_section["schema"]
    postgresql_server.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'pw'",
        f'GRANT USAGE ON SCHEMA "{schema}" TO {role}',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" TO {role}',
    )
    stores.append(opened(postgresql_section, username=role, password="pw"))
    assert stores[1].append("c", said("x"), expected=NEW, batch_id="1") == Appended(1)
    stores[1].close()
    postgresql_server.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_tables_of_a_newer_version_are_left_alone(
    postgresql_section: dict[str, Any], postgresql_server: Any, stores: list[SQLTrackerStore]
) -> None:
    stores += [opened(postgresql_section), opened(postgresql_section)]
    stores[0].count()
    postgresql_server.execute(f'INSERT INTO "{postgresql_section["schema"]}".holdfast_schema VALUES (1000)')
    with pytest.raises(ConfigurationError, match=r"newer than.*pip install -U holdfast-sql"):
        stores[1].count()


def test_nothing_of_a_deleted_conversation_is_left_in_any_table(
    postgresql_section: dict[str, Any], postgresql_server: Any, stores: list[SQLTrackerStore]
) -> None:
    stores.append(opened(postgresql_section))
    stores[0].append("c", said("a secret"), expected=NEW, batch_id="1", user="ann")
    stores[0].delete("c")
    for table in ("holdfast_event", "holdfast_conversation"):
        assert postgresql_server.query(f'SELECT count(*) FROM "{postgresql_section["schema"]}".{table}') == [(0,)]


def test_reads_use_the_primary_key_even_without_statistics(
    postgresql_section: dict[str, Any], stores: list[SQLTrackerStore]
) -> None:
    store = opened(postgresql_section)
    stores.append(store)
    for begin in range(0, 5000, 1000):
        store.append("c", said(*["x"] * 1000), expected=begin, batch_id=str(begin))
    schema = postgresql_section["schema"]
    with store._dialect.reading(store._engine) as connection:
        plan = "\n".join(
            row[0]
            for row in connection.exec_driver_sql(
                f'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT seq, data FROM "{schema}".holdfast_event '
                "WHERE conversation = 'c' AND seq BETWEEN 4981 AND 5000 ORDER BY seq LIMIT 500"
            )
        )
    assert "Seq Scan" not in plan
    assert "rows=20 " in plan
    assert "rows=5000" not in plan


@pytest.mark.parametrize(
    ("driver", "cure"), [("psycopg", r"holdfast-sql\[postgresql\]"), ("psycopg2", "psycopg2-binary")]
)
def test_a_driver_that_is_missing_is_an_error_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, driver: str, cure: str
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(ConfigurationError, match=f"pip install '{cure}'"):
        SQLTrackerStore(SQLConfig(dialect="postgresql", driver=driver))


def test_the_options_of_the_query_stay_beside_ours() -> None:
    dialect = PostgreSQL(SQLConfig(dialect="postgresql", query={"options": "-c search_path=x", "connect_timeout": "9"}))
    arguments = dialect.connect_args()
    assert arguments["options"] == "-c search_path=x -c statement_timeout=30000"
    assert "connect_timeout" not in arguments
