"""The driver of a batch's steps: it lets a saga start and awaits its end; taken back, it has a saga of its own do that.

It keeps nothing between calls: after a crash the call is simply made again, and finds the saga as it is by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import anyio
import msgspec

from actors.directory import Directory
from actors.rolling_back import CannotRollBack, Request, RollingBack
from actors.saga import keys
from actors.saga import messages as m
from actors.saga.dossier import Dossier
from actors.saga.plan import Plan
from actors.saga.state import ENDED, State
from providers.contract import Call, Driver, Failed, Outcome, Partial, Succeeded, Verb, Working

OPERATION = "saga.run"

DRAINING = 1.0
"""Seconds between two looks whether the daemon drains."""


class Arguments(msgspec.Struct, frozen=True):
    """Which saga, of which batch."""

    batch: str
    saga: str


class Members(Driver):
    """One saga of a batch."""

    type: ClassVar[str] = "saga"
    version: ClassVar[str] = "1.0"
    summary: ClassVar[str] = "a saga of a batch"
    verbs = {  # noqa: RUF012  the contract's way of declaring
        "run": Verb(
            arguments=Arguments,
            outputs={"saga": str, "status": str},
            inverse="same",
            repeat="idempotent",
            may_end=frozenset({"partial"}),
            summary="let it start, and await its end",
        )
    }

    def __init__(self, directory: Directory, rolling_back: RollingBack) -> None:
        """Tell sagas through this directory, take them back by this."""
        self._directory = directory
        self._rolling_back = rolling_back

    async def apply(self, call: Call) -> Outcome:
        """Let the saga run; or take it back."""
        arguments: Arguments = call.arguments
        if call.restore is not None:
            return await self._take_back(arguments, keys.execution_id(f"{call.key}-taker"))
        self._directory.tell(arguments.saga, m.Admit())
        state = await self._ended(arguments.saga, arguments.batch)
        return self._working(arguments) if state is None else _outcome(arguments.saga, state)

    async def poll(self, call: Call) -> Outcome:
        """Go on after the restart that a drain was for."""
        return await self.apply(call)

    def _working(self, arguments: Arguments) -> Working:
        """The daemon drains: it goes on after the restart, at once. A handle of its own each time, so that nobody waits."""
        now = self._directory.host.clock.now()
        handle = {"saga": arguments.saga, "drained": now}
        return Working(handle, until=now, detail=f"saga {arguments.saga} goes on")

    # -- running ---------------------------------------------------------------------------------------------------

    async def _ended(self, saga: str, batch: str) -> State | None:
        """Await the end of a saga, and have it turn back when its batch does; None where the daemon drains."""
        told = False
        with self._watching(saga, batch) as watch:
            while watch.states[saga].status not in ENDED:
                if self._directory.host.draining:
                    return None
                if (
                    not told
                    and (said := _turning(watch.plans.get(batch), watch.states.get(batch))) is not None
                ):
                    told = True
                    now = said.cancel is not None and said.cancel.now
                    self._directory.tell(
                        saga, m.Cancel(by="sagad", reason=f"batch {batch} turns back", now=now)
                    )
                with anyio.move_on_after(DRAINING):
                    await watch.changed.wait()
                watch.changed = anyio.Event()
            return watch.states[saga]

    @contextmanager
    def _watching(self, *sagas: str) -> Iterator[_Watch]:
        watch = _Watch()
        stops = [self._directory.watch(saga, watch) for saga in sagas]
        try:
            for saga in sagas:
                watch.see(saga, *self._directory.durable(saga))
            yield watch
        finally:
            for stop in stops:
                stop()

    # -- taking back -----------------------------------------------------------------------------------------------

    async def _take_back(self, arguments: Arguments, taker_id: str) -> Outcome:
        saga, batch = arguments.saga, arguments.batch
        if not await self._left_alone(saga):
            return self._working(arguments)
        _, state = self._directory.durable(saga)
        if state.status == "rolled_back":
            return Succeeded({"saga": saga, "status": state.status})
        if state.status != "completed":
            return _failed(
                "failed", f"saga {saga} has failed: `sagactl show {saga}` says what it has left behind"
            )
        try:
            taker = await self._taker(saga, batch, taker_id)
        except CannotRollBack as why:
            return _failed("irreversible", str(why))
        if taker is None:
            return Succeeded({"saga": saga, "status": "rolled_back"})
        ended = await self._ended(taker, taker)
        if ended is None:
            return self._working(arguments)
        if ended.status == "completed":
            return Succeeded({"saga": taker, "status": "rolled_back"})
        return _failed(
            "not_taken_back", f"saga {taker}, which was to take back saga {saga}, has ended {ended.status}"
        )

    async def _left_alone(self, saga: str) -> bool:
        """Return once nobody is bringing back what was taken back of it, which then is there again; False: the daemon drains."""
        queries = self._directory.host.queries
        while (live := queries.live_rollback(saga)) is not None:
            row = queries.saga(live)
            if row is None or row.rollback_of == saga:
                break
            if await self._ended(live, live) is None:
                return False
        return True

    async def _taker(self, saga: str, batch: str, id: str) -> str | None:
        """Give the saga that takes one back: the one that is at it, or a new one; None where nothing is left of it.

        Its id follows from the attempt's key: what an attempt that was lost has begun is found again, ended or not.
        """
        if self._directory.host.queries.saga(id) is not None:
            return id
        live = self._directory.host.queries.live_rollback(saga)
        if live is not None:
            return live
        reason = f"batch {batch} is taken back"
        begun = await self._rolling_back.start(
            Request(saga=saga, by="sagad", reason=reason, batch=batch, id=id)
        )
        return None if begun.saga is None else begun.saga[0].header.id


class _Watch:
    """What is durable of some sagas, brought up to date after each of their turns."""

    def __init__(self) -> None:
        self.changed = anyio.Event()
        self.states: dict[str, State] = {}
        self.plans: dict[str, Plan] = {}

    def __call__(self, dossier: Dossier, state: State) -> None:
        self.see(dossier.header.id, dossier.plan, state)
        self.changed.set()

    def see(self, saga: str, plan: Plan, state: State) -> None:
        self.plans[saga], self.states[saga] = plan, state


def _turning(plan: Plan | None, state: State | None) -> State | None:
    """Give the state of a batch that takes its sagas back; None where it does not, or where this is none."""
    if plan is None or state is None or plan.batch is None:
        return None
    failed = state.seen.failing and plan.batch.mode == "all_or_nothing" and plan.on_failure == "compensate"
    return state if failed or state.turn is not None or state.status == "compensating" else None


def _failed(code: str, message: str) -> Failed:
    """What has become of a saga is on record: no attempt that was lost has done more."""
    return Failed(code, message, certain=True)


def _outcome(saga: str, state: State) -> Outcome:
    """A saga that failed has left something behind, which is not for its batch to take back, but to tell."""
    outputs = {"saga": saga, "status": state.status}
    if state.status == "completed":
        return Succeeded(outputs)
    why = f": {state.error.message}" if state.error is not None else ""
    if state.status == "rolled_back":
        return _failed("rolled_back", f"saga {saga} was rolled back{why}")
    return Partial("failed", f"saga {saga} has failed{why}", outputs)
