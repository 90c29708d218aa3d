"""The records of drift as callers name them: found, shown, and refused where nothing can be done about them now."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from actors.drift.judge import rule_for
from actors.drift.keeper import Keeper
from actors.resources import touch_of
from actors.saga.host import Host
from orchestrator import answers
from orchestrator.drift_documents import document
from orchestrator.problems import Conflict, NotFound
from orchestrator.refusals import refuse_locked
from store import drift as kept
from store.drift import Drift, Rule
from store.records import Resource

PATIENCE = 1.0
"""Seconds."""


class Inbox:
    """What is open, and what was."""

    def __init__(self, host: Host, keeper: Keeper) -> None:
        """Look there."""
        self._host = host
        self._keeper = keeper

    async def settle(self) -> None:
        """Close what a saga has just reverted: whoever saw it end is to see that. Nobody waits long for it."""
        if not self._host.journal.full and self._host.queries.at_once(kept.at_work):
            with anyio.move_on_after(PATIENCE):
                await self._keeper.settle()

    def find(self, ref: str) -> Drift:
        """Give a record by its id, the beginning of one, or `last`. Raises NotFound, Conflict."""
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

    def open(self, ref: str) -> Drift:
        """Give an open record that nobody is at. Raises NotFound, Conflict."""
        drift = self.find(ref)
        if drift.status != "open":
            by = f" by {drift.resolved_by}" if drift.resolved_by else ""
            raise Conflict(f"it is {drift.status}{by} already: `sagactl drift ls` lists what is open")
        if drift.resolved_by is not None:
            raise Conflict(
                f"saga {drift.resolved_by} is reverting it: `sagactl why {drift.resolved_by}` says where it is",
                code="being_reverted",
            )
        return drift

    def record(self, drift: Drift) -> Resource:
        """Give the resource's record. Raises Conflict where it is kept no longer."""
        record = self._host.resources.find((drift.type, drift.identity))
        if record is None:
            raise Conflict(
                f"{drift.label} is kept no longer: the next sweep closes the record", code="not_kept"
            )
        return record

    def refuse_busy(self, record: Resource) -> None:
        """Raise Conflict while a saga is at a resource."""
        refuse_locked(self._host, touch_of(record), f"{record.type} {record.name}")

    def rules(self) -> list[Rule]:
        """Give the rules that hold."""
        now = self._host.clock.now()
        found = self._host.queries.at_once(kept.rules)
        return [rule for rule in found if rule.expires_at is None or rule.expires_at > now]

    def shown(self, drift: Drift) -> answers.Drift:
        """Give a record's document."""
        return self.all_shown([drift])[0]

    def all_shown(self, drifts: Iterable[Drift]) -> list[answers.Drift]:
        """Give the documents of records, with the rules that hide them."""
        rules = self.rules()
        return [
            document(
                each,
                rule_for(rules, each.type, each.identity, each.field) if each.status == "open" else None,
            )
            for each in drifts
        ]
