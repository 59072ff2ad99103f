"""Where the database is and which driver goes there, from the keys of the section to SQLAlchemy's URL."""

from __future__ import annotations

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from holdfast import ConfigurationError
from holdfast_sql.config import SQLConfig

_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:/@\s]+)(?::(?P<port>\d{1,5}))?")


def is_whole(config: SQLConfig) -> bool:
    """Whether `url` is a whole SQLAlchemy URL, and no host."""
    return config.url is not None and "://" in config.url


def dialect_name(config: SQLConfig) -> str:
    """The database's name, without a driver, in lower case."""
    name = config.url.partition("://")[0] if config.url and is_whole(config) else config.dialect
    return name.partition("+")[0].lower()


def server_url(config: SQLConfig, drivers: tuple[str, ...], backend: str) -> URL:
    """The URL of a database on a server.

    Args:
        config: the section.
        drivers: SQLAlchemy's names of the drivers that may be used, the usual one first.
        backend: SQLAlchemy's name of the dialect to use.

    Raises:
        ConfigurationError: the keys do not make a URL, or name another driver.
    """
    url = _whole(config) if is_whole(config) else _composed(config)
    written = (url.drivername if is_whole(config) else config.dialect).partition("+")[2] or config.driver
    query = dict(url.query)
    if backend != "mssql":  # there, `driver` in the query is ODBC's and has to stay
        named = query.pop("driver", None)
        written = written or (named if isinstance(named, str) else None)
    driver = (written or drivers[0]).lower()
    if driver not in drivers:
        raise ConfigurationError(
            f"tracker_store: holdfast-sql speaks to {backend} through the driver {' or '.join(drivers)}; "
            "name one of these as 'driver', or none"
        )
    return url.set(drivername=f"{backend}+{driver}", query=query)


def _whole(config: SQLConfig) -> URL:
    try:
        return make_url(config.url or "")
    except (ArgumentError, ValueError):
        problem = "tracker_store: 'url' is no URL; special characters in its password must be percent-encoded"
    raise ConfigurationError(problem)  # outside, because the first error's text holds the URL


def _composed(config: SQLConfig) -> URL:
    query = dict(config.query)
    host, port = None, config.port
    if config.url and config.url.startswith("/"):  # the directory or file of a Unix socket
        query.setdefault("host" if dialect_name(config) == "postgresql" else "unix_socket", config.url)
    elif config.url:
        found = _HOST.fullmatch(config.url)
        if found is None:
            raise ConfigurationError("tracker_store: 'url' must be a host, host:port or a whole URL")
        host = found["host"].strip("[]")
        port = int(found["port"]) if found["port"] else port
    return URL.create(
        "none",
        username=config.username,
        password=config.password.get_secret_value() if config.password is not None else None,
        host=host,
        port=port,
        database=config.db,
        query=query,
    )


def place(url: URL) -> str:
    """Where the server is, for messages; never who logs in."""
    socket = url.query.get("host") or url.query.get("unix_socket")
    host = url.host or (socket if isinstance(socket, str) else None) or "localhost"
    return f"{host}:{url.port}" if url.port else host
