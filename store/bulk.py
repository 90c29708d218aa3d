"""One statement for many rows.

sqlite3 lets go of the interpreter's lock at each step of a statement and has to take it back from a busy loop. A group
of 100 commits is some 400 rows: `executemany` steps 400 times, this some 30 times. By the saga (4 commits, 9 events), with
100 in flight, the smallest of several runs: 101 µs of the writer's processor time against 165 with `executemany` (and
2,500 to 3,250 sagas a second against 2,300 to 2,850, where the loop has 150 µs of work of its own a saga). Sizes are
powers of two, so that few statements are ever prepared. `json_each(?)` would have to carry digests and states as hex,
and its copies of JSON are not the same bytes.
"""

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
