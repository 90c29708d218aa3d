"""What was acknowledged outlives kill -9, and the record stays whole."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from store import audit
from store.journal import Journal
from store.runner import Inline, Thread
from tests.unit.store.samples import KEY, began, submitted, went_on

KILLS = 50


async def write(path: Path) -> None:
    """Write with 20 sagas in flight, and print each acknowledged commit: its saga and last event's number."""
    journal = Journal.open(path, KEY, Thread(), reserve=0)
    out = os.fdopen(1, "wb", buffering=0)

    async def one(saga: str) -> None:
        seq = await journal.commit(submitted(saga))
        out.write(b"%b %d\n" % (saga.encode(), seq))
        for step in range(20):
            seq = await journal.commit(began(saga, f"{saga}-{step}", step))
            out.write(b"%b %d\n" % (saga.encode(), seq))
        await journal.commit(went_on(saga, "completed"))

    async def worker(number: int) -> None:
        for turn in range(10_000):
            await one(f"{os.getpid()}-{number}-{turn}")

    await asyncio.gather(*(worker(number) for number in range(20)))


def killed_at_random(path: Path, after: float) -> list[tuple[str, int]]:
    """Run the writer for a while, kill it, and give what it had acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.test_journal_kill", str(path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout
        first = writer.stdout.readline()
        try:
            writer.wait(after)
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read()
    assert writer.returncode == -signal.SIGKILL
    lines = (first + rest).decode().split("\n")[:-1]
    return [(saga, int(seq)) for saga, seq in (line.split() for line in lines)]


@pytest.mark.slow
async def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    """After each of 50 kills: every acknowledged event is there, in its saga, and the chain is whole to its end."""
    path, chance = tmp_path / "sagad.db", random.Random(7)
    acknowledged = dict[int, str]()
    for _ in range(KILLS):
        acknowledged |= {seq: saga for saga, seq in killed_at_random(path, chance.uniform(0, 0.05))}
        journal = Journal.open(path, KEY, Inline(), reserve=0)  # as the next start does
        last = journal.last_seq
        await journal.close()

        assert last >= max(acknowledged)

    with closing(sqlite3.connect(path)) as db:
        on_record = dict(db.execute("SELECT seq, saga FROM events"))
        report = audit.verify(db, KEY)
        half = db.execute(  # an execution without the event of its commit, or the other way round
            "SELECT count(*) FROM sagas AS s WHERE"
            " (SELECT count(*) FROM executions AS e WHERE e.number = s.number) + 1 + (status = 'completed')"
            " <> (SELECT count(*) FROM events AS v WHERE v.number = s.number)"
        ).fetchone()

    assert {seq: on_record.get(seq) for seq in acknowledged} == acknowledged
    assert report.problem is None
    assert half == (0,)
    assert len(acknowledged) > KILLS


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
