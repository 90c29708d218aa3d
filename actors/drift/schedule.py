"""When the jobs are due: cron expressions in the node's own time, each a little later than the clock strikes. Pure.

Every node of a company that syncs at 15 past asks the same provider in the same second. So each occasion has a delay by
chance, of at most ``JITTER`` and a tenth of the way to the next one: a sweep does not overtake the sync before it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

Job = Literal["sync", "sweep"]

JITTER = 30_000
"""Milliseconds."""

NEVER = "never"


class Planned(msgspec.Struct, frozen=True):
    """When a job is due by an expression; what is remembered of it while the daemon is down."""

    cron: str
    due: int | None
    """UTC milliseconds; None: never."""


def planned(cron: str, now: int, chance: Callable[[], float]) -> Planned:
    """Give when a job is due next. ``chance`` gives a number from 0 to 1."""
    if cron == NEVER:
        return Planned(cron, None)
    from cronsim import CronSim

    # A time of day that the clocks leave out, or have twice, is what Python makes of it: never earlier than now.
    occasions = CronSim(cron, datetime.fromtimestamp(now / 1000))  # noqa: DTZ006  cron goes by the node's time
    first = next(at for at in occasions if _milliseconds(at) > now)
    then = next(at for at in occasions if at > first)
    longest = min(JITTER, (_milliseconds(then) - _milliseconds(first)) // 10)
    return Planned(cron, _milliseconds(first) + round(chance() * longest))


def _milliseconds(local: datetime) -> int:
    return round(local.timestamp() * 1000)
