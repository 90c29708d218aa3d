"""Who can get at the state folder and at the socket."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from orchestrator.answers import Examination
from orchestrator.doctor.findings import fail, ok, warn

NAMED = 5
"""Files named of those that are alike."""


def look_at_folder(folder: Path) -> Iterator[Examination]:
    """See that the folder and all that is in it is its owner's alone."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        yield warn(
            "state folder", f"{folder} is not there", "sagad makes it at its first start; else look elsewhere"
        )
        return
    if os.geteuid() not in (0, status.st_uid):
        yield fail(
            "state folder",
            f"{folder} belongs to user {status.st_uid}",
            f"run it as that user, or as root: this is user {os.geteuid()}",
        )
        return
    if status.st_mode & 0o077:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        yield fail("state folder", f"others may look into {folder} (mode {mode})", f"chmod 0700 {folder}")
    else:
        yield ok("state folder", f"{folder}, for user {status.st_uid} alone")
    yield from _files(folder, status.st_uid)
    yield from _leftovers(folder)


def _files(folder: Path, owner: int) -> Iterator[Examination]:
    loose, foreign = [], []
    for path in [path for path in _inside(folder) if not path.is_socket()]:
        status = path.lstat()
        if status.st_uid != owner:
            foreign.append(path)
        if status.st_mode & 0o077:
            loose.append(path)
    if foreign:
        yield fail("files", f"not the folder's owner's: {_some(foreign)}", f"chown -R {owner} {folder}")
    if loose:
        yield fail("files", f"open to others: {_some(loose)}", f"chmod -R go= {folder}")
    if (folder / "sagad.db").exists() and not (folder / "node.key").exists():
        yield warn(
            "node.key",
            "it is not in the state folder",
            "see that [secrets] key_file names it, or put it back",
        )
    if not (foreign or loose):
        yield ok("files", "all are the owner's alone")


def _inside(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        yield path
        if path.name == "blobs" and path.is_dir():
            yield from path.iterdir()


def _leftovers(folder: Path) -> Iterator[Examination]:
    found = [path for path in folder.iterdir() if path.name.startswith((".backup-", ".restore-"))]
    if found:
        remedy = "where no backup or restore runs right now, remove it; the next one does as well"
        yield warn("leftovers", f"what was given up half-way takes room: {_some(found)}", remedy)


def _some(paths: list[Path]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(str(path) for path in sorted(paths)[:NAMED]) + more


def look_at_socket(socket: Path) -> Iterator[Examination]:
    """See who may connect."""
    try:
        status = socket.stat()
    except FileNotFoundError:
        yield warn("socket", f"there is none at {socket}", "start sagad")
        return
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISSOCK(status.st_mode):
        yield fail("socket", f"{socket} is no socket", "give another with [daemon] socket, or move that away")
    elif mode & 0o002:
        remedy = 'if that is not meant, set [daemon] socket_mode = "0660"; roles ([access]) keep strangers out all the same'
        yield warn("socket", f"any user may connect to {socket} (mode {mode:04o})", remedy)
    else:
        yield ok("socket", f"{socket} (mode {mode:04o})")
