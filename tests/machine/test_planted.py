"""Bugs planted in the machine, one a law: the law that they break is seen to fail.

A law that nothing can break proves nothing. Each bug is small, of the kind that a change might bring in.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from actors.saga import (
    actions,
    answers,
    approvals,
    deciding,
    evolve,
    holds,
    machine,
    repairs,
    replies,
    steps,
    verbs,
    wants,
    why,
)
from actors.saga import events as e
from actors.saga.plan import Plan
from actors.saga.state import Error
from tests.machine import laws
from tests.machine.cases import Chooser, random_case
from tests.machine.simulation import Simulation

ROOMS = (
    actions,
    answers,
    approvals,
    deciding,
    evolve,
    holds,
    machine,
    repairs,
    replies,
    steps,
    verbs,
    wants,
    why,
)
RUNS = 2000

Plant = Callable[[pytest.MonkeyPatch], None]


def instead(room: Any, name: str, other: Callable[..., Any]) -> Plant:
    """Plant another function in place of one, wherever it is used. It is given the original first."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        original = getattr(room, name)
        for each in (*ROOMS, laws):
            if getattr(each, name, None) is original:
                patch.setattr(each, name, lambda *args: other(original, *args))

    return plant


def folding(kind: type[e.Event], other: Callable[..., Any]) -> Plant:
    """Plant another fold of one event. It is given the original first."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        original = evolve._FOLDS[kind]
        patch.setitem(evolve._FOLDS, kind, lambda *args: other(original, *args))

    return plant


def elsewhere(patch: pytest.MonkeyPatch) -> None:
    """The machine folds differently from what the record says."""
    patch.setattr(
        deciding, "evolve", lambda state, event, at: replace(evolve.evolve(state, event, at), numbers=7)
    )


def _with_step(state: Any, event: Any, **changes: Any) -> Any:
    return evolve._step(state, event.step, **changes)


_counter = count()

BUGS: dict[str, tuple[Plant, str]] = {
    "the checkpoint is not the fold of the events": (elsewhere, "the record folds to another state"),
    "chance in a decision": (
        instead(answers, "_error", lambda was, message: replace(was(message), message=str(next(_counter)))),
        "",
    ),
    "a status goes where the table does not lead": (
        folding(e.CleanedUp, lambda was, s, ev, at: _with_step(was(s, ev, at), ev, status="pending")),
        "('running', 'pending')",
    ),
    "a step of an ended saga has no final status": (
        instead(steps, "closed", lambda _, step: step),
        "'pending'",
    ),
    "an ended saga has an open execution": (
        instead(
            steps, "_given_up", lambda _, step: replace(step, status="unknown", did=True, left="given up")
        ),
        "an execution of an ended saga is open",
    ),
    "an undo that failed is forgotten": (
        instead(holds, "still_done", lambda *_: False),
        "",
    ),
    "a call without an intent": (
        instead(
            wants,
            "wants",
            lambda was, *args: [
                replace(want, attempt=want.attempt + 1) if isinstance(want, wants.Perform) else want
                for want in was(*args)
            ],
        ),
        "a call without an intent",
    ),
    "an undo of a step that only failed": (
        instead(steps, "counts", lambda _, step: step.number > 0),
        "an undo of a step that failed",
    ),
    "start numbers that do not rise": (
        folding(e.Started, lambda was, s, ev, at: replace(was(s, ev, at), numbers=0)),
        "",
    ),
    "undos in any order": (
        instead(wants, "connected", lambda *_: False),
        "an undo before that of a later step",
    ),
    "two steps that touch the same go side by side": (
        instead(answers, "_at_work_on", lambda *_: None),
        "two steps touch the same side by side",
    ),
    "a step passes what it needs": (
        instead(wants, "_ready", lambda *_: True),
        "a step started before what it needs",
    ),
    "a generation used twice": (
        instead(wants, "next_generation", lambda *_: 1),
        "a generation is never used again",
    ),
    "an attempt is given up while its code runs": (
        instead(
            machine,
            "_run_stops",
            lambda _, index, way, run: e.Failed(step=index, direction=way, error=Error("stopped", "stopped")),
        ),
        "an attempt was over before its code had ended",
    ),
    "a blind repeat": (
        folding(
            e.Started,
            lambda was, s, ev, at: was(s, replace(ev, repeats=True, finds=False), at),
        ),
        "an effect was made twice",
    ),
    "a repeat that failed settles the attempt before": (
        folding(
            e.Settled,
            lambda was, s, ev, at: was(s, replace(ev, as_="not_done") if ev.as_ == "repeat" else ev, at),
        ),
        "is not as the record says",
    ),
    "an undo is taken for done": (
        instead(
            machine, "_undo_without_call", lambda _, plan, state, index, *more: e.NothingToUndo(step=index)
        ),
        "is not as the record says",
    ),
    "what is kept is not left behind": (
        folding(e.Kept, lambda was, s, ev, at: _with_step(was(s, ev, at), ev, left=None)),
        "is not as the record says",
    ),
    "it starts without being approved": (
        instead(answers, "_asks", lambda *_: False),
        "it started without its approval",
    ),
    "an undo runs without being approved": (
        instead(
            answers,
            "_is_asked_for",
            lambda was, step, message: message.direction == "forward" and was(step, message),
        ),
        "an undo ran without its approval",
    ),
    "an approval is taken for one of something else": (
        instead(answers, "_is_given", lambda _, ask, __: ask.approved),
        "without its approval",
    ),
    "a step that waits for approval goes by the saga's rules": (
        lambda patch: patch.setattr(Plan, "rules", lambda plan, _: plan.approvals),
        "it is asked for by other rules",
    ),
    "one approval is enough": (
        folding(e.Approved, lambda was, s, ev, at: was(s, replace(ev, enough=True), at)),
        "it started without its approval",
    ),
    "who submitted it may approve it": (
        instead(approvals, "_not_by_own", lambda *_: False),
        "who submitted it has approved it",
    ),
    "a step is completed by its own success": (
        folding(e.Succeeded, lambda was, s, ev, at: was(s, replace(ev, hook=False), at)),
        "a step is completed without its hook",
    ),
    "a failed hook is a failure as any other": (
        instead(holds, "urgent", lambda *_: []),
        "the saga turned before the work of a failed hook was undone",
    ),
    "a hook begins on the way back": (
        instead(
            wants,
            "preparable",
            lambda was, plan, state, now: (
                was(plan, state, now) + [(i, "hook", 1) for i in state.seen.hooks if state.turn is not None]
            ),
        ),
        "a hook began though the saga turns back",
    ),
    "a lock is not taken": (
        instead(answers, "_lock", lambda *_: None),
        "it started without its lock",
    ),
    "a lock is waited for and not": (
        folding(
            e.LockTaken, lambda was, s, ev, at: _with_step(was(s, ev, at), ev, lock=s.steps[ev.step].lock)
        ),
        "",
    ),
    "a lock leaks": (
        instead(machine, "_ended_with_locks", lambda *_: None),
        "an ended saga has a lock",
    ),
    "a batch lets too many start": (
        instead(wants, "_startable", lambda was, plan, state: was(replace(plan, batch=None), state)),
        "more at once than the batch allows",
    ),
    "a saga does not wait for its batch": (
        folding(e.Submitted, lambda was, s, ev, at: was(s, replace(ev, queued=False), at)),
        "it started before its batch let it",
    ),
    "held while something runs": (instead(holds, "quiet", lambda *_: True), "held while something runs"),
    "stuck without a word": (instead(holds, "attention", lambda *_: iter(())), "stuck without a word"),
    "woken for nothing": (
        instead(wants, "_will_begin", lambda *_: True),
        "it asks to be woken, and then nothing happens",
    ),
    "an outcome that is not so": (
        instead(actions, "part_of", lambda was, step: "done" if step.status == "failed" else was(step)),
        "an outcome is not what it says",
    ),
    "an outcome that is missing": (
        instead(
            actions,
            "outcomes",
            lambda was, plan, state: (was(plan, state) or [None])[:-1] or was(plan, state),
        ),
        "not one outcome an action",
    ),
    "no sentence": (instead(why, "_going", lambda *_: iter(())), "nothing of it is going on"),
    "a refused verb on the record": (
        instead(
            replies,
            "refused",
            lambda was, detail: m_accepted(was(detail)),
        ),
        "",
    ),
}


def m_accepted(reply: Any) -> Any:
    """Say that a refused verb was accepted."""
    return replace(reply, did="accepted")


def run(seed: int) -> AssertionError | None:
    """Run one saga, and give the law that it breaks."""
    choose = Chooser(random.Random(seed).choice)
    try:
        simulation = Simulation(random_case(choose), choose)
        for _ in range(choose.of((10, 25, 60))):
            simulation.anything()
        simulation.calm()
    except AssertionError as broken:
        return broken
    return None


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_the_law_that_a_bug_breaks_is_seen_to_fail(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the runs that every test run makes."""
    plant, law = BUGS[bug]
    plant(monkeypatch)

    broken = (str(each) for each in map(run, range(RUNS)) if each is not None)

    assert any(law in each for each in broken)
