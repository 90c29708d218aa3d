"""What it takes to take back a saga that has ended: which of its steps, which not and why, and the plan of the saga that does.

Pure: read off the original's plan and state, and off what other sagas have taken back of it already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from actors.saga.plan import Approvals, Plan, PlanStep, Undo
from actors.saga.state import State, StepState

Will = Literal["undo", "keep", "nothing"]
"""Of a step of the original: it is to be taken back, it stays as it is, or there is nothing (any more) to take back."""

_FEW = 10


class Fate(msgspec.Struct, frozen=True):
    """What becomes of one step of the original, and why."""

    step: int
    will: Will
    why: str = ""


class Survey(msgspec.Struct, frozen=True):
    """What becomes of every step that has started, the one that started last first."""

    fates: tuple[Fate, ...]
    irreversible: tuple[int, ...] = ()
    """Those among them that are irreversible and that nobody has said to go past."""

    @property
    def steps(self) -> list[int]:
        """Give the steps to be taken back, in that order."""
        return [fate.step for fate in self.fates if fate.will == "undo"]


class Asks(msgspec.Struct, frozen=True):
    """What an operator's rollback asks for by the node's policy: before anything starts, or before each of some steps."""

    start: bool = False
    each: frozenset[int] = frozenset()
    """Steps of the original."""


class Inverse(msgspec.Struct, frozen=True):
    """How a step is taken back: the operation, as far as is known beforehand; and the step's own arguments as recorded."""

    operation: str
    arguments: dict[str, Any]


def survey(
    plan: Plan, state: State, taken: Mapping[int, str], to_step: int | None = None, *, past: bool = False
) -> Survey:
    """Say what a rollback would do. ``taken``: the steps that are taken back already, and by which saga.

    ``to_step``: what started after this one is taken back, except what it needs. ``past``: an irreversible step is left,
    and what came before it is taken back all the same.
    """
    started = sorted((i for i, s in enumerate(state.steps) if s.number), key=lambda i: -state.steps[i].number)
    kept = _kept(plan, state, to_step)
    fates, points = [], []
    for index in started:
        step = state.steps[index]
        if index in taken:
            fates.append(Fate(index, "nothing", f"saga {taken[index]} has taken it back"))
        elif index in kept:
            fates.append(Fate(index, "keep", "--to-step keeps it"))
        else:
            fates.append(_fate(plan.steps[index], index, step))
            if step.irreversible and step.did and not state.past:
                points.append(index)
    return Survey(tuple(fates), () if past else tuple(points))


def _kept(plan: Plan, state: State, to_step: int | None) -> frozenset[int]:
    if to_step is None:
        return frozenset()
    number = state.steps[to_step].number
    before = (i for i, step in enumerate(state.steps) if step.number <= number)
    return plan.needs[to_step].union(before)


def _fate(plan: PlanStep, index: int, step: StepState) -> Fate:
    if (
        step.status == "unknown" and not step.owes_hook
    ):  # else it was done itself, and nobody knows of its hook
        return Fate(index, "keep", "nobody knows whether it was done: look, and put it right by hand")
    if step.status == "compensated" or (step.did and step.status == "skipped" and step.left is None):
        return Fate(index, "nothing", "it was taken back already")
    if not step.did:
        return Fate(index, "nothing", "it has changed nothing")
    if step.irreversible:
        return Fate(index, "keep", "it is irreversible")
    if step.way_back == "none":
        why = "undo: none" if plan.undo.form == "none" else f"{plan.operation} has no inverse"
        return Fate(index, "keep", f"it has no way back ({why})")
    if step.way_back == "nothing":
        return Fate(index, "nothing", "it changes nothing")
    return Fate(index, "undo", "its own undo failed" if step.status == "compensation_failed" else "")


def made_from(plan: Plan, id: str, chosen: list[int], inverses: Mapping[int, Inverse], asks: Asks) -> Plan:
    """Make the plan of the saga that takes back these steps of saga ``id``, one after the other.

    It holds when a step fails: an undo that fails never puts the bad change back. Nor does a question that nobody answers:
    only the one before anything starts expires.
    """
    each = asks.each.union(step.index for step in plan.steps if step.asks_undo).intersection(chosen)
    start = plan.approvals.start or asks.start
    patient = msgspec.structs.replace(plan.approvals, start=False, expires=None)
    steps = tuple(
        _step(place, plan.steps[index], inverses[index], patient if index in each else None)
        for place, index in enumerate(chosen)
    )
    return Plan(
        kind=plan.kind,
        steps=steps,
        description=f"Takes back saga {id}",
        on_failure="hold",
        on_undo_failure=plan.on_undo_failure,
        on_conflict=plan.on_conflict,
        approvals=msgspec.structs.replace(plan.approvals, start=start) if start or each else Approvals(),
    )


def _step(place: int, theirs: PlanStep, inverse: Inverse, asks: Approvals | None) -> PlanStep:
    return PlanStep(
        index=place,
        name=theirs.name,
        operation=inverse.operation,
        undo=_again(theirs, inverse),
        undo_retry=theirs.undo_retry,
        retry=theirs.undo_retry,
        timeout=theirs.timeout,
        lock_timeout=theirs.lock_timeout,
        on_conflict=theirs.on_conflict,
        alias=theirs.alias,
        keep=theirs.keep,
        driver_version="" if theirs.undo.form == "given" else theirs.driver_version,
        asks="never" if asks is None else "each",
        approvals=asks,
        asks_undo=theirs.asks_undo,
        takes_back=theirs.index,
    )


def _again(theirs: PlanStep, inverse: Inverse) -> Undo:
    """Say how taking back is taken back: what was restored from the record, by the record; else the step is done again."""
    if theirs.undo.form != "given":
        return Undo()
    return Undo("given", theirs.operation, inverse.arguments)


def refusal(plan: Plan, survey: Survey) -> str | None:
    """Say why a rollback cannot be started as it was asked for, with what can be; None where it can."""
    if not survey.irreversible:
        return None
    names = [plan.steps[index].name for index in survey.irreversible]
    which = f"step {', '.join(names)} is" if len(names) == 1 else f"steps {', '.join(names)} are"
    return (
        f"cannot rollback: {which} irreversible; possible: `rollback --to-step {names[0]}` keeps it and what came "
        f"before, `rollback --past-irreversible` takes back the rest and leaves it"
    )


def told(plan: Plan, survey: Survey) -> str:
    """Say what is taken back and what is not."""
    taken = _few([plan.steps[index].name for index in survey.steps])
    left = [f"{plan.steps[f.step].name} ({f.why})" for f in survey.fates if f.will == "keep"]
    words = f"takes back {taken}" if taken else "there is nothing left to take back"
    return words + (f"; leaves {_few(left)}" if left else "")


def _few(names: Sequence[str]) -> str:
    """Name as many as can be read on a line or two: a saga may have a thousand steps."""
    more = len(names) - _FEW
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_FEW])} and {more} more"
