"""SPEC §4: arguments, outputs and images are at most 1 MB together, and more of it fails the step with its size."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from tests.daemon import Daemon
from tests.faults.folder import saga


class _Long(BaseHTTPRequestHandler):
    """Answers each GET with 2 MB of JSON, and counts what is deleted."""

    deleted: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Say much."""
        self._say(b'"%b"' % (b"y" * (2 << 20)))

    def do_POST(self) -> None:
        """Say as much."""
        self.do_GET()

    def do_DELETE(self) -> None:
        """Take note."""
        self.deleted.append(self.path)
        self._say(b"{}")

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """A server that says too much."""
    _Long.deleted.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Long) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_outputs_over_the_limit_fail_the_step_with_their_size(daemon: Daemon) -> None:
    """600 KB said and 600 KB answered are too much together; the saga is taken back like any other."""
    echo = {"name": "long", "do": "test.echo", "with": {"message": "${inputs.text}"}}
    first = {"name": "first", "do": "test.echo", "with": {"message": "x"}}
    file = saga("limits", [first, echo], inputs={"text": {"type": "string"}})
    document = daemon.submit(file, inputs={"text": "x" * 600_000})

    assert document["status"] == "rolled_back"
    assert document["error"]["step"] == "long"
    assert document["steps"][1]["error"]["code"] == "too_large"
    assert "600014 bytes" in document["steps"][1]["error"]["message"]
    assert document["steps"][0]["status"] == "compensated"


def test_a_long_answer_that_changed_nothing_fails_its_step(daemon: Daemon, url: str) -> None:
    """A GET."""
    get = {"name": "get", "do": "http.request", "with": {"method": "GET", "url": url}}
    document = daemon.submit(saga("limits", [get]))

    assert (document["status"], document["left_behind"]) == ("rolled_back", [])
    assert document["steps"][0]["status"] in ("failed", "compensated")
    assert str(2 << 20)[:4] in document["error"]["message"]


def test_what_a_request_with_too_long_an_answer_did_is_undone(daemon: Daemon, url: str) -> None:
    """A POST was done, so its undo runs."""
    undo = {"do": "http.request", "with": {"method": "DELETE", "url": f"{url}/made"}}
    post = {"name": "post", "do": "http.request", "with": {"method": "POST", "url": url}, "undo": undo}
    document = daemon.submit(saga("limits", [post]))

    assert (document["status"], document["steps"][0]["status"]) == ("rolled_back", "compensated")
    assert _Long.deleted == ["/made"]
