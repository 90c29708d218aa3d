"""The daemon under torture, with a service manager's eyes on it: who may be killed while somebody is asking."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from store.errors import StorageFailing
from tests.daemon import Connection, Daemon, Unreachable
from tests.torture.book import Book

WATCHDOG = 2.0
"""Seconds that the daemon has to show that it lives."""
START = 60.0
FINE = frozenset({200, 201, 404, 409, 422, 503})
"""What an operator at random may be answered. Anything else is a violation."""

Said = tuple[int, Any]


class Node(Daemon):
    """A daemon that is killed and started again by one thread while others ask it."""

    def __init__(self, folder: Path, settings: str, book: Book) -> None:
        """Prepare the folder, and the manager's end of the notify socket."""
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(folder / "notify"))
        environ = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
        super().__init__(folder, settings, environ)
        self.book = book
        self.module: tuple[str, ...] = ("orchestrator.daemon",)
        self.heard = 0.0
        """When the watchdog was last fed."""
        self.longest = 0.0
        """The longest time for which a daemon that was let run did not feed it."""
        self.steady = threading.Lock()
        """Held while it is being started: what would make a start fail waits for it."""
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        while said := self._ear.recv(4096):
            if b"WATCHDOG=1" in said:
                now = time.monotonic()
                if self.heard:
                    self.longest = max(self.longest, now - self.heard)
                self.heard = now

    def deaf(self) -> None:
        """Stop listening: an empty word of our own ends the thread."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.sendto(b"", self._ear.getsockname())
        self._listening.join(5)
        self._ear.close()

    def up(self) -> None:
        """Start it."""
        self.heard = 0.0
        end = time.monotonic() + START
        with self.steady:
            while not self._started() and time.monotonic() < end:
                time.sleep(0.5)

    def _started(self) -> bool:
        """Start it; on a disk with no room at all it says so and ends, and its manager starts it again later."""
        try:
            self.start(wait=START, module=self.module)
        except Unreachable as ended:
            if StorageFailing.remedy not in str(ended):
                raise
            self.book.count("starts put off: no room at all")
            return False
        return True

    def up_briefly(self, seconds: float) -> None:
        """Start it, and kill it so soon that it may not have come to itself."""
        with self.steady:
            try:
                self.start(wait=seconds, module=self.module)
            except TimeoutError:
                self.book.count("kills while starting")
            except Unreachable as ended:
                if StorageFailing.remedy not in str(ended):
                    raise
            self.down()

    def down(self) -> None:
        """Kill it."""
        self.kill()
        self.heard = 0.0
        self.book.count("kills")

    def stopped(self, seconds: float, *, aborted: bool) -> None:
        """Stop it with SIGSTOP for so long; then let it go on, or have it ended as a manager's watchdog would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.heard = 0.0
        self.book.count("stops")
        if aborted:
            self.process.send_signal(signal.SIGABRT)
        self.process.send_signal(signal.SIGCONT)
        if aborted:
            self.process.wait(START)
            self.book.count("watchdog aborts")
            self.up()

    def end(self) -> None:
        """Have it end as systemd would; it must say that it went well."""
        assert self.process is not None
        code = self.stop(wait=START)
        self.heard = 0.0
        self.book.count("SIGTERMs")
        if code != 0:
            self.book.wrong(f"after SIGTERM sagad exited with {code}: {self.log}")

    def tell(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Said:
        """Ask what any user might; a status that no request may have is a violation. Raises OSError if nobody answers."""
        connection = Connection(self.socket, timeout=60)
        try:
            status, answer = self._exchange(connection, method, path, body, headers)
        except TimeoutError:
            self.book.wrong(f"{method} {path} was not answered within a minute")
            raise
        if status not in FINE:
            self.book.wrong(f"{method} {path} {body} was answered {status}: {answer}")
        self.book.count(f"answers {status}")
        return status, answer

    def _exchange(
        self, connection: Connection, method: str, path: str, body: Any, headers: Mapping[str, str] | None
    ) -> Said:
        import json

        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        except ValueError as error:
            raise ConnectionError(f"half an answer: {error}") from error
        finally:
            connection.close()

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self.process is not None and self.process.poll() is None

    def all(self, path: str, many: str, **filters: str) -> list[dict[str, Any]]:
        """Every page of a list."""
        found: list[dict[str, Any]] = []
        cursor = "".join(f"&{name}={value}" for name, value in filters.items())
        fixed = cursor
        while True:
            page = self.tell("GET", f"{path}?limit=200{cursor}")[1]
            found += page[many]
            if page["next"] is None:
                return found
            cursor = f"{fixed}&cursor={page['next']}"


def children_of(folder: Path) -> list[int]:
    """Processes that were started to work in the folder, other than ourselves."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words, environ = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in words and b"SAGAD_EXECUTION=" in environ:
                found.append(int(entry.name))
    return found
