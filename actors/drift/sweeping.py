"""The sweep: holds what was last seen against the specs, and opens, goes on with or closes records. Asks nobody.

A page is read, judged and handed to the journal in one turn of the loop. So no saga that changes a resource can come between:
it has the lock until its end is durable. Nobody's word about a record can either: see ``Alone``. After each page the loop
has more time for others than the page took.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from actors.beside import event_row
from actors.drift import events
from actors.drift.automatic import is_of_provider
from actors.drift.compare import Difference, Normalise
from actors.drift.counting import Scope
from actors.drift.events import DriftEvent
from actors.drift.hiding import comparable
from actors.drift.judge import MISSING, NOTHING, Case, Verdict, is_judged, judge, parted, rule_for, seen_again
from actors.drift.report import Progress, Report, rest
from actors.resources import HIDDEN, touch_of
from actors.saga import keys
from actors.saga.host import Host
from providers.registry import Registry
from store import drift as kept
from store.drift import Drift, Found, Kept, Rule
from store.errors import SecretUnusable
from store.records import NewEvent, Note, Resource

Alone = asyncio.Lock
"""Held by whoever changes records of drift, from reading them until the change is durable."""

PAGE = 10
"""Resources judged in one turn of the loop: less than a millisecond."""

_DECODER = msgspec.json.Decoder(dict[str, Any])


class Sweeping:
    """One sweep."""

    def __init__(
        self,
        host: Host,
        registry: Registry,
        scope: Scope,
        missing_after: int,
        report: Report,
        progress: Progress,
        alone: Alone,
    ) -> None:
        """Judge by these drivers' words; tell in the report."""
        self._host = host
        self._alone = alone
        self._registry = registry
        self._scope = scope
        self._missing_after = missing_after
        self._report = report
        self._progress = progress
        self._rules: list[Rule] = []
        self._normalise: Normalise = _as_it_is
        self.open: list[Drift] = []
        """Records that stand open after it, less those that nobody wants to hear of; for reverting by itself."""

    async def run(self, *, keeps_open: Callable[[Drift], bool] = lambda _: False) -> None:
        """Judge all of it. ``keeps_open``: whether an open record is to be in ``open``."""
        await self._part_rules()
        for type_ in self._host.queries.at_once(kept.kept_types):
            if self._scope.takes(type_):
                await self._type(type_, keeps_open)
        await self._drop()

    async def _part_rules(self) -> None:
        """Go by the rules that hold; of those whose time is up say so, once."""
        now = self._host.clock.now()
        self._rules, over = parted(self._host.queries.at_once(kept.rules), now)
        if over:
            ended = [msgspec.structs.replace(rule, ended_at=now, ended_by="sagad") for rule in over]
            told = [heeded(rule, now, "sagad", expired=True) for rule in over]
            await events.write(self._host, Note(told, drift=Kept(rules=ended)))

    async def _type(self, type_: str, keeps_open: Callable[[Drift], bool]) -> None:
        driver = self._registry.drivers.get(type_)
        self._normalise = _as_it_is if driver is None else driver.normalise
        after: str | None = ""
        while after is not None:
            started = time.perf_counter()
            async with self._alone:
                after, left, note = self._next(type_, after)
                if note is not None:
                    await events.write(self._host, note)
            self.open += filter(keeps_open, left)
            await rest(started)

    def _next(self, type_: str, after: str) -> tuple[str | None, list[Drift], Note | None]:
        """Judge the next page; give where it ends, what stands open after it, and what is to be written."""
        page = self._host.queries.at_once(
            lambda db: kept.resources(db, type_, self._scope.name, after=after, limit=PAGE)
        )
        if not page:
            return None, [], None
        note, left = self._page(page)
        self._progress.looked += len(page)
        return page[-1].record.identity, left, note

    # -- a page ----------------------------------------------------------------------------------------------------

    def _page(self, page: list[Found]) -> tuple[Note | None, list[Drift]]:
        """Judge a page; give what is to be written of it, and what stands open after it."""
        told: list[NewEvent] = []
        opened: list[Drift] = []
        changed: list[Drift] = []
        for found in page:
            if not self._is_free(found.record):
                continue
            verdict = self._verdict(found)
            new, same, gone = self._records(found.record, verdict)
            opened += new
            changed += [*same, *(each for each, _ in gone)]
            told += [self._row(events.Detected(kind=each.kind, **events.of(each)), each) for each in new]
            told += [self._row(events.Stale(why=why, **events.of(each)), each) for each, why in gone]
        self._report.opened += len(opened)
        self._report.still += sum(each.status == "open" for each in changed)
        self._report.stale += sum(each.status == "stale" for each in changed)
        note = Note(told, drift=Kept(opened=opened, changed=changed)) if opened or changed else None
        return note, [
            each for each in (*opened, *changed) if each.status == "open" and not self._hidden(each)
        ]

    def _is_free(self, record: Resource) -> bool:
        """Tell whether nobody is at a resource or its record right now."""
        return self._host.locks.holder(touch_of(record)) is None and not self._host.resources.busy(
            (record.type, record.identity)
        )

    def _verdict(self, found: Found) -> Verdict:
        record, seen = found.record, found.seen
        if seen is None or not is_judged(found):
            return NOTHING
        spec = comparable(_DECODER.decode(record.spec), self._has_secret)
        live = {} if seen.live is None else _DECODER.decode(seen.live)
        open_ = self._host.queries.at_once(lambda db: kept.open_of(db, record.type, record.identity))
        return judge(Case(found, spec, live, open_, self._rules), self._normalise, self._missing_after)

    def _has_secret(self, name: str) -> bool:
        try:
            self._host.secrets.get(name)
        except SecretUnusable:
            return False
        return True

    def _records(
        self, record: Resource, verdict: Verdict
    ) -> tuple[list[Drift], list[Drift], list[tuple[Drift, str | None]]]:
        now = self._host.clock.now()
        new = [self._new(record, each, now) for each in verdict.opened]
        same = [seen_again(drift, each, now) for drift, each in verdict.still]
        gone = [
            (msgspec.structs.replace(drift, status="stale", resolved_at=now), why)
            for drift, why in verdict.stale
        ]
        return new, same, gone

    def _new(self, record: Resource, difference: Difference, now: int) -> Drift:
        return Drift(
            id=keys.new_id(os.urandom),
            type=record.type,
            identity=record.identity,
            name=record.name,
            field=difference.field,
            kind="missing" if difference.field == MISSING else "changed",
            wanted=msgspec.json.encode(difference.wanted),
            live=msgspec.json.encode(difference.live),
            status="open",
            first_seen=now,
            last_seen=now,
        )

    def _hidden(self, drift: Drift) -> bool:
        return rule_for(self._rules, drift.type, drift.identity, drift.field) is not None

    def _row(self, event: DriftEvent, drift: Drift) -> NewEvent:
        return event_row(event, self._host.clock.now(), resource=drift.label)

    # -- what is kept no longer ------------------------------------------------------------------------------------

    async def _drop(self) -> None:
        """Close the records of resources that are kept no longer, and forget what was seen of them."""
        async with self._alone:
            while found := self._host.queries.at_once(lambda db: kept.open_of_nobody(db, PAGE)):
                now = self._host.clock.now()
                gone = [msgspec.structs.replace(each, status="stale", resolved_at=now) for each in found]
                why = "the resource is kept no longer"
                told = [self._row(events.Stale(why=why, **events.of(each)), each) for each in gone]
                self._report.stale += len(gone)
                await events.write(self._host, Note(told, drift=Kept(changed=gone)))
        while pairs := self._host.queries.at_once(lambda db: kept.seen_of_nobody(db, PAGE)):
            await self._host.journal.commit_nowait(Note([], drift=Kept(gone=pairs)))
        await self._drop_notes()

    async def _drop_notes(self) -> None:
        """Forget by what a list was known, and an alarm about a provider, of which nothing is kept any more."""
        types = self._host.queries.at_once(kept.kept_types)
        providers = {type_.partition(".")[0] for type_ in types}
        seen, alarms = (
            self._host.queries.at_once(lambda db, kind=kind: kept.notes(db, kind))  # type: ignore[misc]
            for kind in ("sighting", "alarm")
        )
        over = [name for name in alarms if is_of_provider(name) and name not in providers]
        notes: list[tuple[kept.NoteKind, str, bytes | None]] = [
            *(("sighting", name, None) for name in seen if name not in types),
            *(("alarm", name, None) for name in over),
        ]
        if notes:
            now = self._host.clock.now()
            told = [event_row(events.Calmed(provider=name), now, resource=name) for name in over]
            await events.write(self._host, Note(told, drift=Kept(notes=notes)))


def heeded(rule: Rule, now: int, actor: str, *, expired: bool) -> NewEvent:
    """Give the event of a rule that is over."""
    event = events.Heeded(rule=rule.id, owner=rule.owner, expired=expired, reason=rule.reason)
    return event_row(
        event, now, resource=None if rule.name is None else f"{rule.type}/{rule.name}", actor=actor
    )


def _as_it_is(_field: str, value: Any) -> Any:
    return value


def is_hidden(value: Any) -> bool:
    """Tell whether a live value is not shown, so that it cannot be made the spec."""
    return HIDDEN in msgspec.json.encode(value).decode()
