"""How the node is: what `health` says, what somebody should look at, and the counts that the metrics are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import msgspec

from actors.clock import rfc3339
from actors.directory import Directory
from actors.saga.host import Host
from config.problems import suggest
from orchestrator import answers, documents
from orchestrator.metrics import Counts
from providers.registry import Registry
from store.sql import queries

if TYPE_CHECKING:
    from actors.services import Shown
    from orchestrator.service import Service

SHOWN = 20
"""Sagas named in `health` at most, of each trouble."""

OVERLOOKED = 60_000
"""Milliseconds after which a saga that is due and not in memory has been overlooked."""


class Health:
    """Says how a node is."""

    def __init__(self, host: Host, directory: Directory, registry: Registry, service: Service) -> None:
        """Look at these parts of the node that this is the service of."""
        self._host = host
        self._directory = directory
        self._registry = registry
        self._service = service
        self._began = host.clock.now()

    async def health(self) -> bytes:
        """Say how the node is: live and ready, and everything that somebody should look at."""
        counts = await self._host.queries.counts()
        warnings = [text async for text in self.all_warnings()]
        status: answers.NodeStatus = (
            "draining" if self._host.draining else "ok" if not warnings else "warning"
        )
        return documents.encode(
            answers.Health(
                live=True,
                ready=self._service.ready,
                status=status,
                version=self._service.version,
                node=self._host.journal.node,
                head=answers.Head(seq=self._host.journal.last_seq, hash=self._host.journal.head),
                sagas=[documents.count(each) for each in counts],
                in_memory=len(self._directory.live),
                restarts=self._directory.supervisor.restarts,
                providers=[documents.reach(each) for each in self._reached()],
                retention=None if self._service.keep is None else self._service.keep.retention,
                warnings=warnings,
            )
        )

    async def all_warnings(self) -> AsyncIterator[str]:
        """Say everything that somebody should look at."""
        for text in self._service.warnings:
            yield text
        for text in self._of_types():
            yield text
        for text in self._silent():
            yield text
        for text in self._drift_alarms():
            yield text
        for text in self._service.keep.warnings() if self._service.keep is not None else ():
            yield text
        for text in self._host.secrets.broken:
            yield text
        if self._host.journal.full:
            yield f"the disk is full: {self._host.journal.storage.why}"
        async for text in self._of_sagas():
            yield text

    def _of_types(self) -> Iterator[str]:
        """Name the types that cannot be used, and those that are settings of nothing."""
        for name, why in self._registry.refused.items():
            yield f"type {name} is unavailable: {'; '.join(why)}"
        for type_ in self._service.settings.policy.types:
            if type_ not in self._registry.drivers and type_ not in self._registry.refused:
                hint = suggest(type_, self._registry.drivers)
                yield f'the settings have [policy."{type_}"], and there is no such type: {hint}'

    async def _of_sagas(self) -> AsyncIterator[str]:
        """Name the sagas that are left alone, do not come on, or were overlooked."""
        for row in await self._host.queries.sagas(hold="quarantined", limit=SHOWN):
            held = self._directory.state(row).hold
            since = f" since {rfc3339(held.since)}" if held else ""
            yield f"saga {row.id} is quarantined{since}: {held.detail if held else 'see the log'}"
        if not self._host.journal.full:  # while it is, every turn waits for room
            for name, at, what in self._directory.stalled(self._host.clock.now())[:SHOWN]:
                yield f"saga {name} {what}, since {rfc3339(at)}: see `sagactl why {name}` and the log"
        for saga in await self._overlooked():
            yield f"saga {saga} should go on and does not, which is a bug of sagad: see `sagactl why {saga}` and its log"

    def _silent(self) -> Iterator[str]:
        """Name the services that are not asked for a while."""
        for each in self._reached():
            if each.since is not None:
                yield (
                    f"{each.name} has not answered since {rfc3339(each.since)} ({each.error}): what would ask it waits, "
                    f"and it is asked again at {rfc3339(each.until or 0)}"
                )

    def _reached(self) -> list[Shown]:
        return [self._host.services.shown(name) for name in self._registry.services()]

    def _drift_alarms(self) -> list[str]:
        found = self._host.queries.at_once(
            lambda db: db.execute(queries()["drift_notes"], ("alarm",)).fetchall()
        )
        return [msgspec.json.decode(value) for _, value in found]

    async def _overlooked(self) -> list[str]:
        """Name sagas that neither move nor have a reason. None while there is one: no room, no disk, a drain, a start."""
        then = self._host.clock.now() - OVERLOOKED
        if self._began > then or self._directory.crowded or self._host.draining or self._host.journal.full:
            return []
        found = await self._host.queries.overlooked(then, limit=len(self._directory.live) + SHOWN)
        return [saga for saga in found if saga not in self._directory.live]

    async def counts(self) -> Counts:
        """Count what there is, for the metrics."""
        rows = await self._host.queries.counts()
        return Counts(
            version=self._service.version,
            ready=self._service.ready,
            draining=self._host.draining,
            storage_full=self._host.journal.full,
            sagas={(row.status, row.hold): row.sagas for row in rows},
            actors=len(self._directory.live),
            restarts=self._directory.supervisor.restarts,
            quarantined=sum(row.sagas for row in rows if row.hold == "quarantined"),
            last_seq=self._host.journal.last_seq,
            providers={each.name: (each.position, each.failures) for each in self._reached()},
            drift=self._host.queries.at_once(
                lambda db: dict(db.execute(queries()["drift_counts"]).fetchall())
            ),
            drift_alarms=len(self._drift_alarms()),
        )
