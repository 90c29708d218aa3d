"""A saga rehearsed: the real machine against simulated drivers, with one thing going wrong at a time.

Theory of operation
-------------------
Nothing is simulated of the machine: ``decide`` and ``wants`` are asked as the actor asks them, in a loop without tasks,
a clock or a disk. What would be the drivers' part is made up: an intent is what the declarations make of it
(``prepare``, handed in), a call does what the case says, a ``find`` tells the truth where the driver declares one. The
world is the set of steps whose effects are there. Time jumps to whatever is due next.

First the saga runs with nothing going wrong, then again and is cancelled while its last step is at work, so that the
undos run. Each call of these two runs is then tried in other ways: it fails for good; its answer is lost (a timeout, a
connection, a crash) after it had its effect; it is lost before. As states are values, such a case begins at the very
moment of the call, and ends where it joins the run that it left. What is undone only before a point of no return is
tried in the run in which the first step to need it fails.

Taken as given: approvals, the absence of others who change or lock the same things, and calls that take no time, so
that no deadline passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.holds import LeftBehind, left_behind
from actors.saga.machine import decide, submit
from actors.saga.plan import Approvals, Plan, Retry
from actors.saga.state import Direction, Error, Held, State, Status
from actors.saga.wants import Perform, Poll, Prepare, Settle, Want, wake, wants

Fault = Literal["fails", "lost_done", "lost_not_done"]
LOSSES: tuple[Fault, ...] = ("lost_done", "lost_not_done")

ATTEMPTS = 2
"""An attempt and a repeat. What comes of them comes of any number."""

_LOST = {"kind": "unknown", "error": Error("rehearsed", "its answer was lost")}
_OUTCOMES: dict[Fault | None, dict[str, Any]] = {
    None: {"kind": "succeeded"},
    "fails": {"kind": "failed", "error": Error("rehearsed", "it was made to fail for the rehearsal")},
    "lost_done": _LOST,
    "lost_not_done": _LOST,
}

Preparing = Callable[[Prepare], m.Prepared]
"""What the driver's declaration makes of an operation that is to begin."""


class Ending(msgspec.Struct, frozen=True):
    """What a case came to: where it ended or where somebody would be asked, and what the world holds by then."""

    status: Status
    hold: Held | None
    left_behind: tuple[LeftBehind, ...]

    @property
    def clean(self) -> bool:
        """Nothing is left behind, and nobody is asked."""
        return self.hold is None and not self.left_behind


class Case(msgspec.Struct, frozen=True):
    """One thing that goes wrong, and what comes of it."""

    step: str | None
    """None: nothing goes wrong, or the saga as a whole is cancelled."""
    direction: Direction
    fault: Fault | Literal["none", "cancelled"]
    ending: Ending


class Moment(msgspec.Struct, frozen=True):
    """Where a run is: the saga's state, the steps whose effects are in the world, and the time."""

    state: State
    world: frozenset[int]
    now: int
    hooks: frozenset[int] = frozenset()
    """The steps whose hooks have had their effect, which is never taken back."""


Key = tuple[int, Direction]
Calls = dict[Key, Moment]
"""For each call of a run, in their order, the moment before its first attempt."""


class Run(msgspec.Struct):
    """A run to its end: the calls that were made, and what came of it."""

    calls: Calls
    ending: Ending


def rehearse(plan: Plan, prepare: Preparing, chosen: Sequence[int] | None = None) -> Iterator[Case]:
    """Give the cases of a saga, the run in which nothing goes wrong first. ``chosen``: only these steps' cases."""
    return _Rehearsal(brisk(plan), prepare, chosen).cases()


class _Rehearsal:
    """The cases of one plan."""

    def __init__(self, plan: Plan, prepare: Preparing, chosen: Sequence[int] | None) -> None:
        self.plan = plan
        self.prepare = prepare
        self.chosen = range(len(plan.steps)) if chosen is None else chosen
        self.undos: dict[Key, tuple[Moment, Ending]] = {}
        """The moment before each undo, and what comes of the run that it is in."""

    def cases(self) -> Iterator[Case]:
        plain = self.run(_submitted(self.plan))
        yield Case(None, "forward", "none", plain.ending)
        cancelled = self.run(_cancelled(self.plan, list(plain.calls.values())[-1]))
        self.note(cancelled)
        for key, moment in plain.calls.items():
            yield from self.faults(key, moment, plain.ending)
        yield Case(None, "undo", "cancelled", cancelled.ending)
        for key, (moment, usual) in self.undos.items():
            yield from self.faults(key, moment, usual)

    def run(self, moment: Moment, fault: tuple[int, Direction, Fault] | None = None) -> Run:
        calls: Calls = {}
        return Run(calls, _ending(self.plan, _run(self.plan, self.prepare, moment, fault, calls)))

    def note(self, run: Run) -> None:
        """Keep the undos of a run that no other has had: a point of no return keeps some from a saga's last step."""
        for key, moment in run.calls.items():
            if key[1] == "undo":
                self.undos.setdefault(key, (moment, run.ending))

    def faults(self, key: Key, moment: Moment, usual: Ending) -> Iterator[Case]:
        """Have a call go wrong in each way; ``usual``: what comes of its run otherwise."""
        index, direction = key
        if index not in self.chosen:
            return
        name = self.plan.steps[index].name
        failed = self.run(moment, (*key, "fails"))
        if direction != "undo":
            self.note(failed)
        yield Case(name, direction, "fails", failed.ending)
        for fault in LOSSES:
            after = _run(self.plan, self.prepare, moment, (*key, fault), until=key)
            ending = usual if _over(after.state, key) else _ending(self.plan, after)
            yield Case(name, direction, fault, ending)


def brisk(plan: Plan) -> Plan:
    """Give the plan as it is rehearsed: approved, and with no more attempts than it takes to see what comes of them."""
    steps = tuple(
        msgspec.structs.replace(
            step, asks="never", asks_undo=False, retry=_fewer(step.retry), undo_retry=_fewer(step.undo_retry)
        )
        for step in plan.steps
    )
    return msgspec.structs.replace(plan, steps=steps, approvals=Approvals(), deadline=None)


def _fewer(retry: Retry) -> Retry:
    return msgspec.structs.replace(retry, attempts=min(retry.attempts, ATTEMPTS))


def _submitted(plan: Plan) -> Moment:
    event = e.Submitted(kind=plan.kind, steps=len(plan.steps), plan="", inputs="", actor="rehearsal")
    return Moment(submit(plan, event, 0).state, frozenset(), 0)


def _cancelled(plan: Plan, moment: Moment) -> Moment:
    state = decide(plan, moment.state, m.Cancel(by="rehearsal"), moment.now).state
    return msgspec.structs.replace(moment, state=state)


# --- one run --------------------------------------------------------------------------------------------------------


def _run(
    plan: Plan,
    prepare: Preparing,
    moment: Moment,
    fault: tuple[int, Direction, Fault] | None = None,
    calls: Calls | None = None,
    until: Key | None = None,
) -> Moment:
    """Go on until the saga ends or needs somebody; or a call is over as usual, from where all goes on as usual."""
    while until is None or not _over(moment.state, until):
        want = _next(plan, moment)
        if want is None:
            due = wake(plan, moment.state, moment.now)
            if due is None:
                break
            later = msgspec.structs.replace(moment, now=max(due, moment.now))
            moment = _told(plan, later, m.Tick())
        elif isinstance(want, Prepare):
            moment = _told(plan, moment, prepare(want))
        elif isinstance(want, Settle):
            moment = _told(plan, moment, _found(moment, want))
        else:
            if calls is not None:
                calls.setdefault((want.step, want.direction), moment)
            moment = _performed(plan, prepare, moment, want, _going_wrong(want, fault))
    return moment


def _next(plan: Plan, moment: Moment) -> Prepare | Settle | Perform | None:
    """Give what is to happen next: what runs side by side has all begun before any of it ends."""
    wanted = [want for want in wants(plan, moment.state, moment.now) if not isinstance(want, Poll)]
    return min(wanted, key=_rank, default=None)


def _rank(want: Want) -> int:
    return (Prepare, Settle, Perform).index(type(want))


def _told(plan: Plan, moment: Moment, message: m.Message) -> Moment:
    state = decide(plan, moment.state, message, moment.now).state
    return msgspec.structs.replace(moment, state=state)


def _over(state: State, key: Key) -> bool:
    """Tell whether a call has come to its usual end."""
    return state.steps[key[0]].status == ("compensated" if key[1] == "undo" else "completed")


def _going_wrong(want: Perform, fault: tuple[int, Direction, Fault] | None) -> Fault | None:
    if fault is None or (want.step, want.direction) != fault[:2]:
        return None
    return fault[2] if fault[2] == "fails" or want.attempt == 1 else None


# --- the simulated drivers ------------------------------------------------------------------------------------------


def _performed(plan: Plan, prepare: Preparing, moment: Moment, want: Perform, fault: Fault | None) -> Moment:
    """Make one attempt: change the world or not, and say or do not say so."""
    if fault in (None, "lost_done") or (fault == "fails" and _half(plan, want)):
        moment = _effect(prepare, moment, want)
    return _told(plan, moment, m.Answered(**_attempt(want), **_OUTCOMES[fault]))


def _half(plan: Plan, want: Perform) -> bool:
    """What has an undo also where it failed may have been done in part: so says its author."""
    return want.direction == "forward" and plan.steps[want.step].undo_when == "started"


def _effect(prepare: Preparing, moment: Moment, want: Perform) -> Moment:
    here = {want.step}
    if want.direction == "undo":
        return msgspec.structs.replace(moment, world=moment.world - here)
    if not prepare(Prepare(want.step, want.direction, want.generation)).changes:
        return moment
    if want.direction == "hook":
        return msgspec.structs.replace(moment, hooks=moment.hooks | here)
    return msgspec.structs.replace(moment, world=moment.world | here)


def _found(moment: Moment, want: Settle) -> m.Found:
    """Look, where the driver can: it tells the truth."""
    if not want.finds:
        return m.Found(**_attempt(want), kind="cannot")
    there = want.step in (moment.hooks if want.direction == "hook" else moment.world)
    done = there == (want.direction != "undo")
    return m.Found(**_attempt(want), kind="done" if done else "not_done")


def _attempt(want: Perform | Settle) -> dict[str, Any]:
    return {
        "step": want.step,
        "direction": want.direction,
        "generation": want.generation,
        "attempt": want.attempt,
    }


# --- what came of it ------------------------------------------------------------------------------------------------


def _ending(plan: Plan, moment: Moment) -> Ending:
    """Say what the world still holds, in the machine's own words where it has any.

    They are the same, but for an operation that changes nothing and that its author calls irreversible all the same.
    """
    state = moment.state
    if state.status == "completed":
        return Ending("completed", state.hold, ())
    said = {each.step: each for each in left_behind(plan, state)}
    left = tuple(
        said.get(step.name) or _unsaid(plan, state, step.index)
        for step in plan.steps
        if step.index in moment.world or step.name in said
    )
    return Ending(state.status, state.hold, left)


def _unsaid(plan: Plan, state: State, index: int) -> LeftBehind:
    step = state.steps[index]
    why = "it stays until somebody decides"
    if step.asks and step.status == "unknown":
        why = "it was done, which nobody can tell without looking"
    elif step.asks:
        why = "its undo was not made, which nobody can tell without looking"
    elif step.no_return:
        why = "it is irreversible"
    resource = None if step.resource is None else step.resource.label
    return LeftBehind(step=plan.steps[index].name, resource=resource, why=why)
