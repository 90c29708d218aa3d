"""What should be going on in the world for a saga in a given state: read off the state, level by level.

The shell compares ``wants`` with what is going on. A call that is wanted and not running was lost with its process,
and is settled before anything else; a call that runs and is no longer wanted is let go.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from actors.saga.holds import runs, to_undo
from actors.saga.plan import Plan
from actors.saga.state import ENDED, Direction, Run, State, StepState, StepStatus

DONE: frozenset[StepStatus] = frozenset({"completed", "skipped"})
"""What must be so of every step that comes before, for a step to start."""


class Prepare(msgspec.Struct, frozen=True):
    """Resolve the arguments and read the resource, so that the intent can be written."""

    step: int
    direction: Direction
    generation: int


class Perform(msgspec.Struct, frozen=True):
    """Attempt number ``attempt`` is with the driver. ``force``: an undo over what others changed."""

    step: int
    direction: Direction
    generation: int
    attempt: int
    force: bool = False


class Poll(msgspec.Struct, frozen=True):
    """Ask the driver, once ``due``, how it goes on."""

    step: int
    direction: Direction
    generation: int
    attempt: int
    due: int


class Settle(msgspec.Struct, frozen=True):
    """Find out what attempt number ``attempt`` did, which ended at ``since``."""

    step: int
    direction: Direction
    generation: int
    attempt: int
    since: int
    finds: bool


Want = Prepare | Perform | Poll | Settle


def wants(plan: Plan, state: State, now: int) -> list[Want]:
    """Give what should be going on in the world for a saga in this state."""
    if state.status in ENDED or state.quarantine is not None:
        return []
    found: list[Want] = []
    for index, direction, run in runs(state):
        if run.phase == "calling":
            found.append(Perform(index, direction, run.generation, run.attempt, run.force))
        elif run.phase == "settling":
            found.append(Settle(index, direction, run.generation, run.attempt, run.since, run.finds))
        elif run.phase == "polling":
            found.append(Poll(index, direction, run.generation, run.attempt, run.due))
    found.extend(Prepare(*each) for each in preparable(plan, state, now))
    return found


def interrupted(state: State) -> bool:
    """Attempts on the way forward are to be interrupted. No cancel reaches an undo."""
    return state.abandoned is not None or (state.cancel is not None and state.cancel.now)


def wake(plan: Plan, state: State, now: int) -> int | None:
    """Give when the state wants to be looked at again: 0 now, a time, or None if only a person can bring it on."""
    if state.status in ENDED or state.quarantine is not None:
        return None
    soonest: int | None = None
    for want in wants(plan, state, now):
        if not isinstance(want, Poll):
            return 0
        soonest = want.due if soonest is None else min(soonest, want.due)
    for _, _, run in runs(state):
        if run.phase == "retrying" and not state.paused and state.stuck is None:
            soonest = run.due if soonest is None else min(soonest, run.due)
    if state.deadline is not None and state.status != "compensating" and state.turn is None:
        soonest = state.deadline if soonest is None else min(soonest, state.deadline)
    return soonest


def preparable(plan: Plan, state: State, now: int) -> list[tuple[int, Direction, int]]:
    """Give (step, direction, generation) of each execution whose intent may be written now."""
    if (
        state.paused
        or state.stuck is not None
        or state.quarantine is not None
        or state.abandoned is not None
        or state.status in ENDED
    ):
        return []
    if state.status == "compensating":
        if any(step.open for step in state.steps):
            return []
        steps = list(undoable(plan, state, to_undo(plan, state)))
        direction: Direction = "undo"
    else:
        if state.turn is not None or any(step.failing or step.status == "unknown" for step in state.steps):
            return []
        steps = _startable(plan, state)
        direction = "forward"
    steps += [i for i, way, run in runs(state) if way == direction and _unprepared(run) and run.due <= now]
    return [(i, direction, next_generation(state, i, direction)) for i in steps]


def _unprepared(run: Run) -> bool:
    return run.phase == "retrying" and run.attempt == 0


def _startable(plan: Plan, state: State) -> list[int]:
    return [
        index
        for index, step in enumerate(state.steps)
        if step.status == "pending"
        and all(state.steps[before].status in DONE for before in plan.after[index])
        and (step.behind is None or state.steps[step.behind].status not in ("running", "unknown"))
    ]


def next_generation(state: State, index: int, direction: Direction) -> int:
    """Give the generation that an execution started now would have."""
    run: Run | None = getattr(state.steps[index], direction)
    if run is None:
        return 1
    return run.generation if run.phase == "retrying" and run.attempt == 0 else run.generation + 1


def undoable(plan: Plan, state: State, left: list[int]) -> Iterator[int]:
    """Give those of ``left`` (latest start first) whose undo has not begun and may begin now."""
    for place, index in enumerate(left):
        if not _begun(state.steps[index]) and not any(
            connected(plan, state, index, later) for later in left[:place]
        ):
            yield index
        if not plan.graph:
            return


def _begun(step: StepState) -> bool:
    return step.undo is not None and step.undo.phase != "over"


def connected(plan: Plan, state: State, earlier: int, later: int) -> bool:
    """Tell whether two steps must be undone one after the other: by order, by need, or by what they touch."""
    return not plan.graph or earlier in plan.needs[later] or same_resource(state, earlier, later)


def same_resource(state: State, one: int, other: int) -> bool:
    """Tell whether two steps touch the same resource, or one encloses the other's."""
    a, b = state.steps[one].resource, state.steps[other].resource
    return a is not None and b is not None and a.overlaps(b)
