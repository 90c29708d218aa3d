"""How a group of commits becomes one transaction: the half of the journal that knows SQL and the chain.

Runs wherever the journal's runner puts it, one group at a time, on a connection of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from store import chain
from store.errors import JournalRefused, StorageFailing
from store.records import Commit, Note
from store.rows import Head, Known, Row, Rows

_REMEMBERED = 4_096
"""How many sagas' numbers are kept at hand; those in flight, mostly. The rest are looked up."""

_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
"""Primary result codes that say something about the disk, not about the transition."""


class Written(NamedTuple):
    """What became of a group: for each commit its last event's number or why it was refused, and all the events."""

    results: list[int | JournalRefused]
    events: list[Row]
    head: Head


_LOOK_UP = "SELECT number, status, hold, wake, finished_at FROM sagas WHERE id = ?"

_Attempt = Callable[[sqlite3.Connection, Sequence[Commit | Note], Rows], list[int | JournalRefused]]


class Writer:
    """Writes groups. After an exception nothing of the group is on disk, and the same group may be tried again."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], node: str, node_key: bytes, head: Head
    ) -> None:
        self._connect = connect
        self._node = node
        self._node_key = node_key
        self._connection: sqlite3.Connection | None = None
        self._known: dict[str, Known] = {}
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
                rows = Rows(head, self._look_up)
                results += attempt(db, part, rows)
                head = rows.head
                events += rows.events
            db.execute(
                "UPDATE meta SET sagas = ?, seq = ?, head = ?, mac = ?",
                (head.sagas, head.seq, head.hash, chain.mac(self._node_key, self._node, head.seq, head.hash)),
            )
            db.execute("COMMIT")
        except BaseException:
            self._known.clear()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self.head = head
        return Written(results, events, head)

    def _attempt(
        self, db: sqlite3.Connection, part: Sequence[Commit | Note], rows: Rows
    ) -> list[int | JournalRefused]:
        results = [rows.add(commit) for commit in part]
        rows.write(db)
        self._remember(rows.known)
        return [*results]

    def _attempt_guarded(
        self, db: sqlite3.Connection, part: Sequence[Commit | Note], rows: Rows
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

    def _look_up(self, saga: str) -> Known:
        known = self._known.get(saga)
        if known is None:
            assert self._connection
            row = self._connection.execute(_LOOK_UP, (saga,)).fetchone()
            if row is None:
                raise JournalRefused(saga, "there is no such saga")
            known = self._known[saga] = Known(*row)
        return known

    def _remember(self, known: dict[str, Known]) -> None:
        for saga, it in known.items():
            if it.finished_at is None:
                self._known[saga] = it
            else:
                self._known.pop(saga, None)
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]


def _name(commit: Commit | Note) -> str:
    return "journal" if isinstance(commit, Note) else commit.saga
