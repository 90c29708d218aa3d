"""What can be said to a saga: by its own children (answers), by the clock, by operators (verbs).

A message is the only way in. ``carry`` is for the shell alone: payload rows that go to disk with the events which the
message brings about; the machine never looks at it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from actors.saga.state import Direction, Error, Move, Nature, Touch, WayBack


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Anything said to a saga."""


class Tick(Message, frozen=True):
    """Time has passed; what is due may begin. Also the first word to a saga that is started or woken."""


# --- from its batch -----------------------------------------------------------------------------------------------


class Admit(Message, frozen=True):
    """Begin."""


class BatchEnded(Message, frozen=True):
    """The batch is over: nothing is kept for it any longer, and what it has not let start never will."""


# --- from the children that drive executions ----------------------------------------------------------------------


class FromRun(Message, frozen=True, kw_only=True):
    """Something about one attempt. Fenced: it counts only while that attempt is the current one."""

    step: int
    direction: Direction
    generation: int
    carry: Any = None


class Prepared(FromRun, frozen=True, kw_only=True):
    """Arguments are resolved and the resource was read: the intent can be written."""

    execution: str
    payload: str
    nature: Nature | None = None
    changes: bool = True
    repeats: bool = False
    finds: bool = False
    way_back: WayBack = "nothing"
    irreversible: bool = False
    resource: Touch | None = None
    hash: str = ""
    """Of the operation and its resolved arguments, for a restore of the image too: what an approval is for."""
    message: str = ""
    """What to ask, in the words of the step."""


class NotPrepared(FromRun, frozen=True, kw_only=True):
    """The intent cannot be written. ``stuck``: not the step's fault; somebody must mend the node first."""

    error: Error
    transient: bool = False
    rate_limited: bool = False
    retry_after: int | None = None
    stuck: bool = False
    postponed: int | None = None
    """Its service is not to be asked before then: that is no failure."""


class Blocked(FromRun, frozen=True, kw_only=True):
    """The intent cannot be written yet: the resource is locked by another saga, or another one was there first."""

    resource: Touch
    behind: str


class Answered(FromRun, frozen=True, kw_only=True):
    """An attempt is over, its code has ended, and this is what came of it.

    ``lost``: nothing came of it but a crash of ours. ``already``, ``conflict``: what an undo, or a step that takes back
    another saga's, found before it began. ``postponed``: its service is not to be asked before ``due``, so nothing was done.
    """

    attempt: int
    kind: Literal[
        "succeeded", "failed", "partial", "compensated", "unknown", "working", "lost", "already", "conflict",
        "postponed",
    ]  # fmt: skip
    error: Error | None = None
    transient: bool = False
    rate_limited: bool = False
    retry_after: int | None = None
    certain: bool = False
    """Of a failure: no earlier attempt has done it either."""
    due: int = 0
    detail: str = ""
    payload: str = ""
    id: str | None = None
    moved: Move | None = None
    """By what it has taken back, a resource has another id."""


class Found(FromRun, frozen=True, kw_only=True):
    """What settling found out. ``cannot``: the driver has no way to look. ``postponed``: nobody can before ``due``."""

    attempt: int
    kind: Literal["done", "not_done", "unclear", "cannot", "postponed"]
    same_secrets: bool = True
    due: int = 0
    error: Error | None = None
    payload: str = ""
    id: str | None = None
    moved: Move | None = None


# --- from the locks ------------------------------------------------------------------------------------------------


class Granted(Message, frozen=True, kw_only=True):
    """The lock that a step waits for is free, and kept for it."""

    step: int


class Deadlocked(Message, frozen=True, kw_only=True):
    """It waits for a saga that waits for it, if over others. ``turns``: it is the one to turn back."""

    sagas: tuple[str, ...]
    turns: bool


# --- from the supervisor --------------------------------------------------------------------------------------------


class Quarantine(Message, frozen=True, kw_only=True):
    """The actor crashed too often."""

    why: str


class Restore(Message, frozen=True, kw_only=True):
    """The saga came back with a backup, which is older than the world."""

    why: str


class Rebuild(Message, frozen=True, kw_only=True):
    """The state was folded anew, because its checkpoint could not be used."""

    why: str


# --- from operators -------------------------------------------------------------------------------------------------


class Verb(Message, frozen=True, kw_only=True):
    """An operator's word. ``by`` is the user, as the record shows it."""

    by: str
    reason: str | None = None


class Cancel(Verb, frozen=True, kw_only=True):
    """Take it back. ``now``: do not wait for what runs; its outcome is then found out."""

    now: bool = False


class Pause(Verb, frozen=True):
    """Start nothing new."""


class Resume(Verb, frozen=True):
    """Go on after a pause or a quarantine, or after it came back with a backup."""


class Retry(Verb, frozen=True, kw_only=True):
    """Start the failed step, the undone steps or the failed undo anew."""

    step: int | None = None
    force: bool = False


class Skip(Verb, frozen=True, kw_only=True):
    """Go on without this step, or leave its effect as it is."""

    step: int
    output: dict[str, str] = {}
    carry: Any = None


class Resolve(Verb, frozen=True, kw_only=True):
    """Say what became of an unknown outcome. ``payload``: digest of the outputs and image that were recorded with it."""

    step: int
    as_: Literal["done", "failed", "retry"]
    payload: str = ""
    id: str | None = None
    moved: Move | None = None
    carry: Any = None


class Abandon(Verb, frozen=True):
    """Give the saga up as it is."""


class Rollback(Verb, frozen=True, kw_only=True):
    """Take it back; ``past_irreversible``: also what comes before a point of no return."""

    past_irreversible: bool = False


class Approval(Verb, frozen=True, kw_only=True):
    """A word on what is asked; of one step, or of all that ask."""

    step: int | None = None
    roles: tuple[str, ...] = ()
    """All that ``by`` has here."""
    own: bool = False
    """``by`` is who submitted the saga."""


class Approve(Approval, frozen=True, kw_only=True):
    """Let it go on."""


class Reject(Approval, frozen=True, kw_only=True):
    """Do not let it go on."""


class Reply(msgspec.Struct, frozen=True):
    """The answer to a verb."""

    did: Literal["accepted", "nothing", "refused", "forbidden"]
    detail: str
