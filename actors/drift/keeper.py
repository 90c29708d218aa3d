"""The drift actor: one thing after the other, a sync, a sweep, or both for somebody who waits; and what follows of them.

It is supervised as a saga's actor is: what crashes is begun again, with back-off, and what crashes too often is given up and
shown by ``health``. When there is nothing to do it is not there. Pages that were written stay, so to begin again is no harm.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

import anyio
import msgspec
import structlog

from actors.crew import Crew
from actors.directory import Directory
from actors.drift import automatic
from actors.drift.counting import Scope
from actors.drift.looking import Looking
from actors.drift.report import Progress, Report
from actors.drift.schedule import Job, Planned, planned
from actors.drift.settling import Settling
from actors.drift.sweeping import Alone, Sweeping
from actors.saga.host import Host
from config.settings import Drift as Settings
from providers.registry import Registry
from store import drift as kept
from store.drift import Drift, Kept
from store.records import Note

EVERYTHING = Scope()

Revert = Callable[[Sequence[Drift]], Awaitable[None]]
"""Has the drift of one resource reverted by the settings; raises automatic.Refused where that cannot be."""

_LOG = structlog.get_logger("drift")


class GivenUp(Exception):
    """The drift actor has crashed too often at this; the message says at what."""


class Asked(NamedTuple):
    """Something to do, and who waits for it."""

    what: Literal["sync", "sweep", "detect"]
    scope: Scope
    answer: asyncio.Future[Report]


class Keeper:
    """Keeps watch over what is really there."""

    def __init__(
        self, host: Host, directory: Directory, registry: Registry, settings: Callable[[], Settings]
    ) -> None:
        """Begin with nothing to do."""
        self.alone: Alone = asyncio.Lock()
        self.settling = Settling(host, directory)
        self.progress: Progress | None = None
        """How far it is; None: it does nothing."""
        self.revert: Revert | None = None
        self._host = host
        self._registry = registry
        self._settings = settings
        self._supervisor = directory.supervisor
        self._crew = Crew(_told)
        self._asked: deque[Asked] = deque()
        self._lives = False
        self._sync_failed = False

    async def close(self) -> None:
        """End what is going on; the daemon is stopping."""
        self._crew.cancel()
        with anyio.CancelScope(shield=True):
            await self._crew.wait_ended()

    # -- asked -----------------------------------------------------------------------------------------------------

    async def detect(self, scope: Scope) -> Report:
        """Look and compare now. Goes on where whoever asked does not wait any longer. Raises GivenUp."""
        return await asyncio.shield(self._ask("detect", scope))

    def begin(self, job: Job) -> None:
        """Do a job that is due, unless it is at it already; when it is over it is planned anew."""
        if any(each.what == job for each in self._asked):
            return
        self._ask(job, EVERYTHING).add_done_callback(_seen)

    def _ask(self, what: Literal["sync", "sweep", "detect"], scope: Scope) -> asyncio.Future[Report]:
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._asked.append(Asked(what, scope, answer))
        if not self._lives:
            self._lives = True
            self._crew.start(self._live())
        return answer

    async def _live(self) -> None:
        try:
            while self._asked:
                await self._supervisor.watch_over("drift", self._work, self._give_up)
        finally:
            self._lives = False
            self.progress = None
            for each in self._asked:
                each.answer.cancel()

    async def _work(self) -> None:
        """Do what was asked for, in order, until nothing is left."""
        while self._asked:
            asked = self._asked[0]
            report = await self._do(asked)
            self._asked.popleft()
            if not asked.answer.done():
                asked.answer.set_result(report)

    async def _give_up(self, why: str) -> None:
        asked = self._asked.popleft()
        self._sync_failed = asked.what != "sweep"
        text = f"the drift actor has crashed too often at a {asked.what}, and has given it up: {why}"
        await self._note_alarm(automatic.ACTOR, text)
        if asked.what != "detect":
            await self.plan(done=asked.what)
        if not asked.answer.done():
            asked.answer.set_exception(GivenUp(text))

    # -- doing -----------------------------------------------------------------------------------------------------

    async def _do(self, asked: Asked) -> Report:
        report, began = Report(), self._host.clock.now()
        if asked.what != "sweep" or self._sync_failed:
            await self._sync(asked.scope, report)
        if asked.what != "sync":
            await self._sweep(asked.scope, report)
        if asked.scope == EVERYTHING:
            await self._note_alarm(automatic.ACTOR, None)
        if asked.what != "detect":
            await self.plan(done=asked.what)
        self.progress = None
        took = self._host.clock.now() - began
        counts = {name: getattr(report, name) for name in ("looked", "unknown", "opened", "still", "stale")}
        _LOG.info(f"drift.{asked.what}", ms=took, **counts)
        return report

    async def _sync(self, scope: Scope, report: Report) -> None:
        self.progress = Progress("sync")
        looking = Looking(
            self._host, self._registry, scope, self._settings().missing_after, report, self.progress
        )
        await asyncio.create_task(looking.run())  # a context of its own: it only reads
        self._sync_failed = self._sync_failed and scope != EVERYTHING

    async def _sweep(self, scope: Scope, report: Report) -> None:
        self.progress = Progress("sweep", of=report.looked)
        await self.settle()
        settings = self._settings()
        sweeping = Sweeping(
            self._host, self._registry, scope, settings.missing_after, report, self.progress, self.alone
        )
        await sweeping.run(keeps_open=lambda drift: automatic.is_wanted(settings.auto_revert, drift))
        await self._revert(sweeping.open, scope)

    async def _revert(self, drifts: list[Drift], scope: Scope) -> None:
        """Have reverted what the settings say, each resource within its limit."""
        since = self._host.clock.now() - automatic.HOUR
        limit, fights = self._settings().auto_revert_limit, dict[str, str]()
        for type_, identity in dict.fromkeys((each.type, each.identity) for each in drifts):
            own = [each for each in drifts if (each.type, each.identity) == (type_, identity)]
            times = self._host.queries.at_once(
                lambda db, own=own: kept.automatic_since(db, own[0], since)  # type: ignore[misc]
            )
            if times >= limit:
                fights[automatic.alarm_name(own[0])] = automatic.fight(own[0], times)
            elif self.revert is not None:
                await self._revert_one(own)
        if fights or scope == EVERYTHING:
            await self._note_fights(fights)

    async def _revert_one(self, drifts: list[Drift]) -> None:
        assert self.revert is not None
        try:
            await self.revert(drifts)
        except automatic.Refused as refused:
            async with self.alone:
                now_open = self._host.queries.at_once(
                    lambda db: kept.open_of(db, drifts[0].type, drifts[0].identity)
                )
                changed = [
                    msgspec.structs.replace(each, why=str(refused))
                    for each in now_open
                    if each.resolved_by is None
                ]
                await self._host.journal.commit_nowait(Note([], drift=Kept(changed=changed)))

    async def _note_fights(self, fights: dict[str, str]) -> None:
        before = self._host.queries.at_once(lambda db: kept.notes(db, "alarm"))
        over = [name for name in before if automatic.is_fight(name) and name not in fights]
        for name, text in (*fights.items(), *((name, None) for name in over)):
            await self._note_alarm(name, text)

    async def _note_alarm(self, name: str, text: str | None) -> None:
        known = self._host.queries.at_once(lambda db: kept.notes(db, "alarm")).get(name)
        value = None if text is None else msgspec.json.encode(text)
        if known != value:
            await self._host.journal.commit_nowait(Note([], drift=Kept(notes=[("alarm", name, value)])))

    # -- when ------------------------------------------------------------------------------------------------------

    async def plan(self, done: str | None = None) -> None:
        """Put on record when each job is due next: those that were just done, and those that are not planned so yet."""
        settings, now = self._settings(), self._host.clock.now()
        known = self._host.queries.at_once(lambda db: kept.notes(db, "job"))
        notes: list[tuple[kept.NoteKind, str, bytes | None]] = []
        crons: dict[Job, str] = {"sync": settings.sync, "sweep": settings.schedule}
        for job, cron in crons.items():
            before = msgspec.json.decode(known[job], type=Planned) if job in known else None
            if before is None or before.cron != cron or job == done:
                notes.append(("job", job, msgspec.json.encode(planned(cron, now, random.random))))
        if notes:
            await self._host.journal.commit_nowait(Note([], drift=Kept(notes=notes)))

    # -- reverts ---------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Close what has been reverted, and follow the sagas that are still at it."""
        at_work = self._host.queries.at_once(kept.at_work)
        for saga in dict.fromkeys(each.resolved_by for each in at_work):
            if saga is not None and saga not in self.settling.beginning:
                await self.follow(saga)

    async def follow(self, saga: str) -> None:
        """Close what a saga was to revert, now or as soon as it has ended."""
        self.settling.follow(saga, lambda: self._crew.start(self.settle_one(saga)))
        await self.settle_one(saga)

    async def settle_one(self, saga: str) -> None:
        """Close what a saga was to revert, if it has ended."""
        async with self.alone:
            if await self.settling.settle(saga):
                self.settling.leave(saga)


def _seen(answer: asyncio.Future[Report]) -> None:
    """Nobody waits for a job: what it raised is on record as an alarm."""
    if not answer.cancelled():
        answer.exception()


def _told(error: BaseException) -> None:
    _LOG.error("drift.failed", exc_info=error)
