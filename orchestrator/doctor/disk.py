"""What the disk below the state folder can do."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.answers import Examination
from orchestrator.doctor.findings import fail, ok, warn

FULL, SCARCE = 32 << 20, 512 << 20
"""Bytes: with less than the first no new work is taken, with less than the second it may soon be so."""
SLOW, TOO_SLOW = 0.05, 0.5
"""Seconds of one write that is waited for: each commit waits for one."""
WRITES = 9
_FLEETING = {"tmpfs", "ramfs"}
_FAR = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs"}


def look_at_disk(folder: Path) -> Iterator[Examination]:
    """See how much room there is, what kind of file system it is, and how fast it makes things durable."""
    if not folder.exists():
        return
    yield from _room(folder)
    yield from _kind(folder)
    yield from _speed(folder)


def _room(folder: Path) -> Iterator[Examination]:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    said = f"{free >> 20:,} MB free"
    if room.f_files and not room.f_favail:
        yield fail(
            "disk", "no file can be made any more: the file system has no inodes left", "remove files there"
        )
    elif free < FULL:
        yield fail("disk", f"{said}: no new work is taken", "make room: sagad goes on by itself")
    elif free < SCARCE:
        yield warn("disk", said, "make room, or shorten [retention]")
    else:
        yield ok("disk", said)


def _kind(folder: Path) -> Iterator[Examination]:
    kind = file_system(folder)
    if kind in _FLEETING:
        yield warn(
            "file system",
            f"{kind}: what is on it is gone at the next boot",
            "move the state folder to a disk",
        )
    elif kind in _FAR:
        remedy = "move the state folder to a disk of this machine: SQLite's log does not work over a network"
        yield fail("file system", kind, remedy)
    elif kind:
        yield ok("file system", kind)


def file_system(folder: Path) -> str:
    """Name the kind of file system that a folder is on, as the kernel does; nothing where that is not known."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        mount, _, kind = line.partition(" - ")
        if mount.split(" ")[2] == wanted:
            return kind.split(" ")[0]
    return ""


def _speed(folder: Path) -> Iterator[Examination]:
    try:
        taken = statistics.median(_writes(folder))
    except OSError as error:
        yield fail(
            "fsync",
            f"nothing can be written: {error.strerror}",
            "look at the disk, and whether it is read-only",
        )
        return
    said = f"{taken * 1000:.2f} ms"
    if taken > TOO_SLOW:
        yield fail("fsync", f"{said}: each commit takes as long", "look at the disk: it may be about to fail")
    elif taken > SLOW:
        yield warn("fsync", f"{said}: each commit takes as long", "a faster disk makes sagas faster")
    else:
        yield ok("fsync", said)


def _writes(folder: Path) -> Iterator[float]:
    path = folder / f".doctor-{os.getpid()}"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        path.unlink()
        for _ in range(WRITES):
            began = time.perf_counter()
            os.write(file, bytes(4096))
            os.fsync(file)
            yield time.perf_counter() - began
    finally:
        os.close(file)
