"""A man in the middle of MongoDB's wire protocol: answers some commands itself, passes the others on.

It shows what a small server for tests lacks: a replica set's hello, transactions (undone on abort, but not isolated),
refused indexes, refused logins, failed write concerns, elections, overload.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, Self

import bson

from servers.process import HOST

Document = dict[str, Any]
Answer = Callable[[str, Document], Document | None]
"""Given a command's name and the command, its answer, or `None` to pass it on."""

_HEADER = struct.Struct("<iiii")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013


class Wire:
    """Stands between clients and a server.

    Attributes:
        url: where clients connect.
        answer: decides about each command; may be replaced at any time.
        amend: what to add to the answers of a command, by its name.
        replica_set: whether the server is to look like the primary of one.
        commands: names of the commands seen, but for the driver's own.
    """

    def __init__(self, upstream: int, *, replica_set: bool = False) -> None:
        self._upstream = upstream
        self._listener = socket.create_server((HOST, 0))
        self._address = f"{HOST}:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        self._inserted: dict[bytes, list[tuple[Document, list[Any]]]] = {}
        self.url = f"mongodb://{self._address}/"
        self.answer: Answer = lambda _name, _command: None
        self.amend: dict[str, Document] = {}
        self.replica_set = replica_set
        self.commands: list[str] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((HOST, self._upstream))
            self._sockets += [client, server]
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while True:
                request, opcode, payload = _receive(client)
                if opcode == _OP_QUERY:
                    names_end = payload.index(b"\0", 4) + 1
                    command = bson.decode(payload[names_end + 8 :])
                    sections = b""
                else:
                    size = struct.unpack_from("<i", payload, 5)[0]
                    command = bson.decode(payload[5 : 5 + size])
                    sections = payload[5 + size :]
                name = next(iter(command))
                answer = self._answer(name, command, sections, server)
                _reply(client, request, opcode, answer)
        except (OSError, EOFError):
            client.close()
            server.close()

    def _answer(self, name: str, command: Document, sections: bytes, server: socket.socket) -> Document:
        hello = name in {"hello", "ismaster", "isMaster"}
        if not hello and name not in {"endSessions", "ping"}:
            self.commands.append(name)
        answer = self.answer(name, command)
        if answer is not None:
            return answer
        if name in {"commitTransaction", "abortTransaction"}:
            for body, ids in self._inserted.pop(command["lsid"]["id"], []):
                if name == "abortTransaction":
                    deletes = [{"q": {"_id": one}, "limit": 1} for one in ids]
                    _ask(server, {"delete": body["insert"], "$db": body["$db"], "deletes": deletes}, b"")
            return {"ok": 1.0}
        in_transaction = command.pop("autocommit", None) is False
        for field in ("startTransaction", "txnNumber") if self.replica_set else ():
            command.pop(field, None)
        if self.replica_set:
            command.pop("$clusterTime", None)
        answer = _ask(server, command, sections)
        if in_transaction and name == "insert":
            ids = [document["_id"] for document in _documents(command, sections)]
            done = self._inserted.setdefault(command["lsid"]["id"], [])
            done.append((command, ids[: answer.get("n", 0)]))
        if hello and self.replica_set:
            answer |= {
                "setName": "rs",
                "hosts": [self._address],
                "me": self._address,
                "primary": self._address,
                "setVersion": 1,
                "secondary": False,
            }
        return answer | self.amend.get(name, {})


def _documents(command: Document, sections: bytes) -> list[Document]:
    if "documents" in command:
        return list(command["documents"])
    begin = sections.index(b"\0", 5) + 1  # one section of kind 1: its size and its name stand before the documents
    return bson.decode_all(sections[begin : 1 + struct.unpack_from("<i", sections, 1)[0]])


def _ask(server: socket.socket, command: Document, sections: bytes) -> Document:
    payload = b"\0\0\0\0\0" + bson.encode(command) + sections
    server.sendall(_HEADER.pack(16 + len(payload), 1, 0, _OP_MSG) + payload)
    return bson.decode(_receive(server)[2][5:])


def _reply(client: socket.socket, request: int, opcode: int, answer: Document) -> None:
    if opcode == _OP_QUERY:
        payload, kind = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(answer), _OP_REPLY
    else:
        payload, kind = b"\0\0\0\0\0" + bson.encode(answer), _OP_MSG
    client.sendall(_HEADER.pack(16 + len(payload), 1, request, kind) + payload)


def _receive(end: socket.socket) -> tuple[int, int, bytes]:
    length, request, _, opcode = _HEADER.unpack(_exactly(end, _HEADER.size))
    return request, opcode, _exactly(end, length - _HEADER.size)


def _exactly(end: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = end.recv(min(size - len(data), 1 << 20))
        if not more:
            raise EOFError
        data += more
    return bytes(data)
