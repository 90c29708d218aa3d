"""The saga machine: given a saga's plan and state, what may happen next.

Theory of operation
-------------------
``decide(plan, state, message, now)`` turns one message into events: first what the message itself means, then, to a
fixpoint, all that follows from it without anybody's help (the saga turns back, an undo is blocked, the saga ends, a
hold begins or is over). ``evolve`` (in ``evolve.py``) folds events into the state; ``decide`` gives the state after
its events too, so that nobody folds twice. ``wants(plan, state, now)`` reads off a state what should be going on in
the world: the shell compares that with what is going on and starts, interrupts or waits. So a saga that was just
started, one that goes on and one that comes back after a crash are driven by the same rule.

All three are pure and total: no clock, no randomness, no input or output; the same arguments give the same result.

Life of a step
--------------
Each row is a status and where it may lead (``STEP`` below; the documentation's diagram is drawn from it). A step has
an execution forward, one of its hook where it has one and, later, one on the way back; the phases of an execution are in ``state.Run``. The rules:

* no driver call without a committed intent (``Started``), and none for an attempt that is not the current one;
* an attempt is over when its code has ended; until then nothing else happens to the step;
* an unknown outcome is settled before anything else happens to the step: found, surely not done, safe to repeat, or
  somebody must say;
* a step that has a hook is completed only after it; if the hook fails, the step is undone at once, before the saga
  turns; where the saga turns before the hook has begun, it is not begun, and the step is undone with the rest;
* the way back begins when nothing of the way forward is going on; undos go in reverse order of start numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from actors.saga import answers, verbs
from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.deciding import Deciding
from actors.saga.evolve import NO_STATE
from actors.saga.holds import (
    failure,
    hold,
    locked_way,
    quiet,
    settled,
    shown,
    spared,
    still_done,
    stops,
    to_undo,
    urgent,
)
from actors.saga.plan import Plan
from actors.saga.state import ENDED, Direction, Error, LockWait, Run, State, Status, StepStatus
from actors.saga.wants import expired, impatient, overdue, same_resource, undoable

SAGA: dict[Status, frozenset[Status]] = {
    "pending": frozenset({"running", "completed", "failed", "rolled_back"}),
    "running": frozenset({"compensating", "completed", "failed"}),
    "compensating": frozenset({"running", "rolled_back", "failed"}),
    "completed": frozenset(),
    "rolled_back": frozenset(),
    "failed": frozenset({"compensating", "rolled_back"}),
}
"""Saga status -> those it may change to. ``failed`` is left by late repair, ``compensating`` forward only by a retry
after an unwinding that stopped at an irreversible step."""

STEP: dict[StepStatus, frozenset[StepStatus]] = {
    "pending": frozenset({"running", "failed", "compensated", "skipped"}),
    "running": frozenset(
        {
            "completed",
            "failed",
            "unknown",
            "compensating",
            "compensated",
            "compensation_failed",
            "kept",
            "skipped",
        }
    ),
    "unknown": frozenset({"completed", "failed", "running"}),
    "completed": frozenset({"compensating", "compensated", "compensation_failed", "kept"}),
    "failed": frozenset({"pending", "skipped", "compensating", "compensated", "compensation_failed", "kept"}),
    "compensating": frozenset({"compensated", "compensation_failed", "kept"}),
    "compensated": frozenset({"pending", "skipped"}),
    "compensation_failed": frozenset({"completed", "running", "failed", "compensated", "kept"}),
    "kept": frozenset({"completed", "running", "pending", "skipped"}),
    "skipped": frozenset(),
}
"""Step status -> those it may change to."""


class Decision(msgspec.Struct):
    """What a message brings about: events in order, the state after them, and for a verb its answer."""

    events: list[e.Event]
    state: State
    reply: m.Reply | None = None


def submit(plan: Plan, event: e.Submitted, now: int) -> Decision:
    """Begin a saga."""
    deciding = Deciding(plan, NO_STATE, now)
    deciding.emit(event)
    if plan.approvals.start:
        deciding.ask(hashlib.sha256(f"{event.plan} {event.inputs}".encode()).hexdigest())
    _follow(deciding)
    return Decision(deciding.events, deciding.state)


def decide(plan: Plan, state: State, message: m.Message, now: int) -> Decision:
    """Give what the message brings about at ``now`` (UTC milliseconds)."""
    if isinstance(message, m.Verb) and not 0 <= (getattr(message, "step", None) or 0) < len(state.steps):
        return Decision([], state, m.Reply("refused", "it has no such step"))
    deciding = Deciding(plan, state, now)
    reply = _HANDLERS[type(message)](deciding, message)
    _follow(deciding)
    return Decision(deciding.events, deciding.state, reply)


def _follow(deciding: Deciding) -> None:
    """Let everything happen that follows by itself."""
    for _ in range(20 * len(deciding.plan.steps) + 100):
        event = _next(deciding.plan, deciding.state, deciding.now)
        if event is None:
            return
        deciding.emit(event)
    raise AssertionError("the machine does not come to rest")  # pragma: no cover


# --- what follows by itself ----------------------------------------------------------------------------------------


def _next(plan: Plan, state: State, now: int) -> e.Event | None:
    if state.status in ENDED:
        return _ended_with_locks(state)
    if state.abandoned is not None:
        move = _give_up(state)
    elif state.quarantine is not None:
        move = None
    elif state.status == "compensating":
        move = _back(plan, state, now)
    else:
        move = _forward(plan, state, now)
    return move or _hold_change(plan, state)


def _ended_with_locks(state: State) -> e.Event | None:
    kept = state.keeps_locks and state.status == "completed"
    return e.LocksReleased(resources=state.locks) if state.locks and not kept else None


def _hold_change(plan: Plan, state: State) -> e.Event | None:
    now = hold(plan, state)
    if now == shown(state.hold):
        return None
    if now is not None:
        return e.Held(reason=now[0], detail=now[1])
    return e.Released(reason=state.hold.reason if state.hold else "")


def _give_up(state: State) -> e.Event | None:
    """Abandoned: what a driver is at work on right now is awaited, everything else is left as it is.

    A quarantined saga has no actor, so nothing of it is running.
    """
    if state.quarantine is None and any(run.phase == "calling" for _, _, run in state.seen.runs):
        return None
    error = state.error or state.turn or Error("cancelled", state.abandoned or "")
    return e.SagaFailed(error=error)


def _forward(plan: Plan, state: State, now: int) -> e.Event | None:
    if state.turn is None and state.seen.done:
        return e.Completed()
    if overdue(plan, state, now):
        return e.DeadlinePassed()
    late = expired(plan, state, now)
    if late is not None:
        return e.Expired(step=late[0], hash=late[1].hash)
    for index, lock in impatient(plan, state) if state.seen.locked else ():
        if lock.due is not None and lock.due <= now:
            return e.Failed(step=index, direction=locked_way(state, index), error=_not_free(lock))
    stopping = state.turn is not None or stops(plan, state)
    for index, direction, run in state.seen.runs:
        move = _run_stops(index, direction, run) if stopping and direction != "undo" else None
        move = move or _run_due(state, index, direction, run, now)
        if move is not None:
            return move
    if not stopping:
        return None
    move = _undone_without_call(plan, state, urgent(state))
    if move is None and settled(state):
        return _turn(plan, state)
    return move


def _not_free(lock: LockWait) -> Error:
    seconds = ((lock.due or 0) - lock.since) / 1000
    return Error("lock_timeout", f"{lock.resource.label} was not free within {seconds:g} s")


def _run_stops(index: int, direction: Direction, run: Run) -> e.Event | None:
    """Nothing new starts: what only waits ends. A repeat that settles an unknown outcome is made all the same."""
    if run.phase == "retrying" and not run.doubt:
        error = run.error or Error("interrupted", "it was not tried again")
        return e.Failed(step=index, direction=direction, error=error)
    if run.phase == "polling" and not run.changes:
        error = Error("interrupted", "the saga stops, so it no longer waits")
        return e.Failed(step=index, direction=direction, error=error)
    if run.phase == "polling" and run.interrupt:
        error = Error("interrupted", "cancelled while it went on elsewhere")
        return e.WentUnknown(step=index, direction=direction, error=error, spent=run.spent)
    return None


def _run_due(state: State, index: int, direction: Direction, run: Run, now: int) -> e.Event | None:
    """An attempt whose time has come begins; one that was never prepared is prepared first (``wants``)."""
    if run.phase == "retrying" and run.attempt and run.due <= now and not state.paused:
        number = run.attempt if run.postponed else run.attempt + 1
        return e.Attempted(step=index, direction=direction, attempt=number)
    return None


def _turn(plan: Plan, state: State) -> e.Event | None:
    if state.turn is not None and state.status == "pending":
        return e.RolledBack(error=state.turn)
    if state.turn is not None:
        return e.TurnedBack(error=state.turn)
    failing = [i for i, step in enumerate(state.steps) if step.failing]
    index = state.culprit if state.culprit in failing else failing[0]
    error = _why(plan, state, index)
    if plan.on_failure == "compensate":
        return e.TurnedBack(error=error)
    if plan.on_failure == "stop":
        return e.SagaFailed(error=error)
    return None


def _why(plan: Plan, state: State, index: int) -> Error:
    """Say why the saga fails at this step."""
    name, error = plan.steps[index].name, failure(state.steps[index])
    said = error.message if error else ""
    if not state.steps[index].hook_failed:
        last = plan.stack is not None and index in plan.stack.finalizers
        return Error("finalize_failed" if last else "step_failed", said, name)
    hook = plan.steps[index].hook
    return Error(
        "hook_failed", f"the hook {hook.operation if hook else ''} of step {name} failed: {said}", name
    )


def _back(plan: Plan, state: State, now: int) -> e.Event | None:
    for index, direction, run in state.seen.runs:
        move = _run_due(state, index, direction, run, now)
        if move is not None:
            return move
    left = to_undo(plan, state)
    move = _undone_without_call(plan, state, left)
    if move is not None:
        return move
    if left or state.seen.open or not quiet(state):
        return None
    if spared(plan, state):
        return None
    return _end(state)


def _end(state: State) -> e.Event:
    if still_done(state):
        return e.SagaFailed(error=state.error or Error("internal", "an undo failed"))
    return e.RolledBack()


def _undone_without_call(plan: Plan, state: State, left: list[int]) -> e.Event | None:
    """Give the next of these undos that needs no driver, if undos may begin."""
    if not left or state.paused or state.seen.open:
        return None
    broken = [i for i, step in enumerate(state.steps) if step.status == "compensation_failed"]
    moves = (_undo_without_call(plan, state, index, broken) for index in undoable(plan, state, left))
    return next((move for move in moves if move is not None), None)


def _undo_without_call(plan: Plan, state: State, index: int, broken: list[int]) -> e.Event | None:
    """What an undo comes to that needs no driver, with those that are ``broken``: None where it needs one."""
    step = state.steps[index]
    if step.irreversible:
        return e.Kept(step=index, why="irreversible")
    if step.way_back == "nothing":
        return e.NothingToUndo(step=index)
    if step.way_back == "none":
        return e.Kept(step=index, why="it has no way back (undo: none)")
    for other in broken:
        if state.steps[other].number > step.number and (
            index in plan.needs[other] or same_resource(state, index, other)
        ):
            name = plan.steps[other].name
            why = f"not tried: step {name}, which needs it or touches the same, could not be undone"
            return e.Failed(step=index, direction="undo", error=Error("blocked", why, name))
    return None


def _tick(_: Deciding, __: m.Tick) -> None:
    """Nothing by itself: ``follow`` sees what is due."""


def _admit(deciding: Deciding, _: m.Admit) -> None:
    state, deadline = deciding.state, deciding.plan.deadline
    if state.queued:
        deciding.emit(e.Admitted(deadline=None if deadline is None else deciding.now + deadline))


def _batch_ended(deciding: Deciding, _: m.BatchEnded) -> None:
    state = deciding.state
    if state.keeps_locks:
        deciding.emit(e.BatchEnded())
    if state.queued and state.turn is None:
        deciding.emit(e.CancelRequested(reason="its batch is over"))


def _quarantine(deciding: Deciding, message: m.Quarantine) -> None:
    if deciding.state.status not in ENDED:
        deciding.emit(e.Quarantined(why=message.why))


def _restore(deciding: Deciding, message: m.Restore) -> None:
    if deciding.state.status not in ENDED:
        deciding.emit(e.Restored(why=message.why))


def _rebuild(deciding: Deciding, message: m.Rebuild) -> None:
    deciding.emit(e.Rebuilt(why=message.why))


_HANDLERS: dict[type[m.Message], Callable[[Deciding, Any], m.Reply | None]] = {
    m.Tick: _tick,
    m.Admit: _admit,
    m.BatchEnded: _batch_ended,
    m.Prepared: answers.prepared,
    m.NotPrepared: answers.not_prepared,
    m.Blocked: answers.blocked,
    m.Granted: answers.granted,
    m.Deadlocked: answers.deadlocked,
    m.Answered: answers.answered,
    m.Found: answers.found,
    m.Quarantine: _quarantine,
    m.Restore: _restore,
    m.Rebuild: _rebuild,
    **verbs.HANDLERS,
}
