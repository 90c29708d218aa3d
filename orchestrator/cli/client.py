"""The daemon's API over its unix socket: HTTP by the standard library, whose other ways of connecting are not used."""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from orchestrator import VERSION
from orchestrator.cli.failures import Misused, Refused, Unreachable
from orchestrator.cli.unreachable import cut_off, silent, unanswered, unintelligible

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0

Headers = Mapping[str, str]
Query = Mapping[str, Any]


class Answer:
    """What the daemon said: a status and a body, which is JSON on all routes but a few."""

    def __init__(self, status: int, body: bytes) -> None:
        """Take the parts of the answer."""
        self.status = status
        self.body = body

    def document(self) -> Any:
        """Read the body as JSON; raise Unreachable where it is none, for then no sagad has written it."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise unintelligible(str(error)) from error


class _Connection(HTTPConnection):
    """An HTTP connection that goes through a unix socket."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = _connected(self.path, CONNECT_SECONDS)
        self.sock.settimeout(self.timeout)


class Client:
    """Sends requests to the daemon behind one socket, and turns each way in which that can fail into a Failure."""

    def __init__(self, path: Path) -> None:
        """Name the socket; nothing is connected before the first request."""
        self.path = path
        self.daemon_version: str | None = None
        self.done: str | None = None
        """What the daemon has done for us last: `POST /v1/sagas made /v1/sagas/ID`."""

    @property
    def other_version(self) -> str | None:
        """The daemon's version where it is known and not ours."""
        return self.daemon_version if self.daemon_version != VERSION else None

    def get(
        self, route: str, query: Query | None = None, *, timeout: float | None = ANSWER_SECONDS
    ) -> Answer:
        """Read something; raise Refused where the daemon says no."""
        return self.ask("GET", route + query_text(query), timeout=timeout)

    def post(
        self,
        route: str,
        document: Any = None,
        headers: Headers | None = None,
        *,
        file: str = "",
        timeout: float | None = ANSWER_SECONDS,
    ) -> Answer:
        """Have something done; raise Refused where the daemon says no, with its places in ``file``."""
        body = json.dumps({} if document is None else document).encode()
        return self.ask("POST", route, body, headers, file=file, timeout=timeout)

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Headers | None = None,
        *,
        file: str = "",
        timeout: float | None = ANSWER_SECONDS,
    ) -> Answer:
        """Send a request and read all of its answer; raise Refused where it is a problem."""
        with self.open(method, target, body, headers, timeout=timeout) as response:
            answer = self._whole(response)
        if answer.status >= 400:  # noqa: PLR2004 - HTTP's line between yes and no
            raise Refused(answer.status, _problem(answer), file)
        if method != "GET":
            made = response.headers.get("Location")
            self.done = f"{method} {target}" + (f" made {made}" if made else "")
        return answer

    def open(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Headers | None = None,
        *,
        timeout: float | None = ANSWER_SECONDS,
    ) -> HTTPResponse:
        """Send a request and give its answer unread: for streams, and for those who take any status."""
        connection = _Connection(self.path, timeout)
        # No second request follows; without it http.client keeps the socket open behind an answer that was read.
        sent = {"Accept": "application/json", "Connection": "close", "User-Agent": f"sagactl/{VERSION}"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            response = _exchange(connection, method, target, body, sent | dict(headers or {}))
        except TimeoutError as error:
            connection.close()
            raise silent(self.path, timeout) from error
        except (OSError, HTTPException) as error:
            connection.close()
            raise _broken(self.path, error) from error
        self.daemon_version = response.headers.get("Sagad-Version") or self.daemon_version
        return response

    def _whole(self, response: HTTPResponse) -> Answer:
        try:
            return Answer(response.status, response.read())
        except TimeoutError as error:
            raise silent(self.path, ANSWER_SECONDS) from error
        except (OSError, HTTPException) as error:
            raise _broken(self.path, error) from error


def saga_route(id: str, *more: str) -> str:
    """Give the route of a saga, or of something of it: ``/v1/sagas/ID/why``."""
    if not id:
        raise Misused("the saga's id is empty", "give an id, the beginning of one, or `last`")
    return _route("/v1/sagas", id, *more)


def batch_route(id: str, *more: str) -> str:
    """Give the route of a batch, or of a verb on it: ``/v1/batches/ID/cancel``."""
    if not id:
        raise Misused("the batch's id is empty", "give an id, the beginning of one, or `last`")
    return _route("/v1/batches", id, *more)


def _route(*parts: str) -> str:
    return "/".join([parts[0], *(quote(part, safe="") for part in parts[1:])])


def query_text(query: Query | None) -> str:
    """Write a query, without what was not asked for."""
    given = {name: value for name, value in (query or {}).items() if value not in (None, "", ())}
    return "?" + urlencode(given, doseq=True) if given else ""


def _exchange(
    connection: _Connection, method: str, target: str, body: bytes | None, headers: Headers
) -> HTTPResponse:
    try:
        connection.request(method, target, body, headers)
    except (BrokenPipeError, ConnectionResetError):
        # A daemon that refuses a large request answers before it has read all of it, then hangs up: the answer waits.
        pass
    except (UnicodeEncodeError, ValueError, HTTPException) as error:
        connection.close()
        raise Misused(f"this cannot be sent as a request: {error}") from error
    return connection.getresponse()


def _connected(path: Path, patience: float) -> socket.socket:
    deadline = time.monotonic() + patience
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(patience)
        try:
            connection.connect(str(path))
            return connection
        except OSError as error:
            connection.close()
            # A unix socket with a full queue says so at once, where TCP would have waited: a busy daemon is no dead one.
            if error.errno != errno.EAGAIN or time.monotonic() > deadline:
                raise unanswered(path, error) from error
        time.sleep(0.02)


def _broken(path: Path, error: Exception) -> Unreachable:
    hung_up = (
        isinstance(error, OSError) or "without response" in str(error) or "IncompleteRead" in repr(error)
    )
    return cut_off(path) if hung_up else unintelligible(str(error) or type(error).__name__)


def _problem(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
