"""Sagas per second, and how long one takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.client import PLACE, Load, client
from tests.bench.figures import Figure
from tests.bench.node import ECHOES, FAIL, processor, running, saga
from tests.daemon import Daemon


class Case(msgspec.Struct, frozen=True):
    """Which saga, so many in flight; and what is to be reached."""

    what: str
    steps: list[dict[str, Any]]
    in_flight: int
    goal: float | None = None
    fails: bool = False
    one: bool = False
    """It is how long it takes that counts."""


class Timing(msgspec.Struct, frozen=True):
    """For how long to measure, how often."""

    warm_up: float = 1.0
    seconds: float = 1.5
    runs: int = 5


def files(folder: Path) -> list[dict[str, Any]]:
    """Give three steps that make a file each, with names of their own in each saga."""
    return [
        {
            "name": name,
            "do": "local.file.create",
            "with": {"path": f"{folder}/{PLACE}-{name}", "content": "hello"},
        }
        for name in "abc"
    ]


def echo_cases() -> Iterator[Case]:
    """Give SPEC §11's rates."""
    yield Case("three-step sagas per second, 100 in flight", ECHOES, 100, 3_000)
    yield Case("the same, 16 in flight", ECHOES, 16)
    yield Case("one saga, submitted and waited for", ECHOES, 1, 2, one=True)
    yield Case(
        "fails at the third step, compensated, per second, 16 in flight", [*ECHOES[:2], FAIL], 16, 1_500, True
    )


def file_cases(folder: Path) -> Iterator[Case]:
    """Give the same for three files. SPEC §11 has no goals for them."""
    steps = files(folder)
    yield Case("sagas of three files per second, 100 in flight", steps, 100)
    yield Case("the same, 16 in flight", steps, 16)
    yield Case("one saga of three files, submitted and waited for", steps, 1, one=True)
    yield Case(
        "two files, then a failure, compensated, per second, 16 in flight", [*steps[:2], FAIL], 16, fails=True
    )


def measure(folder: Path, timing: Timing, *, of_files: bool = False) -> list[Figure]:
    """Measure all cases on one daemon."""
    figures: list[Figure] = []
    with running(folder) as daemon:
        for number, case in enumerate(file_cases(folder / "files") if of_files else echo_cases()):
            (folder / "files").rename(folder / f"files-{number}") if number and of_files else None
            (folder / "files").mkdir(exist_ok=True)
            figures += _case(daemon, case, timing)
    return figures


def _case(daemon: Daemon, case: Case, timing: Timing) -> Iterator[Figure]:
    loads: list[Load] = []
    loop: list[float] = []
    whole: list[float] = []
    expect = "rolled_back" if case.fails else "completed"
    with client(daemon.socket, saga(case.steps), in_flight=case.in_flight, expect=expect) as driver:
        driver.run(seconds=timing.warm_up)
        for _ in range(timing.runs):
            before = processor(daemon)
            load = driver.run(seconds=timing.seconds)
            after = processor(daemon)
            loads.append(load)
            loop.append((after[0] - before[0]) / load.answered * 1e6)
            whole.append((after[1] - before[1]) / load.answered * 1e6)
    if case.one:
        yield Figure(
            what=f"{case.what}, p50", values=_percentile(loads, 50), unit=" ms", goal=case.goal, digits=2
        )
        yield Figure(what="… p99", values=_percentile(loads, 99), unit=" ms", digits=2)
        return
    yield Figure(what=case.what, values=[load.rate for load in loads], goal=case.goal, least=True)
    yield Figure(what="… processor time of the loop, each", values=loop, unit=" µs")
    yield Figure(what="… and of the whole daemon", values=whole, unit=" µs")


def _percentile(loads: list[Load], percent: int) -> list[float]:
    return [sorted(load.took)[min(len(load.took) * percent // 100, len(load.took) - 1)] for load in loads]
