"""Every checkpoint rebuilt from its events and compared: what `audit replay` and the tests prove (SPEC §7).

Events are chained by hash, checkpoints are not: whoever changes one behind the daemon's back is found here.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from actors.reveals import BESIDE
from actors.saga import events as e
from actors.saga.evolve import NO_STATE, evolve
from actors.saga.state import MACHINE, State
from store.records import Event, state_sum
from store.snapshot import Checkpoint, checkpoints, pruned_sagas, snapshot, story, without_a_saga

_STATE = msgspec.msgpack.Decoder(State)

DAMAGED = "its checkpoint is damaged"


class Differing(NamedTuple):
    """A saga that is not what its events say."""

    saga: str
    problem: str
    gone: bool = False
    """There is no row of it any more: it is no saga to anybody."""


class Page(NamedTuple):
    """What was found of some sagas."""

    last: int
    """The number of the last saga looked at; 0 where there was none any more."""
    compared: int
    skipped: int
    """Sagas that cannot be compared: of another machine version, or with pruned events."""
    differing: list[Differing]


def replay(db: sqlite3.Connection, after: int, limit: int) -> Page:
    """Compare the sagas behind number `after`, each with its events of the same moment, however busy it is."""
    compared = skipped = last = 0
    differing = []
    with snapshot(db):
        for row in checkpoints(db, after, limit):
            last = row.number
            events = story(db, row.number)
            if events is None or row.machine != MACHINE:
                skipped += 1
                continue
            compared += 1
            if problem := compare(row, events):
                differing.append(Differing(row.id, problem))
        if not last:
            skipped += pruned_sagas(db)
            gone = "its row is gone, its events begin with {}"
            differing += [Differing(saga, gone.format(seq), gone=True) for saga, seq in without_a_saga(db)]
    return Page(last, compared, skipped, differing)


def fold(events: Iterable[Event], state: State = NO_STATE) -> State:
    """Give the state after these events. Raises what `decode` raises for an event that this release never wrote."""
    for each in events:
        if each.type in BESIDE:
            continue
        state = evolve(state, e.decode(each.type, each.version, each.data), each.at)
    return state


def compare(row: Checkpoint, events: list[Event]) -> str:
    """Say how a saga's row differs from what its events fold to; nothing where it does not."""
    if state_sum(row.state) != row.state_sum:
        return DAMAGED
    if not events:
        return "it has no events"
    try:
        folded = fold(events)
    except Exception as error:  # noqa: BLE001  whatever is in an event that was put in, it is named
        return f"its events cannot be folded: {type(error).__name__}: {error}"
    try:
        state = _STATE.decode(row.state)
    except msgspec.DecodeError as error:
        return f"its checkpoint cannot be read: {error}"
    return "; ".join(
        [*_different("checkpoint", _flat(state), _flat(folded)), *_of_row(row, folded, events[0])]
    )


def _flat(state: State) -> dict[str, Any]:
    whole = {name: getattr(state, name) for name in state.__struct_fields__ if name != "steps"}
    return whole | {f"step {index}": step for index, step in enumerate(state.steps)}


def _of_row(row: Checkpoint, folded: State, first: Event) -> Iterator[str]:
    """Compare what stands in the columns: lists, wakers and documents go by these."""
    says = {
        "status": folded.status,
        "hold": None if folded.hold is None else folded.hold.reason,
        "updated_at": folded.updated_at,
        "finished_at": folded.finished_at,
    }
    yield from _different("row", {name: getattr(row, name) for name in says}, says)
    submitted = e.decode(first.type, first.version, first.data)
    if not isinstance(submitted, e.Submitted):
        yield f"its first event is {first.type}"
        return
    was = {
        "kind": submitted.kind,
        "submitted_by": first.actor,
        "reason": submitted.reason,
        "rollback_of": submitted.rollback_of,
        "corrects": submitted.corrects,
        "plan": submitted.plan,
        "inputs": submitted.inputs,
    }
    now = {
        "kind": row.kind,
        "submitted_by": row.submitted_by,
        "reason": row.reason,
        "rollback_of": row.rollback_of,
        "corrects": row.corrects,
        "plan": row.plan.hex(),
        "inputs": hashlib.sha256(row.inputs).hexdigest(),
    }
    yield from _different("row", now, was)


def _different(what: str, now: dict[str, Any], folded: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*folded, *now]):
        if (ours := now.get(name)) != (theirs := folded.get(name)):
            values = f": {_brief(ours)}, not {_brief(theirs)}" if _plain(ours) and _plain(theirs) else ""
            yield f"its {what} differs from its events in {name}{values}"


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int)


def _brief(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004  a line is for reading
