"""Runs written down step by step, in the simulated world and under the same laws as the random ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actors.saga import messages as m
from actors.saga.plan import Batch, Hook, Plan, PlanStep, Undo
from actors.saga.state import Error, Touch
from actors.saga.wants import Perform, Poll, Prepare, Settle
from tests.machine.cases import Case, Chooser, Driver, Way
from tests.machine.reached import Reached
from tests.machine.simulation import Simulation

FINDS, REPEATS, NEITHER = Way(finds=True), Way(repeats=True), Way()


def touch(name: str) -> Touch:
    """A file of its own."""
    return Touch(type="local.file", name=f"/{name}", path=f"/{name}")


def put(resource: Touch | None, way: Way = FINDS, undo: Way = FINDS) -> Driver:
    """A step that changes one resource and can be taken back."""
    return Driver(resource, "restore" if resource is not None else "nothing", way, undo, hook=way)


DRIVERS = (put(touch("c")), put(touch("a/b")), put(Touch(type="service", name="x")), put(touch("a")))


NO_WAY_BACK = Driver(touch("z"), "none", FINDS, FINDS, FINDS)


class Script(Simulation):
    """One saga whose every turn is told."""

    def __init__(
        self,
        *steps: PlanStep | None,
        drivers: Sequence[Driver] = (),
        reached: Reached | None = None,
        choose: Chooser | None = None,
        queued: bool = False,
        keeps_locks: bool = False,
        **plan: Any,
    ) -> None:
        made = tuple(
            msgspec.structs.replace(step or PlanStep(0, "", ""), index=i, name=f"s{i}", operation="test.put")
            for i, step in enumerate(steps)
        )
        case = Case(
            Plan(kind="told", steps=made, **plan),
            tuple(drivers) or DRIVERS[: len(made)],
            plan.get("deadline"),
            queued,
            keeps_locks,
        )
        super().__init__(case, choose or Chooser(lambda options: options[0]), reached)

    def temper(self) -> tuple[int, bool]:
        """Nothing is left to chance."""
        return 0, True

    def go(self, *hows: str) -> Script:
        """Let that many executions begin and end, one after the other, in these ways."""
        for how in hows:
            if not self.flights:
                self.prepare(self.wanted(Prepare)[0], well=True)
            self.end(min(self.flights, key=repr), how)
        return self

    def begin(self) -> Script:
        """Write the next intent."""
        self.prepare(self.wanted(Prepare)[0], well=True)
        return self

    def found(self) -> Script:
        """Settle what is to be settled."""
        self.settle(self.wanted(Settle)[0], well=True)
        return self

    def asked(self, how: str) -> Script:
        """Ask how something goes on, which has ended in this way."""
        self.to_wake()
        self.end(self.wanted(Poll)[0], how)
        return self

    def refuse(self, *, stuck: bool = False) -> Script:
        """Let the next intent not be written, for good or until somebody mends the node."""
        want = self.wanted(Prepare)[0]
        head = {"step": want.step, "direction": want.direction, "generation": want.generation}
        self.say(m.NotPrepared(**head, error=Error("gone", "it cannot be prepared"), stuck=stuck))
        return self

    def call(self) -> Perform:
        """Give the one call that is with a driver."""
        (want,) = self.flights
        return want

    @property
    def statuses(self) -> list[str]:
        """The steps' statuses."""
        return [step.status for step in self.state.steps]


def step(**fields: Any) -> PlanStep:
    """A step with these fields."""
    return PlanStep(0, "", "", **fields)


IRREVERSIBLE = step(irreversible=True)
HOOKED = step(hook=Hook("test.tell"))


def forward() -> Script:
    """The first of three steps is running."""
    return Script(None, None, None).begin()


def pending() -> Script:
    """Nothing has started."""
    return Script(None, None, None)


def unknown() -> Script:
    """Nobody knows what became of the second of three steps."""
    drivers = (DRIVERS[0], put(touch("a/b"), NEITHER), DRIVERS[2])
    return Script(None, None, None, drivers=drivers).go("succeeded", "lost answer").found()


def stopped() -> Script:
    """The second of three steps failed, and ``on_failure`` is hold."""
    return Script(None, None, None, on_failure="hold").go("succeeded", "failed")


def past() -> Script:
    """The third of three steps failed, the first is irreversible, the second was taken back."""
    return Script(IRREVERSIBLE, None, None).go("succeeded", "succeeded", "failed", "succeeded")


def back() -> Script:
    """The third of three steps failed; the undo of the second is running, that of the first is still to come."""
    return Script(None, None, None).go("succeeded", "succeeded", "failed").begin()


def undo_failed() -> Script:
    """An undo failed, and ``on_undo_failure`` is hold."""
    script = Script(None, None, None, on_undo_failure="hold")
    return script.go("succeeded", "succeeded", "failed", "failed")


def undo_unknown() -> Script:
    """Nobody knows what became of an undo."""
    drivers = (DRIVERS[0], put(touch("a/b"), undo=NEITHER), DRIVERS[2])
    script = Script(None, None, None, drivers=drivers)
    return script.go("succeeded", "succeeded", "failed", "lost answer").found()


def undo_conflict() -> Script:
    """Somebody else has changed what an undo would put back."""
    script = Script(None, None, None).go("succeeded", "succeeded", "failed")
    script.other_hand("/a/b")
    return script.go("conflict")


def completed() -> Script:
    """All three steps are done."""
    return Script(None, None, None).go("succeeded", "succeeded", "succeeded")


def failed() -> Script:
    """An undo failed for good."""
    return Script(None, None, None).go("succeeded", "succeeded", "failed", "failed", "succeeded")


def reopened() -> Script:
    """An undo failed for good, and the operator has it tried again."""
    script = failed()
    script.operator("retry", 1, flag=True)
    return script


def restored() -> Script:
    """It came back with a backup while its first step was being called."""
    script = forward()
    script.say(m.Restore(why="it came back with a backup"))
    return script


def rolled_back() -> Script:
    """Everything was taken back."""
    return Script(None, None, None).go("succeeded", "succeeded", "failed", "succeeded", "succeeded")


def kept_then_done() -> Script:
    """What was kept on the way back, after an irreversible step, is done when the saga goes forward again."""
    drivers = (DRIVERS[0], Driver(touch("a/b"), "none", FINDS, FINDS), DRIVERS[2])
    script = Script(IRREVERSIBLE, step(undo=Undo(form="none")), None, drivers=drivers)
    script.go("succeeded", "succeeded", "failed")
    script.operator("retry", 0, flag=False)
    return script.go("succeeded")


def kept_then_skipped() -> Script:
    """A part that was kept on the way back is skipped."""
    script = Script(IRREVERSIBLE, None, on_failure="compensate").go("succeeded", "partial", "failed")
    script.operator("retry", 1, flag=True)
    script.operator("skip", 1, flag=True)
    script.operator("skip", 1, flag=True)
    return script


def kept_then_anew() -> Script:
    """A failed step whose undo (``undo_when: started``) was skipped starts anew."""
    script = Script(IRREVERSIBLE, step(undo_when="started")).go("succeeded", "failed")
    script.operator("skip", 1, flag=True)
    script.operator("retry", 1, flag=True)
    return script.go("succeeded")


def anew_then_cancelled() -> Script:
    """What was taken back and what had failed are to start anew, and the saga is taken back before they do."""
    script = Script(IRREVERSIBLE, None, None, None).go("succeeded", "succeeded", "failed", "succeeded")
    script.operator("retry", 0, flag=False)
    script.operator("cancel", 0, flag=False)
    script.operator("rollback", 0, flag=True)
    return script


def kept_in_between() -> Script:
    """What has no way back stays done while what came before it is taken back, and starts anew with what comes after."""
    kept = step(undo=Undo(form="none"))
    script = Script(IRREVERSIBLE, None, kept, None, None, drivers=(*DRIVERS[:2], NO_WAY_BACK, *DRIVERS[2:]))
    script.go("succeeded", "succeeded", "succeeded", "succeeded", "failed", "succeeded", "succeeded")
    script.operator("skip", 4, flag=False)
    return script


def unprepared_then_skipped() -> Script:
    """A step whose intent could not be written so far is skipped."""
    script = Script(None, None, on_failure="hold").go("succeeded")
    want = script.wanted(Prepare)[0]
    head = {"step": want.step, "direction": want.direction, "generation": want.generation}
    script.say(m.NotPrepared(**head, error=Error("unresolved", "it cannot be read"), transient=True))
    script.operator("skip", 1, flag=False)
    return script


def kept_then_hooked() -> Script:
    """What was kept on the way back before its hook had begun has it run when the saga goes forward again."""
    drivers = (DRIVERS[0], NO_WAY_BACK)
    script = Script(IRREVERSIBLE, step(undo=Undo(form="none"), hook=Hook("test.tell")), drivers=drivers)
    script.go("succeeded", "succeeded")
    script.operator("cancel", 0, flag=False)
    script.operator("retry", 0, flag=False)
    return script.go("succeeded")


def kept_then_hooked_late() -> Script:
    """The same, where a step that comes before it was taken back."""
    kept = step(undo=Undo(form="none"), hook=Hook("test.tell"))
    script = Script(IRREVERSIBLE, None, kept, drivers=(*DRIVERS[:2], NO_WAY_BACK))
    script.go("succeeded", "succeeded", "succeeded")
    script.operator("cancel", 0, flag=False)
    script.go("succeeded")
    script.operator("retry", 0, flag=False)
    return script


def undone_before_its_hook() -> Script:
    """The saga turned before the hook began; the undo cannot be prepared, then fails, and is tried once more."""
    script = Script(None, HOOKED, on_undo_failure="hold").go("succeeded", "succeeded")
    script.operator("cancel", 0, flag=False)
    script.refuse()
    script.operator("retry", 1, flag=True)
    return script.go("succeeded", "succeeded")


def cleaned_up_then_skipped() -> Script:
    """A failed step whose driver has cleaned up is skipped."""
    script = Script(None, on_failure="hold").go("compensated")
    script.operator("skip", 0, flag=True)
    return script


def part_blocked() -> Script:
    """A part cannot be taken back, because what was done to the same resource after it cannot."""
    drivers = (put(touch("c")), put(touch("c")))
    best = Batch("best_effort")
    script = Script(None, None, drivers=drivers, graph=True, on_failure="stop", batch=best)
    script.go("partial").begin()
    script.operator("cancel", 0, flag=False)
    return script.go("succeeded", "failed")


def failure_accepted() -> Script:
    """An undo failed, and the operator accepts that."""
    script = undo_failed()
    script.operator("failed", 1, flag=True)
    return script


def undone_by_hand() -> Script:
    """An undo failed, and the operator has done it."""
    script = undo_failed()
    script.operator("done", 1, flag=True)
    return script


def undo_asks() -> Script:
    """The second of three steps was taken back; the undo of the first waits for approval."""
    script = Script(step(asks_undo=True), None, None).go("succeeded", "succeeded", "failed", "succeeded")
    return script.begin()


def undo_rejected() -> Script:
    """It was rejected."""
    script = undo_asks()
    script.operator("reject", 0, flag=True)
    return script


def repaired() -> Script:
    """The undo that failed was done by hand, long after the saga had ended."""
    script = failed()
    script.operator("done", 1, flag=True)
    return script


TOLD = (
    failure_accepted, undone_by_hand, undo_asks, undo_rejected, forward, pending, unknown, stopped, past, back,
    undo_failed, undo_unknown, undo_conflict, completed, failed, rolled_back, kept_then_done, kept_then_skipped,
    kept_then_anew, cleaned_up_then_skipped, part_blocked, kept_then_hooked, kept_then_hooked_late, undone_before_its_hook, repaired,
    reopened, restored, anew_then_cancelled, kept_in_between, unprepared_then_skipped,
)  # fmt: skip
