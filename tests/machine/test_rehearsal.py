"""Rehearsals of random plans: every case comes to an end, and tells of the world what the machine tells of it."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from typing import Any

import pytest

from actors.saga import messages as m
from actors.saga import rehearsal
from actors.saga.holds import left_behind
from actors.saga.plan import Plan
from actors.saga.rehearsal import Ending, Moment, Preparing, rehearse
from actors.saga.state import ENDED
from actors.saga.wants import Prepare
from tests.machine import cases
from tests.machine.cases import Chooser

PLANS = 300


def declared(case: cases.Case) -> Preparing:
    """The operations of a plan, as its random drivers declare them."""

    @cache
    def prepare(want: Prepare) -> m.Prepared:
        driver = case.drivers[want.step]
        way = driver.forward if want.direction == "forward" else driver.undo
        return m.Prepared(
            step=want.step,
            direction=want.direction,
            generation=want.generation,
            execution="",
            payload="",
            changes=driver.resource is not None,
            repeats=way.repeats,
            finds=way.finds,
            way_back=driver.way_back,
            irreversible=case.plan.steps[want.step].irreversible and want.direction == "forward",
            resource=driver.resource,
        )

    return prepare


def random_case(seed: int) -> cases.Case:
    """A plan and its drivers."""
    return cases.random_case(Chooser(random.Random(seed).choice))


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Hold what the world has at each end against what the machine says is left; count the ends by status."""
    found: Counter[str] = Counter()
    ending = rehearsal._ending

    def compare(plan: Plan, moment: Moment) -> Ending:
        state = moment.state
        found[state.status if state.hold is None else "hold"] += 1
        if state.status in ("rolled_back", "failed"):
            said = {plan.by_name[each.step] for each in left_behind(plan, state)}
            assert moment.world <= said
            assert all(state.steps[index].irreversible for index in said - moment.world)
        return ending(plan, moment)

    monkeypatch.setattr(rehearsal, "_ending", compare)
    return found


def test_each_case_ends_or_asks_and_the_machine_knows_what_is_left(compared: Counter[str]) -> None:
    """All goes well where nothing goes wrong; else it is an end or a hold, and left is what the world still has."""
    for seed in range(PLANS):
        case = random_case(seed)
        first, *others = rehearse(case.plan, declared(case))

        assert (first.fault, first.ending) == ("none", Ending("completed", None, ())), seed
        for each in others:
            ended = each.ending.status in ENDED
            held = each.ending.hold is not None and each.ending.hold.reason == "attention"
            assert ended != held, (seed, each)
            assert each.ending.clean or each.step is not None or each.fault == "cancelled"
    assert min(compared[status] for status in ("completed", "rolled_back", "failed", "hold")) > PLANS / 2


def test_each_call_goes_wrong_in_each_way() -> None:
    """Three cases a step, three an undo that anything leads to, and the two runs of the whole."""
    case = next(each for each in map(random_case, range(PLANS)) if len(each.plan.steps) > 2)
    found = [each for each in rehearse(case.plan, declared(case)) if each.step is not None]

    forward = Counter((each.step, each.fault) for each in found if each.direction == "forward")
    undo = Counter((each.step, each.fault) for each in found if each.direction == "undo")
    faults = ("fails", "lost_done", "lost_not_done")
    assert forward == Counter((step.name, fault) for step in case.plan.steps for fault in faults)
    assert set(undo.values()) <= {1}
    assert len(undo) % len(faults) == 0


def test_a_case_that_joins_its_run_ends_as_that_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut short comes to the same as what is run to its end."""
    cut = [_all(seed) for seed in range(PLANS // 3)]
    monkeypatch.setattr(rehearsal, "_over", lambda *_: False)
    whole = [_all(seed) for seed in range(PLANS // 3)]

    assert cut == whole


def _all(seed: int) -> list[Any]:
    case = random_case(seed)
    return [
        (
            each.step,
            each.direction,
            each.fault,
            each.ending.status,
            each.ending.hold and each.ending.hold.detail,
            each.ending.left_behind,
        )
        for each in rehearse(case.plan, declared(case))
    ]


def test_only_the_chosen_steps_go_wrong() -> None:
    """A long saga is rehearsed in part."""
    case = next(each for each in map(random_case, range(PLANS)) if len(each.plan.steps) > 2)

    assert {each.step for each in rehearse(case.plan, declared(case), [1])} == {None, "s1"}
