"""Why a saga is as it is, in one sentence for its operator: what it does, waits for or needs, or how it ended.

There is a sentence for every state that the machine can reach; the laws' test asks for one after every message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.clock import rfc3339
from actors.saga.holds import (
    POSTPONED,
    Commands,
    LeftBehind,
    asked,
    asking,
    hold,
    left_behind,
    named,
    paused,
    stops,
    to_undo,
)
from actors.saga.plan import Plan
from actors.saga.state import ENDED, Error, Run, State
from actors.saga.wants import overdue, preparable

LATEST = 253_402_300_799_999
"""The last millisecond that RFC 3339 can write: a deadline of a million years is shown as the end of 9999."""


def why(plan: Plan, state: State, now: int, id: str, behind: Sequence[str] = ()) -> str:
    """Say in one sentence why the saga is as it is at ``now``, with the commands that its operator can give.

    ``behind``: what is to be said of each saga whose lock it waits for.
    """
    held = hold(plan, state, id)
    if state.status in ENDED:
        words = _ended(plan, state)
    elif held is not None:
        since = f" since {_at(state.hold.since)}" if state.hold is not None else ""
        words = f"is held{since} ({held[0]}): {'; '.join((held[1], *behind))}{_expiry(plan, state)}"
    else:
        going = [*_going(plan, state, now), *asked(plan, state, Commands(id))] or [
            "nothing of it is going on"
        ]
        words = f"{_course(plan, state)}: {'; '.join(going)}"
    return f"Saga {id} {' '.join(words.split())}."


def _expiry(plan: Plan, state: State) -> str:
    """Say when what is asked for expires."""
    soonest = min((ask.due for _, ask in asking(plan, state) if ask.due is not None), default=None)
    return "" if soonest is None else f"; it turns back at {_at(soonest)} if that was not given"


def _at(moment: int) -> str:
    return rfc3339(max(0, min(moment, LATEST)))


# --- ended ---------------------------------------------------------------------------------------------------------


def _ended(plan: Plan, state: State) -> str:
    words = {
        "completed": "completed",
        "rolled_back": "was rolled back",
        "failed": "failed",
    }[state.status]
    left = left_behind(plan, state)
    behind = f"; left behind: {', '.join(_left(each) for each in left)}" if left else ""
    return f"{words} at {_at(state.finished_at or 0)}{_because(state)}{behind}"


def _because(state: State) -> str:
    error = state.error
    if error is None:
        return ""
    message = _message(error)
    if error.code == "hook_failed":
        return f" because {message}"
    if error.code == "step_failed":
        return f" because step {error.step} failed: {message}"
    if error.code == "cancelled" and state.cancel is not None:
        why = f": {state.cancel.reason}" if state.cancel.reason else ""
        return f" because {state.cancel.by} cancelled it{why}"
    if error.code in ("cancelled", "deadline"):
        return f": {message}"  # in which the code says nothing new
    return f", {error.code}: {message}"


def _left(each: LeftBehind) -> str:
    what = f" ({each.resource})" if each.resource is not None else ""
    return f"step {each.step}{what}, {each.why}"


# --- going on ------------------------------------------------------------------------------------------------------


def _course(plan: Plan, state: State) -> str:
    """Say where the saga is heading."""
    once = "once what is going on has ended"
    if state.abandoned is not None:
        return f"was {state.abandoned}; it ends {once}"
    if state.status == "compensating":
        left = len(to_undo(plan, state))
        return (
            f"is on its way back ({_message(state.error)}), {left} {'step' if left == 1 else 'steps'} to go"
        )
    if state.turn is not None:
        return f"turns back ({state.turn.message}) {once}"
    failing = [step.name for step, now in zip(plan.steps, state.steps, strict=True) if now.failing]
    if failing and stops(plan, state):
        then = {"compensate": "turns back", "stop": "stops", "hold": "asks you"}[plan.on_failure]
        return f"failed at step {', '.join(failing)} and {then} {once}"
    return f"is {paused(state) + ' and stops ' + once if state.paused else state.status}"


def _message(error: Error | None) -> str:
    return error.message if error is not None and error.message else "no reason was given"


def _going(plan: Plan, state: State, now: int) -> Iterator[str]:
    if state.queued:
        yield "its batch lets it start when its turn has come"
    for index, direction, run in state.seen.runs:
        yield _run(named(plan, index, direction), run)
    for index, direction, _ in preparable(plan, state, now):
        yield f"{named(plan, index, direction)} is about to start"
    if overdue(plan, state, now):
        yield f"its deadline was {_at(state.deadline or 0)}, and it turns back"


def _run(what: str, run: Run) -> str:
    if run.postponed and run.phase in POSTPONED:
        again = "whether it was done is asked again" if run.phase == "settling" else "it is tried again"
        return f"{what} waits for its provider ({run.postponed}): {again} at {_at(run.due)}"
    last = f" ({run.error.message})" if run.error is not None else ""
    if run.phase == "calling" and run.interrupt:
        return f"{what} was interrupted, and its code, running since {_at(run.began)}, has not ended yet"
    if run.phase == "calling":
        return f"{what} is running since {_at(run.began)}, attempt {run.attempt}"
    if run.phase == "polling":
        how = "goes on elsewhere and is asked about again at" if run.changes else "waits until"
        return f"{what} {how} {_at(run.due)}"
    if run.phase == "retrying":
        return f"{what} is tried again at {_at(run.due)}, attempt {run.attempt + 1}{last}"
    if run.phase == "settling":
        return f"whether {what} was done is being found out since {_at(run.since)}{last}"
    return f"{what} needs your word once the rest has ended{last}"
