"""What each event makes of a saga: ``evolve(state, event, at)`` gives the next state.

Folded over a saga's events it gives its checkpoint; ``audit replay`` and the tests hold the two against each other.
Total: an event that does not fit the state (there is none the machine would write) changes as much as it can. No
event is ever refused here; deciding is the machine's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from actors.saga import events as e
from actors.saga.state import (
    Ask,
    Cancel,
    Error,
    Held,
    LockWait,
    Move,
    Pause,
    Run,
    State,
    Status,
    StepState,
    Touch,
)
from actors.saga.steps import anew, closed, counts, let_be, of_hook, remains, still_done, undo_anew

NO_STATE = State(created_at=0, steps=())


def evolve(state: State, event: e.Event, at: int) -> State:
    """Give the state after the event, which happened at ``at`` (UTC milliseconds)."""
    changed = _FOLDS[type(event)](state, event, at)
    return replace(changed, updated_at=at)


def _step(state: State, index: int, **changes: Any) -> State:
    steps = state.steps
    changed = replace(steps[index], **changes)
    return replace(state, steps=(*steps[:index], changed, *steps[index + 1 :]))


def _run(state: State, event: e.RunEvent, **changes: Any) -> State:
    """Change the execution of the event's direction, which waits for its service no longer."""
    run = getattr(state.steps[event.step], event.direction) or Run(generation=0)
    return _step(state, event.step, **{event.direction: replace(run, **{"postponed": "", **changes})})


# --- of the saga ---------------------------------------------------------------------------------------------------


def _submitted(_: State, event: e.Submitted, at: int) -> State:
    return State(
        created_at=at,
        deadline=event.deadline,
        steps=tuple(StepState() for _ in range(event.steps)),
        queued=event.queued,
        keeps_locks=event.keeps_locks,
        takes_back=event.rollback_of is not None,
    )


def _admitted(state: State, event: e.Admitted, _: int) -> State:
    return replace(state, queued=False, deadline=event.deadline)


def _batch_ended(state: State, _: e.BatchEnded, __: int) -> State:
    return replace(state, keeps_locks=False)


def _cancel_requested(state: State, event: e.CancelRequested, at: int) -> State:
    by = event.actor or "sagad"
    why = f"cancelled by {by}" + (f": {event.reason}" if event.reason else "")
    return replace(
        state,
        cancel=Cancel(by=by, at=at, reason=event.reason, now=event.now),
        turn=state.turn or Error("cancelled", why),
        steps=_interrupted(state) if event.now else state.steps,
        paused=False,
        pause=None,
        stuck=None,
    )


def _interrupted(state: State) -> tuple[StepState, ...]:
    """What is on its way forward right now, hooks too, is to be interrupted; what begins later is not."""
    return tuple(
        replace(step, forward=_interrupt(step.forward), hook=_interrupt(step.hook)) for step in state.steps
    )


def _interrupt(run: Run | None) -> Run | None:
    goes = run is not None and run.phase in ("calling", "polling")
    return replace(run, interrupt=True) if run is not None and goes else run


def _deadline_passed(state: State, _: e.DeadlinePassed, __: int) -> State:
    return replace(
        state, turn=state.turn or Error("deadline", "the way forward took longer than its deadline")
    )


def _turned_back(state: State, event: e.TurnedBack, _: int) -> State:
    """What waited for a lock on its way forward waits no longer."""
    steps = tuple(step if step.lock is None else replace(step, lock=None) for step in state.steps)
    return replace(
        state,
        status="compensating",
        steps=steps,
        error=event.error,
        turn=event.error,
        stuck=None,
        deadlock=None,
    )


def _turned_forward(state: State, event: e.TurnedForward, _: int) -> State:
    again = frozenset(event.steps)
    steps = tuple(
        anew(step) if index in again else still_done(step) for index, step in enumerate(state.steps)
    )
    return replace(
        state,
        status="running",
        steps=steps,
        error=None,
        turn=None,
        culprit=None,
        cancel=None,
        deadline=event.deadline,
    )


def _went_past(state: State, _: e.WentPastIrreversible, __: int) -> State:
    return replace(state, past=True)


def _pause_requested(state: State, event: e.PauseRequested, at: int) -> State:
    return replace(state, paused=True, pause=Pause(by=event.actor or "sagad", at=at, reason=event.reason))


def _resumed(state: State, _: e.Resumed, __: int) -> State:
    return replace(state, paused=False, pause=None, quarantine=None, restored=False)


def _held(state: State, event: e.Held, at: int) -> State:
    since = state.hold.since if state.hold and state.hold.reason == event.reason else at
    return replace(state, hold=Held(reason=event.reason, since=since, detail=event.detail))  # type: ignore[arg-type]


def _released(state: State, _: e.Released, __: int) -> State:
    return replace(state, hold=None)


def _quarantined(state: State, event: e.Quarantined, _: int) -> State:
    return replace(state, quarantine=event.why, restored=False)


def _restored(state: State, event: e.Restored, _: int) -> State:
    return replace(state, quarantine=event.why, restored=True)


def _rebuilt(state: State, _: e.Rebuilt, __: int) -> State:
    return state


def _stuck(state: State, event: e.Stuck, _: int) -> State:
    return replace(state, stuck=event.why)


def _unstuck(state: State, _: e.Unstuck, __: int) -> State:
    return replace(state, stuck=None)


def _abandon_requested(state: State, event: e.AbandonRequested, _: int) -> State:
    return replace(
        state,
        abandoned=f"abandoned by {event.actor or 'sagad'}: {event.reason}",
        steps=_interrupted(state),
        paused=False,
        pause=None,
    )


def _reopened(state: State, event: e.Reopened, _: int) -> State:
    anew = frozenset(event.steps)
    steps = tuple(
        undo_anew(step, force=event.force) if index in anew else let_be(step)
        for index, step in enumerate(state.steps)
    )
    return replace(state, status="compensating", steps=steps, finished_at=None, abandoned=None)


def _asked(state: State, event: e.Asked, at: int) -> State:
    ask = Ask(
        hash=event.hash,
        since=at,
        due=event.due,
        irreversible=event.irreversible,
        message=event.message,
    )
    return _with_ask(state, event, ask)


def _with_ask(state: State, event: e.ApprovalEvent, ask: Ask) -> State:
    if event.step is None:
        return replace(state, ask=ask)
    return _step(state, event.step, **{"ask" if event.direction == "forward" else "undo_ask": ask})


def _ask_of(state: State, event: e.ApprovalEvent) -> Ask | None:
    if event.step is None:
        return state.ask
    step = state.steps[event.step]
    return step.ask if event.direction == "forward" else step.undo_ask


def _approved(state: State, event: e.Approved, at: int) -> State:
    ask = _ask_of(state, event) or Ask(hash=event.hash, since=at)
    given, reason = (*ask.given, event.actor or "sagad"), event.reason or ask.reason
    ask = replace(ask, given=given, approved=event.enough, reason=reason)
    return _with_ask(state, event, ask)


def _rejected(state: State, event: e.Rejected, _: int) -> State:
    """An undo that was rejected is kept, which is an event of its own."""
    if event.direction == "undo":
        return state
    why = f"rejected by {event.actor or 'sagad'}" + (f": {event.reason}" if event.reason else "")
    return replace(state, turn=state.turn or Error("rejected", why), paused=False, pause=None, stuck=None)


def _expired(state: State, _: e.Expired, __: int) -> State:
    return replace(
        state, turn=state.turn or Error("expired", "the approval that it asked for was not given in time")
    )


def _lock_taken(state: State, event: e.LockTaken, _: int) -> State:
    changed = _step(state, event.step, lock=None)
    return replace(changed, locks=(*state.locks, event.resource), deadlock=None)


def _lock_awaited(state: State, event: e.LockAwaited, at: int) -> State:
    return _step(state, event.step, lock=LockWait(resource=event.resource, since=at, due=event.due))


def _locks_released(state: State, _: e.LocksReleased, __: int) -> State:
    return replace(state, locks=())


def _deadlock_found(state: State, event: e.DeadlockFound, _: int) -> State:
    others = ", ".join(event.sagas)
    why = f"a deadlock: the sagas {others} wait for each other's locks"
    if event.turns:
        return replace(state, turn=state.turn or Error("deadlock", why))
    return replace(state, deadlock=why)


def _completed(state: State, _: e.Completed, at: int) -> State:
    return _ended(state, "completed", at)


def _rolled_back(state: State, event: e.RolledBack, at: int) -> State:
    return replace(_ended(state, "rolled_back", at), error=event.error or state.error)


def _saga_failed(state: State, event: e.SagaFailed, at: int) -> State:
    """What was not taken back is left behind, and says why."""
    why = state.abandoned or "left as it is (on_failure: stop)"
    ended = _ended(state, "failed", at)
    steps = tuple(replace(step, left=why) if remains(step) else step for step in ended.steps)
    return replace(ended, error=event.error, steps=steps)


def _ended(state: State, status: Status, at: int) -> State:
    """Every step of an ended saga has one final status, whatever way it ended."""
    return replace(
        state,
        status=status,
        steps=tuple(closed(step) for step in state.steps),
        finished_at=at,
        hold=None,
        paused=False,
        pause=None,
        stuck=None,
        turn=None,
        queued=False,
    )


# --- of a step -----------------------------------------------------------------------------------------------------


def _started(state: State, event: e.Started, at: int) -> State:
    run = Run(
        generation=event.generation,
        execution=event.execution,
        attempt=1,
        spent=_spent(state, event),
        changes=event.changes,
        repeats=event.repeats,
        finds=event.finds,
        force=event.force,
        began=at,
    )
    if event.direction == "undo":
        return _step(state, event.step, status="compensating", undo=run)
    if event.direction == "hook":
        return _step(state, event.step, hook=run)
    number = state.numbers + 1
    changed = _step(
        state,
        event.step,
        status="running",
        number=number,
        forward=run,
        way_back=event.way_back,
        irreversible=event.irreversible,
        undo_started=event.undo_started,
        resource=event.resource,
        behind=None,
        started_at=at,
    )
    return replace(changed, numbers=number, status="running")


def _spent(state: State, event: e.Started) -> int:
    """Failures to prepare count on: they are attempts of the same generation."""
    before: Run | None = getattr(state.steps[event.step], event.direction)
    return before.spent if before is not None and before.generation == event.generation else 0


def _attempted(state: State, event: e.Attempted, at: int) -> State:
    return _run(
        state, event, attempt=event.attempt, phase="calling", due=0, error=None, interrupt=False, began=at
    )


def _working(state: State, event: e.Working, _: int) -> State:
    return _run(state, event, phase="polling", due=event.due)


def _succeeded(state: State, event: e.Succeeded, at: int) -> State:
    step = state.steps[event.step]
    run = getattr(step, event.direction) or Run(generation=0)
    over = replace(run, phase="over", error=None, due=0, doubt=False, interrupt=False, postponed="")
    if event.direction == "undo":
        return _step(
            state,
            event.step,
            undo=over,
            status="compensated",
            finished_at=at,
            left=None,
            open=False,
            **_error_kept(state, event),
        )
    if event.direction == "hook":
        return _step(state, event.step, hook=over, status="completed", owes_hook=False, finished_at=at)
    return _step(
        _identified(state, event),
        event.step,
        forward=over,
        status="running" if event.hook else "completed",
        did=True,
        owes_hook=event.hook,
        failing=False,
        error=None,
        finished_at=None if event.hook else at,
    )


def _identified(state: State, event: e.Succeeded | e.PartlyDone) -> State:
    """What exists has an id from now on, where the driver gave one; its lock is the lock of that."""
    was = state.steps[event.step].resource
    if was is None or not event.id:
        return state
    now = replace(was, id=event.id)
    changed = _step(state, event.step, resource=now)
    return replace(changed, locks=tuple(now if lock == was else lock for lock in state.locks))


def _error_kept(state: State, event: e.Succeeded) -> dict[str, Any]:
    """An undone step keeps the error that it failed with; an undo's own error is over with the undo."""
    step = state.steps[event.step]
    return {"error": step.error if step.failing else None}


def _failed(state: State, event: e.Failed, at: int) -> State:
    changed = _run(state, event, phase="over", error=event.error, doubt=False, interrupt=False)
    changed = _step(changed, event.step, lock=None)
    if event.direction == "undo":
        message = event.error.message
        return _step(
            changed,
            event.step,
            status="compensation_failed",
            error=event.error,
            left=message if event.error.code == "blocked" else f"its undo failed: {message}",
            open=event.open,
            finished_at=at,
        )
    if event.direction == "hook":
        failing = _failing(changed, replace(event, error=of_hook(event.error)), at, status="failed")
        return replace(failing, stuck=None)  # so that its undo can begin, whatever a later step was stuck at
    did = counts(changed.steps[event.step])
    return _failing(changed, event, at, status="failed", did=did)


def _failing(state: State, event: e.Failed | e.PartlyDone | e.CleanedUp, at: int, **changes: Any) -> State:
    """The saga cannot go forward because of this step."""
    changed = _step(state, event.step, failing=True, error=event.error, finished_at=at, **changes)
    culprit = event.step if state.culprit is None else state.culprit
    return replace(changed, status="running", culprit=culprit)


def _delayed(state: State, event: e.Delayed, _: int) -> State:
    run = _begun(state, event)
    run = replace(run, phase="retrying", error=event.error, spent=event.spent, due=event.due, postponed="")
    return _to_come(state, event, run)


def _begun(state: State, event: e.Delayed | e.Postponed) -> Run:
    """Give the execution that the event is of: the one there is, or one that is not even prepared yet."""
    run: Run | None = getattr(state.steps[event.step], event.direction)
    if run is not None and run.generation == event.generation:
        return run
    return Run(generation=event.generation, phase="retrying", force=run is not None and run.force)


def _to_come(state: State, event: e.RunEvent, run: Run) -> State:
    """Its next attempt, or its preparing, is to come."""
    changed = _step(state, event.step, **{event.direction: run})
    if event.direction == "undo":
        return _step(changed, event.step, status="compensating")
    return replace(_step(changed, event.step, status="running"), status="running")


def _postponed(state: State, event: e.Postponed, _: int) -> State:
    """What goes on elsewhere, or is being found out, is so still; an attempt that was to begin is to come."""
    run = replace(_begun(state, event), due=event.due, postponed=event.why)
    if run.phase in ("polling", "settling"):
        return _run(state, event, due=event.due, postponed=event.why)
    # One that was to be interrupted has ended, and has done nothing.
    return _to_come(state, event, replace(run, phase="retrying", interrupt=False))


def _unknown(state: State, event: e.WentUnknown, at: int) -> State:
    return _run(
        state, event, phase="settling", error=event.error, spent=event.spent, since=at, interrupt=False
    )


def _settled(state: State, event: e.Settled, _: int) -> State:
    """Only done and not_done are certain: what is repeated without knowing stays in doubt."""
    if event.as_ == "unclear":
        changed = _run(state, event, phase="unknown", error=event.error)
        return changed if event.direction == "undo" else _step(changed, event.step, status="unknown")
    changed = _run(state, event, doubt=event.as_ == "repeat")
    return changed if event.direction == "undo" else _step(changed, event.step, status="running")


def _answer_ignored(state: State, _: e.AnswerIgnored, __: int) -> State:
    return state


def _partly_done(state: State, event: e.PartlyDone, at: int) -> State:
    return _failing(
        _identified(state, event),
        event,
        at,
        status="failed",
        did=True,
        partial=True,
        forward=_over(state, event),
    )


def _over(state: State, event: e.PartlyDone | e.CleanedUp) -> Run:
    run = state.steps[event.step].forward or Run(generation=0)
    return replace(run, phase="over", error=event.error, doubt=False, interrupt=False)


def _cleaned_up(state: State, event: e.CleanedUp, at: int) -> State:
    return _failing(state, event, at, status="compensated", did=False, forward=_over(state, event))


def _moved(state: State, event: e.Moved, _: int) -> State:
    was = event.resource
    move = Move(type=was.type, id=was.id or "", to=event.to)
    steps = tuple(
        replace(step, resource=renamed(step.resource, event.to))
        if step.resource is not None and (step.resource.type, step.resource.id) == (was.type, was.id)
        else step
        for step in state.steps
    )
    return replace(state, moves=(*state.moves, move), steps=steps)


def renamed(resource: Touch, to: str) -> Touch:
    """Give a resource under another id; what was named by its id is so still."""
    return replace(resource, id=to, name=to if resource.name == resource.id else resource.name)


def _queued(state: State, event: e.Queued, _: int) -> State:
    return _step(state, event.step, behind=event.behind, resource=event.resource)


def _reset(state: State, event: e.Reset, _: int) -> State:
    step = anew(state.steps[event.step], force=event.force)
    steps = (*state.steps[: event.step], step, *state.steps[event.step + 1 :])
    return replace(state, steps=steps, culprit=_other_than(state, event.step))


def _other_than(state: State, index: int) -> int | None:
    return None if state.culprit == index else state.culprit


def _skipped(state: State, event: e.Skipped, at: int) -> State:
    """It may be what the saga was stuck at, so that is tried again."""
    step = state.steps[event.step]
    still_there = step.did and step.status in ("failed", "kept")
    run = step.forward
    changed = _step(
        state,
        event.step,
        status="skipped",
        forward=run and replace(run, phase="over", due=0, postponed=""),
        failing=False,
        given=event.given,
        lock=None,
        finished_at=at,
        left="skipped by the operator while partly done" if still_there else event.left,
    )
    return replace(changed, culprit=_other_than(state, event.step), stuck=None)


def _kept(state: State, event: e.Kept, at: int) -> State:
    step = state.steps[event.step]
    undo = step.undo and replace(step.undo, phase="over")
    changed = _step(
        state,
        event.step,
        status="kept",
        left=event.why,
        undo=undo,
        undo_ask=None,
        open=False,
        lock=None,
        finished_at=at,
    )
    return replace(changed, stuck=None)


def _nothing_to_undo(state: State, event: e.NothingToUndo, at: int) -> State:
    return _step(state, event.step, status="compensated", finished_at=at)


def _conflicted(state: State, event: e.Conflicted, _: int) -> State:
    run = state.steps[event.step].undo or Run(generation=1)
    return _step(state, event.step, undo=replace(run, phase="conflict", error=event.error))


def _undo_reset(state: State, event: e.UndoReset, _: int) -> State:
    step = state.steps[event.step]
    run = step.undo or Run(generation=0)
    if run.phase in ("conflict", "unknown"):
        doubt = run.doubt or run.phase == "unknown"
        again = replace(run, phase="retrying", due=0, force=event.force, doubt=doubt, postponed="")
        return _step(state, event.step, undo=again)
    steps = (*state.steps[: event.step], undo_anew(step, force=event.force), *state.steps[event.step + 1 :])
    return replace(state, steps=steps)


def _failure_accepted(state: State, event: e.FailureAccepted, _: int) -> State:
    return _step(state, event.step, open=False)


_FOLDS: dict[type[e.Event], Callable[[State, Any, int], State]] = {
    e.Submitted: _submitted,
    e.Admitted: _admitted,
    e.BatchEnded: _batch_ended,
    e.CancelRequested: _cancel_requested,
    e.DeadlinePassed: _deadline_passed,
    e.TurnedBack: _turned_back,
    e.TurnedForward: _turned_forward,
    e.WentPastIrreversible: _went_past,
    e.PauseRequested: _pause_requested,
    e.Resumed: _resumed,
    e.Held: _held,
    e.Released: _released,
    e.Quarantined: _quarantined,
    e.Restored: _restored,
    e.Rebuilt: _rebuilt,
    e.Stuck: _stuck,
    e.Unstuck: _unstuck,
    e.AbandonRequested: _abandon_requested,
    e.Asked: _asked,
    e.Approved: _approved,
    e.Rejected: _rejected,
    e.Expired: _expired,
    e.LockTaken: _lock_taken,
    e.LockAwaited: _lock_awaited,
    e.LocksReleased: _locks_released,
    e.DeadlockFound: _deadlock_found,
    e.Completed: _completed,
    e.RolledBack: _rolled_back,
    e.SagaFailed: _saga_failed,
    e.Reopened: _reopened,
    e.Started: _started,
    e.Attempted: _attempted,
    e.Working: _working,
    e.Succeeded: _succeeded,
    e.Failed: _failed,
    e.Delayed: _delayed,
    e.Postponed: _postponed,
    e.WentUnknown: _unknown,
    e.Settled: _settled,
    e.AnswerIgnored: _answer_ignored,
    e.PartlyDone: _partly_done,
    e.CleanedUp: _cleaned_up,
    e.Moved: _moved,
    e.Queued: _queued,
    e.Reset: _reset,
    e.Skipped: _skipped,
    e.Kept: _kept,
    e.NothingToUndo: _nothing_to_undo,
    e.Conflicted: _conflicted,
    e.UndoReset: _undo_reset,
    e.FailureAccepted: _failure_accepted,
}
