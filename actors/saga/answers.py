"""What the children of a saga tell it: prepared, answered, found. Each handler turns one message into events.

Only the current attempt counts (``current``): what comes from any other is recorded and ignored.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.deciding import Deciding
from actors.saga.plan import OnConflict, PlanStep, Retry
from actors.saga.state import ENDED, Ask, Error, Run, State, Touch
from actors.saga.wants import at_work, preparable, turnable


def current(state: State, message: m.FromRun) -> Run | None:
    """Give the execution that the message is about, if it is still the current one."""
    if not 0 <= message.step < len(state.steps) or state.status in ENDED:
        return None
    run: Run | None = getattr(state.steps[message.step], message.direction)
    if run is None or run.generation != message.generation or run.phase == "over":
        return None
    return run


def _still_wanted(deciding: Deciding, message: m.FromRun) -> bool:
    """Tell whether the intent that was being prepared may still be written."""
    wanted = preparable(deciding.plan, deciding.state, deciding.now)
    return (message.step, message.direction, message.generation) in wanted


def prepared(deciding: Deciding, message: m.Prepared) -> None:
    """Write the intent; or queue the step behind another one that is at work on the same resource."""
    state, index = deciding.state, message.step
    if not _still_wanted(deciding, message):
        return
    if message.direction == "forward" and message.resource is not None:
        behind = _at_work_on(state, index, message.resource)
        if behind is not None:
            deciding.emit(e.Queued(step=index, behind=behind, resource=message.resource))
            return
    if _asks(deciding, message):
        return
    _lock(deciding, message)
    plan = deciding.plan.steps[index]
    was: Run | None = getattr(state.steps[index], message.direction)
    deciding.emit(
        e.Started(
            step=index,
            direction=message.direction,
            generation=message.generation,
            execution=message.execution,
            payload=message.payload,
            nature=message.nature,
            changes=message.changes,
            repeats=message.repeats,
            finds=message.finds,
            way_back=message.way_back,
            irreversible=message.irreversible,
            resource=message.resource,
            undo_started=plan.undo_when == "started" and message.direction == "forward",
            force=was is not None and was.force,
        )
    )


def _asks(deciding: Deciding, message: m.Prepared) -> bool:
    """Ask for an approval where one is needed, and none was given of exactly this."""
    if not _is_asked_for(deciding.plan.steps[message.step], message):
        return False
    step = deciding.state.steps[message.step]
    ask = step.ask if message.direction == "forward" else step.undo_ask
    if ask is not None and _is_given(ask, message):
        return False
    if message.direction == "forward":
        deciding.ask(message.hash, message.step, irreversible=message.irreversible, message=message.message)
    else:
        deciding.ask_undo(message.hash, message.step)
    return True


def _is_given(ask: Ask, message: m.Prepared) -> bool:
    """Tell whether exactly this was approved."""
    return ask.approved and ask.hash == message.hash


def _is_asked_for(step: PlanStep, message: m.Prepared) -> bool:
    if message.direction != "forward":
        return message.direction == "undo" and step.asks_undo
    return step.asks == "each" or (step.asks == "irreversible" and message.irreversible)


def _lock(deciding: Deciding, message: m.Prepared) -> None:
    """Take the lock of what is to be changed, which was free; it is kept for the rest of the saga."""
    resource = message.resource
    if resource is not None and message.changes and not deciding.state.has_lock(resource):
        deciding.emit(e.LockTaken(step=message.step, resource=resource))


def blocked(deciding: Deciding, message: m.Blocked) -> None:
    """Wait for another saga's lock: a step and its hook for as long as its ``lock_timeout``."""
    if not _still_wanted(deciding, message):
        return
    timeout = deciding.plan.steps[message.step].lock_timeout if message.direction != "undo" else None
    deciding.emit(
        e.LockAwaited(
            step=message.step,
            resource=message.resource,
            behind=message.behind,
            due=None if timeout is None else deciding.now + timeout,
        )
    )


def granted(deciding: Deciding, message: m.Granted) -> None:
    """Take the lock that a step waits for."""
    lock = deciding.state.steps[message.step].lock
    if lock is not None:
        deciding.emit(e.LockTaken(step=message.step, resource=lock.resource))


def deadlocked(deciding: Deciding, message: m.Deadlocked) -> None:
    """Turn back for the sake of the others; or have somebody look, where nobody of them can."""
    state = deciding.state
    if state.seen.locked and (state.deadlock is None if not message.turns else turnable(state)):
        deciding.emit(e.DeadlockFound(sagas=message.sagas, turns=message.turns))


def _at_work_on(state: State, index: int, resource: Touch) -> int | None:
    """Give the other step of the saga that is at work on the same or an enclosing resource."""
    for other, step in enumerate(state.steps):
        if (
            other != index
            and at_work(step)
            and step.resource is not None
            and step.resource.overlaps(resource)
        ):
            return other
    return None


def not_prepared(deciding: Deciding, message: m.NotPrepared) -> None:
    """Fail the step, try again later, or have the saga wait for somebody to mend the node."""
    state, index = deciding.state, message.step
    if not _still_wanted(deciding, message):
        return
    if message.stuck:
        deciding.emit(e.Stuck(why=message.error.message))
        return
    if message.postponed is not None:
        _postpone(deciding, message, message.error, message.postponed)
        return
    run: Run | None = getattr(state.steps[index], message.direction)
    spent = run.spent if run is not None and run.generation == message.generation else 0
    if not _delayed(deciding, message, message.error, spent + 1):
        _fail(deciding, message, message.error)


def answered(deciding: Deciding, message: m.Answered) -> None:
    """Take what came of an attempt, if it is the current one."""
    run = current(deciding.state, message)
    lost_poll = run is not None and run.phase == "polling" and message.kind == "lost"  # it is asked again
    if (
        run is None
        or lost_poll
        or run.attempt != message.attempt
        or run.phase not in ("calling", "polling")
        or (message.kind in ("already", "conflict") and not _guarded(deciding, message))
    ):
        deciding.emit(
            e.AnswerIgnored(
                step=message.step,
                direction=message.direction,
                generation=message.generation,
                attempt=message.attempt,
                outcome=message.kind,
            )
        )
        return
    _ANSWERS[message.kind](deciding, message, run)


def _guarded(deciding: Deciding, message: m.Answered) -> bool:
    """Tell whether the attempt looked, before it began, at what somebody else may have changed."""
    return message.direction == "undo" or deciding.plan.steps[message.step].takes_back is not None


def _on_success(deciding: Deciding, message: m.Answered, _: Run) -> None:
    deciding.succeed(
        message.step,
        message.direction,
        how="already" if message.kind == "already" else "answered",
        payload=message.payload,
        id=message.id,
        moved=message.moved,
    )


def _on_working(deciding: Deciding, message: m.Answered, _: Run) -> None:
    deciding.emit(
        e.Working(
            step=message.step,
            direction=message.direction,
            due=message.due,
            payload=message.payload,
            detail=message.detail,
        )
    )


def _on_failure(deciding: Deciding, message: m.Answered, run: Run) -> None:
    """Nothing changed by this attempt, for certain. An earlier one that nobody settled may still have done it."""
    error, spent = _error(message), run.spent + 1
    if _delayed(deciding, message, error, spent):
        return
    if run.doubt and not message.certain:
        _ask(deciding, message, run, error, spent)
    else:
        _fail(deciding, message, error)


def _ask(deciding: Deciding, message: m.Answered, run: Run, error: Error, spent: int) -> None:
    """What an earlier attempt did has to be settled still: by its driver, else by the operator."""
    deciding.emit(e.WentUnknown(step=message.step, direction=message.direction, error=error, spent=spent))
    if not run.finds:
        why = Error("unknown", f"{error.message}; and an earlier attempt may have done it")
        _settled(deciding, message, "unclear", why)


def _error(message: m.Answered | m.Found) -> Error:
    return message.error or Error("unknown", "no reason was given")


def _retry_of(deciding: Deciding, message: m.FromRun) -> Retry:
    step = deciding.plan.steps[message.step]
    return step.undo_retry if message.direction == "undo" else step.retry


def _delayed(deciding: Deciding, message: m.Answered | m.NotPrepared, error: Error, spent: int) -> bool:
    """Have it tried again if the failure is of a kind that passes and attempts are left."""
    retry = _retry_of(deciding, message)
    again = (
        ("transient" in retry.on and message.transient)
        or ("rate_limited" in retry.on and message.rate_limited)
        or "failed" in retry.on
    )
    if not again or spent >= retry.attempts:
        return False
    due = deciding.now + max(retry.wait(spent), message.retry_after or 0)
    _delay(deciding, message, error, spent, due)
    return True


def _fail(deciding: Deciding, message: m.FromRun, error: Error) -> None:
    opened = message.direction == "undo" and deciding.plan.on_undo_failure == "hold"
    deciding.emit(e.Failed(step=message.step, direction=message.direction, error=error, open=opened))


def _delay(deciding: Deciding, message: m.FromRun, error: Error, spent: int, due: int) -> None:
    deciding.emit(
        e.Delayed(
            step=message.step,
            direction=message.direction,
            error=error,
            spent=spent,
            due=due,
            generation=message.generation,
        )
    )


def _postpone(deciding: Deciding, message: m.FromRun, error: Error, due: int) -> None:
    deciding.emit(
        e.Postponed(
            step=message.step,
            direction=message.direction,
            why=error.message,
            due=due,
            generation=message.generation,
        )
    )


def _on_postponed(deciding: Deciding, message: m.Answered, _: Run) -> None:
    _postpone(deciding, message, _error(message), message.due)


def _on_partial(deciding: Deciding, message: m.Answered, _: Run) -> None:
    """Only a step itself can be undone for the part that it did; a hook or an undo that did a part has failed."""
    if message.direction != "forward":
        _fail(deciding, message, _error(message))
    else:
        deciding.emit(
            e.PartlyDone(step=message.step, error=_error(message), payload=message.payload, id=message.id)
        )


def _on_compensated(deciding: Deciding, message: m.Answered, run: Run) -> None:
    if run.doubt:
        _ask(deciding, message, run, _error(message), run.spent + 1)
    elif message.direction != "forward":
        _fail(deciding, message, _error(message))
    else:
        deciding.emit(e.CleanedUp(step=message.step, error=_error(message)))


def _on_unknown(deciding: Deciding, message: m.Answered, run: Run) -> None:
    """A lost attempt (a crash of ours) is not the step's own failure and does not count against its attempts."""
    spent = run.spent if message.kind == "lost" else run.spent + 1
    if run.changes:
        deciding.emit(
            e.WentUnknown(step=message.step, direction=message.direction, error=_error(message), spent=spent)
        )
    elif message.kind == "lost":
        _delay(deciding, message, _error(message), spent, deciding.now)
    elif not _delayed(deciding, _transient(message), _error(message), spent):
        _fail(deciding, message, _error(message))


def _transient(message: m.Answered) -> m.Answered:
    """An unknown outcome of what changes nothing is a failure that may pass."""
    return msgspec.structs.replace(message, transient=True)


def _on_conflict(deciding: Deciding, message: m.Answered, run: Run) -> None:
    plan = deciding.plan
    rule = plan.steps[message.step].on_conflict or plan.on_conflict
    if message.direction == "forward":
        _not_taken_back(deciding, message, run, rule)
    elif rule == "hold":
        deciding.emit(e.Conflicted(step=message.step, error=_error(message)))
    elif rule == "skip":
        deciding.emit(e.Kept(step=message.step, why=_error(message).message))
    else:
        deciding.emit(e.Conflicted(step=message.step, error=_error(message)))
        deciding.emit(e.UndoReset(step=message.step, force=True, reason="on_conflict: force"))
        deciding.emit(e.Attempted(step=message.step, direction="undo", attempt=run.attempt + 1))


def _not_taken_back(deciding: Deciding, message: m.Answered, run: Run, rule: OnConflict) -> None:
    """A step that takes back another saga's fails over a conflict; what an earlier attempt did is settled first."""
    error = _error(message)
    if run.doubt:
        _ask(deciding, message, run, error, run.spent + 1)
        return
    _fail(deciding, message, error)
    if rule == "force":
        deciding.emit(e.Reset(step=message.step, force=True, reason="on_conflict: force"))
    elif rule == "skip":
        left = f"not taken back: {error.message}"
        deciding.emit(e.Skipped(step=message.step, left=left, reason="on_conflict: skip"))


_ANSWERS: dict[str, Callable[[Deciding, m.Answered, Run], None]] = {
    "succeeded": _on_success,
    "already": _on_success,
    "failed": _on_failure,
    "partial": _on_partial,
    "compensated": _on_compensated,
    "unknown": _on_unknown,
    "lost": _on_unknown,
    "working": _on_working,
    "conflict": _on_conflict,
    "postponed": _on_postponed,
}


def found(deciding: Deciding, message: m.Found) -> None:
    """Settle an unknown outcome: done, surely not done, safe to repeat, or somebody must look. Never a blind repeat."""
    run = current(deciding.state, message)
    if run is None or run.phase != "settling" or run.attempt != message.attempt:
        return
    if message.kind == "postponed":
        _postpone(deciding, message, _error(message), message.due)
    elif message.kind == "done":
        _settled(deciding, message, "done")
        deciding.succeed(
            message.step,
            message.direction,
            how="found",
            payload=message.payload,
            id=message.id,
            moved=message.moved,
        )
    elif message.kind == "not_done":
        _settled(deciding, message, "not_done")
        _again_or_failed(deciding, message, run)
    elif (
        message.kind == "cannot"
        and not run.finds
        and run.repeats
        and message.same_secrets
        and _attempts_left(deciding, message, run)
    ):
        _settled(deciding, message, "repeat")
        _again_or_failed(deciding, message, run)
    else:
        _settled(deciding, message, "unclear", _unclear(message, run))


def _settled(deciding: Deciding, message: m.FromRun, as_: str, error: Error | None = None) -> None:
    deciding.emit(e.Settled(step=message.step, direction=message.direction, as_=as_, error=error))


def _unclear(message: m.Found, run: Run) -> Error:
    lost = run.error.message if run.error else "its answer was lost"
    if message.kind == "unclear":
        return Error("unknown", f"{lost}; {_error(message).message}")
    if run.finds or not run.repeats:
        return Error("unknown", f"{lost}; its driver cannot find out, and it is not safe to repeat")
    if not message.same_secrets:
        return Error("unknown", f"{lost}; a secret in its arguments has changed since, so it is not repeated")
    return Error("unknown", f"{lost}, after {run.spent} attempts")


def _attempts_left(deciding: Deciding, message: m.FromRun, run: Run) -> bool:
    """An unknown outcome may be repeated at least once, whatever ``retry.attempts`` says."""
    return run.spent < max(_retry_of(deciding, message).attempts, 2)


def _again_or_failed(deciding: Deciding, message: m.Found, run: Run) -> None:
    """It is settled that a repeat is safe. After a crash of ours it begins at once, else by ``retry``."""
    error = run.error or Error("unknown", "its answer was lost")
    if not _attempts_left(deciding, message, run):
        _fail(deciding, message, error)
        return
    wait = _retry_of(deciding, message).wait(run.spent) if run.spent else 0
    _delay(deciding, message, error, run.spent, deciding.now + wait)
