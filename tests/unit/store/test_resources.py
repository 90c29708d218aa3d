from __future__ import annotations

from pathlib import Path

import pytest

from store import database
from store.errors import JournalRefused
from store.journal import Journal
from store.queries import Queries
from store.records import ExecutionChange, Note, Resource, ResourceChange
from store.runner import Runner
from tests.unit.store.samples import AT, KEY, ended, event, submitted, went_on

pytestmark = pytest.mark.parametrize("runner", ["inline"], indirect=True)


def record(identity: str, *, type: str = "local.file", name: str = "", version: int = 1) -> Resource:
    """A resource's record."""
    return Resource(
        type, identity, name or identity, None, b'{"mode":"0600"}', version, b'{"size":1}', "a", "e1", AT, AT
    )


def put(*records: Resource) -> list[ResourceChange]:
    """Changes to what these are."""
    return [ResourceChange(each.type, each.identity, each) for each in records]


async def test_a_record_comes_back_as_it_went_in(journal: Journal, queries: Queries) -> None:
    """Every column is where it belongs; the key is type and identity."""
    commit = submitted("a")
    commit.resources = put(record("/a", name="page"), record("/a", type="local.symlink"))
    await journal.commit(commit)

    assert queries.resource("local.file", "/a") == record("/a", name="page")
    assert queries.resource("local.symlink", "/a") == record("/a", type="local.symlink")
    assert queries.resource("local.file", "/b") is None


async def test_of_several_changes_in_one_group_the_last_counts(journal: Journal, queries: Queries) -> None:
    """Made and gone, gone and made, changed twice: in one commit, and in several that are written together."""
    gone = [ResourceChange("local.file", each) for each in ("/a", "/b", "/c")]
    newest = record("/c", version=9)
    first, second, third = submitted("a"), submitted("b"), submitted("c")
    first.resources = [*put(record("/a"), record("/c")), gone[0], gone[1], *put(record("/b"))]
    second.resources = put(record("/a"), record("/c", version=2))
    third.resources = [gone[0], *put(newest)]
    for answer in [journal.commit_nowait(each) for each in (first, second, third)]:
        await answer

    assert queries.resource("local.file", "/a") is None
    assert queries.resource("local.file", "/b") == record("/b")
    assert queries.resource("local.file", "/c") == newest


async def test_a_record_is_refused_with_its_commit(journal: Journal, queries: Queries) -> None:
    """Together or not at all; what was handed in along with it is written."""
    await journal.commit(submitted("a"))
    wrong = ended("a", ExecutionChange("no such execution", status="completed"))
    wrong.resources = put(record("/wrong"))
    right = submitted("b")
    right.resources = put(record("/right"))
    refused, accepted = journal.commit_nowait(wrong), journal.commit_nowait(right)
    with pytest.raises(JournalRefused):
        await refused
    await accepted

    assert queries.resource("local.file", "/wrong") is None
    assert queries.resource("local.file", "/right") == record("/right")


async def test_a_note_changes_records_too(journal: Journal, queries: Queries) -> None:
    """With its event, beside all sagas."""
    await journal.commit_nowait(Note([event(None, "resource.imported")], put(record("/a"))))
    await journal.commit_nowait(
        Note([event(None, "resource.forgotten")], [ResourceChange("local.file", "/a")])
    )

    assert queries.resource("local.file", "/a") is None
    assert journal.last_seq == 2


async def test_a_name_finds_all_that_are_called_so(journal: Journal, queries: Queries) -> None:
    """And the one that has it as its identity."""
    commit = submitted("a")
    commit.resources = put(
        *(record(each, type="cloud", name="web") for each in "12"), record("web", type="cloud")
    )
    await journal.commit(commit)

    assert [each.identity for each in queries.resources_called("cloud", "web")] == ["1", "2", "web"]
    assert [each.identity for each in queries.resources_called("cloud", "2")] == ["2"]
    assert queries.resources_called("other", "web") == []


async def test_what_lies_below_a_path_is_found_and_its_neighbours_are_not(
    journal: Journal, queries: Queries
) -> None:
    """Neither itself, nor what only begins so."""
    commit = submitted("a")
    paths = ("/s", "/s/a", "/s/b/c", "/s.old/a", "/s0", "/t")
    commit.resources = put(*map(record, paths), record("/s/a", type="local.directory"))
    await journal.commit(commit)

    assert [(each.identity, each.type) for each in queries.resources_below("/s")] == [
        ("/s/a", "local.directory"), ("/s/a", "local.file"), ("/s/b/c", "local.file"),
    ]  # fmt: skip
    assert len(queries.resources_below("/")) == 7


async def test_pages_follow_each_other(journal: Journal, queries: Queries) -> None:
    """By type, name and identity; a type may be a family, and is no mere beginning."""
    commit = submitted("a")
    made = [record(f"{number}", type="b.x", name="same") for number in range(5)]
    made += [record("z", type="a.y"), record("y", type="b.z"), record("x", type="bb")]
    commit.resources = put(*made)
    await journal.commit(commit)
    page, after = [], ("", "", "")
    while found := await queries.resources(after=after, limit=3):
        page += found
        after = (found[-1].type, found[-1].name, found[-1].identity)

    assert [each.identity for each in page] == ["z", "0", "1", "2", "3", "4", "y", "x"]
    assert len(await queries.resources(type="b")) == 6
    assert len(await queries.resources(type="b.x", name="same", limit=2)) == 2
    assert await queries.resources(name="other") == []


async def test_a_database_of_before_the_registry_is_brought_up_to_date(
    path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps what it has, and has an empty registry."""
    with monkeypatch.context() as patch:
        earlier = list(database.migrations())[:2]
        patch.setattr(database, "migrations", lambda: iter(earlier))
        journal = Journal.open(path, KEY, runner, reserve=0)
        await journal.commit(submitted("a"))
        await journal.close()
    journal = Journal.open(path, KEY, runner, reserve=0)
    commit = went_on("a")
    commit.resources = put(record("/a"))
    await journal.commit(commit)
    queries = await Queries.open(path)
    found = queries.resource("local.file", "/a"), queries.saga("a")
    await queries.close()
    await journal.close()

    assert found[0] == record("/a")
    assert found[1] is not None
