"""Whoever changes the record is found out, and the first bad event is named."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from store import audit, chain
from store.journal import Journal
from store.runner import Inline
from tests.unit.store.samples import KEY, submitted, went_on


@pytest.fixture
async def db(path: Path) -> AsyncIterator[sqlite3.Connection]:
    """A record of ten events of two sagas, open to be tampered with."""
    journal = Journal.open(path, KEY, Inline(), reserve=0)
    await journal.commit(submitted("a"))
    await journal.commit(submitted("b"))
    for saga in ("a", "b") * 4:
        await journal.commit(went_on(saga))
    await journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def test_an_untouched_record_is_whole(db: sqlite3.Connection) -> None:
    """Nothing is reported where nothing was done."""
    report = audit.verify(db, KEY)

    assert (report.events, report.seq, report.pruned, report.problem) == (10, 10, 0, None)


SWAP = """
    UPDATE events SET seq = -5 WHERE seq = 5;
    UPDATE events SET seq = 5 WHERE seq = 7;
    UPDATE events SET seq = 7 WHERE seq = -5;
"""

SWAP_BODIES = """
    CREATE TEMP TABLE t AS SELECT seq, body FROM events WHERE seq IN (5, 6);
    UPDATE events SET body = (SELECT body FROM t WHERE t.seq = 11 - events.seq) WHERE seq IN (5, 6);
"""


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ("UPDATE events SET body = cast(replace(body, 'ann', 'eve') AS BLOB) WHERE seq = 4", 4),
        ("UPDATE events SET body = cast(body || ' ' AS BLOB) WHERE seq = 4", 4),
        ("UPDATE events SET saga = 'b' WHERE seq = 5", 5),
        ("UPDATE events SET number = 2 WHERE seq = 5", 5),
        ("UPDATE events SET saga = 'b', number = 2 WHERE seq = 5", 5),
        ("UPDATE events SET hash = zeroblob(32) WHERE seq = 4", 4),
        ("UPDATE events SET body = NULL, digest = zeroblob(32) WHERE seq = 4", 4),
        ("DELETE FROM events WHERE seq = 1", 1),
        ("DELETE FROM events WHERE seq = 4", 4),
        ("DELETE FROM events WHERE seq IN (4, 5)", 4),
        ("DELETE FROM events WHERE seq >= 9", 9),
        (SWAP, 5),
        (SWAP_BODIES, 5),
        ("INSERT INTO events SELECT 11, number, saga, body, digest, hash FROM events WHERE seq = 10", 11),
        ("DELETE FROM events", 1),
        ("UPDATE events SET number = 99 WHERE seq = 5", 5),
        ("UPDATE events SET number = NULL WHERE seq = 5", 5),
        ("INSERT INTO events SELECT -3, number, saga, body, digest, hash FROM events WHERE seq = 10", -3),
    ],
)
def test_what_was_changed_is_named(db: sqlite3.Connection, change: str, bad: int) -> None:
    """Altered, removed, moved, put in or cut off: the number of the first bad event is said."""
    db.executescript(change)
    report = audit.verify(db, KEY)

    assert report.problem
    assert report.bad == bad
    assert str(bad) in report.problem


def forge(db: sqlite3.Connection, first: int, last: int) -> None:
    """Compute the hashes of these events anew, as anybody could who reads chain.py."""
    (previous,) = db.execute("SELECT hash FROM events WHERE seq = ?", (first - 1,)).fetchone()
    for seq in range(first, last + 1):
        saga, body = db.execute("SELECT saga, body FROM events WHERE seq = ?", (seq,)).fetchone()
        previous = chain.link(previous, seq, chain.digest(body), saga)
        db.execute("UPDATE events SET hash = ? WHERE seq = ?", (previous, seq))


@pytest.mark.parametrize(
    ("change", "last", "bad"),
    [
        ("UPDATE events SET body = x'7b7d' WHERE seq = 4", 4, 5),
        ("UPDATE events SET body = x'7b7d' WHERE seq = 4", 9, 10),
        ("UPDATE events SET body = x'7b7d' WHERE seq = 4", 10, 10),
        ("INSERT INTO events SELECT 11, number, saga, body, digest, hash FROM events WHERE seq = 10", 11, 11),
    ],
)
def test_who_computes_hashes_anew_is_found_at_the_next_one_that_they_did_not(
    db: sqlite3.Connection, change: str, last: int, bad: int
) -> None:
    """Each hash holds the one before it, and the head holds them all."""
    db.execute(change)
    forge(db, 4, last)

    assert audit.verify(db, KEY).bad == bad


def test_a_chain_made_anew_without_the_key_is_found_by_its_head(db: sqlite3.Connection) -> None:
    """Hashes alone could be computed by anybody; the MAC could not."""
    db.execute("DELETE FROM events WHERE seq = 10")
    db.execute("UPDATE meta SET seq = 9, head = (SELECT hash FROM events WHERE seq = 9)")
    report = audit.verify(db, KEY)

    assert report.problem
    assert "not signed" in report.problem


def test_a_pruned_body_leaves_the_chain_whole(db: sqlite3.Connection) -> None:
    """Pruning drops a body and keeps its digest."""
    db.create_function("sha256", 1, lambda body: hashlib.sha256(body).digest())
    db.execute("UPDATE events SET digest = sha256(body), body = NULL WHERE seq < 5")
    report = audit.verify(db, KEY)

    assert (report.problem, report.pruned, report.events) == (None, 4, 10)


def test_a_head_noted_down_earlier_must_still_be_passed(db: sqlite3.Connection) -> None:
    """Proof against somebody who has the key."""
    (hash_,) = db.execute("SELECT hash FROM events WHERE seq = 6").fetchone()

    assert audit.verify(db, KEY, anchor=audit.Anchor(6, hash_)).problem is None
    assert audit.verify(db, KEY, anchor=audit.Anchor(6, bytes(32))).bad == 6
    assert audit.verify(db, KEY, anchor=audit.Anchor(11, bytes(32))).bad == 11


@pytest.mark.parametrize("named", ["by number", "by hash"])
def test_a_head_of_what_was_cut_off_by_whoever_has_the_key_is_missed(
    db: sqlite3.Connection, named: str
) -> None:
    """The shorter record proves itself; that it was longer only the head knows that was noted down elsewhere."""
    (hash_,) = db.execute("SELECT hash FROM events WHERE seq = 10").fetchone()
    db.execute("DELETE FROM events WHERE seq = 10")
    (node, head) = db.execute("SELECT node, hash FROM meta, events WHERE events.seq = 9").fetchone()
    db.execute("UPDATE meta SET seq = 9, head = ?, mac = ?", (head, chain.mac(KEY, node, 9, head)))
    anchor = audit.Anchor(10 if named == "by number" else None, hash_)

    assert audit.verify(db, KEY).problem is None
    report = audit.verify(db, KEY, anchor=anchor)
    assert report.bad == (10 if named == "by number" else None)
    assert "given head" in str(report.problem)


def test_a_head_is_read_with_its_number_or_without() -> None:
    """As `health` shows it, and as `audit verify -q` prints it; the head of an empty record is one too."""
    text = "0a" * 32

    assert audit.Anchor.read(f"12:{text.upper()}") == (12, bytes([10] * 32))
    assert str(audit.Anchor.read(text)) == text
    for wrong in ("", "12:", "12", f"{text}0", f"-1:{text}", f"x:{text}"):
        with pytest.raises(ValueError, match="is not a head"):
            audit.Anchor.read(wrong)


def test_the_head_of_the_empty_record_is_passed_by_every_record(db: sqlite3.Connection) -> None:
    """And no other is at number 0."""
    assert audit.verify(db, KEY, anchor=audit.Anchor(0, chain.GENESIS)).problem is None
    assert audit.verify(db, KEY, anchor=audit.Anchor(None, chain.GENESIS)).problem is None
    assert audit.verify(db, KEY, anchor=audit.Anchor(0, b"x" * 32)).bad == 0


async def test_no_byte_of_an_event_in_the_file_can_be_changed_unseen(tmp_path: Path) -> None:
    """Whatever byte of its cell it is: of the header, of its saga, its number, its body or its hash."""
    path = tmp_path / "bytes.db"
    journal = Journal.open(path, KEY, Inline(), reserve=0)
    await journal.commit(submitted("abcdefghjkmn"))
    for _ in range(6):
        await journal.commit(went_on("abcdefghjkmn"))
    await journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")  # one file, so that the bytes are where they are read
        body, hash_ = db.execute("SELECT body, hash FROM events WHERE seq = 4").fetchone()
    whole = path.read_bytes()
    start, end = whole.index(body + hash_) - 22, whole.index(body + hash_) + len(body + hash_)
    (tmp_path / "node.key").write_bytes(KEY)
    seen = []
    for at in range(start, end):
        changed = bytearray(whole)
        changed[at] ^= 0x01
        path.write_bytes(changed)
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True, isolation_level=None)) as db:
            seen.append(audit.verify(db, KEY).bad)

    assert set(seen) <= {4, 5}  # 5: the byte before the cell is the last of its neighbour
    assert seen.count(4) >= len(body) + len(hash_) + 12
