"""Inspection: the whole chain is walked once a day, so slowly that nobody notices.

At the start only the end of the record is proved. What was altered or damaged further back is found here (and by
`sagactl audit verify` and `doctor`, at once): it is logged and shown in `health`, and if it is of a saga that has not
ended, that saga is quarantined. The others go on. Sagas whose rows are gone are
named: nothing else would ask after them.
"""

from __future__ import annotations

import sqlite3
from functools import partial

import anyio
import structlog

from actors.directory import Directory
from actors.saga import messages as m
from actors.saga.host import Host
from actors.supervisor import reason
from store.audit import Report, verify
from store.snapshot import lost_sagas

EVERY = 86_400.0
"""Seconds between two inspections."""
PIECE = 1_000
"""Events walked at a time: 5 ms on a thread of its own."""
NAMED = 5
"""Sagas without a row that are named at most."""
PAUSE = 0.2
"""Seconds between two pieces."""

_LIVE = (
    "SELECT id FROM sagas WHERE number = (SELECT number FROM events WHERE seq = ?)"
    " AND status IN ('pending', 'running', 'compensating')"
)


class Inspection:
    """Walks along the chain."""

    def __init__(self, host: Host, directory: Directory, node_key: bytes) -> None:
        """Inspect this record."""
        self.problem: str | None = None
        """What the last walk found wrong."""
        self._host = host
        self._directory = directory
        self._node_key = node_key
        self._log = structlog.get_logger("inspection")

    async def run(self) -> None:
        """Walk for ever."""
        while True:
            try:
                await self.walk()
            except Exception as error:  # noqa: BLE001  let it crash: this is where it is caught
                self.problem = f"the record could not be inspected: {reason(error)}"
                self._log.error("inspection.failed", why=reason(error), exc_info=error)
            await anyio.sleep(EVERY)

    async def walk(self) -> None:
        """Walk from the first event to the last of this moment."""
        end, after = self._host.journal.last_seq, 0
        lost = dict[str, None]()
        while after < end:
            upto = min(after + PIECE, end)
            report, gone = await self._host.queries.apart(partial(self._look, after=after, upto=upto))
            if report.problem is not None:
                await self._found(report)
                return
            lost |= dict.fromkeys(gone)
            after = upto
            await anyio.sleep(PAUSE)
        self.problem = _lost(list(lost)) if lost else None
        if self.problem is not None:
            self._log.error("saga.lost", why=self.problem)

    def _look(self, db: sqlite3.Connection, after: int, upto: int) -> tuple[Report, list[str]]:
        return verify(db, self._node_key, after=after, upto=upto), lost_sagas(db, after, upto)

    async def _found(self, report: Report) -> None:
        self.problem = f"the record does not prove itself: {report.problem}"
        self._log.error("record.broken", seq=report.bad, why=report.problem)
        saga = await self._host.queries.apart(partial(_live, seq=report.bad))
        if saga is not None:
            self._directory.tell(saga, m.Quarantine(why=self.problem))


def _lost(sagas: list[str]) -> str:
    more = f" and {len(sagas) - NAMED} more" if len(sagas) > NAMED else ""
    return f"sagas have events and no row any more, so that nothing carries them on: {', '.join(sagas[:NAMED])}{more}"


def _live(db: sqlite3.Connection, seq: int | None) -> str | None:
    """Name the saga that an event is of, if that has not ended."""
    row = db.execute(_LIVE, (seq,)).fetchone()
    return None if row is None else str(row[0])
