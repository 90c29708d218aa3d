"""Reverting: drift set back by sagas and batches as any, each named by its records before it begins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from actors.beside import event_row
from actors.drift import automatic, events
from actors.drift.judge import MISSING
from actors.drift.keeper import Keeper
from actors.drift.reverting import CannotRevert, Case, Operation, Reverting
from actors.drift.settling import End
from actors.saga import keys
from actors.saga.calls import Calls
from actors.saga.host import Host
from actors.saga.plan import Plan
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.batching import Batching
from orchestrator.files.batch import MOST_SAGAS, CompiledBatch, Member
from orchestrator.inbox import Inbox
from orchestrator.problems import Conflict, Invalid, Problem, Unavailable
from orchestrator.reading import Reading
from orchestrator.requests import BatchSubmission, DriftBody, RevertAll, Submission
from orchestrator.submitting import Given, Submitting, check_open
from providers.registry import Registry
from store import drift as kept
from store.drift import Drift, Filter, Kept
from store.records import Note, Resource

KIND = "drift-revert"
"""The kind of the sagas that revert drift."""

SAGAD = Caller("sagad", "admin")
"""Who reverts by the settings."""

DONE = 20
"""Executions that are looked through for what was done to a resource before."""

MOST = 1_000
"""Records that are reverted together."""


class Begun(msgspec.Struct):
    """A saga that is to revert drift of one resource, before it is begun."""

    saga: str
    drifts: list[Drift]
    plan: Plan
    member: Member


class SettingBack:
    """Begins the sagas that revert drift."""

    def __init__(
        self,
        host: Host,
        registry: Registry,
        keeper: Keeper,
        reading: Reading,
        submitting: Submitting,
        batching: Batching,
    ) -> None:
        """Submit there; have the keeper close the records."""
        self._host = host
        self._registry = registry
        self._keeper = keeper
        self._reading = reading
        self._submitting = submitting
        self._batching = batching
        self._inbox = Inbox(host, keeper)
        self._reverting = Reverting(Calls(registry, host.secrets, host.clock))

    async def revert(self, caller: Caller, ref: str, body: DriftBody, *, wait: int | None = None) -> bytes:
        """Have a saga set the spec back; it is durable when this returns. Raises NotFound, Conflict, Unavailable."""
        drift = self._inbox.open(ref)
        begun = await self._prepared([drift], body.reason)
        saga = await self._begin(caller, begun, body.reason, by_itself=False)
        if wait:
            await self._submitting.awaited(saga, wait)
            await self._keeper.settle_one(saga)
        shown = self._inbox.shown(self._inbox.find(drift.id))
        about = await self._reading.document(saga)
        detail = f"saga {saga} {_doing(drift, done=about.status == 'completed')}"
        return documents.encode(answers.DriftAnswer(did="accepted", detail=detail, drift=[shown], saga=about))

    async def revert_all(self, caller: Caller, body: RevertAll) -> bytes:
        """Have a batch set back all that is open and not ignored, a saga a resource. Raises Conflict, Unavailable."""
        check_open(self._host)
        which = Filter("open", body.type, None, self._host.clock.now(), 0, MOST)
        rows = await self._host.queries.apart(lambda db: kept.listed(db, which))
        by_resource: dict[tuple[str, str], list[Drift]] = {}
        for _, drift in rows:
            if drift.resolved_by is None:
                by_resource.setdefault((drift.type, drift.identity), []).append(drift)
        begun, refused = await self._all_prepared(list(by_resource.values())[:MOST_SAGAS], body.reason)
        if not begun:
            detail = "; ".join(refused) or "nothing is open that nobody ignores"
            return documents.encode(answers.DriftAnswer(did="nothing", detail=detail, drift=[]))
        await self._mark(caller, begun, body.reason, by_itself=False)
        compiled = CompiledBatch(
            (), name=KIND, mode="best_effort", members=tuple(each.member for each in begun)
        )
        said = BatchSubmission(reason=body.reason or "revert all drift")
        ids = [each.saga for each in begun]
        batch = await self._started(begun, self._batching.submit_compiled(caller, said, compiled, ids))
        shown = [self._inbox.shown(self._inbox.find(drift.id)) for each in begun for drift in each.drifts]
        detail = "; ".join(
            [f"batch {batch} reverts {len(shown)} records of {len(begun)} resources", *refused]
        )
        return documents.encode(answers.DriftAnswer(did="accepted", detail=detail, drift=shown, batch=batch))

    async def by_itself(self, drifts: Sequence[Drift]) -> None:
        """Revert as the settings say. Raises automatic.Refused."""
        try:
            begun = await self._prepared(list(drifts), None)
            await self._begin(SAGAD, begun, "[drift] auto_revert of the settings", by_itself=True)
        except Unavailable:
            return  # the next sweep comes by it again
        except Problem as problem:
            raise automatic.Refused(problem.detail) from problem

    async def _prepared(self, drifts: list[Drift], reason: str | None) -> Begun:
        """Make the saga that reverts drift of one resource. Raises Conflict where there is none."""
        check_open(self._host)
        record = self._inbox.record(drifts[0])
        driver = self._registry.drivers.get(record.type)
        if driver is None:
            raise Conflict(f"there is no type {record.type} here: `sagactl providers` says what there is")
        case = Case(record, drifts, await self._done_to(record))
        try:
            operations = await self._reverting.operations(driver, case)
        except CannotRevert as why:
            raise Conflict(
                f"it cannot be reverted: {why}; possible are `sagactl drift accept`, `sagactl drift ignore`, or a saga"
                " of your own",
                code="no_way_back",
            ) from why
        return self._compiled(record, drifts, operations, reason)

    async def _all_prepared(
        self, groups: list[list[Drift]], reason: str | None
    ) -> tuple[list[Begun], list[str]]:
        begun, refused = list[Begun](), list[str]()
        for drifts in groups:
            try:
                begun.append(await self._prepared(drifts, reason))
            except Conflict as why:
                refused.append(f"not {drifts[0].label}: {why.detail}")
        return begun, refused

    async def _done_to(self, record: Resource) -> list[tuple[str, dict[str, Any]]]:
        labels = sorted({f"{record.type}/{each}" for each in (record.name, record.identity)})
        rows = await self._host.queries.apart(lambda db: kept.arguments_of(db, labels, DONE))
        return [
            (operation.rpartition(".")[2], msgspec.json.decode(arguments))
            for operation, arguments in rows
            if operation.rpartition(".")[0] == record.type
        ]

    def _compiled(
        self, record: Resource, drifts: list[Drift], operations: Sequence[Operation], reason: str | None
    ) -> Begun:
        steps = [
            {
                "name": each.verb if number == 0 else f"{each.verb}-{number + 1}",
                "do": f"{record.type}.{each.verb}",
                "with": each.arguments,
            }
            for number, each in enumerate(operations)
        ]
        labels = {"drift": drifts[0].id}
        source = {"saga": KIND, "labels": labels, "steps": steps}
        try:
            compiled, inputs = self._submitting.checked(Submission(saga=source, reason=reason))
        except Invalid as problem:
            what = "; ".join(f"{each.where}: {each.problem}" for each in problem.errors)
            raise Conflict(f"it cannot be reverted: {what}", code="no_way_back") from problem
        assert compiled.plan is not None
        plan = compiled.plan
        if drifts[0].field == MISSING:
            first = msgspec.structs.replace(plan.steps[0], instead_of=record.identity)
            plan = msgspec.structs.replace(plan, steps=(first, *plan.steps[1:]))
            compiled = msgspec.structs.replace(compiled, plan=plan)
        return Begun(keys.new_id(os.urandom), drifts, plan, Member(compiled, inputs))

    async def _begin(self, caller: Caller, begun: Begun, reason: str | None, *, by_itself: bool) -> str:
        """Put the saga's id on the records, then begin it: see ``actors.drift.settling``."""
        await self._mark(caller, [begun], reason, by_itself=by_itself)
        given = Given(begun.member.inputs, begun.member.compiled.labels, reason or _reason(begun.drifts))
        await self._started([begun], self._submitting.submit_plan(caller, begun.plan, given, begun.saga))
        return begun.saga

    async def _mark(
        self, caller: Caller, begun: Sequence[Begun], reason: str | None, *, by_itself: bool
    ) -> None:
        async with self._keeper.alone:
            now = self._host.clock.now()
            rows, changed = [], []
            for each in begun:
                for drift in each.drifts:
                    current = self._inbox.open(drift.id)
                    changed.append(
                        msgspec.structs.replace(current, resolved_by=each.saga, automatic=by_itself, why=None)
                    )
                    said = events.RevertStarted(
                        saga=each.saga, automatic=by_itself, reason=reason, **events.of(drift)
                    )
                    rows.append(event_row(said, now, resource=drift.label, actor=caller.name))
            self._keeper.settling.beginning.update(each.saga for each in begun)
            await events.write(self._host, Note(rows, drift=Kept(changed=changed)))

    async def _started(self, begun: Sequence[Begun], submitting: Any) -> Any:
        """Await that sagas are submitted, and follow them. Where they are not, their records are open again at once."""
        beginning = self._keeper.settling.beginning
        try:
            answer = await submitting
        except Exception as error:
            why = error.detail if isinstance(error, Problem) else str(error)
            async with self._keeper.alone:
                for each in begun:
                    drifts = self._host.queries.at_once(lambda db, saga=each.saga: kept.at_work(db, saga))  # type: ignore[misc]
                    end = End(each.saga, f"saga {each.saga} was not begun: {why}")
                    await self._keeper.settling.write(drifts, end)
            raise
        finally:
            beginning.difference_update(each.saga for each in begun)
        for each in begun:
            await self._keeper.follow(each.saga)
        return answer


def _doing(drift: Drift, *, done: bool) -> str:
    if drift.field == MISSING:
        return f"{'has created' if done else 'creates'} {drift.label} again"
    return f"{'has set' if done else 'sets'} {drift.field} of {drift.label} back"


def _reason(drifts: Sequence[Drift]) -> str:
    fields = ", ".join(each.field or "missing" for each in drifts)
    return f"drift of {drifts[0].label}: {fields}"
