"""From a decision's events to rows: what the executions' table and the checkpoint are to hold after them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from actors.resources import Resources
from actors.saga import events as e
from actors.saga import register
from actors.saga.dossier import Carry, Dossier, Entry
from actors.saga.holds import waits
from actors.saga.plan import Plan
from actors.saga.state import ENDED, MACHINE, Direction, Error, Move, State, Touch
from actors.saga.wants import Poll, Want, wake, wants
from store.queries import KEPT
from store.records import Checkpoint, ExecutionChange, NewEvent, NewExecution, ResourceChange, Sealed

_STATE = msgspec.msgpack.Encoder()
_JSON = msgspec.json.Encoder()
_PACK = msgspec.msgpack.Encoder()


def event_row(saga: str, plan: Plan, event: e.Event, at: int) -> NewEvent:
    """Give an event as the journal keeps it."""
    index: int | None = getattr(event, "step", None)
    step = None if index is None else plan.steps[index].name
    touched: Touch | None = getattr(event, "resource", None)
    resource = None if touched is None else touched.label
    return NewEvent(
        saga, at, e.type_of(event), event.version, e.encode(event), step, event.actor or "sagad", resource
    )


def checkpoint(plan: Plan, state: State, wanted: list[Want], now: int) -> Checkpoint:
    """Give a state, in which this is wanted, as the sagas' table keeps it."""
    ended = state.status in ENDED
    in_flight = any(not isinstance(want, Poll) for want in wanted)
    waiting = None if ended else waits(plan, state)
    return Checkpoint(
        state.status,
        None if state.hold is None else state.hold.reason,
        None if waiting is None else waiting.for_,
        _wake(plan, state, now, in_flight=in_flight),
        _STATE.encode(state),
        MACHINE,
        state.updated_at,
        state.finished_at,
    )


def _wake(plan: Plan, state: State, now: int, *, in_flight: bool) -> int | None:
    if state.status in ENDED:
        return KEPT if state.locks else None
    return 0 if in_flight else wake(plan, state, now)


def checkpoint_alone(plan: Plan, state: State, now: int) -> Checkpoint:
    """Give a state as the sagas' table keeps it, for who has not asked yet what it wants."""
    return checkpoint(plan, state, wants(plan, state, now), now)


class Rows:
    """The rows that some events bring about: of executions, and of the resources that these are about."""

    def __init__(self, resources: Resources) -> None:
        """Begin with none."""
        self.executions: list[NewExecution] = []
        self.changes: list[ExecutionChange] = []
        self.resources: list[ResourceChange] = []
        self.sealed: list[Sealed] = []
        self._resources = resources

    def take(self, dossier: Dossier, events: Iterable[e.Event], carry: Carry | None, at: int) -> None:
        """Add what a decision's events bring about."""
        for event in events:
            if carry is not None and isinstance(event, _CARRIES):
                self.sealed += carry.sealed
            if isinstance(event, e.Started):
                assert carry is not None
                self._start(dossier, event, carry)
            elif isinstance(event, e.Moved):
                dossier.moves += (Move(type=event.resource.type, id=event.resource.id or "", to=event.to),)
            elif isinstance(event, e.StepEvent):
                self._change(dossier, event, carry, at)
                if isinstance(event, e.Succeeded | e.PartlyDone):
                    self._register(dossier, event, at)

    def _start(self, dossier: Dossier, event: e.Started, carry: Carry) -> None:
        assert carry.entry is not None
        assert carry.row is not None
        dossier.entries[event.step, event.direction] = carry.entry
        self.executions.append(carry.row)

    def _register(self, dossier: Dossier, event: e.Succeeded | e.PartlyDone, at: int) -> None:
        done = register.Done(event.step, _direction(event), isinstance(event, e.PartlyDone), at)
        self.resources += register.after(self._resources, dossier, done)

    def _change(self, dossier: Dossier, event: e.StepEvent, carry: Carry | None, at: int) -> None:
        entry = dossier.entries.get((event.step, _direction(event)))
        columns = _COLUMNS.get(type(event))
        if entry is None or columns is None or not _concerns(entry, event):
            return
        changed: dict[str, Any] = columns(event, at)
        entry.status = changed["status"]
        if carry is not None and isinstance(event, _BRINGS):
            changed |= _payload(entry, carry)
        self.changes.append(ExecutionChange(entry.id, **changed))


_BRINGS = e.Succeeded | e.PartlyDone | e.Working
_CARRIES = e.Started | _BRINGS | e.Skipped
"""Events whose message may carry what is sealed."""


def _direction(event: e.StepEvent) -> Direction:
    if isinstance(event, e.RunEvent):
        return event.direction
    return "undo" if isinstance(event, e.Conflicted | e.Kept) else "forward"


def _concerns(entry: Entry, event: e.StepEvent) -> bool:
    """Tell whether an event is of this execution, not of a new start that came to nothing before its intent was written.

    What is over stays as it is on record; only of an undo that failed the operator can have the last word.
    """
    if entry.status not in _OVER:
        return True
    return entry.direction == "undo" and entry.status == "failed" and isinstance(event, e.Succeeded | e.Kept)


_OVER = frozenset({"completed", "failed", "partial", "compensated", "skipped"})


def _payload(entry: Entry, carry: Carry) -> dict[str, Any]:
    """Take the payload that a message carried into the entry, and give it as columns."""
    columns: dict[str, Any] = {}
    if carry.outputs is not None:
        entry.outputs = {**(entry.outputs or {}), **carry.outputs}
        columns["outputs"] = _JSON.encode(entry.outputs)
    if carry.after is not None:
        entry.after = carry.after
        columns["after"] = _PACK.encode(carry.after)
    if carry.handle is not None:
        entry.handle = carry.handle
        columns["handle"] = _PACK.encode(carry.handle)
    if carry.before is not None:
        entry.intent = msgspec.structs.replace(entry.intent, before=carry.before)
        columns["plan"] = _PACK.encode(entry.intent)
    return columns


def _error(error: Error | None) -> bytes | None:
    return None if error is None else _JSON.encode({"code": error.code, "message": error.message})


def _succeeded(_: e.Succeeded, at: int) -> dict[str, Any]:
    return {"status": "completed", "finished_at": at}


def _ended(status: str) -> Any:
    def columns(event: Any, at: int) -> dict[str, Any]:
        return {"status": status, "error": _error(event.error), "finished_at": at}

    return columns


def _open(status: str) -> Any:
    def columns(event: Any, _: int) -> dict[str, Any]:
        return {"status": status, "error": _error(event.error)}

    return columns


def _attempted(event: e.Attempted, _: int) -> dict[str, Any]:
    return {"status": "running", "attempts": event.attempt}


def _working(_: e.Working, __: int) -> dict[str, Any]:
    return {"status": "running"}


def _settled(event: e.Settled, _: int) -> dict[str, Any]:
    return {"status": "unknown" if event.as_ == "unclear" else "running", "error": _error(event.error)}


def _kept(event: e.Kept, at: int) -> dict[str, Any]:
    return {
        "status": "skipped",
        "error": _JSON.encode({"code": "kept", "message": event.why}),
        "finished_at": at,
    }


_COLUMNS: dict[type[e.Event], Any] = {
    e.Succeeded: _succeeded,
    e.Failed: _ended("failed"),
    e.PartlyDone: _ended("partial"),
    e.CleanedUp: _ended("compensated"),
    e.Delayed: _open("running"),
    e.WentUnknown: _open("unknown"),
    e.Conflicted: _open("conflict"),
    e.Attempted: _attempted,
    e.Working: _working,
    e.Settled: _settled,
    e.Kept: _kept,
}
"""Event -> what it makes of its execution's row."""
