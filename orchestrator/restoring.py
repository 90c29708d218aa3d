"""Restoring a backup into a state folder that has no database, while no daemon runs there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import IO

import msgspec

from actors.beside import event_row
from actors.clock import WallClock
from actors.node import Restored
from actors.restoring import hold_all
from store import node
from store.backup import Manifest
from store.journal import Journal
from store.queries import Queries
from store.restore import Unpacked, put_in_place, unpacked
from store.runner import Inline


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore has brought back: `held` are the sagas that wait for somebody."""

    node: str
    state_dir: str
    made_at: str
    head: str
    blobs: int
    held: list[str]


def restore(source: IO[bytes], where: object, folder: Path, by: str, key_file: Path | None = None) -> Done:
    """Check a backup and put it in place, its live sagas held. Until the last step nothing has changed.

    Raises a StoreError that says what is wrong and what to do: FolderInUse, DatabaseThere, KeyMissing,
    AnotherNodesBackup, BackupDamaged, BackupTooNew, FolderNotOurs.
    """
    with node.held(folder), unpacked(source, where, folder, key_file) as made:
        held = asyncio.run(_hold(made, node.read_key(folder, key_file), by))
        put_in_place(made, folder)
        manifest = made.manifest
    return Done(
        node=manifest.node,
        state_dir=str(folder),
        made_at=manifest.made_at,
        head=f"{manifest.seq}:{manifest.head}",
        blobs=len(manifest.parts) - 1,
        held=held,
    )


async def _hold(made: Unpacked, key: bytes, by: str) -> list[str]:
    """Bring the database up to date, and hold its live sagas."""
    journal = Journal.open(made.database, key, Inline(), reserve=0)
    try:
        queries = await Queries.open(made.database)
        try:
            now = WallClock().now()
            held = await hold_all(journal, queries, _why(made.manifest), now)
            manifest = made.manifest
            event = Restored(made_at=manifest.made_at, made_by=manifest.made_by, held=len(held))
            await journal.record([event_row(event, now, actor=by)])
        finally:
            await queries.close()
    finally:
        await journal.close()
    return held


def _why(manifest: Manifest) -> str:
    return (
        f"it came back with a backup of {manifest.made_at}, and what it did since is not on record: look at what its "
        "steps have changed"
    )
