"""The compiled form of a saga file: what a saga keeps of it, for good.

Made by ``orchestrator.files`` once everything in the file has been checked; later edits of the file do not touch it.
Equal plans have equal digests and are stored once. Arguments stay templates (``references``): they are resolved just
before their step runs. All durations are milliseconds.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import msgspec

from actors.saga.state import Direction

OnFailure = Literal["compensate", "stop", "hold"]
OnUndoFailure = Literal["continue", "hold"]
OnConflict = Literal["hold", "force", "skip"]


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often and how patiently an attempt that failed is made again."""

    attempts: int = 3
    delay: int = 1_000
    factor: float = 2.0
    max_delay: int = 30_000
    on: tuple[Literal["transient", "rate_limited", "failed"], ...] = ("transient", "rate_limited")

    def wait(self, spent: int) -> int:
        """Give the milliseconds to wait after ``spent`` attempts (1 or more) have failed."""
        wait = float(self.delay)
        for _ in range(min(spent - 1, 64)):
            wait = min(wait * self.factor, self.max_delay)
        return int(min(wait, self.max_delay))


UNDO_RETRY = Retry(attempts=10, max_delay=60_000)


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The way back of a step: ``restore`` (derived from the driver), ``given`` (an operation of its own) or ``none``."""

    form: Literal["restore", "given", "none"] = "restore"
    operation: str = ""
    arguments: dict[str, Any] = {}
    """A template; here ``${self.FIELD}`` is the step's own outputs."""


class Hook(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is run once a step has created, changed or deleted something, before the step counts as completed."""

    operation: str
    arguments: dict[str, Any] = {}
    """A template; here ``${self.FIELD}`` is the step's own outputs."""
    driver_version: str = ""


class Approvals(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who must say yes, how many of them, and for how long they are asked. When is ``start`` and ``PlanStep.asks``."""

    start: bool = False
    """Before anything starts."""
    approvers: tuple[str, ...] = ()
    """Users and roles; none: whoever may steer sagas, and for what is irreversible an admin."""
    quorum: int = 1
    four_eyes: bool = False
    """Not the one who submitted."""
    expires: int | None = None


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a saga whose steps are sagas goes about them."""

    mode: Literal["all_or_nothing", "best_effort"] = "all_or_nothing"
    """``best_effort``: a failing one is no reason not to start the others."""
    parallel: int | None = None
    """How many may be under way at once; None: all."""


class Action(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a stack's plan does about one resource, and which steps bring it about."""

    action: Literal["create", "update", "replace", "delete"]
    type: str
    name: str
    make: tuple[int, ...] = ()
    """The steps that create or change it, in order; of a replacement the new one's."""
    gone: int | None = None
    """The step that deletes it; of a replacement the old one's."""
    needs: tuple[str, ...] = ()
    """The resources of the stack that it needs: kept with its record, so that it is deleted before them."""
    protect: bool = False

    @property
    def steps(self) -> tuple[int, ...]:
        """Give all its steps."""
        return self.make if self.gone is None else (*self.make, self.gone)


class Stack(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a saga that applies a stack file brings about."""

    name: str
    actions: tuple[Action, ...]
    """In order; each has exactly one outcome once the saga has ended."""
    finalizers: tuple[int, ...] = ()
    """The steps that come last, one for each type that wants it."""


class PlanStep(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """One step of a plan."""

    index: int
    name: str
    operation: str
    """``TYPE.VERB``"""
    arguments: dict[str, Any] = {}
    needs: tuple[int, ...] = ()
    """Steps that this one needs directly: by ``needs`` and by reference. Sorted."""
    refers: tuple[tuple[int, str], ...] = ()
    """(step, field) of each output that its arguments refer to; its hook's and its undo's as well."""
    hook: Hook | None = None
    """Of the file's hooks and its own the one for what its verb does."""
    undo: Undo = Undo()
    undo_when: Literal["completed", "started"] = "completed"
    undo_retry: Retry = UNDO_RETRY
    irreversible: bool = False
    idempotent: bool = False
    retry: Retry = Retry()
    timeout: int | None = None
    lock_timeout: int | None = None
    on_conflict: OnConflict | None = None
    alias: str | None = None
    """``as``: the resource's name, where the user gives one."""
    keep: bool = True
    driver_version: str = ""
    asks: Literal["never", "irreversible", "each"] = "never"
    """Whether it needs an approval of its resolved arguments: always, or where it is irreversible."""
    approvals: Approvals | None = None
    """Who is asked, and for how long, where the step says so itself (``wait.approval``)."""
    asks_undo: bool = False
    """Whether its undo needs an approval of what it would do."""
    takes_back: int | None = None
    """In a rollback saga: the index of the original's step that this one takes back. ``operation`` is then only what is
    expected to be done; what is done is made from the original's record just before."""
    instead_of: str | None = None
    """Of what it creates: the identity on record of what that replaces, which is not there any more."""

    def asked(self, direction: Direction) -> PlanStep | Hook | Undo:
        """Give what holds the operation of this direction and its arguments."""
        if direction == "forward":
            return self
        return self.undo if direction == "undo" or self.hook is None else self.hook

    @property
    def type(self) -> str:
        """The resource type: the operation without its verb."""
        return self.operation.rpartition(".")[0]

    @property
    def verb(self) -> str:
        """The verb."""
        return self.operation.rpartition(".")[2]


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A compiled saga file."""

    kind: str
    steps: tuple[PlanStep, ...]
    description: str = ""
    graph: bool = False
    """Some step has ``needs``: order is by need alone. Otherwise one after the other."""
    on_failure: OnFailure = "compensate"
    on_undo_failure: OnUndoFailure = "continue"
    on_conflict: OnConflict = "hold"
    deadline: int | None = None
    approvals: Approvals = Approvals()
    batch: Batch | None = None
    """Its steps are sagas (``actors/batch``), none of which needs another."""
    stack: Stack | None = None
    """It applies a stack file."""

    def rules(self, step: int | None) -> Approvals:
        """Give the rules for approvals of a step's start, or of anything else (None)."""
        own = None if step is None else self.steps[step].approvals
        return own or self.approvals

    @property
    def members(self) -> tuple[str, ...]:
        """The sagas of a batch, in the order of their steps; none where this is no batch."""
        return () if self.batch is None else tuple(step.arguments["saga"] for step in self.steps)

    @cached_property
    def action_of(self) -> dict[int, Action]:
        """Step -> the action of the stack that it is a part of."""
        actions = () if self.stack is None else self.stack.actions
        return {step: action for action in actions for step in action.steps}

    @cached_property
    def by_name(self) -> dict[str, int]:
        """Step name -> index."""
        return {step.name: step.index for step in self.steps}

    @cached_property
    def after(self) -> tuple[tuple[int, ...], ...]:
        """For each step, those that must be done before it may start."""
        if self.graph:
            return tuple(step.needs for step in self.steps)
        return tuple((index - 1,) if index else () for index in range(len(self.steps)))

    @cached_property
    def needs(self) -> tuple[frozenset[int], ...]:
        """For each step, all that it needs, directly or not (mere order is no need)."""
        return closure(tuple(step.needs for step in self.steps))

    @cached_property
    def before(self) -> tuple[frozenset[int], ...]:
        """For each step, all that come before it, by order or need."""
        if self.graph:
            return self.needs
        return tuple(frozenset(range(index)) for index in range(len(self.steps)))


def closure(direct: tuple[tuple[int, ...], ...]) -> tuple[frozenset[int], ...]:
    """Close a relation without cycles over itself."""
    known: dict[int, frozenset[int]] = {}
    for start in range(len(direct)):
        stack = [start]
        while stack:
            index = stack[-1]
            missing = [needed for needed in direct[index] if needed not in known]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            known[index] = frozenset(direct[index]).union(*(known[needed] for needed in direct[index]))
    return tuple(known[index] for index in range(len(direct)))
