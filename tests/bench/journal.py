"""What the journal and the queries cost by themselves: `python -m tests.bench.journal [--busy MICROSECONDS]`.

A saga here is what three test.echo steps commit: 4 commits, 9 events, 3 executions inserted and changed. `--busy` is work
for the loop beside each saga, as an API and a machine have it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import uvloop

from store.journal import Journal
from store.queries import Queries
from store.records import Checkpoint, Commit, ExecutionChange, NewEvent, NewExecution, NewSaga
from store.runner import Inline, Runner, Thread

NOW = 1_795_255_207_123
STATE = os.urandom(300)
DATA = b'{"step":1,"execution":"0123456789ab","attempt":1}'
LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class Timed(Thread):
    """Knows how much processor time the writing took."""

    seconds = 0.0
    groups = 0

    def run(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Time the work where it runs."""

        def timed() -> None:
            start = time.thread_time()
            work()
            self.seconds += time.thread_time() - start
            self.groups += 1

        super().run(timed, done)


def new_id() -> str:
    """Make an id as the daemon does."""
    return "".join(random.choices(LETTERS, k=12))


def commits_of(saga: str) -> list[Commit]:
    """Give the transitions of a three-step saga."""
    ids = [new_id() for _ in range(3)]

    def events(*types: str) -> list[NewEvent]:
        return [NewEvent(saga, NOW, type_, 1, DATA, "step", "root") for type_ in types]

    def intent(step: int) -> list[NewExecution]:
        key = f"{saga}-{step}-f-1"
        return [
            NewExecution(
                ids[step], step, "step", "forward", "forward", 1, "test.echo", key, DATA, STATE[:120], NOW
            )
        ]

    def outcome(step: int) -> list[ExecutionChange]:
        return [ExecutionChange(ids[step], status="completed", attempts=1, outputs=DATA, finished_at=NOW)]

    live = Checkpoint("running", None, None, 0, STATE, 1, NOW)
    end = Checkpoint("completed", None, None, None, STATE, 1, NOW, NOW)
    new = NewSaga("bench", b"p" * 32, b"{}", b"{}", "root", None, NOW)
    first = events("saga.submitted", "saga.started", "step.started")
    return [
        Commit(saga, first, live, new=new, plan=(b"p" * 32, STATE), executions=intent(0)),
        Commit(
            saga, events("step.succeeded", "step.started"), live, executions=intent(1), changes=outcome(0)
        ),
        Commit(
            saga, events("step.succeeded", "step.started"), live, executions=intent(2), changes=outcome(1)
        ),
        Commit(saga, events("step.succeeded", "saga.completed"), end, changes=outcome(2)),
    ]


def spin(rounds: int) -> None:
    """Keep the processor busy."""
    while rounds:
        rounds -= 1


def own(folder: Path) -> Path:
    """Give a database of its own, in a folder of its own: the end of the record is noted beside it."""
    folder.mkdir()
    return folder / "sagad.db"


async def sagas(folder: Path, flight: int, count: int, rounds: int) -> str:
    """Run sagas with so many in flight."""
    runner = Timed()
    journal = Journal.open(own(folder / str(flight)), bytes(32), runner)
    work = [commits_of(new_id()) for _ in range(count)]
    took = list[float]()

    async def worker() -> None:
        while work:
            commits, start = work.pop(), time.perf_counter()
            for commit in commits:
                spin(rounds // 4)
                await journal.commit(commit)
            took.append(time.perf_counter() - start)

    start, processor = time.perf_counter(), time.thread_time()
    await asyncio.gather(*(worker() for _ in range(flight)))
    seconds, processor = time.perf_counter() - start, time.thread_time() - processor
    await journal.close()
    return (
        f"{count / seconds:6.0f} sagas/s  p50 {median(took) * 1e3:5.2f} ms  by the saga: loop {processor / count * 1e6:4.0f} us,"
        f" writer {runner.seconds / count * 1e6:4.0f} us  by the group: {4 * count / runner.groups:5.1f} commits"
    )


async def p50(times: int, act: Callable[[], Awaitable[object]]) -> str:
    """Time one thing done alone, again and again."""
    took = list[float]()
    for _ in range(times):
        start = time.perf_counter()
        await act()
        took.append(time.perf_counter() - start)
    return f"p50 {median(took) * 1e3:.3f} ms"


async def appends(path: Path, runner: Runner) -> None:
    """Append one event at a time."""
    journal = Journal.open(path, bytes(32), runner)
    first = commits_of("0123456789ab")[0]
    await journal.commit(first)
    event = Commit(first.saga, first.events[:1], first.checkpoint)
    print(f"one event appended ({type(runner).__name__}):", await p50(1_000, lambda: journal.commit(event)))
    await journal.close()


async def reads(path: Path) -> None:
    """Read what was appended."""
    queries = await Queries.open(path)

    def timeline(count: int) -> Callable[[], Awaitable[object]]:
        return lambda: queries.events("0123456789ab", limit=count)

    async def saga() -> object:
        return queries.saga("0123456789ab")

    for count in (10, 100, 1_000):
        print(f"timeline of {count:,} events:", await p50(300, timeline(count)))
    print("saga by id, on the loop:", await p50(1_000, saga))
    print("saga by list, by aiosqlite:", await p50(1_000, lambda: queries.sagas(limit=1)))
    await queries.close()


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--busy", type=float, default=0)
    parser.add_argument("--sagas", type=int, default=8_000)
    given = parser.parse_args()
    start = time.thread_time()
    spin(1_000_000)
    rounds = int(given.busy / ((time.thread_time() - start) * 1e6) * 1_000_000)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        await appends(own(Path(folder) / "inline"), Inline())
        threaded = own(Path(folder) / "thread")
        await appends(threaded, Thread())
        await reads(threaded)
        for flight in (1, 16, 100):
            count = given.sagas if flight > 1 else given.sagas // 8
            print(f"{flight:3} in flight:", await sagas(Path(folder), flight, count, rounds))


if __name__ == "__main__":
    uvloop.run(main())
