"""Which execution makes up for which: of one connection, on whichever thread. See `Queries.apart`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from store.sql import queries


class Done(NamedTuple):
    """A forward execution that did something."""

    saga: str
    id: str
    plan: bytes
    compensates: str | None
    takes_back: bool
    """It is of a saga that takes another one back."""


def since(db: sqlite3.Connection, saga: str, key: str, needles: Sequence[bytes]) -> Iterator[Done]:
    """Go through what was done after the execution of this saga that has this key, in order of start.

    Only where one of the needles is in what the engine keeps of the intent; the store does not know what that means.
    """
    wanted = " OR ".join("instr(e.plan, ?)" for _ in needles)
    sql = queries()["done_since"].format(wanted or "0")
    return map(Done._make, db.execute(sql, (saga, key, *needles)))


def takers(db: sqlite3.Connection, execution: str) -> list[tuple[str, str]]:
    """Give the executions that took this one back, and their sagas: undos, and steps of rollback sagas."""
    return db.execute(queries()["taken_back_by"], (execution,)).fetchall()


def in_effect(db: sqlite3.Connection, execution: str) -> bool:
    """Tell whether what an execution did still is: it was not taken back, or that was taken back in turn."""
    return taken_back_by(db, execution) is None


def taken_back_by(db: sqlite3.Connection, execution: str) -> str | None:
    """Name the saga that took an execution back, and whose doing still is in effect."""
    return next((saga for taker, saga in takers(db, execution) if in_effect(db, taker)), None)
