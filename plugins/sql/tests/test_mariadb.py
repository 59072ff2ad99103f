"""What is MariaDB's and MySQL's own: TLS, the size of a packet, tables half made, SQL modes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import (
    ANY,
    NEW,
    Appended,
    BackendError,
    ConfigurationError,
    ConflictError,
    Event,
    UnavailableError,
    UserUttered,
)
from holdfast_sql.config import SQLConfig
from holdfast_sql.store import SQLTrackerStore

pytestmark = pytest.mark.server("mariadb")


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


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_tls_is_as_strict_as_the_mode_says(
    mariadb_section: dict[str, Any], mariadb_server: Any, stores: list[SQLTrackerStore], mode: str
) -> None:
    if mariadb_server.root_certificate is None:
        pytest.skip("the server is not ours")
    trusted = {"ssl_mode": mode, "ssl_root_certificate": mariadb_server.root_certificate}
    stores.append(opened(mariadb_section, **trusted, url="localhost"))
    with stores[-1]._dialect.reading(stores[-1]._ready()) as connection:
        cipher = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Ssl_cipher'").one()[1]
    assert cipher
    stores.append(opened(mariadb_section, **trusted))  # the address is not the name in the certificate
    if mode == "verify-full":
        with pytest.raises(BackendError, match=r"(?i)certificate") as refused:
            stores[-1].count()
        assert not isinstance(refused.value, UnavailableError)
    else:
        assert stores[-1].count() == 0


def test_a_certificate_nobody_trusts_is_refused(mariadb_section: dict[str, Any], stores: list[SQLTrackerStore]) -> None:
    stores.append(opened(mariadb_section, ssl_mode="verify-ca"))
    with pytest.raises(BackendError, match=r"(?i)certificate"):
        stores[0].count()


def test_a_root_certificate_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no")
    for keys in ({"ssl_mode": "verify-ca"}, {}):
        with pytest.raises(ConfigurationError, match="ssl_root_certificate"):
            SQLTrackerStore(SQLConfig(dialect="mysql", ssl_root_certificate=tmp_path / "no.pem", **keys))  # type: ignore[arg-type]  # mode


def test_a_batch_beyond_the_servers_largest_packet_is_refused_with_the_cure(
    mariadb_section: dict[str, Any], stores: list[SQLTrackerStore]
) -> None:
    stores.append(opened(mariadb_section))
    with pytest.raises(BackendError, match="max_allowed_packet") as refused:
        stores[0].append("c", said("x" * 20_000_000), expected=NEW, batch_id="1")
    assert not isinstance(refused.value, UnavailableError)
    assert stores[0].append("c", said("x"), expected=NEW, batch_id="2") == Appended(1)


def test_tables_half_made_by_a_process_that_was_killed_are_completed(
    mariadb_section: dict[str, Any], mariadb_server: Any, stores: list[SQLTrackerStore]
) -> None:
    stores.append(opened(mariadb_section))
    stores[0].count()
    name = stores[0]._engine.url.database
    mariadb_server.execute(
        f"DELETE FROM `{name}`.holdfast_schema",
        f"DROP TABLE `{name}`.holdfast_event",
        f"DROP INDEX holdfast_conversation_user ON `{name}`.holdfast_conversation",
    )
    stores.append(opened(mariadb_section))
    assert stores[1].append("c", said("x"), expected=NEW, batch_id="1") == Appended(1)
    indexes = {row[2] for row in mariadb_server.query(f"SHOW INDEX FROM `{name}`.holdfast_conversation")}
    assert "holdfast_conversation_user" in indexes
    assert mariadb_server.query(f"SELECT * FROM `{name}`.holdfast_schema") == [(1,)]


def test_a_conflict_adds_nothing_whatever_the_servers_sql_mode_is(
    mariadb_section: dict[str, Any], mariadb_server: Any, stores: list[SQLTrackerStore]
) -> None:
    if mariadb_server.process is None:
        pytest.skip("the server is not ours")
    (before,) = mariadb_server.query("SELECT @@GLOBAL.sql_mode")
    mariadb_server.execute("SET GLOBAL sql_mode = 'NO_UNSIGNED_SUBTRACTION,ANSI,NO_BACKSLASH_ESCAPES'")
    try:
        stores.append(opened(mariadb_section))
        stores[0].append("c", said("a\\'b", "b", "c"), expected=NEW, batch_id="1")
        stores[0].truncate("c", 4)
        with pytest.raises(ConflictError, match="is at version 3, not 1"):
            stores[0].append("c", said("stale"), expected=1, batch_id="2")
        assert list(stores[0].read("c", 1, 9)) == []
        assert stores[0].append("c", said("d"), expected=ANY, batch_id="3") == Appended(4)
    finally:
        mariadb_server.execute(f"SET GLOBAL sql_mode = '{before[0]}'")


def test_columns_hold_what_mysqls_own_choice_of_types_would_damage(
    mariadb_section: dict[str, Any], mariadb_server: Any, stores: list[SQLTrackerStore]
) -> None:
    stores.append(opened(mariadb_section))
    stores[0].count()
    types = dict(
        mariadb_server.query(
            "SELECT concat(table_name, '.', column_name), concat(data_type, ' ', coalesce(collation_name, '')) "
            f"FROM information_schema.columns WHERE table_schema = '{stores[0]._engine.url.database}'"
        )
    )
    assert types["holdfast_event.data"] == "longtext utf8mb4_bin"
    assert types["holdfast_event.conversation"] == "varchar utf8mb4_bin"
    assert types["holdfast_event.timestamp"].strip() == "double"
    assert types["holdfast_conversation.updated"].strip() == "double"


def test_a_driver_that_is_missing_is_an_error_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "pymysql"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'holdfast-sql\[mysql\]'"):
        SQLTrackerStore(SQLConfig(dialect="mysql"))
