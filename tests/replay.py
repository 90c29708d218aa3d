"""`audit replay` over a database that no daemon uses: every test that ran a daemon ends with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from actors.replay import DAMAGED, replay


def check_replay(database: Path) -> int:
    """Fold every saga's events and hold the result against its checkpoint; give how many sagas there were.

    Raises AssertionError naming those that differ.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)) as db:
        sagas, after = 0, 0
        while True:
            page = replay(db, after, 100)
            # A checkpoint that does not fit its sum was damaged by the test, and is not written again.
            assert [each for each in page.differing if each.problem != DAMAGED] == []
            if not page.last:
                return sagas
            sagas, after = sagas + page.compared, page.last
