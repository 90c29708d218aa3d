"""A stand-in for the daemon, for what a real one cannot be made to do on demand: to hang, to lie, to vanish.

It speaks HTTP on a unix socket and answers as a test has told it to. It knows nothing of sagas and proves nothing
about them: what sagactl and sagad do together is tested with the real sagad.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator import VERSION

ID = "7k2m9q4x1c0d"


class Request(NamedTuple):
    """What sagactl has sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Raw(BaseHTTPRequestHandler):
    """One connection: hands its request to the stand-in, and what that says back."""

    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        """Answer a request as the test has said."""
        stand_in = self.server.stand_in
        reply = stand_in.reply(self)
        if callable(reply):
            reply(self)
        else:
            self.answer(*reply)

    def answer(self, status: int, document: Any, content_type: str = "application/json") -> None:
        """Send a whole answer."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Sagad-Version", self.server.stand_in.version)
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self) -> None:
        """Begin an event stream, of unknown length."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; the requests are on record."""

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names


Reply = tuple[int, Any] | Callable[[Raw], None]


class Server(socketserver.ThreadingUnixStreamServer):
    """The listening socket."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, path: Path, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        super().__init__(str(path), Raw)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that sagactl hangs up is what some tests are about."""


class StandIn:
    """What answers on the socket, and what it was asked."""

    def __init__(self, path: Path) -> None:
        """Listen at once, on a thread of its own."""
        self.path = path
        self.version = VERSION
        self.requests: list[Request] = []
        self.replies: dict[tuple[str, str], list[Reply]] = {}
        self.server: Server | None = None
        self.start()

    def start(self) -> None:
        """Listen; also again after ``stop``."""
        self.path.unlink(missing_ok=True)
        self.server = Server(self.path, self)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Take no more connections, and leave the socket lying about as a daemon that was killed does."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def on(self, method: str, path: str, *replies: Reply) -> None:
        """Answer these requests so: one reply after the other, the last one for ever."""
        self.replies[method, path] = list(replies)

    def reply(self, request: Raw) -> Reply:
        """Record the request and choose its reply."""
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length) if length < 1024 * 1024 else b""
        headers = {name.title(): value for name, value in request.headers.items()}
        self.requests.append(Request(request.command, request.path, headers, body))
        replies = self.replies.get((request.command, request.path.partition("?")[0]))
        if replies is None:
            return 404, problem(
                404, f"the stand-in was not told what to say to {request.command} {request.path}"
            )
        return replies.pop(0) if len(replies) > 1 else replies[0]

    @property
    def last(self) -> Request:
        """The last request."""
        return self.requests[-1]


class Run:
    """A saga that goes on as a test says, with its events, which are also streamed."""

    def __init__(self, stand_in: StandIn, **saga: Any) -> None:
        """Answer for this saga."""
        self.saga = saga_document(**saga)
        self.events: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self.why = "nothing to say"
        self.streams = 0
        route = f"/v1/sagas/{ID}"
        stand_in.on("GET", route, lambda request: request.answer(200, self.saga))
        stand_in.on("GET", f"{route}/why", lambda request: request.answer(200, {"why": self.why}))
        stand_in.on("GET", f"{route}/events", self._events)

    def happens(self, type: str, *, step: str | None = None, **saga: Any) -> None:
        """Let something happen to the saga."""
        with self.changed:
            self.saga = self.saga | saga
            seq = len(self.events) + 1
            at = f"2026-11-21T09:40:{seq:02}.000Z"
            self.events.append({"seq": seq, "saga": ID, "at": at, "type": type, "step": step, "data": None})
            self.changed.notify_all()

    def _events(self, request: Raw) -> None:
        if request.headers.get("Accept") == "text/event-stream":
            self._stream(request, int(request.headers.get("Last-Event-ID") or 0))
        else:
            after = int(request.path.partition("after=")[2] or 0)
            request.answer(
                200, {"events": self.events[after:][:2]}
            )  # short pages, so that paging is seen to work

    def _stream(self, request: Raw, after: int) -> None:
        self.streams += 1
        request.begin_stream()
        sent = after
        while True:
            with self.changed:
                while len(self.events) == sent:
                    self.changed.wait()
                new = self.events[sent:]
            sent += len(new)
            for event in new:
                request.wfile.write(
                    f"id: {event['seq']}\nevent: x\ndata: {json.dumps(event)}\n\n: idle\n".encode()
                )


def saga_document(**changes: Any) -> dict[str, Any]:
    """Write a saga as SPEC §8 has it."""
    step = {
        "do": "test.echo",
        "attempts": 0,
        "output": None,
        "error": None,
        "started_at": None,
        "finished_at": None,
    }
    return {
        "id": ID,
        "kind": "publish-site",
        "status": "running",
        "hold": None,
        "waiting": None,
        "cancel": None,
        "error": None,
        "inputs": {},
        "labels": {},
        "steps": [
            {**step, "index": 0, "name": "one", "status": "completed", "attempts": 1},
            {**step, "index": 1, "name": "two", "status": "running", "attempts": 1},
        ],
        "left_behind": [],
        "created_at": "2026-11-21T09:40:00.000Z",
        "updated_at": "2026-11-21T09:40:00.000Z",
        "finished_at": None,
        "submitted_by": "root",
        "reason": None,
    } | changes


def problem(status: int, detail: str, *errors: dict[str, Any]) -> dict[str, Any]:
    """Write a problem as SPEC §8 has it."""
    return {
        "type": "about:blank",
        "title": "Not so",
        "status": status,
        "detail": detail,
        "code": "x",
        "errors": list(errors),
    }
