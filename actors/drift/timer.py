"""Waits for what is due. This is all of drift that an idle daemon holds: a look at two rows, four times a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import structlog

from actors.saga.host import Host
from config.settings import Drift as Settings
from store.sql import queries

if TYPE_CHECKING:
    from actors.drift.keeper import Keeper

LOOK = 15.0
"""Seconds between two looks. By the wall clock: a suspend counts, and a clock that is set is obeyed."""


class Timer:
    """Has the keeper loaded when there is something for it to do."""

    def __init__(self, host: Host, settings: Callable[[], Settings], load: Callable[[], Keeper]) -> None:
        """Wait by these settings. ``load`` gives the keeper, the same each time."""
        self._host = host
        self._settings = settings
        self._load = load
        self._keeper: Keeper | None = None

    @property
    def keeper(self) -> Keeper:
        """Give the keeper, loaded now if it was not."""
        if self._keeper is None:
            self._keeper = self._load()
        return self._keeper

    async def run(self) -> None:
        """Look for ever; end the keeper with it."""
        try:
            first = True
            while True:
                try:
                    if first and self._host.queries.at_once(_at_work):
                        await self.keeper.settle()
                    await self.look(plans=not first)
                    first = False
                except Exception:  # noqa: BLE001  a slip here must not end what waits for everybody
                    structlog.get_logger("drift").exception("drift.timer_failed")
                await anyio.sleep(LOOK)
        finally:
            if self._keeper is not None:
                await self._keeper.close()

    async def look(self, *, plans: bool = True) -> None:
        """Begin what is due by now. Nothing is while nothing is kept, while sagad drains, or while the disk is full.

        ``plans``: what is not planned by these settings yet, is. That has time: a start has better things to write.
        """
        host = self._host
        if host.draining or host.journal.full or not host.queries.at_once(_anything):
            return
        known = host.queries.at_once(_jobs)
        settings = self._settings()
        if [known.get(job, {}).get("cron") for job in ("sync", "sweep")] != [
            settings.sync,
            settings.schedule,
        ]:
            if plans:
                await self.keeper.plan()
            return
        now = host.clock.now()
        for job in ("sync", "sweep"):
            due = known[job]["due"]
            if due is not None and due <= now:
                self.keeper.begin(job)


def _at_work(db: Any) -> bool:
    return db.execute(queries()["drift_at_work"], {"saga": None}).fetchone() is not None


def _anything(db: Any) -> bool:
    return db.execute(queries()["anything_kept"]).fetchone() is not None


def _jobs(db: Any) -> dict[str, dict[str, Any]]:
    return {
        name: msgspec.json.decode(value) for name, value in db.execute(queries()["drift_notes"], ("job",))
    }
