"""What is kept about drift: the database itself keeps at most one open record for a resource and field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from store import drift as kept
from store.drift import Absent, Drift, Filter, Kept, Rule, Seen
from store.errors import JournalRefused
from store.journal import Journal
from store.queries import Queries
from store.records import Note, Resource, ResourceChange
from tests.unit.store.samples import event

pytestmark = pytest.mark.parametrize("runner", ["inline"], indirect=True)

SEEN = Seen("7", "t.thing", 5, "absent", b'{"size":"a"}', 9, None, 1)


def drift(id: str = "d1", **changes: Any) -> Drift:
    """A record."""
    made = Drift(id, "t.thing", "7", "web", "size", "changed", b'"a"', b'"b"', "open", 1, 2)
    return msgspec.structs.replace(made, **changes)


def thing(identity: str) -> ResourceChange:
    """A resource that is kept."""
    record = Resource("t.thing", identity, f"n{identity}", identity, b"{}", 1, b"{}", None, None, 1, 1)
    return ResourceChange("t.thing", identity, record)


async def write(journal: Journal, **what: Any) -> None:
    """Write a note with an event."""
    await journal.commit_nowait(Note([event(None)], drift=Kept(**what)))


async def test_records_come_back_as_they_went_in(journal: Journal, queries: Queries) -> None:
    """Each column where it belongs."""
    made = drift(resolved_by="saga", resolved_at=3, automatic=True, why="so", count=4)
    rule = Rule("r1", "t.thing", "7", "web", "size", "why", "ann", 1, 2)
    await write(journal, opened=[made], rules=[rule], seen=[SEEN], notes=[("alarm", "cloud", b'"x"')])

    assert queries.at_once(lambda db: kept.open_of(db, "t.thing", "7")) == [made]
    assert queries.at_once(lambda db: kept.by_prefix(db, "d")) == [made]
    assert queries.at_once(kept.last) == made
    assert queries.at_once(lambda db: kept.at_work(db, "saga")) == [made]
    assert queries.at_once(kept.rules) == [rule]
    assert queries.at_once(lambda db: kept.seen(db, "t.thing", "7")) == SEEN
    assert queries.at_once(lambda db: kept.notes(db, "alarm")) == {"cloud": b'"x"'}
    assert queries.at_once(kept.counts) == {"changed": 1}


async def test_a_second_open_record_is_refused_with_all_that_came_with_it(
    journal: Journal, queries: Queries
) -> None:
    """One that is resolved is history, and in nobody's way."""
    await write(journal, opened=[drift()])
    before = journal.last_seq
    with pytest.raises(JournalRefused):
        await write(journal, opened=[drift("d2")], notes=[("alarm", "cloud", b"1")])
    assert (journal.last_seq, queries.at_once(lambda db: kept.notes(db, "alarm"))) == (before, {})
    await write(journal, changed=[drift(status="stale")])
    await write(journal, opened=[drift("d2")])
    await write(journal, opened=[drift("d3", field="tags"), drift("d4", identity="8")])

    assert [each.id for each in queries.at_once(lambda db: kept.open_of(db, "t.thing", "7"))] == ["d2", "d3"]


async def test_what_is_resolved_does_not_change_any_more(journal: Journal, queries: Queries) -> None:
    """Whoever tries has not seen that somebody was faster: it is refused."""
    await write(journal, opened=[drift()])
    await write(journal, changed=[drift(status="accepted", resolved_by="ann")])
    with pytest.raises(JournalRefused, match="not open"):
        await write(journal, changed=[drift(status="reverted", resolved_by="saga")])

    (accepted,) = queries.at_once(lambda db: kept.accepted_of(db, "t.thing", "7"))
    assert accepted.resolved_by == "ann"


async def test_a_round_counts_what_it_did_not_find(journal: Journal, queries: Queries) -> None:
    """Of its types, and of no earlier round."""
    others = [
        msgspec.structs.replace(SEEN, identity="8", state="there"),
        msgspec.structs.replace(SEEN, identity="9", round=4),
    ]
    await write(journal, seen=[SEEN, *others])
    before = queries.at_once(lambda db: kept.tally(db, "t.thing", 5, 2))
    await write(journal, absent=[Absent("t.thing", 5)])
    absent = [queries.at_once(lambda db, i=i: kept.seen(db, "t.thing", i)) for i in "789"]  # type: ignore[misc]

    assert [each.absent for each in absent if each is not None] == [2, 1, 1]
    assert [tuple(each) for each in before] == [("absent", False, 1), ("there", False, 1)]
    assert queries.at_once(lambda db: kept.tally(db, "t.thing", 5, 2))[0].known


async def test_what_nobody_keeps_is_found_and_forgotten(journal: Journal, queries: Queries) -> None:
    """What was seen of it, and what is open of it."""
    await journal.commit_nowait(Note([event(None)], [thing("8")]))
    await write(journal, seen=[SEEN, msgspec.structs.replace(SEEN, identity="8")])
    await write(journal, opened=[drift(), drift("d2", identity="8")])
    gone = queries.at_once(lambda db: kept.seen_of_nobody(db, 10))
    orphans = queries.at_once(lambda db: kept.open_of_nobody(db, 10))
    await write(journal, gone=gone)

    assert (gone, [each.id for each in orphans]) == ([("7", "t.thing")], ["d1"])
    assert queries.at_once(lambda db: kept.seen(db, "t.thing", "7")) is None


async def test_pages_of_what_is_kept(journal: Journal, queries: Queries) -> None:
    """In the order of identities; only what a round has not come by; by label or identity."""
    await journal.commit_nowait(Note([event(None)], [thing(str(number)) for number in range(5)]))
    await write(journal, seen=[msgspec.structs.replace(SEEN, identity="1", state="there")])

    def page(name: str | None = None, **which: Any) -> list[str]:
        found = queries.at_once(lambda db: kept.resources(db, "t.thing", name, limit=2, **which))
        return [each.record.identity for each in found]

    assert [page(), page(after="1"), page(after="4")] == [["0", "1"], ["2", "3"], []]
    assert [page(not_in=5), page("n3"), page("3")] == [["0", "2"], ["3"], ["3"]]


async def test_a_list_leaves_out_what_a_rule_hides(journal: Journal, queries: Queries) -> None:
    """By resource, by field with what lies in it, while the rule holds."""
    await write(
        journal,
        opened=[
            drift(),
            drift("d2", field="rules[0].port"),
            drift("d3", identity="8"),
            drift("d4", field="ruled"),
        ],
        rules=[
            Rule("r1", "t.thing", "8", "n8", None, "why", "ann", 1, None),
            Rule("r2", "t.thing", None, None, "rules", "why", "ann", 1, 50),
        ],
    )

    def listed(**which: Any) -> list[str]:
        return [each.id for _, each in queries.at_once(lambda db: kept.listed(db, Filter(**which)))]

    assert listed() == ["d1", "d2", "d3", "d4"]
    assert listed(now=49) == ["d1", "d4"]
    assert listed(now=50) == ["d1", "d2", "d4"]
    assert [listed(limit=2), listed(limit=2, after=2)] == [["d1", "d2"], ["d3", "d4"]]
    assert [listed(type="t"), listed(type="other"), listed(name="8")] == [
        ["d1", "d2", "d3", "d4"],
        [],
        ["d3"],
    ]
