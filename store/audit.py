"""Proving the record: walking the chain from the first event and naming the first one that is not what it was."""

from __future__ import annotations

import hmac
import sqlite3

import msgspec

from store import chain


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


def verify(
    db: sqlite3.Connection, node_key: bytes, *, after: int = 0, anchor: tuple[int, bytes] | None = None
) -> Report:
    """Walk the chain behind event `after` to its end, in one snapshot.

    Proves that no event was altered, removed, put in, swapped or cut off, as far as the key is secret. `anchor` is a
    head noted down earlier (number, hash) that the chain must still pass through: against somebody with the key.
    """
    own = not db.in_transaction
    if own:
        db.execute("BEGIN")
    try:
        return _Walk(db, node_key, anchor).run(after)
    finally:
        if own:
            db.execute("ROLLBACK")


class _Walk:
    def __init__(self, db: sqlite3.Connection, node_key: bytes, anchor: tuple[int, bytes] | None) -> None:
        self._db = db
        self._node_key = node_key
        self._anchor = anchor
        self._events = self._pruned = self._seq = 0
        self._head = chain.GENESIS

    def run(self, after: int) -> Report:
        if row := self._db.execute("SELECT seq, hash FROM events WHERE seq = ?", (after,)).fetchone():
            self._seq, self._head = row
        rows = self._db.execute(
            "SELECT e.seq, e.hash, e.saga, e.body, e.digest, s.id FROM events AS e LEFT JOIN sagas AS s USING (number)"
            " WHERE seq > ? ORDER BY seq",
            (self._seq,),
        )
        for row in rows:
            if problem := self._look_at(*row):
                return self._report(self._seq + 1, problem)
        return self._report(*self._look_at_end())

    def _look_at(
        self,
        seq: int,
        hash: bytes,
        saga: str | None,
        body: bytes | None,
        digest: bytes | None,
        owner: str | None,
    ) -> str | None:
        if seq != self._seq + 1:
            missing = f"event {self._seq + 1} is missing"
            return missing if seq == self._seq + 2 else f"events {self._seq + 1} to {seq - 1} are missing"
        if body is None:
            self._pruned += 1
        if (
            chain.link(self._head, seq, chain.digest(body) if body is not None else digest or b"", saga)
            != hash
        ):
            return f"event {seq} was altered, put in or moved"
        if owner not in (saga, None):
            return f"event {seq} was moved to the timeline of saga {owner}"
        if self._anchor and self._anchor[0] == seq and self._anchor[1] != hash:
            return f"event {seq} is not the one that the given head was taken from"
        self._seq, self._head = seq, hash
        self._events += 1
        return None

    def _look_at_end(self) -> tuple[int | None, str | None]:
        node, seq, head, mac = self._db.execute("SELECT node, seq, head, mac FROM meta").fetchone()
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
        if self._anchor and self._anchor[0] > seq:
            return (
                seq + 1,
                f"the end is cut off: the given head was taken from event {self._anchor[0]}, the last is {seq}",
            )
        return None, None

    def _report(self, bad: int | None, problem: str | None) -> Report:
        return Report(self._events, self._seq, self._head.hex(), self._pruned, bad, problem)
