"""A TCP proxy on loopback that loses answers, cuts connections and counts round trips."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Self

from servers.process import HOST


class Proxy:
    """Passes bytes between clients and a server.

    Attributes:
        port: where clients connect.
        drop_answers: what the server sends is lost; what clients send arrives.
        round_trips: how often clients began to send after the server had sent, or for the first time.
        connections: how many clients have connected.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.drop_answers = False
        self.round_trips = 0
        self.connections = 0
        self._listener: socket.socket | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self.port = 0

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut()

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._listener = socket.create_server((HOST, self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Accept no more connections; those that exist stay."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def cut(self) -> None:
        """End all connections."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._upstream))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            self._pairs.add((client, server))
        clients_turn = True
        try:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client:
                        if clients_turn:
                            self.round_trips += 1
                        clients_turn = False
                        server.sendall(data)
                    else:
                        clients_turn = True
                        if not self.drop_answers:
                            client.sendall(data)
        except OSError:
            pass
        finally:
            with self._lock:
                self._pairs.discard((client, server))
            client.close()
            server.close()
