"""What operators may say to a saga, and when: SPEC §3's table of verbs and states, as a table.

A cell is a handler (what the verb does in that state), ``ALREADY`` (said and true before: nothing happens), ``ANOTHER``
(done by a saga of its own, which is the service's to start) or ``NO`` (refused, naming what is possible instead). What a verb needs beyond its cell is checked in its handler, which refuses
in words that say what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.deciding import Deciding
from actors.saga.holds import (
    asking,
    named,
    past_irreversible,
    still_done,
    stopped,
    to_undo_now,
    undos_ask,
    urgent,
)
from actors.saga.plan import Plan
from actors.saga.state import DONE, Ask, Direction, Error, Run, State, StepState

Column = Literal[
    "forward",
    "unknown",
    "stopped",
    "past",
    "back",
    "undo_held",
    "completed",
    "failed",
    "rolled_back",
]
"""The table's columns: on the way forward; an unknown outcome to be resolved; failed with ``on_failure: hold``; held
past an irreversible step; on the way back; an undo failed, in conflict or unknown, held (also before the saga turns:
that of a step whose hook failed); and the three ends.

A saga that is stuck (a driver is gone) or quarantined is in the column that it would otherwise be in."""

Handler = Callable[[Deciding, Any], m.Reply]

NO = "no"
ALREADY = "already"
ANOTHER = "another"


def column(plan: Plan, state: State) -> Column:
    """Tell which column of the table a saga is in."""
    if state.status in ("completed", "failed", "rolled_back"):
        return state.status
    if any(_undo_held(step) for step in state.steps):
        return "undo_held"
    if state.status == "compensating":
        return "past" if past_irreversible(plan, state) else "back"
    if state.seen.unknown:
        return "unknown"
    return "stopped" if stopped(plan, state) else "forward"


def _undo_held(step: StepState) -> bool:
    asks = step.undo is not None and step.undo.phase in ("unknown", "conflict")
    return step.open or (step.status == "compensating" and asks)


def _accepted(detail: str) -> m.Reply:
    return m.Reply("accepted", detail)


def _refused(detail: str) -> m.Reply:
    return m.Reply("refused", detail)


# --- cancel, pause, resume, abandon, rollback -----------------------------------------------------------------------


def _cancel(deciding: Deciding, verb: m.Cancel | m.Rollback) -> m.Reply:
    now = isinstance(verb, m.Cancel) and verb.now
    state = deciding.state
    if state.cancel is not None and (state.cancel.now or not now):
        return m.Reply("nothing", "it is being cancelled already")
    unknown = [p.name for p, s in zip(deciding.plan.steps, state.steps, strict=True) if s.status == "unknown"]
    deciding.emit(e.CancelRequested(actor=verb.by, reason=verb.reason, now=now))
    if unknown:
        return _accepted(f"it turns back once step {', '.join(unknown)} is resolved")
    return _accepted(
        "it turns back; what runs is interrupted" if now else "it turns back once what runs has ended"
    )


def _pause(deciding: Deciding, verb: m.Pause) -> m.Reply:
    if deciding.state.paused:
        return m.Reply("nothing", "it is paused already")
    deciding.emit(e.PauseRequested(actor=verb.by, reason=verb.reason))
    return _accepted("it starts nothing new; `resume` lets it go on")


def _resume(deciding: Deciding, verb: m.Resume) -> m.Reply:
    if not deciding.state.paused and deciding.state.quarantine is None:
        return m.Reply("nothing", "it is not paused")
    deciding.emit(e.Resumed(actor=verb.by, reason=verb.reason))
    return _accepted("it goes on")


def _abandon(deciding: Deciding, verb: m.Abandon) -> m.Reply:
    if not verb.reason:
        return _refused("abandon needs a reason: --reason TEXT")
    deciding.emit(e.AbandonRequested(actor=verb.by, reason=verb.reason))
    return _accepted("it ends failed, as it is")


def _past(deciding: Deciding, verb: m.Rollback) -> m.Reply:
    if not verb.past_irreversible:
        return _refused(
            "it stopped at an irreversible step; `rollback --past-irreversible` takes back the rest"
        )
    deciding.emit(e.WentPastIrreversible(actor=verb.by, reason=verb.reason))
    return _accepted("it takes back the rest; irreversible steps are kept")


# --- approve, reject -------------------------------------------------------------------------------------------------


def _approve(deciding: Deciding, verb: m.Approve) -> m.Reply:
    rules = deciding.plan.approvals
    chosen = _to_answer(deciding, verb)
    if isinstance(chosen, m.Reply):
        return chosen
    if _not_by_own(deciding.plan, verb):
        return _forbidden(f"{verb.by} has submitted it, so somebody else must approve (four_eyes)")
    fresh = [(index, ask) for index, ask in chosen if verb.by not in ask.given]
    if not fresh:
        return m.Reply("nothing", f"{verb.by} has approved already; {rules.quorum} are needed")
    missing = 0
    for index, ask in fresh:
        left = rules.quorum - len(ask.given) - 1
        missing = max(missing, left)
        deciding.emit(
            e.Approved(
                step=index,
                hash=ask.hash,
                direction=_way(deciding),
                enough=left <= 0,
                actor=verb.by,
                reason=verb.reason,
            )
        )
    hashes = ", ".join(ask.hash[:12] for _, ask in fresh)
    return _accepted(f"{hashes} is approved; " + (f"{missing} more needed" if missing else "it goes on"))


def _reject(deciding: Deciding, verb: m.Reject) -> m.Reply:
    chosen = _to_answer(deciding, verb)
    if isinstance(chosen, m.Reply):
        return chosen
    if _way(deciding) == "undo":
        return _reject_undos(deciding, verb, chosen)
    index, ask = chosen[0]
    deciding.emit(e.Rejected(step=index, hash=ask.hash, actor=verb.by, reason=verb.reason))
    return _accepted("it turns back once what runs has ended")


def _reject_undos(deciding: Deciding, verb: m.Reject, chosen: list[tuple[int | None, Ask]]) -> m.Reply:
    """What is not to be undone stays, and the way back goes on."""
    steps = [(index, ask) for index, ask in chosen if index is not None]
    why = f"its undo was rejected by {verb.by}" + (f": {verb.reason}" if verb.reason else "")
    by: dict[str, Any] = {"actor": verb.by, "reason": verb.reason}
    for index, ask in steps:
        deciding.emit(e.Rejected(step=index, hash=ask.hash, direction="undo", **by))
        deciding.emit(e.Kept(step=index, why=why, **by))
    return _accepted(f"step {_names(deciding, [index for index, _ in steps])} is kept")


def _way(deciding: Deciding) -> Direction:
    """Tell which way the approvals are of that are asked for now."""
    return "undo" if undos_ask(deciding.state) else "forward"


def _not_by_own(plan: Plan, verb: m.Approve) -> bool:
    return plan.approvals.four_eyes and verb.own


def _to_answer(deciding: Deciding, verb: m.Approval) -> list[tuple[int | None, Ask]] | m.Reply:
    """Give what is asked for, is meant and is this user's to answer; or why there is nothing."""
    asks = asking(deciding.plan, deciding.state)
    meant = [each for each in asks if verb.step in (None, each[0])]
    if not meant:
        return _refused(f"step {_name(deciding, verb.step)} does not wait for approval")
    if isinstance(verb, m.Reject) and verb.own:
        return meant
    wrong = [_not_an_approver(deciding, verb, index, ask) for index, ask in meant]
    first = wrong[0]
    if first is not None and None not in wrong:
        return first
    return [each for each, why in zip(meant, wrong, strict=True) if why is None]


def _not_an_approver(deciding: Deciding, verb: m.Approval, index: int | None, ask: Ask) -> m.Reply | None:
    approvers = deciding.plan.rules(index if _way(deciding) == "forward" else None).approvers
    if verb.by in approvers:
        return None
    if approvers and not set(approvers) & set(verb.roles):
        return _forbidden(f"{verb.by} is not one of its approvers: {', '.join(approvers)}")
    if ask.irreversible and "admin" not in verb.roles:
        return _forbidden(f"{verb.by} is no admin, and what cannot be taken back is approved by one")
    return None


def _forbidden(detail: str) -> m.Reply:
    return m.Reply("forbidden", detail)


# --- retry ---------------------------------------------------------------------------------------------------------


def _named(deciding: Deciding, verb: m.Retry, fits: Callable[[StepState], bool]) -> list[int]:
    steps = deciding.state.steps
    return [i for i, step in enumerate(steps) if fits(step) and verb.step in (None, i)]


def _unstick(deciding: Deciding, verb: m.Retry) -> m.Reply:
    deciding.emit(e.Unstuck(actor=verb.by, reason=verb.reason))
    return _accepted("it tries to go on")


def _retry_failed(deciding: Deciding, verb: m.Retry) -> m.Reply:
    if deciding.plan.batch is not None:
        return _refused(
            "a saga of the batch that has ended does not start anew: `skip` its step, or `cancel`"
        )
    chosen = _named(deciding, verb, lambda step: step.failing)
    if not chosen:
        return _refused(f"step {_name(deciding, verb.step)} has not failed")
    answer = _broken_first(deciding, verb, [i for i in _broken(deciding) if i in chosen])
    if answer is not None:
        return answer
    partly = _partly_done(deciding, chosen)
    if partly is not None:
        return _refused(
            f"step {partly} is partly done, so it cannot start anew: `cancel`, or `skip {partly}`"
        )
    for index in chosen:
        force = verb.force and deciding.plan.steps[index].takes_back is not None
        deciding.emit(e.Reset(step=index, force=force, actor=verb.by, reason=verb.reason))
    return _accepted(f"step {_names(deciding, chosen)} starts anew")


def _partly_done(deciding: Deciding, chosen: list[int]) -> str | None:
    """Name a step of which something still exists that its new start would know nothing of."""
    steps = deciding.state.steps
    return next((_name(deciding, i) for i in chosen if steps[i].remains), None)


def _broken(deciding: Deciding) -> list[int]:
    return [i for i, step in enumerate(deciding.state.steps) if step.status == "compensation_failed"]


def _broken_first(deciding: Deciding, verb: m.Retry, broken: list[int]) -> m.Reply | None:
    """Nothing goes forward over an undo that failed: that is tried again, by its step's name."""
    if verb.step in broken:
        return _undo_anew(deciding, verb, [verb.step])
    if broken:
        name = _name(deciding, broken[0])
        return _refused(f"the undo of step {name} failed: first `retry {name}` or `skip {name}`")
    return None


def _retry_past(deciding: Deciding, verb: m.Retry) -> m.Reply:
    steps = deciding.state.steps
    answer = _broken_first(deciding, verb, _broken(deciding))
    if answer is not None:
        return answer
    partly = _partly_done(deciding, [i for i, step in enumerate(steps) if step.failing])
    if partly is not None:
        return _refused(
            f"step {partly} is partly done, so it cannot start anew: `skip {partly}`, or `rollback --past-irreversible`"
        )
    _forward_again(deciding, verb, [i for i, step in enumerate(steps) if _undone(step)])
    return _accepted("the steps that were taken back start anew")


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


def _retry_undo(deciding: Deciding, verb: m.Retry) -> m.Reply:
    chosen = _named(deciding, verb, _undo_held)
    if not chosen:
        return _refused(f"the undo of step {_name(deciding, verb.step)} is not held")
    return _undo_anew(deciding, verb, chosen)


def _undo_anew(deciding: Deciding, verb: m.Retry | m.Resolve, chosen: list[int]) -> m.Reply:
    force = isinstance(verb, m.Retry) and verb.force
    for index in chosen:
        deciding.emit(e.UndoReset(step=index, force=force, actor=verb.by, reason=verb.reason))
    return _accepted(f"the undo of step {_names(deciding, chosen)} is tried again")


def _retry_late(deciding: Deciding, verb: m.Retry) -> m.Reply:
    chosen = _named(deciding, verb, lambda step: step.status == "compensation_failed")
    if not chosen:
        return _refused(f"step {_name(deciding, verb.step)} has no failed undo to try again")
    deciding.emit(e.Reopened(steps=tuple(chosen), force=verb.force, actor=verb.by, reason=verb.reason))
    return _accepted(f"the undo of step {_names(deciding, chosen)} is tried again")


# --- skip ----------------------------------------------------------------------------------------------------------


def _skip_pending(deciding: Deciding, verb: m.Skip) -> m.Reply:
    if deciding.state.steps[verb.step].status == "skipped":
        return m.Reply("nothing", "it is skipped already")
    if verb.step in urgent(deciding.state):
        return _skip_undo(deciding, verb)
    if deciding.state.steps[verb.step].status != "pending":
        return _refused(
            f"step {_name(deciding, verb.step)} has started; only one that has not can be skipped"
        )
    return _skip(deciding, verb)


def _skip_failed(deciding: Deciding, verb: m.Skip) -> m.Reply:
    if deciding.state.steps[verb.step].status == "compensation_failed":
        return _keep(deciding, verb)
    if not deciding.state.steps[verb.step].failing:
        return _refused(f"step {_name(deciding, verb.step)} has not failed")
    return _skip(deciding, verb)


def _skip(deciding: Deciding, verb: m.Skip) -> m.Reply:
    missing = _missing_outputs(deciding, verb)
    if missing:
        return _refused(missing)
    deciding.emit(
        e.Skipped(
            step=verb.step,
            given=verb.output,
            left=_left_by_skipping(deciding, verb),
            actor=verb.by,
            reason=verb.reason,
        )
    )
    return _accepted(f"it goes on without step {_name(deciding, verb.step)}")


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


def _skip_past(deciding: Deciding, verb: m.Skip) -> m.Reply:
    steps = deciding.state.steps
    if steps[verb.step].status == "compensation_failed":
        return _keep(deciding, verb)
    if not steps[verb.step].failing:
        return _refused(
            f"step {_name(deciding, verb.step)} is not the one that failed; `retry` starts it anew"
        )
    missing = _missing_outputs(deciding, verb)
    if missing:
        return _refused(missing)
    if any(step.status == "compensation_failed" for step in steps):
        return _refused("an undo failed: first `retry`, `skip` or `resolve` that step")
    anew = [i for i, step in enumerate(steps) if _undone(step) and i != verb.step]
    _forward_again(deciding, verb, anew)
    deciding.emit(e.Skipped(step=verb.step, given=verb.output, actor=verb.by, reason=verb.reason))
    return _accepted(f"it goes on without step {_name(deciding, verb.step)}; what was taken back starts anew")


def _skip_undo(deciding: Deciding, verb: m.Skip) -> m.Reply:
    step = deciding.state.steps[verb.step]
    if step.status == "kept":
        return m.Reply("nothing", "it is kept already")
    left = to_undo_now(deciding.plan, deciding.state)
    if not _undo_held(step) and (verb.step not in left or _going(step)):
        return _refused(f"there is no undo of step {_name(deciding, verb.step)} that could be skipped")
    return _keep(deciding, verb)


def _going(step: StepState) -> bool:
    """Tell whether its undo has begun, and does not wait for approval."""
    return step.status == "compensating" and (step.undo_ask is None or step.undo_ask.approved)


def _keep(deciding: Deciding, verb: m.Skip) -> m.Reply:
    why = f"its undo was skipped by {verb.by}" + (f": {verb.reason}" if verb.reason else "")
    deciding.emit(e.Kept(step=verb.step, why=why, actor=verb.by, reason=verb.reason))
    return _accepted(f"step {_name(deciding, verb.step)} is kept")


def _skip_late(deciding: Deciding, verb: m.Skip) -> m.Reply:
    if deciding.state.steps[verb.step].status != "compensation_failed":
        return _refused(f"step {_name(deciding, verb.step)} has no failed undo")
    reply = _keep(deciding, verb)
    _close_late(deciding)
    return reply


def _close_late(deciding: Deciding) -> None:
    """With its last failed undo closed, a failed saga has been taken back after all."""
    if not still_done(deciding.state):
        deciding.emit(e.RolledBack())


# --- resolve -------------------------------------------------------------------------------------------------------


def _resolve_forward(deciding: Deciding, verb: m.Resolve) -> m.Reply:
    step = deciding.state.steps[verb.step]
    direction: Direction = "hook" if step.at_hook else "forward"
    run: Run | None = getattr(step, direction)
    if step.status != "unknown" or run is None:
        return _refused(f"the outcome of step {_name(deciding, verb.step)} is not unknown")
    by: dict[str, Any] = {"step": verb.step, "actor": verb.by, "reason": verb.reason}
    if verb.as_ == "done":
        deciding.succeed(**by, direction=direction, how="resolved", payload=verb.payload, id=verb.id)
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
    return _accepted(f"{named(deciding.plan, verb.step, direction)} is resolved as {verb.as_}")


def _resolve_undo(deciding: Deciding, verb: m.Resolve) -> m.Reply:
    step = deciding.state.steps[verb.step]
    if step.status == "unknown":
        return _resolve_forward(deciding, verb)
    if not _undo_held(step):
        return _refused(f"the undo of step {_name(deciding, verb.step)} is not held")
    by: dict[str, Any] = {"step": verb.step, "actor": verb.by, "reason": verb.reason}
    if verb.as_ == "retry":
        return _undo_anew(deciding, verb, [verb.step])
    if verb.as_ == "done":
        deciding.emit(e.Succeeded(**by, direction="undo", how="resolved", payload=verb.payload))
    elif step.open:
        deciding.emit(e.FailureAccepted(**by))
    else:
        message = f"not undone, by the word of {verb.by}"
        deciding.emit(e.Failed(**by, direction="undo", error=Error("resolved_failed", message)))
    return _accepted(f"the undo of step {_name(deciding, verb.step)} is resolved as {verb.as_}")


def _resolve_late(deciding: Deciding, verb: m.Resolve) -> m.Reply:
    name = _name(deciding, verb.step)
    if deciding.state.steps[verb.step].status != "compensation_failed":
        return _refused(f"step {name} has no failed undo")
    if verb.as_ != "done":
        return _refused(
            f"the undo of step {name} failed already: `resolve {name} --as done` if it was done by hand"
        )
    deciding.emit(
        e.Succeeded(
            step=verb.step,
            direction="undo",
            how="resolved",
            payload=verb.payload,
            actor=verb.by,
            reason=verb.reason,
        )
    )
    _close_late(deciding)
    return _accepted(f"step {name} was undone by hand")


# --- the table -----------------------------------------------------------------------------------------------------


def _name(deciding: Deciding, index: int | None) -> str:
    return "" if index is None else deciding.plan.steps[index].name


def _names(deciding: Deciding, chosen: list[int]) -> str:
    return ", ".join(deciding.plan.steps[i].name for i in chosen)


ASKING: tuple[Column, ...] = ("forward", "unknown", "back", "undo_held")
"""Where approvals may be asked for."""
_NOWHERE: dict[Column, Handler | str] = dict.fromkeys(Column.__args__, NO)  # type: ignore[attr-defined]

TABLE: dict[str, dict[Column, Handler | str]] = {
    "cancel": {
        "forward": _cancel,
        "unknown": _cancel,
        "stopped": _cancel,
        "past": NO,
        "back": ALREADY,
        "undo_held": ALREADY,
        "completed": NO,
        "failed": NO,
        "rolled_back": ALREADY,
    },
    "pause": {
        "forward": _pause,
        "unknown": _pause,
        "stopped": _pause,
        "past": _pause,
        "back": _pause,
        "undo_held": _pause,
        "completed": NO,
        "failed": NO,
        "rolled_back": NO,
    },
    "resume": {
        "forward": _resume,
        "unknown": _resume,
        "stopped": _resume,
        "past": _resume,
        "back": _resume,
        "undo_held": _resume,
        "completed": NO,
        "failed": NO,
        "rolled_back": NO,
    },
    "retry": {
        "forward": NO,
        "unknown": NO,
        "stopped": _retry_failed,
        "past": _retry_past,
        "back": NO,
        "undo_held": _retry_undo,
        "completed": NO,
        "failed": _retry_late,
        "rolled_back": NO,
    },
    "skip": {
        "forward": _skip_pending,
        "unknown": NO,
        "stopped": _skip_failed,
        "past": _skip_past,
        "back": _skip_undo,
        "undo_held": _skip_undo,
        "completed": NO,
        "failed": _skip_late,
        "rolled_back": NO,
    },
    "resolve": {
        "forward": NO,
        "unknown": _resolve_forward,
        "stopped": NO,
        "past": NO,
        "back": NO,
        "undo_held": _resolve_undo,
        "completed": NO,
        "failed": _resolve_late,
        "rolled_back": NO,
    },
    "rollback": {
        "forward": NO,
        "unknown": NO,
        "stopped": _cancel,
        "past": _past,
        "back": ALREADY,
        "undo_held": ALREADY,
        "completed": ANOTHER,
        "failed": ANOTHER,
        "rolled_back": ALREADY,
    },
    "abandon": {
        "forward": _abandon,
        "unknown": _abandon,
        "stopped": _abandon,
        "past": _abandon,
        "back": _abandon,
        "undo_held": _abandon,
        "completed": NO,
        "failed": ALREADY,
        "rolled_back": NO,
    },
    "approve": {**_NOWHERE, **dict.fromkeys(ASKING, _approve)},
    "reject": {**_NOWHERE, **dict.fromkeys(ASKING, _reject)},
}

_WORDS: dict[Column, str] = {
    "forward": "it is on its way forward",
    "unknown": "the outcome of a step is unknown",
    "stopped": "a step failed and it waits for your word",
    "past": "it stopped at an irreversible step",
    "back": "it is on its way back",
    "undo_held": "an undo waits for your word",
    "completed": "it is completed",
    "failed": "it has failed",
    "rolled_back": "it is rolled back",
}


def possible(plan: Plan, state: State) -> list[str]:
    """Name the verbs that do something now."""
    if state.quarantine is not None:
        return ["resume", "abandon"]
    at = column(plan, state)
    if at == "failed" and not any(step.status == "compensation_failed" for step in state.steps):
        return ["rollback"]
    stuck = {"retry"} if state.stuck is not None else set()
    idle = set() if asking(plan, state) else {"approve", "reject"}
    return [
        name
        for name in TABLE
        if (callable(cell := _cell(name, state, at)) or cell == ANOTHER or name in stuck) and name not in idle
    ]


def _cell(name: str, state: State, at: Column) -> Handler | str:
    """Give what a verb does. Where an undo is held before the saga has turned (a hook failed), it can be cancelled."""
    before = at == "undo_held" and state.status != "compensating"
    return TABLE[name]["forward" if before and name in ("cancel", "rollback") else at]


def _say(name: str, deciding: Deciding, verb: m.Verb) -> m.Reply:
    at = column(deciding.plan, deciding.state)
    cell = _cell(name, deciding.state, at)
    can = possible(deciding.plan, deciding.state)
    if deciding.state.abandoned is not None and deciding.state.status not in (
        "completed",
        "failed",
        "rolled_back",
    ):
        if name == "abandon":
            return m.Reply("nothing", "it is being abandoned already")
        return _refused(f"cannot {name}: it is being abandoned, and ends once what runs has ended")
    if deciding.state.quarantine is not None and name not in can:
        return _refused(f"cannot {name}: it is quarantined; possible: {', '.join(can)}")
    if isinstance(verb, m.Retry) and deciding.state.stuck is not None:
        return _unstick(deciding, verb)
    if callable(cell) and name in can:
        return cell(deciding, verb)
    if cell == ALREADY:
        return m.Reply("nothing", _WORDS[at])
    if cell == ANOTHER:
        return _refused(f"{_WORDS[at]} by now: say `{name}` again, for a saga that takes it back")
    instead = f"possible: {', '.join(can)}" if can else "nothing is left to be done"
    return _refused(f"cannot {name}: {_WORDS[at]}; {instead}")


def _handler(name: str) -> Handler:
    return lambda deciding, verb: _say(name, deciding, verb)


HANDLERS: dict[type[m.Message], Handler] = {
    m.Cancel: _handler("cancel"),
    m.Pause: _handler("pause"),
    m.Resume: _handler("resume"),
    m.Retry: _handler("retry"),
    m.Skip: _handler("skip"),
    m.Resolve: _handler("resolve"),
    m.Rollback: _handler("rollback"),
    m.Abandon: _handler("abandon"),
    m.Approve: _handler("approve"),
    m.Reject: _handler("reject"),
}
