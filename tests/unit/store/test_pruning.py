"""What may go is found with its kin; what has changed meanwhile stays; what goes leaves its hashes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store import audit
from store.errors import JournalRefused
from store.journal import Journal
from store.pruning import Ended, due, named_digests, slices, unused_plans
from store.records import Commit, Note, Pruning, Resource, ResourceChange
from store.runner import Inline
from tests.unit.store.samples import AT, KEY, began, event, submitted, went_on

ALL = {"completed": AT + 1, "rolled_back": AT + 1, "failed": AT + 1}


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    """A journal."""
    opened = Journal.open(path, KEY, Inline(), reserve=0)
    yield opened
    await opened.close()


def born(saga: str, **more: Any) -> Commit:
    """A saga's first transition, with its links."""
    commit = submitted(saga)
    assert commit.new is not None
    commit.new = msgspec.structs.replace(commit.new, **more)
    return commit


async def run(journal: Journal, saga: str, status: str | None = "completed", **more: Any) -> None:
    """Have a saga submitted, do something, and end so."""
    await journal.commit(born(saga, **more))
    await journal.commit(began(saga, f"x{saga}"))
    if status is not None:
        await journal.commit(went_on(saga, status))


def read(path: Path, query: str) -> list[Any]:
    """Look into the database."""
    with closing(sqlite3.connect(path)) as db:
        return [row[0] if len(row) == 1 else row for row in db.execute(query)]


def proves_itself(path: Path) -> bool:
    """Walk the whole chain."""
    with closing(sqlite3.connect(path)) as db:
        return audit.verify(db, KEY).problem is None


def families(
    path: Path, ended_before: dict[str, int] | None = None, limit: int = 100
) -> tuple[list[list[str]], int]:
    """Give the ids of what may go, and how many may not."""
    found, needed, after = [], 0, 0
    with closing(sqlite3.connect(path)) as db:
        while (page := due(db, ALL if ended_before is None else ended_before, after, limit)).last:
            found += [[saga.id for saga in family] for family in page.families]
            needed, after = needed + page.needed, page.last
    return found, needed


async def prune(journal: Journal, path: Path, *sagas: str) -> int:
    """Drop these."""
    with closing(sqlite3.connect(path)) as db:
        rows = [
            db.execute("SELECT number, id, finished_at FROM sagas WHERE id = ?", (id_,)).fetchone()
            for id_ in sagas
        ]
        pieces = list(slices(db, [Ended(*row) for row in rows], 1_000))
    (piece,) = pieces
    return await journal.commit_nowait(Note([event(None, "node.pruned")], pruning=piece))


async def test_only_what_has_ended_long_enough_ago_may_go(journal: Journal, path: Path) -> None:
    """By its status; what lives never."""
    for saga, status in (("a", "completed"), ("b", "failed"), ("c", "rolled_back"), ("d", None)):
        await run(journal, saga, status)

    assert families(path) == ([["a"], ["b"], ["c"]], 0)
    assert families(path, {"completed": AT + 1}) == ([["a"]], 0)
    assert families(path, {"completed": AT, "failed": AT}) == ([], 0)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_kin_go_together_or_not_at_all(journal: Journal, path: Path, limit: int) -> None:
    """A chain of rollbacks, a correction, a batch; one of which has not ended keeps its own alone."""
    await run(journal, "a")
    await run(journal, "b", rollback_of="a")
    await run(journal, "c", None, rollback_of="b")
    await run(journal, "d")
    await run(journal, "e", corrects="d")
    await run(journal, "f", batch="f")
    await run(journal, "g", batch="f")
    await run(journal, "h", "failed", batch="f")
    found, needed = families(path, {"completed": AT + 1}, limit)
    both, _ = families(path, ALL, limit)

    assert ({tuple(each) for each in found}, needed) == ({("d", "e")}, 4)
    assert {tuple(each) for each in both} == {("d", "e"), ("f", "g", "h")}


async def test_who_made_what_is_kept_stays(journal: Journal, path: Path) -> None:
    """With its kin."""
    await run(journal, "a")
    await run(journal, "b", corrects="a")
    record = Resource("t", "i", "n", None, b"{}", 1, b"{}", "a", None, AT, AT)
    await journal.commit_nowait(Note([event(None)], [ResourceChange("t", "i", record)]))
    kept = families(path)
    await journal.commit_nowait(Note([event(None)], [ResourceChange("t", "i", None)]))

    assert (kept, families(path)) == (([], 2), ([["a", "b"]], 0))


async def test_what_goes_leaves_its_hashes_and_its_key(journal: Journal, path: Path) -> None:
    """The chain holds as before."""
    await run(journal, "a")
    await run(journal, "b", None)
    before = read(path, "SELECT hash FROM events ORDER BY seq")
    await prune(journal, path, "a")
    with closing(sqlite3.connect(path)) as db:
        report = audit.verify(db, KEY)

    assert read(path, "SELECT hash FROM events ORDER BY seq")[: len(before)] == before
    assert (report.problem, report.pruned, report.events) == (None, 3, len(before) + 1)
    assert read(path, "SELECT id FROM sagas") == ["b"]
    assert read(path, "SELECT id FROM executions") == ["xb"]


async def test_a_saga_that_goes_on_in_the_same_group_is_not_dropped(journal: Journal, path: Path) -> None:
    """The one is written, the other refused, whichever came first; and all else in the group is written too."""
    await run(journal, "a", "failed")
    await run(journal, "b", "failed")
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT number, id, finished_at FROM sagas ORDER BY number").fetchall()
        first, second = (next(slices(db, [Ended(*row)], 1_000)) for row in rows)
    answers = await asyncio.gather(
        journal.commit_nowait(went_on("a", "compensating")),
        journal.commit_nowait(Note([event(None)], pruning=first)),
        journal.commit_nowait(Note([event(None)], pruning=second)),
        journal.commit_nowait(went_on("b", "compensating")),
        journal.commit_nowait(submitted("c")),
        return_exceptions=True,
    )

    assert [isinstance(each, JournalRefused) for each in answers] == [False, True, False, True, False]
    assert read(path, "SELECT id FROM sagas ORDER BY id") == ["a", "c"]
    assert read(path, "SELECT count(*) FROM events WHERE saga = 'a' AND body IS NULL") == [0]
    assert proves_itself(path)


async def test_a_saga_that_went_on_since_it_was_looked_up_is_not_dropped(
    journal: Journal, path: Path
) -> None:
    """Nothing of the piece is."""
    await run(journal, "a", "failed")
    with closing(sqlite3.connect(path)) as db:
        (row,) = db.execute("SELECT number, id, finished_at FROM sagas").fetchall()
        piece = next(slices(db, [Ended(*row)], 1_000))
    await journal.commit(went_on("a", "compensating"))
    with pytest.raises(JournalRefused):
        await journal.commit_nowait(Note([event(None)], pruning=piece))

    assert read(path, "SELECT count(*) FROM events WHERE body IS NULL") == [0]
    assert read(path, "SELECT count(*) FROM executions") == [1]


async def test_a_long_saga_goes_in_pieces_its_row_last(journal: Journal, path: Path) -> None:
    """Killed in between, it is found again."""
    await run(journal, "a")
    await journal.commit(went_on("a", "completed", events=20))
    with closing(sqlite3.connect(path)) as db:
        (row,) = db.execute("SELECT number, id, finished_at FROM sagas").fetchall()
        pieces = list(slices(db, [Ended(*row)], 10))
    await journal.commit_nowait(Note([], pruning=pieces[0]))
    between = families(path)
    await prune(journal, path, "a")

    assert [(len(piece.bodies), len(piece.sagas)) for piece in pieces] == [(10, 0), (10, 0), (3, 1)]
    assert between == ([["a"]], 0)
    assert read(path, "SELECT count(*) FROM events WHERE body IS NOT NULL") == [1]
    assert proves_itself(path)


async def test_a_plan_that_a_new_saga_goes_by_stays(journal: Journal, path: Path) -> None:
    """Also where that came between the look and the drop."""
    await run(journal, "a")
    await prune(journal, path, "a")
    with closing(sqlite3.connect(path)) as db:
        newest, plans = unused_plans(db)
    assert plans == [b"p" * 32]
    await journal.commit(submitted("b"))
    await journal.commit_nowait(Note([], pruning=Pruning(newest=newest, plans=plans)))
    while_used = read(path, "SELECT count(*) FROM plans")
    await journal.commit(went_on("b", "completed"))
    await prune(journal, path, "b")
    await journal.commit_nowait(Note([], pruning=Pruning(newest=newest + 1, plans=plans)))

    assert (while_used, read(path, "SELECT count(*) FROM plans")) == ([1], [0])


async def test_whatever_looks_like_a_digest_in_an_image_is_kept(journal: Journal, path: Path) -> None:
    """In the intent or in what was left behind."""
    digests = [char * 64 for char in "abc"]
    commit = born("a")
    await journal.commit(commit)
    started = began("a", "x")
    plan = b"\x81\xa6before" + digests[0].encode() + b"\xa5after" + digests[1].encode()
    started.executions = [msgspec.structs.replace(started.executions[0], plan=plan)]
    await journal.commit(started)
    with closing(sqlite3.connect(path)) as db:
        found = named_digests(db)

    assert found >= set(digests[:2])
    assert digests[2] not in found
