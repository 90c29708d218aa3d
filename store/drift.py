"""What is kept about drift, and how it is written and read. Loaded when somebody asks or a sweep begins, not before.

Writing goes through the journal as everything does: a ``Note`` carries a ``Kept`` beside its events.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from store.bulk import Bulk
from store.errors import JournalRefused
from store.records import Resource
from store.sql import queries

State = Literal["there", "absent", "unknown"]
Status = Literal["open", "accepted", "reverted", "stale"]
NoteKind = Literal["job", "alarm", "sighting"]


class Seen(msgspec.Struct, frozen=True):
    """What was last seen of a resource: a row of ``seen``, in the order of its columns."""

    identity: str
    type: str
    round: int
    state: State
    live: bytes | None
    seen_at: int | None
    error: str | None
    absent: int


class Drift(msgspec.Struct, frozen=True):
    """A difference: a row of ``drift``, in the order of its columns after the number."""

    id: str
    type: str
    identity: str
    name: str
    field: str
    kind: Literal["changed", "missing"]
    wanted: bytes
    live: bytes
    status: Status
    first_seen: int
    last_seen: int
    count: int = 1
    resolved_by: str | None = None
    resolved_at: int | None = None
    automatic: bool = False
    why: str | None = None

    @property
    def label(self) -> str:
        """Give what messages and events call its resource."""
        return f"{self.type}/{self.name}"


class Rule(msgspec.Struct, frozen=True):
    """What somebody does not want to hear of: a row of ``drift_rules``, in the order of its columns after the number."""

    id: str
    type: str
    identity: str | None
    name: str | None
    field: str | None
    reason: str
    owner: str
    created_at: int
    expires_at: int | None
    ended_at: int | None = None
    ended_by: str | None = None


class Absent(msgspec.Struct, frozen=True):
    """The resources of a type that a round did not find count as absent once more."""

    type: str
    round: int


class Kept(msgspec.Struct):
    """What a note writes about drift, all of it or nothing."""

    seen: Sequence[Seen] = ()
    absent: Sequence[Absent] = ()
    opened: Sequence[Drift] = ()
    changed: Sequence[Drift] = ()
    """Of records that are open: all but what they are about."""
    rules: Sequence[Rule] = ()
    notes: Sequence[tuple[NoteKind, str, bytes | None]] = ()
    """None: it is gone."""
    gone: Sequence[tuple[str, str]] = ()
    """(identity, type) of what nobody keeps any more, and so looks at."""


# --- writing --------------------------------------------------------------------------------------------------------

_PUT_SEEN = Bulk(
    "INSERT OR REPLACE INTO seen (identity, type, round, state, live, seen_at, error, absent) VALUES",
    columns=8,
)
_OPEN = Bulk(
    "INSERT INTO drift (id, type, identity, name, field, kind, wanted, live, status, first_seen, last_seen, count,"
    " resolved_by, resolved_at, automatic, why) VALUES",
    columns=16,
)
_CHANGE = Bulk(
    "UPDATE drift SET wanted = column2, live = column3, status = column4, last_seen = column5, count = column6,"
    " resolved_by = column7, resolved_at = column8, automatic = column9, why = column10 FROM (VALUES",
    columns=10,
    tail=") WHERE id = column1 AND status = 'open'",
)
_FORGET_SEEN = Bulk("DELETE FROM seen WHERE (identity, type) IN (VALUES", columns=2, tail=")")
_COUNT_ABSENT = "UPDATE seen SET absent = absent + 1 WHERE type = ? AND round = ? AND state = 'absent'"
_PUT_RULE = (
    "INSERT INTO drift_rules (id, type, identity, name, field, reason, owner, created_at, expires_at, ended_at,"
    " ended_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, ended_by = excluded.ended_by"
)


def write(db: sqlite3.Connection, kept: Kept) -> None:
    """Write it. Raises JournalRefused where a record that is to change is not open any more."""
    _FORGET_SEEN.run(db, list(kept.gone))
    _PUT_SEEN.run(db, [msgspec.structs.astuple(each) for each in kept.seen])
    for absent in kept.absent:
        db.execute(_COUNT_ABSENT, (absent.type, absent.round))
    _OPEN.run(db, [msgspec.structs.astuple(each) for each in kept.opened])
    if _CHANGE.run(db, [_changed(each) for each in kept.changed]) != len(kept.changed):
        raise JournalRefused("drift", "a change of a record that is not open")
    for rule in kept.rules:
        db.execute(_PUT_RULE, msgspec.structs.astuple(rule))
    for kind, name, value in kept.notes:
        if value is None:
            db.execute("DELETE FROM drift_notes WHERE kind = ? AND name = ?", (kind, name))
        else:
            db.execute("INSERT OR REPLACE INTO drift_notes VALUES (?, ?, ?)", (kind, name, value))


def _changed(drift: Drift) -> tuple[Any, ...]:
    return (
        drift.id, drift.wanted, drift.live, drift.status, drift.last_seen, drift.count, drift.resolved_by,
        drift.resolved_at, drift.automatic, drift.why,
    )  # fmt: skip


# --- reading --------------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A record of the registry, and what was last seen of it."""

    record: Resource
    seen: Seen | None


class Tally(NamedTuple):
    """How many resources of a type a round has found so. ``known``: they have been missed before, often enough."""

    state: State
    known: bool
    resources: int


class Filter(NamedTuple):
    """Which records of drift. ``now``: those that a rule hides at that time are left out."""

    status: str | None = None
    type: str | None = None
    name: str | None = None
    now: int | None = None
    after: int = 0
    limit: int = 100


_WIDTH = len(Resource.__struct_fields__)


def kept_types(db: sqlite3.Connection) -> list[str]:
    """Give the types of which there are records in the registry."""
    return [type_ for (type_,) in db.execute(queries()["kept_types"])]


def resources(
    db: sqlite3.Connection,
    type_: str,
    name: str | None,
    *,
    after: str = "",
    not_in: int | None = None,
    limit: int,
) -> list[Found]:
    """Give a page of a type's records in the order of their identities, behind that one, with what was seen of each.

    ``name``: a label, or an identity. ``not_in``: only those that this round has not come by.
    """
    values = {"type": type_, "name": name, "after": after, "round": not_in, "limit": limit}
    return [_found(row) for row in db.execute(queries()["kept_and_seen"], values)]


def count(db: sqlite3.Connection, type_: str, name: str | None) -> int:
    """Count a type's records, or those that go by a name or have it as their identity."""
    (number,) = db.execute(queries()["kept_count"], {"type": type_, "name": name}).fetchone()
    return int(number)


def _found(row: tuple[Any, ...]) -> Found:
    return Found(Resource(*row[:_WIDTH]), None if row[_WIDTH] is None else Seen(*row[_WIDTH:]))


def seen(db: sqlite3.Connection, type_: str, identity: str) -> Seen | None:
    """Give what was last seen of a resource."""
    row = db.execute(queries()["seen"], (identity, type_)).fetchone()
    return Seen(*row) if row else None


def tally(db: sqlite3.Connection, type_: str, round_: int, missing_after: int) -> list[Tally]:
    """Count what a round has found of a type."""
    values = {"type": type_, "round": round_, "missing_after": missing_after}
    return [
        Tally(state, bool(known), number) for state, known, number in db.execute(queries()["tally"], values)
    ]


def seen_of_nobody(db: sqlite3.Connection, limit: int) -> list[tuple[str, str]]:
    """Give (identity, type) of what was seen and is kept no longer."""
    return db.execute(queries()["seen_of_nobody"], (limit,)).fetchall()


def open_of(db: sqlite3.Connection, type_: str, identity: str) -> list[Drift]:
    """Give the open records of a resource."""
    return [_drift(row) for row in db.execute(queries()["drift_open_of"], (type_, identity))]


def open_of_nobody(db: sqlite3.Connection, limit: int) -> list[Drift]:
    """Give open records of resources that are kept no longer."""
    return [_drift(row) for row in db.execute(queries()["drift_of_nobody"], (limit,))]


def accepted_of(db: sqlite3.Connection, type_: str, identity: str) -> list[Drift]:
    """Give the records of a resource that were accepted, the newest first."""
    return [_drift(row) for row in db.execute(queries()["drift_accepted_of"], (type_, identity))]


def at_work(db: sqlite3.Connection, saga: str | None = None) -> list[Drift]:
    """Give the open records that a saga is to revert: this one, or any."""
    return [_drift(row) for row in db.execute(queries()["drift_at_work"], {"saga": saga})]


def automatic_since(db: sqlite3.Connection, drift: Drift, since: int) -> int:
    """Count the sagas that reverted its resource since then without anybody's word."""
    (number,) = db.execute(queries()["drift_automatic"], (drift.type, drift.identity, since)).fetchone()
    return int(number)


def by_prefix(db: sqlite3.Connection, prefix: str) -> list[Drift]:
    """Give the first two records whose ids begin so: one is an answer, two are an ambiguity."""
    return [_drift(row) for row in db.execute(queries()["drift_by_prefix"], {"prefix": prefix})]


def last(db: sqlite3.Connection) -> Drift | None:
    """Give the record that was opened last."""
    row = db.execute(queries()["drift_last"]).fetchone()
    return _drift(row) if row else None


def listed(db: sqlite3.Connection, which: Filter) -> list[tuple[int, Drift]]:
    """Give a page of records in the order of detection, each with its number."""
    rows = db.execute(queries()["drift"], which._asdict())
    return [(row[0], _drift(row[1:])) for row in rows]


def rules(db: sqlite3.Connection, *, ended: bool = False) -> list[Rule]:
    """Give the rules whose end is not on record, or all."""
    return [Rule(*row) for row in db.execute(queries()["drift_rules"], {"ended": ended})]


def notes(db: sqlite3.Connection, kind: NoteKind) -> dict[str, bytes]:
    """Give the notes of a kind by their names."""
    return dict(db.execute(queries()["drift_notes"], (kind,)).fetchall())


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """Count the open records by kind."""
    return dict(db.execute(queries()["drift_counts"]).fetchall())


def arguments_of(db: sqlite3.Connection, labels: Sequence[str], limit: int) -> list[tuple[str, bytes]]:
    """Give operation and arguments of what was done to a resource, the latest first. Walks the executions."""
    marks = ", ".join("?" * len(labels))
    sql = queries()["arguments_of"].format(marks)
    return db.execute(sql, (*labels, limit)).fetchall()


def _drift(row: tuple[Any, ...]) -> Drift:
    return msgspec.structs.replace(Drift(*row), automatic=bool(row[14]))
