"""One durable event, and a timeline read: what the store does by itself, and through the socket."""

from __future__ import annotations

import http.client
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import uvloop

from store.journal import Journal
from store.queries import Queries
from store.records import Commit
from store.runner import Thread
from tests.bench.figures import Figure
from tests.bench.journal import commits_of, own
from tests.bench.node import ECHOES, running, saga
from tests.daemon import Connection

TIMELINE = 1_000
"""Events of the saga that is read. Two a step, one when it is submitted, one at its end."""


def measure(folder: Path, *, times: int, runs: int) -> list[Figure]:
    """Measure appending and reading."""
    with running(folder) as daemon:
        steps = [{**ECHOES[0], "name": f"s{number}"} for number in range((TIMELINE - 2) // 2)]
        id_ = daemon.submit(saga(steps), wait="60s")["id"]
        assert len(daemon.events(id_)) == TIMELINE
        asked = [_asked(daemon.socket, f"/v1/sagas/{id_}/events", times) for _ in range(runs)]
        read = [uvloop.run(_read(daemon.state / "sagad.db", id_, times)) for _ in range(runs)]
    appended = [uvloop.run(_appended(own(folder / str(number)), times)) for number in range(runs)]
    return [
        Figure(what="one durable event append (journal.commit, in process), p50", values=appended, unit=" ms",
               goal=0.5, digits=3),
        Figure(what="timeline of 1,000 events read (queries.events, in process), p50", values=read, unit=" ms",
               goal=1, digits=2),
        Figure(what="… through the socket, as JSON, p50", values=asked, unit=" ms", goal=1, digits=2),
    ]  # fmt: skip


async def _appended(path: Path, times: int) -> float:
    """One event of a saga that is there, with its checkpoint: from the call to the fsync's end."""
    journal = Journal.open(path, bytes(32), Thread())
    first = commits_of("0123456789ab")[0]
    await journal.commit(first)
    commit = Commit(first.saga, first.events[:1], first.checkpoint)
    took = await _p50(times, lambda: journal.commit(commit))
    await journal.close()
    return took


async def _read(path: Path, id_: str, times: int) -> float:
    queries = await Queries.open(path)
    took = await _p50(times, lambda: queries.events(id_, limit=TIMELINE))
    await queries.close()
    return took


async def _p50(times: int, act: Callable[[], Awaitable[object]]) -> float:
    took = list[float]()
    for _ in range(times):
        start = time.perf_counter()
        await act()
        took.append(time.perf_counter() - start)
    return median(took) * 1e3


def _asked(socket: Path, path: str, times: int) -> float:
    connection: http.client.HTTPConnection = Connection(socket)
    took = list[float]()
    for _ in range(times):
        start = time.perf_counter()
        connection.request("GET", path)
        connection.getresponse().read()
        took.append(time.perf_counter() - start)
    connection.close()
    return median(took) * 1e3
