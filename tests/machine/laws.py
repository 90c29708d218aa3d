"""The laws, checked after every message of every simulated run.

What they say is worked out here once more, from the plan and the record alone, and not by asking the machine's own
helpers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.evolve import NO_STATE, evolve
from actors.saga.holds import hold, left_behind, waits
from actors.saga.machine import SAGA, STEP, Decision
from actors.saga.state import ENDED, State
from actors.saga.wants import Perform, Poll, wake, wants
from actors.saga.why import why
from tests.machine import outcomes

if TYPE_CHECKING:
    from tests.machine.simulation import Simulation

FINAL = {"completed", "failed", "unknown", "compensated", "compensation_failed", "kept", "skipped"}
AFTER_THE_END = (
    e.AnswerIgnored, e.Rebuilt, e.Reopened, e.Succeeded, e.Kept, e.RolledBack, e.LocksReleased,
    e.BatchEnded
)  # fmt: skip
"""What may still be recorded of an ended saga: late answers, a rebuilt checkpoint, late repair by an operator, that it
lets go of its locks, and that its batch is over."""
ACTIVE = ("calling", "settling")


class Laws:
    """The laws, and what they have to remember of a run."""

    def __init__(self, simulation: Simulation) -> None:
        self.sim = simulation
        self.plan = simulation.plan
        self.record: list[tuple[bytes, str, int, int]] = []
        self.folded = NO_STATE
        self.intents: set[tuple[int, str, int, int]] = set()
        self.yes: dict[tuple[int | None, str, str], set[str]] = {}
        """Who has approved what."""
        self.generations: dict[tuple[int, str], int] = {}
        self.moved: set[tuple[str, str]] = set()
        """What has another id by what was taken back."""
        self.owing: set[int] = set()
        """The steps that were done and whose hook has not been."""

    # --- about one decision ----------------------------------------------------------------------------------------

    def deterministic(self, one: Decision, other: Decision) -> None:
        """The same message to the same state at the same time brings about the same."""
        assert (one.events, one.state, one.reply) == (other.events, other.state, other.reply)

    def recorded(self, event: e.Event) -> e.Event:
        """An event is what its journal row says."""
        read = e.decode(e.type_of(event), event.version, e.encode(event))
        assert read == event
        self.folded = evolve(self.folded, read, self.sim.now)
        return read

    # --- about one event -------------------------------------------------------------------------------------------

    def event(self, before: State, event: e.Event, after: State) -> None:
        """Check what one event did, in the order of the record."""
        if before.steps:
            self._moves(before, event, after)
        if before.status in ENDED:
            assert isinstance(event, AFTER_THE_END), f"{event} after the end"
        if isinstance(event, e.Approved):
            self.yes.setdefault((event.step, event.direction, event.hash), set()).add(event.actor or "")
        if isinstance(event, e.Asked):
            self._asked(event)
        if isinstance(event, e.Started):
            self._started(before, event, after)
        if isinstance(event, e.Succeeded):
            self._succeeded(before, event)
        if isinstance(event, e.TurnedBack) or (isinstance(event, e.SagaFailed) and not before.abandoned):
            assert not self._urgent(before), "the saga turned before the work of a failed hook was undone"
        done = {index for index, step in enumerate(after.steps) if step.status == "completed"}
        assert not done & self.owing, "a step is completed without its hook"
        if isinstance(event, e.Succeeded) and event.direction == "forward" and event.how != "resolved":
            self._taken_back(event)
        if isinstance(event, e.Attempted):
            run = getattr(before.steps[event.step], event.direction)
            assert run.phase not in (*ACTIVE, "over"), "an attempt began before the one before was settled"
            self.intents.add((event.step, event.direction, run.generation, event.attempt))

    def _follows(self, before: State, event: e.Moved, after: State) -> None:
        """Whatever of the saga was at a resource is at it under its new id; nothing else has moved."""
        old = (event.resource.type, event.resource.id)
        for was, now in zip(before.steps, after.steps, strict=True):
            at = was.resource is not None and (was.resource.type, was.resource.id) == old
            assert (now.resource != was.resource) == at, "a step does not follow what it touches"
            assert not at or (now.resource is not None and now.resource.id == event.to)
        self.moved.add((event.resource.type, event.to))

    def _taken_back(self, event: e.Succeeded) -> None:
        """What a step of another saga had found is there again when it is said to be taken back."""
        if event.step in self.sim.past:
            name = self.sim._name(event.step)
            assert name is not None
            assert self.sim.world[name] == self.sim.past[event.step][0], "it is not taken back"

    def _moves(self, before: State, event: e.Event, after: State) -> None:
        """A saga and its steps go only from where to where the tables say."""
        if isinstance(event, e.Moved):
            self._follows(before, event, after)
        if isinstance(event, e.Reopened):
            self.moved.clear()  # all locks were released at the end: each step of it takes its own again
        assert before.status == after.status or after.status in SAGA[before.status]
        for was, now in zip(before.steps, after.steps, strict=True):
            assert was.status == now.status or now.status in STEP[was.status], (was.status, now.status)

    def _started(self, before: State, event: e.Started, after: State) -> None:
        """An intent: a new generation only of what is over, nothing new when the saga stops, undos only of what was done."""
        was, key = before.steps[event.step], (event.step, event.direction)
        assert not before.paused
        assert event.generation > self.generations.get(key, 0), "a generation is never used again"
        run = getattr(was, event.direction)
        assert run is None or run.phase == "over" or run.attempt == 0, "its earlier outcome is not settled"
        self.generations[key] = event.generation
        assert was.lock is None, "it started though it waits for a lock"
        if event.resource is not None and event.changes:
            assert any(lock.covers(event.resource) for lock in before.locks), "it started without its lock"
        self.intents.add((*key, event.generation, 1))
        if event.direction == "forward":
            self._started_forward(before, event, after)
        elif event.direction == "hook":
            self._started_hook(before, event)
        else:
            self._started_undo(before, event)

    def _succeeded(self, before: State, event: e.Succeeded) -> None:
        """A hook is owed by a step that was done and has changed something, until the hook was done."""
        if event.direction == "hook":
            self.owing.discard(event.step)
        elif event.direction == "forward" and self.plan.steps[event.step].hook is not None:
            run = before.steps[event.step].forward
            if run is not None and run.changes:
                self.owing.add(event.step)

    def _asked(self, event: e.Asked) -> None:
        """A question expires by the rules that it is asked by: the step's own, else the saga's; an undo's does not."""
        own = None if event.step is None else self.plan.steps[event.step].approvals
        expires = (own or self.plan.approvals).expires if event.direction == "forward" else None
        due = None if expires is None else self.sim.now + expires
        assert event.due == due, "it is asked for by other rules"

    def _approved(self, step: int | None, hash_: str | None, way: str = "forward") -> None:
        """As many as are needed have said yes to exactly this; with four eyes not the one who submitted."""
        rules = self.plan.approvals
        yes = {
            who
            for (of, whence, what), all_ in self.yes.items()
            for who in all_
            if (of, whence, what) == (step, way, hash_ or what)
        }
        it = "it started" if way == "forward" else "an undo ran"
        assert len(yes) >= rules.quorum, f"{it} without its approval"
        assert not (rules.four_eyes and "ada" in yes), "who submitted it has approved it"

    def _forced(self, event: e.Started) -> None:
        """What others have changed is overwritten only by the operator's word, or by the file's."""
        plan = self.plan.steps[event.step]
        told = event.step in self.sim.forced or None in self.sim.forced
        rule = plan.on_conflict or self.plan.on_conflict
        assert not event.force or plan.takes_back is not None, "a step is forced that takes nothing back"
        assert not event.force or told or rule == "force", "it is forced by nobody's word"

    def _started_forward(self, before: State, event: e.Started, after: State) -> None:
        self._forced(event)
        asks = self.plan.steps[event.step].asks
        if self.plan.approvals.start:
            self._approved(None, None)
        if asks == "each" or (asks == "irreversible" and event.irreversible):
            self._approved(event.step, self.sim.hashes[event.step, "forward"])
        assert before.status in ("pending", "running")
        assert before.turn is None
        each = self.plan.batch is not None and self.plan.batch.mode == "best_effort"
        assert each or not any(step.failing for step in before.steps), (
            "a step started though another has failed"
        )
        assert self.sim.admitted, "it started before its batch let it"
        going = sum(step.status in ("running", "unknown") for step in before.steps)
        parallel = self.plan.batch.parallel if self.plan.batch is not None else None
        assert before.steps[event.step].status == "running" or parallel is None or going < parallel, (
            "more at once than the batch allows"
        )
        number = after.steps[event.step].number
        assert number == before.numbers + 1
        assert all(step.number < number for step in before.steps)
        self._all_before_is_done(before, event.step, "step")
        for other, step in enumerate(before.steps):
            if other != event.step and step.status in ("running", "unknown") and step.number:
                assert not self._same(before, event, other), "two steps touch the same side by side"

    def _all_before_is_done(self, before: State, index: int, what: str) -> None:
        """Also what comes before what is done: that may have been taken back, and what is done kept."""
        for earlier in self._needs(index) if self.plan.graph else range(index):
            assert before.steps[earlier].status in ("completed", "skipped"), (
                f"a {what} started before what it needs"
            )

    def _started_hook(self, before: State, event: e.Started) -> None:
        """Nothing new starts in a saga that stops; a hook comes after its step's effect."""
        step = before.steps[event.step]
        assert before.turn is None, "a hook began though the saga turns back"
        assert before.status == "running"
        assert not any(each.failing for each in before.steps), "a hook began though a step has failed"
        over = step.forward is not None and step.forward.phase == "over" and step.forward.error is None
        assert over, "a hook before its step was done"
        assert event.step in self.owing, "a hook of a step that has done nothing"
        self._all_before_is_done(before, event.step, "hook")

    def _urgent(self, state: State) -> set[int]:
        """Steps that were done, whose hook failed, and of which nobody has yet tried to take back what they did."""
        return {
            index
            for index, step in enumerate(state.steps)
            if index in self.owing
            and step.hook is not None
            and step.hook.phase == "over"
            and step.hook.error is not None
            and step.status in ("failed", "compensating", "running", "completed")
        }

    def _started_undo(self, before: State, event: e.Started) -> None:
        step, urgent = before.steps[event.step], self._urgent(before)
        if self.plan.steps[event.step].asks_undo:
            self._approved(event.step, self.sim.hashes[event.step, "undo"], "undo")
        assert before.status == "compensating" or event.step in urgent, "an undo though the saga goes forward"
        assert not urgent - {event.step} or event.step in urgent, "another undo before that of a failed hook"
        started = step.undo_started and step.number > 0
        done = step.forward is not None and step.forward.phase == "over" and step.number > 0
        assert done, "an undo without a done"
        partly = step.partial or started or event.step in urgent
        assert step.status != "failed" or partly, "an undo of a step that failed"
        assert not step.irreversible
        for other, later in enumerate(before.steps):
            if other != event.step and later.number > step.number and self._still_to_undo(before, other):
                assert not self._connected(before, event.step, other), "an undo before that of a later step"

    def _still_to_undo(self, state: State, index: int) -> bool:
        step = state.steps[index]
        return step.status == "compensating" or (
            step.status in ("completed", "running", "failed")
            and step.did
            and not step.stays
            and step.number > 0
            and (state.past or index not in self._spared(state))
        )

    def _spared(self, state: State) -> set[int]:
        """What an unwinding leaves alone: irreversible steps that are done, and what comes before them."""
        alone: set[int] = set()
        for index, step in enumerate(state.steps):
            hooked = index in self.owing and step.status in ("running", "failed", "kept")
            partly = step.status == "failed" and step.partial
            if step.irreversible and (step.status == "completed" or partly or hooked):
                alone |= {index} | (self._needs(index) if self.plan.graph else set(range(index)))
        return alone

    def _needs(self, index: int) -> set[int]:
        direct = set(self.plan.steps[index].needs)
        return direct.union(*(self._needs(each) for each in direct))

    def _connected(self, state: State, one: int, other: int) -> bool:
        if not self.plan.graph or one in self._needs(other) or other in self._needs(one):
            return True
        a, b = state.steps[one].resource, state.steps[other].resource
        return a is not None and b is not None and a.overlaps(b)

    def _same(self, state: State, event: e.Started, other: int) -> bool:
        resource = state.steps[other].resource
        return event.resource is not None and resource is not None and resource.overlaps(event.resource)

    # --- about the state after a message ---------------------------------------------------------------------------

    def after(self, message: m.Message | None, decision: Decision) -> None:
        """Check the state that a message led to."""
        state = decision.state
        assert self.folded == self.sim.state == state, "the record folds to another state"
        self._reply(message, decision)
        if state.status not in ENDED:
            locked = {(lock.type, lock.id) for lock in state.locks}
            assert self.moved <= locked, "what has another id is not locked under it"
        for want in wants(self.plan, state, self.sim.now):
            if isinstance(want, Perform):
                intent = (want.step, want.direction, want.generation, want.attempt)
                assert intent in self.intents, "a call without an intent"
        self._sentence(state)
        outcomes.check(self.plan, state, ended=state.status in ENDED)
        if state.status in ENDED:
            self._ended(state)
        else:
            self._lives(state)

    def _reply(self, message: m.Message | None, decision: Decision) -> None:
        if not isinstance(message, m.Verb):
            assert decision.reply is None
            return
        assert decision.reply is not None
        assert decision.reply.detail
        if decision.reply.did == "accepted":
            assert decision.events
        else:
            moved = [event for event in decision.events if event.actor is not None]
            assert not moved, "a verb that did nothing is on the record"

    def _sentence(self, state: State) -> None:
        sentence = why(self.plan, state, self.sim.now, "ID")
        assert sentence.startswith("Saga ID ")
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert "nothing of it is going on" not in sentence, sentence

    def _lives(self, state: State) -> None:
        """What has not ended is held, waits, or has something going on; and what is due has begun."""
        assert {step.status for step in state.steps} <= set(STEP)
        now = hold(self.plan, state)
        shown = None if state.hold is None else (state.hold.reason, state.hold.detail)
        assert now == shown
        wanted = wants(self.plan, state, self.sim.now)
        if state.hold is not None:
            assert state.hold.detail
            going = [want for want in wanted if isinstance(want, Perform)]
            assert not going or state.quarantine is not None, "held while something runs"
        elif state.queued:
            assert waits(self.plan, state) is not None, "stuck without a word"
        else:
            soon = wake(self.plan, state, self.sim.now)
            assert wanted or (soon is not None and waits(self.plan, state) is not None), (
                "stuck without a word"
            )
        self._not_late(state, wanted)

    def _not_late(self, state: State, wanted: list[Any]) -> None:
        soon = wake(self.plan, state, self.sim.now)
        if soon is not None and soon <= self.sim.now:
            due = [want for want in wanted if not isinstance(want, Poll) or want.due <= self.sim.now]
            assert due, "it asks to be woken, and then nothing happens"

    def _ended(self, state: State) -> None:
        """An ended saga: one final status for each step, nothing open, and the world as the record says."""
        assert all(step.status in FINAL for step in state.steps), [step.status for step in state.steps]
        assert not wants(self.plan, state, self.sim.now)
        assert wake(self.plan, state, self.sim.now) is None
        assert state.hold is None
        kept = state.keeps_locks and state.status == "completed"
        assert kept or not state.locks, "an ended saga has a lock"
        for step in state.steps:
            assert step.lock is None, "an ended saga waits for a lock"
            for run in (step.forward, step.hook, step.undo):
                assert run is None or run.phase == "over", "an execution of an ended saga is open"
        statuses = {step.status for step in state.steps}
        if state.status == "completed":
            assert statuses <= {"completed", "skipped"}
            assert state.error is None
        elif state.status == "rolled_back":
            assert not statuses & {"compensation_failed", "unknown"}
            assert not any(s.status == "completed" and s.way_back != "nothing" for s in state.steps)
        else:
            assert state.error is not None
            told = state.abandoned is not None or self.plan.on_failure == "stop"
            stays = any(step.stays for step in state.steps)
            assert told or stays or "compensation_failed" in statuses
        self._world(state)

    def _world(self, state: State) -> None:
        """After the end the world is as before, less what is left behind and what others have done.

        After a saga that took another one back: as before that one.
        """
        behind = {each.step for each in left_behind(self.plan, state)}
        names = {step.name: self.sim._name(step.index) for step in self.plan.steps}
        excused = {names[step] for step in behind} | self.sim.others
        for name, before in self.sim.before.items():
            if name not in excused:
                expected = before
                if state.status == "completed":
                    expected = self._made_last(state, name) or before
                if state.status == "completed" and self.sim.past:
                    expected = self.sim.was[name]
                assert self.sim.world[name] == expected, f"{name} is not as the record says"

    def _made_last(self, state: State, name: str) -> str | None:
        done = [
            (step.number, index)
            for index, step in enumerate(state.steps)
            if step.status == "completed" and self.sim._name(index) == name
        ]
        return self.sim.made[max(done)[1]] if done else None
