"""How long an actor sleeps: never past the time at which something of its saga is due."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actors.saga.actor import Mailbox, SagaActor
from actors.saga.plan import Plan, PlanStep
from actors.saga.state import Run, State, StepState

DUE = 10_000


def actor(phase: Any, times: list[int]) -> SagaActor:
    """An actor that has looked at 9,990 and is asked how long it may sleep; the clock gives these times, one after the other."""
    run = Run(generation=1, execution="e", attempt=1, phase=phase, due=DUE)
    state = State(created_at=0, status="running", steps=(StepState(status="running", number=1, forward=run),))
    plan = Plan(kind="k", steps=(PlanStep(0, "s", "test.sleep"),))
    dossier: Any = SimpleNamespace(header=SimpleNamespace(id="x"), plan=plan)
    host: Any = SimpleNamespace(
        clock=SimpleNamespace(now=lambda: times.pop(0)), draining=False, passivate=5_000
    )
    made = SagaActor(host, dossier, state, Mailbox(), lambda _: None)
    made._looked = 9_990
    return made


@pytest.mark.parametrize("phase", ["polling", "retrying"])
@pytest.mark.parametrize(("now", "seconds"), [(9_991, 0.009), (DUE, 0), (DUE + 1, 0), (DUE + 5_000, 0)])
def test_what_became_due_since_the_last_turn_is_not_slept_through(
    phase: str, now: int, seconds: float
) -> None:
    """The race: not due when it is decided to stay, due when it is asked how long to sleep. It slept for ever."""
    assert actor(phase, [now])._patience() == seconds


def test_what_was_due_at_the_last_turn_has_begun() -> None:
    """So nobody waits for it: only a letter can bring the saga on."""
    looking = actor("polling", [DUE + 10])
    looking._looked = DUE

    assert looking._patience() is None
