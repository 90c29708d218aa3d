from __future__ import annotations

import json
import subprocess
import sys

WRITE = """
import asyncio
import structlog
from orchestrator import logs
from store.records import NewEvent

logs.configure("{level}")
async def log():
    logs.events("site", [NewEvent("0123456789ab", 1, "step.succeeded", 1, b"{{}}", "a", "ada")])

asyncio.run(log())
structlog.get_logger("saga").info("step.succeeded", saga="0123456789ab", kind="site", step="a", actor="ada")
"""


def lines(level: str) -> list[dict[str, str]]:
    """Log one event both ways, in a process that logs to a pipe."""
    command = [sys.executable, "-c", WRITE.format(level=level)]
    written = subprocess.run(command, stderr=subprocess.PIPE, check=True).stderr
    return [json.loads(line) for line in written.splitlines()]


def test_an_events_line_is_the_one_that_structlog_would_write() -> None:
    """Key for key, in the same order, but for the time."""
    quick, slow = lines("info")

    assert quick.pop("timestamp") <= slow.pop("timestamp")
    assert list(quick.items()) == list(slow.items())


def test_events_are_silent_above_their_level() -> None:
    """They are information."""
    assert lines("warning") == []
