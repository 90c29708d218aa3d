"""Every sequence of outcomes of sagas of one to three steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from actors.saga.plan import OnFailure, PlanStep
from actors.saga.wants import Perform
from tests.machine.cases import Chooser, Way
from tests.machine.scripts import DRIVERS, FINDS, HOOKED, NEITHER, REPEATS, Script, put
from tests.machine.simulation import Simulation

FORWARD = (
    "succeeded", "failed", "transient", "partial", "compensated", "lost answer", "nothing and lost", "working",
)  # fmt: skip
UNDO = ("succeeded", "failed", "lost answer", "nothing and lost")
FEWER = ("succeeded", "failed", "partial", "lost answer")
FATAL = {"failed", "partial", "compensated"}


def every_path(run: Callable[[Chooser], None]) -> int:
    """Run with every sequence of choices there is, and tell how many there are."""
    path: list[int] = []
    widths: list[int] = []

    def pick(options: Sequence[Any]) -> Any:
        place = len(widths)
        if place == len(path):
            path.append(0)
        widths.append(len(options))
        return options[path[place]]

    runs = 0
    while True:
        widths.clear()
        run(Chooser(pick))
        runs += 1
        while path and path[-1] == widths[len(path) - 1] - 1:
            path.pop()
        if not path:
            return runs
        path[-1] += 1


class Told(Script):
    """The first attempt of every execution ends in every way; later ones go well."""

    ways: tuple[tuple[str, ...], tuple[str, ...]] = (FORWARD, UNDO)

    step: PlanStep | None = None

    def __init__(self, count: int, way: Way, choose: Chooser, on_failure: OnFailure) -> None:
        self.fatal: list[str] = []
        drivers = [put(driver.resource, way, way) for driver in DRIVERS[:count]]
        super().__init__(*[self.step] * count, drivers=drivers, choose=choose, on_failure=on_failure)

    def _calm_end(self, want: Any) -> None:
        if not isinstance(want, Perform) or want.attempt > 1:
            super()._calm_end(want)
            return
        how = self.choose.of(self.ways[want.direction == "undo"])
        if how in FATAL:
            self.fatal.append(f"{want.direction} {how}")
        self.end(want, how)

    def truth(self, step: int) -> str | None:
        """Remember when the honest answer was that nothing had been done."""
        said = Simulation.truth(self, step)
        now = self.state.steps[step]
        if said == "failed":
            self.fatal.append("undo unknown" if now.undo is not None else "forward unknown")
        return said


class Fewer(Told):
    """The same with the outcomes that matter most."""

    ways = (FEWER, ("succeeded", "failed", "lost answer"))


class Hooked(Fewer):
    """Every step has a hook."""

    step = HOOKED


def check(told: Told, on_failure: OnFailure) -> None:
    """The end follows from the outcomes alone."""
    told.calm()
    forward = any(each.startswith(("forward", "hook")) for each in told.fatal)
    undo = any(each.startswith("undo") for each in told.fatal)
    if not forward:
        assert told.state.status == "completed"
    elif on_failure == "stop":
        assert told.state.status == "failed"
    else:
        assert told.state.status == ("failed" if undo else "rolled_back")


@pytest.mark.slow
@pytest.mark.parametrize("on_failure", ["compensate", "hold", "stop"])
@pytest.mark.parametrize("way", [FINDS, REPEATS, NEITHER], ids=["finds", "repeats", "neither"])
@pytest.mark.parametrize("count", [1, 2])
def test_one_and_two_steps(count: int, way: Way, on_failure: OnFailure) -> None:
    """Every outcome of every first attempt, forward and back, whatever the driver can do and the file says."""
    assert every_path(lambda choose: check(Told(count, way, choose, on_failure), on_failure)) > 8


@pytest.mark.slow
@pytest.mark.parametrize("on_failure", ["compensate", "hold", "stop"])
@pytest.mark.parametrize("way", [FINDS, REPEATS, NEITHER], ids=["finds", "repeats", "neither"])
def test_two_steps_with_hooks(way: Way, on_failure: OnFailure) -> None:
    """The outcomes that matter most, of steps, hooks and undos."""
    assert every_path(lambda choose: check(Hooked(2, way, choose, on_failure), on_failure)) > 50


@pytest.mark.slow
@pytest.mark.parametrize("way", [FINDS, REPEATS, NEITHER], ids=["finds", "repeats", "neither"])
def test_three_steps(way: Way) -> None:
    """The outcomes that matter most, three deep."""
    assert every_path(lambda choose: check(Fewer(3, way, choose, "compensate"), "compensate")) > 100
