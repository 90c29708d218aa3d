"""How a group of commits becomes one transaction: the half of the journal that knows SQL and the chain.

Runs wherever the journal's runner puts it, one group at a time, on a connection of its own.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from store import chain, documents
from store.bulk import Bulk
from store.errors import JournalRefused, StorageFailing, StoreError
from store.records import Commit, ExecutionChange, NewEvent, Note

Row = tuple[Any, ...]

_REMEMBERED = 4_096
"""How many sagas' numbers are kept at hand; those in flight, mostly. The rest are looked up."""

_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
"""Primary result codes that say something about the disk, not about the transition."""

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
_INSERT_EXECUTIONS = Bulk(
    "INSERT INTO executions (number, id, step, step_name, direction, nature, generation, operation, key,"
    " status, attempts, arguments, plan, started_at, resource, compensates, actor, reason) VALUES",
    columns=18,
)
_UPDATE_EXECUTIONS = Bulk(
    "UPDATE executions SET status = coalesce(column3, status), attempts = coalesce(column4, attempts),"
    " error = coalesce(column5, error), outputs = coalesce(column6, outputs), after = coalesce(column7, after),"
    " handle = coalesce(column8, handle), finished_at = coalesce(column9, finished_at) FROM (VALUES",
    columns=9,
    tail=") WHERE number = column1 AND id = column2",
)
_INSERT_PLANS = Bulk("INSERT OR IGNORE INTO plans (digest, body) VALUES", columns=2)
_INSERT_KEYS = Bulk("INSERT INTO idempotency_keys (key, saga, body, at) VALUES", columns=4)


class Head(NamedTuple):
    """Where the record ends."""

    seq: int
    hash: bytes
    sagas: int
    """The last saga number given."""


class Written(NamedTuple):
    """What became of a group: for each commit its last event's number or why it was refused, and all the events."""

    results: list[int | JournalRefused]
    events: list[Row]
    head: Head


_Attempt = Callable[[sqlite3.Connection, Sequence["Commit | Note"], "_Rows"], list[int | JournalRefused]]


class Writer:
    """Writes groups. After an exception nothing of the group is on disk, and the same group may be tried again."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], node: str, node_key: bytes, head: Head
    ) -> None:
        self._connect = connect
        self._node = node
        self._node_key = node_key
        self._connection: sqlite3.Connection | None = None
        self._numbers: dict[str, int] = {}
        self.head = head

    def write(self, group: Sequence[Commit | Note]) -> Written:
        """Write the group in one transaction; it is durable, fsync included, when this returns.

        A commit that contradicts the record is left out and its refusal returned in its place. Raises
        StorageFailing where there is no room or the disk fails, and whatever else goes wrong as it is.
        """
        try:
            db = self._connection = self._connection or self._connect()
            try:
                return self._transaction(db, [group], self._attempt)
            except (sqlite3.IntegrityError, JournalRefused):
                # Seldom: find the guilty ones, each commit behind a savepoint of its own.
                return self._transaction(db, [[commit] for commit in group], self._attempt_guarded)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM:
                raise StorageFailing("journal", str(error)) from error
            raise

    def close(self) -> None:
        """Close the connection, which folds the write-ahead log into the database."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _transaction(
        self, db: sqlite3.Connection, parts: Sequence[Sequence[Commit | Note]], attempt: _Attempt
    ) -> Written:
        head, events, results = self.head, list[Row](), list[int | JournalRefused]()
        db.execute("BEGIN IMMEDIATE")
        try:
            for part in parts:
                rows = _Rows(head, self._number_of)
                results += attempt(db, part, rows)
                head = rows.head
                events += rows.events
            db.execute(
                "UPDATE meta SET sagas = ?, seq = ?, head = ?, mac = ?",
                (head.sagas, head.seq, head.hash, chain.mac(self._node_key, self._node, head.seq, head.hash)),
            )
            db.execute("COMMIT")
        except BaseException:
            self._numbers.clear()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self.head = head
        return Written(results, events, head)

    def _attempt(
        self, db: sqlite3.Connection, part: Sequence[Commit | Note], rows: _Rows
    ) -> list[int | JournalRefused]:
        results = [rows.add(commit) for commit in part]
        rows.write(db)
        self._remember(rows)
        return [*results]

    def _attempt_guarded(
        self, db: sqlite3.Connection, part: Sequence[Commit | Note], rows: _Rows
    ) -> list[int | JournalRefused]:
        before = rows.head
        db.execute("SAVEPOINT one")
        try:
            results = self._attempt(db, part, rows)
        except (sqlite3.IntegrityError, JournalRefused) as error:
            db.execute("ROLLBACK TO one")
            rows.forget(before)
            refusal = (
                error if isinstance(error, JournalRefused) else JournalRefused(_name(part[0]), str(error))
            )
            results = [refusal]
        db.execute("RELEASE one")
        return results

    def _number_of(self, saga: str) -> int:
        number = self._numbers.get(saga)
        if number is None:
            assert self._connection
            row = self._connection.execute("SELECT number FROM sagas WHERE id = ?", (saga,)).fetchone()
            if row is None:
                raise JournalRefused(saga, "there is no such saga")
            number = self._numbers[saga] = row[0]
        return number

    def _remember(self, rows: _Rows) -> None:
        self._numbers.update(rows.new)
        for saga in rows.ended:
            self._numbers.pop(saga, None)
        while len(self._numbers) > _REMEMBERED:
            del self._numbers[next(iter(self._numbers))]


class _Rows:
    """The rows of one transaction, collected by table so that each takes a few statements only."""

    def __init__(self, head: Head, number_of: Callable[[str], int]) -> None:
        self.head = head
        self.new: dict[str, int] = {}
        self.ended: list[str] = []
        self.events: list[Row] = []
        self._number_of = number_of
        self._sagas: list[Row] = []
        self._checkpoints: list[Row] = []
        self._executions: list[Row] = []
        self._changes: list[Row] = []
        self._plans: dict[bytes, bytes] = {}
        self._keys: list[Row] = []

    def add(self, commit: Commit | Note) -> int:
        """Add a commit's rows and give the number of its last event."""
        if isinstance(commit, Note):
            for event in commit.events:
                self._event(event, self._number_of(event.saga) if event.saga else None)
            return self.head.seq
        number = self._saga(commit)
        for event in commit.events:
            self._event(event, number)
        for new in commit.executions:
            self._executions.append(
                (number, new.id, new.step, new.step_name, new.direction, new.nature, new.generation, new.operation,
                 new.key, "running", 1, new.arguments, new.plan, new.started_at, new.resource, new.compensates,
                 new.actor, new.reason)
            )  # fmt: skip
        for change in _merged(commit.changes):
            self._changes.append(
                (number, change.id, change.status, change.attempts, change.error, change.outputs, change.after,
                 change.handle, change.finished_at)
            )  # fmt: skip
        return self.head.seq

    def write(self, db: sqlite3.Connection) -> None:
        """Run the statements. Raises JournalRefused where a row to be changed is not there."""
        _INSERT_PLANS.run(db, list(self._plans.items()))
        _INSERT_SAGAS.run(db, self._sagas)
        if _UPDATE_SAGAS.run(db, self._checkpoints) != len(self._checkpoints):
            raise JournalRefused("journal", "a checkpoint for a saga that is not there")
        _INSERT_EVENTS.run(db, self.events)
        _INSERT_EXECUTIONS.run(db, self._executions)
        if _UPDATE_EXECUTIONS.run(db, self._changes) != len(self._changes):
            raise JournalRefused("journal", "a change of an execution that is not there")
        _INSERT_KEYS.run(db, self._keys)

    def forget(self, head: Head) -> None:
        """Start again from this head, with nothing to write."""
        self.head = head
        self.events = []

    def _saga(self, commit: Commit) -> int:
        at = commit.checkpoint
        columns = (at.status, at.hold, at.waiting, at.wake, at.state, hashlib.sha256(at.state).digest()[:8],
                   at.machine, at.updated_at, at.finished_at)  # fmt: skip
        if commit.plan:
            self._plans[commit.plan[0]] = commit.plan[1]
        if at.finished_at is not None:
            self.ended.append(commit.saga)
        if new := commit.new:
            number = self.head.sagas + 1
            self.head = self.head._replace(sagas=number)
            self.new[commit.saga] = number
            self._sagas.append(
                (number, commit.saga, new.kind, new.plan, new.inputs, msgspec.json.encode(new.labels),
                 new.submitted_by, new.reason, new.created_at, new.batch, new.rollback_of, new.corrects, *columns)
            )  # fmt: skip
            if key := commit.key:
                self._keys.append((key.key, commit.saga, key.body, new.created_at))
            return number
        number = self._number_of(commit.saga)
        self._checkpoints.append((number, *columns))
        return number

    def _event(self, event: NewEvent, number: int | None) -> None:
        seq, previous, sagas = self.head
        seq += 1
        body = documents.body(event)
        hash = chain.link(previous, seq, chain.digest(body), event.saga)  # noqa: A001 # the record's word
        self.events.append((seq, number, event.saga, body, hash))
        self.head = Head(seq, hash, sagas)


def _merged(changes: Iterable[ExecutionChange]) -> Iterable[ExecutionChange]:
    """One change an execution: an UPDATE that meets its row twice would take either."""
    merged: dict[str, ExecutionChange] = {}
    for change in changes:
        if earlier := merged.get(change.id):
            given = {
                name: value for name, value in msgspec.structs.asdict(change).items() if value is not None
            }
            change = msgspec.structs.replace(earlier, **given)  # noqa: PLW2901 # the one that counts
        merged[change.id] = change
    return merged.values()


def _name(commit: Commit | Note) -> str:
    return "journal" if isinstance(commit, Note) else commit.saga


def sagas_of(commit: Commit | Note) -> Iterator[str]:
    """The sagas whose rows a commit changes: two such commits do not go into one group."""
    if not isinstance(commit, Note):
        yield commit.saga


__all__ = ["Head", "StoreError", "Writer", "Written", "sagas_of"]
