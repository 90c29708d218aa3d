"""An operator mends what a saga cannot mend itself: retry, skip and resolve, in every state where they do something.

Which one does what in which state is in the table (``verbs``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.deciding import Deciding
from actors.saga.holds import named, still_done, to_undo_now, urgent
from actors.saga.replies import accepted, refused
from actors.saga.state import DONE, Direction, Error, Run, StepState
from actors.saga.wants import unprepared

# --- retry ---------------------------------------------------------------------------------------------------------


def _named(deciding: Deciding, verb: m.Retry, fits: Callable[[StepState], bool]) -> list[int]:
    steps = deciding.state.steps
    return [i for i, step in enumerate(steps) if fits(step) and verb.step in (None, i)]


def unstick(deciding: Deciding, verb: m.Retry) -> m.Reply:
    """Have a saga that could not go on here try again."""
    deciding.emit(e.Unstuck(actor=verb.by, reason=verb.reason))
    return accepted("it tries to go on")


def retry_failed(deciding: Deciding, verb: m.Retry) -> m.Reply:
    """Start the steps that have failed anew."""
    if deciding.plan.batch is not None:
        return refused("a saga of the batch that has ended does not start anew: `skip` its step, or `cancel`")
    chosen = _named(deciding, verb, lambda step: step.failing)
    if not chosen:
        return refused(f"step {deciding.name(verb.step)} has not failed")
    answer = _broken_first(deciding, verb, [i for i in _broken(deciding) if i in chosen])
    if answer is not None:
        return answer
    partly = _partly_done(deciding, chosen)
    if partly is not None:
        return refused(f"step {partly} is partly done, so it cannot start anew: `cancel`, or `skip {partly}`")
    for index in chosen:
        force = verb.force and deciding.plan.steps[index].takes_back is not None
        deciding.emit(e.Reset(step=index, force=force, actor=verb.by, reason=verb.reason))
    return accepted(f"step {deciding.names(chosen)} starts anew")


def _partly_done(deciding: Deciding, chosen: list[int]) -> str | None:
    """Name a step of which something still exists that its new start would know nothing of."""
    steps = deciding.state.steps
    return next((deciding.name(i) for i in chosen if steps[i].remains), None)


def _broken(deciding: Deciding) -> list[int]:
    return [i for i, step in enumerate(deciding.state.steps) if step.status == "compensation_failed"]


def _broken_first(deciding: Deciding, verb: m.Retry, broken: list[int]) -> m.Reply | None:
    """Nothing goes forward over an undo that failed: that is tried again, by its step's name."""
    if verb.step in broken:
        return _undo_anew(deciding, verb, [verb.step])
    if broken:
        name = deciding.name(broken[0])
        return refused(f"the undo of step {name} failed: first `retry {name}` or `skip {name}`")
    return None


def retry_past(deciding: Deciding, verb: m.Retry) -> m.Reply:
    """Start anew what an unwinding has taken back that stopped at an irreversible step; or a failed undo of it."""
    steps = deciding.state.steps
    answer = _broken_first(deciding, verb, _broken(deciding))
    if answer is not None:
        return answer
    partly = _partly_done(deciding, [i for i, step in enumerate(steps) if step.failing])
    if partly is not None:
        return refused(
            f"step {partly} is partly done, so it cannot start anew: `skip {partly}`, or `rollback --past-irreversible`"
        )
    _forward_again(deciding, verb, [i for i, step in enumerate(steps) if _undone(step)])
    return accepted("the steps that were taken back start anew")


def _undone(step: StepState) -> bool:
    return step.status == "compensated" or (
        step.failing and step.status in ("failed", "kept") and not step.remains
    )


def _forward_again(deciding: Deciding, verb: m.Retry | m.Skip, anew: list[int]) -> None:
    deadline = deciding.plan.deadline
    deciding.emit(
        e.TurnedForward(
            actor=verb.by,
            reason=verb.reason,
            steps=tuple(anew),
            deadline=None if deadline is None else deciding.now + deadline,
        )
    )


def retry_undo(deciding: Deciding, verb: m.Retry) -> m.Reply:
    """Make the undos that are held again."""
    chosen = _named(deciding, verb, lambda step: step.undo_held)
    if not chosen:
        return refused(f"the undo of step {deciding.name(verb.step)} is not held")
    return _undo_anew(deciding, verb, chosen)


def _undo_anew(deciding: Deciding, verb: m.Retry | m.Resolve, chosen: list[int]) -> m.Reply:
    force = isinstance(verb, m.Retry) and verb.force
    for index in chosen:
        deciding.emit(e.UndoReset(step=index, force=force, actor=verb.by, reason=verb.reason))
    return accepted(f"the undo of step {deciding.names(chosen)} is tried again")


def retry_late(deciding: Deciding, verb: m.Retry) -> m.Reply:
    """Make the failed undos of a saga that has failed again."""
    chosen = _named(deciding, verb, lambda step: step.status == "compensation_failed")
    if not chosen:
        return refused(f"step {deciding.name(verb.step)} has no failed undo to try again")
    deciding.emit(e.Reopened(steps=tuple(chosen), force=verb.force, actor=verb.by, reason=verb.reason))
    return accepted(f"the undo of step {deciding.names(chosen)} is tried again")


# --- skip ----------------------------------------------------------------------------------------------------------


def skip_pending(deciding: Deciding, verb: m.Skip) -> m.Reply:
    """Go on without a step that has not started, or whose intent could not be written so far."""
    step = deciding.state.steps[verb.step]
    if step.status == "skipped":
        return m.Reply("nothing", "it is skipped already")
    if verb.step in urgent(deciding.state):
        return skip_undo(deciding, verb)
    if step.status != "pending" and (step.forward is None or not unprepared(step.forward)):
        return refused(f"step {deciding.name(verb.step)} has started; only one that has not can be skipped")
    return _skip(deciding, verb)


def skip_failed(deciding: Deciding, verb: m.Skip) -> m.Reply:
    """Go on without the step that has failed."""
    if deciding.state.steps[verb.step].status == "compensation_failed":
        return _keep(deciding, verb)
    if not deciding.state.steps[verb.step].failing:
        return refused(f"step {deciding.name(verb.step)} has not failed")
    return _skip(deciding, verb)


def _skip(deciding: Deciding, verb: m.Skip) -> m.Reply:
    missing = _missing_outputs(deciding, verb)
    if missing:
        return refused(missing)
    deciding.emit(
        e.Skipped(
            step=verb.step,
            given=verb.output,
            left=_left_by_skipping(deciding, verb),
            actor=verb.by,
            reason=verb.reason,
        )
    )
    return accepted(f"it goes on without step {deciding.name(verb.step)}")


def _left_by_skipping(deciding: Deciding, verb: m.Skip) -> str | None:
    """Say what stays in the world: what the step would have taken back."""
    if deciding.plan.steps[verb.step].takes_back is None:
        return None
    return f"not taken back: skipped by {verb.by}" + (f": {verb.reason}" if verb.reason else "")


def _missing_outputs(deciding: Deciding, verb: m.Skip) -> str | None:
    plan, state = deciding.plan, deciding.state
    name = plan.steps[verb.step].name
    for later, now in zip(plan.steps, state.steps, strict=True):
        if now.status not in DONE and later.index != verb.step:
            for index, field in later.refers:
                if index == verb.step and field not in verb.output:
                    ref = f"${{steps.{name}.{field}}}"
                    return f"step {later.name} refers to {ref}: give it with --output {field}=VALUE"
    return None


def skip_past(deciding: Deciding, verb: m.Skip) -> m.Reply:
    """Go forward again without the step that failed; or leave a failed undo."""
    steps = deciding.state.steps
    if steps[verb.step].status == "compensation_failed":
        return _keep(deciding, verb)
    if not steps[verb.step].failing:
        return refused(f"step {deciding.name(verb.step)} is not the one that failed; `retry` starts it anew")
    missing = _missing_outputs(deciding, verb)
    if missing:
        return refused(missing)
    if any(step.status == "compensation_failed" for step in steps):
        return refused("an undo failed: first `retry`, `skip` or `resolve` that step")
    anew = [i for i, step in enumerate(steps) if _undone(step) and i != verb.step]
    _forward_again(deciding, verb, anew)
    deciding.emit(e.Skipped(step=verb.step, given=verb.output, actor=verb.by, reason=verb.reason))
    return accepted(f"it goes on without step {deciding.name(verb.step)}; what was taken back starts anew")


def skip_undo(deciding: Deciding, verb: m.Skip) -> m.Reply:
    """Leave what a step has done."""
    step = deciding.state.steps[verb.step]
    if step.status == "kept":
        return m.Reply("nothing", "it is kept already")
    left = to_undo_now(deciding.plan, deciding.state)
    if not step.undo_held and (verb.step not in left or _going(step)):
        return refused(f"there is no undo of step {deciding.name(verb.step)} that could be skipped")
    return _keep(deciding, verb)


def _going(step: StepState) -> bool:
    """Tell whether its undo has begun, and does not wait for approval."""
    return step.status == "compensating" and (step.undo_ask is None or step.undo_ask.approved)


def _keep(deciding: Deciding, verb: m.Skip) -> m.Reply:
    why = f"its undo was skipped by {verb.by}" + (f": {verb.reason}" if verb.reason else "")
    deciding.emit(e.Kept(step=verb.step, why=why, actor=verb.by, reason=verb.reason))
    return accepted(f"step {deciding.name(verb.step)} is kept")


def skip_late(deciding: Deciding, verb: m.Skip) -> m.Reply:
    """Leave what a failed undo of a saga that has failed was to take back."""
    if deciding.state.steps[verb.step].status != "compensation_failed":
        return refused(f"step {deciding.name(verb.step)} has no failed undo")
    reply = _keep(deciding, verb)
    _close_late(deciding)
    return reply


def _close_late(deciding: Deciding) -> None:
    """With its last failed undo closed, a failed saga has been taken back after all."""
    if not still_done(deciding.state):
        deciding.emit(e.RolledBack())


# --- resolve -------------------------------------------------------------------------------------------------------


def resolve_forward(deciding: Deciding, verb: m.Resolve) -> m.Reply:
    """Say what became of a step, or of its hook, whose outcome is unknown."""
    step = deciding.state.steps[verb.step]
    direction: Direction = "hook" if step.at_hook else "forward"
    run: Run | None = getattr(step, direction)
    if step.status != "unknown" or run is None:
        return refused(f"the outcome of step {deciding.name(verb.step)} is not unknown")
    by: dict[str, Any] = {"step": verb.step, "actor": verb.by, "reason": verb.reason}
    if verb.as_ == "done":
        deciding.succeed(
            **by, direction=direction, how="resolved", payload=verb.payload, id=verb.id, moved=verb.moved
        )
    elif verb.as_ == "failed":
        why = run.error
        message = (
            f"{why.message}; it was not done, by the word of {verb.by}"
            if why
            else f"not done, says {verb.by}"
        )
        deciding.emit(e.Failed(**by, direction=direction, error=Error("resolved_failed", message)))
    else:
        deciding.emit(e.Settled(**by, direction=direction, as_="repeat"))
        deciding.emit(e.Attempted(step=verb.step, direction=direction, attempt=run.attempt + 1))
    return accepted(f"{named(deciding.plan, verb.step, direction)} is resolved as {verb.as_}")


def resolve_undo(deciding: Deciding, verb: m.Resolve) -> m.Reply:
    """Say what became of an undo that is held."""
    step = deciding.state.steps[verb.step]
    if step.status == "unknown":
        return resolve_forward(deciding, verb)
    if not step.undo_held:
        return refused(f"the undo of step {deciding.name(verb.step)} is not held")
    by: dict[str, Any] = {"step": verb.step, "actor": verb.by, "reason": verb.reason}
    if verb.as_ == "retry":
        return _undo_anew(deciding, verb, [verb.step])
    if verb.as_ == "done":
        deciding.succeed(**by, direction="undo", how="resolved", payload=verb.payload, moved=verb.moved)
    elif step.open:
        deciding.emit(e.FailureAccepted(**by))
    else:
        message = f"not undone, by the word of {verb.by}"
        deciding.emit(e.Failed(**by, direction="undo", error=Error("resolved_failed", message)))
    return accepted(f"the undo of step {deciding.name(verb.step)} is resolved as {verb.as_}")


def resolve_late(deciding: Deciding, verb: m.Resolve) -> m.Reply:
    """Say that a failed undo of a saga that has failed was done by hand."""
    name = deciding.name(verb.step)
    if deciding.state.steps[verb.step].status != "compensation_failed":
        return refused(f"step {name} has no failed undo")
    if verb.as_ != "done":
        return refused(
            f"the undo of step {name} failed already: `resolve {name} --as done` if it was done by hand"
        )
    deciding.succeed(
        step=verb.step,
        direction="undo",
        how="resolved",
        payload=verb.payload,
        moved=verb.moved,
        actor=verb.by,
        reason=verb.reason,
    )
    _close_late(deciding)
    return accepted(f"step {name} was undone by hand")
