"""What became of each action of a stack's plan, read off the steps of the saga that has applied it.

Exactly one outcome an action, in order, on every path out. An action is one step, or several of which each is a part of
it: the old and the new one of a replacement, or changes that take several verbs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from actors.saga.plan import Action, Plan
from actors.saga.state import ENDED, Error, State, StepState

Status = Literal["success", "error", "delete_failed", "compensated", "compensation_failed", "skipped"]
Part = Literal["done", "failed", "compensated", "compensation_failed", "skipped", "unspecified"]


class Outcome(msgspec.Struct, frozen=True):
    """What became of one action."""

    index: int
    action: Literal["create", "update", "replace", "delete"]
    type: str
    name: str
    status: Status
    error: Error | None


def outcomes(plan: Plan, state: State) -> list[Outcome] | None:
    """Give the outcome of each action; None of a saga that applies no stack or has not ended."""
    if plan.stack is None or state.status not in ENDED:
        return None
    return [_outcome(plan, state, index, each) for index, each in enumerate(plan.stack.actions)]


def _outcome(plan: Plan, state: State, index: int, action: Action) -> Outcome:
    status = status_of(action, {step: part_of(state.steps[step]) for step in action.steps})
    error = None if status == "success" else next(_errors(plan, state, action), None)
    if error is None and status in ("error", "delete_failed", "compensation_failed"):
        error = _odd(action, state)
    return Outcome(index, action.action, action.type, action.name, status, error)


def status_of(action: Action, parts: dict[int, Part]) -> Status:
    """Give the status of an action from what became of its steps: the worst of it that somebody must know."""
    found = set(parts.values())
    if "compensation_failed" in found:
        return "compensation_failed"
    if action.gone is not None and parts[action.gone] == "failed":
        return "delete_failed"
    if found == {"done"}:
        return "success"
    if found <= {"skipped"}:
        return "skipped"
    return "compensated" if found <= {"compensated", "skipped"} else "error"


def part_of(step: StepState) -> Part:
    """Say what the final status of a step means for its action."""
    match step.status:
        case "completed":
            return "done"
        case "kept":
            return "failed" if step.failing else "done"
        case "failed" | "unknown":
            return "failed"
        case "compensated" | "compensation_failed" | "skipped":
            return step.status
    return "unspecified"


def _errors(plan: Plan, state: State, action: Action) -> Iterator[Error]:
    """Give what went wrong with the action's own steps, the worst first."""
    steps = sorted(action.steps, key=lambda index: state.steps[index].status != "compensation_failed")
    for index in steps:
        error = state.steps[index].error
        if error is not None:
            yield Error(error.code, error.message, plan.steps[index].name)


def _odd(action: Action, state: State) -> Error:
    """Say why an action is none of the plain cases. That a step of an ended saga has no final status is a bug."""
    parts = [part_of(state.steps[index]) for index in action.steps]
    if "unspecified" in parts or not parts:
        return Error("internal", "no outcome was specified, which is a bug of sagad: please report it")
    if any(state.steps[index].status == "unknown" for index in action.steps):
        return Error("unknown", "nobody knows whether it was done: look at the resource")
    return Error("half_done", "only a part of it was done: look at the steps of the saga")
