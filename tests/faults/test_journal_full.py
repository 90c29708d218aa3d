"""A disk that is full, or fails: nothing is lost, steering gets through, and it goes on by itself."""

from __future__ import annotations

import asyncio
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store import audit
from store import journal as journal_module
from store.errors import JournalClosed, StorageFailing
from store.journal import Journal
from store.records import Commit, NewEvent
from store.runner import Runner, Thread
from tests.unit.store.samples import AT, KEY, checkpoint, event, submitted, went_on

SIZE, RESERVE = 4 << 20, 256 << 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
async def runner() -> Runner:
    """The daemon's."""
    return Thread()


@pytest.fixture
async def journal(disk: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Journal]:
    """A journal on the small disk that looks for room every 20 ms."""
    monkeypatch.setattr(journal_module, "RETRY", 0.02)
    journal = Journal.open(disk / "sagad.db", KEY, runner, reserve=RESERVE)
    yield journal
    await journal.close()


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return path


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what will be so in a moment."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def big(saga: str) -> Commit:
    """A transition that needs room of its own."""
    return Commit(saga, [NewEvent(saga or None, AT, "x", 1, b'"%b"' % (b"x" * 40_000))], checkpoint())


async def test_steering_gets_through_a_full_disk_by_the_room_that_was_kept(
    journal: Journal, disk: Path
) -> None:
    """The first failing commit is written with the reserve's room, and from then on new work can be refused."""
    for saga in ("a", "b", "c"):
        await journal.commit(submitted(saga))
    was_full = journal.full
    fill(disk)
    async with asyncio.timeout(5):
        while not journal.storage.why:
            await journal.commit(big("a"))
        for saga in ("a", "b", "c"):
            await journal.commit(went_on(saga, "compensating"))

    assert (was_full, journal.full) == (False, True)


async def test_what_finds_no_room_waits_and_is_written_when_there_is_some(
    journal: Journal, disk: Path
) -> None:
    """Nothing is lost, not even what nobody waits for, in the order of its coming; and all is well by itself."""
    filler = fill(disk)
    waiting = [asyncio.ensure_future(journal.record(big("").events[:1])) for _ in range(40)]
    await until(lambda: journal._blocked)
    waiting += [asyncio.ensure_future(journal.record(big("").events[:1])) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[-2].cancel()
    filler.unlink()
    async with asyncio.timeout(5):
        numbers = await asyncio.gather(*waiting, return_exceptions=True)
        await until(lambda: not journal.full)

    assert [number for number in numbers if isinstance(number, int)] == [*range(1, 44), 45]
    assert journal.last_seq == 45
    with closing(sqlite3.connect(disk / "sagad.db")) as db:
        assert audit.verify(db, KEY).problem is None
    assert (disk / "reserve").stat().st_size == RESERVE


async def test_room_is_looked_for_on_demand(
    journal: Journal, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who has made room need not wait."""
    monkeypatch.setattr(journal_module, "RETRY", 1000)
    await journal.commit(submitted("a"))
    filler = fill(disk)
    waiting = [asyncio.ensure_future(journal.commit(big("a"))) for _ in range(30)]
    await until(lambda: journal._blocked)
    filler.unlink()
    journal.try_again()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)

    assert journal.last_seq == 31


async def test_a_journal_closes_on_a_full_disk_and_tells_those_who_wait(journal: Journal, disk: Path) -> None:
    """What was not written was never acknowledged; the record is whole."""
    await journal.commit(submitted("a"))
    fill(disk)
    waiting = [asyncio.ensure_future(journal.commit(big("a"))) for _ in range(30)]
    await until(lambda: journal._blocked)
    async with asyncio.timeout(5):
        await journal.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    written = [number for number in results if isinstance(number, int)]

    assert all(isinstance(result, int | JournalClosed) for result in results)
    with closing(sqlite3.connect(disk / "sagad.db")) as db:
        report = audit.verify(db, KEY)
    assert (report.problem, report.seq) == (None, 1 + len(written))


async def test_a_disk_that_fails_is_like_one_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on file sizes makes every longer write fail, without root."""
    monkeypatch.setattr(journal_module, "RETRY", 0.02)
    journal = Journal.open(tmp_path / "sagad.db", KEY, Thread(), reserve=0)
    await journal.commit(submitted("a"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "sagad.db-wal").stat().st_size, before[1]))
    try:
        waiting = asyncio.ensure_future(journal.commit(Commit("a", [event("a")], checkpoint("completed"))))
        await until(lambda: journal.full)
        state = journal.storage
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    async with asyncio.timeout(5):
        number = await waiting
        await until(lambda: not journal.full)
    await journal.close()

    assert number == 2
    assert state.why


async def _crashed(disk: Path, runner: Runner) -> Path:
    """Give a database as a crash leaves it, with its reserve: what it has last written is in its log alone."""
    journal = Journal.open(disk / "sagad.db", KEY, runner, reserve=RESERVE)
    await journal.commit(submitted("saga-one"))
    crashed = disk / "crashed"
    crashed.mkdir()
    for name in ("sagad.db", "sagad.db-wal", "reserve"):
        shutil.copy(disk / name, crashed / name)
    await journal.close()
    return crashed / "sagad.db"


async def test_after_a_crash_it_opens_on_a_full_disk_by_its_reserve(disk: Path, runner: Runner) -> None:
    """Found by torture: SQLite needs some room to look at what a crash has left, and the daemon ended with a traceback."""
    database = await _crashed(disk, runner)
    fill(disk)
    journal = Journal.open(database, KEY, Thread(), reserve=RESERVE)
    full, last = journal.full, journal.last_seq
    await journal.close()

    assert (full, last) == (True, 1)


async def test_without_a_reserve_it_says_what_is_missing(disk: Path, runner: Runner) -> None:
    """Whoever starts it again and again has it start when there is room."""
    database = await _crashed(disk, runner)
    database.with_name("reserve").unlink()
    fill(disk)

    with pytest.raises(StorageFailing, match=f"{database}.*Make room"):
        Journal.open(database, KEY, Thread(), reserve=RESERVE)
