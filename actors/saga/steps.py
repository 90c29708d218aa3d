"""What becomes of one step, whatever becomes of the others: started anew, undone anew, let be, or closed with its saga."""

from __future__ import annotations

from msgspec.structs import replace

from actors.saga.state import Error, Run, StepState, StepStatus


def anew(step: StepState, *, force: bool = False) -> StepState:
    """Forget all of a step but how it had ended and how often it has run: generations only rise."""
    return StepState(
        forward=step.forward and Run(generation=step.forward.generation, phase="over", force=force),
        hook=step.hook and Run(generation=step.hook.generation, phase="over"),
        undo=step.undo and Run(generation=step.undo.generation, phase="over"),
        was="compensated" if step.status == "compensated" else "failed",
    )


def still_done(step: StepState) -> StepState:
    """What was kept on the way back is done, on the way forward; unless it had failed. Its hook may still be to come."""
    if step.status == "kept" and not step.failing:
        return replace(step, status=_as_done(step), left=None)
    return step


def _as_done(step: StepState) -> StepStatus:
    return "running" if step.owes_hook else "completed"


def undo_anew(step: StepState, *, force: bool) -> StepState:
    """The undo that failed is settled, so the next one is another execution."""
    generation = step.undo.generation if step.undo is not None else 0
    return replace(
        step,
        status="failed" if step.failing else _as_done(step),
        undo=Run(generation=generation, phase="over", force=force),
        error=own_error(step),
        left=None,
        open=False,
        finished_at=None,
    )


def own_error(step: StepState) -> Error | None:
    """Give what a step itself failed with, or its hook."""
    if step.hook_failed and step.hook is not None:
        return of_hook(step.hook.error)
    return step.forward.error if step.failing and step.forward is not None else None


def of_hook(error: Error | None) -> Error:
    """Give what a step has failed with whose hook has failed with this."""
    return Error("hook_failed", f"its hook failed: {error.message if error is not None else ''}")


def let_be(step: StepState) -> StepState:
    """Late repair tries again just the undos that failed; what was never to be undone stays done."""
    return replace(step, stays=True) if step.status in ("completed", "failed", "unknown") else step


def remains(step: StepState) -> bool:
    """Tell whether what it did is still there, and nobody has said why yet."""
    there = step.did and step.way_back != "nothing" and step.status in ("completed", "failed")
    return there and step.left is None


def closed(step: StepState) -> StepState:
    """Give the step its final status: its saga ends."""
    if step.lock is not None:
        step = replace(step, lock=None)
    ends = {
        "pending": _never_started,
        "running": _given_up,
        "unknown": _given_up,
        "compensating": _undo_given_up,
    }
    return ends[step.status](step) if step.status in ends else step


def _never_started(step: StepState) -> StepState:
    if step.was == "failed":
        error = Error("interrupted", "given up before it was tried again")
        return replace(step, status="failed", failing=True, error=error)
    return replace(step, status=step.was or "skipped")


def _given_up(step: StepState) -> StepState:
    """Given up on the way forward: failed where it is certain that nothing changed, else unknown."""
    if step.owes_hook:
        return _hook_given_up(step)
    run = step.forward or Run(generation=0)
    over = replace(run, phase="over", interrupt=False)
    if not run.changes or (run.phase == "retrying" and not run.doubt):
        error = run.error or Error("interrupted", "given up before it was done")
        return replace(
            step, status="failed", failing=True, did=counts(step), error=error, left=None, forward=over
        )
    why = "given up before its outcome was known"
    return replace(step, status="unknown", did=True, left=why, error=run.error, forward=over)


def _hook_given_up(step: StepState) -> StepState:
    """Without its hook a step is not completed, though it was done."""
    run = step.hook if not step.awaits_hook else None
    over = run and replace(run, phase="over", interrupt=False)
    if run is None or not run.changes or (run.phase == "retrying" and not run.doubt):
        error = Error("hook_failed", "given up before its hook had run")
        return replace(step, status="failed", failing=True, error=error, left=None, hook=over or step.hook)
    why = "given up before the outcome of its hook was known"
    return replace(step, status="unknown", left=why, error=run.error, hook=over)


def _undo_given_up(step: StepState) -> StepState:
    why = "given up before its undo was over"
    return replace(
        step,
        status="compensation_failed",
        left=why,
        error=step.error or Error("abandoned", why),
        open=False,
        undo=step.undo and replace(step.undo, phase="over"),
    )


def counts(step: StepState) -> bool:
    """Tell whether a step that failed is to be undone all the same (``undo_when: started``)."""
    return step.undo_started and step.number > 0
