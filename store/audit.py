"""Proving the record: walking the chain from the first event and naming the first one that is not what it was."""

from __future__ import annotations

import hmac
import re
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from store import chain, node

_EVENTS = (
    "SELECT e.seq, e.hash, e.number, e.saga, e.body, e.digest, s.id"
    " FROM events AS e LEFT JOIN sagas AS s USING (number)"
)


class Anchor(NamedTuple):
    """A head that was noted down earlier, and that the chain must still pass through."""

    seq: int | None
    """Its number; None where only its hash was noted down."""
    hash: bytes

    @classmethod
    def read(cls, text: str) -> Self:
        """Read `SEQ:HASH`, or the hash alone as `health` shows it. Raises ValueError."""
        match = re.fullmatch(r"(?:([0-9]{1,18}):)?([0-9a-f]{64})", text.strip().lower())
        if match is None:
            raise ValueError(f"`{text}` is not a head: write NUMBER:HASH, or the 64 digits of the hash alone")
        return cls(None if match[1] is None else int(match[1]), bytes.fromhex(match[2]))

    def __str__(self) -> str:
        return self.hash.hex() if self.seq is None else f"{self.seq}:{self.hash.hex()}"


class Report(msgspec.Struct, frozen=True):
    """What a walk along the chain found."""

    events: int
    """How many were walked."""
    seq: int
    """The last good one."""
    head: str
    """Its hash, in hex."""
    pruned: int
    """How many of them had no body any more: their hashes hold, their contents are gone."""
    bad: int | None = None
    """The number of the first bad event."""
    problem: str | None = None
    """What is wrong, in words; None where all is well."""
    unreadable: bool = False
    """The database itself is damaged there."""


def verify(
    db: sqlite3.Connection,
    node_key: bytes,
    *,
    after: int = 0,
    upto: int | None = None,
    anchor: Anchor | None = None,
) -> Report:
    """Walk the chain behind event `after` to its end, in one snapshot; or to event `upto`, of which nothing is proved then
    but that it follows.

    Proves that no event was altered, removed, put in, swapped or cut off, as far as the key is secret. `anchor` is a
    head noted down earlier, at or behind `after`: against somebody with the key, and against an earlier copy of the
    whole database. What cannot be read any more is reported as what cannot be proved; nothing is raised for it.
    """
    own = not db.in_transaction
    texts, db.text_factory = db.text_factory, _text
    if own:
        db.execute("BEGIN")
    try:
        return _Walk(db, node_key, anchor).run(after, upto)
    finally:
        db.text_factory = texts
        if own:
            db.execute("ROLLBACK")


def verify_folder(folder: Path, *, key_file: Path | None = None, anchor: Anchor | None = None) -> Report:
    """Verify a state folder without its daemon, which will not start over a broken record. Writes nothing.

    Raises KeyMissing, NotAFile or FolderNotOurs, FileNotFoundError where there is no database, and sqlite3.Error where the file
    is none of ours.
    """
    database = folder / "sagad.db"
    node.look_over(folder)
    database.stat()
    key = node.read_key(folder, key_file)
    db = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("SELECT node, seq, head, mac FROM meta").fetchone()
        return verify(db, key, anchor=anchor)
    finally:
        db.close()


class _Walk:
    def __init__(self, db: sqlite3.Connection, node_key: bytes, anchor: Anchor | None) -> None:
        self._db = db
        self._node_key = node_key
        self._anchor = anchor
        self._passed = anchor is None
        self._events = self._pruned = self._seq = 0
        self._head = chain.GENESIS

    def run(self, after: int, upto: int | None = None) -> Report:
        try:
            found: tuple[int | None, str | None] | None = self._walk(after, upto)
            if found is None and (upto is None or self._seq < upto):
                found = self._look_at_end()
            return self._report(*(found or (None, None)))
        except sqlite3.DatabaseError as error:
            if isinstance(
                error, sqlite3.OperationalError
            ):  # the disk, or a lock: nothing that the record could help
                raise
            self._look_once_more()
            bad = self._seq + 1
            problem = f"event {bad} cannot be read, the database is damaged: {error}"
            return msgspec.structs.replace(self._report(bad, problem), unreadable=True)

    def _look_once_more(self) -> None:
        """Look at the event before the damage. Python's cursor steps ahead, and loses a row with the one behind it."""
        with suppress(sqlite3.DatabaseError):
            row = self._db.execute(f"{_EVENTS} WHERE seq = ?", (self._seq + 1,)).fetchone()
            if row is not None:
                self._look_at(_Row(*row))

    def _walk(self, after: int, upto: int | None) -> tuple[int, str] | None:
        if row := self._db.execute("SELECT seq, hash FROM events WHERE seq = ?", (after,)).fetchone():
            self._seq, self._head = row
        else:
            (first,) = self._db.execute("SELECT min(seq) FROM events").fetchone()
            if first is not None and first < 1:
                return first, f"event {first} was put in before the first"
        if problem := self._pass():
            return self._seq, problem
        last = (1 << 63) - 1 if upto is None else upto
        rows = self._db.execute(f"{_EVENTS} WHERE seq > ? AND seq <= ? ORDER BY seq", (self._seq, last))
        for row in rows:
            if problem := self._look_at(_Row(*row)):
                return self._seq + 1, problem
            if problem := self._pass():
                return self._seq, problem
        return None

    def _look_at(self, row: _Row) -> str | None:
        seq = row.seq
        if seq != self._seq + 1:
            missing = f"event {self._seq + 1} is missing"
            return missing if seq == self._seq + 2 else f"events {self._seq + 1} to {seq - 1} are missing"
        if row.body is None:
            self._pruned += 1
        if _link(self._head, row) != row.hash:
            return f"event {seq} was altered, put in or moved"
        if row.owner not in (row.saga, None):
            return f"event {seq} was moved to the timeline of saga {row.owner}"
        if row.owner is None and self._has_another_number(row):
            return f"event {seq} was taken off the timeline of saga {row.saga}"
        self._seq, self._head = seq, row.hash
        self._events += 1
        return None

    def _has_another_number(self, row: _Row) -> bool:
        """Tell whether there is such a saga, under a number that is not the event's. A saga may have been pruned."""
        found = self._db.execute("SELECT number FROM sagas WHERE id = ?", (row.saga,)).fetchone()
        return found is not None and found[0] != row.number

    def _pass(self) -> str | None:
        """Hold the event that was reached against the anchor."""
        if self._anchor is None:
            return None
        if self._anchor.hash == self._head and self._anchor.seq in (self._seq, None):
            self._passed = True
        elif self._anchor.seq == self._seq:
            return f"event {self._seq} is not the one that the given head was taken from"
        return None

    def _look_at_end(self) -> tuple[int | None, str | None]:
        row = self._db.execute("SELECT node, seq, head, mac FROM meta").fetchone()
        if row is None:
            return None, "the head is gone: nothing says where the record ends"
        node, seq, head, mac = row
        if not hmac.compare_digest(mac, chain.mac(self._node_key, node, seq, head)):
            return (
                None,
                "the head was not signed with this node's key: it was altered, or node.key is another's",
            )
        if seq > self._seq:
            return self._seq + 1, f"the end is cut off: event {self._seq + 1} is missing, the last was {seq}"
        if seq < self._seq:
            return seq + 1, f"event {seq + 1} was put in behind the end"
        if head != self._head:
            return seq, f"event {seq} is not the one that the head was signed for"
        if self._anchor is not None and not self._passed:
            return self._miss(self._anchor, seq)
        return None, None

    def _miss(self, anchor: Anchor, seq: int) -> tuple[int | None, str]:
        if anchor.seq is None:
            return None, (
                f"the given head {anchor} is not on the record: what it was taken from was altered or cut off and the"
                " rest signed anew, or an earlier copy was put back, or it is another node's"
            )
        return (
            seq + 1,
            f"the end is cut off: the given head was taken from event {anchor.seq}, the last is {seq}",
        )

    def _report(self, bad: int | None, problem: str | None) -> Report:
        return Report(self._events, self._seq, self._head.hex(), self._pruned, bad, problem)


class _Row(NamedTuple):
    """An event as it stands in the table. Whoever writes into the file itself can put any type anywhere."""

    seq: int
    hash: bytes
    number: int | None
    saga: str | None
    body: bytes | None
    digest: bytes | None
    owner: str | None
    """The saga that the number belongs to."""


def _text(raw: bytes) -> str:
    """Read what should be a text; where it is none it will not hash to what it did."""
    return raw.decode("utf-8", "replace")


def _link(previous: bytes, row: _Row) -> bytes:
    try:
        digest = chain.digest(row.body) if row.body is not None else row.digest or b""
        return chain.link(previous, row.seq, digest, row.saga)
    except (TypeError, AttributeError):  # a text where bytes belong
        return b""
