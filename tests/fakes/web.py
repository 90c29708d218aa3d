"""A web site on loopback, for what is checked by asking it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Web:
    """What visitors see: 200, or what it is told to answer."""

    def __init__(self) -> None:
        self.status = 200
        self.url = ""

    @contextmanager
    def served(self) -> Iterator[Web]:
        """Serve it on a free port of the loopback."""
        web = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(web.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
            thread = Thread(target=server.serve_forever, daemon=True)
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}/"
            yield self
            server.shutdown()
            thread.join()
