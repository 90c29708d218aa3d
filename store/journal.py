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
from pathlib import Path
from typing import Literal, NamedTuple, Self

from store import database
from store.errors import JournalClosed, StorageFailing
from store.records import Commit, NewEvent, Note
from store.reserve import Reserve
from store.runner import Runner
from store.subscriptions import Subscription, Subscriptions
from store.writer import Writer, Written

GROUP = 512
"""The most commits in one transaction. Above about a hundred a larger group is not cheaper by the commit, only later."""

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
        self._scheduled: asyncio.Handle | None = None
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._subscriptions = Subscriptions()

    @classmethod
    def open(
        cls, path: Path, node_key: bytes, runner: Runner, *, reserve: int = 16 << 20, options: str = ""
    ) -> Self:
        """Open the database, made anew where there is none, after checking it.

        Raises a StoreError that says what is wrong and what to do. `reserve` bytes are kept beside the database for
        the day when the disk is full; `options` go into SQLite's URI.
        """
        node, head = database.prepare(path, node_key, options)
        writer = Writer(lambda: database.connect(path, options), node, node_key, head)
        journal = cls(writer, node, runner, Reserve(path.with_name("reserve"), reserve))
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
        if self._scheduled is None and not self._group:
            self._idle.clear()
            # At the end of this turn of the loop: what else is ready by then comes along.
            self._scheduled = self._loop.call_soon(self._begin)
        return answer

    def subscribe(self, saga: str | None = None, *, limit: int = 1_000) -> Subscription:
        """Give the events that become durable from now on, of one saga or of all, in order.

        A reader more than `limit` events behind is dropped and told. What was before comes from `Queries.events`:
        subscribe first, then read, then leave out what came twice.
        """
        return self._subscriptions.add(saga, limit)

    def try_again(self) -> None:
        """Look at once whether there is room now, instead of within a second."""
        if self.full and not self._group:
            self._again()

    async def close(self) -> None:
        """Write what was handed in, then close. What finds no room is given up: its waiters get JournalClosed."""
        self._closed = True
        while not self._idle.is_set() and not (self.full and not self._group):
            await self._wait_for_a_group()
        if self._scheduled:
            self._scheduled.cancel()
        for waiting in self._waiting:
            if not waiting.answer.done():
                waiting.answer.set_exception(JournalClosed())
        self._waiting.clear()
        self._subscriptions.close()
        self._runner.close()
        self._writer.close()

    # -- one group ---------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Take what is waiting, one commit a saga, and have it written."""
        self._scheduled = None
        waiting, group, sagas = self._waiting, self._group, set[str]()
        while waiting and len(group) < GROUP:
            commit = waiting[0].commit
            if isinstance(commit, Commit):
                if commit.saga in sagas:
                    break
                sagas.add(commit.saga)
            group.append(waiting.popleft())
        if group:
            self._runner.run(self._write, self._written)
        else:
            self._idle.set()

    def _write(self) -> None:
        """Write the group: the only part that runs where the runner says."""
        try:
            self._outcome = self._writer.write([waiting.commit for waiting in self._group])
        except BaseException as error:  # noqa: BLE001 # it is told to those who wait
            self._outcome = error

    def _written(self) -> None:
        """Answer those who wait, and go on."""
        group, outcome = self._group, self._outcome
        self._group = []
        if isinstance(outcome, StorageFailing):
            self._wait_for_room(group, outcome)
            return
        if isinstance(outcome, Written):
            self._head = outcome.head
        # The next group first: it is written while the answers are worked on.
        self._begin()
        if isinstance(outcome, Written):
            self._subscriptions.publish(outcome.events)
            for waiting, result in zip(group, outcome.results, strict=True):
                _answer(waiting.answer, result)
        else:
            assert outcome is not None
            for waiting in group:
                _answer(waiting.answer, outcome)
        if self.full:
            self._later()

    async def _wait_for_a_group(self) -> None:
        await self._idle.wait()

    # -- no room -----------------------------------------------------------------------------------------------

    def _wait_for_room(self, group: list[_Waiting], failure: StorageFailing) -> None:
        self._waiting.extendleft(reversed(group))
        self.storage = Storage("full", failure.detail)
        if self._reserve.release():
            self._begin()
        else:
            self._later()

    def _later(self) -> None:
        if self._scheduled is None:
            self._scheduled = self._loop.call_later(RETRY, self._again)

    def _again(self) -> None:
        if self._scheduled:
            self._scheduled.cancel()
            self._scheduled = None
        self._look_for_room()
        if self._waiting:
            self._begin()
        elif self.full:
            self._later()

    def _look_for_room(self) -> None:
        problem = self._reserve.make()
        self.storage = Storage("full", problem) if problem else Storage()


def _answer(answer: asyncio.Future[int], result: int | BaseException) -> None:
    if answer.done():
        return  # its waiter was cancelled
    if isinstance(result, BaseException):
        answer.set_exception(result)
    else:
        answer.set_result(result)
