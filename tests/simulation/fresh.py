"""The disk of a node that has never done anything, made once a process by the daemon's own code."""

from __future__ import annotations

import os
from contextlib import closing
from functools import cache
from pathlib import Path

from store import chain, database
from tests.simulation.disk import Disk, File
from tests.simulation.node import KEY, SimulatedGround

FOLDER = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
"""Where simulated disks lie: in memory, where there is such a place."""
NODE = "5170000000000000"


def fresh() -> dict[str, File]:
    """Give the files of a node that has never done anything."""
    return {name: File(data) for name, data in _template().items()}


_made: dict[str, bytes] = {}


def _template() -> dict[str, bytes]:
    """Make them once a process."""
    if not _made:
        folder = FOLDER / f"sagad-template-{os.getpid()}"
        disk = Disk(folder, {})
        database.prepare(folder / "sagad.db", KEY, SimulatedGround.disk)
        with closing(database.connect(folder / "sagad.db", SimulatedGround.disk)) as db:
            mac = chain.mac(KEY, NODE, 0, chain.GENESIS)
            db.execute("UPDATE meta SET node = ?, mac = ?", (NODE, mac))
        _made.update({name: file.content() for name, file in disk.files.items()})
        disk.unmount()
        folder.rmdir()
        # These take longer than all the rest of a start.
        migrations = list(database.migrations())
        database.wanted_shape = cache(database.wanted_shape)
        database.migrations = lambda: iter(migrations)
        database._plain = cache(database._plain)
    return _made
