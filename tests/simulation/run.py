"""One run: a daemon lives, dies and lives again over what its disk has kept, until all is done; then the laws."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from orchestrator.parts import Parts, parts
from store.errors import StorageFailing
from tests.simulation import rest
from tests.simulation.disk import Disk
from tests.simulation.fresh import fresh
from tests.simulation.laws import Broken, Laws, at_rest
from tests.simulation.loop import Died, Endless, VirtualLoop
from tests.simulation.node import Log, SimulatedGround, settings
from tests.simulation.operators import Operators
from tests.simulation.scenario import Crash, Scenario
from tests.simulation.world import World

PATIENCE = 45.0
"""Virtual seconds for which a run goes on by itself before honest people bring it to its end."""
LIVES = 40
_ON_DISK = ("write", "sync", "after")
_folders = count()
"""A folder for each disk: whatever of a daemon that died still closes its files, closes its own."""


class Run:
    """A scenario, being played."""

    def __init__(self, scenario: Scenario, loop: VirtualLoop, folder: Path, log: Log) -> None:
        """Play this on that loop."""
        self.scenario = scenario
        self.loop = loop
        self.log = log
        self._folder = folder
        self._chance = random.Random(scenario.seed ^ 0x5EED)
        self._torn = random.Random(scenario.seed ^ 0x7042)
        self._ids = random.Random(scenario.seed ^ 0x1D5)
        self.world = World(
            scenario.seed, {**scenario.values}, {k: list(v) for k, v in scenario.faults.items()}
        )
        self.world.now = lambda: loop.clock
        self.operators = Operators(self)
        self.laws = Laws(self)
        self.raised: list[Broken] = []
        self.counts: Counter[str] = Counter()
        self.stopping = False
        self._crashes = list(scenario.crashes)
        self._points: Counter[str] = Counter()
        self._files = fresh()
        self._disk: Disk
        self._how: Crash | None = None
        self._calm = False
        self._lives = 0

    def count(self, what: str) -> None:
        """Count something that was injected, or came of it."""
        self.counts[what] += 1

    def check_raised(self) -> None:
        """Raise what was found broken where nobody could be told."""
        if self.raised:
            raise self.raised[0]

    # -- lives -------------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Play it to its end. Raises Broken."""
        self.loop.anew()
        self.world.asked = self._effect
        self.world.intended = self.laws.effect
        self.log.errors.clear()
        try:
            for number in range(LIVES):
                if self._life(number):
                    return
            raise Broken("moves", f"not done after {LIVES} starts")
        except Endless as endless:
            raise Broken("moves", str(endless)) from endless
        finally:
            self._unmount()
            self.counts.update(self.world.injected)

    def _life(self, number: int) -> bool:
        """Start the daemon and let it live; True: all is done."""
        self._disk = disk = Disk(self._folder / str(next(_folders)), self._files, good=not self._is_fragile())
        disk.asked = self._asked
        disk.trouble = self._trouble
        self._watch()
        self._how, self.stopping = None, False
        self._lives = number + 1
        try:
            self.loop.run(self._serve())
        except Died:
            self._fall()
            return False
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        except (sqlite3.OperationalError, StorageFailing) as error:
            # It refuses to start on a disk that fails; whoever watches over it starts it again.
            if self._trouble() is None:
                raise Broken("crash", f"it does not start: {error}") from error
            self.count("starts refused by the disk")
            self.loop.clock += 2
            self._fall()
            return False
        finally:
            self.laws.db = None
        self.check_raised()
        self.check_broken()
        if self.stopping:
            self._files = disk.left(None)
        self._unmount()
        return not self.stopping

    def check_broken(self) -> None:
        """Raise what went wrong in a callback, or was logged as an error."""
        if self.loop.broken:
            raise Broken("crash", self.loop.broken[0])
        if self.log.errors:
            raise Broken("crash", self.log.errors[0])

    def _fall(self) -> None:
        """Let the daemon be dead, and its disk be as that leaves it."""
        disk, how = self._disk, self._how
        self.check_raised()
        self._files = disk.left(self._torn if how is not None and how.how == "power" else None)
        self._unmount()
        self.world.daemon_died()

    def _unmount(self) -> None:
        for kind, number in self._disk.refused.items():
            self.counts[f"disk: {kind} refused"] += number
        self._disk.refused.clear()
        self._disk.unmount()

    async def _serve(self) -> None:
        scenario = self.scenario
        node = settings(self._disk.folder, scenario.passivate, scenario.in_flight)
        ground = SimulatedGround(self.loop, self.world, self._chance, self._ids)
        self._arm()
        async with parts(node, lambda: node, lambda: None, ground) as made:
            self.laws.db = ground.within.db
            if self._lives > 1:
                self.laws.at_start(made)
            made.service.ready = True
            made.start()
            await self._be_there(made)
            self.stopping = self.stopping or self._how is not None
            await made.drain(10_000)

    async def _be_there(self, made: Parts) -> None:
        """Let everybody say what they have to say, and wait until all sagas have ended."""
        tasks = [asyncio.create_task(each) for each in self.operators.tasks(made)]
        try:
            if self._calm or await self._goes_by_itself(made, tasks):
                await self._end(made, tasks)
        finally:
            for task in tasks:
                task.cancel()
            self._raise_of(tasks)

    def _raise_of(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            if (
                task.done()
                and not task.cancelled()
                and (error := task.exception()) is not None
                and not self.stopping
            ):
                raise error

    async def _goes_by_itself(self, made: Parts, tasks: list[Any]) -> bool:
        """Wait; False: the daemon is told to stop."""
        pause = 0.5
        while self.loop.clock < PATIENCE:
            await asyncio.sleep(pause)
            self.check_raised()
            if self._how is not None:
                self.stopping = True
                return False
            if all(task.done() for task in tasks) and await self._all_ended(made):
                break
            pause = min(pause * 1.5, 10)
        return True

    async def _all_ended(self, made: Parts) -> bool:
        return not await made.host.queries.live()

    async def _end(self, made: Parts, tasks: list[Any]) -> None:
        """Let all go well from now on, bring everything to its end, and hold the laws against it."""
        self._calm = self.world.calm = True
        self._crashes.clear()
        self._watch()
        await asyncio.gather(*tasks)
        await self.operators.bring_to_an_end(made)
        await asyncio.sleep(1)
        self.check_raised()
        self.check_broken()
        at_rest(made, self)
        await rest.check(made, self)

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        for crash in self._crashes:
            if crash.point == "at" and crash.at > self.loop.clock:
                self.loop.call_later(crash.at - self.loop.clock, self._crash, crash)
            elif crash.point == "turn":
                self.loop.at_turn(int(crash.at), partial(self._crash, crash))

    def _crash(self, crash: Crash) -> None:
        if crash not in self._crashes or self.loop.dead or self._how is not None:
            return
        self._crashes.remove(crash)
        self._watch()
        self.count(f"crashes: {crash.how}, by {'time' if crash.point == 'at' else crash.point}")
        self._how = crash
        if crash.how != "stop":
            self._disk.dead = self.world.dead = True
            self.loop.die()

    def _watch(self) -> None:
        """Have the disk ask before each operation, where that can make a difference."""
        self._disk.watched = self._is_watched()

    def _is_watched(self) -> bool:
        here = any(crash.point in _ON_DISK for crash in self._crashes)
        return here or bool(self.scenario.troubles and not self._calm)

    def _is_fragile(self) -> bool:
        """Tell whether anything can still happen to the disk, or to the power."""
        return self._is_watched() or any(crash.how == "power" for crash in self._crashes)

    def _asked(self, operation: str, moment: str) -> None:
        """An operation of the disk: does the daemon die here?"""
        if moment == "before":
            self._points[operation] += 1
        point = operation if moment == "before" else "after"
        self._point(point, self._points[operation])

    def _effect(self, what: str) -> None:
        point = "effect" if what == "effect" else "after"
        self._points[what] += 1
        self._point(point, self._points[what])

    def _point(self, point: str, number: int) -> None:
        for crash in self._crashes:
            if crash.point == point and crash.at == number:
                self._crash(crash)
                return

    def _trouble(self) -> str | None:
        if self._calm:
            return None
        now = self.loop.clock
        return next((each.kind for each in self.scenario.troubles if each.at <= now < each.until), None)


def _first(error: BaseException) -> BaseException:
    """Give what a group of exceptions is about: a law that is broken, before all else."""
    while isinstance(error, BaseExceptionGroup):
        broken = [each for each in error.exceptions if isinstance(each, Broken | BaseExceptionGroup)]
        error = (broken or error.exceptions)[0]
    return error
