"""One saga's actor: a mailbox, one turn at a time.

A turn is: take the letters that are there, decide, prepare at once what needs no reading, commit, and only then answer
and act. Acting is comparing what the state wants with what is going on: children are started for what is wanted and
missing, let go where no longer wanted. A call that is wanted right after the actor came back from disk was lost with
its process; it is ended and reported lost before anything else.

The actor does not defend against bugs. What raises here ends the actor and its children; its supervisor starts it
again from the checkpoint.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec

from actors.crew import Crew
from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.dossier import Carry, Dossier
from actors.saga.holds import runs
from actors.saga.host import Host
from actors.saga.ledger import Rows, checkpoint, event_row
from actors.saga.machine import decide
from actors.saga.outcomes import Attempt
from actors.saga.state import ENDED, State
from actors.saga.wants import Perform, Poll, Prepare, Settle, Want, dues, interrupted, wake, wants
from store.records import Commit, IdempotencyKey, NewSaga

FRUITLESS = 100
"""Turns in a row that may come to nothing though a child had something to say."""

STALLED = 30_000
"""Milliseconds after which a turn that has not ended, or a reading, is shown in `health`."""


class Letter(msgspec.Struct):
    """A message and, where somebody waits for it, what to call with the durable answer (or the exception)."""

    message: m.Message
    answer: Callable[[m.Reply | BaseException | None], None] | None = None
    child: tuple[Want, anyio.CancelScope | Attempt] | None = None
    """The child whose last word this is: it is over once the letter has been taken, and not before."""


class Mailbox:
    """Letters to one saga. It outlives its actor: what came while the actor was down is read by the next one."""

    def __init__(self) -> None:
        """Begin empty."""
        self.letters: deque[Letter] = deque()
        self._arrived: asyncio.Future[None] | None = None

    def put(self, letter: Letter) -> None:
        """Deliver a letter."""
        self.letters.append(letter)
        self.ring()

    def ring(self) -> None:
        """Have whoever waits look."""
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def wait_letter(self, seconds: float | None) -> None:
        """Return when a letter is there or somebody rings, or after so many seconds."""
        if self.letters:
            return
        self._arrived = asyncio.get_running_loop().create_future()
        try:
            if seconds is None:
                await self._arrived
            else:
                with anyio.move_on_after(seconds):
                    await self._arrived
        finally:
            self._arrived = None


class Birth(msgspec.Struct):
    """What is written with a saga's first commit."""

    new: NewSaga
    plan: tuple[bytes, bytes]
    events: list[e.Event]
    at: int
    key: IdempotencyKey | None = None


class SagaActor:
    """One live saga."""

    def __init__(
        self,
        host: Host,
        dossier: Dossier,
        state: State,
        mailbox: Mailbox,
        report: Callable[[SagaActor], None],
        birth: Birth | None = None,
    ) -> None:
        """Take a saga as it is on disk, or one that is just being submitted (``birth``)."""
        self.host = host
        self.id = dossier.header.id
        self.plan = dossier.plan
        self.dossier = dossier
        self.state = state
        self.mailbox = mailbox
        self._report = report
        self._birth = birth
        self._children: dict[Want, anyio.CancelScope | Attempt] = {}
        self._crew = Crew(self._child_crashed)
        self._crash: BaseException | None = None
        self._leaving = False
        self._looked = 0
        """The time of the last turn: what was due by then has begun, what is due since has not."""
        self._turn_since: int | None = None
        """When the turn began that has not ended."""
        self._fruitless = 0
        """Turns in a row that took what a child had to say, and came to nothing."""

    def on(self, want: Want) -> bool:
        """Tell whether a child is at work on this."""
        return want in self._children

    @property
    def busy(self) -> bool:
        """Something of it is going on right now."""
        return bool(self._children)

    def stalled(self, now: int) -> tuple[int, str] | None:
        """Say since when it does not come on, and at what, where that is too long; a driver's call has its own limits."""
        if self._turn_since is not None and now - self._turn_since > STALLED:
            return self._turn_since, "is in one turn, which does not end"
        reading = [want.step for want in self._children if isinstance(want, Prepare)]
        if reading and len(reading) == len(self._children) and now - self._looked > STALLED:
            return (
                self._looked,
                f"reads what step {self.plan.steps[reading[0]].name} is to change, and gets no answer",
            )
        return None

    async def run(self) -> None:
        """Live until there is nothing to do but wait. Raises whatever goes wrong in it: that is its supervisor's."""
        try:
            if self._birth is None:
                self._recover()
            await self._turn()
            while not self._idle():
                if self._crash is None:
                    await self.mailbox.wait_letter(self._patience())
                if self._crash is not None:
                    raise self._crash
                await self._turn()
        finally:
            await self._leave()

    async def _leave(self) -> None:
        """Let go of what is going on, and await its end: the next actor of this saga must not meet it."""
        self._leaving = True
        self._turn_since = None
        for child in self._children.values():
            _let_go(child)
        await self._crew.wait_ended()
        self._crew.disband()

    def _child_crashed(self, error: BaseException) -> None:
        self._crash = self._crash or error
        self.mailbox.ring()

    # -- one turn --------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        taken = list(self.mailbox.letters)
        letters = taken or [Letter(m.Tick())]
        draft = Draft(self)
        self._turn_since = draft.now
        answers: list[tuple[Letter, m.Reply | None]] = []
        for letter in letters:
            try:
                answers.append((letter, draft.take(letter.message)))
            except BaseException:
                self._give_back(letter)
                raise
        draft.prepare_at_once()
        await self._commit(draft)
        for letter in taken:
            self.mailbox.letters.popleft()
            self._is_over(letter)
        self.state, self._looked = draft.state, draft.now
        lost = self._lost(taken, draft)
        if lost is None:
            self._act(draft.wanted)
        self._report(self)
        for letter, reply in answers:
            if letter.answer is not None:
                letter.answer(reply)
        self.host.beat()
        self._turn_since = None
        if lost is not None:
            raise RuntimeError(lost)

    def _lost(self, taken: list[Letter], draft: Draft) -> str | None:
        """Say what a child told that the machine did not take in, as only a bug can have it.

        An attempt would be made a second time, and for ever; or the same is prepared, asked or settled again and again.
        """
        over = {letter.child[0] for letter in taken if letter.child is not None}
        if not over:
            return None
        self._fruitless = 0 if draft.events else self._fruitless + 1
        again = [want for want in draft.wanted if want in over and isinstance(want, Perform)]
        if again:
            return f"the machine did not take in how attempt {again[0].attempt} of step {again[0].step} ended"
        if self._fruitless > FRUITLESS:
            return f"nothing came of {FRUITLESS} turns in a row"
        return None

    def _is_over(self, letter: Letter) -> None:
        """Forget a child whose word has been taken.

        Not when it ends: a turn that is just being committed has not seen its letter, still wants it, and would start
        it a second time.
        """
        if letter.child is not None and self._children.get(letter.child[0]) is letter.child[1]:
            del self._children[letter.child[0]]

    def _give_back(self, letter: Letter) -> None:
        """A letter that cannot be read is not read again; its sender is told."""
        if letter in self.mailbox.letters:
            self.mailbox.letters.remove(letter)
        if letter.answer is not None:
            letter.answer(RuntimeError(f"the saga's actor failed over {type(letter.message).__name__}"))

    async def _commit(self, draft: Draft) -> None:
        birth, self._birth = self._birth, None
        rows = [event_row(self.id, self.plan, event, birth.at) for event in birth.events] if birth else []
        rows += [event_row(self.id, self.plan, event, draft.now) for event in draft.events]
        if not rows:
            return
        commit = Commit(
            self.id,
            rows,
            checkpoint(self.plan, draft.state, draft.wanted, draft.now),
            executions=draft.rows.executions,
            changes=draft.rows.changes,
            resources=draft.rows.resources,
            sealed=draft.rows.sealed,
        )
        if birth is not None:
            commit.new, commit.plan, commit.key = birth.new, birth.plan, birth.key
        await self.host.journal.commit(commit)
        self.host.log_events(self.plan.kind, rows)

    # -- what should be going on -------------------------------------------------------------------------------------

    def _act(self, wanted: list[Want]) -> None:
        """Start what is wanted and missing, let go what is no longer wanted."""
        for want, child in list(self._children.items()):
            if (want not in wanted and not isinstance(want, Perform)) or (
                isinstance(want, Perform)
                and interrupted(self.plan, self.state, want.step)
                and want.direction != "undo"
            ):
                _let_go(child)
        if self.host.draining:
            return
        for want in wanted:
            if want not in self._children and self._due(want):
                self._start(want, self._child(want))

    def _due(self, want: Want) -> bool:
        return not isinstance(want, Poll) or want.due <= self.host.clock.now()

    def _recover(self) -> None:
        """After coming back from disk: calls that were under way were lost with their process."""
        for index, direction, run in runs(self.state):
            if run.phase == "calling":
                want = Perform(index, direction, run.generation, run.attempt, run.force)
                self._start(want, self._end)

    def _child(self, want: Want) -> Callable[[Any], Awaitable[m.Message]]:
        if isinstance(want, Prepare):
            return self._prepare
        if isinstance(want, Perform):
            return self._perform
        return self._poll if isinstance(want, Poll) else self._settle

    def _start(self, want: Want, work: Callable[[Any], Awaitable[m.Message]]) -> None:
        calls = isinstance(want, Perform | Poll)
        self._children[want] = Attempt() if calls else anyio.CancelScope()
        self._crew.start(self._run(want, work))

    async def _run(self, want: Want, work: Callable[[Any], Awaitable[m.Message]]) -> None:
        """Do it and tell the machine.

        One that crashed counts as going on: what it did or did not do is for the next actor to find out.
        """
        child = self._children[want]
        message: m.Message | None = None
        if isinstance(child, anyio.CancelScope):
            with child:
                message = await work(want)
        else:
            message = await work(want)
        if not self._leaving:
            self.mailbox.put(Letter(message or m.Tick(), child=(want, child)))

    async def _prepare(self, want: Prepare) -> m.Message:
        return await self.host.preparer.prepare(self.dossier, self.state, want)

    async def _perform(self, want: Perform) -> m.Message:
        return await self.host.executor.perform(self.dossier, want, self._attempt(want))

    async def _poll(self, want: Poll) -> m.Message:
        return await self.host.executor.poll(self.dossier, want, self._attempt(want))

    async def _settle(self, want: Settle) -> m.Message:
        return await self.host.executor.settle(self.dossier, want)

    async def _end(self, want: Perform) -> m.Message:
        return await self.host.executor.end(self.dossier, want)

    def _attempt(self, want: Want) -> Attempt:
        child = self._children[want]
        assert isinstance(child, Attempt)
        return child

    # -- staying and leaving -----------------------------------------------------------------------------------------

    def _idle(self) -> bool:
        """Nothing is going on, nobody has written, and nothing is due soon."""
        if self._children or self.mailbox.letters:
            return False
        if self.host.draining or self.state.status in ENDED:
            return True
        patience = self._patience()
        return patience is None or patience * 1000 > self.host.passivate

    def _patience(self) -> float | None:
        """Seconds until the state wants to be looked at again.

        Counted from the last turn: what has become due since, if only a moment ago, is not slept through.
        """
        now = self.host.clock.now()
        if not self._children and wake(self.plan, self.state, now) == 0:
            return 0
        soonest = min([due for due in dues(self.state) if due > self._looked], default=None)
        return None if soonest is None else max(0, soonest - now) / 1000


class Draft:
    """What one turn has decided so far and not yet committed."""

    def __init__(self, actor: SagaActor) -> None:
        """Begin from the actor's state."""
        self._actor = actor
        self.now = actor.host.clock.now()
        self.state = actor.state
        self.events: list[e.Event] = []
        self.rows = Rows(actor.host.resources)
        self.wanted: list[Want] = []
        """What should be going on in ``state``."""

    def take(self, message: m.Message) -> m.Reply | None:
        """Decide on a message."""
        decision = decide(self._actor.plan, self.state, message, self.now)
        self.state = decision.state
        self.events += decision.events
        carry: Carry | None = getattr(message, "carry", None)
        self.rows.take(self._actor.dossier, decision.events, carry, self.now)
        return decision.reply

    def prepare_at_once(self) -> None:
        """Write the next intents along with this outcome, where nothing has to be read for them."""
        actor = self._actor
        tried: set[Want] = set()
        while True:
            self.wanted = wants(actor.plan, self.state, self.now)
            want = None if actor.host.draining else self._next_prepare(tried)
            if want is None:
                return
            tried.add(want)
            message = actor.host.preparer.prepare_nowait(actor.dossier, self.state, want)
            if message is not None:
                self.take(message)

    def _next_prepare(self, tried: set[Want]) -> Prepare | None:
        for want in self.wanted:
            if isinstance(want, Prepare) and want not in tried and not self._actor.on(want):
                return want
        return None


def _let_go(child: anyio.CancelScope | Attempt) -> None:
    if isinstance(child, Attempt):
        child.interrupt()
    else:
        child.cancel()
