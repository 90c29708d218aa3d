"""The load: submits sagas over a unix socket and waits for each, so many at a time. A process of its own.

    python -m tests.bench.client SOCKET --in-flight 100 --seconds 2 --expect rolled_back < saga.json

Raw HTTP/1.1 on connections that stay open, one saga at a time on each, and hardly any parsing: what it takes of the
second core is the journal's thread's to miss. It prints one JSON object (``Load``).
"""

from __future__ import annotations

import argparse
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

PLACE = "@PLACE@"
"""In a saga's text: a number of the connection's and the round's own, for file names."""


class Load(msgspec.Struct):
    """What was measured: submissions answered, the seconds that took, and each one's milliseconds."""

    answered: int
    seconds: float
    took: list[float]

    @property
    def rate(self) -> float:
        """Sagas per second."""
        return self.answered / self.seconds


class Line:
    """One connection with one request under way."""

    def __init__(self, path: str, number: int, saga: str, expect: bytes, *, wait: bool) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self._number = number
        self._round = 0
        self._saga = saga
        self._expect = expect
        self._target = b"/v1/sagas?wait=60s" if wait else b"/v1/sagas"
        self._ready = None if PLACE in saga else self._request(saga)
        self._got = b""
        self._size = 0
        self.since = 0.0

    def _request(self, saga: str) -> bytes:
        body = b'{"saga":%b}' % saga.encode()
        head = (
            b"POST %b HTTP/1.1\r\nHost: sagad\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        return head % (self._target, len(body)) + body

    def ask(self) -> None:
        """Send the next request."""
        self._round += 1
        request = self._ready or self._request(self._saga.replace(PLACE, f"{self._number}-{self._round}"))
        self.since = time.perf_counter()
        self.sock.sendall(request)

    def hear(self) -> bool:
        """Read what is there; tell whether the answer is complete. Raises where it is not the one expected."""
        self._got += self.sock.recv(1 << 18)
        if not self._size:
            head = self._got.find(b"\r\n\r\n")
            if head < 0:
                return False
            at = self._got.index(b"Content-Length: ") + 16
            self._size = head + 4 + int(self._got[at : self._got.index(b"\r", at)])
        if len(self._got) < self._size:
            return False
        if not self._got.startswith(b"HTTP/1.1 201") or self._expect not in self._got:
            raise RuntimeError(f"not what was expected: {self._got[:2000].decode()}")
        self._got, self._size = b"", 0
        return True


def drive(lines: list[Line], *, seconds: float | None, count: int | None) -> Load:
    """Keep every line busy until the time is up or enough were submitted, then take the last answers."""
    poll = select.epoll()
    by_number = {line.sock.fileno(): line for line in lines}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    lines = lines[:count]
    start = time.perf_counter()
    end = start + seconds if seconds is not None else float("inf")
    left = (count or sys.maxsize) - len(lines)
    took: list[float] = []
    for line in lines:
        line.ask()
    going = len(lines)
    while going:
        for number, _ in poll.poll():
            line = by_number[number]
            if not line.hear():
                continue
            now = time.perf_counter()
            took.append((now - line.since) * 1e3)
            if now < end and left > 0:
                left -= 1
                line.ask()
            else:
                going -= 1
    return Load(len(took), time.perf_counter() - start, took)


def main() -> None:
    """Drive once for each time that a line says how long, so that connections and interpreter are warm."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--expect", default="completed", help="what the status begins with")
    parser.add_argument("--no-wait", action="store_true")
    given = parser.parse_args()
    saga = sys.stdin.readline().strip()
    expect = b'"status":"%b' % given.expect.encode()
    lines = [
        Line(given.socket, number, saga, expect, wait=not given.no_wait) for number in range(given.in_flight)
    ]
    for word in sys.stdin:
        how: dict[str, Any] = msgspec.json.decode(word)
        sys.stdout.buffer.write(msgspec.json.encode(drive(lines, **how)) + b"\n")
        sys.stdout.buffer.flush()


class Client:
    """The client's process, seen from the benchmark."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Speak to it by its pipes."""
        self._process = process

    def run(self, *, seconds: float | None = None, count: int | None = None) -> Load:
        """Have it drive for so long, or so many."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode({"seconds": seconds, "count": count}) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the client has failed: see above")
        return msgspec.json.decode(line, type=Load)


@contextmanager
def client(
    path: Path, saga: dict[str, Any], *, in_flight: int, expect: str = "completed", wait: bool = True
) -> Iterator[Client]:
    """Start a client that submits this saga."""
    command = [sys.executable, "-m", "tests.bench.client", str(path), "--in-flight", str(in_flight)]
    command += ["--expect", expect] + ([] if wait else ["--no-wait"])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(saga) + b"\n")
        process.stdin.flush()
        yield Client(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    main()
