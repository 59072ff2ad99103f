"""The keys of `tracker_store: {type: SQL}`; the names are Rasa's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from holdfast import BackendConfig


class SQLConfig(BackendConfig):
    """Where the database is and how to talk to it."""

    dialect: str = Field("sqlite", description="The database, by SQLAlchemy's name of it: `sqlite` in this version.")
    driver: str | None = Field(None, description="The DBAPI driver, by SQLAlchemy's name of it.")
    url: str | None = Field(
        None,
        description="Host of the server, or a whole SQLAlchemy URL, which then decides alone where the database is.",
    )
    port: int | None = Field(None, description="Port of the server.")
    db: str = Field("rasa.db", description="Name of the database; for SQLite the path of its file.")
    username: str | None = Field(None, description="User to log in as.")
    password: SecretStr | None = Field(None, description="Password to log in with.")
    login_db: str | None = Field(None, description="Database to log in to in order to create `db` (PostgreSQL).")
    query: dict[str, str] = Field(default_factory=dict, description="Options for the driver, as in a URL's query.")
    synchronous: Literal["FULL", "NORMAL", "EXTRA"] = Field(
        "FULL",
        description="SQLite: when an append counts as stored. `FULL` waits for the disk; `NORMAL` is faster and may "
        "lose the last appends, never more, when the machine loses power.",
    )
    busy_timeout: Annotated[float, Field(gt=0)] = Field(
        10.0, description="SQLite: seconds to wait for another process that is writing."
    )
