"""The sockets that the API listens on, and the connections that come in on them."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import socket
import stat
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.web import BaseRequest, StreamResponse

from orchestrator.access import Peer, peer_of
from orchestrator.api.answer import Answer, problem_answer
from orchestrator.api.app import Api
from orchestrator.api.stream import Streams
from orchestrator.problems import Malformed, Problem

if TYPE_CHECKING:
    from orchestrator.service import Service

IDLE_SECONDS = 75.0
"""So long a connection may be without a whole request head."""

LINGER_SECONDS = 10.0
"""So long a client that was refused while it still sends is read on, so that it comes to read the answer."""

ACCEPTING_TURNS = 3
"""Turns of the loop after which no connection is being accepted any more."""

FIRST_WORD = 0.1
"""Seconds within which who has connected before a stop sends a request that is still answered."""

BACKLOG = 1_024
LONGEST_PATH = 107  # bytes in sockaddr_un, less the final zero
PROBE_SECONDS = 1.0


class SocketTaken(OSError):
    """The socket cannot be made where it should be."""


class Connection(web.RequestHandler):
    """One client's connection: knows its peer, and speaks JSON also of what is not HTTP."""

    __slots__ = ("connections", "peer")

    connections: _Connections
    peer: Peer | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who it is: the kernel noted it when they connected, and it never changes."""
        super().connection_made(transport)
        self.peer = peer_of(transport.get_extra_info("socket"))
        self.connections.newest = asyncio.get_running_loop().time()
        if self.connections.closed:
            self.force_close()  # it was being accepted just then; nobody else would end it

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """Answer what could not be read as a request."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        why = " ".join((message or type(exc).__name__).split())[:200]
        problem = Malformed(f"this is not an HTTP request: {why}") if status < 500 else Problem(why)  # noqa: PLR2004
        return cast("StreamResponse", problem_answer(problem, closes=True))


class _Connections(web.Server):
    """Makes a ``Connection`` for each client."""

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(handler)
        self._options = options
        self.closed = False
        self.newest = -math.inf
        """When somebody connected last, by the loop's clock."""

    def __call__(self) -> Connection:
        made = Connection(self, loop=asyncio.get_running_loop(), **self._options)
        made.connections = self
        return made


class Server:
    """The API, listening."""

    def __init__(
        self,
        listeners: list[asyncio.Server],
        connections: _Connections,
        streams: Streams,
        made: tuple[Path, os.stat_result] | None,
    ) -> None:
        self._listeners = listeners
        self._connections = connections
        self._streams = streams
        self._made = made

    async def close(self, grace: float) -> None:
        """Take nobody in any more, end the streams, give those being answered ``grace`` seconds, and hang up.

        Who was taken in a moment ago is heard first: it could not know, and its request would be lost.
        """
        for listener in self._listeners:
            listener.close()
        self._remove_socket()
        self._streams.close()
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        await asyncio.sleep(self._connections.newest + FIRST_WORD - asyncio.get_running_loop().time())
        self._connections.closed = True
        self._connections.pre_shutdown()
        await self._connections.shutdown(grace / 2)  # it waits twice so long: to end, and to be cancelled

    def _remove_socket(self) -> None:
        if self._made is None:
            return
        path, made = self._made
        try:
            if os.path.samestat(path.lstat(), made):  # else it is another daemon's by now
                path.unlink()
        except FileNotFoundError:
            pass


async def serve(
    service: Service,
    *,
    sockets: Sequence[socket.socket] = (),
    path: Path | None = None,
    mode: int = 0o660,
) -> Server:
    """Answer requests on these sockets, and on a unix socket made at ``path`` with that mode.

    Raises SocketTaken, naming who has it, where the path is in use or cannot be made a socket.
    """
    Answer.version = service.version
    streams = Streams()
    api = Api(service, streams)

    async def handle(request: BaseRequest) -> Any:
        return await api.answer(request, cast("Connection", request.protocol).peer)

    connections = _Connections(
        handle,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=LINGER_SECONDS,
        tcp_keepalive=False,
    )
    own = [] if path is None else [make_socket(path, mode)]
    made = None if path is None else (path, os.lstat(path))
    listeners = [await _listen(each, connections) for each in (*sockets, *own)]
    return Server(listeners, connections, streams, made)


async def _listen(listening: socket.socket, connections: web.Server) -> asyncio.Server:
    listening.setblocking(False)  # noqa: FBT003  it takes no keyword
    loop = asyncio.get_running_loop()
    if listening.family == socket.AF_UNIX:
        return await loop.create_unix_server(connections, sock=listening, backlog=BACKLOG, **LEAVE_IT)
    return await loop.create_server(connections, sock=listening, backlog=BACKLOG)


LEAVE_IT: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""From 3.13 on asyncio removes a closed socket's file, systemd's too. Ours is removed by ``Server.close``."""


def make_socket(path: Path, mode: int) -> socket.socket:
    """Make a unix socket that is never open to more than ``mode`` says; a dead daemon's is replaced."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SocketTaken(f"{path}: longer than a socket's path can be, {LONGEST_PATH} bytes: choose another")
    _clear(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), mode)  # Linux gives the file the socket's mode, less the umask
        made.bind(os.fspath(path))
        path.chmod(mode)  # nobody can connect before it listens
    except OSError as error:
        made.close()
        raise SocketTaken(f"{path}: cannot make the socket: {error.strerror}") from error
    return made


def _clear(path: Path) -> None:
    """Remove what a dead daemon left. Raises SocketTaken where it lives, or where it is no socket."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketTaken(f"{path}: cannot make the socket: {error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketTaken(f"{path} is there and is no socket: move it away, or choose another path")
    if (alive := _who_listens(path)) is not None:
        raise SocketTaken(f"{path}: {alive} listens there: stop that one, or choose another path")
    path.unlink(missing_ok=True)


def _who_listens(path: Path) -> str | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                return None
            return f"somebody ({error.strerror or 'who does not answer'})"
        pid = struct.unpack("iII", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return f"process {pid} ({_name(pid)})"


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "of unknown name"
