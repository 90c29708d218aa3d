"""Random plans, and how the drivers of their steps behave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from actors.saga.plan import Approvals, Batch, Hook, OnFailure, Plan, PlanStep, Retry, Undo
from actors.saga.state import Touch, WayBack
from tests.machine.outcomes import stack_of

T = TypeVar("T")


class Chooser:
    """Makes every choice of a run: from a seed, or drawn by hypothesis (which can then shrink the run)."""

    def __init__(self, pick: Callable[[Sequence[Any]], Any]) -> None:
        self._pick = pick

    def of(self, options: Sequence[T]) -> T:
        """Choose one of the options; the first is the plainest."""
        chosen: T = options[0] if len(options) == 1 else self._pick(options)
        return chosen

    def chance(self, one_in: int) -> bool:
        """Choose yes once in so many."""
        return self.of(range(one_in)) == one_in - 1 if one_in > 1 else True


class Way(msgspec.Struct, frozen=True):
    """What the driver of one direction of a step declares."""

    repeats: bool = False
    finds: bool = False


class Driver(msgspec.Struct, frozen=True):
    """How the driver of one step behaves."""

    resource: Touch | None = None
    """None: the step changes nothing."""
    way_back: WayBack = "nothing"
    forward: Way = Way()
    undo: Way = Way()
    hook: Way = Way()
    hook_changes: bool = True


class Case(msgspec.Struct, frozen=True):
    """A plan and its drivers."""

    plan: Plan
    drivers: tuple[Driver, ...]
    deadline: int | None = None
    queued: bool = False
    keeps_locks: bool = False


RESOURCES = (
    Touch(type="local.file", name="/c", path="/c"),
    Touch(type="local.file", name="/a/b", path="/a/b"),
    Touch(type="local.directory", name="/a", path="/a"),
    Touch(type="service", name="x"),
    Touch(type="service", name="y"),
)
OWN = Approvals(approvers=("admin",), expires=5_000)
"""What a step says itself of its approval; how many are needed is the plan's."""
WAYS = (Way(finds=True), Way(repeats=True), Way(), Way(repeats=True, finds=True))
BEST_EFFORT = (Batch(mode="best_effort", parallel=1), Batch(mode="best_effort"))
RETRIES = (
    Retry(attempts=2),
    Retry(attempts=1),
    Retry(attempts=3, delay=100, on=("transient", "rate_limited", "failed")),
)


def random_case(choose: Chooser) -> Case:
    """Make a plan of one to five steps and its drivers."""
    count = choose.of((3, 2, 1, 4, 4, 5, 6))
    graph = choose.chance(2)
    deadline = choose.of((None, None, 20_000))
    batch = choose.of((*[None] * 12, Batch(parallel=2), *BEST_EFFORT))
    graph = graph or batch is not None
    steps = tuple(_step(choose, index, graph=graph, batch=batch) for index in range(count))
    plan = Plan(
        kind="random",
        steps=steps,
        graph=graph,
        stack=stack_of(steps) if graph and batch is None else None,
        on_failure=_on_failure(choose, batch),
        on_undo_failure=choose.of(("continue", "hold")),
        on_conflict=choose.of(("hold", "force", "skip")),
        deadline=deadline,
        approvals=_approvals(choose),
        batch=batch,
    )
    drivers = tuple(_driver(choose, step) for step in plan.steps)
    return Case(plan, drivers, deadline, queued=choose.chance(6), keeps_locks=choose.chance(6))


def _on_failure(choose: Chooser, batch: Batch | None) -> OnFailure:
    chosen: OnFailure = choose.of(("compensate", "hold", "stop"))
    return "stop" if batch is not None and batch.mode == "best_effort" else chosen


def random_rollback(choose: Chooser) -> Case:
    """Make the plan of a saga that takes back one to five steps of another."""
    count = choose.of((3, 2, 1, 4, 5))
    steps = tuple(_taking_back(choose, index) for index in range(count))
    plan = Plan(
        kind="random",
        steps=steps,
        on_failure="hold",
        on_undo_failure=choose.of(("continue", "hold")),
        on_conflict=choose.of(("hold", "hold", "force", "skip")),
        approvals=_approvals(choose),
    )
    return Case(plan, tuple(_driver(choose, step) for step in plan.steps))


def _taking_back(choose: Chooser, index: int) -> PlanStep:
    return PlanStep(
        index=index,
        name=f"s{index}",
        operation="test.put",
        undo=Undo(form=choose.of(("restore", "restore", "given"))),
        retry=choose.of(RETRIES),
        undo_retry=choose.of(RETRIES),
        on_conflict=choose.of((None, None, "hold", "force", "skip")),
        asks=choose.of(("never", "never", "each")),
        takes_back=index,
    )


def _approvals(choose: Chooser) -> Approvals:
    return Approvals(
        start=choose.chance(6),
        approvers=choose.of(((), ("admin",), ("eve", "operator"))),
        quorum=choose.of((1, 1, 2)),
        four_eyes=choose.chance(3),
        expires=choose.of((None, 10_000)),
    )


def _step(choose: Chooser, index: int, *, graph: bool, batch: Batch | None) -> PlanStep:
    needs = tuple(i for i in range(index) if batch is None and choose.chance(3 if graph else 6))
    return PlanStep(
        index=index,
        name=f"s{index}",
        operation="test.put",
        needs=needs,
        refers=tuple((i, "id") for i in needs if choose.chance(2)),
        undo=Undo(form=choose.of(("restore", "restore", "given", "none"))),
        undo_when="started" if choose.chance(6) else "completed",
        irreversible=choose.chance(8),
        retry=choose.of(RETRIES),
        undo_retry=choose.of(RETRIES),
        on_conflict=choose.of((None, None, "hold", "force", "skip")),
        lock_timeout=choose.of((None, None, 5_000)),
        asks=choose.of(("never", "never", "never", "irreversible", "each")),
        approvals=choose.of((None, None, OWN)),
        asks_undo=choose.chance(5),
        hook=choose.of((None, None, Hook("test.tell"))) if batch is None else None,
    )


def _driver(choose: Chooser, step: PlanStep) -> Driver:
    if choose.chance(6):
        return Driver(forward=Way(repeats=True), undo=Way(repeats=True))
    forms: dict[str, WayBack] = {"restore": "restore", "given": "correct", "none": "none"}
    return Driver(
        resource=choose.of(RESOURCES),
        way_back=forms[step.undo.form],
        forward=choose.of(WAYS),
        undo=choose.of(WAYS),
        hook=choose.of(WAYS) if step.hook is not None else Way(),
        hook_changes=step.hook is None or not choose.chance(4),
    )
