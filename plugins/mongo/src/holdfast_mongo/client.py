"""The connection: a client made on first use, the collections and their indexes, the driver's errors in our words."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from bson.errors import BSONError
from pymongo import ASCENDING, DESCENDING, MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError as DriverConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from holdfast import BackendError, ConfigurationError, UnavailableError
from holdfast_mongo.config import MongoConfig
from holdfast_mongo.documents import Document

logger = logging.getLogger(__name__)

DUPLICATE_KEY: Final = frozenset((11000, 11001, 12582))
"""What servers of all ages answer to a document that breaks a unique index."""

_NOT_LOGGED_IN = frozenset((18, 334, 8000))  # AuthenticationFailed, MechanismUnavailable, AtlasError
_REFUSED = _NOT_LOGGED_IN | {13}  # Unauthorized
# Codes of the drivers' specification for retries, and what servers answer when they stop, step down or are overloaded.
_UNAVAILABLE = frozenset((
    6, 7, 50, 64, 89, 91, 112, 134, 189, 202, 262, 462, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436, 16500,
))  # fmt: skip
_LABELS = ("RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult", "RetryableError")

_OPTIONS = {
    "serverselectiontimeoutms": ("server_selection_timeout", "serverSelectionTimeoutMS"),
    "connecttimeoutms": ("connect_timeout", "connectTimeoutMS"),
    "sockettimeoutms": ("socket_timeout", "socketTimeoutMS"),
    "waitqueuetimeoutms": ("pool_timeout", "waitQueueTimeoutMS"),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """What a client gives once it is connected for the first time.

    Attributes:
        client: the driver's.
        commits, heads: the collections; what is acknowledged in `commits` is as durable as the config asks.
        chained: whether the server keeps (conversation, v, g) unique, on which an append in one command relies.
        batched: whether it keeps (conversation, b) unique; if not, every append looks its batch up before.
    """

    client: MongoClient[Document]
    commits: Collection[Document]
    heads: Collection[Document]
    chained: bool
    batched: bool


class Client:
    """The way to the server: nothing is opened before `ready`, and a forked process opens its own."""

    def __init__(self, config: MongoConfig) -> None:
        self.config = config
        self._reset()
        _clients.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._opened: Opened | None = None

    def ready(self) -> Opened:
        """The collections; connects and creates what is missing of the indexes on the first call."""
        opened = self._opened
        if opened is None:
            with self._lock:
                opened = self._opened = self._opened or self._open()
        return opened

    def close(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.client.close()

    def _open(self) -> Opened:
        client: MongoClient[Document] = MongoClient(self.config.url, **self._options())
        try:
            database = client.get_database(self.config.db, read_preference=ReadPreference.PRIMARY)
            commits = database.get_collection(
                f"{self.config.collection}_commits", write_concern=self._write_concern(client)
            )
            # A head that a fail-over loses is written again, because its commit's mark `d` is removed after it.
            heads = database.get_collection(f"{self.config.collection}_heads", write_concern=WriteConcern(w=1))
            chained, batched = _index_commits(commits)
            _index_heads(heads)
        except BaseException:
            client.close()
            raise
        return Opened(client, commits, heads, chained, batched)

    def _options(self) -> dict[str, Any]:
        config, in_uri = self.config, self.config.uri_options
        options: dict[str, Any] = {
            name: getattr(config, field) * 1000
            for option, (field, name) in _OPTIONS.items()
            if field in config.model_fields_set or option not in in_uri
        }
        if "max_pool_size" in config.model_fields_set or "maxpoolsize" not in in_uri:
            options["maxPoolSize"] = config.max_pool_size
        if "appname" not in in_uri:
            options["appname"] = "holdfast"
        if config.username is not None:
            options["username"] = config.username
            if config.password is not None:
                options["password"] = config.password.get_secret_value()
            if "auth_source" in config.model_fields_set or "authsource" not in in_uri:
                options["authSource"] = config.auth_source
        return options

    def _write_concern(self, client: MongoClient[Document]) -> WriteConcern:
        """Of the section, else of the URI, else the majority's journals; a wait for members ends like any other."""
        given = client.write_concern.document
        w = self.config.write_concern or given.get("w", "majority")
        if w == 0:
            raise ConfigurationError(
                "tracker_store: 'url' asks for w=0, but an append that nobody acknowledges may be lost; remove it"
            )
        journal = given.get("j", True) if self.config.journal is None else self.config.journal
        timeout = given.get("wtimeout") or int(self.config.socket_timeout * 1000)
        return WriteConcern(w=w, j=journal, wtimeout=timeout)

    def has_transactions(self) -> bool:
        """Whether the server is a member of a replica set or a router to some."""
        servers = self.ready().client.topology_description.server_descriptions().values()
        return any(server.server_type_name in {"RSPrimary", "Mongos", "LoadBalancer"} for server in servers)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Raise holdfast's errors in place of the driver's."""
        try:
            yield
        except (PyMongoError, BSONError) as error:
            raise in_our_words(error, self.config) from error


def _index_commits(commits: Collection[Document]) -> tuple[bool, bool]:
    standing = _standing(commits)
    chain, batch = [("_id.c", ASCENDING), ("v", ASCENDING), ("g", ASCENDING)], [("_id.c", ASCENDING), ("b", ASCENDING)]
    chained = _index(commits, standing, "holdfast_chain", chain, unique=True)
    if not chained:
        _index(commits, standing, "holdfast_chain_plain", chain)
    batched = _index(commits, standing, "holdfast_batch", batch, unique=True)
    if not batched:
        _index(commits, standing, "holdfast_batch_plain", batch)
    if not _index(commits, standing, "holdfast_dirty", [("d", ASCENDING)], sparse=True):
        _index(commits, standing, "holdfast_dirty_plain", [("d", ASCENDING)])
    return chained, batched


def _index_heads(heads: Collection[Document]) -> None:
    standing = _standing(heads)
    _index(heads, standing, "holdfast_updated", [("u", DESCENDING), ("_id", DESCENDING)])
    _index(heads, standing, "holdfast_user", [("o", ASCENDING), ("u", DESCENDING), ("_id", DESCENDING)])


def _standing(collection: Collection[Document]) -> list[Document]:
    """The indexes that stand already, as far as the user may see them; making one again may need a right he lacks."""
    try:
        return [dict(index) for index in collection.list_indexes()]
    except OperationFailure as error:
        if is_unavailable(error) or error.code in _NOT_LOGGED_IN:
            raise
        logger.debug("%s: the indexes cannot be listed: %s", collection.full_name, _told(error))
        return []


def _index(
    collection: Collection[Document], standing: list[Document], name: str, keys: list[tuple[str, int]], **options: Any
) -> bool:
    """Whether the index stands, made now or before; a server that cannot make it is worked around, and said so."""
    for index in standing:
        same = list(index["key"].items()) == keys and bool(index.get("unique")) == options.get("unique", False)
        if same and "partialFilterExpression" not in index:
            return True
    try:
        collection.create_index(keys, name=name, **options)
    except OperationFailure as error:
        if is_unavailable(error) or error.code in _NOT_LOGGED_IN:
            raise
        logger.warning(
            "%s: the server refused the index %s on %s (%s); without it %s",
            collection.full_name,
            name,
            ", ".join(part for part, _ in keys),
            _told(error),
            _WITHOUT.get(name, "listing conversations is slower"),
        )
        return False
    return True


_WITHOUT = {
    "holdfast_chain": "each append takes a second command, which checks the one before",
    "holdfast_chain_plain": "each operation searches the collection",
    "holdfast_batch": "each append takes a command more, which looks for its batch",
    "holdfast_batch_plain": "that command searches the collection",
    "holdfast_dirty": "a plain index is tried",
    "holdfast_dirty_plain": "listing conversations searches the collection",
}


def is_unavailable(error: BaseException) -> bool:
    """Whether trying again may help."""
    if isinstance(error, ConnectionFailure | WTimeoutError | ExecutionTimeout | WaitQueueTimeoutError | AutoReconnect):
        return True
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        codes = [part.get("code") for name in ("writeErrors", "writeConcernErrors") for part in details.get(name, ())]
        return bool(details.get("writeConcernErrors")) or any(code in _UNAVAILABLE for code in codes)
    if isinstance(error, OperationFailure) and error.code in _UNAVAILABLE:
        return True
    return isinstance(error, PyMongoError) and any(error.has_error_label(label) for label in _LABELS)


def in_our_words(error: PyMongoError | BSONError, config: MongoConfig) -> BackendError | ConfigurationError:
    """The error of holdfast that says what the driver's says, and where; credentials stand in neither."""
    where = f"MongoDB at {_hosts(config)}"
    if is_unavailable(error):
        return UnavailableError(f"{where} is unavailable: {_told(error)}")
    if isinstance(error, OperationFailure) and error.code in _REFUSED:
        return BackendError(
            f"{where} refused: {_told(error)}. Check 'username', 'password', 'auth_source' and the user's roles."
        )
    if isinstance(error, DocumentTooLarge):
        return BackendError(f"{where}: a batch is larger than a document can be. Nothing was written.")
    if isinstance(error, DriverConfigurationError):
        return ConfigurationError(
            f"tracker_store: the driver refused the options of 'url' or the keys beside it ({type(error).__name__})"
        )
    return BackendError(f"{where}: {type(error).__name__}: {_told(error)}")


def _told(error: PyMongoError | BSONError) -> str:
    if isinstance(error, BulkWriteError):  # its text quotes the documents
        details = error.details or {}
        parts = [part for name in ("writeErrors", "writeConcernErrors") for part in details.get(name, ())]
        return "; ".join(str(part.get("errmsg", part.get("code"))) for part in parts)
    if isinstance(error, OperationFailure) and error.details:
        return str(error.details.get("errmsg", error))
    return str(error).partition(", Topology Description")[0]


def _hosts(config: MongoConfig) -> str:
    return config.url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]


_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_of_the_parent: list[Opened] = []


def _forget_clients() -> None:
    """In a forked child: the parent goes on using its connections, so they are kept from being closed here."""
    for client in _clients:
        if client._opened is not None:
            _of_the_parent.append(client._opened)
        client._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_clients)
