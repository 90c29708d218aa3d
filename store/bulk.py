"""One statement for many rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any


class Bulk:
    """A statement over `(VALUES …)` that takes any number of rows."""

    def __init__(self, start: str, *, columns: int, tail: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        self._sizes = [1 << power for power in reversed(range(7))]
        self._sql = {size: f"{start} {', '.join([row] * size)}{tail}" for size in self._sizes}

    def run(self, db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Write the rows and say how many there were in the database."""
        done = written = 0
        for size in self._sizes:
            while len(rows) - done >= size:
                part = rows[done : done + size]
                written += db.execute(self._sql[size], tuple(chain.from_iterable(part))).rowcount
                done += size
        return written
