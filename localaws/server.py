"""The HTTP server: werkzeug's, one thread per connection, kept alive, on loopback."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

from moto.moto_server.werkzeug_app import MotoRequestHandler
from typing_extensions import override
from werkzeug.serving import ThreadedWSGIServer

from localaws.gateway import Application


class Handler(MotoRequestHandler):
    """moto's handler (it keeps S3 metadata names) without a line in the log for each call."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; waiting for an ACK between them costs 40 ms
    wbufsize = -1
    timeout = 120

    @override
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet: operations log what matters."""

    @override
    def handle_expect_100(self) -> bool:
        """Answer at once: a client that asked waits a second for it."""
        said = super().handle_expect_100()
        self.wfile.flush()
        return said

    @override
    def run_wsgi(self) -> None:
        super().run_wsgi()
        self.wfile.flush()


class Quiet(ThreadedWSGIServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256


class Server:
    """A listening gateway; use as a context or start and stop it."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_server((host, port), backlog=256, reuse_port=False)
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self._host = host
        self._server: Quiet | None = None

    def start(self, application: Application) -> None:
        """Serve on a thread of its own until stopped."""
        self._server = Quiet(self._host, self.port, application, handler=Handler, fd=self.socket.fileno())
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gateway", daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()
