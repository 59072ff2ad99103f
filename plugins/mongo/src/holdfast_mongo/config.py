"""The keys of `tracker_store: {type: mongod}`; the names are Rasa's."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from holdfast import BackendConfig

Seconds = Annotated[float, Field(gt=0)]

_FORBIDDEN_IN_DB = set('/\\. "$\0')


class MongoConfig(BackendConfig):
    """Where the server is and how to talk to it.

    An option that stands in the URI is used as it stands there, unless the section sets the key for it as well.
    """

    url: str = Field(
        "mongodb://localhost:27017",
        description="A MongoDB URI, with TLS, replica set and any other option of the driver; or a bare `host:port`.",
    )
    db: str = Field("rasa", description="Name of the database; one in the URI only says where to log in.")
    username: str | None = Field(None, description="User to log in as; the URI may hold one instead.")
    password: SecretStr | None = Field(None, description="Password of `username`.")
    auth_source: str = Field(
        "admin",
        description="Database that knows `username`; used with `username` only, and after an `authSource` in the URI "
        "unless the section sets it.",
    )
    collection: str = Field(
        "conversations",
        description="What the collections' names begin with: `<collection>_commits` and `<collection>_heads`; a "
        "collection of Rasa's with just this name is never touched.",
    )
    write_concern: int | str | None = Field(
        None,
        description="How many members must have an append before it counts as stored; `majority` unless the URI has "
        "`w`.",
    )
    journal: bool | None = Field(
        None, description="Whether they must have written it to their journals; they must unless the URI has `journal`."
    )
    server_selection_timeout: Seconds = Field(
        5.0, description="Seconds to wait for a server, or for a replica set to elect its primary, in one try."
    )
    connect_timeout: Seconds = Field(5.0, description="Seconds to wait for a connection, in one try.")
    socket_timeout: Seconds = Field(20.0, description="Seconds to wait for an answer, in one try.")
    pool_timeout: Seconds = Field(10.0, description="Seconds to wait for a free connection of the pool, in one try.")
    max_pool_size: Annotated[int, Field(ge=1)] = Field(
        100, description="Connections to one server that may be open at once."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if "://" not in url:
            url = f"mongodb://{url}"
        if not url.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("must begin with mongodb:// or mongodb+srv://, or be a bare host:port")
        if url.startswith("mongodb://"):  # the other kind asks a name server, which has to wait for the first use
            from pymongo.errors import PyMongoError
            from pymongo.uri_parser import parse_uri

            problem = None
            try:
                parse_uri(url)
            except OSError:
                problem = "names a tlsCAFile or tlsCertificateKeyFile that cannot be read"
            except (PyMongoError, ValueError):
                problem = (
                    "is no MongoDB URI; its form is mongodb://user:password@host:port/?option=value, and in user and "
                    "password the characters : / ? # [ ] @ % are written as %3A %2F %3F %23 %5B %5D %40 %25"
                )
            if problem:  # outside of the handler, so that the driver's error, which may quote the URI, is not chained
                raise ValueError(problem)
        return url

    @field_validator("db")
    @classmethod
    def _check_db(cls, db: str) -> str:
        if not db or len(db.encode()) > 63 or _FORBIDDEN_IN_DB & set(db):
            raise ValueError('must be 1 to 63 bytes without / \\ . " $ and spaces')
        return db

    @field_validator("collection")
    @classmethod
    def _check_collection(cls, collection: str) -> str:
        wrong = "$" in collection or "\0" in collection or ".." in collection
        if wrong or not collection or collection.startswith((".", "system.")) or len(collection.encode()) > 120:
            raise ValueError(
                "must be 1 to 120 bytes without $ and empty parts between dots, and not begin with system."
            )
        return collection

    @field_validator("write_concern")
    @classmethod
    def _check_write_concern(cls, write_concern: int | str | None) -> int | str | None:
        if isinstance(write_concern, str) and write_concern.isdigit():
            write_concern = int(write_concern)
        if write_concern == "" or (isinstance(write_concern, int) and write_concern < 1):
            raise ValueError("must be 1 or more, majority, or a name of the replica set: an append is acknowledged")
        return write_concern

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("'password' is set but 'username' is not")
        return self

    @property
    def uri_options(self) -> dict[str, str]:
        """The options in the URI, by their names in lower case."""
        return {name.lower(): value for name, value in parse_qsl(urlsplit(self.url).query)}
