"""What the outcome of an action is, over all that its steps can have come to."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from actors.saga.actions import Outcome, outcomes, part_of, status_of
from actors.saga.plan import Action, Plan, PlanStep, Stack
from actors.saga.state import Error, State, StepState

MAKE = Action("create", "test", "a", (0,))
DELETE = Action("delete", "test", "a", (), 0)
BOTH = Action("replace", "test", "a", (0,), 1)
SHORT = {
    "ok": "done",
    "no": "failed",
    "back": "compensated",
    "stuck": "compensation_failed",
    "-": "skipped",
    "?": "unspecified",
}

ONE = {
    "ok": ("success", "success"),
    "no": ("error", "delete_failed"),
    "back": ("compensated", "compensated"),
    "stuck": ("compensation_failed", "compensation_failed"),
    "-": ("skipped", "skipped"),
    "?": ("error", "error"),
}
"""What became of the one step: the outcome of what makes, and of what deletes."""

TWO = """
new:   ok                  no                  back                stuck               -                   ?
ok     success             error               error               compensation_failed error               error
no     delete_failed       delete_failed       delete_failed       compensation_failed delete_failed       delete_failed
back   error               error               compensated         compensation_failed compensated         error
stuck  compensation_failed compensation_failed compensation_failed compensation_failed compensation_failed compensation_failed
-      error               error               compensated         compensation_failed skipped             error
?      error               error               error               compensation_failed error               error
"""
"""Of a replacement: a row is what became of the old one's deletion, a column of the new one's creation."""


@pytest.mark.parametrize("part", ONE)
def test_an_action_of_one_step(part: str) -> None:
    """A deletion that failed has a status of its own: the record is kept."""
    parts: Any = {0: SHORT[part]}

    assert (status_of(MAKE, parts), status_of(DELETE, parts)) == ONE[part]


def test_one_outcome_stands_for_both_halves_of_a_replacement() -> None:
    """Over all that the two can come to."""
    head, *rows = [line.split() for line in TWO.strip().splitlines()]
    wanted = {(new, old): status for old, *row in rows for new, status in zip(head[1:], row, strict=True)}
    found = {}
    for new, old in product(SHORT, SHORT):
        parts: Any = {0: SHORT[new], 1: SHORT[old]}
        found[new, old] = status_of(BOTH, parts)

    assert found == wanted


@pytest.mark.parametrize(
    ("status", "failing", "part"),
    [
        ("completed", False, "done"),
        ("kept", False, "done"),
        ("kept", True, "failed"),
        ("failed", True, "failed"),
        ("unknown", True, "failed"),
        ("compensated", False, "compensated"),
        ("compensation_failed", False, "compensation_failed"),
        ("skipped", False, "skipped"),
        ("pending", False, "unspecified"),
        ("running", False, "unspecified"),
        ("compensating", False, "unspecified"),
    ],
)
def test_what_a_step_came_to_for_its_action(status: Any, part: str, *, failing: bool) -> None:
    """Only a status that is final says something."""
    assert part_of(StepState(status=status, failing=failing)) == part


def said(*steps: StepState, action: Action = BOTH, status: Any = "failed") -> list[Outcome] | None:
    """The outcomes of a saga whose steps came to this."""
    plan = Plan(
        "x",
        tuple(PlanStep(index, f"s{index}", "test.put") for index in range(len(steps))),
        stack=Stack("x", (action,)),
    )
    return outcomes(plan, State(status=status, steps=steps, created_at=0))


def test_the_worst_of_it_is_told() -> None:
    """Of what went wrong with its steps that which somebody must see to, naming the step."""
    failed = StepState(status="failed", error=Error("a", "it failed"), failing=True)
    stuck = StepState(status="compensation_failed", error=Error("b", "it is stuck"))

    found = said(failed, stuck)
    assert found == [
        Outcome(0, "replace", "test", "a", "compensation_failed", Error("b", "it is stuck", "s1"))
    ]


@pytest.mark.parametrize(
    ("steps", "status", "code"),
    [
        (("running",), "error", "internal"),
        (("unknown",), "error", "unknown"),
        (("completed", "skipped"), "error", "half_done"),
        (("completed", "unknown"), "delete_failed", "unknown"),
    ],
)
def test_what_has_no_error_of_its_own_is_told_all_the_same(
    steps: tuple[Any, ...], status: str, code: str
) -> None:
    """An outcome that nothing specifies is a bug, and says so."""
    found = said(*(StepState(status=each) for each in steps), action=BOTH if len(steps) > 1 else MAKE)

    assert found is not None
    assert [(each.status, each.error and each.error.code) for each in found] == [(status, code)]


def test_there_are_none_before_the_end_and_of_no_stack() -> None:
    """Then nobody can say."""
    assert said(StepState(), action=MAKE, status="running") is None
    assert outcomes(Plan("x", ()), State(status="completed", created_at=0, steps=())) is None
