"""A saga, the saga that takes it back, and the one that takes that back: in one simulated world, under all the laws."""

from __future__ import annotations

import os
import random

import pytest
from msgspec.structs import replace

from actors.saga.rollback import Asks, Inverse, made_from, survey
from tests.machine.cases import Case, Chooser, Driver, random_case
from tests.machine.simulation import Simulation

RUNS = int(os.environ.get("MACHINE_RUNS", "2000")) // 2


class TakingBack(Simulation):
    """A saga that takes back what is still done of another one, in the world that this one has left."""

    def __init__(self, original: Simulation, choose: Chooser) -> None:
        self.original = original
        self.chosen = survey(original.plan, original.state, {}).steps
        steps = original.plan.steps
        inverses = {i: Inverse(steps[i].operation, steps[i].arguments) for i in self.chosen}
        plan = made_from(original.plan, "original", self.chosen, inverses, Asks())
        drivers = tuple(_inverse(original.drivers[i]) for i in self.chosen)
        super().__init__(Case(plan, drivers), choose)
        self.now = original.now
        self.world = dict(original.world)
        self.before = dict(original.world)
        self.was = {**self.before, **{name: found for name, (found, _) in self._firsts().items()}}

    def _past(self) -> dict[int, tuple[str, str]]:
        """Give what the original's steps had found and left, by its own record."""
        past = {}
        for place, index in enumerate(self.chosen):
            run = self.original.state.steps[index].forward
            found = (index, "forward", run.generation if run is not None else 0)
            past[place] = (self.original.images[found], self.original.made[index])  # type: ignore[index]
        return past


def _inverse(driver: Driver) -> Driver:
    return replace(driver, forward=driver.undo, undo=driver.forward, way_back="restore")


def run(simulation: Simulation, length: int) -> bool:
    """Let something happen, then everything go well; tell whether all of it was done, by nobody but it."""
    for _ in range(length):
        simulation.anything()
    simulation.calm()
    done = simulation.state.status == "completed" and not simulation.others
    return done and all(step.status == "completed" for step in simulation.state.steps)


def chain(seed: int) -> int:
    """Run a saga, its rollback, and the rollback of that; give how far it came."""
    choose = Chooser(random.Random(seed).choice)
    case = random_case(choose)
    steps = tuple(replace(step, hook=None, irreversible=False) for step in case.plan.steps)
    case = replace(case, plan=replace(case.plan, steps=steps, batch=None), queued=False)
    first = Simulation(case, choose)
    if not run(first, choose.of((0, 5, 15))):
        return 0
    if len(survey(first.plan, first.state, {}).steps) < sum(step.did for step in first.state.steps):
        return 0  # some of it has no way back
    second = TakingBack(first, choose)
    if not second.chosen or not run(second, choose.of((0, 5, 15))):
        return 1
    assert second.world == first.before, "what was taken back is not as before"
    third = TakingBack(second, choose)
    if not run(third, choose.of((0, 5, 15))):
        return 2
    assert third.world == first.world, "taking back what was taken back did not bring it back"
    return 3


@pytest.mark.slow
def test_a_rollback_and_its_own_rollback_undo_each_other() -> None:
    """Whatever happens on the way: where all of them complete, the world is as before, and then as after, the first."""
    came = []
    for seed in range(RUNS):
        try:
            came.append(chain(seed))
        except Exception as broken:
            broken.add_note(f"seed {seed}")
            raise

    assert came.count(3) > RUNS // 50, came.count(3)
