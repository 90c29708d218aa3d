"""What the API answers (SPEC §8), as types: answers are made of them, openapi.json describes them, tests hold to them.

Events come encoded from the store, and what drivers declare comes as it is. A contract that only grows: whoever reads
these must ignore what they do not know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from actors.saga.actions import Outcome
from actors.saga.holds import LeftBehind, Wait
from actors.saga.state import Error, StepStatus
from actors.saga.state import Hold as HoldReason
from actors.saga.state import Status as SagaStatus
from orchestrator.files.problems import Problem

__all__ = ["HoldReason", "SagaStatus"]

Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-hjkmnp-tv-z]{12}$")]
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Json = dict[str, Any]
NodeStatus = Literal["ok", "warning", "draining"]


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that the API answers with."""


class Hold(Document, frozen=True, kw_only=True):
    """Why a saga needs somebody."""

    reason: HoldReason
    since: Time
    detail: str


class Waiting(Document, frozen=True, kw_only=True, rename={"for_": "for"}):
    """What a saga waits for by itself."""

    for_: Wait
    until: Time | None
    detail: str


class Cancel(Document, frozen=True, kw_only=True):
    """Who has told the saga to turn back."""

    by: str
    at: Time
    reason: str | None
    now: bool


class StepError(Document, frozen=True, kw_only=True):
    """Why a step or an execution failed."""

    code: str
    message: str


class Step(Document, frozen=True, kw_only=True):
    """One step of a saga."""

    index: int
    name: str
    do: str
    status: StepStatus
    attempts: int
    output: Json | None
    error: StepError | None
    started_at: Time | None
    finished_at: Time | None


class LockAwaited(Document, frozen=True, kw_only=True):
    """A lock that a step waits for, and the saga in its way."""

    step: str
    resource: str
    saga: Id
    why: str
    """What that saga does, needs or waits for, with what to do about it."""


class LockWanted(Document, frozen=True, kw_only=True):
    """A lock of this saga that another one waits for."""

    saga: Id
    resource: str


class Locks(Document, frozen=True, kw_only=True):
    """What no other saga may touch, what this one waits for, and who waits for this one."""

    held: list[str]
    awaits: list[LockAwaited]
    awaited_by: list[LockWanted]


class Saga(Document, frozen=True, kw_only=True):
    """A saga: one run of a saga file."""

    id: Id
    kind: str
    status: SagaStatus
    hold: Hold | None
    waiting: Waiting | None
    cancel: Cancel | None
    error: Error | None
    inputs: Json
    labels: dict[str, str]
    steps: list[Step]
    left_behind: list[LeftBehind]
    locks: Locks
    created_at: Time
    updated_at: Time
    finished_at: Time | None
    submitted_by: str
    reason: str | None
    batch: str | None
    rollback_of: Id | None
    rolled_back_by: Id | None
    corrects: Id | None
    corrected_by: Id | None
    outcomes: list[Outcome] | msgspec.UnsetType | None = msgspec.UNSET
    """Of a saga that applies a stack: what became of each action, in order, once it has ended; till then null."""


class Change(Document, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A field that an action changes. What is sensitive, or not known before, has words in its place."""

    field: str
    from_: Any
    to: Any


class Action(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done about one resource of a stack."""

    index: int
    action: Literal["create", "update", "replace", "delete"]
    type: str
    name: str
    changes: list[Change]
    reverts_accepted: list[str] = []
    """Fields whose drift was accepted, and which this would put back."""


class PlanHashes(Document, frozen=True, kw_only=True):
    """What a plan was made from: the stack file, and the registry with what is there."""

    file: str
    state: str


class StackPlan(Document, frozen=True, kw_only=True):
    """What applying a stack file would do, in order. As it is it can be applied, until either side has moved."""

    stack: str
    hash: str
    hashes: PlanHashes
    file: Json
    """The stack file, as values."""
    destroy: bool = False
    """It was planned as if the file named no resources any more."""
    actions: list[Action]
    warnings: list[Problem]


class NothingToDo(Document, frozen=True, kw_only=True):
    """What applying came to where everything is as the file wants it: no saga was started."""

    did: Literal["nothing"]
    detail: str
    stack: str
    saga: None
    outcomes: list[Outcome]


class Submitted(Saga, frozen=True, kw_only=True):
    """A saga that was accepted, and what its author should know about the file."""

    warnings: list[Problem]


class Sagas(Document, frozen=True, kw_only=True):
    """A page of sagas, without their steps' outputs; `next` is the cursor of the page behind it."""

    sagas: list[Saga]
    next: str | None


class BatchSummary(Document, frozen=True, kw_only=True):
    """A batch: sagas that are run together. It has a saga's statuses and holds.

    `hold` is its own, or that of a saga of it where all that are at work need somebody.
    """

    id: Id
    batch: str
    """Its name."""
    mode: Literal["all_or_nothing", "best_effort"]
    parallel: int | None
    on_failure: Literal["compensate", "stop", "hold"]
    status: SagaStatus
    hold: Hold | None
    waiting: Waiting | None
    cancel: Cancel | None
    error: Error | None
    counts: dict[str, int]
    """How many of its sagas have each status."""
    taken_back: int
    """How many of those have been taken back since, by sagas of their own."""
    created_at: Time
    updated_at: Time
    finished_at: Time | None
    submitted_by: str
    reason: str | None
    rolled_back_by: Id | None


class Batch(BatchSummary, frozen=True, kw_only=True):
    """A batch with its sagas, in the order of its file, and the sagas that take back some of them."""

    sagas: list[Saga]
    rollbacks: list[Saga]


class BatchSubmitted(Batch, frozen=True, kw_only=True):
    """A batch that was accepted, and what its author should know about the files."""

    warnings: list[Problem]


class Batches(Document, frozen=True, kw_only=True):
    """A page of batches; `next` is the cursor of the page behind it."""

    batches: list[BatchSummary]
    next: str | None


class BatchPreview(Document, frozen=True, kw_only=True):
    """What taking back a batch would make of one of its sagas, and of that one's steps."""

    saga: Id
    kind: str
    status: SagaStatus
    will: Literal["roll back", "cancel", "keep", "nothing"]
    why: str | None
    steps: list[Preview]


class BatchAnswer(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What was done about a batch. `rollback`: the saga that takes it back, where it had ended."""

    did: Literal["accepted", "nothing"]
    detail: str
    batch: Batch
    rollback: Id | None
    preview: list[BatchPreview] | msgspec.UnsetType = msgspec.UNSET


class Why(Document, frozen=True, kw_only=True):
    """Why a saga is where it is, in one sentence."""

    why: str


class Execution(Document, frozen=True, kw_only=True):
    """One governed operation on the world. Images come without contents.

    `direction`: the step's own, that of its hook, or what takes the step back.
    """

    id: str
    saga: Id
    step: str
    direction: Literal["forward", "hook", "undo"]
    nature: Literal["forward", "restore", "correct"]
    generation: int
    operation: str
    arguments: Json
    before: Json | None
    after: Json | None
    status: str
    attempts: int
    error: StepError | None
    compensates: str | None
    compensated_by: list[str]
    actor: str | None
    reason: str | None
    started_at: Time
    finished_at: Time | None


class Executions(Document, frozen=True, kw_only=True):
    """A saga's executions, in the order in which they started."""

    executions: list[Execution]


class Event(Document, frozen=True, kw_only=True):
    """Something that has happened. Its hash is over the one before it and over all of this."""

    seq: int
    hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]+$")]
    saga: Id | None
    resource: str | None
    at: Time
    type: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]+\.[a-z_]+$")]
    version: int
    step: str | None
    actor: str
    data: Json


class Events(Document, frozen=True, kw_only=True):
    """A page of events, in order. Fewer than `limit` of them: there are no more yet."""

    events: list[Event]


class Resource(Document, frozen=True, kw_only=True):
    """What sagad created or adopted and now keeps.

    `spec`: the fields that were set, as the type's images name them; `spec_version` is one more with each change.
    Secrets and sensitive outputs are references, other sensitive values `***`. `saga`: the one that made it; null: it was imported. `live`,
    `seen_at`, `seen_error`: what was last seen of it.
    """

    type: str
    name: str
    id: str | None
    spec: Json
    spec_version: int
    outputs: Json
    saga: Id | None
    live: Json | None
    seen_at: Time | None
    seen_error: str | None
    created_at: Time
    updated_at: Time


class Resources(Document, frozen=True, kw_only=True):
    """A page of resources, by type and name; `next` is the cursor of the page behind it."""

    resources: list[Resource]
    next: str | None


class ResourceAnswer(Document, frozen=True, kw_only=True):
    """What was done about a resource's record: as it is now, or was before it was forgotten."""

    did: Literal["accepted", "nothing"]
    detail: str
    resource: Resource


class Drift(Document, frozen=True, kw_only=True):
    """A difference between a resource's spec and what is there: one record per resource and field.

    `field`: its path in the spec, `rules[0].port`; null: the resource itself is `missing`. `live`: what is there; what is
    sensitive is `***`. `resolved_by`: who accepted it, or the saga that reverted it; while it is open, the saga that is at
    it. `why`: what became of the last revert, where it is open after one. `ignored`: the rule by which nobody hears of it.
    """

    id: Id
    type: str
    name: str
    resource_id: str
    field: str | None
    kind: Literal["changed", "missing"]
    wanted: Any
    live: Any
    status: Literal["open", "accepted", "reverted", "stale"]
    first_seen: Time
    last_seen: Time
    count: int
    resolved_by: str | None
    resolved_at: Time | None
    automatic: bool
    why: str | None
    ignored: Id | None


class Drifts(Document, frozen=True, kw_only=True):
    """A page of drift, in the order of detection; `next` is the cursor of the page behind it."""

    drift: list[Drift]
    next: str | None


class DriftOne(Drift, frozen=True, kw_only=True):
    """One record of drift; `drift` has it once more, as the answers of all routes of drift do."""

    drift: list[Drift]


class DriftRule(Document, frozen=True, kw_only=True):
    """Drift that somebody does not want to hear of: of every resource of the type, where no name is given; in any field."""

    id: Id
    type: str
    name: str | None
    field: str | None
    reason: str
    owner: str
    created_at: Time
    expires_at: Time | None


class DriftRules(Document, frozen=True, kw_only=True):
    """The rules that hold."""

    rules: list[DriftRule]


class DriftAnswer(Document, frozen=True, kw_only=True):
    """What was done about drift. `lines`: what to change in the stack file; `saga`, `batch`: what reverts it."""

    did: Literal["accepted", "nothing"]
    detail: str
    drift: list[Drift]
    lines: list[str] = []
    saga: Saga | None = None
    batch: Id | None = None
    rule: DriftRule | None = None


class DriftUnknown(Document, frozen=True, kw_only=True):
    """A resource of which nothing can be said, and why."""

    type: str
    name: str
    why: str


class DriftDetected(Document, frozen=True, kw_only=True):
    """What was found just now: the open records of what was looked at, and how many resources are what.

    `unknown`: could not be looked at; `passed_over`: a saga is at them. Of each the first 1,000 are named.
    """

    drift: list[Drift]
    looked: int
    there: int
    absent: int
    opened: int
    still_open: int
    stale: int
    unknown: list[DriftUnknown]
    unknown_count: int
    passed_over: list[DriftUnknown]
    passed_over_count: int
    alarms: list[str]


class DriftProgress(Document, frozen=True, kw_only=True):
    """How far the looking is. `doing` is null where nothing is going on."""

    doing: Literal["sync", "sweep"] | None
    looked: int
    of: int


class Preview(Document, frozen=True, kw_only=True):
    """What a rollback would make of one step. `fail`: as things are, it could not be done; `why` says what is missing."""

    step: str
    do: str | None
    nature: Literal["forward", "restore", "correct"] | None
    resource: str | None
    will: Literal["undo", "already", "conflict", "fail", "keep", "nothing"]
    why: str | None
    changed_by: list[Id]
    """Later sagas that have changed the same resource, or one above or below it."""


class VerbAnswer(Document, frozen=True, kw_only=True):
    """What came of a verb. `nothing`: it was so already."""

    did: Literal["accepted", "nothing"]
    detail: str
    saga: Saga
    preview: list[Preview] | msgspec.UnsetType = msgspec.UNSET
    """What a rollback would do, where that was asked, step by step in its order. Nothing was touched."""


class Validated(Document, frozen=True, kw_only=True):
    """What is wrong with a file, and what its author should know; without problems also what it holds."""

    problems: list[Problem]
    warnings: list[Problem]
    kind: str | None
    steps: int | None


class CaseHold(Document, frozen=True, kw_only=True):
    """What somebody would be asked."""

    reason: HoldReason
    detail: str


Fault = Literal[
    "none",
    "cancelled",
    "fails",
    "lost_done",
    "lost_not_done",
    "undo_fails",
    "undo_lost_done",
    "undo_lost_not_done",
    "hook_fails",
    "hook_lost_done",
    "hook_lost_not_done",
]


class Case(Document, frozen=True, kw_only=True):
    """One thing that goes wrong in a rehearsal, and what comes of it.

    `lost_done`, `lost_not_done`: the answer is lost, after the effect or before it. `what` says the fault in words.
    Undos run because the saga is cancelled while its last step is at work; those that a point of no return then keeps
    from it, because a step before that fails. `clean`: nothing would be left behind, and nobody asked.
    """

    step: str | None
    fault: Fault
    what: str
    status: SagaStatus
    hold: CaseHold | None
    left_behind: list[LeftBehind]
    clean: bool


class Rehearsed(Document, frozen=True, kw_only=True):
    """What a saga would leave behind, case by case; the first is the one in which nothing goes wrong.

    `clean`: every case is, but for undos that fail for good, which by their nature leave something. `rehearsed`: of so
    many steps each call was made to go wrong. `notes`: what has been taken as given.
    """

    kind: str
    steps: int
    rehearsed: int
    clean: bool
    cases: list[Case]
    warnings: list[Problem]
    notes: list[str]


class Refused(Document, frozen=True, kw_only=True):
    """A type whose driver could not be loaded, and why."""

    type: str
    problems: list[str]


class Providers(Document, frozen=True, kw_only=True):
    """What the drivers declare, a document per type."""

    providers: list[Json]
    refused: list[Refused]


class Reloaded(Document, frozen=True, kw_only=True):
    """The sections of the settings that have changed, and the settings that count from the next start on only."""

    changed: list[str]
    needs_restart: list[str]


class Drained(Document, frozen=True, kw_only=True):
    """Nothing runs any more."""

    drained: bool
    detail: str


class Head(Document, frozen=True, kw_only=True):
    """The end of the journal: what `sagactl audit verify --head` can be given later."""

    seq: int
    hash: str


class Verified(Document, frozen=True, kw_only=True):
    """What a walk along the record found. `bad` is the number of the first event that is not what was written."""

    ok: bool
    events: int
    """How many hold."""
    pruned: int
    """Those of them whose contents are gone by retention; their hashes hold."""
    head: Head
    bad: int | None
    problem: str | None


class Differing(Document, frozen=True, kw_only=True):
    """A saga whose checkpoint is not what its events say."""

    saga: Id
    problem: str


class Replayed(Document, frozen=True, kw_only=True):
    """What rebuilding every checkpoint found. `skipped`: of another release's machine, or with pruned events."""

    ok: bool
    sagas: int
    skipped: int
    differing: list[Differing]


class Examination(Document, frozen=True, kw_only=True):
    """What came of looking at one thing. `remedy` says what to do, where something is to be done."""

    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str | None


class Examined(Document, frozen=True, kw_only=True):
    """How everything is. `ok`: nothing fails."""

    ok: bool
    checks: list[Examination]


class Count(Document, frozen=True, kw_only=True):
    """How many sagas have this status and hold."""

    status: SagaStatus
    hold: HoldReason | None
    sagas: int


class Reach(Document, frozen=True, kw_only=True):
    """Whether a provider is asked: `open` means that it is not, until then; `half_open` that one call finds out now."""

    name: str
    circuit: Literal["closed", "open", "half_open"]
    failures: int
    error: str | None
    since: Time | None
    until: Time | None


class Retention(Document, frozen=True, kw_only=True):
    """What was dropped since the start because it has had its time (`[retention]`), and when that was last looked for.

    `needed`: sagas that have had their time and are kept, because a resource or one of their kin needs them. `error`:
    why the last round broke off.
    """

    last: Time | None
    sagas: int
    blobs: int
    needed: int
    error: str | None


class Health(Document, frozen=True, kw_only=True):
    """How the node is."""

    live: bool
    ready: bool
    status: NodeStatus
    version: str
    node: str
    head: Head
    sagas: list[Count]
    in_memory: int
    restarts: int
    providers: list[Reach]
    retention: Retention | None
    warnings: list[str]


class OpenApi(msgspec.Struct, frozen=True, kw_only=True):
    """This description: OpenAPI 3.1."""

    openapi: str
    info: Json
    paths: Json
    components: Json
