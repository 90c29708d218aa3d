"""What an audit asks of the database."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from store import snapshot
from store.journal import Journal
from store.queries import Queries
from store.records import Commit, NewEvent
from store.snapshot import Filters
from tests.unit.store.samples import AT, began, checkpoint, event, submitted

pytestmark = pytest.mark.parametrize("runner", ["inline"], indirect=True)


def happened(saga: str | None, step: str | None, at: int = 0, actor: str = "sagad", **more: Any) -> NewEvent:
    """An event so many milliseconds after the others."""
    return NewEvent(saga, AT + at, "step.started", 1, b'{"resource":{"name":"x"}}', step, actor, **more)


@pytest.fixture
async def two(journal: Journal) -> None:
    """Two sagas, of which both touch /a in a step, and one also /b; and an event of /a that belongs to no saga."""
    await journal.commit(submitted("a"))  # 1
    await journal.commit(submitted("b"))  # 2
    mark = checkpoint()
    await journal.commit(Commit("a", [happened("a", "one", 10, resource="/a")], mark))  # 3
    await journal.commit(Commit("b", [happened("b", "one", 20, resource="/b")], mark))  # 4
    await journal.commit(Commit("a", [happened("a", "one", 30), happened("a", "two", 30)], mark))  # 5, 6
    await journal.commit(Commit("b", [happened("b", "two", 40, resource="/a", actor='o"x')], mark))  # 7
    await journal.record([happened(None, None, 50, resource="/a", actor="bob")])  # 8
    await journal.commit(began("b", "e1"))  # 9, with an execution of step `page`


async def found(queries: Queries, after: int = 0, limit: int = 100, **filters: Any) -> list[int]:
    """Give the numbers of the events that the filters let through."""
    work = partial(snapshot.events, filters=Filters(**filters), after=after, limit=limit)
    return [each["seq"] for each in json.loads(await queries.apart(work))]


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"after": 2, "limit": 3}, [3, 4, 5]),
        ({"saga": "a"}, [1, 3, 5, 6]),
        ({"resource": ("/a",)}, [3, 5, 7, 8]),
        ({"resource": ("/b",)}, [4]),
        ({"resource": ("x",)}, []),
        ({"resource": ("x", "/b", "/a")}, [3, 4, 5, 7, 8]),
        ({"resource": ("/a",), "saga": "b"}, [7]),
        ({"actor": "ann"}, [1, 2, 9]),
        ({"actor": 'o"x'}, [7]),
        ({"actor": "an"}, []),
        ({"since": "2026-11-21T10:00:07.153Z"}, [5, 6, 7, 8]),
        ({"since": "2026-11-21T10:00:07.133Z", "until": "2026-11-21T10:00:07.153Z"}, [3, 4]),
        ({"resource": ("/a",), "actor": "bob"}, [8]),
    ],
)
async def test_all_filters_must_let_an_event_through(
    two: None, queries: Queries, filters: dict[str, Any], numbers: list[int]
) -> None:
    """A resource's events are those of the steps whose intents name it, of whatever saga."""
    assert await found(queries, **filters) == numbers


async def test_an_answer_is_the_records_own_bytes(journal: Journal, queries: Queries) -> None:
    """The same document as on every other route."""
    await journal.commit(submitted("a"))
    await journal.commit(Commit("a", [event("a")], checkpoint()))
    work = partial(snapshot.events, filters=Filters(actor="ann"), after=0, limit=10)

    assert await queries.apart(work) == (await queries.events())[0]
