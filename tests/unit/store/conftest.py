from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.journal import Journal
from store.queries import Queries
from store.runner import Inline, Runner, Thread
from tests.unit.store.samples import KEY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "sagad.db"


@pytest.fixture(params=["thread", "inline"])
async def runner(request: pytest.FixtureRequest) -> Runner:
    """Every promise of the journal holds on both."""
    return Thread() if request.param == "thread" else Inline()


@pytest.fixture
async def journal(path: Path, runner: Runner) -> AsyncIterator[Journal]:
    """A journal over a new database, with no room kept."""
    journal = Journal.open(path, KEY, runner, reserve=0)
    yield journal
    await journal.close()


@pytest.fixture
async def queries(path: Path, journal: Journal) -> AsyncIterator[Queries]:
    """Questions to the same database."""
    queries = await Queries.open(path)
    yield queries
    await queries.close()
