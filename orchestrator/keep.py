"""Keeping a node safe: its backups, its doctor, and what is dropped from its record when its time is over.

What this is put together from is imported when it is first asked for: most days nobody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from orchestrator import VERSION, documents

if TYPE_CHECKING:
    from actors.saga.host import Host
    from config.settings import Settings
    from orchestrator.access import Caller
    from orchestrator.service import Service
    from store.backup import Backup
    from store.blobs import Blobs
    from store.node import StateFolder


class Keep:
    """What a node has on disk, and what is done to keep it."""

    def __init__(
        self,
        service: Service,
        host: Host,
        folder: StateFolder,
        blobs: Blobs,
        read: Callable[[], Settings],
    ) -> None:
        """Look after this folder. ``read`` reads the settings anew."""
        self._service = service
        self._host = host
        self._folder = folder
        self._blobs = blobs
        self._read = read
        self._examining = asyncio.Lock()
        self.blobs_stay = asyncio.Lock()
        """Held while blobs are read that must not be dropped, and while some are."""

    @asynccontextmanager
    async def backup(self, caller: Caller) -> AsyncIterator[Backup]:
        """Give a backup of this moment, to be sent within: see ``backing_up``. Raises Unavailable."""
        from orchestrator.backing_up import BackingUp

        async with BackingUp(self._host, self._folder, self.blobs_stay).backup(caller) as made:
            yield made

    async def doctor(self) -> bytes:
        """Look at everything that can be wrong with this node. Changes nothing, and may take long."""
        from orchestrator.doctor.examine import Patient, examined
        from orchestrator.doctor.findings import ok, warn

        patient = Patient(self._service.settings, self._folder.node_key, self._host.secrets, self._blobs)
        found = [ok("daemon", f"sagad {VERSION} answers")]
        remedy = "`sagactl why ID` says more of a saga, the daemon's log of the rest"
        found += [warn("daemon", text, remedy) async for text in self._service.all_warnings()]
        async with self._examining:
            found += await self._host.queries.apart(partial(patient.look, self._read))
        return documents.encode(examined(found))
