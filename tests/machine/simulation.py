"""One saga in a simulated world: the shell around the machine, drivers, operators, other hands, crashes and time.

Every choice comes from a ``Chooser``. After every message the laws (``laws.py``) are checked. What is in the world is
a value per resource; every effect writes a value that no other effect writes, so that the world tells what was done.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.evolve import NO_STATE, evolve
from actors.saga.holds import asking
from actors.saga.machine import Decision, decide, submit
from actors.saga.state import ENDED, Direction, Error, Move, Run, State, Touch
from actors.saga.verbs import column
from actors.saga.wants import Perform, Poll, Prepare, Settle, Want, interrupted, wake, wants
from tests.machine.cases import RESOURCES, Case, Chooser, Driver, Way
from tests.machine.laws import Laws
from tests.machine.reached import Reached

Key = tuple[int, Direction, int]
"""(step, direction, generation): what an idempotency key is made from."""

BOOM = Error("boom", "it broke")
SILENT = Error("provider", "the service has not answered since yesterday")
_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(State)


class Simulation:
    """A saga, its world, and all that may happen to them."""

    def __init__(self, case: Case, choose: Chooser, reached: Reached | None = None) -> None:
        self.case, self.plan, self.drivers = case, case.plan, case.drivers
        self.choose = choose
        self.fair, self.alone = self.temper()
        self.reached = reached or Reached()
        self.now = 1_000_000
        touched = [driver.resource for driver in case.drivers if driver.resource is not None]
        self.world: dict[str, str] = {
            touch.name: f"{touch.name} as it was" for touch in (*RESOURCES, *touched)
        }
        self.before = dict(self.world)
        hooked = [step.name for step in case.plan.steps if step.hook is not None]
        self.world |= {f"the hook of {name}": "not run" for name in hooked}  # and never taken back
        self.past = self._past()
        """Of a step that takes back another saga's: what that one found and what it left."""
        self.was = {**self.before, **{name: found for name, (found, _) in self._firsts().items()}}
        """The world before the saga that is taken back, where one is."""
        self.images: dict[Key, str] = {}
        """Before-images, by forward execution."""
        self.made: dict[int, str] = {}
        """What each step's last forward execution has written."""
        self.effects: Counter[Key] = Counter()
        self.allowed: Counter[Key] = Counter()
        """How often an operator said that an effect may be made again."""
        self.others: set[str] = set()
        """Resources that somebody else changed, or about which an operator was wrong."""
        self.forced: set[int | None] = set()
        """The steps for which an operator said --force; None: for all."""
        self.flights: set[Perform] = set()
        """Calls that are with a driver."""
        self.hashes: dict[tuple[int, Direction], str] = {}
        """Of each step's arguments as they were last resolved, and of its undo's."""
        self.admitted = not case.queued
        """Its batch has let it start, or it is in none."""
        self.laws = Laws(self)
        event = e.Submitted(
            kind="random",
            steps=len(self.plan.steps),
            plan="",
            inputs="",
            deadline=None if case.deadline is None or case.queued else self.now + case.deadline,
            queued=case.queued,
            keeps_locks=case.keeps_locks,
        )
        self.state = NO_STATE
        self._take(None, submit(self.plan, event, self.now))

    def _past(self) -> dict[int, tuple[str, str]]:
        """Let the saga that is taken back have been here: the step that is taken back first was its last."""
        past: dict[int, tuple[str, str]] = {}
        now = dict(self.before)
        for step in self.plan.steps:
            name = self._name(step.index)
            if step.takes_back is not None and name is not None:
                past[step.index] = (f"{name} before {step.name}", now[name])
                now[name] = past[step.index][0]
        return past

    def _firsts(self) -> dict[str, tuple[str, str]]:
        """Give what each resource's first step had found and left: of those to be taken back it comes last."""
        names = {step: self._name(step) for step in self.past}
        return {name: self.past[step] for step, name in names.items() if name is not None}

    def temper(self) -> tuple[int, bool]:
        """Choose how much more often than by chance a call succeeds, and whether operators and accidents come seldom.

        Steps that get far are taken back far.
        """
        return self.choose.of((12, 4, 0)), self.choose.chance(2)

    # --- the shell -------------------------------------------------------------------------------------------------

    def say(self, message: m.Message) -> m.Reply | None:
        """Tell the machine something, and do as it says."""
        before = self.state
        decision = decide(self.plan, before, message, self.now)
        self.laws.deterministic(decision, decide(self.plan, before, message, self.now))
        self._take(message, decision)
        if before.quarantine is not None and self.state.quarantine is None:
            self.restart()
        return decision.reply

    def _take(self, message: m.Message | None, decision: Decision) -> None:
        self.reached.message(message, self.plan, self.state, decision)
        for event in decision.events:
            after = evolve(self.state, self.laws.recorded(event), self.now)
            self._image(event)
            self.laws.event(self.state, event, after)
            self.reached.event(self.state, event, after)
            self.state = after
        self.laws.after(message, decision)
        if self.state.quarantine is not None:
            self._drop_flights()
        wanted = {want for want in wants(self.plan, self.state, self.now) if isinstance(want, Perform)}
        if self.state.status not in ENDED and self.state.quarantine is None:
            assert self.flights <= wanted, "an attempt was over before its code had ended"
            self.flights = wanted

    def _image(self, event: e.Event) -> None:
        if isinstance(event, e.Started) and event.direction != "undo":
            name = self._name(event.step, event.direction)
            if name is not None:
                self.images[event.step, event.direction, event.generation] = self.world[name]

    def restart(self) -> None:
        """Come back from disk: what was with a driver was lost."""
        self.state = _DECODER.decode(_ENCODER.encode(self.state))
        lost = [want for want in wants(self.plan, self.state, self.now) if isinstance(want, Perform)]
        self.flights = set(lost)
        for want in lost:
            self.flights.discard(want)
            self.say(self._answer(want, "lost", error=Error("lost", "the daemon was killed")))
        self.say(m.Tick())

    def crash(self) -> None:
        """Kill the daemon: calls may or may not have had their effect."""
        self._drop_flights()
        self.restart()

    def _drop_flights(self) -> None:
        for want in sorted(self.flights, key=repr):
            if self.choose.chance(2):
                self._effect(want)
        self.flights = set()

    def wanted(self, kind: type[Want]) -> list[Any]:
        """Give what the machine wants of one kind."""
        return [want for want in wants(self.plan, self.state, self.now) if isinstance(want, kind)]

    # --- drivers ---------------------------------------------------------------------------------------------------

    def driver(self, step: int) -> Driver:
        """Give a step's driver."""
        return self.drivers[step]

    def _name(self, step: int, direction: Direction = "forward") -> str | None:
        """Give what an execution changes; None: nothing."""
        if direction == "hook":
            return f"the hook of {self.plan.steps[step].name}" if self.drivers[step].hook_changes else None
        resource = self.drivers[step].resource
        return resource.name if resource is not None else None

    def prepare(self, want: Prepare, *, well: bool = False) -> None:
        """Read the resource for an intent, or fail to."""
        how = (
            "well"
            if well
            else self.choose.of(
                ("well",) * (6 + 4 * self.fair) + ("fails", "transient", "stuck", "blocked", "postponed")
            )
        )
        head = {"step": want.step, "direction": want.direction, "generation": want.generation}
        resource = self._resource(want)
        if how == "blocked" and resource is not None and not self.state.has_lock(resource):
            self.say(m.Blocked(**head, resource=resource, behind="another"))  # type: ignore[arg-type]
            return
        if how == "postponed":
            self.say(m.NotPrepared(**head, error=SILENT, postponed=self.now + 4_000))  # type: ignore[arg-type]
            return
        if how in ("fails", "transient", "stuck"):
            error = Error("unresolved", f"it cannot be prepared ({how})")
            self.say(
                m.NotPrepared(**head, error=error, transient=how == "transient", stuck=how == "stuck")  # type: ignore[arg-type]
            )
            return
        hash_ = "same" if well or not self.choose.chance(6) else f"other {self.now}"
        self.hashes[want.step, want.direction] = hash_
        driver = self.drivers[want.step]
        way: Way = getattr(driver, want.direction)
        self.say(
            m.Prepared(
                **head,  # type: ignore[arg-type]
                execution=f"{want.step}.{want.direction}.{want.generation}",
                payload="digest",
                changes=self._name(want.step, want.direction) is not None,
                repeats=way.repeats,
                finds=way.finds,
                way_back=driver.way_back,
                irreversible=self.plan.steps[want.step].irreversible and want.direction == "forward",
                resource=resource,
                hash=hash_,
            )
        )

    def _resource(self, want: Prepare) -> Touch | None:
        name = self._name(want.step, want.direction)
        if want.direction == "hook":
            return Touch(type="told", name=name) if name is not None else None
        return self.drivers[want.step].resource

    def target(self, want: Perform | Poll | Settle) -> str | None:
        """Give what the resource is to become."""
        if want.direction == "undo":
            return self.images.get(self._forward_key(want.step))
        if want.direction == "forward" and want.step in self.past:
            return self.past[want.step][0]
        return f"s{want.step}.{want.generation}"

    def origin(self, want: Perform | Poll | Settle) -> str | None:
        """Give what the resource is before the operation, if nobody else touches it."""
        if want.direction == "undo":
            return self.made.get(want.step)
        return self.images.get((want.step, want.direction, want.generation))

    def _forward_key(self, step: int) -> Key:
        run = self.state.steps[step].forward
        return step, "forward", run.generation if run is not None else 0

    def _effect(self, want: Perform | Poll, suffix: str = "") -> None:
        """Change the world."""
        name, target = self._name(want.step, want.direction), self.target(want)
        if name is None or target is None:
            return
        if self._is_guarded(want) and self._guard(want) is not None:
            return
        key = (want.step, want.direction, want.generation)
        way = getattr(self.drivers[want.step], want.direction)
        self.effects[key] += 1
        if not way.repeats and name not in self.others:
            assert self.effects[key] <= 1 + self.allowed[key], f"an effect was made twice: {key}"
        self.world[name] = target + suffix
        if want.direction == "forward":
            self.made[want.step] = target + suffix

    def _is_guarded(self, want: Perform | Poll) -> bool:
        """Tell whether it looks before it does anything: an undo, and a step that takes back another saga's."""
        looks = want.direction == "undo" or want.step in self.past
        return looks and self.drivers[want.step].way_back == "restore"

    def _guard(self, want: Perform | Poll) -> str | None:
        """An undo reads the resource before it does anything: it may be undone already, or somebody else's."""
        name = self._name(want.step)
        if name is None or self.drivers[want.step].way_back != "restore":
            return None
        if self.world[name] == self.target(want):
            return "already"
        force = isinstance(want, Perform) and want.force
        left = self.past[want.step][1] if want.direction == "forward" else self.made.get(want.step)
        return None if force or self.world[name] == left else "conflict"

    def _answer(self, want: Perform | Poll, kind: str, **more: Any) -> m.Answered:
        return m.Answered(
            step=want.step,
            direction=want.direction,
            generation=want.generation,
            attempt=want.attempt,
            kind=kind,  # type: ignore[arg-type]
            **more,
        )

    def outcomes(self, want: Perform | Poll) -> tuple[str, ...]:
        """Name the ways in which a call may end, truthfully."""
        lost = ("lost answer", "nothing and lost")
        guard = self._guard(want) if self._is_guarded(want) else None
        if guard is not None:
            return (guard, "lost answer", "postponed")
        done = isinstance(want, Poll) and self._done(want)
        failures = () if done else ("failed", "transient", "rate limited", "compensated", *lost)
        partial = ("partial", "partial and lost") if not done else ()
        return ("succeeded", *failures, *partial, "working", "postponed", "unknown")

    def _weighted(self, outcomes: tuple[str, ...]) -> tuple[str, ...]:
        return (
            outcomes[:1] * (2 * self.fair if self.state.status != "compensating" else self.fair // 3)
            + outcomes
        )

    def _done(self, want: Perform | Poll | Settle) -> bool:
        name = self._name(want.step, want.direction)
        return name is not None and self.world[name] == self.target(want)

    def end(self, want: Perform | Poll, how: str | None = None) -> None:
        """End a call."""
        how = how or self.choose.of(self._weighted(self.outcomes(want)))
        self.reached.note("outcome", how)
        self.flights.discard(want)
        self.say(self._outcome(want, how))

    def _outcome(self, want: Perform | Poll, how: str) -> m.Answered:
        if how in ("already", "conflict"):
            return self._answer(want, how, error=Error("conflict", "somebody changed it"))
        if how == "postponed":
            return self._answer(want, how, due=self.now + 4_000, error=SILENT)
        if how == "succeeded":
            self._effect_once(want)
            id_ = f"the id of {self._name(want.step)}"
            return self._answer(want, how, payload="digest", id=id_, moved=self._move(want))
        if how in ("failed", "transient", "rate limited"):
            return self._answer(
                want,
                "failed",
                error=BOOM,
                transient=how == "transient",
                rate_limited=how == "rate limited",
                retry_after=7_000 if how == "rate limited" else None,
            )
        if how == "compensated":
            return self._answer(want, how, error=BOOM)
        if how in ("partial", "partial and lost"):
            self._effect(want, " in part")
            return self._answer(want, "partial" if how == "partial" else "unknown", error=BOOM)
        if how == "working":
            if self.choose.chance(2):
                self._effect_once(want)
            return self._answer(want, how, due=self.now + 3_000, payload="digest")
        if how == "lost answer":
            self._effect_once(want)
        return self._answer(want, "unknown", error=Error("timeout", "no answer came"))

    def _move(self, want: Perform | Poll) -> Move | None:
        """What was taken back may have made what it is about anew, under another id."""
        taken_back = want.direction == "undo" or want.step in self.past
        resource = self.state.steps[want.step].resource
        if not taken_back or resource is None or resource.path is not None or not self.choose.chance(2):
            return None
        return Move(
            type=resource.type, id=resource.id or resource.name, to=f"another {len(self.state.moves)}"
        )

    def _effect_once(self, want: Perform | Poll) -> None:
        """A poll may find that what was begun is done by now, or do it; a new attempt does it in any case."""
        if isinstance(want, Perform) or not self._done(want):
            self._effect(want)

    def settle(self, want: Settle, *, well: bool = False) -> None:
        """Find out what became of a lost attempt, as far as the driver can."""
        kind = self._finding(want)
        if not well and self.choose.chance(8):
            kind = "postponed"
        if kind in ("done", "not_done") and not well and self.choose.chance(4):
            kind = "unclear"
        self.reached.note("finding", kind)
        self.say(
            m.Found(
                step=want.step,
                direction=want.direction,
                generation=want.generation,
                attempt=want.attempt,
                kind=kind,  # type: ignore[arg-type]
                same_secrets=well or not self.choose.chance(8),
                payload="digest",
                due=self.now + 4_000 if kind == "postponed" else 0,
                error={"unclear": Error("unclear", "it is neither"), "postponed": SILENT}.get(kind),
            )
        )

    def _finding(self, want: Settle) -> str:
        if not want.finds:
            return "cannot"
        name = self._name(want.step, want.direction)
        if name is None:
            return "not_done"
        if self.world[name] == self.target(want):
            return "done"
        return "not_done" if self.world[name] == self.origin(want) else "unclear"

    # --- people ----------------------------------------------------------------------------------------------------

    def operator(self, verb: str, step: int, flag: bool) -> m.Reply:
        """Let an operator say something, however unfitting."""
        by: dict[str, Any] = {"by": "ada", "reason": "because"}
        messages: dict[str, m.Verb] = {
            "cancel": m.Cancel(**by, now=flag),
            "pause": m.Pause(**by),
            "resume": m.Resume(**by),
            "retry": m.Retry(**by, step=step if flag else None, force=self.choose.chance(2)),
            "skip": m.Skip(**by, step=step, output={"id": "given"} if flag else {}),
            "done": m.Resolve(**by, step=step, as_="done"),
            "failed": m.Resolve(**by, step=step, as_="failed"),
            "again": m.Resolve(**by, step=step, as_="retry"),
            "rollback": m.Rollback(**by, past_irreversible=flag),
            "abandon": m.Abandon(by="ada", reason="because" if flag else None),
        }
        if verb in ("approve", "reject"):
            who = self._approver(by, flag=flag)
            messages |= {"approve": m.Approve(**who), "reject": m.Reject(**who)}
        if verb in ("done", "failed"):
            self._judge(verb, step)
        said = messages[verb]
        if isinstance(said, m.Retry) and said.force:
            self.forced.add(said.step)
        reply = self.say(said)
        assert reply is not None
        if reply.did == "accepted" and verb in ("again", "retry"):
            self._permit(getattr(said, "step", None))
        return reply

    def _approver(self, by: dict[str, Any], *, flag: bool) -> dict[str, Any]:
        """Somebody who may approve, or some other user of the node."""
        if flag:
            return by | {
                "by": self.choose.of(("eve", "ivy", "una")),
                "roles": ("viewer", "operator", "admin"),
            }
        return by | {"roles": ("viewer", "operator"), "own": True}

    def _judge(self, verb: str, step: int) -> None:
        """An operator who says what is not so has the last word on that resource."""
        name = self._name(step, self._spoken_of(step))
        if name is None or self.truth(step) == verb:
            return
        self.others.add(name)

    def truth(self, step: int) -> str | None:
        """Give what an honest operator would say of an unknown outcome."""
        direction = self._spoken_of(step)
        run: Run | None = getattr(self.state.steps[step], direction)
        name = self._name(step, direction)
        if name is None or run is None:
            return None
        want = Settle(step, direction, run.generation, run.attempt, finds=True)
        return {"done": "done", "not_done": "failed"}.get(self._finding(want))

    def _spoken_of(self, step: int) -> Direction:
        """Tell which execution of a step an operator means."""
        now = self.state.steps[step]
        if now.status == "compensation_failed" or (now.undo is not None and now.undo.phase != "over"):
            return "undo"
        return "hook" if now.hook is not None and now.hook.phase != "over" else "forward"

    def _permit(self, step: int | None) -> None:
        """By ``retry`` an operator takes it upon himself that an effect may be made again."""
        directions: tuple[Direction, ...] = ("forward", "hook", "undo")
        for index, now in enumerate(self.state.steps):
            for direction in directions:
                run: Run | None = getattr(now, direction)
                if run is not None and step in (None, index):
                    self.allowed[index, direction, run.generation] += 1

    def other_hand(self, name: str) -> None:
        """Let somebody else change a resource."""
        self.others.add(name)
        self.world[name] = f"somebody else's, {self.now}"

    # --- time ------------------------------------------------------------------------------------------------------

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds
        self.say(m.Tick())

    def to_wake(self) -> None:
        """Let time pass until the machine wants to be looked at again."""
        due = wake(self.plan, self.state, self.now)
        self.pass_time(max(0, (due or 0) - self.now))

    # --- the end ---------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """From here on everything goes well and the operator is honest: the saga must end, whatever it has been through."""
        for _ in range(60 * len(self.plan.steps) + 60):
            if self.state.status in ENDED:
                return
            self.calm_step()
        raise AssertionError(f"the saga does not end: {self.state}")

    def calm_step(self) -> None:
        """Do the next thing that a friendly world would do."""
        if self.state.quarantine is not None:
            self.operator("resume", 0, flag=True)
        elif self.flights:
            self._calm_end(min(self.flights, key=repr))
        elif self.wanted(Settle):
            self.settle(self.wanted(Settle)[0], well=True)
        elif self.wanted(Prepare):
            self.prepare(self.wanted(Prepare)[0], well=True)
        elif due := [want for want in self.wanted(Poll) if want.due <= self.now]:
            self._calm_end(due[0])
        elif not self.admitted:
            self.admit()
        elif locked := self.state.seen.locked:
            self.say(m.Granted(step=locked[0][0]))
        elif self.state.hold is None:
            assert wake(self.plan, self.state, self.now) is not None, (
                "nothing holds it, and nothing will move it"
            )
            self.to_wake()
        else:
            self._calm_word(self.state.hold.detail)

    def _calm_end(self, want: Perform | Poll) -> None:
        self.end(want, self.outcomes(want)[0])

    def _calm_yes(self) -> m.Reply:
        """Somebody approves who has not yet."""
        yes = {who for _, ask in asking(self.plan, self.state) for who in ask.given}
        by = next(who for who in ("eve", "ivy", "una", "zoe") if who not in yes)
        reply = self.say(m.Approve(by=by, roles=("viewer", "operator", "admin")))
        assert reply is not None
        return reply

    def _calm_word(self, detail: str) -> None:
        """An honest operator does what the hold says, one thing at a time."""
        steps = self.state.steps
        at = column(self.plan, self.state)
        unknown = [
            i for i, s in enumerate(steps) if s.status == "unknown" or (s.undo and s.undo.phase == "unknown")
        ]
        held = [i for i, s in enumerate(steps) if s.open or (s.undo and s.undo.phase == "conflict")]
        if self.state.stuck is not None:
            reply = self.operator("retry", 0, flag=False)
        elif unknown:
            reply = self.operator(self.truth(unknown[0]) or "failed", unknown[0], flag=True)
        elif held:
            reply = self.operator("skip", held[0], flag=True)
        elif at == "stopped":
            reply = self.operator("cancel", 0, flag=False)
        elif self.state.hold is not None and self.state.hold.reason == "approval":
            reply = self._calm_yes()
        elif at == "past":
            reply = self.operator("rollback", 0, flag=True)
        else:
            reply = self.operator("resume", 0, flag=False)
        assert reply.did == "accepted", (reply, detail)

    # --- anything --------------------------------------------------------------------------------------------------

    VERBS = (
        "pause", "resume", "retry", "skip", "done", "failed", "again", "cancel", "rollback", "abandon", "approve", "approve", "reject",
    )  # fmt: skip

    def anything(self) -> None:
        """Let something happen that can."""
        rare = ["time"] if self.alone and not self.choose.chance(6) else ["time", "time", "word", "rare"]
        options = rare + ["end"] * 6 * bool(self.flights) + ["prepare"] * 6 * bool(self.wanted(Prepare))
        options += (
            ["batch"] * 2 * (not self.admitted or bool(self.state.status in ENDED and self.state.locks))
        )
        options += ["lock"] * 2 * bool(self.state.seen.locked)
        options += ["settle"] * 6 * bool(self.wanted(Settle)) + ["poll"] * 3 * bool(self.wanted(Poll))
        getattr(self, f"some_{self.choose.of(options)}")()

    def some_time(self) -> None:
        """Let some time pass."""
        how_long = self.choose.of((None, 1, 1_000, 30_000))
        self.to_wake() if how_long is None else self.pass_time(how_long)

    def some_word(self) -> None:
        """Let an operator say something; what fits the moment more often than not."""
        steps = range(len(self.plan.steps))
        self.operator(self.choose.of(self.VERBS), self.choose.of(steps), flag=self.choose.chance(2))

    def some_end(self) -> None:
        """Let a call end."""
        want = self.choose.of(sorted(self.flights, key=repr))
        if (
            interrupted(self.plan, self.state, want.step)
            and want.direction != "undo"
            and self.choose.chance(2)
        ):
            self.end(want, self.choose.of(("nothing and lost", "lost answer")))
        else:
            self.end(want)

    def some_prepare(self) -> None:
        """Let an intent be prepared."""
        self.prepare(self.choose.of(self.wanted(Prepare)))

    def some_settle(self) -> None:
        """Let an outcome be settled."""
        self.settle(self.choose.of(self.wanted(Settle)))

    def admit(self) -> None:
        """Let its batch let it start."""
        self.admitted = True
        self.say(m.Admit())

    def some_batch(self) -> None:
        """Let its batch say something."""
        if not self.admitted and self.choose.chance(2):
            self.admit()
        else:
            self.say(m.BatchEnded())

    def some_lock(self) -> None:
        """Let a lock be set free, or a deadlock be found."""
        self.say(
            self.choose.of(
                (
                    m.Granted(step=self.state.seen.locked[0][0]),
                    m.Deadlocked(sagas=("another", "this one"), turns=True),
                    m.Deadlocked(sagas=("another", "this one"), turns=False),
                )
            )
        )

    def some_poll(self) -> None:
        """Ask how something goes on."""
        self.end(self.choose.of(self.wanted(Poll)))

    def some_rare(self) -> None:
        """Let something happen that seldom does."""
        rare = self.choose.of(("other", "crash", "stale", "rebuild", "quarantine", "restore"))
        if rare == "other":
            self.other_hand(self.choose.of([touch.name for touch in RESOURCES]))
        elif rare == "crash":
            self.crash()
        elif rare == "stale":
            self.stale()
        elif rare == "rebuild":
            self.say(m.Rebuild(why="its checkpoint was damaged"))
        elif rare == "restore":
            self.say(m.Restore(why="it came back with a backup"))
        else:
            self.say(m.Quarantine(why="it crashed"))

    def stale(self) -> None:
        """Let something come in that nobody waits for: nothing may change but the record."""
        step = self.choose.of(range(-1, len(self.plan.steps) + 1))
        head: dict[str, Any] = {
            "step": step,
            "direction": self.choose.of(("forward", "undo", "hook")),
            "generation": 99,
        }
        before = self.state
        self.say(
            self.choose.of(
                (
                    m.Answered(**head, attempt=1, kind=self.choose.of(KINDS), error=BOOM),
                    m.Found(**head, attempt=1, kind="done"),
                    m.Prepared(**head, execution="?", payload="?"),
                    m.NotPrepared(**head, error=BOOM),
                    m.Blocked(**head, resource=RESOURCES[0], behind="another"),
                )
            )
        )
        timeless = msgspec.structs.replace(self.state, updated_at=before.updated_at)
        assert timeless == before or self.now >= (before.deadline or self.now)


KINDS: tuple[Any, ...] = (
    "succeeded",
    "failed",
    "partial",
    "compensated",
    "unknown",
    "working",
    "lost",
    "already",
    "conflict",
    "postponed",
)
