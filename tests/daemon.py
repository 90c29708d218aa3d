"""A real sagad for tests, the demo's checks and the benchmark: a process of its own, with its folder and its socket.

It can be killed as a power cut would kill it (`kill`), stopped as systemd would stop it (`stop`) and started again over
the same folder. `ask` speaks HTTP to it with nothing but the standard library.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from tests.replay import check_replay

ENDED = ("completed", "rolled_back", "failed")


class Unreachable(Exception):
    """The daemon did not answer."""


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float = 30) -> None:
        """Connect to this socket when first used."""
        super().__init__("sagad", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def mortal() -> list[str]:
    """Give what runs a command as somebody whom modes keep out: as root without the right to pass them by."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("as root it takes setpriv to be kept out by a mode")
    return [
        "setpriv",
        "--inh-caps=-dac_override,-dac_read_search",
        "--bounding-set=-dac_override,-dac_read_search",
    ]


class Daemon:
    """One state folder, and the daemon that may be running over it."""

    def __init__(self, folder: Path, settings: str = "", environ: Mapping[str, str] | None = None) -> None:
        """Prepare the folder; `start` starts it. `settings` is TOML."""
        self.folder = folder
        self.state = folder / "state"
        self.socket = folder / "sagad.sock"
        self.log = folder / "sagad.log"
        self.config = folder / "sagad.toml"
        self.config.write_text(settings)
        self._environ = {**os.environ, **(environ or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: float = 20, module: Sequence[str] = ("orchestrator.daemon",)) -> Self:
        """Start it, and return when it is ready. `module`: another way to run it, with arguments of its own."""
        command = [sys.executable, "-m", *module, "--config", str(self.config)]
        command += ["--state-dir", str(self.state), "--socket", str(self.socket)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environ,
                start_new_session=True,
            )
        self.wait_until(self._is_ready, wait, "the daemon is ready")
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise Unreachable(f"sagad ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
        try:
            return bool(self.ask("GET", "/v1/health")[1].get("ready"))
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL, to the daemon alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, wait: float = 20) -> int:
        """Stop it as systemd would, and give its exit code. One that has ended already is no harm."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(wait)

    def __enter__(self) -> Self:
        """Start it, unless it was started in some way of its own."""
        return self if self.process is not None else self.start()

    def __exit__(self, kind: object = None, *_: object) -> None:
        """See that nothing of it stays, whatever has become of it; and that every checkpoint is what its events say."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        if kind is None and (self.state / "sagad.db").exists():
            check_replay(self.state / "sagad.db")

    # -- talking to it ---------------------------------------------------------------------------------------------

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send a request; give the status and the decoded answer. Raises OSError where nobody answers."""
        connection = Connection(self.socket, timeout=90)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def submit(self, saga: Mapping[str, Any], *, wait: str | None = "30s", **more: Any) -> dict[str, Any]:
        """Submit a saga that must be accepted; give its document."""
        query = f"?wait={wait}" if wait else ""
        status, document = self.ask("POST", f"/v1/sagas{query}", {"saga": saga, **more})
        assert status == 201, document
        return dict(document)

    def saga(self, id: str) -> dict[str, Any]:
        """Give a saga's document."""
        status, document = self.ask("GET", f"/v1/sagas/{id}")
        assert status == 200, document
        return dict(document)

    def say(self, id: str, verb: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Say something to a saga; give the status and the answer."""
        status, document = self.ask("POST", f"/v1/sagas/{id}/{verb}", body)
        return status, dict(document)

    def wait_ended(self, id: str, seconds: float = 30) -> dict[str, Any]:
        """Give a saga's document once it has ended or is held."""
        found: dict[str, Any] = {}

        def over() -> bool:
            nonlocal found
            found = self.saga(id)
            return found["status"] in ENDED or found["hold"] is not None

        self.wait_until(over, seconds, f"saga {id} is over")
        return found

    def events(self, id: str) -> list[dict[str, Any]]:
        """Give a saga's events."""
        return list(self.ask("GET", f"/v1/sagas/{id}/events")[1]["events"])

    def executions(self, id: str) -> list[dict[str, Any]]:
        """Give a saga's executions."""
        return list(self.ask("GET", f"/v1/sagas/{id}/executions")[1]["executions"])

    def wait_until(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        """Look again and again until it is true. Raises TimeoutError naming what never was."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s: {what}\n{self.log.read_text()[-2000:]}")
            time.sleep(0.01)
