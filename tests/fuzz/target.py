"""The daemon that is fuzzed: in a folder of its own, confined, with three users who may do more or less."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.daemon import Connection, Daemon

ROLES = {"admin": "root", "operator": "daemon", "viewer": "bin"}
SETTINGS = """
[daemon]
socket_mode = "0666"
[access]
admin = ["root"]
operator = ["daemon"]
viewer = ["bin"]
[limits]
wait_passivate = "100ms"
document_bytes = 65536
[providers.local]
roots = ["{site}"]
[providers.command]
allow = ["/bin/true"]
"""
PATIENCE = 30.0
ENOUGH = 12_000
"""File descriptors for 10,000 connections and all else."""
WORRYING = ("request.failed", "actor.crashed", "stream.failed", "Traceback", "never awaited")
"""In the log none of these may stand, whatever was asked."""


class Said(NamedTuple):
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.body)


class Target:
    """A daemon over a new folder, and what was found out about it."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        descriptors()
        self.site = folder / "site"
        self.site.mkdir()
        self.daemon = Daemon(folder, SETTINGS.format(site=self.site)).start()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._over = False
        self._connections: dict[str, Connection] = {}

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        role: str = "admin",
    ) -> Said:
        """Ask in a role, on that role's connection; one that the daemon has closed meanwhile is made anew."""
        for _ in range(2):
            connection = self._connections.get(role) or self._connect(role)
            try:
                connection.request(method, path, body, dict(headers or {}))
                answer = connection.getresponse()
                said = Said(answer.status, answer.headers, answer.read())
            except (ConnectionError, http.client.RemoteDisconnected):
                self._connections.pop(role).close()
                continue
            if answer.will_close:
                self._connections.pop(role).close()
            self.counts[f"answers {said.status}"] += 1
            return said
        raise ConnectionError(f"{method} {path} is not answered: {self.daemon.log.read_text()[-2000:]}")

    def _connect(self, role: str) -> Connection:
        connection = Connection(self.daemon.socket, timeout=PATIENCE)
        with _as_user(ROLES[role]):
            connection.connect()
        self._connections[role] = connection
        return connection

    def post(self, path: str, document: Any, role: str = "admin") -> Said:
        """Post a document."""
        return self.ask("POST", path, json.dumps(document).encode(), role=role)

    # -- judging ---------------------------------------------------------------------------------------------------

    def complain(self, what: str) -> None:
        """Note what is wrong."""
        self.wrong.append(what)

    def memory(self) -> float:
        """Give the most megabytes that it has held so far."""
        assert self.daemon.process is not None
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def end(self) -> None:
        """Hold the daemon to what must be true whatever was asked, and stop it. Once."""
        if self._over:
            return
        self._over = True
        for line in self.daemon.log.read_text(errors="replace").splitlines():
            if any(each in line for each in WORRYING):
                self.complain(f"in the log: {line[:1500]}")
        health = self.ask("GET", "/v1/health").json
        self.wrong += [f"health: {each}" for each in health["warnings"]]
        for what in ("verify", "replay"):
            answer = self.ask("GET", f"/v1/audit/{what}").json
            if not answer["ok"]:
                self.complain(f"audit {what}: {answer}")
        self.counts["MB of memory at most"] = max(self.counts["MB of memory at most"], int(self.memory()))
        for connection in self._connections.values():
            connection.close()
        began = time.monotonic()
        code = self.daemon.stop(wait=60)
        if code != 0:
            self.complain(f"it exited with {code} after {time.monotonic() - began:.0f} s")
        self.daemon.__exit__()


def descriptors() -> int:
    """Give how many file descriptors a process may have here; from now on we may, and so may the daemon started next."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(hard, ENOUGH) if hard != resource.RLIM_INFINITY else ENOUGH)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def roles() -> list[str]:
    """The roles that can be played here: only root can be somebody else."""
    return list(ROLES) if os.geteuid() == 0 else ["admin"]


@contextlib.contextmanager
def _as_user(name: str) -> Iterator[None]:
    """Be somebody else while a connection is made: that is when the kernel notes whose it is."""
    if name == "root":
        yield
        return
    user = pwd.getpwnam(name)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
