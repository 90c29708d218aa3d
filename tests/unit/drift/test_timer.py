"""What an idle daemon holds of drift: when it has the rest loaded, and what it has it do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.clock import WallClock
from actors.drift.timer import Timer
from actors.saga.calls import Calls
from actors.saga.contents import Contents
from actors.saga.host import Host
from config.settings import Drift as Settings
from providers import registry
from store.blobs import Blobs
from store.drift import Kept
from store.journal import Journal
from store.queries import Queries
from store.records import Note, Resource, ResourceChange
from store.runner import Inline
from store.secrets import Secrets

SETTINGS = Settings()


class Noting:
    """Stands where the keeper would, and notes what it is to do."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def plan(self) -> None:
        """Note it."""
        self.told.append("plan")

    def begin(self, job: str) -> None:
        """Note it."""
        self.told.append(job)


class Node:
    """A timer over a real database."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.loaded = 0
        self.keeper = Noting()
        self.timer = Timer(host, lambda: SETTINGS, self._load)

    def _load(self) -> Any:
        self.loaded += 1
        return self.keeper

    async def keep(self) -> None:
        """Put a resource on record."""
        record = Resource("t.thing", "7", "web", "7", b"{}", 1, b"{}", None, None, 1, 1)
        await self.host.journal.commit_nowait(Note([], [ResourceChange("t.thing", "7", record)]))

    async def planned(self, sync: int | None, sweep: int | None, cron: str = SETTINGS.sync) -> None:
        """Have both jobs planned."""
        jobs = {"sync": (cron, sync), "sweep": (SETTINGS.schedule, sweep)}
        notes: Any = [
            ("job", name, msgspec.json.encode({"cron": text, "due": due}))
            for name, (text, due) in jobs.items()
        ]
        await self.host.journal.commit_nowait(Note([], drift=Kept(notes=notes)))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """One that keeps nothing."""
    journal = Journal.open(tmp_path / "sagad.db", b"k" * 32, Inline(), reserve=0)
    queries = await Queries.open(tmp_path / "sagad.db")
    drivers = registry.load({}, Contents(Blobs(tmp_path / "blobs", b"k" * 32)))
    calls = Calls(drivers, Secrets([], b"k" * 32), WallClock())
    yield Node(Host(journal=journal, queries=queries, calls=calls, clock=WallClock(), passivate=1_000))
    await queries.close()
    await journal.close()


FAR = 1 << 42


async def test_with_nothing_on_record_nothing_is_loaded(node: Node) -> None:
    """Whatever is due."""
    await node.planned(1, 1)
    await node.timer.look()

    assert (node.loaded, node.keeper.told) == (0, [])


async def test_what_is_due_is_begun_in_its_order(node: Node) -> None:
    """The sync before the sweep; what is not due, or never, waits, and nothing is loaded for it."""
    await node.keep()
    await node.planned(FAR, None)
    await node.timer.look()
    assert node.loaded == 0
    await node.planned(1, 1)
    await node.timer.look()
    await node.planned(FAR, 1)
    await node.timer.look()

    assert (node.loaded, node.keeper.told) == (1, ["sync", "sweep", "sweep"])


async def test_other_expressions_are_planned_but_not_at_the_start(node: Node) -> None:
    """Nothing is done by those of before."""
    await node.keep()
    await node.timer.look(plans=False)
    assert node.keeper.told == []
    await node.timer.look()
    await node.planned(1, 1, cron="0 0 * * *")
    await node.timer.look()

    assert node.keeper.told == ["plan", "plan"]


async def test_nothing_is_begun_while_sagad_drains(node: Node) -> None:
    """It would only be cut off."""
    await node.keep()
    await node.planned(1, 1)
    node.host.draining = True
    await node.timer.look()

    assert node.loaded == 0
