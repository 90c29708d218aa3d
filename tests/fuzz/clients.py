"""Clients that misbehave: slow, half-way, far too much, by the thousand, or with their ears shut. Others are answered."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from pathlib import Path

from tests.fuzz.target import Target, descriptors

UNIT = Path(__file__).parents[2] / "systemd" / "sagad.service"
HUGE = 100_000_000
BLOCK = b" " * 65536
ECHO = {"name": "say", "do": "test.echo", "with": {"message": "x" * 2000}}
FEW = 20
ROOM = 200
"""File descriptors left for all else."""


def budget() -> float:
    """Give the megabytes from which on systemd would slow the daemon down: what its unit says."""
    found = re.search(r"^MemoryHigh=(\d+)M$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    return float(found[1])


def _connect(target: Target) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(target.daemon.socket))  # blocking: where the queue is full it waits
    made.settimeout(30)
    return made


def _answers(target: Target, while_: str) -> None:
    """Others are answered meanwhile: a read, and a saga from its beginning to its end."""
    health = target.ask("GET", "/v1/health")
    done = target.post("/v1/sagas?wait=20s", {"saga": {"saga": "meanwhile", "steps": [ECHO]}})
    if health.status != 200 or done.status != 201 or done.json["status"] != "completed":
        target.complain(f"while {while_}: health {health.status}, a saga {done.status} {done.body[:300]!r}")
    if (held := target.memory()) > budget():
        target.complain(f"while {while_}: {held:.0f} MB of memory, and its unit gives it {budget():.0f}")
    target.counts["clients that misbehave"] += 1


def _post(length: int | None) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST /v1/sagas HTTP/1.1\r\nHost: sagad\r\n{size}\r\n\r\n".encode()


# -- each way ------------------------------------------------------------------------------------------------------------


def half_requests(target: Target, count: int) -> None:
    """Stop at each place of a request in turn: some hang up, others stay."""
    whole = _post(30) + b'{"saga": {"saga": "half", "st'
    with contextlib.ExitStack() as held:
        for number in range(count):
            client = held.enter_context(_connect(target))
            client.sendall(whole[: 1 + number * (len(whole) - 1) // count])
            if number % 2:
                client.close()
        _answers(target, f"{count} requests are half sent")


def slow_clients(target: Target, count: int) -> None:
    """Send a few bytes at a time, all of them in turn; in the end each is answered."""
    body = json.dumps({"saga": {"saga": "slow", "steps": [ECHO]}}).encode()
    whole = _post(len(body)) + body
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(_connect(target)) for _ in range(count)]
        for index in range(0, len(whole), FEW):
            for client in clients:
                client.sendall(whole[index : index + FEW])
            if index % (FEW * 40) == 0:
                _answers(target, f"{count} clients send a few bytes now and then")
        for client in clients:
            if not client.recv(4096).startswith(b"HTTP/1.1 201"):
                target.complain("a slow client was not answered as others are")


def huge_bodies(target: Target, size: int = HUGE) -> None:
    """Send 100 MB, with the length said before and without; it is refused before it is read."""
    for chunked in (False, True):
        with _connect(target) as client:
            client.sendall(_post(None if chunked else size))
            sent = _pour(client, size, chunked=chunked)
            answer = b""
            with contextlib.suppress(OSError):
                answer = client.recv(4096)
        if not answer.startswith(b"HTTP/1.1 413"):
            target.complain(f"{size} bytes, chunked {chunked}, {sent} sent: answered {answer[:200]!r}")
        _answers(target, "a body is too large")


def _pour(client: socket.socket, size: int, *, chunked: bool) -> int:
    """Send until everything is sent, or nobody takes it any more."""
    part = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if chunked else BLOCK
    sent = 0
    with contextlib.suppress(OSError):
        while sent < size:
            client.sendall(part)
            sent += len(BLOCK)
    return sent


def idle_connections(target: Target, count: int) -> None:
    """Hold so many connections, half of which have asked something once. As many as this machine allows."""
    allowed = min(count, descriptors() - ROOM)
    with contextlib.ExitStack() as held:
        for number in range(allowed):
            client = held.enter_context(_connect(target))
            if number % 2:
                client.sendall(b"GET /v1/health HTTP/1.1\r\nHost: sagad\r\n\r\n")
        target.counts["idle connections"] = max(target.counts["idle connections"], allowed)
        _answers(target, f"{allowed} connections are idle")


def deaf_readers(target: Target, count: int, sagas: int) -> None:
    """Open streams that nobody reads, while there is more and more to be told."""
    with contextlib.ExitStack() as held:
        for _ in range(count):
            client = held.enter_context(_connect(target))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.sendall(b"GET /v1/events HTTP/1.1\r\nHost: sagad\r\nAccept: text/event-stream\r\n\r\n")
        for number in range(sagas):
            target.post("/v1/sagas", {"saga": {"saga": f"told{number}", "steps": [ECHO]}})
            if number % 100 == 0:
                _answers(target, f"{count} streams are not read")
        _answers(target, f"{count} streams are not read")


def bad_clients(target: Target, *, connections: int, many: int, sagas: int) -> None:
    """Be all of them, one after the other. Then nothing of them is left."""
    began = time.monotonic()
    half_requests(target, many)
    slow_clients(target, many)
    huge_bodies(target)
    deaf_readers(target, many, sagas)
    idle_connections(target, connections)
    target.counts["seconds of bad clients"] += int(time.monotonic() - began)
