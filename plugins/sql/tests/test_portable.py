"""Oracle and SQL Server: what would be sent to them, and that its logic is right on a database that is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.dialects import mssql, oracle

from holdfast import UnavailableError, UserUttered
from holdfast_sql import postgresql
from holdfast_sql.config import SQLConfig
from holdfast_sql.portable import Oracle, Portable, SQLServer, event_rows, locked_version, move_head
from holdfast_sql.schema import events, migrations
from holdfast_sql.server import Place
from holdfast_testkit import TrackerStoreTests


class OnPostgreSQL(Portable, postgresql.PostgreSQL):
    """The portable statements, on PostgreSQL's connections."""

    # What is portable has to win over what is PostgreSQL's own, and the other way round for the rest.
    failure = postgresql.PostgreSQL.failure

    def number(self, error: BaseException) -> int | None:
        raise NotImplementedError

    def migrating(self, connection: Any) -> Any:
        if connection.in_transaction():
            connection.commit()
        return postgresql.PostgreSQL.migrating(self, connection)

    def prepare(self, engine: Any) -> None:
        super().prepare(engine.execution_options(isolation_level="AUTOCOMMIT"))


@pytest.mark.server("postgresql")
class TestThePortableStatements(TrackerStoreTests):
    @pytest.fixture
    def section(self, postgresql_section: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
        monkeypatch.setattr("holdfast_sql.store.dialect_for", OnPostgreSQL)
        return postgresql_section


def ddl(dialect: Any) -> list[str]:
    return [
        " ".join(str(element.compile(dialect=dialect)).split())
        for migration in migrations(dialect.name)
        for element in migration
    ]


def test_oracle_gets_clobs_binary_doubles_and_no_sequence() -> None:
    conversation, by_time, by_user, event, by_batch = ddl(oracle.dialect())
    assert "conversation VARCHAR2(400 CHAR) NOT NULL" in conversation
    assert '"session" NUMBER(19) NOT NULL' in conversation
    assert "updated BINARY_DOUBLE NOT NULL" in conversation
    assert "long_id CLOB" in conversation
    assert "data CLOB NOT NULL" in event
    assert "seq NUMBER(19) NOT NULL" in event
    assert "PRIMARY KEY (conversation, seq)" in event
    assert "IDENTITY" not in event
    assert by_time == "CREATE INDEX holdfast_conversation_updated ON holdfast_conversation (updated, conversation)"
    assert by_user == "CREATE INDEX holdfast_conversation_user ON holdfast_conversation (user_id, updated)"
    assert by_batch == (
        "CREATE UNIQUE INDEX holdfast_event_batch ON holdfast_event "
        "(CASE WHEN batch_id IS NOT NULL THEN conversation END, batch_id)"
    )


def test_oracles_names_fit_30_bytes() -> None:
    words = {word.strip('"(),') for statement in ddl(oracle.dialect()) for word in statement.split()}
    assert [word for word in words if word.startswith("holdfast") and len(word) > 30] == []


def test_sql_server_gets_binary_collations_filtered_indexes_and_no_identity() -> None:
    conversation, _, by_user, event, by_batch = ddl(mssql.dialect())
    assert "conversation NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NOT NULL" in conversation
    assert "updated FLOAT(53) NOT NULL" in conversation
    assert "data NVARCHAR(max) COLLATE Latin1_General_100_BIN2 NOT NULL" in event
    assert "IDENTITY" not in event
    assert by_user.endswith("(user_id, updated) WHERE user_id IS NOT NULL")
    assert by_batch.startswith("CREATE UNIQUE INDEX")
    assert by_batch.endswith("WHERE batch_id IS NOT NULL")


def place(expected: int = 4) -> Place:
    batch = [UserUttered("a", timestamp=1.5, intent={"name": "greet"}), UserUttered("b", timestamp=2.5)]
    return Place("c", batch, expected, "batch", None)


@pytest.mark.parametrize("dialect", [oracle.dialect(), mssql.dialect()], ids=lambda dialect: dialect.name)
def test_an_append_moves_the_head_only_from_the_expected_version(dialect: Any) -> None:
    statement = move_head(place(), 4, 9.5).compile(dialect=dialect)
    sql = " ".join(str(statement).split())
    assert sql.startswith("UPDATE holdfast_conversation SET version=:version, updated=:updated")
    assert sql.endswith(
        "WHERE holdfast_conversation.conversation = :conversation_1 AND holdfast_conversation.version = :version_1"
    )
    assert (statement.params["version"], statement.params["version_1"]) == (6, 4)


def test_only_the_first_row_of_a_batch_bears_its_id() -> None:
    rows = event_rows(place(), 4)
    assert [(row["seq"], row["batch_id"], row["intent_name"]) for row in rows] == [
        (5, "batch", "greet"),
        (6, None, None),
    ]
    sql = str(insert(events).compile(dialect=oracle.dialect()))
    assert sql.startswith("INSERT INTO holdfast_event (conversation, seq, batch_id, type_name, timestamp,")


def test_an_append_on_any_version_locks_the_head() -> None:
    assert str(locked_version(place()).compile(dialect=oracle.dialect())).endswith("FOR UPDATE")
    assert "holdfast_conversation WITH (UPDLOCK, ROWLOCK)" in str(
        locked_version(place()).compile(dialect=mssql.dialect())
    )


class Refused(Exception):
    """What python-oracledb raises: its only argument has the number."""

    def __init__(self, code: int) -> None:
        super().__init__(type("Error", (), {"code": code})())


def test_oracles_errors_are_told_apart_by_their_numbers() -> None:
    dialect = Oracle(SQLConfig(dialect="oracle", url="db.example"))
    assert isinstance(dialect.failure(Refused(12541)), UnavailableError)
    assert isinstance(dialect.failure(Refused(60)), UnavailableError)
    assert not isinstance(dialect.failure(Refused(1017)), UnavailableError)  # a wrong password
    assert "Oracle at db.example" in str(dialect.failure(Refused(1017)))


def test_sql_servers_errors_are_told_apart_by_their_numbers() -> None:
    dialect = SQLServer(SQLConfig(dialect="mssql", url="db.example", query={"driver": "ODBC Driver 18 for SQL Server"}))
    assert dialect.url.query["driver"] == "ODBC Driver 18 for SQL Server"

    def error(number: int) -> Exception:
        return Exception("40001", f"[40001] [Microsoft][SQL Server]Something (odd) ({number}) (SQLExecDirectW)")

    assert isinstance(dialect.failure(error(1205)), UnavailableError)
    assert not isinstance(dialect.failure(error(18456)), UnavailableError)  # a wrong password


def test_the_names_of_schemas_are_quoted_as_each_database_does() -> None:
    assert Oracle(SQLConfig(dialect="oracle", schema='a"b')).table("t") == '"a""b".t'
    assert SQLServer(SQLConfig(dialect="mssql", schema="a]b")).table("t") == "[a]]b].t"
