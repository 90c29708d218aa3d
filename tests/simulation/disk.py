"""A disk that loses what was not synced, tears what was being written, fills up and fails.

It knows at every moment what a power cut would leave of each file: what it held at its last sync, and of each write
since then all, nothing, or some of its sectors. The real SQLite runs on it: see ``vfs``.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

SECTOR = 512
OK, IOERR, FULL = 0, 10, 13
IOERR_WRITE, IOERR_FSYNC = IOERR | 3 << 8, IOERR | 4 << 8

Moment = Literal["before", "after"]
Operation = Literal["write", "sync", "truncate"]


Write = tuple[int, bytes | None]
"""Where something was written, and what; None: the file was cut to that size."""


class File:
    """One file: as it was at its last sync, and what was done to it since."""

    def __init__(self, synced: bytes | None) -> None:
        """Take it as it is on the disk; None: its name is not on the disk yet."""
        self.synced = bytearray(synced or b"")
        self.named = synced is not None
        self.since: list[Write] = []
        self.size = len(self.synced)

    def content(self) -> bytes:
        """Give what whoever reads it sees."""
        content = bytearray(self.synced)
        for each in self.since:
            _apply(content, each)
        return bytes(content)

    def write(self, at: int, data: bytes) -> None:
        """Note a write."""
        self.since.append((at, data))
        self.size = max(self.size, at + len(data))

    def truncate(self, size: int) -> None:
        """Note that it was cut."""
        self.since.append((size, None))
        self.size = size

    def sync(self) -> None:
        """Make all of it durable."""
        synced = self.synced
        for each in self.since:
            _apply(synced, each)
        self.since.clear()
        self.named = True

    def left(self, chance: random.Random) -> File | None:
        """Give what a power cut leaves of it."""
        content = bytearray(self.synced)
        for each in self.since:
            for piece in _torn(each, chance):
                _apply(content, piece)
        there = self.named or (bool(self.since) and chance.random() < 0.5)
        return File(bytes(content)) if there else None


def _apply(content: bytearray, write: Write) -> None:
    at, data = write
    if data is None:
        del content[at:]
        return
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _torn(write: Write, chance: random.Random) -> list[Write]:
    """Give what of a write reached the disk: all, nothing, or any of its sectors."""
    at, data = write
    how = chance.random()
    if data is None or how < 0.6:
        return [write] if how < 0.3 else []
    sectors = range(0, len(data), SECTOR)
    return [(at + each, data[each : each + SECTOR]) for each in sectors if chance.random() < 0.5]


class Disk:
    """The disk below one running process; after a crash ``left`` gives what the next one finds."""

    def __init__(self, folder: Path, files: dict[str, File], *, good: bool = False) -> None:
        """Lay these files on a new disk, in a new folder. ``good``: it never fails, and the power is never cut.

        Of a good disk nobody keeps account, which is faster.
        """
        folder.mkdir(parents=True)
        self.folder = folder
        self.files = files
        self._good = good
        for name, file in files.items():
            (folder / name).write_bytes(file.content())
        self.dead = False
        self.watched = True
        """Something may go wrong at a single operation; else nobody is asked, which is faster."""
        self.trouble: Callable[[], str | None] = lambda: None
        """Says what is wrong now: ``full``, or the operation that fails."""
        self.asked: Callable[[Operation, Moment], None] = lambda *_: None
        """Called at each operation, before and after it: a crash may come from there."""
        self.refused: Counter[str] = Counter()
        if not good:
            mounted[str(folder)] = self

    def left(self, chance: random.Random | None) -> dict[str, File]:
        """Give the files as a crash leaves them: of the process alone (None) all, of the power what chance spares."""
        if self._good:
            assert chance is None, "nobody has kept account of what was synced"
            return {each.name: File(Path(each).read_bytes()) for each in self._lying_there()}
        if chance is None:
            return self.files
        found = {name: file.left(chance) for name, file in self.files.items()}
        return {name: file for name, file in found.items() if file is not None}

    def unmount(self) -> None:
        """Take the disk away; whoever still has a file of it open writes to nowhere."""
        self.dead = True
        mounted.pop(str(self.folder), None)
        for each in self._lying_there():
            Path(each).unlink()

    def _lying_there(self) -> list[os.DirEntry[str]]:
        return [each for each in os.scandir(self.folder) if each.is_file()]

    # -- asked by SQLite -------------------------------------------------------------------------------------------

    def write(self, name: str, at: int, data: bytes) -> int:
        """Take a write, or say why not."""
        file = self._file(name)
        if not self.watched and not self.dead:
            file.write(at, data)
            return OK
        self.asked("write", "before")
        if self.dead:
            return IOERR_WRITE
        trouble = self.trouble()
        if trouble == "full" and at + len(data) > file.size:
            self.refused["full"] += 1
            return FULL
        if trouble == "write":
            self.refused["write"] += 1
            return IOERR_WRITE
        file.write(at, data)
        return OK

    def sync(self, name: str) -> int:
        """Make a file durable, or say why not."""
        if not self.watched and not self.dead:
            self._file(name).sync()
            return OK
        self.asked("sync", "before")
        if self.dead or self.trouble() == "sync":
            self.refused["sync"] += not self.dead
            return IOERR_FSYNC
        self._file(name).sync()
        self.asked("sync", "after")
        return OK

    def truncate(self, name: str, size: int) -> int:
        """Cut a file."""
        self.asked("truncate", "before")
        if self.dead:
            return IOERR_WRITE
        self._file(name).truncate(size)
        return OK

    def deleted(self, name: str) -> None:
        """A file is gone. SQLite syncs the folder, or does not mind."""
        self.files.pop(name, None)

    def _file(self, name: str) -> File:
        file = self.files.get(name)
        if file is None:
            file = self.files[name] = File(None)
        return file


mounted: dict[str, Disk] = {}
"""The disks by the folder that their files lie in."""
