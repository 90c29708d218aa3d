"""A stand-in for the service, for what is the transport's own: the real one is behind it in test_daemon_api.py."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvloop

from config.settings import Access, Limits
from orchestrator.access import Caller
from orchestrator.api import Server, serve
from orchestrator.metrics import Counts

LIMIT = 100_000
VERSION = "9.9.9"
NO_COUNTS = Counts(
    version=VERSION,
    ready=True,
    draining=False,
    storage_full=False,
    sagas={},
    actors=0,
    restarts=0,
    quarantined=0,
    last_seq=0,
)


class StandIn:
    """Notes what it is asked, answers little, and fails as it is told to."""

    version = VERSION

    def __init__(self) -> None:
        self.settings = SimpleNamespace(access=Access(), limits=Limits(request_bytes=LIMIT))
        self.asked: list[Any] = []
        self.fails: BaseException | None = None
        self.events_to_come: asyncio.Queue[Any] = asyncio.Queue()
        self.streams_ended = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def _note(self, *what: Any, **more: Any) -> bytes:
        self.asked.append((*what, *more.values()))
        if self.fails is not None:
            raise self.fails
        await self.go_on.wait()
        self.asked.append("done")
        return b'{"fine":true}'

    async def submit(self, caller: Caller, submission: Any, **more: Any) -> Any:
        """Make nothing."""
        body = await self._note(caller, submission, **more)
        return SimpleNamespace(id="abc", created=more["idempotency_key"] != "again", body=body)

    async def sagas(self, **query: Any) -> bytes:
        """Give nothing."""
        return await self._note("sagas", query)

    async def saga(self, ref: str) -> bytes:
        """Give nothing."""
        return await self._note("saga", ref)

    async def verb(self, caller: Caller, ref: str, verb: str, body: Any) -> bytes:
        """Do nothing."""
        return await self._note("verb", caller, ref, verb, body)

    async def events(self, ref: str | None, after: int, limit: int) -> bytes:
        """Give nothing."""
        return await self._note("events", ref, after, limit)

    async def health(self) -> bytes:
        """Be well."""
        return await self._note("health")

    async def drain(self, caller: Caller) -> bytes:
        """Drain nothing."""
        return await self._note("drain", caller)

    async def counts(self) -> Counts:
        """Count nothing."""
        return NO_COUNTS

    async def stream(self, ref: str | None, after: int) -> AsyncIterator[tuple[int, str, bytes]]:
        """Give what the test puts into `events_to_come`: events, or what is to be raised; None is the end."""
        await self._note("stream", ref, after)
        return self._stream()

    async def _stream(self) -> AsyncIterator[tuple[int, str, bytes]]:
        try:
            while (each := await self.events_to_come.get()) is not None:
                if isinstance(each, BaseException):
                    raise each
                yield each
        finally:
            self.streams_ended += 1


class Running:
    """A server on a real socket, in a thread with a loop of its own, so that a test's client may block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.service: StandIn
        self.server: Server
        self.loop = uvloop.new_event_loop()
        self._ready = threading.Event()
        self._over: asyncio.Event
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        self.service = StandIn()
        self.server = await serve(self.service, path=self.path)  # type: ignore[arg-type]  # the stand-in
        self._ready.set()
        await self._over.wait()
        await self.server.close(1)

    def call(self, function: Any, *args: Any) -> None:
        """Have something called in the loop."""
        self.loop.call_soon_threadsafe(function, *args)

    def put(self, *events: Any) -> None:
        """Let the stand-in's stream go on with these."""
        for each in events:
            self.call(self.service.events_to_come.put_nowait, each)

    def stop(self) -> None:
        """Stop, as the daemon does."""
        if self._thread.is_alive():
            self.call(self._over.set)
            self._thread.join(20)

    # -- clients -------------------------------------------------------------------------------------------------

    def connection(self, timeout: float = 20) -> http.client.HTTPConnection:
        """Give a plain connection of the standard library's."""
        made = http.client.HTTPConnection("sagad", timeout=timeout)
        made.sock = self.raw(timeout)
        return made

    def raw(self, timeout: float = 20) -> socket.socket:
        """Connect, to say what no library would."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(timeout)
        try:
            made.connect(str(self.path))
        except OSError:
            made.close()
            raise
        return made

    def say(self, data: bytes) -> bytes:
        """Send these bytes on a connection of their own; give all that is answered until the server closes it."""
        with self.raw() as client:
            client.sendall(data)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        """Send a request; `Some_Header` is Some-Header."""
        connection = self.connection()
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(
                method, path, data, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            return Said(connection.getresponse())
        finally:
            connection.close()


class Said:
    """An answer that was read."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def document(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)

    @property
    def wrong(self) -> dict[str, str]:
        """What is wrong, by place."""
        return {each["where"]: each["problem"] for each in self.document["errors"]}


def until(true: Callable[[], bool]) -> None:
    """Look again and again until it is true."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)
