"""A sync with drivers that do what none should: what is theirs to break is theirs alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from actors.clock import WallClock
from actors.drift.counting import Scope
from actors.drift.looking import Looking
from actors.drift.report import Progress, Report
from actors.saga.calls import Calls
from actors.saga.contents import Contents
from actors.saga.host import Host
from providers import registry
from providers.contract import ABSENT, Call, Driver, Ended, Failed, Image, Outcome, Resource, Verb
from store import drift as kept
from store.blobs import Blobs
from store.journal import Journal
from store.queries import Queries
from store.records import Note, ResourceChange
from store.records import Resource as Record
from store.runner import Inline
from store.secrets import Secrets


class Which(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one."""

    id: str


class Plain(Driver):
    """Shows what the test has put there."""

    version = "1.0"
    verbs: ClassVar[Mapping[str, Verb]] = {"update": Verb(arguments=Which, outputs={"id": str})}
    shows: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[str]] = []

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name it by its id."""
        return Resource(self.type, arguments.id, id=arguments.id)

    async def apply(self, call: Call) -> Outcome:
        """Do nothing."""
        raise NotImplementedError

    async def read(self, call: Call) -> Image | None:
        """Show it, or do whatever stands there instead."""
        self.asked.append(call.arguments.id)
        shown: Image | None = given(self.shows.get(call.arguments.id, ABSENT))
        return shown


class Listed(Plain):
    """Lists what the test has put there."""

    lists = True

    async def inventory(self) -> AsyncIterator[tuple[str, Image]]:
        """List it, or do whatever stands there instead."""
        for id_, shown in self.shows.items():
            yield id_, given(shown)


def given(shown: Any) -> Any:
    """Give it, or raise it."""
    if isinstance(shown, BaseException):
        raise shown
    return shown


def driver(base: type[Plain], name: str, **shows: Any) -> type[Plain]:
    """Make a type that shows that."""
    return type(name, (base,), {"type": f"odd.{name}", "shows": shows, "asked": [], "__doc__": base.__doc__})


async def synced(
    folder: Path, drivers: list[type[Plain]], ids: list[str], times: int = 1
) -> tuple[Any, Report]:
    """Sync resources of these ids of all types; give what was seen of each, and the report."""
    journal = Journal.open(folder / "sagad.db", b"k" * 32, Inline(), reserve=0)
    queries = await Queries.open(folder / "sagad.db")
    try:
        loaded = registry.load({}, Contents(Blobs(folder / "blobs", b"k" * 32)), extra=drivers)
        calls = Calls(loaded, Secrets([], b"k" * 32), WallClock())
        host = Host(journal=journal, queries=queries, calls=calls, clock=WallClock(), passivate=1_000)
        records = [
            Record(each.type, id_, id_, id_, b'{"n":1}', 1, b"{}", None, None, 1, 1)
            for each in drivers
            for id_ in ids
        ]
        await journal.commit_nowait(
            Note([], [ResourceChange(each.type, each.identity, each) for each in records])
        )
        report = Report()
        for _ in range(times):
            report = Report()
            await Looking(host, loaded, Scope(), 2, report, Progress("sync")).run()
        seen = {
            (each.type, each.identity): queries.at_once(
                lambda db, each=each: kept.seen(db, each.type, each.identity)  # type: ignore[misc]
            )
            for each in records
        }
        return seen, report
    finally:
        await queries.close()
        await journal.close()


THERE = Image(fields={"n": 1})

ODD: dict[str, Any] = {
    "raises": RuntimeError("odd"),
    "forbidden": Ended(Failed("http_403", "forbidden")),
    "nonsense": "nonsense",
    "none": None,
    "unwritable": Image(fields={"n": object()}),
}


@pytest.mark.parametrize("odd", ODD)
async def test_a_resource_that_cannot_be_read_is_unknown_and_the_others_are_right(
    tmp_path: Path, odd: str
) -> None:
    """Whatever its driver does."""
    one = driver(Plain, "one", a=ODD[odd], b=THERE)
    seen, report = await synced(tmp_path, [one], ["a", "b"])

    assert seen["odd.one", "b"].state == "there"
    assert (seen["odd.one", "a"].state, seen["odd.one", "a"].seen_at) == ("unknown", None)
    assert [(each.name, bool(each.why)) for each in report.unknowns] == [("a", True)]


@pytest.mark.parametrize("odd", ["raises", "forbidden", "nonsense"])
async def test_a_list_that_breaks_off_makes_nothing_absent(tmp_path: Path, odd: str) -> None:
    """What it has shown is there, the rest is unknown; another type is as it is."""
    broken = driver(Listed, "broken", a=THERE, b=ODD[odd], c=THERE)
    whole = driver(Listed, "whole", a=THERE)
    seen, report = await synced(tmp_path, [broken, whole], ["a", "c"])

    assert [seen["odd.broken", each].state for each in "ac"] == ["there", "unknown"]
    assert [seen["odd.whole", each].state for each in "ac"] == ["there", "absent"]
    assert report.unknown == 1


async def test_what_is_not_listed_is_asked_for_and_nothing_else_is(tmp_path: Path) -> None:
    """By pages where it can be; absence counts once a round."""
    lists = driver(Listed, "lists", **{f"n{number}": THERE for number in range(95)})
    seen, report = await synced(tmp_path, [lists], [*(f"n{number}" for number in range(95)), "gone"], times=3)

    assert lists.asked == ["gone"] * 3
    assert seen["odd.lists", "gone"].absent == 3
    assert (report.there, report.absent, report.looked) == (95, 1, 96)


async def test_what_was_seen_last_stays_when_it_cannot_be_seen(tmp_path: Path) -> None:
    """With why there is nothing newer."""
    shows = driver(Plain, "shows", a=THERE)
    await synced(tmp_path, [shows], ["a"])
    shows.shows["a"] = RuntimeError("odd")
    seen, _ = await synced(tmp_path, [shows], ["a"])
    found = seen["odd.shows", "a"]

    assert (found.state, found.live) == ("unknown", b'{"n":1}')
    assert found.seen_at is not None
    assert "odd" in found.error
