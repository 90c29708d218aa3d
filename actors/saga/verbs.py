"""What operators may say to a saga, and when: SPEC §3's table of verbs and states, as a table.

A cell is a handler (what the verb does in that state), ``ALREADY`` (said and true before: nothing happens), ``ANOTHER``
(done by a saga of its own, which is the service's to start) or ``NO`` (refused, naming what is possible instead). What a
verb needs beyond its cell is checked in its handler, which refuses in words that say what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from actors.saga import approvals, repairs
from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.deciding import Deciding
from actors.saga.holds import asking, past_irreversible, stopped
from actors.saga.plan import Plan
from actors.saga.replies import accepted, refused
from actors.saga.state import State

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
    if any(step.undo_held for step in state.steps):
        return "undo_held"
    if state.status == "compensating":
        return "past" if past_irreversible(plan, state) else "back"
    if state.seen.unknown:
        return "unknown"
    return "stopped" if stopped(plan, state) else "forward"


# --- cancel, pause, resume, abandon, rollback -----------------------------------------------------------------------


def _cancel(deciding: Deciding, verb: m.Cancel | m.Rollback) -> m.Reply:
    now = isinstance(verb, m.Cancel) and verb.now
    state = deciding.state
    if state.cancel is not None and (state.cancel.now or not now):
        return m.Reply("nothing", "it is being cancelled already")
    if state.restored:
        deciding.emit(e.Resumed(actor=verb.by, reason=verb.reason))
    unknown = [p.name for p, s in zip(deciding.plan.steps, state.steps, strict=True) if s.status == "unknown"]
    deciding.emit(e.CancelRequested(actor=verb.by, reason=verb.reason, now=now))
    if unknown:
        return accepted(f"it turns back once step {', '.join(unknown)} is resolved")
    return accepted(
        "it turns back; what runs is interrupted" if now else "it turns back once what runs has ended"
    )


def _pause(deciding: Deciding, verb: m.Pause) -> m.Reply:
    if deciding.state.paused:
        return m.Reply("nothing", "it is paused already")
    deciding.emit(e.PauseRequested(actor=verb.by, reason=verb.reason))
    return accepted("it starts nothing new; `resume` lets it go on")


def _resume(deciding: Deciding, verb: m.Resume) -> m.Reply:
    if not deciding.state.paused and deciding.state.quarantine is None:
        return m.Reply("nothing", "it is not paused")
    deciding.emit(e.Resumed(actor=verb.by, reason=verb.reason))
    return accepted("it goes on")


def _abandon(deciding: Deciding, verb: m.Abandon) -> m.Reply:
    if not verb.reason:
        return refused("abandon needs a reason: --reason TEXT")
    deciding.emit(e.AbandonRequested(actor=verb.by, reason=verb.reason))
    return accepted("it ends failed, as it is")


def _past(deciding: Deciding, verb: m.Rollback) -> m.Reply:
    if not verb.past_irreversible:
        return refused(
            "it stopped at an irreversible step; `rollback --past-irreversible` takes back the rest"
        )
    deciding.emit(e.WentPastIrreversible(actor=verb.by, reason=verb.reason))
    return accepted("it takes back the rest; irreversible steps are kept")


# --- the table -----------------------------------------------------------------------------------------------------

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
        "stopped": repairs.retry_failed,
        "past": repairs.retry_past,
        "back": NO,
        "undo_held": repairs.retry_undo,
        "completed": NO,
        "failed": repairs.retry_late,
        "rolled_back": NO,
    },
    "skip": {
        "forward": repairs.skip_pending,
        "unknown": NO,
        "stopped": repairs.skip_failed,
        "past": repairs.skip_past,
        "back": repairs.skip_undo,
        "undo_held": repairs.skip_undo,
        "completed": NO,
        "failed": repairs.skip_late,
        "rolled_back": NO,
    },
    "resolve": {
        "forward": NO,
        "unknown": repairs.resolve_forward,
        "stopped": NO,
        "past": NO,
        "back": NO,
        "undo_held": repairs.resolve_undo,
        "completed": NO,
        "failed": repairs.resolve_late,
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
    "approve": {**_NOWHERE, **dict.fromkeys(ASKING, approvals.approve)},
    "reject": {**_NOWHERE, **dict.fromkeys(ASKING, approvals.reject)},
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
    at = column(plan, state)
    if state.quarantine is not None:
        turns = (
            ["cancel"] if state.restored and not state.cancel and callable(_cell("cancel", state, at)) else []
        )
        return [*turns, "resume", "abandon"]
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
        return refused(f"cannot {name}: it is being abandoned, and ends once what runs has ended")
    if deciding.state.quarantine is not None and name not in can:
        what = "it came back with a backup" if deciding.state.restored else "it is quarantined"
        return refused(f"cannot {name}: {what}; possible: {', '.join(can)}")
    if isinstance(verb, m.Retry) and deciding.state.stuck is not None:
        return repairs.unstick(deciding, verb)
    if callable(cell) and name in can:
        return cell(deciding, verb)
    if cell == ALREADY:
        return m.Reply("nothing", _WORDS[at])
    if cell == ANOTHER:
        return refused(f"{_WORDS[at]} by now: say `{name}` again, for a saga that takes it back")
    instead = f"possible: {', '.join(can)}" if can else "nothing is left to be done"
    return refused(f"cannot {name}: {_WORDS[at]}; {instead}")


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
