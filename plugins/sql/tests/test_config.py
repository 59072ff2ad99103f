"""The keys of the section, before anything connects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast import ConfigurationError, ConversationError, connect
from holdfast_sql.address import server_url
from holdfast_sql.config import SQLConfig
from holdfast_sql.postgresql import PostgreSQL
from holdfast_sql.store import SQLTrackerStore
from holdfast_sql.texts import key, long_text, original, user_key


def url(**keys: Any) -> str:
    config = SQLConfig(**{"dialect": "postgresql", "db": "d", **keys})
    return server_url(config, ("psycopg", "psycopg2"), "postgresql").render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"url": "h"}, "postgresql+psycopg://h/d"),
        ({"url": "h:1"}, "postgresql+psycopg://h:1/d"),
        ({"url": "h", "port": 2}, "postgresql+psycopg://h:2/d"),
        ({"url": "h:1", "port": 2}, "postgresql+psycopg://h:1/d"),
        ({"url": "[::1]:1"}, "postgresql+psycopg://[::1]:1/d"),
        ({"url": "/run/pg"}, "postgresql+psycopg:///d?host=%2Frun%2Fpg"),
        ({"url": "h", "username": "u@x", "password": "p/:@ "}, "postgresql+psycopg://u%40x:p%2F%3A%40 @h/d"),
        ({"url": "h", "query": {"sslmode": "require"}}, "postgresql+psycopg://h/d?sslmode=require"),
        ({"url": "h", "driver": "psycopg2"}, "postgresql+psycopg2://h/d"),
        ({"url": "h", "query": {"driver": "psycopg2"}}, "postgresql+psycopg2://h/d"),
        ({"url": "h", "dialect": "PostgreSQL+psycopg2"}, "postgresql+psycopg2://h/d"),
        ({"url": "postgresql://u:p@h:1/e?x=y", "port": 2, "username": "v"}, "postgresql+psycopg://u:p@h:1/e?x=y"),
        ({"url": "postgresql+psycopg2://h/e"}, "postgresql+psycopg2://h/e"),
    ],
)
def test_the_keys_make_a_url(keys: dict[str, Any], expected: str) -> None:
    assert url(**keys) == expected


def test_a_port_may_be_text_as_a_variable_of_the_environment_is() -> None:
    assert SQLConfig.model_validate({"port": "5432"}).port == 5432


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"dialect": "postgresql", "driver": "asyncpg"}, "psycopg or psycopg2"),
        ({"dialect": "mysql", "driver": "asyncmy"}, "pymysql"),
        ({"dialect": "postgresql", "url": "user:s3cret@host"}, "a host, host:port or a whole URL"),
        ({"dialect": "postgresql", "url": "postgresql://u:s3cret@h:no/d"}, "is no URL"),
        ({"dialect": "informix"}, "speaks sqlite, postgresql, mysql, mariadb, oracle and mssql"),
        ({"url": "informix://u:s3cret@h/d"}, "speaks sqlite, postgresql"),
        ({"dialect": "mysql", "login_db": "x"}, "'login_db' is for PostgreSQL"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused_without_repeating_them(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        SQLTrackerStore(SQLConfig(**keys))
    assert "s3cret" not in str(refused.value)
    assert refused.value.__context__ is None or "s3cret" not in str(refused.value.__context__)


def test_rasas_variables_fill_what_the_section_leaves_out(tmp_path: Path) -> None:
    from holdfast.validation import validate

    environ = {
        "SQL_POOL_SIZE": "7",
        "POSTGRESQL_MAX_OVERFLOW": "3",
        "POSTGRESQL_SCHEMA": "bots",
        "SQL_TRACKER_STORE_SSL_MODE": "verify-full",
        "SQL_TRACKER_STORE_SSL_ROOT_CERTIFICATE": str(tmp_path),
    }
    config = validate(SQLConfig, "tracker_store", {"dialect": "postgresql"}, environ)
    dialect = PostgreSQL(config)
    assert (config.pool_size, config.max_overflow, dialect.schema) == (7, 3, "bots")
    arguments = dialect.connect_args()
    assert (arguments["sslmode"], arguments["sslrootcert"]) == ("verify-full", str(tmp_path))


def test_the_section_alone_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    (tmp_path / "endpoints.yml").write_text(
        "tracker_store: {type: SQL, dialect: postgresql, pool_size: 0, ssl_mode: maybe, passwort: 12345}\n"
    )
    with pytest.raises(ConfigurationError) as refused, connect(tmp_path / "endpoints.yml"):
        pass
    for word in ("pool_size", "ssl_mode", "passwort", "did you mean"):
        assert word in str(refused.value).lower()
    assert "12345" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        " ",
        "a ",
        "a  ",
        "\x00",
        "\x01",
        "\x010000",
        "\ud800\udfff",
        "x" * 400,
        "x" * 401,
        "😀" * 201,
        "\x00" * 90,
    ],
)
def test_a_key_is_short_and_gives_its_text_back(text: str) -> None:
    made = key(text)
    assert original(long_text(text, made) or made) == text
    assert len(made.encode("utf-16-le")) <= 800
    assert made
    assert not made.endswith(" ")
    assert "\x00" not in made
    assert (long_text(text, made) is None) == (len(made) < 200 or made == text)


def test_ordinary_ids_stand_in_the_tables_as_they_are() -> None:
    for text in ("ann", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "ünïcödé ☕", "%'\"\\", "tab\tline\n"):
        assert key(text) == text


def test_a_users_id_that_fits_no_index_is_refused() -> None:
    assert user_key("x" * 400) == "x" * 400
    with pytest.raises(ConversationError, match="at most 400"):
        user_key("x" * 401)
