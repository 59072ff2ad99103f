"""MySQL and MariaDB: an append is one packet of four statements, which is one round trip.

Appends go past SQLAlchemy to the driver it manages. The head moves first. If it did not, ROW_COUNT() is 0, and what is
added to the first sequence number falls below the smallest unsigned number: an error in every SQL mode we set, at which
the server drops the rest of the packet, the commit included.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine.interfaces import DBAPIConnection

from holdfast import BackendError, ConfigurationError, UnavailableError
from holdfast.conversations.store import ANY, NEW
from holdfast_sql.config import SQLConfig
from holdfast_sql.place import Place
from holdfast_sql.server import ServerDialect

_NOW = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6"  # in no session's time zone
_MOVE = f"""
UPDATE holdfast_conversation
SET session_first = IF(%(offset)s > 0, version + %(offset)s, session_first), version = version + %(size)s,
    `session` = `session` + %(sessions)s, updated = {_NOW}, user_id = coalesce(%(user)s, user_id)
WHERE conversation = %(key)s AND version = %(expected)s
"""  # noqa: S608  # made of our own constants
_CREATE = f"""
INSERT INTO holdfast_conversation
    (conversation, version, first, `session`, session_first, created, updated, user_id, long_id)
VALUES (%(key)s, %(version)s, 1, %(sessions)s, greatest(1, %(offset)s), {_NOW}, {_NOW}, %(user)s, %(long)s)
"""  # noqa: S608  # likewise
# MySQL assigns from left to right: `version` is the old one until it is assigned.
_CREATE_OR_MOVE = f"""{_CREATE}
ON DUPLICATE KEY UPDATE
    session_first = IF(%(offset)s > 0, version + %(offset)s, session_first),
    version = LAST_INSERT_ID(version + %(size)s), `session` = `session` + %(sessions)s, updated = {_NOW},
    user_id = coalesce(%(user)s, user_id)
"""
_INSERT = """
INSERT INTO holdfast_event (conversation, seq, batch_id, type_name, timestamp, intent_name, action_name, data) VALUES
"""

_DUPLICATE, _OUT_OF_RANGE, _TOO_LARGE = 1062, 1690, 1153
_DEADLOCK = 1213
_MULTI_STATEMENTS = 1 << 16
"""The protocol's flag of a client that puts several statements into a packet."""
_DEADLOCKS = 20
"""How often an append that met a deadlock, which undid it, is sent again."""
# Too many connections, shutting down, killed, lock wait, deadlock, read-only (a fail-over), statement time-outs.
_PASSING = frozenset((1040, 1041, 1053, 1077, 1079, 1080, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1290, 1317,
                      1836, 1927, 1969, 2002, 2003, 2006, 2013, 2014, 2055, 3024))  # fmt: skip
_IN_TRANSIT = 4096
"""Bytes of a packet beside the values, at most."""


class MySQL(ServerDialect):
    """MySQL 8 or MariaDB 10.5, or newer, through PyMySQL."""

    title = "MySQL"
    backend = "mysql"
    drivers = ("pymysql",)
    packages = {"pymysql": "holdfast-sql[mysql]"}  # noqa: RUF012  # never changed

    def __init__(self, config: SQLConfig) -> None:
        super().__init__(config)
        self._largest = 0

    def engine_to(self, url: Any, config: SQLConfig) -> Engine:
        engine = super().engine_to(url, config)
        # SQLAlchemy ends each use of a connection with a rollback, for which PyMySQL asks the server: a round trip of
        # its own, though nothing can be open. What we begin we end ourselves, or the connection.
        engine.dialect.do_rollback = lambda dbapi_connection: None  # type: ignore[method-assign]  # noqa: ARG005  # its name is given
        return engine

    def connect_args(self) -> dict[str, Any]:
        config = self.config
        wait = max(1, math.floor(config.statement_timeout))
        args: dict[str, Any] = {
            "charset": "utf8mb4",
            "client_flag": _MULTI_STATEMENTS,
            "connect_timeout": max(1, math.ceil(config.connect_timeout)),
            "read_timeout": config.statement_timeout,
            "write_timeout": config.statement_timeout,
            "init_command": "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
            f"innodb_lock_wait_timeout = {wait}",
            "program_name": "holdfast",
        }
        if config.ssl_mode == "disable":
            args["ssl_disabled"] = True
        elif config.ssl_mode in ("require", "verify-ca", "verify-full"):
            args["ssl"] = self._tls(config)
        elif config.ssl_root_certificate is not None:
            raise ConfigurationError(
                "tracker_store: 'ssl_root_certificate' needs 'ssl_mode: verify-ca' or 'ssl_mode: verify-full'"
            )
        return {name: value for name, value in args.items() if name not in self.url.query}

    def _tls(self, config: SQLConfig) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=config.ssl_root_certificate)
        except OSError as error:
            raise ConfigurationError("tracker_store: 'ssl_root_certificate' cannot be read as a PEM file") from error
        context.check_hostname = config.ssl_mode == "verify-full"
        if config.ssl_mode == "require":
            context.verify_mode = ssl.CERT_NONE
        return context

    def is_alive(self, connection: DBAPIConnection) -> bool:
        try:
            connection.ping(reconnect=False)
        except self.driver_error:
            return False
        return True

    def is_duplicate(self, error: BaseException) -> bool:
        return _code(error) == _DUPLICATE

    def failure(self, error: BaseException) -> BackendError | ConfigurationError:
        code = _code(error)
        words = " ".join(str(error.args[-1]).split()) if error.args else type(error).__name__
        # PyMySQL gives 2003 to whatever goes wrong while it connects; 0 to a connection it has closed.
        passing = code in _PASSING or code in (None, 0)
        if code == 2003 and "certificate" in words.lower():
            passing = False
        return (UnavailableError if passing else BackendError)(f"{self.where}: {words} ({code})")

    def try_append(self, engine: Engine, place: Place) -> int | None:
        size = len(place.rows)
        values: dict[str, Any] = {
            "key": place.key,
            "long": place.long_id,
            "user": place.user,
            "expected": place.expected,
            "version": size,
            "batch": place.batch_id,
            "size": size,
            "sessions": place.sessions,
            "offset": place.session_offset,
        }
        if place.expected == ANY:
            values["version"] = None
            move = _CREATE_OR_MOVE.replace("%(version)s", "LAST_INSERT_ID(%(size)s)")
            first = "LAST_INSERT_ID() - %(size)s + 1"
        else:
            move = _CREATE if place.expected == NEW else _MOVE
            first = f"{place.expected + 1} + (CAST(ROW_COUNT() AS UNSIGNED) - 1)"
        rows = []
        for number, row in enumerate(place.rows):
            values |= {f"{name}{number}": value for name, value in zip("tsiad", row, strict=True)}
            if number == 0:
                seq, batch = first, "%(batch)s"
            else:
                seq = (
                    f"LAST_INSERT_ID() - %(size)s + {number + 1}"
                    if place.expected == ANY
                    else str(place.expected + number + 1)
                )
                batch = "NULL"
            rows.append(
                f"(%(key)s, {seq}, {batch}, %(t{number})s, %(s{number})s, %(i{number})s, %(a{number})s, %(d{number})s)"
            )
        packet = f"START TRANSACTION; {move}; {_INSERT}{', '.join(rows)}; COMMIT"
        self._refuse_if_too_large(place)
        return self._send(engine, packet, values, place)

    def _send(self, engine: Engine, packet: str, values: dict[str, Any], place: Place) -> int | None:
        for _ in range(_DEADLOCKS):
            with self.raw(engine) as connection, connection.cursor() as cursor:
                version = place.expected + len(place.rows)
                try:
                    cursor.execute(packet, values)
                    while cursor.nextset():
                        if place.expected == ANY and cursor.lastrowid:
                            version = cursor.lastrowid
                except self.driver_error as error:
                    code = _code(error)
                    if code not in (_DUPLICATE, _OUT_OF_RANGE, _DEADLOCK):
                        raise
                    connection.rollback()
                    if code != _DEADLOCK:
                        return None
                else:
                    return int(version)
        raise UnavailableError(f"{self.where}: {_DEADLOCKS} deadlocks in a row")

    def _refuse_if_too_large(self, place: Place) -> None:
        # The server would cut the connection in the middle of such a packet, as if it had crashed.
        size = sum(len(row[4].encode()) for row in place.rows)
        if self._largest and size + size // 8 + _IN_TRANSIT > self._largest and size > 0:
            raise BackendError(
                f"{self.where}: a batch of {size} bytes does not fit into the server's max_allowed_packet of "
                f"{self._largest} bytes; raise it there, or save fewer events at once"
            )

    # Tables

    def check(self, connection: Connection) -> None:
        self._largest = connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one()

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        lock = {
            "name": f"holdfast.{self.url.database}"[:64],
            "seconds": max(1, math.floor(self.config.statement_timeout) - 1),
        }
        if connection.execute(text("SELECT GET_LOCK(:name, :seconds)"), lock).scalar_one() != 1:
            raise UnavailableError(f"{self.where}: another process is still creating the tables")
        try:
            yield
        except BaseException:
            connection.invalidate()  # which releases the lock
            raise
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": lock["name"]})

    def _execute(self, connection: Connection, statement: Any) -> None:
        # MySQL commits after each such statement: a process that was killed leaves the tables half made.
        try:
            super()._execute(connection, statement)
        except Exception as error:
            if _code(getattr(error, "orig", error)) not in (1050, 1061):  # the table, the index exists
                raise

    def quote(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"


def _code(error: BaseException | None) -> int | None:
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, int) else None
