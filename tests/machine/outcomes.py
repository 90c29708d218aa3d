"""The law of a stack's outcomes: exactly one an action, in order, and each says what has become of it.

What a status says is written here as what must be true of the action's steps, not as how it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.saga import actions
from actors.saga.plan import Action, Plan, PlanStep, Stack
from actors.saga.state import State, StepState

TRUE_OF: dict[str, Callable[[list[StepState], StepState | None], bool]] = {
    "success": lambda steps, _: all(was_done(step) for step in steps),
    "skipped": lambda steps, _: all(step.status == "skipped" for step in steps),
    "compensated": lambda steps, _: (
        all(step.status in ("compensated", "skipped") for step in steps)
        and any(step.status == "compensated" for step in steps)
    ),
    "compensation_failed": lambda steps, _: any(step.status == "compensation_failed" for step in steps),
    "delete_failed": lambda _, gone: gone is not None and not was_done(gone) and gone.status != "skipped",
    "error": lambda steps, _: (
        any(step.status in ("failed", "unknown", "kept") for step in steps)
        or len({step.status for step in steps}) > 1
    ),
}


def was_done(step: StepState) -> bool:
    """Tell whether a step was done, and that is still so."""
    return step.status == "completed" or (step.status == "kept" and not step.failing)


def stack_of(steps: Sequence[PlanStep]) -> Stack:
    """Make actions of a plan's steps, of every kind; the last step is taken for one that finalizes."""
    found: list[Action] = []
    left = [step.index for step in steps][:-1]
    while left:
        number = len(found)
        if len(left) > 1 and number % 2:
            make, gone = left.pop(0), left.pop(0)
            found.append(Action("replace", "test", f"a{number}", (make,), gone))
        elif len(left) > 1 and number % 4 == 2:
            found.append(Action("update", "test", f"a{number}", (left.pop(0), left.pop(0))))
        elif number % 3 == 1:
            found.append(Action("delete", "test", f"a{number}", (), left.pop(0)))
        else:
            found.append(Action("create", "test", f"a{number}", (left.pop(0),)))
    return Stack("random", tuple(found), (len(steps) - 1,))


def check(plan: Plan, state: State, *, ended: bool) -> None:
    """Check what a saga says of its actions."""
    said = actions.outcomes(plan, state)
    if plan.stack is None or not ended:
        assert said is None, "there are outcomes where there are none to be told"
        return
    assert said is not None, "an ended saga has no outcomes"
    wanted = [(index, each.action, each.name) for index, each in enumerate(plan.stack.actions)]
    assert [(each.index, each.action, each.name) for each in said] == wanted, "not one outcome an action"
    for outcome, action in zip(said, plan.stack.actions, strict=True):
        steps = [state.steps[index] for index in action.steps]
        gone = None if action.gone is None else state.steps[action.gone]
        assert TRUE_OF[outcome.status](steps, gone), f"an outcome is not what it says: {outcome}"
        if outcome.status in ("error", "delete_failed", "compensation_failed"):
            assert outcome.error is not None, f"nobody is told why: {outcome}"
            assert outcome.error.code != "internal", outcome
        if outcome.status == "success":
            assert outcome.error is None
    if state.status == "completed":
        assert {each.status for each in said} <= {"success", "skipped", "error"}, "it has completed"
