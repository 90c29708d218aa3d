"""What a group of commits comes to, table by table: rows first, then a few statements for all of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from store import chain, documents
from store.bulk import Bulk
from store.errors import JournalRefused
from store.records import (
    Checkpoint,
    Commit,
    ExecutionChange,
    NewEvent,
    NewSaga,
    Note,
    Pruning,
    Resource,
    state_sum,
)

Row = tuple[Any, ...]

_INSERT_EVENTS = Bulk("INSERT INTO events (seq, number, saga, body, hash) VALUES", columns=5)
_INSERT_SAGAS = Bulk(
    "INSERT INTO sagas (number, id, kind, plan, inputs, labels, submitted_by, reason, created_at, batch,"
    " rollback_of, corrects,"
    " status, hold, waiting, wake, state, state_sum, machine, updated_at, finished_at) VALUES",
    columns=21,
)
_UPDATE_SAGAS = Bulk(
    "UPDATE sagas SET status = column2, hold = column3, waiting = column4, wake = column5, state = column6,"
    " state_sum = column7, machine = column8, updated_at = column9, finished_at = column10 FROM (VALUES",
    columns=10,
    tail=") WHERE number = column1",
)
# Most checkpoints of a saga in flight leave alone what is searched by. Then no index has to be written: 2 µs instead
# of 6 in each commit.
_UPDATE_STATES = Bulk(
    "UPDATE sagas SET waiting = column2, state = column3, state_sum = column4, machine = column5,"
    " updated_at = column6 FROM (VALUES",
    columns=6,
    tail=") WHERE number = column1",
)
_INSERT_EXECUTIONS = Bulk(
    "INSERT INTO executions (number, id, step, step_name, direction, nature, generation, operation, key,"
    " status, attempts, arguments, plan, started_at, resource, compensates, actor, reason) VALUES",
    columns=18,
)
_UPDATE_EXECUTIONS = Bulk(
    "UPDATE executions SET status = coalesce(column3, status), attempts = coalesce(column4, attempts),"
    " error = coalesce(column5, error), outputs = coalesce(column6, outputs), after = coalesce(column7, after),"
    " handle = coalesce(column8, handle), finished_at = coalesce(column9, finished_at),"
    " plan = coalesce(column10, plan) FROM (VALUES",
    columns=10,
    tail=") WHERE number = column1 AND id = column2",
)
_INSERT_PLANS = Bulk("INSERT OR IGNORE INTO plans (digest, body) VALUES", columns=2)
_INSERT_KEYS = Bulk("INSERT INTO idempotency_keys (key, saga, body, at) VALUES", columns=4)
_PUT_RESOURCES = Bulk(
    "INSERT OR REPLACE INTO resources (type, identity, name, id, spec, spec_version, outputs, saga, execution,"
    " created_at, updated_at, stack, needs, protect) VALUES",
    columns=14,
)
_PUT_SEALED = Bulk("INSERT OR REPLACE INTO sealed (execution, name, number, box) VALUES", columns=4)
_DELETE_SEALED = Bulk("DELETE FROM sealed WHERE (execution, name) IN (VALUES", columns=2, tail=")")
_DELETE_RESOURCES = Bulk("DELETE FROM resources WHERE (type, identity) IN (VALUES", columns=2, tail=")")


_DELETE_SAGA = "DELETE FROM sagas WHERE number = ? AND finished_at = ? AND wake IS NULL"
_DROP_BODY = "UPDATE events SET digest = ?, body = NULL WHERE seq = ? AND body IS NOT NULL"
_DELETE_PLAN = (
    "DELETE FROM plans WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM sagas WHERE number > ?2 AND plan = ?1)"
)


class Head(NamedTuple):
    """Where the record ends."""

    seq: int
    hash: bytes
    sagas: int
    """The last saga number given."""


class Known(NamedTuple):
    """What the writer has at hand about a saga: its number, and what it is searched by."""

    number: int
    status: str
    hold: str | None
    wake: int | None
    finished_at: int | None


class Rows:
    """The rows of one transaction, collected by table so that each takes a few statements only."""

    def __init__(self, head: Head, known: Callable[[str], Known]) -> None:
        self.head = head
        self.known: dict[str, Known] = {}
        """What is known of sagas once these rows are written."""
        self.events: list[Row] = []
        self.prunings: list[Pruning] = []
        self._known = known
        self._sagas: list[Row] = []
        self._checkpoints: list[Row] = []
        self._states: list[Row] = []
        self._executions: list[Row] = []
        self._changes: list[Row] = []
        self._plans: dict[bytes, bytes] = {}
        self._keys: list[Row] = []
        self._resources: dict[tuple[str, str], Resource | None] = {}
        """What each record is to be in the end: several changes of one may come in one group."""
        self._sealed: dict[tuple[str, str], Row] = {}
        self._unsealed: list[tuple[str, str]] = []

    def add(self, commit: Commit | Note) -> int:
        """Add a commit's rows and give the number of its last event."""
        for change in commit.resources:
            self._resources[change.type, change.identity] = change.record
        if isinstance(commit, Note):
            self._unsealed += commit.unsealed
            if commit.pruning is not None:
                self.prunings.append(commit.pruning)
            for event in commit.events:
                self._events([event], self._known(event.saga).number if event.saga else None)
            return self.head.seq
        number = self._saga(commit)
        self._events(commit.events, number)
        for sealed in commit.sealed:
            key = sealed.execution, sealed.name
            self._sealed[key] = (*key, number, sealed.box)
        for new in commit.executions:
            self._executions.append(
                (number, new.id, new.step, new.step_name, new.direction, new.nature, new.generation, new.operation,
                 new.key, "running", 1, new.arguments, new.plan, new.started_at, new.resource, new.compensates,
                 new.actor, new.reason)
            )  # fmt: skip
        for became in _merged(commit.changes):
            self._changes.append(
                (number, became.id, became.status, became.attempts, became.error, became.outputs, became.after,
                 became.handle, became.finished_at, became.plan)
            )  # fmt: skip
        return self.head.seq

    def write(self, db: sqlite3.Connection) -> None:
        """Run the statements. Raises JournalRefused where a row to be changed is not there."""
        _INSERT_PLANS.run(db, list(self._plans.items()))
        _INSERT_SAGAS.run(db, self._sagas)
        _UPDATE_SAGAS.run(db, self._checkpoints)
        _UPDATE_STATES.run(db, self._states)
        _INSERT_EVENTS.run(db, self.events)
        _INSERT_EXECUTIONS.run(db, self._executions)
        if _UPDATE_EXECUTIONS.run(db, self._changes) != len(self._changes):
            raise JournalRefused("journal", "a change of an execution that is not there")
        _INSERT_KEYS.run(db, self._keys)
        if self._resources:
            self._write_resources(db)
        _DELETE_SEALED.run(db, self._unsealed)
        _PUT_SEALED.run(db, list(self._sealed.values()))
        for pruning in self.prunings:
            self._prune(db, pruning)

    def _prune(self, db: sqlite3.Connection, pruning: Pruning) -> None:
        changed = {row[0] for row in (*self._checkpoints, *self._states)}
        gone = [(number, finished_at) for number, _, finished_at in pruning.sagas]
        if changed.intersection(number for number, _ in gone):
            raise JournalRefused("journal", "a saga to be pruned has just changed")
        if gone and db.executemany(_DELETE_SAGA, gone).rowcount != len(gone):
            raise JournalRefused("journal", "a saga to be pruned is no longer what it was")
        db.executemany("DELETE FROM executions WHERE number = ?", [(number,) for number, _ in gone])
        db.executemany(_DROP_BODY, [(digest, seq) for seq, digest in pruning.bodies])
        db.executemany(_DELETE_PLAN, [(digest, pruning.newest) for digest in pruning.plans])

    def _write_resources(self, db: sqlite3.Connection) -> None:
        gone = [key for key, record in self._resources.items() if record is None]
        _DELETE_RESOURCES.run(db, gone)
        _PUT_RESOURCES.run(
            db, [msgspec.structs.astuple(record) for record in self._resources.values() if record is not None]
        )

    def forget(self, head: Head) -> None:
        """Start again from this head, with nothing to write."""
        self.head = head
        self.events = []

    def _saga(self, commit: Commit) -> int:
        at = commit.checkpoint
        if commit.plan:
            self._plans[commit.plan[0]] = commit.plan[1]
        if commit.new:
            return self._new_saga(commit, commit.new, at)
        before = self._known(commit.saga)
        number = before.number
        after = Known(number, at.status, at.hold, at.wake, at.finished_at)
        sum_ = state_sum(at.state)
        if after == before:
            self._states.append((number, at.waiting, at.state, sum_, at.machine, at.updated_at))
            return number
        self.known[commit.saga] = after
        self._checkpoints.append(
            (number, at.status, at.hold, at.waiting, at.wake, at.state, sum_, at.machine, at.updated_at,
             at.finished_at)
        )  # fmt: skip
        return number

    def _new_saga(self, commit: Commit, new: NewSaga, at: Checkpoint) -> int:
        number = self.head.sagas + 1
        self.head = self.head._replace(sagas=number)
        self.known[commit.saga] = Known(number, at.status, at.hold, at.wake, at.finished_at)
        self._sagas.append(
            (number, commit.saga, new.kind, new.plan, new.inputs, new.labels, new.submitted_by,
             new.reason, new.created_at, new.batch, new.rollback_of, new.corrects, at.status, at.hold, at.waiting,
             at.wake, at.state, state_sum(at.state), at.machine, at.updated_at, at.finished_at)
        )  # fmt: skip
        if key := commit.key:
            self._keys.append((key.key, commit.saga, key.body, new.created_at))
        return number

    def _events(self, events: Sequence[NewEvent], number: int | None) -> None:
        seq, last, sagas = self.head
        for event in events:
            seq += 1
            body = documents.body(event)
            last = chain.link(last, seq, chain.digest(body), event.saga)
            self.events.append((seq, number, event.saga, body, last))
        self.head = Head(seq, last, sagas)


def _merged(changes: Sequence[ExecutionChange]) -> Iterable[ExecutionChange]:
    """One change an execution: an UPDATE that meets its row twice would take either."""
    if len(changes) < 2:  # noqa: PLR2004 # which is nearly always
        return changes
    merged: dict[str, ExecutionChange] = {}
    for change in changes:
        if earlier := merged.get(change.id):
            given = {
                name: value for name, value in msgspec.structs.asdict(change).items() if value is not None
            }
            change = msgspec.structs.replace(earlier, **given)  # noqa: PLW2901 # the one that counts
        merged[change.id] = change
    return merged.values()
