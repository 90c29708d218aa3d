"""Backing up while the daemon works: a consistent copy, on the record, sent to whoever asked for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from actors.beside import event_row
from actors.clock import rfc3339
from actors.node import BackedUp
from actors.saga.host import Host
from orchestrator import VERSION
from orchestrator.access import Caller
from orchestrator.problems import Unavailable
from store.backup import About, Backup
from store.errors import NoRoomForBackup
from store.node import StateFolder


class BackingUp:
    """Makes backups, one at a time: each takes the room of the database."""

    def __init__(self, host: Host, folder: StateFolder, blobs_stay: asyncio.Lock) -> None:
        """Back up this folder. Whoever holds ``blobs_stay`` keeps blobs from being dropped."""
        self._host = host
        self._folder = folder
        self._blobs_stay = blobs_stay

    @asynccontextmanager
    async def backup(self, caller: Caller) -> AsyncIterator[Backup]:
        """Give a backup of this moment, to be sent within. It is on the record before its first byte is.

        Raises Unavailable where there is no room for it.
        """
        journal = self._host.journal
        if journal.full:
            raise Unavailable(f"no backup can be made now: the disk is full ({journal.storage.why})")
        now = self._host.clock.now()
        async with self._blobs_stay:
            about = About(VERSION, rfc3339(now), caller.name)
            try:
                made = await self._host.queries.apart(partial(self._take, about))
            except NoRoomForBackup as full:
                raise Unavailable(str(full), code="no_room") from full
            try:
                event = BackedUp(upto=made.manifest.seq, bytes=made.size)
                await journal.record([event_row(event, now, actor=caller.name)])
                yield made
            finally:
                made.close()

    def _take(self, about: About, db: sqlite3.Connection) -> Backup:
        return Backup.take(db, self._folder.path, self._folder.node_key, about)
