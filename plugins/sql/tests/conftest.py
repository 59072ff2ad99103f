"""The servers, started once for all tests; a URL in the environment replaces one."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from servers import mariadb, postgresql
from servers.process import HOST, Process

_numbers = itertools.count()


@dataclass(frozen=True)
class Server:
    """Where a server is, as a section of endpoints.yml says it.

    Attributes:
        section: logs in, to no database or schema of its own yet.
        process: `None` if the server is not ours.
        root_certificate: likewise.
    """

    section: dict[str, Any]
    process: Process | None = None
    root_certificate: Path | None = None

    def execute(self, *statements: str) -> None:
        """Run statements past holdfast."""
        engine = sqlalchemy.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query, past holdfast."""
        engine = sqlalchemy.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def url(self) -> sqlalchemy.URL:
        section = self.section
        if "://" in section["url"]:
            return sqlalchemy.make_url(section["url"])
        driver = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[section["dialect"]]
        return sqlalchemy.URL.create(
            driver, section["username"], section["password"], section["url"], section["port"], section.get("db")
        )


def section_of(port: int, **keys: Any) -> dict[str, Any]:
    return {"type": "SQL", "url": HOST, "port": port, **keys}


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    given = os.environ.get("HOLDFAST_TEST_POSTGRESQL_URL")
    if given:
        yield Server({"type": "SQL", "url": given})
        return
    with postgresql.running() as server:
        keys = {"dialect": "postgresql", "username": "postgres", "password": postgresql.PASSWORD, "db": "postgres"}
        yield Server(section_of(server.port, **keys), server.process, server.root_certificate)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    given = os.environ.get("HOLDFAST_TEST_MARIADB_URL")
    if given:
        yield Server({"type": "SQL", "url": given})
        return
    with mariadb.running() as server:
        keys = {"dialect": "mariadb", "username": "holdfast", "password": mariadb.PASSWORD, "db": "mysql"}
        yield Server(section_of(server.port, **keys), server.process, server.root_certificate)


@pytest.fixture
def postgresql_section(postgresql_server: Server) -> Iterator[dict[str, Any]]:
    """A schema of its own, with a name that has to be quoted."""
    schema = f"Test {os.getpid()} {next(_numbers)}"
    postgresql_server.execute(f'CREATE SCHEMA "{schema}"')
    yield {**postgresql_server.section, "schema": schema}
    postgresql_server.execute(f'DROP SCHEMA "{schema}" CASCADE')


@pytest.fixture
def mariadb_section(mariadb_server: Server) -> Iterator[dict[str, Any]]:
    """A database of its own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    mariadb_server.execute(f"CREATE DATABASE `{name}`")
    section = dict(mariadb_server.section)
    if "://" in section["url"]:
        section["url"] = sqlalchemy.make_url(section["url"]).set(database=name).render_as_string(hide_password=False)
    else:
        section["db"] = name
    yield section
    mariadb_server.execute(f"DROP DATABASE `{name}`")


@pytest.fixture(
    params=[
        pytest.param("postgresql", marks=pytest.mark.server("postgresql")),
        pytest.param("mariadb", marks=pytest.mark.server("mariadb")),
    ]
)
def on_each_server(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The section of an empty place on each of the servers in turn."""
    return request.getfixturevalue(f"{request.param}_section")


@pytest.fixture
def server(request: pytest.FixtureRequest, on_each_server: dict[str, Any]) -> Server:
    """The server that `on_each_server` is on."""
    kind = "postgresql" if "schema" in on_each_server else "mariadb"
    return request.getfixturevalue(f"{kind}_server")


Opener = Callable[..., Any]
