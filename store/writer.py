"""How a group of commits becomes one transaction: the half of the journal that knows SQL and the chain.

A transaction has two halves. `stage` works out the rows and hands them to SQLite: interpreter's work, which gains nothing
on a thread of its own. `commit` writes them and waits for the disk, without the interpreter's lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from store import chain
from store.errors import JournalRefused, StorageFailing
from store.records import Commit, Note
from store.rows import Head, Known, Row, Rows
from store.watermark import Watermark

_REMEMBERED = 4_096
"""How many sagas' numbers are kept at hand; those in flight, mostly. The rest are looked up."""

_NO_ROOM = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_BUSY,
}
"""Primary result codes that say something about the database's file, not about the transition."""

PATIENCE = 5_000
"""Milliseconds that a patient `stage` waits for the database's lock."""


class Written(NamedTuple):
    """What became of a group: for each commit its last event's number or why it was refused, and all the events."""

    results: list[int | JournalRefused]
    events: list[Row]
    head: Head


_LOOK_UP = "SELECT number, status, hold, wake, finished_at FROM sagas WHERE id = ?"

_Attempt = Callable[[sqlite3.Connection, Sequence[Commit | Note], Rows], list[int | JournalRefused]]


class Locked(Exception):
    """Somebody else has the database's lock: a person's sqlite3, a copy being made."""


class Writer:
    """Writes groups. After an exception nothing of the group is on disk, and the same group may be tried again."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        node: str,
        node_key: bytes,
        head: Head,
        mark: Watermark | None = None,
    ) -> None:
        self._connect = connect
        self._node = node
        self._node_key = node_key
        self._connection: sqlite3.Connection | None = None
        self._staged: Written | None = None
        self._known: dict[str, Known] = {}
        self._mark = mark
        self._mac = b""
        self.head = head

    def stage(self, group: Sequence[Commit | Note], *, patient: bool = False) -> None:
        """Put the group into a transaction, all but its COMMIT.

        A commit that contradicts the record is left out and its refusal noted in its place. Raises Locked where the
        lock is not free (a patient one waits for it first), StorageFailing where there is no room or the disk fails,
        and whatever else goes wrong as it is.
        """
        with on_disk():
            db = self._connection = self._connection or self._connect()
            self._lock(db, patient=patient)
            try:
                try:
                    self._staged = self._rows(db, [group], self._attempt)
                except (sqlite3.IntegrityError, JournalRefused):
                    # Seldom: find the guilty ones, each commit behind a savepoint of its own.
                    self._roll_back(db)
                    self._lock(db, patient=patient)
                    self._staged = self._rows(db, [[commit] for commit in group], self._attempt_guarded)
            except BaseException:
                self._roll_back(db)
                raise

    def commit(self) -> Written:
        """Make durable what is staged, fsync included. Raises as `stage` does; then nothing is staged any more."""
        db, staged, self._staged = self._connection, self._staged, None
        assert db is not None
        assert staged is not None
        with on_disk():
            try:
                db.execute("COMMIT")
            except BaseException:
                self._roll_back(db)
                raise
        self.head = staged.head
        if self._mark is not None:
            self._mark.note(self.head.seq, self.head.hash, self._mac)
        return staged

    def close(self) -> None:
        """Close the connection, which folds the write-ahead log into the database."""
        if self._connection:
            self._connection.close()
            self._connection = None
        if self._mark is not None:
            self._mark.close()
            self._mark = None

    def _lock(self, db: sqlite3.Connection, *, patient: bool) -> None:
        if patient:
            db.execute(f"PRAGMA busy_timeout = {PATIENCE}")
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY and not patient:
                raise Locked from None
            raise
        finally:
            if patient:
                db.execute("PRAGMA busy_timeout = 0")

    def _roll_back(self, db: sqlite3.Connection) -> None:
        self._known.clear()
        if db.in_transaction:
            db.execute("ROLLBACK")

    def _rows(
        self, db: sqlite3.Connection, parts: Sequence[Sequence[Commit | Note]], attempt: _Attempt
    ) -> Written:
        head, events, results = self.head, list[Row](), list[int | JournalRefused]()
        for part in parts:
            rows = Rows(head, self._look_up)
            results += attempt(db, part, rows)
            head = rows.head
            events += rows.events
        self._mac = chain.mac(self._node_key, self._node, head.seq, head.hash)
        db.execute(
            "UPDATE meta SET sagas = ?, seq = ?, head = ?, mac = ?",
            (head.sagas, head.seq, head.hash, self._mac),
        )
        return Written(results, events, head)

    def _attempt(
        self, db: sqlite3.Connection, part: Sequence[Commit | Note], rows: Rows
    ) -> list[int | JournalRefused]:
        results = [rows.add(commit) for commit in part]
        rows.write(db)
        self._remember(rows.known)
        if rows.prunings:
            self._known.clear()  # some of those sagas are gone
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


@contextmanager
def on_disk(what: object = "journal") -> Iterator[None]:
    """Tell what is wrong with the disk from what is wrong with a commit. Raises StorageFailing about ``what``."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM:
            raise StorageFailing(what, str(error)) from error
        raise


def _name(commit: Commit | Note) -> str:
    return "journal" if isinstance(commit, Note) else commit.saga
