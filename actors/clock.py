"""Time as a parameter: the daemon's real clock, and how times are written for people and machines."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Waiting is the event loop's: a simulation replaces both."""

    def now(self) -> int:
        """Give UTC milliseconds."""
        ...


class WallClock:
    """The machine's own clock. Durable waits are due in UTC, so a suspend counts and a clock that is set is obeyed."""

    def now(self) -> int:
        """Give UTC milliseconds."""
        return time.time_ns() // 1_000_000


def rfc3339(at: int) -> str:
    """Write UTC milliseconds as RFC 3339 with milliseconds: `2026-11-21T03:04:05.678Z`."""
    seconds, milliseconds = divmod(at, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
