"""Finds sagas and wakes them: who is in memory, who is to be, and how a message reaches either.

A saga is in memory only while something of it is going on or due soon. Everybody sends through the directory; a
message to a saga that is not in memory starts its actor. At most ``in_flight`` sagas are in memory to do work (an
operator's word always gets in); the others wait in the database, first come first served.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.abc
import msgspec

from actors.crew import Crew
from actors.replay import DAMAGED, fold
from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.actor import Birth, Letter, Mailbox, SagaActor
from actors.saga.dossier import Dossier, Header, Past
from actors.saga.evolve import NO_STATE
from actors.saga.host import Host
from actors.saga.ledger import checkpoint_alone, event_row
from actors.saga.machine import decide, submit
from actors.saga.plan import Plan, PlanStep
from actors.saga.state import ENDED, MACHINE, Held, Move, State, StepState
from actors.supervisor import Hopeless, Supervisor, reason
from store.queries import Live
from store.records import Checkpoint, Commit, IdempotencyKey, NewEvent, NewSaga, Saga, state_sum

_STATE = msgspec.msgpack.Decoder(State)
_PLAN = msgspec.json.Decoder(Plan)

CALM = 0.02
"""Seconds between two looks whether everything has ended."""

PLANS = 256
"""Plans kept decoded."""


class NoSuchSaga(LookupError):
    """There is no saga with this id."""


class Unreadable(Hopeless):
    """A saga's record cannot be folded into a state: neither its checkpoint nor its events."""


class Newborn(msgspec.Struct):
    """A saga that is to be accepted along with others."""

    saga: str
    plan: Plan
    new: NewSaga
    encoded_plan: bytes
    submitted: e.Submitted
    key: IdempotencyKey | None = None


Answer = Callable[[m.Reply | BaseException | None], None]
Watcher = Callable[[Dossier, State], None]


class Directory:
    """The sagas' address book."""

    def __init__(self, host: Host, supervisor: Supervisor, in_flight: int) -> None:
        """Start no actor yet; ``run`` does."""
        self.host = host
        host.locks.tell = self.tell
        self.supervisor = supervisor
        self.in_flight = in_flight
        self.live: dict[str, Mailbox] = {}
        self.room = anyio.Event()
        """Set when a saga has left memory that another wants to come into."""
        self.crowded = False
        """Some saga has to wait for room."""
        self._actors: dict[str, SagaActor] = {}
        self._waiting: set[str] = set()
        """Those in memory that only wait for other sagas: batches, and what takes one back."""
        self._watchers: dict[str, list[Watcher]] = {}
        self._plans: dict[bytes, Plan] = {}
        self._crew = Crew(self._crashed)
        self._crash: asyncio.Future[None] | None = None
        self._ending = False
        """No actor is started any more. What one that was cancelled had handed in may not be on the disk yet, and another
        one would begin from what was before."""

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Be there for actors to live in, until cancelled."""
        self._crash = asyncio.get_running_loop().create_future()
        task_status.started()
        try:
            await self._crash
        finally:
            self._ending = True
            self._crew.cancel()
            with anyio.CancelScope(shield=True):
                await self._crew.wait_ended()

    def _crashed(self, error: BaseException) -> None:
        """What not even a supervisor can mend ends the daemon."""
        if self._crash is not None and not self._crash.done():
            self._crash.set_exception(error)

    # -- in --------------------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """As many sagas are in flight as may be. Those that wait for others do not count: they would keep those out."""
        return len(self.live) - len(self._waiting) >= self.in_flight

    async def wait_calm(self) -> None:
        """Return when no driver call, or the like, is going on any more. For a daemon that drains."""
        while any(actor.busy for actor in self._actors.values()):  # noqa: ASYNC110  not worth an event in every actor
            await anyio.sleep(CALM)

    def tell(self, saga: str, message: m.Message, answer: Answer | None = None) -> None:
        """Deliver a message, waking the saga if need be. ``answer`` is called once what it brought about is durable."""
        mailbox = self.live.get(saga)
        if mailbox is None:
            mailbox = self._begin(saga, None)
        mailbox.put(Letter(message, answer))
        if self._ending and saga not in self.live:
            self._turn_away(mailbox, saga)

    def wake(self, saga: str) -> None:
        """Start a saga's actor, unless it is in memory already. One that does not exist is no harm."""
        if saga not in self.live:
            self._begin(saga, None)

    async def submit(
        self,
        saga: str,
        plan: Plan,
        new: NewSaga,
        encoded_plan: bytes,
        submitted: e.Submitted,
        key: IdempotencyKey | None,
    ) -> tuple[Dossier, State]:
        """Accept a saga: durable when this returns. It starts at once where there is room. Raises JournalRefused."""
        dossier = Dossier(_header(saga, new), plan, await self._past_of(new))
        self._remember(new.plan, plan)
        decision = submit(plan, submitted, new.created_at)
        birth = Birth(new, (new.plan, encoded_plan), decision.events, new.created_at, key)
        if self.full or self.host.draining:
            self.crowded = True
            await self._commit_birth(saga, plan, decision.state, birth)
            return dossier, decision.state
        actor = SagaActor(self.host, dossier, decision.state, Mailbox(), self._report, birth)
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(reply: m.Reply | BaseException | None) -> None:
            if accepted.done():
                return
            if isinstance(reply, BaseException):
                accepted.set_exception(reply)
            else:
                accepted.set_result(None)

        actor.mailbox.put(Letter(m.Tick(), answered))
        self._begin(saga, actor)
        await accepted
        return dossier, actor.state

    async def submit_together(self, newborn: list[Newborn]) -> None:
        """Accept a batch, which comes first here, and its sagas; all is durable when this returns, and the batch begins.

        It is written last, so that after a crash between two groups there is none: its sagas are told so (``restore_locks``).
        """
        commits = []
        for each in (*newborn[1:], newborn[0]):
            self._remember(each.new.plan, each.plan)
            decision = submit(each.plan, each.submitted, each.new.created_at)
            plan = (each.new.plan, each.encoded_plan)
            birth = Birth(each.new, plan, decision.events, each.new.created_at, each.key)
            commits.append(_birth_commit(each.saga, each.plan, decision.state, birth))
        await asyncio.gather(*map(self.host.journal.commit_nowait, commits))
        self.wake(newborn[0].saga)

    async def _commit_birth(self, saga: str, plan: Plan, state: State, birth: Birth) -> None:
        await self.host.journal.commit(_birth_commit(saga, plan, state, birth))

    # -- watching --------------------------------------------------------------------------------------------------

    def watch(self, saga: str, watcher: Watcher) -> Callable[[], None]:
        """Have ``watcher`` called after each turn of the saga; call what this gives to stop."""
        watchers = self._watchers.setdefault(saga, [])
        watchers.append(watcher)

        def stop() -> None:
            if watcher in watchers:
                watchers.remove(watcher)
            if not watchers and self._watchers.get(saga) is watchers:
                del self._watchers[saga]

        return stop

    def _report(self, actor: SagaActor) -> None:
        self.host.locks.follow(actor.id, actor.dossier.header.batch, actor.state)
        if actor.plan.batch is not None and actor.state.status in ENDED:
            self._batch_ended(actor.plan)
        for watcher in list(self._watchers.get(actor.id, ())):
            watcher(actor.dossier, actor.state)

    def _batch_ended(self, plan: Plan) -> None:
        """Tell its sagas, those that have kept something for it or never had their turn."""
        for saga in plan.members:
            if self._untold(saga):
                self.tell(saga, m.BatchEnded())

    async def wait_told(self, batch: str) -> None:
        """Return when the sagas of a batch that is over have heard of it: at once, or so after its last commit."""
        plan, state = self.durable(batch)
        while state.status in ENDED and any(map(self._untold, plan.members)):  # noqa: ASYNC110  it is over in a moment
            await anyio.sleep(CALM)

    def _untold(self, saga: str) -> bool:
        """Tell whether a saga still is for its batch to let go of; one that has ended and has nothing is not."""
        row = self.host.queries.saga(saga)
        state = None if row is None else self.state(row)
        if state is None:
            return False
        keeps = state.keeps_locks and (bool(state.locks) or state.status not in ENDED)
        return state.queued or keeps

    def durable(self, saga: str) -> tuple[Plan, State]:
        """Give a saga's plan and state as they are on disk. Raises NoSuchSaga."""
        actor = self._actors.get(saga)
        if actor is not None:
            return actor.plan, actor.state
        row = self.host.queries.saga(saga)
        if row is None:
            raise NoSuchSaga(saga)
        return self.plan(row.plan), self.state(row)

    def actor(self, saga: str) -> SagaActor | None:
        """Give a saga's actor, if it is in memory right now."""
        return self._actors.get(saga)

    def stalled(self, now: int) -> list[tuple[str, int, str]]:
        """Give the sagas that are in memory and do not come on: since when, and at what."""
        found = [(saga, actor.stalled(now)) for saga, actor in self._actors.items()]
        return [(saga, *stalled) for saga, stalled in found if stalled is not None]

    # -- living ----------------------------------------------------------------------------------------------------

    def _begin(self, saga: str, actor: SagaActor | None) -> Mailbox:
        mailbox = actor.mailbox if actor is not None else Mailbox()
        if self._ending:
            self._turn_away(mailbox, saga)
            return mailbox
        self.live[saga] = mailbox
        self._crew.start(self._live(saga, mailbox, actor))
        return mailbox

    async def _live(self, saga: str, mailbox: Mailbox, actor: SagaActor | None) -> None:
        first = [actor]
        try:
            await self.supervisor.watch_over(
                saga,
                lambda: self._once(saga, mailbox, first.pop() if first else None),
                lambda why: self._give_up(saga, why),
            )
        finally:
            self.live.pop(saga, None)
            self._actors.pop(saga, None)
            self._waiting.discard(saga)
            self._turn_away(mailbox, saga)
            self.host.locks.left(saga)
            if self.crowded:
                self.room.set()

    async def _once(self, saga: str, mailbox: Mailbox, actor: SagaActor | None) -> None:
        while True:
            if actor is None:
                try:
                    actor = await self.load(saga, mailbox)
                except NoSuchSaga as nothing:
                    _answer_all(mailbox, nothing)
                    return
            self._actors[saga] = actor
            if actor.plan.steps[0].type == "saga":
                self._waiting.add(saga)
            await actor.run()
            if not mailbox.letters:
                return  # nothing may be awaited from here on until the saga is out of ``live``
            actor = None

    def _turn_away(self, mailbox: Mailbox, saga: str) -> None:
        """Letters that nobody will read: the daemon stops, or the saga was quarantined over one."""
        _answer_all(mailbox, RuntimeError(f"saga {saga} cannot be reached now"))

    async def load(self, saga: str, mailbox: Mailbox) -> SagaActor:
        """Bring a saga back from disk. Raises NoSuchSaga, Unreadable."""
        row = self.host.queries.saga(saga)
        if row is None:
            raise NoSuchSaga(saga)
        plan = self.plan(row.plan)
        state, why = checkpointed(row)
        if state is None:
            state = await self._fold(saga, why)
            mailbox.letters.appendleft(Letter(m.Rebuild(why=why)))
        dossier = Dossier(self.header(row), plan, await self._past_of(row))
        dossier.recall(state)
        if any(step.number for step in state.steps):
            dossier.load(await self.host.queries.executions(saga))
        return SagaActor(self.host, dossier, state, mailbox, self._report)

    async def past(self, saga: str) -> Past:
        """Give a saga that has ended, to be taken back or corrected. Raises NoSuchSaga, Unreadable."""
        row = self.host.queries.saga(saga)
        if row is None:
            raise NoSuchSaga(saga)
        state, why = checkpointed(row)
        dossier = Dossier(self.header(row), self.plan(row.plan))
        dossier.load(await self.host.queries.executions(saga))
        state = state or await self._fold(saga, why)
        return Past(dossier, state, (*state.moves, *await self._moved_since(saga)))

    async def _moved_since(self, saga: str) -> list[Move]:
        """Give what other ids resources have by the sagas that have taken this one back so far, if in part."""
        found: list[Move] = []
        for rollback in self.host.queries.rollbacks(saga):
            row = self.host.queries.saga(rollback)
            state, why = (None, "") if row is None else checkpointed(row)
            found += (state or await self._fold(rollback, why)).moves
        return found

    async def _past_of(self, row: NewSaga | Saga) -> Past | None:
        """Give the saga that this one takes back or corrects; None where it is neither, or the record of it is gone."""
        original = row.rollback_of or row.corrects
        if original is None:
            return None
        try:
            return await self.past(original)
        except NoSuchSaga:
            return None

    async def restore_locks(self) -> None:
        """Give back to the sagas the locks that they have and wait for, by their record. Before anything else moves."""
        states: list[tuple[str, str | None, State]] = []
        untold: list[str] = []
        after = 0
        while page := await self.host.queries.live(after):
            for row in page:
                state = await self._restored(row)
                if state is None:
                    continue
                if state.locks or state.seen.locked:
                    states.append((row.id, row.batch, state))
                if (state.queued or state.keeps_locks) and self._is_over(row.batch):
                    untold.append(row.id)
            after = page[-1].number
        self.host.locks.restore(states)
        for saga in untold:
            self.tell(saga, m.BatchEnded())

    async def _restored(self, row: Live) -> State | None:
        """Give a saga's state; one whose record cannot be read is held, and the others do not notice."""
        state, why = checkpointed(row)
        try:
            return state or await self._fold(row.id, why)
        except Unreadable as damaged:
            await self._give_up(row.id, f"{reason(damaged)}; its locks are not known")
            return None

    def _is_over(self, batch: str | None) -> bool:
        row = None if batch is None else self.host.queries.saga(batch)
        return row is None or row.status in ENDED

    async def _fold(self, saga: str, why: str) -> State:
        """Fold a saga's state anew from its events: they are the truth, a checkpoint only a cache."""
        state, after = NO_STATE, 0
        try:
            while events := await self.host.queries.history(saga, after):
                state = fold(events, state)
                after = events[-1].seq
        except Exception as error:
            msg = f"{why}, and its events cannot be folded: {type(error).__name__}: {error}"
            raise Unreadable(msg) from error
        if state is NO_STATE:
            raise Unreadable(f"{why}, and it has no events")
        return state

    def state(self, row: Saga) -> State:
        """Give a row's state as its checkpoint has it, to look at; one that cannot be read looks quarantined."""
        state, why = checkpointed(row)
        if state is not None:
            return state
        plan = self.plan(row.plan)
        steps = tuple(StepState() for _ in plan.steps)
        held = Held(reason="quarantined", since=row.updated_at, detail=why)
        return State(
            created_at=row.created_at, steps=steps, quarantine=why, hold=held, updated_at=row.updated_at
        )

    def header(self, row: Saga) -> Header:
        """Give the part of a row that is not the checkpoint."""
        return _header(row.id, row, row.rolled_back_by, row.corrected_by)

    def plan(self, digest: bytes) -> Plan:
        """Give a plan by its digest. Raises Unreadable."""
        known = self._plans.get(digest)
        if known is None:
            body = self.host.queries.plan(digest)
            if body is None:
                raise Unreadable(f"its plan {digest.hex()[:12]} is not in the database")
            if hashlib.sha256(body).digest() != digest:
                raise Unreadable(f"its plan {digest.hex()[:12]} is damaged")
            known = _PLAN.decode(body)
            self._remember(digest, known)
        return known

    def shown(self, row: Saga) -> tuple[Plan, State]:
        """Give a row's plan and state, to look at; a saga of which one cannot be read looks quarantined."""
        try:
            return self.plan(row.plan), self.state(row)
        except Unreadable as damaged:
            state, _ = checkpointed(row)
            state = state or State(steps=(), created_at=row.created_at, updated_at=row.updated_at)
            steps = tuple(PlanStep(index, f"step {index}", "") for index in range(len(state.steps)))
            held = Held(reason="quarantined", since=row.updated_at, detail=str(damaged))
            return Plan(row.kind, steps), msgspec.structs.replace(state, quarantine=str(damaged), hold=held)

    def _remember(self, digest: bytes, plan: Plan) -> None:
        if digest not in self._plans:
            self._plans[digest] = plan
            if len(self._plans) > PLANS:
                del self._plans[next(iter(self._plans))]

    async def _give_up(self, saga: str, why: str) -> None:
        """Quarantine a saga: on its record, and in its row even where its state cannot be read."""
        row = self.host.queries.saga(saga)
        if row is None:
            return
        now = self.host.clock.now()
        state, _ = checkpointed(row)
        if state is not None:
            with suppress(Unreadable):  # its plan is what cannot be read
                await self._quarantine(row, state, why, now)
                return
        if row.hold == "quarantined":
            return  # as at the last start
        event = e.Quarantined(why=why)
        note = NewEvent(saga, now, e.type_of(event), event.version, e.encode(event))
        held = checkpoint_of(row, hold="quarantined", wake=None, at=now)
        await self.host.journal.commit(Commit(saga, [note], held))

    async def _quarantine(self, row: Saga, state: State, why: str, now: int) -> None:
        plan = self.plan(row.plan)
        decision = decide(plan, state, m.Quarantine(why=why), now)
        rows = [event_row(row.id, plan, event, now) for event in decision.events]
        await self.host.journal.commit(Commit(row.id, rows, checkpoint_alone(plan, decision.state, now)))
        self.host.locks.follow(row.id, row.batch, decision.state)
        for watcher in list(self._watchers.get(row.id, ())):
            watcher(Dossier(self.header(row), plan), decision.state)


def _birth_commit(saga: str, plan: Plan, state: State, birth: Birth) -> Commit:
    rows = [event_row(saga, plan, event, birth.at) for event in birth.events]
    at = checkpoint_alone(plan, state, birth.at)
    return Commit(saga, rows, at, new=birth.new, plan=birth.plan, key=birth.key)


def _answer_all(mailbox: Mailbox, error: Exception) -> None:
    while mailbox.letters:
        letter = mailbox.letters.popleft()
        if letter.answer is not None:
            letter.answer(error)


def checkpointed(row: Saga | Live) -> tuple[State | None, str]:
    """Give the state of a row's checkpoint, or why it cannot be used."""
    if state_sum(row.state) != row.state_sum:
        return None, DAMAGED
    if row.machine != MACHINE:
        return None, f"its checkpoint was made by machine version {row.machine}, this is {MACHINE}"
    try:
        return _STATE.decode(row.state), ""
    except msgspec.DecodeError as error:
        return None, f"its checkpoint cannot be read ({error})"


def checkpoint_of(row: Saga, **changes: Any) -> Checkpoint:
    """Give a row's checkpoint as it is, with these changes."""
    return Checkpoint(
        status=row.status,
        hold=changes.get("hold", row.hold),
        waiting=None,
        wake=changes.get("wake", row.wake),
        state=row.state,
        machine=row.machine,
        updated_at=changes["at"],
        finished_at=row.finished_at,
    )


def _header(
    saga: str, row: NewSaga | Saga, rolled_back_by: str | None = None, corrected_by: str | None = None
) -> Header:
    return Header(
        id=saga,
        kind=row.kind,
        inputs=row.inputs,
        labels=row.labels,
        submitted_by=row.submitted_by,
        reason=row.reason,
        created_at=row.created_at,
        batch=row.batch,
        rollback_of=row.rollback_of,
        rolled_back_by=rolled_back_by,
        corrects=row.corrects,
        corrected_by=corrected_by,
    )
