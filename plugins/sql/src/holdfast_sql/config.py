"""The keys of `tracker_store: {type: SQL}`; the names are Rasa's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from holdfast import BackendConfig

SSLMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class SQLConfig(BackendConfig):
    """Where the database is and how to talk to it."""

    dialect: str = Field(
        "sqlite",
        description="The database, by SQLAlchemy's name of it: `sqlite`, `postgresql`, `mysql`, `mariadb`, `oracle` or "
        "`mssql`; `postgresql+psycopg2` names the driver as well.",
    )
    driver: str | None = Field(
        None, description="The DBAPI driver, by SQLAlchemy's name of it; may stand in `dialect` or in `query` instead."
    )
    url: str | None = Field(
        None,
        description="Host of the server, `host:port`, or a whole SQLAlchemy URL, which then decides alone where the "
        "database is and who logs in.",
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port of the server; a port in `url` wins."
    )
    db: str = Field("rasa.db", description="Name of the database; for SQLite the path of its file.")
    username: str | None = Field(None, description="User to log in as.")
    password: SecretStr | None = Field(None, description="Password to log in with.")
    login_db: str | None = Field(
        None, description="PostgreSQL: a database to log in to first, in order to create `db` if it is missing."
    )
    query: dict[str, str] = Field(default_factory=dict, description="Options for the driver, as in a URL's query.")
    schema_name: str | None = Field(
        None,
        alias="schema",
        description="PostgreSQL, Oracle, SQL Server: the schema the tables are in; it must exist.",
        json_schema_extra={"env": ["POSTGRESQL_SCHEMA"]},
    )

    pool_size: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Connections that are kept open; 10 to a server, unless given.",
        json_schema_extra={"env": ["SQL_POOL_SIZE", "POSTGRESQL_POOL_SIZE"]},
    )
    max_overflow: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Connections beyond `pool_size` while there is much to do; 20 to a server, unless given.",
        json_schema_extra={"env": ["SQL_MAX_OVERFLOW", "POSTGRESQL_MAX_OVERFLOW"]},
    )
    pool_timeout: Annotated[float, Field(gt=0)] = Field(
        10.0, description="Seconds to wait for one of the connections when all are in use."
    )
    pool_pre_ping: bool = Field(
        True, description="Whether a connection that was idle for a second is checked before it is used."
    )
    pool_recycle: int = Field(1800, description="Seconds after which a connection is replaced; -1 for never.")
    connect_timeout: Annotated[float, Field(gt=0)] = Field(
        5.0, description="Seconds to wait for a connection to the server."
    )
    statement_timeout: Annotated[float, Field(gt=0)] = Field(
        30.0, description="Seconds to wait for the answer to a statement."
    )
    pgbouncer: bool = Field(
        False,
        description="PostgreSQL: whether a pooler such as PgBouncer stands in between; then nothing is prepared or set "
        "for a session.",
    )
    ssl_mode: SSLMode | None = Field(
        None,
        description="TLS to PostgreSQL or MySQL, in libpq's words; `verify-full` also checks the server's name.",
        json_schema_extra={"env": ["SQL_TRACKER_STORE_SSL_MODE"]},
    )
    ssl_root_certificate: Path | None = Field(
        None,
        description="File with the certificates that the server's is verified against.",
        json_schema_extra={"env": ["SQL_TRACKER_STORE_SSL_ROOT_CERTIFICATE"]},
    )

    synchronous: Literal["FULL", "NORMAL", "EXTRA"] = Field(
        "FULL",
        description="SQLite: when an append counts as stored. `FULL` waits for the disk; `NORMAL` is faster and may "
        "lose the last appends, never more, when the machine loses power.",
    )
    busy_timeout: Annotated[float, Field(gt=0)] = Field(
        10.0, description="SQLite: seconds to wait for another process that is writing."
    )
