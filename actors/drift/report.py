"""What a round tells to whoever waits for it; and its manners towards everybody else."""

from __future__ import annotations

import asyncio
import time

import msgspec

NAMED = 1_000
"""Resources that a report names, of those that are unknown and of those that were passed over."""


class Named(msgspec.Struct, frozen=True):
    """A resource, and why nothing can be said of it."""

    type: str
    name: str
    why: str


class Report(msgspec.Struct):
    """What a sync and a sweep have found."""

    looked: int = 0
    """Resources on record that were looked at, or were to be."""
    there: int = 0
    absent: int = 0
    unknown: int = 0
    passed_over: int = 0
    opened: int = 0
    still: int = 0
    stale: int = 0
    unknowns: list[Named] = []
    passed: list[Named] = []
    alarms: list[str] = []

    def is_unknown(self, type_: str, name: str, why: str) -> None:
        """Name a resource of which nothing is known."""
        self.unknown += 1
        if len(self.unknowns) < NAMED:
            self.unknowns.append(Named(type_, name, why))

    def is_passed(self, type_: str, name: str, why: str) -> None:
        """Name a resource that was left alone."""
        self.passed_over += 1
        if len(self.passed) < NAMED:
            self.passed.append(Named(type_, name, why))


class Progress(msgspec.Struct):
    """How far a round is, for who waits."""

    doing: str
    """``sync`` or ``sweep``."""
    looked: int = 0
    of: int = 0


SHARE = 3
"""Of so many parts of the loop's time drift takes one. With 10,000 resources the API's p50 is 1.4 to 1.9 times the idle one so;
at two parts 2.4 times."""


async def rest(started: float) -> None:
    """Leave the loop to others for longer than this turn took since then (``time.perf_counter``)."""
    await asyncio.sleep((time.perf_counter() - started) * (SHARE - 1))
