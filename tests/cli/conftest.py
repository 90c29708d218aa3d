"""What the tests of sagactl share: the real console script, and a stand-in for the daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.cli.standin import StandIn

SCRIPT = Path(sys.executable).with_name("sagactl")
Ended = subprocess.CompletedProcess[str]


class Sagactl(Protocol):
    """Runs sagactl to its end."""

    def __call__(self, *words: str, stdin: str = "", **environ: str) -> Ended:
        """Run it with these words."""
        ...


def environment(socket: Path, **environ: str) -> dict[str, str]:
    """Give an environment in which nothing of the tester's own shows."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ
    }
    return kept | {"SAGAD_SOCKET": str(socket), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"} | environ


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path that is short enough for a socket, which pytest's own folders are not everywhere."""
    with tempfile.TemporaryDirectory(prefix="sagactl-") as folder:
        yield Path(folder) / "sagad.sock"


@pytest.fixture
def daemon(socket_path: Path) -> Iterator[StandIn]:
    """The stand-in, listening."""
    stand_in = StandIn(socket_path)
    yield stand_in
    stand_in.stop()


@pytest.fixture
def sagactl(socket_path: Path) -> Sagactl:
    """Run the console script against the socket; no test waits longer than a minute."""

    def run(*words: str, stdin: str = "", **environ: str) -> Ended:
        return subprocess.run(
            [SCRIPT, *words],
            input=stdin,
            env=environment(socket_path, **environ),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def started(socket_path: Path) -> Iterator[Any]:
    """Start the console script and leave it running."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [SCRIPT, *words],
            env=environment(socket_path, **environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
