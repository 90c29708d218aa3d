from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from store.journal import Journal
from store.queries import Ambiguous, Count, Due, Queries
from store.records import Checkpoint, Commit, ExecutionChange
from store.sql import queries as named
from tests.unit.store.samples import AT, began, checkpoint, ended, event, submitted, went_on

pytestmark = pytest.mark.parametrize("runner", ["inline"], indirect=True)


async def test_a_saga_comes_back_as_it_went_in(journal: Journal, queries: Queries) -> None:
    """Every column is where it belongs."""
    await journal.commit(submitted("a", labels={"site": "harbour"}))
    saga = queries.saga("a")

    assert saga is not None
    assert (saga.number, saga.kind, saga.labels, saga.inputs, saga.submitted_by, saga.created_at) == (
        1, "publish", b'{"site":"harbour"}', b'{"page":"x"}', "ann", AT,
    )  # fmt: skip
    assert queries.plan(saga.plan) == b"plan"
    assert queries.saga("b") is None


async def test_an_id_may_be_cut_short_while_it_is_the_only_one(journal: Journal, queries: Queries) -> None:
    """A whole id wins over longer ones that begin so."""
    assert queries.resolve("last") is None
    for saga in ("abc", "abd", "xyz", "x"):
        await journal.commit(submitted(saga))

    assert [queries.resolve(given) for given in ("abc", "xy", "x", "last", "q")] == [
        "abc",
        "xyz",
        "x",
        "x",
        None,
    ]
    with pytest.raises(Ambiguous, match="abc, abd"):
        queries.resolve("ab")


async def test_executions_are_linked_both_ways(journal: Journal, queries: Queries) -> None:
    """Also from one saga to another."""
    await journal.commit(submitted("a"))
    await journal.commit(began("a", "e1"))
    await journal.commit(ended("a", ExecutionChange("e1", status="completed")))
    await journal.commit(submitted("rollback"))
    await journal.commit(began("rollback", "u1", compensates="e1"))
    (original,) = await queries.executions("a")
    (undo,) = await queries.executions("rollback")

    assert (original.saga, original.status, undo.compensates) == ("a", "completed", "e1")
    assert await queries.compensated_by("a") == {"e1": ["u1"]}


async def test_a_rollback_names_itself_on_its_original_when_it_has_completed(
    journal: Journal, queries: Queries
) -> None:
    """Not before."""
    await journal.commit(submitted("a"))
    rollback = submitted("r")
    assert rollback.new
    rollback.new = type(rollback.new)("rollback", b"p" * 32, b"{}", b"{}", "ann", None, AT, rollback_of="a")
    await journal.commit(rollback)
    before = queries.saga("a")
    await journal.commit(went_on("r", "completed"))
    after = queries.saga("a")

    assert before is not None
    assert after is not None
    assert (before.rolled_back_by, after.rolled_back_by) == (None, "r")


async def test_a_timeline_is_read_page_by_page(journal: Journal, queries: Queries) -> None:
    """Only the saga's own events, each once."""
    await journal.commit(submitted("a"))
    await journal.commit(submitted("b"))
    await journal.commit(went_on("a", events=5))
    seen, after = list[int](), 0
    while True:
        page, last = await queries.events("a", after=after, limit=2)
        if last == after:
            break
        seen += [event["seq"] for event in json.loads(page)]
        after = last

    assert seen == [1, 3, 4, 5, 6, 7]
    assert page == b"[]"


async def test_an_events_document_has_the_fields_of_the_contract(journal: Journal, queries: Queries) -> None:
    """SPEC §8, field by field."""
    await journal.commit(submitted("a"))
    page, _ = await queries.events()
    (document,) = json.loads(page)

    assert document == {
        "seq": 1, "saga": "a", "resource": None, "at": "2026-11-21T10:00:07.123Z", "type": "saga.submitted",
        "version": 1, "step": "page", "actor": "ann", "data": {}, "hash": journal.head,
    }  # fmt: skip


@pytest.fixture
async def many(journal: Journal) -> None:
    """Ten sagas of two kinds: three completed, one paused and changed last."""
    for number in range(10):
        saga = f"s{number}"
        kind = "even" if number % 2 == 0 else "odd"
        await journal.commit(submitted(saga, kind=kind, labels={"n": str(number % 3), "x'\"y": "1"}))
    for number in (1, 2, 3):
        await journal.commit(went_on(f"s{number}", "completed"))
    held = checkpoint("running", wake=None)
    await journal.commit(
        Commit("s4", [event("s4")], type(held)("running", "paused", None, None, b"", 1, AT + 500))
    )


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "9876543210"),
        ({"limit": 3}, "987"),
        ({"limit": 3, "before": 8}, "654"),
        ({"status": "completed"}, "321"),
        ({"kind": "odd"}, "97531"),
        ({"kind": "odd", "status": "completed"}, "31"),
        ({"labels": {"n": "1"}}, "741"),
        ({"labels": {"n": "1", "x'\"y": "1"}, "status": "completed"}, "1"),
        ({"labels": {"n": "9"}}, ""),
        ({"hold": "paused"}, "4"),
        ({"since": AT + 1}, "4"),
        ({"since": AT, "status": "completed", "kind": "odd"}, "31"),
    ],
)
async def test_a_list_holds_what_all_filters_let_through(
    many: None, queries: Queries, filters: dict[str, object], found: str
) -> None:
    """The newest first."""
    sagas = await queries.sagas(**filters)  # type: ignore[arg-type]

    assert "".join(saga.id[1] for saga in sagas) == found


async def test_counts_are_by_status_and_hold(many: None, queries: Queries) -> None:
    """For metrics and health."""
    assert sorted(await queries.counts(), key=str) == [
        Count("completed", None, 3),
        Count("pending", None, 6),
        Count("running", "paused", 1),
    ]


async def test_due_are_those_whose_time_has_come(journal: Journal, queries: Queries) -> None:
    """By page, in order of submission; the next one is the soonest of the others."""
    for number, wake in enumerate([0, 500, None, 100, 900], start=1):
        commit = submitted(f"s{number}")
        commit.checkpoint = checkpoint("running", wake=wake)
        await journal.commit(commit)

    assert await queries.due(500) == [Due(1, "s1", 0), Due(2, "s2", 500), Due(4, "s4", 100)]
    assert await queries.due(500, after=1, limit=1) == [Due(2, "s2", 500)]
    assert await queries.next_wake(0) == 100
    assert await queries.next_wake(900) is None


async def test_reading_does_not_wait_for_a_writer_and_cannot_write(
    journal: Journal, queries: Queries, path: Path
) -> None:
    """A reader sees what was committed, and nothing less."""
    await journal.commit(submitted("a"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM sagas")

    assert queries.saga("a") is not None
    assert len(await queries.sagas()) == 1
    other.execute("ROLLBACK")
    other.close()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await queries._fetch("DELETE FROM sagas", ())


async def test_no_query_walks_a_whole_table_to_find_one_saga(journal: Journal, path: Path) -> None:
    """Every look-up by key goes through an index; those that list or count may walk."""
    db = sqlite3.connect(path)
    walks = dict[str, str]()
    looked_up = {"ids_by_prefix", "plan", "executions", "compensated_by", "due", "next_wake",
                 "idempotency_key", "events_of_saga", "history"}  # fmt: skip
    for name in looked_up | {"by_id"}:
        sql = named()["saga_columns"] + " WHERE id = ?" if name == "by_id" else named()[name]
        values = (
            {"saga": "a", "after": 0, "limit": 1, "now": 1, "prefix": "a"}
            if ":" in sql
            else (1,) * sql.count("?")
        )
        for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {sql}", values):
            if detail.startswith("SCAN") and "(subquery" not in detail:
                walks[name] = detail
    db.close()

    assert walks == {}


async def test_a_saga_is_overlooked_when_it_is_long_due_or_has_nothing_to_wait_for(
    journal: Journal, queries: Queries
) -> None:
    """Not one that is held, waits for later, has changed since, or has ended."""
    for saga, mark in (
        ("due", checkpoint(wake=AT)),
        ("later", checkpoint(wake=AT + 2)),
        ("lost", checkpoint(wake=None)),
        ("held", Checkpoint("running", "paused", None, None, b"state", 1, AT)),
        ("fresh", Checkpoint("running", None, None, 0, b"state", 1, AT + 2)),
        ("ended", checkpoint("completed")),
    ):
        await journal.commit(submitted(saga))
        commit = went_on(saga)
        commit.checkpoint = mark
        await journal.commit(commit)

    assert await queries.overlooked(AT + 1) == ["due", "lost"]
    assert await queries.overlooked(AT + 1, limit=1) == ["due"]
