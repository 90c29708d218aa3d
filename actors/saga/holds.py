"""Why a saga does not move: what holds it (somebody must act) and what it waits for (it goes on by itself).

Both are read off the state. Every state that is not ended has a hold, a wait, or something running: the laws' test
goes by ``holds`` and ``waits``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from actors.saga.plan import Plan
from actors.saga.state import ENDED, HOLDS, Direction, Held, Hold, Run, State, StepState

Wait = Literal["timer", "retry", "queue", "provider", "storage", "drain"]


class Waiting(msgspec.Struct, frozen=True):
    """What a saga waits for by itself, and until when (UTC milliseconds)."""

    for_: Wait = msgspec.field(name="for")
    until: int | None
    detail: str


def runs(state: State) -> Iterator[tuple[int, Direction, Run]]:
    """Give every execution that has no outcome yet."""
    for index, step in enumerate(state.steps):
        if step.forward is not None and step.forward.phase != "over":
            yield index, "forward", step.forward
        if step.undo is not None and step.undo.phase != "over":
            yield index, "undo", step.undo


def active(run: Run) -> bool:
    """Something of it is going on in the world or in a driver."""
    return run.phase in ("calling", "settling") or (run.phase == "polling" and run.changes)


def quiet(state: State) -> bool:
    """Nothing of the saga is going on."""
    return not any(active(run) for _, _, run in runs(state))


def spared(plan: Plan, state: State) -> frozenset[int]:
    """Give the steps that an unwinding leaves alone: irreversible ones that are done, and all that come before them."""
    if state.past:
        return frozenset()
    points = [i for i, step in enumerate(state.steps) if step.irreversible and step.did]
    return frozenset(points).union(*(plan.before[i] for i in points))


def to_undo(plan: Plan, state: State) -> list[int]:
    """Give the steps that still have to be taken back, the one that started last first."""
    alone = spared(plan, state)
    return sorted(
        (
            i
            for i, step in enumerate(state.steps)
            if step.did and i not in alone and step.status in ("completed", "failed", "compensating")
        ),
        key=lambda i: -state.steps[i].number,
    )


def stopped(plan: Plan, state: State) -> bool:
    """It failed, and waits for the operator's word (``on_failure: hold``)."""
    return (
        state.status in ("pending", "running")
        and state.turn is None
        and plan.on_failure == "hold"
        and any(step.failing for step in state.steps)
        and quiet(state)
        and not any(step.status == "unknown" for step in state.steps)
    )


def past_irreversible(plan: Plan, state: State) -> bool:
    """All that could be taken back without passing a point of no return was."""
    return state.status == "compensating" and bool(spared(plan, state)) and not to_undo(plan, state)


def attention(plan: Plan, state: State) -> Iterator[str]:
    """Say what needs somebody, with what to do about it."""
    if state.stuck is not None:
        yield f"{state.stuck}; then `retry`"
    for step, now in zip(plan.steps, state.steps, strict=True):
        yield from _step_attention(step.name, now)
    if stopped(plan, state):
        failed = [step.name for step, now in zip(plan.steps, state.steps, strict=True) if now.failing]
        why = next(now.error.message for now in state.steps if now.failing and now.error)
        yield f"step {', '.join(failed)} failed ({why}) and on_failure is hold: `retry`, `skip STEP` or `cancel`"
    if past_irreversible(plan, state):
        done = ", ".join(plan.steps[i].name for i, s in enumerate(state.steps) if s.irreversible and s.did)
        yield (
            f"everything after the irreversible step {done} was taken back: `retry` starts those steps anew, "
            f"`skip STEP` goes on without the failed one, `rollback --past-irreversible` takes back the rest"
        )


def _step_attention(name: str, step: StepState) -> Iterator[str]:
    if step.status == "unknown":
        yield (
            f"nobody knows whether step {name} was done ({_why(step.forward)}): "
            f"look, then `resolve {name} --as done|failed|retry`"
        )
    if step.status == "compensating" and step.undo is not None:
        if step.undo.phase == "unknown":
            yield (
                f"nobody knows whether the undo of step {name} was done ({_why(step.undo)}): "
                f"look, then `resolve {name} --as done|failed|retry`"
            )
        if step.undo.phase == "conflict":
            yield (
                f"step {name} was not undone: {_why(step.undo)}; "
                f"`retry {name} --force` undoes it all the same, `skip {name}` leaves it"
            )
    if step.open:
        yield (
            f"the undo of step {name} failed ({step.error.message if step.error else 'no reason given'}): "
            f"`retry {name}`, `skip {name}` or `resolve {name} --as done|failed`"
        )


def _why(run: Run | None) -> str:
    return run.error.message if run is not None and run.error is not None else "its answer was lost"


def hold(plan: Plan, state: State) -> tuple[Hold, str] | None:
    """Give the hold to be shown: the first reason of those that apply, and all of them in words."""
    if state.status in ENDED:
        return None
    found: dict[Hold, str] = {}
    if state.quarantine is not None:
        found["quarantined"] = f"its actor crashed too often ({state.quarantine}): `resume` lets it try again"
    if quiet(state) or state.quarantine is not None:
        needs = list(attention(plan, state))
        if needs:
            found["attention"] = "; ".join(needs)
        if state.paused:
            found["paused"] = "paused by the operator: `resume` lets it go on"
    for reason in HOLDS:
        if reason in found:
            return reason, "; ".join(found[each] for each in HOLDS if each in found)
    return None


def shown(held: Held | None) -> tuple[Hold, str] | None:
    """Give a recorded hold in the form of ``hold``."""
    return None if held is None else (held.reason, held.detail)


def waits(plan: Plan, state: State) -> Waiting | None:
    """Give what the saga waits for by itself; None where it is held, ended, or something of it is going on."""
    if state.status in ENDED or state.hold is not None:
        return None
    found: list[Waiting] = []
    for index, direction, run in runs(state):
        what = plan.steps[index].name if direction == "forward" else f"undo of {plan.steps[index].name}"
        if run.phase == "retrying":
            why = f": {run.error.message}" if run.error else ""
            found.append(
                Waiting(for_="retry", until=run.due, detail=f"{what}, next attempt after {run.spent}{why}")
            )
        elif run.phase == "polling":
            kind: Wait = "provider" if run.changes else "timer"
            found.append(
                Waiting(for_=kind, until=run.due, detail=f"{what} goes on elsewhere" if run.changes else what)
            )
        elif run.phase == "settling":
            found.append(Waiting(for_="provider", until=None, detail=f"finding out whether {what} was done"))
        else:
            return None
    return min(found, key=lambda wait: wait.until or 0, default=None)
