"""The daemon, put together as `sagad` puts it together, over simulated ground."""

from __future__ import annotations

import asyncio
import errno
import random
import sqlite3
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeVar

import structlog

from actors import timers
from config.settings import Daemon, Limits, Settings
from orchestrator.parts import Ground
from providers.contract import Blobs
from providers.registry import Registry
from providers.test import Test
from providers.wait import Wait
from store.node import StateFolder
from store.queries import Readers
from tests.simulation.disk import mounted
from tests.simulation.drivers import Bell, Cloud, Place
from tests.simulation.loop import VirtualLoop
from tests.simulation.vfs import register
from tests.simulation.world import World

T = TypeVar("T")

KEY = b"the key of the simulated node..."
EPOCH = 1_800_000_000_000
"""The virtual clock's zero, in UTC milliseconds."""
timers.LOOK = 20.0
"""The watchman looks at the clock so often at least, in case somebody has set it. Nobody does, and each look costs."""
LATE = 0.004
"""Seconds that a disk or a thread takes at most."""


class VirtualClock:
    """Tells the loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> int:
        """Give UTC milliseconds."""
        return EPOCH + int(self._loop.clock * 1000)


class LateDisk:
    """The journal's thread, so to speak: the work is done a little later, and a little later that is known."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self._loop = loop
        self._chance = chance

    def run(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Do it, with time for a crash before and after."""
        self._loop.call_later(LATE * self._chance.random(), self._work, work, done)

    def _work(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        work()
        if not self._loop.dead:
            self._loop.call_later(LATE * self._chance.random(), done)

    def close(self) -> None:
        """Nothing is open."""


class Within(Readers):
    """Questions are answered within the loop, on one connection; other things happen before the answer comes."""

    db: sqlite3.Connection
    """What is committed, as a reader sees it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def slow(self, address: str) -> Any:
        """Open the connection."""
        self.db = sqlite3.connect(address, uri=True, isolation_level=None)
        return _Connection(self.db, self._chance)

    def quick(self, _address: str) -> sqlite3.Connection:
        """Give the connection."""
        return self.db

    async def apart(self, _address: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work, not at once."""
        await asyncio.sleep(LATE * self._chance.random())
        try:
            return work(self.db)
        finally:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")


class _Connection:
    """aiosqlite's connection without a thread."""

    def __init__(self, db: sqlite3.Connection, chance: random.Random) -> None:
        self._db = db
        self._chance = chance

    async def execute(self, sql: str) -> None:
        self._db.execute(sql)

    async def execute_fetchall(self, sql: str, values: Any) -> list[Any]:
        drawn = self._chance.random()
        await asyncio.sleep(0 if drawn < 0.8 else LATE * drawn)
        return self._db.execute(sql, values).fetchall()

    async def close(self) -> None:
        self._db.close()


class SimulatedGround(Ground):
    """What the daemon of a simulation stands on."""

    disk = register()
    reserve = 0

    def __init__(self, loop: VirtualLoop, world: World, chance: random.Random, ids: random.Random) -> None:
        """``chance``: how long things take; ``ids``: the daemon's own randomness."""
        self._loop = loop
        self._world = world
        self._chance = chance
        self._ids = ids
        self.within = Within(chance)

    def clock(self) -> VirtualClock:
        """Give the virtual clock."""
        return VirtualClock(self._loop)

    def folder(self, path: Path, key_file: Path | None) -> StateFolder:
        """Give the folder without the kernel's lock on it: there is no other process."""
        return StateFolder(path, -1, KEY)

    def sync(self, path: Path) -> None:
        """Make a file of the simulated disk durable."""
        disk = mounted.get(str(path.parent))
        if disk is not None and disk.sync(path.name):
            raise OSError(errno.EIO, "the disk fails")

    def runner(self) -> LateDisk:
        """Give the slow disk."""
        return LateDisk(self._loop, self._chance)

    def readers(self) -> Within:
        """Give what answers within the loop."""
        return self.within

    def random_bytes(self, count: int) -> bytes:
        """Give what chance the run has."""
        return self._ids.randbytes(count)

    def drivers(self, settings: Settings, secrets: Any, blobs: Blobs) -> Registry:
        """Give the drivers of the simulated world, and those that touch nothing."""
        table = {"world": self._world}
        return Registry({each.type: each(table, blobs) for each in (Place, Cloud, Bell, Wait, Test)}, {})


def settings(folder: Path, passivate: int, in_flight: int) -> Settings:
    """Give the settings of a simulated node."""
    return Settings(
        daemon=Daemon(state_dir=folder, socket=folder / "sagad.sock"),
        limits=Limits(wait_passivate=passivate, sagas_in_flight=in_flight),
    )


class Log:
    """The log: what is worse than a warning is kept, for it is a bug."""

    def __init__(self) -> None:
        """Take the place of structlog's output."""
        self.errors: list[str] = []
        structlog.configure(
            processors=[self._keep],
            wrapper_class=structlog.make_filtering_bound_logger(40),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )

    def _keep(self, _: Any, __: str, event: MutableMapping[str, Any]) -> str:
        error = event.pop("exc_info", None)
        self.errors.append(f"{event}" + (f" {_where(error)}" if error is not None else ""))
        raise structlog.DropEvent


def _where(error: BaseException) -> str:
    trace, where = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where, trace = f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}", trace.tb_next
    return where
