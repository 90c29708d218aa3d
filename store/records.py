"""The rows of the database as Structs, and ``Commit``: all that one transition of one saga writes, together or not.

Times are UTC milliseconds. What is JSON is kept as its encoded bytes: the store never looks inside, and answers are
put together from them without decoding.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec


def state_sum(state: bytes) -> bytes:
    """Give what a checkpoint's encoded state is checked by: the first 8 bytes of its SHA-256."""
    return hashlib.sha256(state).digest()[:8]


class NewEvent(msgspec.Struct, frozen=True):
    """An event before the journal has given it its number and its hash."""

    saga: str | None
    at: int
    type: str
    version: int
    data: bytes
    """The event's body, JSON."""
    step: str | None = None
    """The step's name."""
    actor: str = "sagad"
    resource: str | None = None


class Event(msgspec.Struct, frozen=True):
    """An event as it stands in the journal."""

    seq: int
    saga: str | None
    at: int
    type: str
    version: int
    data: bytes
    step: str | None
    actor: str
    resource: str | None
    hash: bytes


class NewSaga(msgspec.Struct, frozen=True):
    """What is written once about a saga, when it is submitted."""

    kind: str
    plan: bytes
    """Digest of the plan (in ``plans``)."""
    inputs: bytes
    """JSON object; values of inputs never are secrets, only names of them."""
    labels: bytes
    """JSON object."""
    submitted_by: str
    reason: str | None
    created_at: int
    batch: str | None = None
    rollback_of: str | None = None
    corrects: str | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """A saga's state and the columns that are searched, drawn from it."""

    status: str
    hold: str | None
    waiting: str | None
    wake: int | None
    """When the saga wants to be looked at again: 0 now (it is in flight), a time, or None (only a person can)."""
    state: bytes
    """The encoded state."""
    machine: int
    """The machine's version; a checkpoint of another one is folded anew from the events."""
    updated_at: int
    finished_at: int | None = None


Direction = Literal["forward", "hook", "undo"]


class NewExecution(msgspec.Struct, frozen=True):
    """An execution's intent: written, and committed, before its driver is called."""

    id: str
    step: int
    step_name: str
    direction: Direction
    nature: Literal["forward", "restore", "correct"]
    generation: int
    operation: str
    key: str
    arguments: bytes
    """JSON: a template that holds secret references only."""
    plan: bytes
    """MessagePack of what the engine needs to go on after a crash: resource, images, fields, declaration facts."""
    started_at: int
    resource: str | None = None
    compensates: str | None = None
    actor: str | None = None
    reason: str | None = None


class ExecutionChange(msgspec.Struct, frozen=True):
    """What became of an execution. None leaves a column as it is."""

    id: str
    status: str | None = None
    attempts: int | None = None
    error: bytes | None = None
    """JSON {code, message}."""
    outputs: bytes | None = None
    """JSON object."""
    after: bytes | None = None
    """MessagePack of the image that was really left behind, where it differs from the planned one."""
    handle: bytes | None = None
    """MessagePack; what ``poll`` needs."""
    finished_at: int | None = None
    plan: bytes | None = None
    """As in ``NewExecution``: written anew where a forced undo found another before-image than it had planned with."""


class Execution(msgspec.Struct, frozen=True):
    """An execution as it stands in the database."""

    id: str
    saga: str
    step: int
    step_name: str
    direction: Direction
    nature: Literal["forward", "restore", "correct"]
    generation: int
    operation: str
    key: str
    status: str
    attempts: int
    arguments: bytes
    plan: bytes
    outputs: bytes | None
    after: bytes | None
    handle: bytes | None
    error: bytes | None
    resource: str | None
    compensates: str | None
    actor: str | None
    reason: str | None
    started_at: int
    finished_at: int | None


class Resource(msgspec.Struct, frozen=True):
    """A record of the registry: what sagad created or adopted and now keeps."""

    type: str
    identity: str
    """The real path of what is a place; else the id, once it is known; else the name. With the type it is the key."""
    name: str
    """A label."""
    id: str | None
    spec: bytes
    """JSON object: the fields that were set, merged."""
    spec_version: int
    outputs: bytes
    """JSON object."""
    saga: str | None
    """The saga that made it; None: it was imported."""
    execution: str | None
    created_at: int
    updated_at: int
    stack: str | None = None
    """The stack that owns it; None: a saga file made it, or it was imported."""
    needs: bytes = b"[]"
    """JSON list: the names of those resources of its stack that it needs."""
    protect: int = 0
    """1: its stack's plans neither delete nor replace it."""


class ResourceChange(msgspec.Struct, frozen=True):
    """What becomes of a record. None: it is gone."""

    type: str
    identity: str
    record: Resource | None = None


class Sealed(msgspec.Struct, frozen=True):
    """A sensitive value, sealed: ``name`` is the output's, ``box`` what was made of the value (``sealing``)."""

    execution: str
    name: str
    box: bytes


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A client's key for a submission: kept for ever, longer than its saga."""

    key: str
    body: bytes
    """Digest of what was submitted with it."""


class Commit(msgspec.Struct):
    """One transition of one saga: becomes durable whole, or not at all."""

    saga: str
    events: list[NewEvent]
    checkpoint: Checkpoint
    new: NewSaga | None = None
    plan: tuple[bytes, bytes] | None = None
    """(digest, encoded plan), where it may be new."""
    key: IdempotencyKey | None = None
    executions: list[NewExecution] = []
    changes: list[ExecutionChange] = []
    resources: list[ResourceChange] = []
    sealed: list[Sealed] = []


class Pruning(msgspec.Struct):
    """What retention drops, all of it or nothing: JournalRefused where one of the sagas has changed meanwhile."""

    newest: int
    """The number of the newest saga when this was looked up: a later one may go by one of the plans."""
    bodies: list[tuple[int, bytes]] = []
    """Events by number, each with its body's digest, which stays."""
    sagas: list[tuple[int, str, int]] = []
    """Number, id and end of the sagas whose rows and executions go."""
    plans: list[bytes] = []
    """Plans that no saga went by."""


class Note(msgspec.Struct):
    """Events that change no saga (of the node, of a resource, of a secret revealed): durable together, or not at all."""

    events: list[NewEvent]
    resources: list[ResourceChange] = []
    """Along with the records that they are about."""
    unsealed: list[tuple[str, str]] = []
    """Sealed values that go, by (execution, name): nobody needs them any more."""
    pruning: Pruning | None = None


class Saga(msgspec.Struct, frozen=True):
    """A saga's row."""

    number: int
    id: str
    kind: str
    status: str
    hold: str | None
    waiting: str | None
    wake: int | None
    plan: bytes
    inputs: bytes
    labels: bytes
    """JSON object."""
    state: bytes
    state_sum: bytes
    """``state_sum`` of it, when it was written."""
    machine: int
    submitted_by: str
    reason: str | None
    batch: str | None
    rollback_of: str | None
    rolled_back_by: str | None
    corrects: str | None
    corrected_by: str | None
    created_at: int
    updated_at: int
    finished_at: int | None
