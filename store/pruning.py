"""What retention drops: which sagas have had their time, and what of them is on disk.

A saga goes with its kin (what it takes back or corrects, what takes it back or corrects it, its batch with all its
sagas), or not at all: whether something is still done is read off all of their executions. It stays as long as one of
its kin has not ended or not had its time, keeps locks, or made a resource that is still in the registry.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from store import chain
from store.records import Pruning
from store.sql import queries

_ENDS = ("completed", "rolled_back", "failed")
_DIGEST = re.compile(rb"(?=([0-9a-f]{64}))")  # also where it stands right behind other digits


class Ended(NamedTuple):
    """A saga that has had its time."""

    number: int
    id: str
    finished_at: int


class Page(NamedTuple):
    """What was found of some sagas."""

    last: int
    """The number of the last one looked at; 0 where there was none any more."""
    families: list[list[Ended]]
    """Those that may go, each with its kin."""
    needed: int
    """How many have had their time and are needed all the same."""


def due(db: sqlite3.Connection, ended_before: Mapping[str, int], after: int, limit: int) -> Page:
    """Look at the sagas behind number `after` that have had their time.

    `ended_before` gives for each status the time (UTC milliseconds) before which a saga must have ended; what is of
    another status is kept.
    """
    limits = {f"{status}_before": ended_before.get(status, 0) for status in _ENDS}
    found = dict(db.execute(queries()["had_its_time"], {**limits, "after": after, "limit": limit}).fetchall())
    makers = {saga for (saga,) in db.execute("SELECT saga FROM resources WHERE saga IS NOT NULL")}
    families, seen, needed = list[list[Ended]](), set[int](), 0
    for number, id_ in found.items():
        if number in seen:
            continue
        family = db.execute(queries()["kin"], {**limits, "saga": id_}).fetchall()
        seen.update(row[0] for row in family)
        if all(may_go and id_ not in makers for _, id_, _, may_go in family):
            families.append([Ended(*row[:3]) for row in family])
        else:
            needed += sum(row[0] in found for row in family)
    return Page(max(found, default=0), families, needed)


def slices(db: sqlite3.Connection, sagas: Sequence[Ended], most: int) -> Iterator[Pruning]:
    """Give what is to be dropped of these sagas in pieces of at most so many events, each saga's row with its last."""
    (newest,) = db.execute("SELECT coalesce(max(number), 0) FROM sagas").fetchone()
    piece = Pruning(newest=newest)
    for saga in sagas:
        for seq, body in db.execute(
            "SELECT seq, body FROM events WHERE number = ? AND body IS NOT NULL", (saga.number,)
        ):
            if len(piece.bodies) >= most:
                yield piece
                piece = Pruning(newest=newest)
            piece.bodies.append((seq, chain.digest(body)))
        piece.sagas.append((saga.number, saga.id, saga.finished_at))
    yield piece


def unused_plans(db: sqlite3.Connection) -> tuple[int, list[bytes]]:
    """Give the plans that no saga goes by, and the number of the newest saga that was looked at."""
    (newest,) = db.execute("SELECT coalesce(max(number), 0) FROM sagas").fetchone()
    found = db.execute("SELECT digest FROM plans WHERE digest NOT IN (SELECT plan FROM sagas)").fetchall()
    return newest, [digest for (digest,) in found]


def named_digests(db: sqlite3.Connection) -> set[str]:
    """Give all that an execution on record may name a content by: whatever looks like a digest in its images.

    Nothing is decoded: one too many keeps a file, one too few would lose it.
    """
    found = set[str]()
    for plan, after in db.execute("SELECT plan, after FROM executions"):
        for image in (plan, after or b""):
            found.update(digest.decode() for digest in _DIGEST.findall(image))
    return found
