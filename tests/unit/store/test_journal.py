from __future__ import annotations

import asyncio
import errno
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from store import audit, writer
from store import journal as journal_module
from store.errors import JournalClosed, JournalRefused, StorageFailing, SubscriberTooSlow
from store.journal import Journal
from store.queries import Queries
from store.records import Commit, ExecutionChange, IdempotencyKey, NewEvent
from store.runner import Inline, Runner, Thread
from tests.unit.store.samples import KEY, began, checkpoint, ended, event, submitted, went_on


def whole(path: Path) -> audit.Report:
    """Expect the record to prove itself."""
    with closing(sqlite3.connect(path)) as db:
        report = audit.verify(db, KEY)
    assert report.problem is None
    return report


async def test_a_commit_gives_the_number_of_its_last_event(journal: Journal) -> None:
    """A client can read on from there."""
    first = await journal.commit(submitted("a"))
    second = await journal.commit(went_on("a", events=3))

    assert (first, second, journal.last_seq) == (1, 4, 4)


async def test_what_was_acknowledged_is_in_the_database_for_every_other_connection(
    journal: Journal, path: Path
) -> None:
    """Not in some buffer of ours."""
    await journal.commit(submitted("a"))

    with closing(sqlite3.connect(path)) as other:
        found = other.execute("SELECT id, status, state FROM sagas").fetchall()

    assert found == [("a", "pending", b"state")]


async def test_a_journal_that_is_opened_again_goes_on_where_it_ended(path: Path, runner: Runner) -> None:
    """Numbers and hashes continue."""
    journal = Journal.open(path, KEY, runner, reserve=0)
    await journal.commit(submitted("a"))
    head = journal.head
    await journal.close()

    again = Journal.open(path, KEY, Inline(), reserve=0)
    before = (again.last_seq, again.head)
    await again.commit(went_on("a"))
    await again.commit(submitted("b"))
    await again.close()

    assert before == (1, head)
    assert whole(path).events == 3


def left_by_a_killed_process(path: Path, folder: Path) -> Path:
    """Copy a database with its log, as they lie there while somebody has it open."""
    folder.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(path.with_name(name), folder / name)
    return folder / path.name


async def test_what_a_killed_process_had_not_synced_is_made_durable_before_anybody_is_told(
    journal: Journal, path: Path, tmp_path: Path
) -> None:
    """SQLite takes the log for committed; without this a power cut could still take what was read from it."""
    await journal.commit(submitted("a"))
    left = left_by_a_killed_process(path, tmp_path / "killed")
    synced: list[str] = []

    again = Journal.open(left, KEY, Inline(), reserve=0, sync=lambda file: synced.append(file.name))
    await again.close()

    assert synced == [f"{path.name}-wal"]
    assert again.last_seq == 1


async def test_a_log_that_cannot_be_made_durable_is_not_gone_by(
    journal: Journal, path: Path, tmp_path: Path
) -> None:
    """The start is refused, with the file's name."""
    await journal.commit(submitted("a"))
    left = left_by_a_killed_process(path, tmp_path / "killed")

    def fails(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(StorageFailing, match=r"sagad\.db-wal"):
        Journal.open(left, KEY, Inline(), reserve=0, sync=fails)


class Counting(Inline):
    """Counts the groups."""

    groups = 0

    def run(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Count one."""
        self.groups += 1
        super().run(work, done)


async def test_commits_that_are_ready_share_a_transaction(path: Path) -> None:
    """Twenty commits, one group."""
    runner = Counting()
    journal = Journal.open(path, KEY, runner, reserve=0)
    numbers = await asyncio.gather(*(journal.commit(submitted(f"s{i}")) for i in range(20)))
    await journal.close()

    assert numbers == list(range(1, 21))
    assert runner.groups == 1


async def test_two_transitions_of_one_saga_are_written_in_the_order_of_their_coming(
    journal: Journal, queries: Queries
) -> None:
    """Never in one group, where the database could take either."""
    await journal.commit(submitted("a"))
    numbers = await asyncio.gather(
        *(journal.commit(Commit("a", [event("a")], checkpoint(state=b"%d" % i))) for i in range(50))
    )
    saga = queries.saga("a")

    assert numbers == list(range(2, 52))
    assert saga is not None
    assert saga.state == b"49"


async def test_of_two_checkpoints_that_are_ready_together_the_later_one_stays(
    journal: Journal, queries: Queries
) -> None:
    """Also where the two are written by different statements."""
    await journal.commit(submitted("a"))
    await asyncio.gather(
        journal.commit(Commit("a", [event("a")], checkpoint("pending", state=b"first"))),
        journal.commit(Commit("a", [event("a")], checkpoint("running", state=b"second"))),
    )
    saga = queries.saga("a")

    assert saga is not None
    assert (saga.status, saga.state) == ("running", b"second")


async def test_of_a_group_only_the_contradicting_commit_fails(journal: Journal, path: Path) -> None:
    """The others of the group are written, and the chain has no gap where the bad ones were."""
    for saga in ("a", "b", "c"):
        await journal.commit(submitted(saga))
    await journal.commit(began("a", "e1"))

    results = await asyncio.gather(
        journal.commit(began("b", "e2")),
        journal.commit(began("a", "e3")),  # the same saga, step, direction and generation as e1
        journal.commit(went_on("nobody")),
        journal.commit(submitted("b")),
        journal.commit(began("c", "e4")),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [int, JournalRefused, JournalRefused, JournalRefused, int]
    with closing(sqlite3.connect(path)) as db:
        assert [row[0] for row in db.execute("SELECT id FROM executions ORDER BY id")] == ["e1", "e2", "e4"]
    assert whole(path).events == 6


async def test_a_refused_commit_leaves_nothing_and_its_saga_can_go_on(
    journal: Journal, queries: Queries
) -> None:
    """Neither event nor checkpoint of it is there."""
    await journal.commit(submitted("a"))
    bad = ended("a", ExecutionChange("nobody", status="completed"))
    bad.checkpoint = checkpoint("completed", state=b"never")
    with pytest.raises(JournalRefused):
        await journal.commit(bad)
    await journal.commit(went_on("a"))
    saga = queries.saga("a")

    assert saga is not None
    assert (saga.status, saga.state, journal.last_seq) == ("running", b"state", 2)


async def test_a_key_is_taken_once(journal: Journal, queries: Queries) -> None:
    """Of two submissions with one key the first gets it; the second saga never was."""
    first, second = submitted("a"), submitted("b")
    first.key = IdempotencyKey("k1", b"one")
    second.key = IdempotencyKey("k1", b"two")
    results = await asyncio.gather(journal.commit(first), journal.commit(second), return_exceptions=True)

    assert results[0] == 1
    assert isinstance(results[1], JournalRefused)
    assert queries.idempotency_key("k1") == ("a", b"one")
    assert queries.saga("b") is None


async def test_a_commit_whose_waiter_is_cancelled_is_written_all_the_same(
    journal: Journal, queries: Queries
) -> None:
    """A decided transition is never half."""
    await journal.commit(submitted("a"))
    waiter = asyncio.create_task(journal.commit(went_on("a", "compensating")))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert await journal.commit(went_on("a", "compensating")) == 3
    saga = queries.saga("a")

    assert saga is not None
    assert saga.status == "compensating"


async def test_closing_writes_what_was_handed_in_and_takes_no_more(path: Path, runner: Runner) -> None:
    """Everybody is answered."""
    journal = Journal.open(path, KEY, runner, reserve=0)
    answers = [journal.commit_nowait(submitted(f"s{i}")) for i in range(100)]
    await journal.close()

    assert [answer.result() for answer in answers] == list(range(1, 101))
    with pytest.raises(JournalClosed):
        await journal.commit(submitted("late"))
    assert whole(path).events == 100


async def test_changes_of_one_execution_in_one_commit_are_taken_together(
    journal: Journal, queries: Queries
) -> None:
    """The later word counts, column by column."""
    await journal.commit(submitted("a"))
    both = began("a", "e1")
    both.changes = [
        ExecutionChange("e1", status="completed", attempts=2),
        ExecutionChange("e1", outputs=b'{"x":1}', attempts=3),
    ]
    await journal.commit(both)
    (execution,) = await queries.executions("a")

    assert (execution.status, execution.attempts, execution.outputs) == ("completed", 3, b'{"x":1}')


async def test_what_a_change_does_not_name_stays(journal: Journal, queries: Queries) -> None:
    """None leaves a column as it is."""
    await journal.commit(submitted("a"))
    await journal.commit(began("a", "e1"))
    await journal.commit(ended("a", ExecutionChange("e1", handle=b"h", outputs=b"{}")))
    await journal.commit(ended("a", ExecutionChange("e1", status="failed", error=b'{"code":"x"}')))
    (execution,) = await queries.executions("a")

    assert (execution.handle, execution.outputs, execution.status) == (b"h", b"{}", "failed")


async def test_events_of_no_saga_are_on_the_record(journal: Journal, queries: Queries) -> None:
    """The node has events of its own, in the same chain."""
    assert await journal.record([NewEvent(None, 1, "node.started", 1, b'{"version":"1"}')]) == 1
    document, last = await queries.events()

    assert last == 1
    assert b'"type":"node.started"' in document


async def test_a_subscriber_gets_durable_events_in_order(journal: Journal) -> None:
    """Of all sagas, or of one."""
    with journal.subscribe() as everything, journal.subscribe("b") as one:
        for commit in (submitted("a"), submitted("b"), went_on("a"), went_on("b", events=2)):
            await journal.commit(commit)
        of_all = [(await anext(everything)).seq for _ in range(5)]
        of_one = [(event.seq, event.saga) for event in [await anext(one) for _ in range(3)]]

    assert of_all == [1, 2, 3, 4, 5]
    assert of_one == [(2, "b"), (4, "b"), (5, "b")]


async def test_an_event_is_streamed_as_it_is_listed(journal: Journal, queries: Queries) -> None:
    """The two renderings are the same to the byte."""
    with journal.subscribe() as subscription:
        await journal.commit(submitted("a"))
        streamed = await anext(subscription)
    listed, _ = await queries.events("a")

    assert b"[%b]" % streamed.document == listed


async def test_a_slow_subscriber_gets_what_was_kept_and_is_told(journal: Journal) -> None:
    """And nobody else notices."""
    await journal.commit(submitted("a"))
    slow, quick = journal.subscribe("a", limit=3), journal.subscribe("a")
    await journal.commit(went_on("a", events=5))
    got = [(await anext(slow)).seq for _ in range(3)]
    with pytest.raises(SubscriberTooSlow):
        await anext(slow)

    assert got == [2, 3, 4]
    assert [(await anext(quick)).seq for _ in range(5)] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("patience", [5_000, 20])
async def test_a_lock_of_somebody_else_is_waited_for_and_the_loop_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    """A person's sqlite3 in a transaction: nothing is lost, and other work goes on, however long it takes."""
    monkeypatch.setattr(writer, "PATIENCE", patience)
    monkeypatch.setattr(journal_module, "RETRY", 0.02)
    journal = Journal.open(path, KEY, Thread(), reserve=0)
    await journal.commit(submitted("a"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(journal.commit(went_on("a")))
        start = time.perf_counter()
        await asyncio.sleep(0.1)
        slept, refused = time.perf_counter() - start, journal.full
        assert not waiting.done()
        other.execute("ROLLBACK")
    async with asyncio.timeout(5):
        number = await waiting
        await journal.close()

    assert (number, whole(path).seq) == (2, 2)
    assert slept < 2
    assert refused == (patience < 100)


async def test_closing_ends_subscriptions(path: Path) -> None:
    """A stream ends with the daemon."""
    journal = Journal.open(path, KEY, Thread(), reserve=0)
    subscription = journal.subscribe()
    await journal.close()

    assert [event async for event in subscription] == []


@pytest.mark.parametrize("value", [b'{"a":"\\u0000 \xc3\xa4 \\\\ \\""}', b"null", b"[]"])
async def test_documents_are_valid_json_and_keep_their_data(
    journal: Journal, queries: Queries, value: bytes
) -> None:
    """An event that is read back is the one that was written."""
    await journal.commit(submitted("a"))
    await journal.commit(Commit("a", [event("a", data=value)], checkpoint()))
    events = await queries.history("a")

    assert events[-1].data == value
    assert events[-1].at == event("a").at
