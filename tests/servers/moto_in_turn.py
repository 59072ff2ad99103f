"""moto's server, answering one request after another: `python moto_in_turn.py PORT`.

moto copies the whole database before a transaction and puts the copy back when the transaction fails, which also undoes
what other threads wrote meanwhile. DynamoDB does nothing of the kind, so here nobody writes meanwhile.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple


class InTurn:
    def __init__(self, application: Any) -> None:
        self.application = application
        self.turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self.turn:
            return list(self.application(environ, start_response))


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # clients keep their connections
    disable_nagle_algorithm = True  # else every answer waits for an acknowledgement

    def log_request(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    run_simple(
        "127.0.0.1",
        int(sys.argv[1]),
        InTurn(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=Handler,
    )
