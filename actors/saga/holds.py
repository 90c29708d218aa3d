"""Why a saga does not move: what holds it (somebody must act) and what it waits for (it goes on by itself).

Both are read off the state. Every state that is not ended has a hold, a wait, or something running: the laws' test
goes by ``holds`` and ``waits``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from actors.saga.plan import Approvals, Plan
from actors.saga.state import (
    ENDED,
    HOLDS,
    Ask,
    Direction,
    Error,
    Held,
    Hold,
    Phase,
    Run,
    State,
    StepState,
)

Wait = Literal["timer", "retry", "queue", "provider", "storage", "drain"]


class Waiting(msgspec.Struct, frozen=True):
    """What a saga waits for by itself, and until when (UTC milliseconds)."""

    for_: Wait = msgspec.field(name="for")
    until: int | None
    detail: str


def runs(state: State) -> tuple[tuple[int, Direction, Run], ...]:
    """Give every execution that has no outcome yet."""
    return state.seen.runs


def active(run: Run) -> bool:
    """Something of it is going on in the world or in a driver."""
    return run.phase in ("calling", "settling") or (run.phase == "polling" and run.changes)


def quiet(state: State) -> bool:
    """Nothing of the saga is going on."""
    return not any(active(run) for _, _, run in state.seen.runs)


def settled(state: State) -> bool:
    """Nothing of the saga is going on, nobody wonders what any of its attempts has done, and nothing is urgent."""
    if not quiet(state) or any(run.doubt for _, _, run in state.seen.runs) or state.seen.unknown:
        return False
    return not state.seen.open and not urgent(state)


def urgent(state: State) -> list[int]:
    """Give the steps whose hook has failed: they are taken back at once, before the saga turns, the last one first."""
    if not state.seen.failing:
        return []
    found = [
        i
        for i, step in enumerate(state.steps)
        if step.hook_failed and step.status in ("failed", "compensating")
    ]
    return sorted(found, key=lambda i: -state.steps[i].number)


def spared(plan: Plan, state: State) -> frozenset[int]:
    """Give the steps that an unwinding leaves alone: irreversible ones that are done, and all that come before them."""
    if state.past or not state.seen.no_return:
        return frozenset()
    points = [i for i, step in enumerate(state.steps) if step.no_return]
    return frozenset(points).union(*(plan.before[i] for i in points))


def to_undo(plan: Plan, state: State) -> list[int]:
    """Give the steps that still have to be taken back, the one that started last first.

    One that did and is ``running`` is done, and its hook had not begun when the saga turned.
    """
    alone = spared(plan, state)
    return sorted(
        (
            i
            for i, step in enumerate(state.steps)
            if step.did
            and not step.stays
            and i not in alone
            and step.status in ("completed", "running", "failed", "compensating")
        ),
        key=lambda i: -state.steps[i].number,
    )


def to_undo_now(plan: Plan, state: State) -> list[int]:
    """Give the steps whose undos may be due: on the way back all that is left, before it those whose hook has failed."""
    return to_undo(plan, state) if state.status == "compensating" else urgent(state)


def undos_ask(state: State) -> bool:
    """Tell whether it is undos that ask for approval, not steps."""
    return bool(state.seen.undo_asking) and (state.status == "compensating" or bool(urgent(state)))


def still_done(state: State) -> bool:
    """Tell whether something that was to be taken back is still there, so that the saga ends failed."""
    return any(
        step.status in ("compensation_failed", "unknown")
        or (step.did and step.way_back != "nothing" and step.status in ("completed", "failed"))
        for step in state.steps
    )


def stops(plan: Plan, state: State) -> bool:
    """Tell whether a failure keeps the saga from starting anything more; in a batch of best effort only the last can."""
    if plan.batch is not None and plan.batch.mode == "best_effort":
        return state.seen.failing and not state.seen.runs and not state.seen.pending
    return state.seen.failing


def stopped(plan: Plan, state: State) -> bool:
    """It failed, and waits for the operator's word (``on_failure: hold``)."""
    return (
        state.status in ("pending", "running")
        and state.turn is None
        and plan.on_failure == "hold"
        and state.seen.failing
        and settled(state)
    )


def past_irreversible(plan: Plan, state: State) -> bool:
    """All that could be taken back without passing a point of no return was."""
    return state.status == "compensating" and bool(spared(plan, state)) and not to_undo(plan, state)


def asking(plan: Plan, state: State) -> list[tuple[int | None, Ask]]:
    """Give the approvals that are asked for: for the whole saga (None) or a step; on the way back for a step's undo."""
    if undos_ask(state) and state.abandoned is None:
        left = to_undo_now(plan, state)
        return [(index, ask) for index, ask in state.seen.undo_asking if index in left]
    forward = state.status in ("pending", "running") and state.turn is None and state.abandoned is None
    if not forward:
        return []
    if plan.approvals.start and state.ask is not None and not state.ask.approved:
        return [(None, state.ask)]
    return list(state.seen.asking)


def asked(plan: Plan, state: State, do: Commands) -> Iterator[str]:
    """Say of each approval that is asked for what it is of, who may give it, and how; of none where the saga stops."""
    back = undos_ask(state)
    if stops(plan, state) and not back:
        return
    asks = asking(plan, state)
    for index, ask in asks:
        what = "it" if index is None else named(plan, index, "undo" if back else "forward")
        step = [plan.steps[index].name] if index is not None and (back or len(asks) > 1) else []
        rules = plan.rules(None if back else index)
        yield _asks(rules, what, ask, f"{do('approve', *step)} or {do('reject', *step)}")


def _asks(rules: Approvals, what: str, ask: Ask, answers: str) -> str:
    given = len(ask.given)
    who = f" by {' or '.join(rules.approvers)}" if rules.approvers else ""
    who = who or (" by an admin" if ask.irreversible else "")
    count = f", {given} of {rules.quorum} given" if rules.quorum > 1 else ""
    eyes = ", not by who submitted it" if rules.four_eyes else ""
    said = f' ("{ask.message}")' if ask.message else ""
    return f"{what} waits for approval of {ask.hash[:12]}{said}{who}{count}{eyes}: {answers}"


class Commands:
    """How commands are written: in full where the saga's id is known, else by their verb alone."""

    def __init__(self, id: str | None = None) -> None:
        self._id = id

    def __call__(self, verb: str, *rest: str) -> str:
        """Write one command."""
        words = (verb, *rest) if self._id is None else ("sagactl", verb, self._id, *rest)
        return f"`{' '.join(words)}`"


def _returned(state: State, do: Commands) -> Iterator[str]:
    """Say of a saga that came back with a backup what somebody must look at first."""
    if state.restored:
        yield f"{state.quarantine}; then {do('resume')}, {do('cancel')} or {do('abandon')}"


def attention(plan: Plan, state: State, do: Commands) -> Iterator[str]:
    """Say what needs somebody, with what to do about it."""
    if state.stuck is not None:
        yield f"{state.stuck}; then {do('retry')}"
    if state.deadlock is not None and state.seen.locked:
        index = state.seen.locked[0][0]
        skip = f"{do('skip', plan.steps[index].name)} or " if locked_way(state, index) != "hook" else ""
        yield f"{state.deadlock}, and none of them can turn back: {skip}{do('abandon')} one of them"
    if state.seen.asks:
        for step, now in zip(plan.steps, state.steps, strict=True):
            yield from _step_attention(step.name, now, do)
    if stopped(plan, state):
        yield from _broken_attention(plan, state, do)
        failing = [i for i, step in enumerate(state.steps) if step.failing]
        failed = _names(plan, failing)
        why = "; ".join(dict.fromkeys(_reason(failure(state.steps[i])) for i in failing))
        skip = do("skip", plan.steps[failing[0]].name)
        retry = f"{_retries(plan, state, failing, do)}, " if plan.batch is None else ""
        yield f"step {failed} failed ({why}) and on_failure is hold: {retry}{skip} or {do('cancel')}"
    if past_irreversible(plan, state):
        yield from _past_attention(plan, state, do)


def _retries(plan: Plan, state: State, failing: list[int], do: Commands) -> str:
    """Say how what failed is tried again; over what somebody else has changed only where that is said."""
    for index in failing:
        error = state.steps[index].error
        if plan.steps[index].takes_back is not None and error is not None and error.code == "conflict":
            return (
                f"{do('retry')}, {do('retry', plan.steps[index].name, '--force')} takes it back all the same"
            )
    return do("retry")


def _past_attention(plan: Plan, state: State, do: Commands) -> Iterator[str]:
    done = _names(plan, [i for i, step in enumerate(state.steps) if step.no_return])
    failing = [plan.steps[i].name for i, step in enumerate(state.steps) if step.failing]
    skip = f"{do('skip', failing[0])} goes on without the failed one, " if failing else ""
    yield from _broken_attention(plan, state, do)
    yield (
        f"everything after the irreversible step {done} was taken back: {do('retry')} starts those steps anew, "
        f"{skip}{do('rollback', '--past-irreversible')} takes back the rest"
    )


def _broken_attention(plan: Plan, state: State, do: Commands) -> Iterator[str]:
    """Say which undos failed: they come before the saga can go forward again."""
    broken = [
        plan.steps[i].name for i, step in enumerate(state.steps) if step.status == "compensation_failed"
    ]
    if broken:
        first = broken[0]
        yield f"the undo of step {', '.join(broken)} failed: {do('retry', first)} or {do('skip', first)}"


def _names(plan: Plan, chosen: list[int]) -> str:
    return ", ".join(plan.steps[i].name for i in chosen)


def _step_attention(name: str, step: StepState, do: Commands) -> Iterator[str]:
    if step.status not in ("unknown", "compensating") and not step.open:
        return  # the rest would be most of the work of a saga with a thousand steps
    resolve = do("resolve", name, "--as", "done|failed|retry")
    if step.status == "unknown":
        what, run = (
            (f"the hook of step {name}", step.hook) if step.at_hook else (f"step {name}", step.forward)
        )
        yield f"nobody knows whether {what} was done ({_why(run)}): look, then {resolve}"
    if step.status == "compensating" and step.undo is not None:
        if step.undo.phase == "unknown":
            yield (
                f"nobody knows whether the undo of step {name} was done ({_why(step.undo)}): look, then {resolve}"
            )
        if step.undo.phase == "conflict":
            yield (
                f"step {name} was not undone ({_why(step.undo)}): "
                f"{do('retry', name, '--force')} undoes it all the same, {do('skip', name)} leaves it"
            )
    if step.open:
        yield (
            f"the undo of step {name} failed ({_reason(step.error)}): "
            f"{do('retry', name)}, {do('skip', name)} or {do('resolve', name, '--as', 'done|failed')}"
        )


def _why(run: Run | None) -> str:
    return _reason(run.error if run is not None else None)


def failure(step: StepState) -> Error | None:
    """Give why a step failed: what its hook failed with, whatever has become of its undo since."""
    return step.hook.error if step.hook_failed and step.hook is not None else step.error


def _reason(error: Error | None) -> str:
    return error.message if error is not None and error.message else "no reason was given"


def hold(plan: Plan, state: State, id: str | None = None) -> tuple[Hold, str] | None:
    """Give the hold to be shown: the first reason of those that apply, and all of them in words."""
    if state.status in ENDED or (state.quarantine is None and not quiet(state)):
        return None
    do = Commands(id)
    found: dict[Hold, str] = {}
    if state.quarantine is not None and not state.restored:
        found["quarantined"] = (
            f"its actor crashed too often ({state.quarantine}): {do('resume')} lets it try again"
        )
    needs = [*_returned(state, do), *attention(plan, state, do)]
    if needs:
        found["attention"] = "; ".join(needs)
    if state.paused:
        found["paused"] = f"{paused(state)}: {do('resume')} lets it go on"
    if asks := "; ".join(asked(plan, state, do)):
        found["approval"] = asks
    if state.seen.locked:
        found["lock"] = "; ".join(
            f"{named(plan, i, locked_way(state, i))} waits for the lock of {lock.resource.label}"
            for i, lock in state.seen.locked
        )
    for reason in HOLDS:
        if reason in found:
            return reason, "; ".join(found[each] for each in HOLDS if each in found)
    return None


def locked_way(state: State, index: int) -> Direction:
    """Tell whether it is a step, its hook or its undo that waits for a lock."""
    step = state.steps[index]
    if state.status == "compensating" or step.hook_failed:
        return "undo"
    return "hook" if step.at_hook else "forward"


def paused(state: State) -> str:
    """Say who paused a saga that is paused, and the reason that was given."""
    if state.pause is None:
        return "paused by the operator"
    return f"paused by {state.pause.by}" + (f" ({state.pause.reason})" if state.pause.reason else "")


def shown(held: Held | None) -> tuple[Hold, str] | None:
    """Give a recorded hold in the form of ``hold``."""
    return None if held is None else (held.reason, held.detail)


def waits(plan: Plan, state: State) -> Waiting | None:
    """Give what the saga waits for by itself; None where it is held, ended, or goes on as it should.

    ``drain``: it is paused, cancelled or turning back, and waits for what is running to end.
    """
    if state.status in ENDED or state.hold is not None:
        return None
    if state.queued:
        return Waiting(for_="queue", until=None, detail="its batch lets it start when its turn has come")
    going = state.seen.runs
    calling = [(i, way) for i, way, run in going if run.phase == "calling"]
    if calling and _stopping(state):
        what = ", ".join(named(plan, i, way) for i, way in calling)
        return Waiting(for_="drain", until=None, detail=f"it stops once {what} has ended")
    if calling:
        return None
    found = [_waiting(named(plan, i, way), run) for i, way, run in going]
    return min(found, key=lambda wait: wait.until or 0, default=None)


def _stopping(state: State) -> bool:
    if state.paused or state.abandoned is not None:
        return True
    forward = state.status in ("pending", "running")
    return forward and (state.turn is not None or state.seen.failing)


def named(plan: Plan, index: int, direction: Direction) -> str:
    """Name one direction of a step for people."""
    return f"{_OF[direction]}step {plan.steps[index].name}"


_OF: dict[Direction, str] = {"forward": "", "hook": "the hook of ", "undo": "the undo of "}


POSTPONED: tuple[Phase, ...] = ("retrying", "polling", "settling")
"""The phases in which an execution may wait for its service."""


def _waiting(what: str, run: Run) -> Waiting:
    """Say what an execution waits for that is not being called."""
    if run.postponed and run.phase in POSTPONED:
        return Waiting(for_="provider", until=run.due, detail=f"{what} waits: {run.postponed}")
    if run.phase == "retrying":
        why = f" ({run.error.message})" if run.error else ""
        return Waiting(for_="retry", until=run.due, detail=f"{what} is tried again{why}")
    if run.phase == "polling":
        kind: Wait = "provider" if run.changes else "timer"
        detail = f"{what} goes on elsewhere" if run.changes else f"{what} waits"
        return Waiting(for_=kind, until=run.due, detail=detail)
    if run.phase == "settling":
        return Waiting(for_="provider", until=None, detail=f"finding out whether {what} was done")
    return Waiting(for_="drain", until=None, detail=f"{what} waits for your word once the rest has ended")


class LeftBehind(msgspec.Struct, frozen=True):
    """Something that an ended saga has left in the world, or one on its way back will."""

    step: str
    resource: str | None
    why: str


def left_behind(plan: Plan, state: State) -> list[LeftBehind]:
    """Name what was kept, skipped, blocked, not undone, given up while unknown, or left by ``on_failure: stop``."""
    return [
        LeftBehind(
            step=step.name,
            resource=now.resource.label if now.resource is not None else None,
            why=now.left,
        )
        for step, now in zip(plan.steps, state.steps, strict=True)
        if now.left is not None
    ]
