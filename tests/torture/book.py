"""What was sent and what was answered, and what was found to be wrong: the notes of all who take part."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from tests.torture.sagas import Mark, Sent

MOST = 40
"""Violations told; a bug makes hundreds of one kind."""


@dataclass
class Batch:
    """A batch that was sent."""

    name: str
    mode: str
    members: list[Sent]
    acknowledged: bool = False


@dataclass
class Book:
    """The notes. Each list grows by one thread alone; the counters and violations by any."""

    sent: list[Sent] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    """Reasons of operators' words that were accepted: each must be on the record."""
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, by: int = 1) -> None:
        """Count something."""
        with self._lock:
            self.counts[what] += by

    def wrong(self, what: str) -> None:
        """Note a violation."""
        with self._lock:
            self.violations.append(what)
        if len(self.violations) <= MOST:
            print(f"VIOLATION: {what}", flush=True)

    def most(self, what: str, figure: int) -> None:
        """Note the largest figure of its kind."""
        with self._lock:
            self.counts[what] = max(self.counts[what], figure)

    def mark(self, kind: str, step: str) -> Mark | None:
        """Give what a step of a saga of that kind does to the world; None where it is nothing that can be seen."""
        members = [each for batch in self.batches for each in batch.members]
        marks = (mark for each in (*self.sent, *members) if each.kind == kind for mark in each.marks)
        return next((mark for mark in marks if mark.step == step), None)

    def turn(self) -> None:
        """Begin a new round; figures and violations stay."""
        self.sent, self.batches, self.words = [], [], set()
