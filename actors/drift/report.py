"""What a round tells: to whoever waits for it, to the log, to health."""

from __future__ import annotations

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
