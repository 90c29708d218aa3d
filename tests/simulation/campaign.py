"""Many runs: one process plays them one after the other, several share them."""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from anyio._backends._asyncio import _task_states

from tests.simulation.fresh import FOLDER
from tests.simulation.laws import Broken
from tests.simulation.loop import VirtualLoop, quiet
from tests.simulation.node import Log
from tests.simulation.run import Run
from tests.simulation.scenario import Scenario, random_scenario

CHUNK = 20
"""Seeds that a process takes at a time."""
SWEEP = 25
"""Runs after which the dead are collected: the daemons that were dropped are webs of cycles."""


class Verdict(NamedTuple):
    """What came of one run."""

    seed: int
    law: str | None
    how: str
    counts: Counter[str]
    digest: str
    """Of all that was done to the world and shown to anybody: the same for the same seed, anywhere and ever again."""


class Player:
    """Plays scenarios in this process, one after the other."""

    def __init__(self) -> None:
        """Take what the process has only one of: its log and its garbage collector."""
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # coroutines that a crash leaves behind were never awaited
        self._loop, self._log = VirtualLoop(), Log()
        self._folder = FOLDER / f"sagad-simulation-{os.getpid()}"
        self._number = 0
        quiet()
        gc.disable()

    def play(self, scenario: Scenario) -> Verdict:
        """Play one, to its end or to the first law that is broken."""
        self._number += 1
        # anyio knows each task's scope, and the scope its task: nothing of a daemon that died would ever be collected.
        _task_states.clear()
        if self._number % SWEEP == 0:
            gc.collect()
            if self._number == SWEEP:
                gc.freeze()  # what was imported by now stays, and need not be looked through again
        run = Run(scenario, self._loop, self._folder, self._log)
        try:
            run.play()
        except Broken as broken:
            return self._verdict(run, broken.law, broken.how)
        except Exception as error:  # noqa: BLE001  whatever it is, it is no end that a run may come to
            return self._verdict(run, "crash", f"{type(error).__name__}: {error}")
        return self._verdict(run, None, "")

    def tidy(self) -> None:
        """Remove what is left of the last disk."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _verdict(self, run: Run, law: str | None, how: str) -> Verdict:
        told = repr((run.world.log, run.operators.heads, run.operators.keys, law))
        digest = hashlib.sha256(told.encode()).hexdigest()
        return Verdict(run.scenario.seed, law, how, run.counts, digest)


class Chunk(NamedTuple):
    """What came of some seeds."""

    seeds: int
    broken: list[Verdict]
    counts: Counter[str]
    seconds: float
    """Of a core: what else the machine is at does not count."""


def verdicts(first: int, seeds: int, jobs: int) -> Iterator[Chunk]:
    """Play so many seeds in so many processes; give what came of them as they come."""
    chunks = [(at, min(CHUNK, first + seeds - at)) for at in range(first, first + seeds, CHUNK)]
    if jobs == 1:
        yield from map(_chunk, chunks)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(_chunk, chunks)


_player: list[Player] = []


def _chunk(given: tuple[int, int]) -> Chunk:
    if not _player:
        _player.append(Player())
    first, seeds = given
    began = time.process_time()
    broken: list[Verdict] = []
    counts: Counter[str] = Counter()
    for seed in range(first, first + seeds):
        verdict = _player[0].play(random_scenario(seed))
        counts.update(verdict.counts)
        if verdict.law is not None:
            broken.append(verdict)
    _player[0].tidy()
    return Chunk(seeds, broken, counts, time.process_time() - began)
