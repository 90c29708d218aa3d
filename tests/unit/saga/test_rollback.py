"""What becomes of each step of a saga that is taken back, and the plan of the saga that does it."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import msgspec
import pytest

from actors.saga.plan import Approvals, Plan, PlanStep, Retry, Undo
from actors.saga.rollback import Asks, Inverse, made_from, refusal, survey, told
from actors.saga.state import State, StepState


def plan(*steps: dict[str, Any], **more: Any) -> Plan:
    """Steps a, b, c…"""
    made = []
    for i, step in enumerate(steps):
        fields: dict[str, Any] = {"index": i, "name": ascii_lowercase[i], "operation": "local.file.put"}
        made.append(PlanStep(**fields | step))
    return Plan(kind="publish", steps=tuple(made), **more)


def state(*steps: dict[str, Any], **more: Any) -> State:
    """Steps that are done and can be restored, where nothing else is said; they started in order."""
    done: dict[str, Any] = {"status": "completed", "did": True, "way_back": "restore"}
    made = [StepState(**(done | {"number": i + 1} | step)) for i, step in enumerate(steps)]
    return State(created_at=0, status="completed", steps=tuple(made), **more)


@pytest.mark.parametrize(
    ("step", "undo", "will", "why"),
    [
        ({}, Undo(), "undo", ""),
        ({"way_back": "correct"}, Undo("given"), "undo", ""),
        ({"way_back": "nothing"}, Undo(), "nothing", "it changes nothing"),
        ({"way_back": "none"}, Undo("none"), "keep", "it has no way back (undo: none)"),
        ({"way_back": "none"}, Undo(), "keep", "it has no way back (local.file.put has no inverse)"),
        ({"irreversible": True}, Undo(), "keep", "it is irreversible"),
        ({"status": "compensated"}, Undo(), "nothing", "it was taken back already"),
        ({"status": "compensated", "did": False}, Undo(), "nothing", "it was taken back already"),
        ({"status": "compensation_failed"}, Undo(), "undo", "its own undo failed"),
        ({"status": "failed", "did": False}, Undo(), "nothing", "it has changed nothing"),
        ({"status": "failed", "partial": True}, Undo(), "undo", ""),
        ({"status": "kept", "left": "its undo was skipped by ada"}, Undo(), "undo", ""),
        ({"status": "skipped"}, Undo(), "nothing", "it was taken back already"),
        ({"status": "skipped", "left": "skipped by the operator while partly done"}, Undo(), "undo", ""),
        ({"status": "unknown", "owes_hook": True}, Undo(), "undo", ""),
        (
            {"status": "unknown"},
            Undo(),
            "keep",
            "nobody knows whether it was done: look, and put it right by hand",
        ),
    ],
)
def test_the_fate_of_a_step(step: dict[str, Any], undo: Undo, will: str, why: str) -> None:
    """By what became of it and by what its way back would be."""
    (fate,) = survey(plan({"undo": undo}), state(step), {}).fates

    assert (fate.will, fate.why) == (will, why)


def test_a_step_that_never_started_is_not_told_of() -> None:
    """The others come in reverse order of their start, whatever their place in the file."""
    found = survey(plan({}, {}, {}), state({"number": 2}, {"number": 1}, {"number": 0}), {})

    assert [fate.step for fate in found.fates] == [0, 1]


def test_what_another_saga_has_taken_back_is_named() -> None:
    """And is not taken back again."""
    found = survey(plan({}, {}), state({}, {}), {1: "other"})

    assert found.steps == [0]
    assert found.fates[0].why == "saga other has taken it back"


def test_to_step_keeps_what_it_needs_and_what_came_before() -> None:
    """c, which b needs, started after it was asked for… and d needs nothing."""
    graph = plan({}, {"needs": (2,)}, {}, {}, graph=True)
    found = survey(graph, state({}, {"number": 3}, {"number": 2}, {"number": 4}), {}, 1)

    assert found.steps == [3]
    assert {fate.why for fate in found.fates if fate.will == "keep"} == {"--to-step keeps it"}


POINT: dict[str, Any] = {"irreversible": True}


@pytest.mark.parametrize(
    ("to_step", "past", "refused"),
    [(None, False, True), (0, False, True), (1, False, False), (0, True, False)],
)
def test_an_irreversible_step_is_passed_only_by_word(to_step: int | None, past: bool, refused: bool) -> None:
    """Keeping it, or what came after it, passes nothing."""
    saga = plan({}, {}, {})
    found = survey(saga, state({}, POINT, {}), {}, to_step, past=past)

    assert (refusal(saga, found) is not None) == refused


def test_what_was_gone_past_on_its_own_way_back_needs_no_word() -> None:
    """Somebody has said so then."""
    saga = plan({}, {})
    found = survey(saga, state({"status": "compensation_failed"}, POINT | {"status": "kept"}, past=True), {})

    assert refusal(saga, found) is None
    assert told(saga, found) == "takes back a; leaves b (it is irreversible)"


def test_of_many_steps_some_are_named() -> None:
    """A thousand names are no answer."""
    saga = plan(*({} for _ in range(15)))
    said = told(saga, survey(saga, state(*({} for _ in range(15))), {}))

    assert said == "takes back o, n, m, l, k, j, i, h, g, f and 5 more"


def test_several_irreversible_steps_are_named_together() -> None:
    """The last one is what can be kept with all before it."""
    saga = plan({}, {}, {})
    said = refusal(saga, survey(saga, state({}, POINT, POINT), {}))

    assert said is not None
    assert said.startswith("cannot rollback: steps c, b are irreversible; possible: `rollback --to-step c`")


def test_the_plan_takes_back_step_by_step_and_holds_on_failure() -> None:
    """With the patience of undos, by the original's word on conflicts."""
    patient = Retry(attempts=7)
    original = plan(
        {"undo_retry": patient, "on_conflict": "skip", "timeout": 5, "driver_version": "1.0"},
        {"undo": Undo("given", "command.run", {"argv": ["${self.x}"]}), "alias": "x"},
        on_conflict="force",
        deadline=10,
    )
    inverses = {i: Inverse("local.file.delete", {"path": f"/{i}"}) for i in (0, 1)}
    made = made_from(original, "ID", [1, 0], inverses, Asks())
    b, a = made.steps

    assert (made.on_failure, made.on_conflict, made.deadline, made.approvals) == (
        "hold",
        "force",
        None,
        Approvals(),
    )
    assert (b.index, b.name, b.takes_back, b.alias, b.needs) == (0, "b", 1, "x", ())
    assert b.undo == Undo("given", "local.file.put", {"path": "/1"})
    assert (a.takes_back, a.undo, a.retry, a.undo_retry) == (0, Undo(), patient, patient)
    assert (a.on_conflict, a.timeout, a.driver_version) == ("skip", 5, "1.0")


@pytest.mark.parametrize(
    ("approvals", "asks", "start", "each"),
    [
        (Approvals(quorum=2), Asks(), False, ["never"]),
        (Approvals(start=True, quorum=2), Asks(), True, ["never"]),
        (Approvals(quorum=2), Asks(start=True), True, ["never"]),
        (Approvals(quorum=2), Asks(each=frozenset({0})), False, ["each"]),
    ],
)
def test_it_asks_as_its_originals_start_did_or_as_the_node_says(
    approvals: Approvals, asks: Asks, start: bool, each: list[str]
) -> None:
    """Of the original's approvers, where anything is asked at all."""
    approvals = msgspec.structs.replace(approvals, expires=7)
    made = made_from(plan({}, approvals=approvals), "ID", [0], {0: Inverse("x.y", {})}, asks)

    assert made.approvals.start == start
    assert [step.asks for step in made.steps] == each
    assert made.approvals.quorum == (2 if start or asks.each else 1)
    assert made.steps[0].approvals == (Approvals(quorum=2) if asks.each else None)


def test_what_asks_before_its_own_undo_asks_before_it_is_taken_back() -> None:
    """By its type's policy; and again before that is taken back."""
    original = plan({"asks_undo": True}, {"asks_undo": True})
    (step,) = made_from(original, "ID", [1], {1: Inverse("x.y", {})}, Asks()).steps

    assert (step.asks, step.asks_undo, step.approvals) == ("each", True, Approvals())
