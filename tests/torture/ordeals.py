"""What befalls the machine: a full disk, a disk that turns read-only, a clock that jumps, no file descriptors left."""

from __future__ import annotations

import random
import resource
import shutil
import socket
import struct
import subprocess
import time
from abc import ABC
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import ClassVar

from tests.torture.book import Book
from tests.torture.node import Node

MB = 1 << 20
DAY = 86_400.0
DISK = 64
"""Megabytes of the disk that becomes full, or read-only. Twice what the daemon keeps in reserve must be free."""


SOON = 20.0
"""Seconds in which what is wrong with the disk must have been said; sagas are submitted meanwhile."""


class Skipped(Exception):
    """This machine does not let us do that."""


class Ordeal(ABC):
    """One kind of trouble. ``begin`` prepares the state folder, ``strike`` is called again and again, ``end`` ends it."""

    name: ClassVar[str]
    strikes: ClassVar[bool] = True
    """Whether the daemon may be killed meanwhile."""

    def __init__(self, chance: random.Random, book: Book) -> None:
        """Be nothing yet."""
        self.chance = chance
        self.book = book

    def begin(self, node: Node) -> None:
        """Prepare; the daemon does not run. Raises Skipped."""

    def strike(self, node: Node) -> None:
        """Have something happen, which is over when this returns."""
        time.sleep(0.2)

    def end(self, node: Node) -> None:
        """Let nothing happen any more; the daemon runs, or ran until this moment."""

    def clean(self, node: Node) -> None:
        """Leave nothing mounted, but what is in the state folder; the daemon does not run."""


class Plain(Ordeal):
    """Nothing but kills."""

    name = "kills"


class FullDisk(Ordeal):
    """The state folder is on a disk of its own, which somebody else fills."""

    name = "full disk"

    def begin(self, node: Node) -> None:
        """Mount a small one."""
        node.state.mkdir(mode=0o700)
        _run("mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=0700", "torture", str(node.state))

    def strike(self, node: Node) -> None:
        """Fill the disk to the last byte, and make room again."""
        filler = node.state / "filler"
        time.sleep(self.chance.uniform(0.1, 0.5))
        _fill(filler)
        self.book.count("disk full")
        time.sleep(self.chance.uniform(0.3, 2.5))
        filler.unlink(missing_ok=True)
        time.sleep(self.chance.uniform(1.0, 2.0))

    def clean(self, node: Node) -> None:
        """Unmount it, and leave what was on it."""
        _unmount(node.state)


class ReadOnly(Ordeal):
    """The state folder is on a file system that has an error and turns read-only, as ext4 does by itself."""

    name = "read-only"
    strikes = False

    def begin(self, node: Node) -> None:
        """Mount an image of a file system."""
        self._image = node.folder / "disk.img"
        with self._image.open("wb") as file:
            file.truncate(128 * MB)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        node.state.mkdir(mode=0o700)
        self._mount(node)

    def _mount(self, node: Node) -> None:
        _run("mount", "-o", "loop", str(self._image), str(node.state))
        node.state.chmod(0o700)

    def strike(self, node: Node) -> None:
        """Turn it read-only under the daemon; reads go on; then mend it as an operator would, with a restart."""
        time.sleep(self.chance.uniform(0.5, 2.0))
        _run("mount", "-o", "remount,abort", str(node.state))
        self.book.count("read-only")
        end = time.monotonic() + SOON
        while not any("disk" in each for each in node.tell("GET", "/v1/health")[1]["warnings"]):
            node.tell("GET", "/v1/sagas?limit=5")
            if time.monotonic() > end:
                self.book.wrong(f"health does not say within {SOON:g} s that nothing can be written")
                break
            time.sleep(0.1)
        time.sleep(self.chance.uniform(0, 1.0))
        node.down()
        _run("umount", str(node.state))
        subprocess.run(["fsck.ext4", "-y", str(self._image)], check=False, capture_output=True)
        self._mount(node)
        node.up()

    def clean(self, node: Node) -> None:
        """Unmount it, and leave what was on it."""
        _unmount(node.state)


class Clock(Ordeal):
    """The clock is set, by a day, both ways. What Python calls the time of day is shifted, see `shifted`."""

    name = "clock"

    def begin(self, node: Node) -> None:
        """Have it shifted by what stands in a file."""
        self._file = node.folder / "shift"
        self._set(0.0)
        node.module = ("tests.torture.shifted", str(self._file))
        self._at = 0.0

    def _set(self, seconds: float) -> None:
        if not self._file.exists():
            self._file.write_bytes(bytes(8))
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    def strike(self, node: Node) -> None:
        """Set it."""
        time.sleep(self.chance.uniform(0.3, 1.5))
        self._at = self.chance.choice([self._at + DAY, self._at - DAY, 0.0])
        self._set(self._at)
        self.book.count("clock set")

    def end(self, node: Node) -> None:
        """What became due in a day that was taken back comes when that day comes again."""
        self._set(max(self._at, 0.0) + 40 * DAY)


class Descriptors(Ordeal):
    """Somebody else, or we ourselves, have used up the daemon's file descriptors."""

    name = "descriptors"

    def strike(self, node: Node) -> None:
        """Leave the daemon a few descriptors, and take those with connections."""
        time.sleep(self.chance.uniform(0.2, 1.0))
        with node.steady:
            process = node.process
            assert process is not None
            try:
                used = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
                limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
                few = used + self.chance.randint(0, 4)
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (few, limits[1]))
            except OSError:
                return  # it was killed just now
        self.book.count("descriptors used up")
        with ExitStack() as held:
            for _ in range(30):
                connection = held.enter_context(socket.socket(socket.AF_UNIX))
                connection.settimeout(0.05)
                with suppress(OSError):
                    connection.connect(str(node.socket))
            time.sleep(self.chance.uniform(0.5, 2.0))
        with suppress(OSError):
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)


ORDEALS: tuple[type[Ordeal], ...] = (Plain, FullDisk, Plain, ReadOnly, Plain, Clock, Plain, Descriptors)


def _fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file, suppress(OSError):
        for size in (MB, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass


def _unmount(state: Path) -> None:
    copy = state.with_name("state.copy")
    shutil.copytree(state, copy)
    _run("umount", str(state))
    state.rmdir()
    copy.rename(state)


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Skipped(str(error)) from error
    if done.returncode:
        raise Skipped(f"`{' '.join(words)}`: {done.stderr.strip()}")
