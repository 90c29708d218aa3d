"""Drifting: what callers can see of drift, and do about it. Loaded when somebody asks, or something is to be reverted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import anyio
import msgspec

from actors.drift import automatic, compare, events
from actors.drift.judge import MISSING, rule_for
from actors.drift.keeper import GivenUp, Keeper
from actors.drift.looking import Scope, touch
from actors.drift.report import Report
from actors.drift.reverting import CannotRevert, Case, Operation, Reverting
from actors.drift.settling import End
from actors.drift.sweeping import heeded, is_hidden
from actors.resources import encoded
from actors.saga import keys
from actors.saga.calls import Calls
from actors.saga.host import Host
from actors.saga.plan import Plan
from config.durations import parse_duration
from config.problems import suggest
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.batching import Batching
from orchestrator.drift_documents import document, lines, rule_document
from orchestrator.files.batch import MOST_SAGAS, CompiledBatch, Member
from orchestrator.problems import Conflict, Invalid, Item, NotFound, Problem, Unavailable
from orchestrator.reading import Reading
from orchestrator.requests import BatchSubmission, Detect, DriftBody, Ignore, RevertAll, Submission
from orchestrator.submitting import Given, Submitting, check_open
from providers.registry import Registry
from store import drift as kept
from store.drift import Drift, Filter, Kept, Rule
from store.records import Note, Resource, ResourceChange

KIND = "drift-revert"
"""The kind of the sagas that revert drift."""

SAGAD = Caller("sagad", "admin")
"""Who reverts by the settings."""

DONE = 20
"""Executions that are looked through for what was done to a resource before."""

PAGE = 1_000

PATIENCE = 1.0
"""Seconds."""

_DECODER = msgspec.json.Decoder(dict[str, Any])


class Begun(msgspec.Struct):
    """A saga that is to revert drift of one resource, before it is begun."""

    saga: str
    drifts: list[Drift]
    plan: Plan
    member: Member


class Drifting:
    """What callers can do about drift."""

    def __init__(
        self,
        host: Host,
        registry: Registry,
        keeper: Keeper,
        reading: Reading,
        submitting: Submitting,
        batching: Batching,
    ) -> None:
        """Look by this keeper; revert by sagas and batches as any."""
        self._host = host
        self._registry = registry
        self._keeper = keeper
        self._reading = reading
        self._submitting = submitting
        self._batching = batching
        self._reverting = Reverting(Calls(registry, host.secrets, host.clock))
        keeper.revert = self._by_itself

    # -- looking ---------------------------------------------------------------------------------------------------

    async def drift(
        self,
        *,
        status: str = "open",
        type: str | None = None,
        name: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> bytes:
        """List records in the order of detection, a page at a time: the open ones that no rule hides, unless told."""
        await self._settle()
        now = self._host.clock.now() if status == "open" else None
        which = Filter(
            None if status == "all" else status,
            type,
            name,
            now,
            0 if cursor is None else int(cursor),
            limit + 1,
        )
        rows = await self._host.queries.apart(lambda db: kept.listed(db, which))
        behind = str(rows[limit - 1][0]) if len(rows) > limit else None
        shown = self._all_shown(each for _, each in rows[:limit])
        return documents.encode(answers.Drifts(drift=shown, next=behind))

    async def one(self, ref: str) -> bytes:
        """Give a record."""
        await self._settle()
        shown = self._shown(self._find(ref))
        return documents.encode(answers.DriftOne(**msgspec.structs.asdict(shown), drift=[shown]))

    async def _settle(self) -> None:
        """Close what a saga has just reverted: whoever saw it end is to see that. Nobody waits long for it."""
        if not self._host.journal.full and self._host.queries.at_once(kept.at_work):
            with anyio.move_on_after(PATIENCE):
                await self._keeper.settle()

    async def rules(self) -> bytes:
        """Give the rules that hold."""
        found = [rule_document(rule) for rule in self._rules()]
        return documents.encode(answers.DriftRules(rules=found))

    async def detect(self, caller: Caller, given: Detect) -> bytes:
        """Look and compare now; answer when that is done. Raises NotFound, Unavailable."""
        check_open(self._host)
        self._refuse_unknown(given)
        try:
            report = await self._keeper.detect(Scope(given.type, given.name))
        except GivenUp as why:
            raise Unavailable(str(why), code="drift_failed") from why
        return documents.encode(await self._detected(given, report))

    async def progress(self) -> bytes:
        """Say how far the looking is."""
        now = self._keeper.progress
        doing: Any = None if now is None else now.doing
        looked, of = (0, 0) if now is None else (now.looked, now.of)
        return documents.encode(answers.DriftProgress(doing=doing, looked=looked, of=of))

    def _refuse_unknown(self, given: Detect) -> None:
        types = self._host.queries.at_once(kept.kept_types)
        scope = Scope(given.type)
        meant = [type_ for type_ in types if scope.takes(type_)]
        if given.type is not None and not meant:
            raise NotFound(f"nothing of type `{given.type}` is in the registry: {suggest(given.type, types)}")
        if given.name is not None and not any(
            self._host.resources.called(type_, given.name) for type_ in meant
        ):
            raise NotFound(f"`{given.name}` is not in the registry: `sagactl resources ls` lists what is")

    async def _detected(self, given: Detect, report: Report) -> answers.DriftDetected:
        now = self._host.clock.now()
        which = Filter("open", given.type, given.name, now, 0, PAGE)
        rows = await self._host.queries.apart(lambda db: kept.listed(db, which))
        return answers.DriftDetected(
            drift=self._all_shown(each for _, each in rows),
            looked=report.looked,
            there=report.there,
            absent=report.absent,
            opened=report.opened,
            still_open=report.still,
            stale=report.stale,
            unknown=[
                msgspec.convert(each, answers.DriftUnknown, from_attributes=True) for each in report.unknowns
            ],
            unknown_count=report.unknown,
            passed_over=[
                msgspec.convert(each, answers.DriftUnknown, from_attributes=True) for each in report.passed
            ],
            passed_over_count=report.passed_over,
            alarms=report.alarms,
        )

    def _shown(self, drift: Drift) -> answers.Drift:
        return self._all_shown([drift])[0]

    def _all_shown(self, drifts: Iterable[Drift]) -> list[answers.Drift]:
        rules = self._rules()
        return [
            document(
                each,
                rule_for(rules, each.type, each.identity, each.field) if each.status == "open" else None,
            )
            for each in drifts
        ]

    def _rules(self) -> list[Rule]:
        now = self._host.clock.now()
        found = self._host.queries.at_once(kept.rules)
        return [rule for rule in found if rule.expires_at is None or rule.expires_at > now]

    def _find(self, ref: str) -> Drift:
        if ref == "last":
            last = self._host.queries.at_once(kept.last)
            found = [] if last is None else [last]
        else:
            found = self._host.queries.at_once(lambda db: kept.by_prefix(db, ref))
        if len(found) > 1 and found[0].id != ref:
            ids = f"{found[0].id}, {found[1].id}, …"
            raise Conflict(f"`{ref}` is the beginning of more than one id: {ids}", code="ambiguous")
        if not found:
            raise NotFound(f"there is no drift `{ref}`: `sagactl drift ls --all` lists what there is")
        return found[0]

    def _open(self, ref: str) -> Drift:
        """Give an open record that nobody is at. Raises NotFound, Conflict."""
        drift = self._find(ref)
        if drift.status != "open":
            by = f" by {drift.resolved_by}" if drift.resolved_by else ""
            raise Conflict(f"it is {drift.status}{by} already: `sagactl drift ls` lists what is open")
        if drift.resolved_by is not None:
            raise Conflict(
                f"saga {drift.resolved_by} is reverting it: `sagactl why {drift.resolved_by}` says where it is",
                code="being_reverted",
            )
        return drift

    def _record(self, drift: Drift) -> Resource:
        record = self._host.resources.find((drift.type, drift.identity))
        if record is None:
            raise Conflict(
                f"{drift.label} is kept no longer: the next sweep closes the record", code="not_kept"
            )
        return record

    # -- accept ----------------------------------------------------------------------------------------------------

    async def accept(self, caller: Caller, ref: str, body: DriftBody) -> bytes:
        """Make what is there the spec; of a resource that is missing: keep it no longer. Raises NotFound, Conflict."""
        self._refuse_full()
        async with self._keeper.alone:
            drift = self._open(ref)
            record = self._record(drift)
            self._refuse_busy(record)
            now = self._host.clock.now()
            version = record.spec_version + 1
            after = None if drift.field == MISSING else self._accepted(record, drift, now)
            done = msgspec.structs.replace(drift, status="accepted", resolved_by=caller.name, resolved_at=now)
            said = events.Accepted(spec_version=version, reason=body.reason, **events.of(drift))
            row = events.row(said, now, drift.label, caller.name)
            change = ResourceChange(record.type, record.identity, after)
            await self._host.resources.write(self._host.journal, row, change, Kept(changed=[done]))
        self._host.log_events("drift", [row])
        if after is None:
            detail = f"{drift.label} is gone, and kept no longer"
        else:
            detail = (
                f"{drift.field} of {drift.label} is kept as it is there, at version {version} of the spec"
            )
        told = lines(drift, after)
        return documents.encode(
            answers.DriftAnswer(did="accepted", detail=detail, drift=[self._shown(done)], lines=told)
        )

    def _accepted(self, record: Resource, drift: Drift, now: int) -> Resource:
        """Give the record with what is there as its spec. Raises Conflict where that is not what it was any more."""
        live = msgspec.json.decode(drift.live)
        if is_hidden(live):
            raise Conflict(
                "what is there is sensitive and not known here: revert it, or set it by a saga",
                code="sensitive",
            )
        spec = _DECODER.decode(record.spec)
        seen = self._host.queries.at_once(lambda db: kept.seen(db, record.type, record.identity))
        there = {} if seen is None or seen.live is None else _DECODER.decode(seen.live)
        root = compare.root_of(drift.field)
        driver = self._registry.drivers.get(record.type)
        given = {root: spec[root]} if root in spec else {}
        found = compare.differences(given, there, *([] if driver is None else [driver.normalise]))
        if not any(each.field == drift.field and each.live == live for each in found):
            raise Conflict(
                "the spec or what is there has changed since: `sagactl drift detect` looks again",
                code="changed",
            )
        try:
            changed = compare.with_value(spec, drift.field, live)
        except ValueError:  # its normal form has a place that it has not as it is written
            changed = compare.with_value(spec, root, there[root])
        return msgspec.structs.replace(
            record, spec=encoded(changed), spec_version=record.spec_version + 1, updated_at=now
        )

    def _refuse_busy(self, record: Resource) -> None:
        saga = self._host.locks.holder(touch(record))
        if saga is not None:
            raise Conflict(
                f"saga {saga} is at {record.type} {record.name}: wait until it has ended, `sagactl why {saga}` says"
                " for what",
                code="locked",
            )

    def _refuse_full(self) -> None:
        if self._host.journal.full:
            raise Unavailable("the disk is full, so nothing new is kept: make room", code="storage_full")

    # -- revert ----------------------------------------------------------------------------------------------------

    async def revert(self, caller: Caller, ref: str, body: DriftBody, *, wait: int | None = None) -> bytes:
        """Have a saga set the spec back; it is durable when this returns. Raises NotFound, Conflict, Unavailable."""
        drift = self._open(ref)
        begun = await self._prepared([drift], body.reason)
        saga = await self._begin(caller, begun, body.reason, by_itself=False)
        if wait:
            await self._submitting.awaited(saga, wait)
            await self._keeper.settle_one(saga)
        shown = self._shown(self._find(drift.id))
        about = await self._reading.document(saga)
        detail = f"saga {saga} {_doing(drift, done=about.status == 'completed')}"
        return documents.encode(answers.DriftAnswer(did="accepted", detail=detail, drift=[shown], saga=about))

    async def _prepared(self, drifts: list[Drift], reason: str | None) -> Begun:
        """Make the saga that reverts drift of one resource. Raises Conflict where there is none."""
        check_open(self._host)
        record = self._record(drifts[0])
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
                    current = self._open(drift.id)
                    changed.append(
                        msgspec.structs.replace(current, resolved_by=each.saga, automatic=by_itself, why=None)
                    )
                    said = events.RevertStarted(
                        saga=each.saga, automatic=by_itself, reason=reason, **events.of(drift)
                    )
                    rows.append(events.row(said, now, drift.label, caller.name))
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

    async def revert_all(self, caller: Caller, body: RevertAll) -> bytes:
        """Have a batch set back all that is open and not ignored, a saga a resource. Raises Conflict, Unavailable."""
        check_open(self._host)
        which = Filter("open", body.type, None, self._host.clock.now(), 0, PAGE)
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
        shown = [self._shown(self._find(drift.id)) for each in begun for drift in each.drifts]
        detail = "; ".join(
            [f"batch {batch} reverts {len(shown)} records of {len(begun)} resources", *refused]
        )
        return documents.encode(answers.DriftAnswer(did="accepted", detail=detail, drift=shown, batch=batch))

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

    async def _by_itself(self, drifts: Sequence[Drift]) -> None:
        """Revert as the settings say. Raises automatic.Refused."""
        try:
            begun = await self._prepared(list(drifts), None)
            await self._begin(SAGAD, begun, "[drift] auto_revert of the settings", by_itself=True)
        except Unavailable:
            return  # the next sweep comes by it again
        except Problem as problem:
            raise automatic.Refused(problem.detail) from problem

    # -- ignore ----------------------------------------------------------------------------------------------------

    async def ignore(self, caller: Caller, ref: str, body: Ignore) -> bytes:
        """Have nobody hear of it any more: it and its like are neither listed nor recorded. Raises NotFound, Invalid."""
        drift = self._find(ref)
        now = self._host.clock.now()
        rule = Rule(
            id=keys.new_id(os.urandom),
            type=drift.type,
            identity=None if body.scope == "type" else drift.identity,
            name=None if body.scope == "type" else drift.name,
            field=None if body.scope == "resource" else drift.field,
            reason=_given(body.reason),
            owner=caller.name,
            created_at=now,
            expires_at=None if body.expires is None else now + _duration(body.expires),
        )
        said = events.Ignored(
            rule=rule.id,
            identity=rule.identity,
            field=rule.field,
            expires_at=rule.expires_at,
            reason=rule.reason,
        )
        label = drift.label if rule.name is not None else rule.type
        note = Note([events.row(said, now, label, caller.name)], drift=Kept(rules=[rule]))
        await events.write(self._host, note)
        shown = self._shown(self._find(drift.id))
        until = "" if rule.expires_at is None else f" for {body.expires}"
        detail = f"{_about(rule)} is ignored{until}: rule {rule.id}"
        return documents.encode(
            answers.DriftAnswer(did="accepted", detail=detail, drift=[shown], rule=rule_document(rule))
        )

    async def heed(self, caller: Caller, ref: str, body: DriftBody) -> bytes:
        """End a rule. Raises NotFound."""
        found = [rule for rule in self._rules() if rule.id.startswith(ref)]
        if len(found) != 1 or not ref:
            raise NotFound(f"there is no one rule `{ref}`: `sagactl drift rules` lists those that hold")
        now = self._host.clock.now()
        rule = msgspec.structs.replace(found[0], ended_at=now, ended_by=caller.name)
        note = Note([heeded(rule, now, caller.name, expired=False)], drift=Kept(rules=[rule]))
        await events.write(self._host, note)
        detail = f"{_about(rule)} is heeded again"
        return documents.encode(
            answers.DriftAnswer(did="accepted", detail=detail, drift=[], rule=rule_document(rule))
        )


def _doing(drift: Drift, *, done: bool) -> str:
    if drift.field == MISSING:
        return f"{'has created' if done else 'creates'} {drift.label} again"
    return f"{'has set' if done else 'sets'} {drift.field} of {drift.label} back"


def _about(rule: Rule) -> str:
    what = rule.type if rule.name is None else f"{rule.type}/{rule.name}"
    if rule.field is None:
        return f"all of {what}"
    return f"{rule.field or 'absence'} of {what}"


def _reason(drifts: Sequence[Drift]) -> str:
    fields = ", ".join(each.field or "missing" for each in drifts)
    return f"drift of {drifts[0].label}: {fields}"


def _given(reason: str) -> str:
    if not reason.strip():
        raise Invalid("the body is not valid", [Item("reason", "is empty", "say why it is ignored")])
    return reason


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Invalid(
            "the body is not valid", [Item("expires", str(error), "write a duration, `7d`")]
        ) from error
