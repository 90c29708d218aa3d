"""What can have happened to a saga: the event types, their versions, and their form in the journal.

An event's meaning never changes. A new meaning is a new version of its type; bodies of old versions are brought up to
date by an upcaster when they are read (``UPCASTERS``). Bodies hold digests and small scalars, never payloads.

Events with a ``direction`` are called ``step.…`` on the way forward, ``hook.…`` where they are of a step's hook, and
``undo.…`` on the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from actors.saga.state import Direction, Error, Nature, Touch, WayBack


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that happened to a saga. ``actor``: who did it, where that was not sagad itself."""

    type: ClassVar[str]
    version: ClassVar[int] = 1
    actor: str | None = None


class StepEvent(Event, frozen=True, kw_only=True):
    """Something that happened to a step: ``step`` is its index."""

    step: int


class RunEvent(StepEvent, frozen=True, kw_only=True):
    """Something that happened to a step's execution: forward, of its hook, or undo."""

    direction: Direction = "forward"


# --- of the saga ---------------------------------------------------------------------------------------------------


class Submitted(Event, frozen=True, kw_only=True):
    """A saga was accepted. Digests are of its plan and of its inputs."""

    type = "saga.submitted"
    kind: str
    steps: int
    plan: str
    inputs: str
    deadline: int | None = None
    reason: str | None = None
    queued: bool = False
    """It starts nothing before its batch lets it."""
    keeps_locks: bool = False
    """When it has completed it keeps its locks until its batch is over."""
    rollback_of: str | None = None
    """The saga that this one takes back."""
    corrects: str | None = None
    """The saga that this one makes up for."""


class Admitted(Event, frozen=True, kw_only=True):
    """Its batch lets it start."""

    type = "saga.admitted"
    deadline: int | None = None


class BatchEnded(Event, frozen=True, kw_only=True):
    """Its batch is over: it keeps no locks for it any longer."""

    type = "saga.batch_ended"


class CancelRequested(Event, frozen=True, kw_only=True):
    """Somebody asked for the way back."""

    type = "saga.cancel_requested"
    reason: str | None = None
    now: bool = False


class DeadlinePassed(Event, frozen=True, kw_only=True):
    """The way forward took longer than allowed."""

    type = "saga.deadline_passed"


class TurnedBack(Event, frozen=True, kw_only=True):
    """The way back began: nothing of the way forward is running any more."""

    type = "saga.turned_back"
    error: Error


class TurnedForward(Event, frozen=True, kw_only=True):
    """After an unwinding that stopped at an irreversible step, these steps start anew."""

    type = "saga.turned_forward"
    steps: tuple[int, ...]
    deadline: int | None = None
    reason: str | None = None


class WentPastIrreversible(Event, frozen=True, kw_only=True):
    """The operator had the way back go past irreversible steps, which are kept."""

    type = "saga.went_past_irreversible"
    reason: str | None = None


class PauseRequested(Event, frozen=True, kw_only=True):
    """Nothing new is to start."""

    type = "saga.pause_requested"
    reason: str | None = None


class Resumed(Event, frozen=True, kw_only=True):
    """A pause or a quarantine was lifted, or a saga that came back with a backup may go on."""

    type = "saga.resumed"
    reason: str | None = None


class Held(Event, frozen=True, kw_only=True):
    """The saga needs somebody."""

    type = "saga.held"
    reason: str
    detail: str


class Released(Event, frozen=True, kw_only=True):
    """The hold is over."""

    type = "saga.released"
    reason: str


class Quarantined(Event, frozen=True, kw_only=True):
    """The saga's actor crashed too often; it is left alone until somebody resumes it."""

    type = "saga.quarantined"
    why: str


class Restored(Event, frozen=True, kw_only=True):
    """The saga came back with a backup: what it did since is not on record, so it is left alone until somebody looks."""

    type = "saga.restored"
    why: str


class Rebuilt(Event, frozen=True, kw_only=True):
    """The checkpoint was damaged or of another machine; the state was folded anew from the events."""

    type = "saga.rebuilt"
    why: str


class Stuck(Event, frozen=True, kw_only=True):
    """The saga cannot go on here: a driver it needs is gone or of another major version."""

    type = "saga.stuck"
    why: str


class Unstuck(Event, frozen=True, kw_only=True):
    """The operator had it try again."""

    type = "saga.unstuck"
    reason: str | None = None


class AbandonRequested(Event, frozen=True, kw_only=True):
    """An administrator gave the saga up."""

    type = "saga.abandon_requested"
    reason: str


class ApprovalEvent(Event, frozen=True, kw_only=True):
    """Something about an approval: of the saga as submitted, or of one step's resolved arguments. ``hash`` is of either.

    ``direction`` undo: of what the step's undo would do.
    """

    step: int | None = None
    hash: str
    direction: Direction = "forward"


class Asked(ApprovalEvent, frozen=True, kw_only=True):
    """An approval is needed, until ``due`` where it expires. ``message``: what the file would have asked."""

    type = "approval.asked"
    due: int | None = None
    irreversible: bool = False
    message: str = ""


class Approved(ApprovalEvent, frozen=True, kw_only=True):
    """Somebody approved. ``enough``: as many have as are needed."""

    type = "approval.given"
    enough: bool
    reason: str | None = None


class Rejected(ApprovalEvent, frozen=True, kw_only=True):
    """Somebody refused, so the saga turns back; or, of an undo, the step is kept."""

    type = "approval.rejected"
    reason: str | None = None


class Expired(ApprovalEvent, frozen=True, kw_only=True):
    """Nobody answered in time, so the saga turns back."""

    type = "approval.expired"


class LockEvent(Event, frozen=True, kw_only=True):
    """Something about the lock of a resource that a step, or its undo, is to change."""

    step: int
    resource: Touch


class LockTaken(LockEvent, frozen=True, kw_only=True):
    """No other saga may touch the resource until this one has ended."""

    type = "lock.taken"


class LockAwaited(LockEvent, frozen=True, kw_only=True):
    """Another saga has the lock, or was there first; the step fails if it is not free by ``due``."""

    type = "lock.awaited"
    behind: str
    due: int | None = None


class LocksReleased(Event, frozen=True, kw_only=True):
    """The saga has ended, or its batch has, and lets go of everything."""

    type = "lock.released"
    resources: tuple[Touch, ...]


class DeadlockFound(Event, frozen=True, kw_only=True):
    """These sagas wait for one another. This one turns back for the others' sake; or, if no one can, asks somebody."""

    type = "lock.deadlocked"
    sagas: tuple[str, ...]
    turns: bool = True


class Completed(Event, frozen=True, kw_only=True):
    """Every step is done."""

    type = "saga.completed"


class RolledBack(Event, frozen=True, kw_only=True):
    """Everything that could be undone was. ``error``: why, where the saga turned back before anything had started."""

    type = "saga.rolled_back"
    error: Error | None = None


class SagaFailed(Event, frozen=True, kw_only=True):
    """Something could not be undone, or the saga was told not to undo."""

    type = "saga.failed"
    error: Error


class Reopened(Event, frozen=True, kw_only=True):
    """Failed undos of a failed saga are tried again."""

    type = "saga.reopened"
    steps: tuple[int, ...]
    force: bool = False
    reason: str | None = None


# --- of a step -----------------------------------------------------------------------------------------------------


class Started(RunEvent, frozen=True, kw_only=True):
    """The intent: written before the driver is called. ``payload`` is the digest of arguments and images."""

    type = "started"
    generation: int
    execution: str
    payload: str
    nature: Nature | None = None
    """What takes something back or makes up for it says so; undos of earlier releases do not."""
    changes: bool = True
    repeats: bool = False
    finds: bool = False
    way_back: WayBack = "nothing"
    irreversible: bool = False
    resource: Touch | None = None
    force: bool = False
    undo_started: bool = False
    reason: str | None = None


class Attempted(RunEvent, frozen=True, kw_only=True):
    """Another attempt of the same execution begins, with the same key."""

    type = "attempted"
    attempt: int


class Working(RunEvent, frozen=True, kw_only=True):
    """The driver goes on elsewhere; ``payload`` is the digest of its handle."""

    type = "working"
    due: int
    payload: str
    detail: str = ""


class Succeeded(RunEvent, frozen=True, kw_only=True):
    """Done. ``how``: by the driver's answer, by finding it done, already so, or by the operator's word.

    ``hook``: the step's hook is to be run now, and only after it the step is completed.
    """

    type = "succeeded"
    how: str = "answered"
    payload: str = ""
    id: str | None = None
    hook: bool = False
    reason: str | None = None


class Failed(RunEvent, frozen=True, kw_only=True):
    """Not done for good, and nothing changed. An undo that is ``open`` waits for the operator's word.

    A hook's: its step's work is undone at once, and the saga fails from there.
    """

    type = "failed"
    error: Error
    open: bool = False
    reason: str | None = None


class Delayed(RunEvent, frozen=True, kw_only=True):
    """An attempt, or the preparing of one, failed; the next begins at ``due``."""

    type = "delayed"
    error: Error
    spent: int
    due: int
    generation: int = 1


class Postponed(RunEvent, frozen=True, kw_only=True):
    """The service that it has to ask is not to be asked before ``due``: nothing was done, and no attempt is spent."""

    type = "postponed"
    why: str
    due: int
    generation: int = 1


class WentUnknown(RunEvent, frozen=True, kw_only=True):
    """An attempt is over and nobody knows what it did."""

    type = "unknown"
    error: Error
    spent: int


class Settled(RunEvent, frozen=True, kw_only=True):
    """What an unknown outcome turned out to be: ``done``, ``not_done``, ``repeat`` or ``unclear`` (somebody must look)."""

    type = "settled"
    as_: str = msgspec.field(name="as")
    error: Error | None = None
    reason: str | None = None


class AnswerIgnored(RunEvent, frozen=True, kw_only=True):
    """An answer came from an attempt that was no longer current."""

    type = "answer_ignored"
    generation: int
    attempt: int
    outcome: str


class PartlyDone(StepEvent, frozen=True, kw_only=True):
    """The step failed, but something exists, which is undone with the rest."""

    type = "step.partly_done"
    error: Error
    payload: str = ""
    id: str | None = None


class CleanedUp(StepEvent, frozen=True, kw_only=True):
    """The step failed, and its driver has cleaned up after itself."""

    type = "step.cleaned_up"
    error: Error


class Moved(StepEvent, frozen=True, kw_only=True):
    """Taking back a deletion has given the resource another id, `to`: later undos and references follow it."""

    type = "resource.moved"
    resource: Touch
    to: str


class Queued(StepEvent, frozen=True, kw_only=True):
    """The step touches what another step of the saga is at work on; it waits for that one."""

    type = "step.queued"
    behind: int
    resource: Touch


class Reset(StepEvent, frozen=True, kw_only=True):
    """The operator has the step start anew. ``force``: over what somebody else has changed."""

    type = "step.reset"
    force: bool = False
    reason: str | None = None


class Skipped(StepEvent, frozen=True, kw_only=True):
    """The saga goes on without the step; ``given`` stand for its outputs. ``left``: what stays in the world by that."""

    type = "step.skipped"
    given: dict[str, str] = {}
    left: str | None = None
    reason: str | None = None


class Kept(StepEvent, frozen=True, kw_only=True):
    """The step stays done."""

    type = "step.kept"
    why: str
    reason: str | None = None


class NothingToUndo(StepEvent, frozen=True, kw_only=True):
    """The step changed nothing, so it counts as compensated."""

    type = "step.compensated"


class Conflicted(StepEvent, frozen=True, kw_only=True):
    """The undo found that somebody else has changed the resource, and stopped."""

    type = "undo.conflicted"
    error: Error


class UndoReset(StepEvent, frozen=True, kw_only=True):
    """An undo is to be tried again: the same execution after a conflict, a new one after a failure."""

    type = "undo.reset"
    force: bool = False
    reason: str | None = None


class FailureAccepted(StepEvent, frozen=True, kw_only=True):
    """The operator accepts that this undo failed; the others go on."""

    type = "undo.failure_accepted"
    reason: str | None = None


# --- their form in the journal -------------------------------------------------------------------------------------

_PREFIX: dict[Direction, str] = {"forward": "step.", "hook": "hook.", "undo": "undo."}


def type_of(event: Event) -> str:
    """Give the event's type as the journal and the API know it."""
    if isinstance(event, RunEvent):
        return _PREFIX[event.direction] + event.type
    return event.type


def _leaves(root: type[Event]) -> list[type[Event]]:
    below = [leaf for child in root.__subclasses__() for leaf in _leaves(child)]
    return below or [root]


EVENTS: dict[str, type[Event]] = {}
for _leaf in _leaves(Event):
    for _name in [p + _leaf.type for p in _PREFIX.values()] if issubclass(_leaf, RunEvent) else [_leaf.type]:
        EVENTS[_name] = _leaf

UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""(type, old version) -> what makes a body of the next version of it."""

_ENCODER = msgspec.json.Encoder()
_DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in EVENTS.items()}


def encode(event: Event) -> bytes:
    """Give the event's body."""
    return _ENCODER.encode(event)


def decode(type_: str, version: int, data: bytes) -> Event:
    """Read a body back, however old. Raises KeyError or msgspec.ValidationError for what this release never wrote."""
    kind = EVENTS[type_]
    while version < kind.version:
        data = _ENCODER.encode(UPCASTERS[type_, version](msgspec.json.decode(data)))
        version += 1
    if version > kind.version:
        raise KeyError(f"{type_} version {version}")
    return _DECODERS[type_].decode(data)
