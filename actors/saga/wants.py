"""What should be going on in the world for a saga in a given state: read off the state, level by level.

The shell compares ``wants`` with what is going on. A call that is wanted and not running was lost with its process,
and is settled before anything else; a call that runs and is no longer wanted is let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from actors.saga.holds import asking, runs, stops, to_undo_now, urgent
from actors.saga.plan import Plan
from actors.saga.state import DONE, ENDED, Ask, Direction, LockWait, Run, State, StepState
from actors.saga.touched import Touched


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
    """Find out what attempt number ``attempt`` did."""

    step: int
    direction: Direction
    generation: int
    attempt: int
    finds: bool


Want = Prepare | Perform | Poll | Settle


def wants(plan: Plan, state: State, now: int) -> list[Want]:
    """Give what should be going on in the world for a saga in this state."""
    if state.status in ENDED or state.quarantine is not None:
        return []
    found: list[Want] = []
    for index, direction, run in state.seen.runs:
        if run.phase == "calling":
            found.append(Perform(index, direction, run.generation, run.attempt, run.force))
        elif run.phase == "settling" and not (run.postponed and run.due > now):
            found.append(Settle(index, direction, run.generation, run.attempt, run.finds))
        elif run.phase == "polling":
            found.append(Poll(index, direction, run.generation, run.attempt, run.due))
    found.extend(Prepare(*each) for each in preparable(plan, state, now))
    return found


def interrupted(plan: Plan, state: State, step: int | None = None) -> bool:
    """Tell whether the attempt of this step (of any, where none is named) is to be interrupted.

    What was running on the way forward when somebody said ``cancel --now`` or ``abandon``; not what begins later, by
    settling or by the operator's word. No cancel reaches an undo. The sagas of a batch are told so themselves.
    """
    if plan.batch is not None and state.abandoned is None:
        return False
    steps = state.steps if step is None else (state.steps[step],)
    return any(
        run is not None and run.interrupt and run.phase == "calling"
        for each in steps
        for run in (each.forward, each.hook)
    )


def wake(plan: Plan, state: State, now: int) -> int | None:
    """Give when the state wants to be looked at again: 0 now, a time, or None if only a person can bring it on."""
    if state.status in ENDED or state.quarantine is not None:
        return None
    times: list[int] = []
    for want in wants(plan, state, now):
        if not isinstance(want, Poll):
            return 0
        times.append(want.due)
    for index, direction, run in state.seen.runs:
        if run.phase == "settling" or (
            run.phase == "retrying" and _will_begin(plan, state, index, direction, run)
        ):  # one that is not wanted now waits for its service
            times.append(run.due)
    if deadline_counts(plan, state):
        limits = (state.deadline, *(ask.due for _, ask in asking(plan, state)))
        times += [due for due in limits if due is not None]
    times += [lock.due for _, lock in impatient(plan, state) if lock.due is not None]
    return min(times, default=None)


def _will_begin(plan: Plan, state: State, index: int, direction: Direction, run: Run) -> bool:
    """Tell whether an attempt that is to be made later begins by itself when it is due."""
    if not unprepared(run):
        return not state.paused
    return (index, direction, run.generation) in preparable(plan, state, run.due)


def deadline_counts(plan: Plan, state: State) -> bool:
    """Tell whether the deadline can still turn the saga back: it goes forward, and nothing else has decided yet."""
    if state.status not in ("pending", "running") or state.turn is not None or state.abandoned is not None:
        return False
    return plan.on_failure == "hold" or not stops(plan, state)


def impatient(plan: Plan, state: State) -> tuple[tuple[int, LockWait], ...]:
    """Give the steps that may still give up waiting for a lock: the saga goes forward, and nothing else has decided."""
    if not state.seen.locked:
        return ()
    forward = state.status in ("pending", "running") and state.turn is None and state.abandoned is None
    return state.seen.locked if forward and not stops(plan, state) else ()


def overdue(plan: Plan, state: State, now: int) -> bool:
    """Tell whether the way forward has taken longer than allowed."""
    return state.deadline is not None and now >= state.deadline and deadline_counts(plan, state)


def expired(plan: Plan, state: State, now: int) -> tuple[int | None, Ask] | None:
    """Give an approval that was asked for and not given in time, with its step."""
    if (state.ask is None and not state.seen.asking) or not deadline_counts(plan, state):
        return None
    late = (each for each in asking(plan, state) if each[1].due is not None and each[1].due <= now)
    return next(late, None)


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
    seen, back = state.seen, state.status == "compensating"
    found: list[tuple[int, Direction, int]] = []
    if not seen.open and (left := to_undo_now(plan, state)):
        undos = list(undoable(plan, state, left))
        found += _without(seen.undo_asking, _with_generation(state, "undo", undos, now))
    if not back and _goes_on(plan, state, now):
        steps = _with_generation(state, "forward", _startable(plan, state), now)
        found += _without(seen.asking, steps)
        if seen.hooks or seen.runs:
            hooks = (i for i in seen.hooks if not seen.anew or _all_done(plan.before[i], state))
            found += _with_generation(state, "hook", hooks, now)
    return _without(seen.locked, found)


def _without(
    held_up: tuple[tuple[int, Any], ...], found: list[tuple[int, Direction, int]]
) -> list[tuple[int, Direction, int]]:
    if not held_up:
        return found
    steps = {index for index, _ in held_up}
    return [each for each in found if each[0] not in steps]


def _goes_on(plan: Plan, state: State, now: int) -> bool:
    """Tell whether anything new may start on the way forward."""
    return not (
        state.turn is not None
        or state.queued
        or stops(plan, state)
        or state.seen.unknown
        or (plan.approvals.start and (state.ask is None or not state.ask.approved))
        or overdue(plan, state, now)
    )


def _with_generation(
    state: State, direction: Direction, fresh: Iterable[int], now: int
) -> list[tuple[int, Direction, int]]:
    """Give executions to begin: these, and those that could not be prepared so far and are due again."""
    found = [(i, direction, next_generation(state, i, direction)) for i in fresh]
    for i, way, run in state.seen.runs:
        if way == direction and unprepared(run) and run.due <= now and not _queued(state, state.steps[i]):
            found.append((i, direction, run.generation))
    return found


def turnable(state: State) -> bool:
    """Tell whether the saga may turn back for the sake of another: nothing has decided yet, all can be taken back."""
    return (
        state.status in ("pending", "running")
        and state.turn is None
        and state.abandoned is None
        and not state.takes_back
        and not state.seen.no_return
        and not urgent(state)
    )


def unprepared(run: Run) -> bool:
    """Tell whether its intent could not be written so far, and is tried again."""
    return run.phase == "retrying" and run.attempt == 0


def at_work(step: StepState) -> bool:
    """Tell whether a step has begun on its resource and is not over."""
    return step.status in ("running", "unknown") and step.number > 0


def _queued(state: State, step: StepState) -> bool:
    """Tell whether a step waits for another one of the saga that touches the same."""
    return step.behind is not None and at_work(state.steps[step.behind])


def _startable(plan: Plan, state: State) -> list[int]:
    ready = [
        index
        for index in state.seen.pending
        if _ready(plan, state, index) and not _queued(state, state.steps[index])
    ]
    if plan.batch is None or plan.batch.parallel is None:
        return ready
    going = sum(step.status in ("running", "unknown") for step in state.steps)
    return ready[: max(0, plan.batch.parallel - going)]


def _ready(plan: Plan, state: State, index: int) -> bool:
    """Tell whether all that comes before a step is done.

    Behind one that was skipped there may be others that are not; and behind one that stayed done when what comes before it
    was taken back, to begin anew.
    """
    steps, gaps = state.steps, state.seen.anew
    for before in plan.after[index]:
        status = steps[before].status
        if status not in DONE:
            return False
        gaps = gaps or status == "skipped"
    return not gaps or _all_done(plan.before[index], state)


def _all_done(those: frozenset[int], state: State) -> bool:
    return all(state.steps[each].status in DONE for each in those)


def next_generation(state: State, index: int, direction: Direction) -> int:
    """Give the generation that an execution started now would have."""
    run: Run | None = getattr(state.steps[index], direction)
    if run is None:
        return 1
    return run.generation if unprepared(run) else run.generation + 1


def undoable(plan: Plan, state: State, left: list[int]) -> Iterator[int]:
    """Give those of ``left`` (latest start first) whose undo has not begun and may begin now."""
    later = Later()
    for index in left:
        if not _begun(state.steps[index]) and not connected(plan, state, index, later):
            yield index
        if not plan.graph or plan.batch is not None:
            return  # one after the other
        later.steps.add(index)
        later.needs |= plan.needs[index]
        later.touched.add(state.steps[index].resource)


class Later:
    """Steps that started later and still have to be undone, with all that they need and touch."""

    def __init__(self) -> None:
        """Begin with none."""
        self.steps = set[int]()
        self.needs = set[int]()
        self.touched = Touched()


def _begun(step: StepState) -> bool:
    return step.undo is not None and step.undo.phase != "over"


def connected(plan: Plan, state: State, index: int, later: Later) -> bool:
    """Tell whether a step must be undone after one of those: by need, or by what they touch."""
    return (
        index in later.needs
        or not later.steps.isdisjoint(plan.needs[index])
        or later.touched.overlap(state.steps[index].resource)
    )


def same_resource(state: State, one: int, other: int) -> bool:
    """Tell whether two steps touch the same resource, or one encloses the other's."""
    a, b = state.steps[one].resource, state.steps[other].resource
    return a is not None and b is not None and a.overlaps(b)


def dues(state: State) -> list[int]:
    """Give every time at which something of the saga may be due, past ones too."""
    found = [run.due for _, _, run in runs(state) if run.postponed or run.phase in ("polling", "retrying")]
    asks = [state.ask, *(ask for _, ask in state.seen.asking)]
    found += [ask.due for ask in asks if ask is not None and not ask.approved and ask.due is not None]
    found += [lock.due for _, lock in state.seen.locked if lock.due is not None]
    return found if state.deadline is None else [*found, state.deadline]
