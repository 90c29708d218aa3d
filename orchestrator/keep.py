"""Keeping a node safe: its backups, its doctor, and what is dropped from its record when its time is over.

What this is put together from is imported when it is first asked for: most days nobody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
from msgspec.structs import asdict

from actors.clock import rfc3339
from orchestrator import VERSION, answers, documents

if TYPE_CHECKING:
    from actors.directory import Directory
    from actors.inspection import Inspection
    from actors.retention import Retention
    from actors.saga.host import Host
    from config.settings import Settings
    from orchestrator.access import Caller
    from orchestrator.service import Service
    from store.backup import Backup
    from store.blobs import Blobs
    from store.node import StateFolder


SETTLED = 30.0
"""Seconds after the start in which nothing is loaded that is not needed yet."""


class Keep:
    """What a node has on disk, and what is done to keep it."""

    def __init__(
        self,
        service: Service,
        host: Host,
        directory: Directory,
        folder: StateFolder,
        blobs: Blobs,
        read: Callable[[], Settings],
    ) -> None:
        """Look after this folder. ``read`` reads the settings anew."""
        self._service = service
        self._host = host
        self._directory = directory
        self._folder = folder
        self._blobs = blobs
        self._read = read
        self._retention: Retention | None = None
        self._inspection: Inspection | None = None
        self._examining = asyncio.Lock()
        self.blobs_stay = asyncio.Lock()
        """Held while blobs are read that must not be dropped, and while some are."""

    @asynccontextmanager
    async def backup(self, caller: Caller) -> AsyncIterator[Backup]:
        """Give a backup of this moment, to be sent within: see ``backing_up``. Raises Unavailable."""
        from orchestrator.backing_up import BackingUp

        async with BackingUp(self._host, self._folder, self.blobs_stay).backup(caller) as made:
            yield made

    async def tend(self) -> None:
        """Drop what has had its time, and inspect the record, for as long as the daemon lives."""
        await anyio.sleep(SETTLED)  # until then nothing of it need be loaded
        from actors.inspection import Inspection
        from actors.retention import Retention
        from actors.unneeded import drop_unneeded

        keep_for = lambda: asdict(self._service.settings.retention)  # noqa: E731  the settings change with a reload
        sealed = partial(drop_unneeded, self._host.journal, self._host.queries)
        self._retention = Retention(
            self._host, self._directory, self._blobs, self.blobs_stay, keep_for, also=[sealed]
        )
        self._inspection = Inspection(self._host, self._directory, self._folder.node_key)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._retention.run)
            tasks.start_soon(self._inspection.run)

    def warnings(self) -> Iterator[str]:
        """Say what these found wrong."""
        if self._retention is not None and self._retention.report.error is not None:
            yield f"retention broke off, and is tried again within the hour: {self._retention.report.error}"
        if self._inspection is not None and self._inspection.problem is not None:
            yield f"{self._inspection.problem}: `sagactl doctor` says what to do"

    @property
    def retention(self) -> answers.Retention | None:
        """Say what retention has done since the start; None where it has not begun."""
        if self._retention is None:
            return None
        report = self._retention.report
        last = None if report.last is None else rfc3339(report.last)
        return answers.Retention(
            last=last, sagas=report.sagas, blobs=report.blobs, needed=report.needed, error=report.error
        )

    async def doctor(self) -> bytes:
        """Look at everything that can be wrong with this node. Changes nothing, and may take long."""
        from orchestrator.doctor.examine import Patient, examined
        from orchestrator.doctor.findings import ok, warn

        patient = Patient(self._service.settings, self._folder.node_key, self._host.secrets, self._blobs)
        found = [ok("daemon", f"sagad {VERSION} answers")]
        remedy = "`sagactl why ID` says more of a saga, the daemon's log of the rest"
        found += [warn("daemon", text, remedy) async for text in self._service.all_warnings()]
        found += self._look_at_retention()
        async with self._examining:
            found += await self._host.queries.apart(partial(patient.look, self._read))
        return documents.encode(examined(found))

    def _look_at_retention(self) -> list[answers.Examination]:
        from orchestrator.doctor.findings import fail, ok

        done = self.retention
        if done is None or (done.last is None and done.error is None):
            return [ok("retention", "it has not gone round since the start")]
        if done.error is not None:
            return [
                fail(
                    "retention",
                    f"its last round broke off: {done.error}",
                    "see the log; it is tried again within the hour",
                )
            ]
        said = f"{done.sagas} sagas and {done.blobs} blobs dropped since the start, last round {done.last}"
        return [ok("retention", f"{said}; {done.needed} that have had their time are still needed")]
