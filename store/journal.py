"""The journal: the only way anything gets onto the disk.

All commits that are ready go into one transaction at `synchronous=FULL`; while that is being written the next ones
gather. There is no delay to fill a group: a lone commit is written at once, and under load the groups grow by
themselves (group commit, as in every database's log since IMS/Fast Path).

A transition that was handed in is decided: it is written even where nobody waits for it any more, and where there is
no room, or the disk fails, it waits and is tried again. Nothing is lost but by the end of the process, and then nobody
was told that it had happened.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

from store import database, watermark
from store.errors import JournalClosed, StorageFailing
from store.node import sync_file
from store.records import Commit, NewEvent, Note
from store.reserve import Reserve
from store.rows import Head
from store.runner import Runner
from store.subscriptions import Subscription, Subscriptions
from store.watermark import Watermark
from store.writer import Locked, Writer, Written, on_disk

GROUP = 512
"""The most commits in one transaction. Above about a hundred a larger group is not cheaper by the commit, only later."""

EARLY = 32
"""With so many ready a group begins before the loop's turn has ended, so that the disk has something to do."""

RETRY = 1.0
"""Seconds between two tries while there is no room."""


class Storage(NamedTuple):
    """Whether there is room to write."""

    state: Literal["ok", "full"] = "ok"
    why: str = ""


class _Waiting(NamedTuple):
    commit: Commit | Note
    answer: asyncio.Future[int]


class Journal:
    """The only writer. It lives on the event loop; one journal a database."""

    def __init__(self, writer: Writer, node: str, runner: Runner, reserve: Reserve) -> None:
        self.node = node
        self.storage = Storage()
        self._writer = writer
        self._head = writer.head
        self._runner = runner
        self._reserve = reserve
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._group: list[_Waiting] = []
        self._outcome: Written | BaseException | None = None
        self._turn: asyncio.Handle | None = None
        self._retry: asyncio.Handle | None = None
        self._blocked = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._subscriptions = Subscriptions()

    @classmethod
    def open(
        cls,
        path: Path,
        node_key: bytes,
        runner: Runner,
        *,
        reserve: int = 16 << 20,
        options: str = "",
        sync: Callable[[Path], None] = sync_file,
    ) -> Self:
        """Open the database, made anew where there is none, after checking it.

        Raises a StoreError that says what is wrong and what to do. `reserve` bytes are kept beside the database for
        the day when the disk is full; `options` go into SQLite's URI, and `sync` makes a file durable. With no room
        to open it, the reserve is given up.
        """
        kept = Reserve(path.with_name("reserve"), reserve)
        _settle(path, sync)
        try:
            node, head = _prepared(path, node_key, options)
        except StorageFailing:
            if not kept.release():
                raise
            node, head = _prepared(path, node_key, options)
        # A simulated disk has no file beside its database.
        mark = None if options else Watermark(path.with_name(watermark.NAME))
        writer = Writer(lambda: database.connect(path, options, patience=0), node, node_key, head, mark)
        journal = cls(writer, node, runner, kept)
        journal._look_for_room()
        return journal

    @property
    def last_seq(self) -> int:
        """The number of the last durable event."""
        return self._head.seq

    @property
    def head(self) -> str:
        """The last durable event's hash, in hex: noted down elsewhere, it proves the record up to here."""
        return self._head.hash.hex()

    @property
    def full(self) -> bool:
        """Whether new work must be refused: there is no room, or none but what is kept for steering."""
        return self.storage.state == "full"

    async def commit(self, commit: Commit) -> int:
        """Write one transition; it is durable when this returns, with the number of its last event.

        Raises JournalRefused where it contradicts the record (nothing of it is written then) and JournalClosed. Waits
        for as long as there is no room. Once called, it is written even if the caller is cancelled.
        """
        return await self.commit_nowait(commit)

    async def record(self, events: list[NewEvent]) -> int:
        """Write events that belong to no transition; the same promises as `commit`."""
        return await self.commit_nowait(Note(events))

    def commit_nowait(self, commit: Commit | Note) -> asyncio.Future[int]:
        """Hand in a transition and give the future that tells when it is durable."""
        if self._closed:
            raise JournalClosed
        answer = self._loop.create_future()
        self._waiting.append(_Waiting(commit, answer))
        if not self._group and not self._blocked:
            if len(self._waiting) >= EARLY:
                self._begin()
            elif self._turn is None:
                self._idle.clear()
                # At the end of this turn of the loop: what else is ready by then comes along.
                self._turn = self._loop.call_soon(self._begin)
        return answer

    def subscribe(self, saga: str | None = None, *, limit: int = 1_000) -> Subscription:
        """Give the events that become durable from now on, of one saga or of all, in order.

        A reader more than `limit` events behind is dropped and told. What was before comes from `Queries.events`:
        subscribe first, then read, then leave out what came twice.
        """
        return self._subscriptions.add(saga, limit)

    def try_again(self) -> None:
        """Look at once whether there is room now, instead of within a second."""
        if self.full:
            self._again()

    async def close(self) -> None:
        """Write what was handed in, then close. What finds no room is given up: its waiters get JournalClosed."""
        self._closed = True
        while not self._idle.is_set():
            await self._idle.wait()
        for handle in (self._turn, self._retry):
            if handle:
                handle.cancel()
        for waiting in self._waiting:
            _answer(waiting.answer, JournalClosed())
        self._waiting.clear()
        self._subscriptions.close()
        self._runner.close()
        self._writer.close()

    # -- one group ---------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Take what is waiting, one commit a saga, and have it written."""
        if self._turn:
            self._turn.cancel()
            self._turn = None
        self._blocked = False
        waiting, group, sagas = self._waiting, self._group, set[str]()
        while waiting and len(group) < GROUP:
            commit = waiting[0].commit
            if isinstance(commit, Commit):
                if commit.saga in sagas:
                    break
                sagas.add(commit.saga)
            group.append(waiting.popleft())
        if group:
            self._idle.clear()
            self._stage()
            self._runner.run(self._write, self._written)
        else:
            self._idle.set()

    def _stage(self, *, patient: bool = False) -> None:
        """Put the group into a transaction. Here on the loop that waits for nobody, so a lock is left to `_write`."""
        try:
            self._writer.stage([waiting.commit for waiting in self._group], patient=patient)
        except BaseException as error:  # noqa: BLE001 # it is told to those who wait
            self._outcome = error

    def _write(self) -> None:
        """Wait for the disk, and for whoever has the lock: what runs where the runner says."""
        if isinstance(self._outcome, Locked):
            self._outcome = None
            self._stage(patient=True)
        if self._outcome is None:
            try:
                self._outcome = self._writer.commit()
            except BaseException as error:  # noqa: BLE001 # it is told to those who wait
                self._outcome = error

    def _written(self) -> None:
        """Answer those who wait, and go on."""
        group, outcome = self._group, self._outcome
        self._group, self._outcome = [], None
        assert outcome is not None
        if isinstance(outcome, StorageFailing):
            self._no_room(group, outcome)
            return
        if isinstance(outcome, Written):
            self._head = outcome.head
        # The next group first: it is written while the answers are worked on.
        self._begin()
        results: Sequence[int | BaseException]
        if isinstance(outcome, Written):
            self._subscriptions.publish(outcome.events)
            results = outcome.results
        else:
            results = [outcome] * len(group)
        for waiting, result in zip(group, results, strict=True):
            _answer(waiting.answer, result)

    # -- no room -----------------------------------------------------------------------------------------------

    def _no_room(self, group: list[_Waiting], failure: StorageFailing) -> None:
        """Put the group back, before all others, and try again: at once with the reserve's room, else later."""
        self._waiting.extendleft(reversed(group))
        self.storage = Storage("full", failure.detail)
        if self._reserve.release():
            self._begin()
        else:
            self._blocked = True
            self._idle.set()
        self._later()

    def _later(self) -> None:
        if self._retry is None and not self._closed:
            self._retry = self._loop.call_later(RETRY, self._again)

    def _again(self) -> None:
        if self._retry:
            self._retry.cancel()
            self._retry = None
        if self._group:
            pass  # it will tell
        elif self._waiting:
            self._begin()
        else:
            # What was written went through, so this is about the reserve only.
            self._look_for_room()
        if self.full:
            self._later()

    def _look_for_room(self) -> None:
        problem = self._reserve.make()
        self.storage = Storage("full", problem) if problem else Storage()
        if problem:
            self._later()


def _settle(path: Path, sync: Callable[[Path], None]) -> None:
    """Make durable what a process that died had written to the log and not synced.

    SQLite takes it for committed; somebody could be told of it, and a power cut still take it.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        if log.exists():
            sync(log)
    except OSError as error:
        raise StorageFailing(log, str(error)) from error


def _prepared(path: Path, node_key: bytes, options: str) -> tuple[str, Head]:
    """Check the database. After a crash SQLite needs some room for that; where there is none, it is the disk's fault."""
    with on_disk(path):
        return database.prepare(path, node_key, options)


def _answer(answer: asyncio.Future[int], result: int | BaseException) -> None:
    if answer.done():
        return  # its waiter was cancelled
    if isinstance(result, BaseException):
        answer.set_exception(result)
    else:
        answer.set_result(result)
