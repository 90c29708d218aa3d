"""What becomes of records that a saga is to revert: it follows from how that saga stands, and from nothing else.

The record names the saga before that is begun, and is closed or opened again after it has ended. So a crash between any two
commits leaves a record that names a saga, and what to make of it is looked up: it was never begun, it goes on, or it has
ended. It is never half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from actors.beside import event_row
from actors.directory import Directory
from actors.drift import events
from actors.saga.dossier import Dossier
from actors.saga.host import Host
from actors.saga.outcomes import clip
from actors.saga.state import ENDED, State
from store import drift as kept
from store.drift import Drift, Kept
from store.records import NewEvent, Note


class End(NamedTuple):
    """How a saga that was to revert something has ended: without a reason it has done so."""

    saga: str
    why: str | None


def closed(drift: Drift, end: End, now: int) -> Drift:
    """Give a record after its saga has ended: reverted, or open again with why."""
    if end.why is None:
        return msgspec.structs.replace(drift, status="reverted", resolved_at=now, why=None)
    return msgspec.structs.replace(drift, resolved_by=None, why=end.why)


def told(drift: Drift, end: End) -> events.DriftEvent:
    """Give the event of that."""
    if end.why is None:
        return events.Reverted(saga=end.saga, **events.of(drift))
    return events.RevertFailed(saga=end.saga, why=end.why, **events.of(drift))


class Settling:
    """Closes records as their sagas end. Whoever calls it holds the lock ``Alone``."""

    def __init__(self, host: Host, directory: Directory) -> None:
        """Look at these sagas."""
        self._host = host
        self._directory = directory
        self.beginning: set[str] = set()
        """Sagas that records name already, and that are just being submitted."""
        self._followed: dict[str, Callable[[], None]] = {}
        """What ends the watching of each saga that is followed."""

    async def settle(self, saga: str) -> bool:
        """Close, or open again, what a saga was to revert; False: it goes on."""
        drifts = self._host.queries.at_once(lambda db: kept.at_work(db, saga))
        if not drifts or saga in self.beginning:
            return not drifts
        end = self._end(saga)
        if end is None:
            return False
        await self.write(drifts, end)
        return True

    async def write(self, drifts: list[Drift], end: End) -> None:
        """Put on record how it has ended."""
        now = self._host.clock.now()
        rows: list[NewEvent] = [event_row(told(each, end), now, resource=each.label) for each in drifts]
        changed = [closed(each, end, now) for each in drifts]
        await events.write(self._host, Note(rows, drift=Kept(changed=changed)))

    def _end(self, saga: str) -> End | None:
        row = self._host.queries.saga(saga)
        if row is None:
            return End(saga, f"saga {saga} was never begun: sagad stopped before")
        if row.status not in ENDED:
            return None
        if row.status == "completed":
            return End(saga, None)
        error = self._directory.state(row).error
        why = "" if error is None else f": {error.message}"
        return End(saga, clip(f"saga {saga} ended {row.status}{why}"))

    def follow(self, saga: str, over: Callable[[], None]) -> None:
        """Have ``over`` called once when a saga has ended."""

        def look(_dossier: Dossier, state: State) -> None:
            if state.status in ENDED:
                self.leave(saga)
                over()

        if saga not in self._followed:
            self._followed[saga] = self._directory.watch(saga, look)

    def leave(self, saga: str) -> None:
        """Follow a saga no longer."""
        if (stop := self._followed.pop(saga, None)) is not None:
            stop()
