"""What a saga is at one moment: the checkpoint's contents.

Everything here is small: payloads (arguments, outputs, images) stay with their executions, and only digests of them
pass through the events. A ``State`` is frozen; ``machine.evolve`` makes the next one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import msgspec

MACHINE = 1
"""The machine's version. A checkpoint made by another one is thrown away and folded anew from the events."""

Status = Literal["pending", "running", "compensating", "completed", "rolled_back", "failed"]
StepStatus = Literal[
    "pending",
    "running",
    "completed",
    "failed",
    "unknown",
    "compensating",
    "compensated",
    "compensation_failed",
    "kept",
    "skipped",
]
Direction = Literal["forward", "hook", "undo"]
"""Of an execution: the step itself, what it has run after its success, and what takes it back."""
Phase = Literal["calling", "polling", "retrying", "settling", "unknown", "conflict", "over"]
Nature = Literal["forward", "restore", "correct"]
WayBack = Literal["restore", "correct", "none", "nothing"]
Hold = Literal["quarantined", "attention", "paused", "approval", "lock"]
ErrorCode = Literal[
    "step_failed",
    "cancelled",
    "rejected",
    "expired",
    "deadline",
    "deadlock",
    "hook_failed",
    "finalize_failed",
    "internal",
]

ENDED: frozenset[Status] = frozenset({"completed", "rolled_back", "failed"})
DONE: frozenset[StepStatus] = frozenset({"completed", "skipped"})
"""What must be so of every step that comes before, for a step to start."""
HOLDS: tuple[Hold, ...] = ("quarantined", "attention", "paused", "approval", "lock")
"""In the order in which they are shown."""


class Error(msgspec.Struct, frozen=True):
    """Why something failed. ``step`` is the name of the step at fault."""

    code: str
    message: str
    step: str | None = None


class Touch(msgspec.Struct, frozen=True, omit_defaults=True):
    """The resource that a step touches: see ``providers.contract.Resource``, whose rule ``overlaps`` repeats.

    The machine knows no providers; a test holds the two rules against each other.
    """

    type: str
    name: str
    id: str | None = None
    path: str | None = None

    def overlaps(self, other: Touch) -> bool:
        """Tell whether the two are the same resource, or one encloses the other."""
        if self.path is not None and other.path is not None:
            a, b = self.path.rstrip("/") + "/", other.path.rstrip("/") + "/"
            return a.startswith(b) or b.startswith(a)
        if self.type != other.type:
            return False
        if self.id is not None and other.id is not None:
            return self.id == other.id
        return self.name == other.name

    def covers(self, other: Touch) -> bool:
        """Tell whether the lock of this one is the lock of the other, too: the same resource, or one that lies below."""
        if self.path is not None and other.path is not None:
            return (other.path.rstrip("/") + "/").startswith(self.path.rstrip("/") + "/")
        return self.overlaps(other)

    @property
    def label(self) -> str:
        """Name it for people."""
        return self.path or f"{self.type} {self.name}"


class Move(msgspec.Struct, frozen=True):
    """A resource of this type that had one id has another one now: its deletion was taken back, and it was made anew."""

    type: str
    id: str
    to: str


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """The current execution of a step in one direction.

    ``calling``: attempt number ``attempt`` is with the driver. ``polling``: the driver answered working; ask again at
    ``due``. ``retrying``: the last attempt failed; the next one starts at ``due``. ``settling``: the attempt is over
    and nobody knows yet what it did; that is found out, where it is ``postponed`` not before ``due``. ``unknown``: nobody could find out. ``conflict`` (undo only): somebody else
    changed the resource. ``over``: it has its outcome.
    """

    generation: int
    execution: str = ""
    attempt: int = 0
    """Calls begun. 0: not even prepared yet (preparing failed and is tried again)."""
    spent: int = 0
    """Attempts that ended badly by themselves: these count against ``retry.attempts``; crashes of ours do not."""
    phase: Phase = "calling"
    due: int = 0
    since: int = 0
    """When the attempt that is being settled ended."""
    changes: bool = True
    repeats: bool = False
    """Safe to call again with the same key."""
    finds: bool = False
    """Its driver can find out."""
    force: bool = False
    """Undo over what somebody else has changed: the operator, or ``on_conflict``, said so."""
    doubt: bool = False
    """It is being repeated though an earlier attempt may have done it: a failure now settles nothing."""
    interrupt: bool = False
    """The attempt that is running is to be interrupted (``cancel --now``, ``abandon``)."""
    began: int = 0
    """When the current attempt began."""
    error: Error | None = None
    """Why the last attempt did not succeed, or why it is unknown or in conflict."""
    postponed: str = ""
    """Why the service that it has to ask is not asked before ``due``. An attempt that was to begin is still to come."""


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """An approval that was asked for: of exactly what ``hash`` is of."""

    hash: str
    since: int
    due: int | None = None
    """When it expires."""
    irreversible: bool = False
    given: tuple[str, ...] = ()
    """Who has approved."""
    approved: bool = False
    """As many as are needed."""
    message: str = ""
    """What is asked, in the file's own words."""
    reason: str | None = None
    """Of whoever gave one last."""


class LockWait(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lock that a step waits for, in one direction."""

    resource: Touch
    since: int
    due: int | None = None
    """When the step gives up waiting."""


class StepState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step."""

    status: StepStatus = "pending"
    number: int = 0
    """Start number: unwinding goes by it, never by time."""
    forward: Run | None = None
    hook: Run | None = None
    undo: Run | None = None
    way_back: WayBack = "nothing"
    """What an undo would be: known once it was prepared."""
    did: bool = False
    """There is something to take back (completed, adopted, partial; or started, where ``undo_when`` says so)."""
    owes_hook: bool = False
    """It is done itself, and its hook has not succeeded since: it is not completed."""
    partial: bool = False
    """It failed, and something exists of it."""
    stays: bool = False
    """Late repair leaves it as it is."""
    undo_started: bool = False
    """``undo_when: started``: its undo runs also if the step failed."""
    failing: bool = False
    """It is why the saga cannot go forward; a retry or a skip by the operator clears it."""
    open: bool = False
    """Its undo failed and waits for the operator's word (``on_undo_failure: hold``)."""
    irreversible: bool = False
    resource: Touch | None = None
    ask: Ask | None = None
    """The approval that it needs to start."""
    undo_ask: Ask | None = None
    """The approval that its undo needs."""
    behind: int | None = None
    """It may start only after this other step of the saga is over: they touch the same resource."""
    lock: LockWait | None = None
    """It, or its undo, may start only when another saga has let go of what it touches."""
    given: dict[str, str] | None = None
    """Outputs that the operator gave when skipping it."""
    error: Error | None = None
    left: str | None = None
    """Why something of it is left behind."""
    was: Literal["compensated", "failed"] | None = None
    """How it had ended when it was told to begin anew. It stays that if it never does."""
    started_at: int | None = None
    finished_at: int | None = None

    @property
    def asks(self) -> bool:
        """Somebody must say how it goes on with this step, or with its undo."""
        if self.status == "unknown" or self.open:
            return True
        undo = self.undo
        return self.status == "compensating" and undo is not None and undo.phase in ("unknown", "conflict")

    @property
    def at_hook(self) -> bool:
        """Whatever is going on with it forward is its hook, which may not have begun."""
        return self.owes_hook and self.status in ("running", "unknown")

    @property
    def awaits_hook(self) -> bool:
        """Its hook is what comes next; what there may be of one is from an earlier start."""
        waits = self.owes_hook and self.status == "running"
        return waits and (self.hook is None or self.hook.phase == "over")

    @property
    def hook_failed(self) -> bool:
        """It was done itself, and its hook failed: it is taken back at once, before anything else of the saga."""
        return self.failing and self.owes_hook

    @property
    def undo_held(self) -> bool:
        """Its undo waits for the operator's word: it failed, is in conflict, or nobody knows what it did."""
        asks = self.undo is not None and self.undo.phase in ("unknown", "conflict")
        return self.open or (self.status == "compensating" and asks)

    @property
    def remains(self) -> bool:
        """It failed, and yet something of it is there, which a new start would know nothing of."""
        there = self.partial or self.hook_failed
        return there and self.status in ("failed", "kept")

    @property
    def no_return(self) -> bool:
        """It is irreversible and done, if only partly: what came before it cannot simply be taken back."""
        done = self.partial or self.hook_failed or not self.failing
        return self.irreversible and self.did and not self.stays and done


class Glance(msgspec.Struct, frozen=True):
    """What nearly every question about a state needs to know of its steps, seen in one pass over them."""

    runs: tuple[tuple[int, Direction, Run], ...]
    """Every execution that has no outcome yet."""
    pending: tuple[int, ...]
    """The steps that were not started."""
    hooks: tuple[int, ...]
    """The steps that are done and whose hook has not begun."""
    anew: bool
    """Some step that was told to begin anew is not done again: what comes after it may be done all the same."""
    done: bool
    """All steps are."""
    failing: bool
    """Some step is; and so with those below."""
    asking: tuple[tuple[int, Ask], ...]
    """The steps that wait for an approval to start."""
    undo_asking: tuple[tuple[int, Ask], ...]
    """Those whose undo does."""
    locked: tuple[tuple[int, LockWait], ...]
    """The steps that wait for another saga's lock."""
    unknown: bool
    open: bool
    asks: bool
    no_return: bool


def glance(steps: tuple[StepState, ...]) -> Glance:
    """Look at all steps once."""
    runs: list[tuple[int, Direction, Run]] = []
    pending: list[int] = []
    hooks: list[int] = []
    asking: list[tuple[int, Ask]] = []
    undo_asking: list[tuple[int, Ask]] = []
    locked: list[tuple[int, LockWait]] = []
    anew, done, failing, unknown, open_, asks, no_return = False, True, False, False, False, False, False
    for index, step in enumerate(steps):
        status, forward, hook, undo = step.status, step.forward, step.hook, step.undo
        if forward is not None and forward.phase != "over":
            runs.append((index, "forward", forward))
        if hook is not None and hook.phase != "over":
            runs.append((index, "hook", hook))
        if undo is not None and undo.phase != "over":
            runs.append((index, "undo", undo))
        if status == "pending":
            pending.append(index)
        elif step.owes_hook and step.awaits_hook:
            hooks.append(index)
        if step.lock is not None:
            locked.append((index, step.lock))
        if step.ask is not None or step.undo_ask is not None:
            _questions(index, step, asking, undo_asking)
        if status not in DONE:
            done = False
            anew = anew or step.was is not None
            unknown = unknown or status == "unknown"
            asks = asks or step.asks
        failing = failing or step.failing
        open_ = open_ or step.open
        no_return = no_return or (step.irreversible and step.no_return)
    return Glance(
        tuple(runs),
        tuple(pending),
        tuple(hooks),
        anew,
        done,
        failing,
        tuple(asking),
        tuple(undo_asking),
        tuple(locked),
        unknown,
        open_,
        asks or open_,
        no_return,
    )


def _questions(
    index: int, step: StepState, asking: list[tuple[int, Ask]], undo_asking: list[tuple[int, Ask]]
) -> None:
    """Note what a step asks for that nobody has approved yet."""
    if step.ask is not None and not step.ask.approved and step.status in ("pending", "running"):
        asking.append((index, step.ask))
    if step.undo_ask is not None and not step.undo_ask.approved:
        undo_asking.append((index, step.undo_ask))


class Cancel(msgspec.Struct, frozen=True):
    """Somebody asked for the way back."""

    by: str
    at: int
    reason: str | None = None
    now: bool = False


class Pause(msgspec.Struct, frozen=True):
    """Somebody asked that nothing new be started."""

    by: str
    at: int
    reason: str | None = None


class Held(msgspec.Struct, frozen=True):
    """The hold as shown: the first reason of all that apply, and all of them in words."""

    reason: Hold
    since: int
    detail: str


class State(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """One saga."""

    created_at: int
    steps: tuple[StepState, ...]
    status: Status = "pending"
    numbers: int = 0
    """Start numbers given out."""
    deadline: int | None = None
    error: Error | None = None
    turn: Error | None = None
    """The way back is decided and begins when nothing is running any more; this is why."""
    culprit: int | None = None
    """The step that failed first: others may have been stopped because of it."""
    cancel: Cancel | None = None
    past: bool = False
    """Told to go past irreversible steps."""
    paused: bool = False
    pause: Pause | None = None
    """Who paused it, and why, where it is paused."""
    quarantine: str | None = None
    """Why it is left alone until somebody resumes it: nothing of it is started, and nothing of it settled."""
    restored: bool = False
    """That is because it came back with a backup."""
    stuck: str | None = None
    """Cannot go on without somebody: a driver is gone or of another major version."""
    abandoned: str | None = None
    ask: Ask | None = None
    """The approval that it needs before anything starts."""
    queued: bool = False
    """It waits for its batch to let it start."""
    moves: tuple[Move, ...] = ()
    """Which resources have other ids by what it took back, in that order."""
    locks: tuple[Touch, ...] = ()
    """What no other saga may touch until this one has ended."""
    keeps_locks: bool = False
    """When it has completed it keeps them until its batch is over."""
    takes_back: bool = False
    """It takes back another saga, so it never turns back for anybody's sake but its operator's."""
    deadlock: str | None = None
    """It waits for a lock whose holder waits for one of its own, and none of them can turn back."""
    hold: Held | None = None
    updated_at: int = 0
    finished_at: int | None = None

    def has_lock(self, resource: Touch) -> bool:
        """Tell whether the saga's locks cover a resource."""
        return any(lock.covers(resource) for lock in self.locks)

    @cached_property
    def seen(self) -> Glance:
        """Look at its steps: once, however many questions are asked of one state (a turn asks a dozen)."""
        return glance(self.steps)
