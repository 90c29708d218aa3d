"""Batches: many sagas submitted together, seen on one page, cancelled and taken back as one.

A batch is a saga of its own (``actors.batch``), which is its own ``batch``; what is said to it is said to that saga.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import msgspec

from actors.batch.members import OPERATION
from actors.directory import Directory, Newborn
from actors.rolling_back import CannotRollBack, Request, RollingBack
from actors.saga import keys
from actors.saga.host import Host
from actors.saga.plan import Batch, Plan, PlanStep
from actors.saga.state import ENDED, State
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.files.batch import CompiledBatch, Member, compile_batch
from orchestrator.files.document import Document
from orchestrator.files.load import load, load_object
from orchestrator.making_up import shown
from orchestrator.reading import Reading
from orchestrator.requests import BatchBody, BatchSubmission, VerbBody
from orchestrator.steering import Steering
from orchestrator.submitting import Given, Submitted, Submitting, check_open, not_valid
from store.records import IdempotencyKey, Saga

TOLD = 5.0
"""Seconds that a page waits for the sagas of a batch that has just ended to hear of it."""
LOOK = 500
"""Milliseconds between two looks whether the sagas of a batch need somebody, of which it has no event."""
_AT_WORK = ("running", "compensating")
_URGENT = ("quarantined", "attention", "paused", "approval", "lock")
_FILE = ("batch", "mode", "parallel", "on_failure", "sagas")


class Batching:
    """What callers can do with batches."""

    def __init__(
        self,
        host: Host,
        directory: Directory,
        reading: Reading,
        submitting: Submitting,
        steering: Steering,
        rolling_back: RollingBack,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Submit and steer by these."""
        self._host = host
        self._directory = directory
        self._reading = reading
        self._submitting = submitting
        self._steering = steering
        self._rolling_back = rolling_back
        self._random = random_bytes

    # -- in --------------------------------------------------------------------------------------------------------

    async def submit(
        self, caller: Caller, submission: BatchSubmission, *, idempotency_key: str | None, wait: int | None
    ) -> Submitted:
        """Accept a batch with all its sagas; durable when this returns. Raises Invalid, Conflict, Unavailable."""
        said = b"batch " + msgspec.json.encode(submission, order="sorted")

        async def again(batch: str) -> Submitted:
            await self._awaited(batch, wait)
            return Submitted(batch, created=False, body=await self._submitted(batch, ()))

        async def start(key: IdempotencyKey | None) -> Submitted:
            compiled = self._compiled(submission)
            check_open(self._host)
            born = self._born(caller, submission, compiled)
            born[0].key = key
            await self._directory.submit_together(born)
            await self._awaited(born[0].saga, wait)
            return Submitted(
                born[0].saga, created=True, body=await self._submitted(born[0].saga, compiled.warnings)
            )

        return await self._submitting.once(idempotency_key, said, again, start)

    async def submit_compiled(
        self, caller: Caller, submission: BatchSubmission, compiled: CompiledBatch, ids: list[str]
    ) -> str:
        """Accept a batch that sagad has made itself, its sagas under these ids; give its own. Raises Unavailable."""
        check_open(self._host)
        born = self._born(caller, submission, compiled, ids)
        await self._directory.submit_together(born)
        return born[0].saga

    def _compiled(self, submission: BatchSubmission) -> CompiledBatch:
        has_secret = self._submitting.has_secret
        compiled = compile_batch(
            self._file(submission), submission.files, self._submitting.compiler, has_secret
        )
        if compiled.problems:
            raise not_valid("batch", compiled.problems)
        return compiled

    def _file(self, submission: BatchSubmission) -> Document:
        if submission.source is not None:
            limit = self._submitting.compiler.limit
            return load(submission.source, format=submission.format or "yaml", limit=limit)
        if isinstance(submission.batch, dict):
            return load_object(submission.batch)
        given = msgspec.structs.asdict(submission)
        return load_object({name: given[name] for name in _FILE if given[name] is not None})

    def _born(
        self,
        caller: Caller,
        submission: BatchSubmission,
        compiled: CompiledBatch,
        ids: list[str] | None = None,
    ) -> list[Newborn]:
        """Make the batch and its sagas: those wait until it lets them start."""
        batch = keys.new_id(self._random)
        ids = ids or [keys.new_id(self._random) for _ in compiled.members]
        plan = _plan(batch, compiled, ids)
        own = self._submitting.newborn(
            caller, plan, Given({}, submission.labels, submission.reason), saga=batch, batch=batch
        )
        return [
            own,
            *(
                self._member(caller, submission, batch, *each, plan)
                for each in zip(ids, compiled.members, strict=True)
            ),
        ]

    def _member(
        self, caller: Caller, submission: BatchSubmission, batch: str, saga: str, member: Member, plan: Plan
    ) -> Newborn:
        assert member.compiled.plan is not None
        assert plan.batch is not None
        return self._submitting.newborn(
            caller,
            member.compiled.plan,
            Given(member.inputs, {**member.compiled.labels, **submission.labels}, submission.reason),
            saga=saga,
            batch=batch,
            queued=True,
            keeps_locks=plan.batch.mode == "all_or_nothing",
        )

    # -- out -------------------------------------------------------------------------------------------------------

    async def batch(self, ref: str) -> bytes:
        """Give a batch and where each of its sagas is."""
        return documents.encode(await self._document(self._reading.resolve_batch(ref)))

    async def batches(self, limit: int, cursor: str | None) -> bytes:
        """List batches, the newest first, a page at a time."""
        before = None if cursor is None else int(cursor)
        rows = await self._host.queries.batches(before=before, limit=limit + 1)
        found = [msgspec.convert(await self._summary(row), answers.BatchSummary) for row in rows[:limit]]
        behind = str(rows[limit - 1].number) if len(rows) > limit else None
        return documents.encode(answers.Batches(batches=found, next=behind))

    async def _submitted(self, batch: str, warnings: Any) -> bytes:
        document = msgspec.structs.asdict(await self._document(batch))
        return documents.encode(answers.BatchSubmitted(**document, warnings=list(warnings)))

    async def _document(self, batch: str) -> answers.Batch:
        with anyio.move_on_after(TOLD):
            await self._directory.wait_told(batch)
        row = self._host.queries.saga(batch)
        assert row is not None
        order = {saga: place for place, saga in enumerate(self._directory.plan(row.plan).members)}
        rows = [await self._reading.document(each.id) for each in await self._host.queries.members(batch)]
        members = sorted((each for each in rows if each.id in order), key=lambda each: order[each.id])
        rollbacks = [each for each in rows if each.id not in order]
        return answers.Batch(**await self._summary(row), sagas=members, rollbacks=rollbacks)

    async def _summary(self, row: Saga) -> dict[str, Any]:
        document = await self._reading.document(row.id)
        plan = self._directory.plan(row.plan)
        assert plan.batch is not None
        counts = await self._host.queries.members_by_status(row.id)
        shared = {name: getattr(document, name) for name in _SHARED}
        return shared | {
            "hold": document.hold or await self._members_hold(document, plan),
            "batch": plan.kind,
            "mode": plan.batch.mode,
            "parallel": plan.batch.parallel,
            "on_failure": "compensate" if plan.batch.mode == "best_effort" else plan.on_failure,
            "counts": {status: number for status, number, _ in counts},
            "taken_back": sum(taken_back for _, _, taken_back in counts),
        }

    async def _members_hold(self, batch: answers.Saga, plan: Plan) -> answers.Hold | None:
        """Give the most urgent hold of a batch's sagas where none of those that are at work goes on without somebody.

        One whose turn has not come may ask for its approval already; that holds up nothing.
        """
        at_work = {plan.members[step.index] for step in batch.steps if step.status in _AT_WORK}
        if not at_work or batch.status in ENDED:
            return None
        held = await self._host.queries.members_held(batch.id)
        if not at_work <= {member for _, member in held}:
            return None
        documents = [await self._reading.document(saga) for saga, member in held if member in at_work]
        holds = [(each.id, each.hold) for each in documents if each.hold is not None]
        if not holds:
            return None
        saga, hold = min(holds, key=lambda each: _URGENT.index(each[1].reason))
        detail = f"saga {saga}: {hold.detail}; `sagactl why {saga}`"
        return answers.Hold(reason=hold.reason, since=hold.since, detail=detail)

    async def _awaited(self, batch: str, wait: int | None) -> None:
        """Return when a batch has ended or needs somebody, or when the time is up (milliseconds)."""
        left = wait or 0
        while left > 0:
            document = await self._submitting.awaited(batch, min(left, LOOK))
            plan, _ = self._directory.durable(batch)
            if document.status in ENDED or (document.hold or await self._members_hold(document, plan)):
                return
            left -= LOOK

    # -- steering --------------------------------------------------------------------------------------------------

    async def cancel(self, caller: Caller, ref: str, body: BatchBody) -> bytes:
        """Turn the whole batch back. Raises NotFound, Conflict."""
        said = VerbBody(reason=body.reason, now=body.now)
        return await self._said(
            await self._steering.verb(caller, self._reading.resolve_batch(ref), "cancel", said)
        )

    async def rollback(self, caller: Caller, ref: str, body: BatchBody) -> bytes:
        """Take the whole batch back, or say what that would do. Raises NotFound, Conflict, Unavailable."""
        batch = self._reading.resolve_batch(ref)
        if body.preview:
            return await self._preview(batch)
        said = VerbBody(reason=body.reason)
        _, _, state, _ = await self._reading.look(batch)
        verb = "rollback" if state.status in ENDED or state.hold is not None else "cancel"
        return await self._said(await self._steering.verb(caller, batch, verb, said), batch)

    async def _said(self, answer: bytes, batch: str | None = None) -> bytes:
        said = _ANSWER.decode(answer)
        document = await self._document(batch or said.saga["id"])
        taker = said.saga["id"] if batch is not None and said.saga["id"] != batch else None
        return documents.encode(
            answers.BatchAnswer(did=said.did, detail=said.detail, batch=document, rollback=taker)
        )

    async def _preview(self, batch: str) -> bytes:
        """Say for each saga, the newest first, what would be done about it."""
        _, plan, state, _ = await self._reading.look(batch)
        order = sorted(range(len(plan.steps)), key=lambda i: -state.steps[i].number)
        told = [await self._foreseen(plan.members[index]) for index in order if state.steps[index].number]
        document = await self._document(batch)
        count = sum(each.will == "roll back" for each in told)
        detail = f"would take back {count} of {len(plan.members)} sagas; nothing was touched"
        return documents.encode(
            answers.BatchAnswer(did="nothing", detail=detail, batch=document, rollback=None, preview=told)
        )

    async def _foreseen(self, saga: str) -> answers.BatchPreview:
        header, plan, state, _ = await self._reading.look(saga)
        will, why, steps = _fate(state), "", list[answers.Preview]()
        if header.rolled_back_by is not None:
            will, why = "nothing", f"it was rolled back already, by saga {header.rolled_back_by}"
        if will == "roll back":
            request = Request(saga=saga, by="sagad")
            try:
                why, outlook = await self._rolling_back.preview(request)
                steps = [shown(plan, state, each) for each in outlook]
            except CannotRollBack as refused:
                will, why = "keep", str(refused)
        return answers.BatchPreview(
            saga=saga, kind=plan.kind, status=state.status, will=will, why=why or None, steps=steps
        )


def _fate(state: State) -> Any:
    """Say what the way back of a batch makes of one of its sagas."""
    if state.status == "completed":
        return "roll back"
    if state.status == "failed":
        return "keep"
    return "nothing" if state.status == "rolled_back" else "cancel"


class _Answer(msgspec.Struct):
    """What is needed of a verb's answer."""

    did: Any
    detail: str
    saga: dict[str, Any]


_ANSWER = msgspec.json.Decoder(_Answer)
_SHARED = (
    "id", "status", "waiting", "cancel", "error", "created_at", "updated_at", "finished_at",
    "submitted_by", "reason", "rolled_back_by",
)  # fmt: skip


def _plan(batch: str, compiled: CompiledBatch, sagas: list[str]) -> Plan:
    """Make the plan of the batch: a step a saga, none of which needs another."""
    width = len(str(len(sagas)))
    steps = tuple(
        PlanStep(
            index=index,
            name=f"s{index + 1:0{width}}-{member.compiled.plan.kind if member.compiled.plan else ''}"[:100],
            operation=OPERATION,
            arguments={"batch": batch, "saga": saga},
        )
        for index, (saga, member) in enumerate(zip(sagas, compiled.members, strict=True))
    )
    alone = compiled.mode == "best_effort"
    return Plan(
        kind=compiled.name,
        steps=steps,
        graph=True,
        on_failure="stop" if alone else compiled.on_failure,
        batch=Batch(compiled.mode, compiled.parallel),
    )
