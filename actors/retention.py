"""Retention: drops what has ended and had its time, slowly, so that nobody who works notices.

It looks once an hour. What it drops goes through the journal as everything does, some events at a time, with a pause
behind each piece; an event's hash stays, so that the chain still proves itself, and so do the clients' idempotency
keys. What goes wrong is logged and shown in `health`, and tried again an hour later; nothing else hears of it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import anyio
import msgspec
import structlog

from actors.beside import event_row
from actors.directory import Directory
from actors.node import Pruned
from actors.saga.host import Host
from actors.supervisor import reason
from store.blobs import Blobs
from store.errors import JournalRefused
from store.pruning import Ended, due, named_digests, slices, unused_plans
from store.records import Note, Pruning

FIRST = 30.0
"""Seconds until the first round: those who wait for the node come first."""
EVERY = 3_600.0
"""Seconds between two rounds."""
PAUSE = 0.05
"""Seconds between two pieces."""
EVENTS = 200
"""Events of a piece: dropping them takes the loop 2 ms."""
SAGAS = 100
"""Sagas whose events are looked up at a time."""
PAGE = 200
"""Sagas looked up at a time."""
YOUNG = 86_400.0
"""Seconds for which a blob is kept that nobody names: the commit that will may be waiting for room on the disk."""


class Report(msgspec.Struct):
    """What retention has done since the start."""

    last: int | None = None
    """When its last round ended (UTC milliseconds)."""
    sagas: int = 0
    """Dropped."""
    blobs: int = 0
    """Dropped."""
    needed: int = 0
    """Sagas that have had their time, and are kept because others of their kin, or a resource, still need them."""
    error: str | None = None
    """Why the last round broke off."""


class Retention:
    """Looks through the record for what has had its time."""

    def __init__(
        self,
        host: Host,
        directory: Directory,
        blobs: Blobs,
        blobs_stay: asyncio.Lock,
        keep_for: Callable[[], Mapping[str, int | None]],
        also: Sequence[Callable[[], Awaitable[int]]] = (),
    ) -> None:
        """Drop from this node. ``keep_for``: milliseconds by status, None for ever.

        ``also`` are called at the end of each round, for what is kept only as long as a saga's record needs it (the sealed
        values of sensitive outputs): each drops that and gives how much it was.
        """
        self.report = Report()
        self._host = host
        self._directory = directory
        self._blobs = blobs
        self._blobs_stay = blobs_stay
        self._keep_for = keep_for
        self._also = also
        self._log = structlog.get_logger("retention")

    async def run(self) -> None:
        """Go round for ever."""
        await anyio.sleep(FIRST)
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001  let it crash: this is where it is caught
                self.report.error = reason(error)
                self._log.error("retention.failed", why=self.report.error, exc_info=error)
            await anyio.sleep(EVERY)

    async def round(self) -> None:
        """Drop what has had its time. Nothing while the disk is full or the daemon drains."""
        if self._host.journal.full or self._host.draining:
            return
        now = self._host.clock.now()
        ended_before = {status: now - kept for status, kept in self._keep_for().items() if kept is not None}
        dropped, needed, after = 0, 0, 0
        while True:
            page = await self._host.queries.apart(
                partial(due, ended_before=ended_before, after=after, limit=PAGE)
            )
            for family in page.families:
                for some in (family[at : at + SAGAS] for at in range(0, len(family), SAGAS)):
                    dropped += await self._drop(some)
            needed += page.needed
            if not page.last:
                break
            after = page.last
        if dropped:
            await self._drop_plans()
        self.report.blobs += await self._drop_blobs()
        for drop in self._also:
            await drop()
        self.report.last, self.report.needed, self.report.error = self._host.clock.now(), needed, None

    async def _drop(self, sagas: list[Ended]) -> int:
        """Drop sagas of a family, unless one is in memory: somebody may be having it retried or taken back."""
        pieces = await self._host.queries.apart(lambda db: list(slices(db, sagas, EVENTS)))
        for piece in pieces:
            if any(saga.id in self._directory.live for saga in sagas):
                return 0
            try:
                await self._commit(piece)
            except JournalRefused:
                return 0  # one of them was retried just then: the next round sees
            self.report.sagas += len(piece.sagas)
            await anyio.sleep(PAUSE)
        return len(sagas)

    async def _commit(self, piece: Pruning) -> None:
        gone = tuple(id_ for _, id_, _ in piece.sagas)
        event = Pruned(sagas=gone, events=len(piece.bodies))
        rows = [event_row(event, self._host.clock.now())] if gone else []
        await self._host.journal.commit_nowait(Note(rows, pruning=piece))

    async def _drop_plans(self) -> None:
        newest, plans = await self._host.queries.apart(unused_plans)
        if plans:
            await self._host.journal.commit_nowait(Note([], pruning=Pruning(newest=newest, plans=plans)))

    async def _drop_blobs(self) -> int:
        """Drop the contents that no execution names any more."""
        async with self._blobs_stay:
            return await self._host.queries.apart(self._drop_unnamed)

    def _drop_unnamed(self, db: sqlite3.Connection) -> int:
        if not self._blobs.any():
            return 0
        return self._blobs.drop_unreferenced(named_digests(db), older_than=YOUNG)
