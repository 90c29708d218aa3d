"""Drifting: what callers can see of drift, and do about it. Loaded when somebody asks, or something is to be reverted."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from actors.beside import event_row
from actors.drift import compare, events
from actors.drift.counting import Scope
from actors.drift.judge import MISSING
from actors.drift.keeper import GivenUp, Keeper
from actors.drift.report import Report
from actors.drift.sweeping import heeded, is_hidden
from actors.resources import encoded
from actors.saga import keys
from actors.saga.host import Host
from config.durations import parse_duration
from config.problems import suggest
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.batching import Batching
from orchestrator.drift_documents import lines, rule_document
from orchestrator.inbox import Inbox
from orchestrator.problems import Conflict, Invalid, Item, NotFound, Unavailable
from orchestrator.reading import Reading
from orchestrator.refusals import refuse_full
from orchestrator.requests import Detect, DriftBody, Ignore
from orchestrator.setting_back import SettingBack
from orchestrator.submitting import Submitting, check_open
from providers.registry import Registry
from store import drift as kept
from store.drift import Drift, Filter, Kept, Rule
from store.records import Note, Resource, ResourceChange

PAGE = 1_000

_DECODER = msgspec.json.Decoder(dict[str, Any])


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
        self._inbox = Inbox(host, keeper)
        setting_back = SettingBack(host, registry, keeper, reading, submitting, batching)
        self.revert = setting_back.revert
        self.revert_all = setting_back.revert_all
        keeper.revert = setting_back.by_itself

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
        await self._inbox.settle()
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
        shown = self._inbox.all_shown(each for _, each in rows[:limit])
        return documents.encode(answers.Drifts(drift=shown, next=behind))

    async def one(self, ref: str) -> bytes:
        """Give a record."""
        await self._inbox.settle()
        shown = self._inbox.shown(self._inbox.find(ref))
        return documents.encode(answers.DriftOne(**msgspec.structs.asdict(shown), drift=[shown]))

    async def rules(self) -> bytes:
        """Give the rules that hold."""
        found = [rule_document(rule) for rule in self._inbox.rules()]
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
            drift=self._inbox.all_shown(each for _, each in rows),
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

    # -- changing --------------------------------------------------------------------------------------------------

    async def accept(self, caller: Caller, ref: str, body: DriftBody) -> bytes:
        """Make what is there the spec; of a resource that is missing: keep it no longer. Raises NotFound, Conflict."""
        refuse_full(self._host)
        async with self._keeper.alone:
            drift = self._inbox.open(ref)
            record = self._inbox.record(drift)
            self._inbox.refuse_busy(record)
            now = self._host.clock.now()
            version = record.spec_version + 1
            after = None if drift.field == MISSING else self._accepted(record, drift, now)
            done = msgspec.structs.replace(drift, status="accepted", resolved_by=caller.name, resolved_at=now)
            said = events.Accepted(spec_version=version, reason=body.reason, **events.of(drift))
            row = event_row(said, now, resource=drift.label, actor=caller.name)
            change = ResourceChange(record.type, record.identity, after)
            await self._host.resources.write(self._host.journal, [row], [change], Kept(changed=[done]))
        self._host.log_events("drift", [row])
        if after is None:
            detail = f"{drift.label} is gone, and kept no longer"
        else:
            detail = (
                f"{drift.field} of {drift.label} is kept as it is there, at version {version} of the spec"
            )
        told = lines(drift, after)
        return documents.encode(
            answers.DriftAnswer(did="accepted", detail=detail, drift=[self._inbox.shown(done)], lines=told)
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

    async def ignore(self, caller: Caller, ref: str, body: Ignore) -> bytes:
        """Have nobody hear of it any more: it and its like are neither listed nor recorded. Raises NotFound, Invalid."""
        drift = self._inbox.find(ref)
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
        note = Note([event_row(said, now, resource=label, actor=caller.name)], drift=Kept(rules=[rule]))
        await events.write(self._host, note)
        shown = self._inbox.shown(self._inbox.find(drift.id))
        until = "" if rule.expires_at is None else f" for {body.expires}"
        detail = f"{_about(rule)} is ignored{until}: rule {rule.id}"
        return documents.encode(
            answers.DriftAnswer(did="accepted", detail=detail, drift=[shown], rule=rule_document(rule))
        )

    async def heed(self, caller: Caller, ref: str, body: DriftBody) -> bytes:
        """End a rule. Raises NotFound."""
        found = [rule for rule in self._inbox.rules() if rule.id.startswith(ref)]
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


def _about(rule: Rule) -> str:
    what = rule.type if rule.name is None else f"{rule.type}/{rule.name}"
    if rule.field is None:
        return f"all of {what}"
    return f"{rule.field or 'absence'} of {what}"


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
