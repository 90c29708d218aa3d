"""The state folder: whose it is, who uses it now, and the node's key."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from store.errors import FolderInUse, FolderNotOurs, KeyMissing

KEY_SIZE = 32


class StateFolder:
    """A state folder that is ours alone, until `close`: database, blobs and key lie in it."""

    def __init__(self, path: Path, lock: int, node_key: bytes) -> None:
        self.path = path
        self.database = path / "sagad.db"
        self.blobs = path / "blobs"
        self.node_key = node_key
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the folder where there is none, and take it.

        Raises FolderNotOurs, FolderInUse (naming the process) or KeyMissing. Holds for as long as this process lives,
        however it ends: the lock is the kernel's.
        """
        _make(path)
        lock = _take(path / "lock")
        try:
            return cls(path, lock, _key(path))
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Let the next one in."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise FolderNotOurs(path, f"it belongs to user {status.st_uid}, and sagad runs as {os.geteuid()}")
    # systemd makes a StateDirectory 0755 unless the unit says otherwise.
    if stat.S_IMODE(status.st_mode) & 0o077:
        path.chmod(0o700)


def _take(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise FolderInUse(path.parent, f"process {owner or 'unknown'} holds it") from None
    with suppress(OSError):  # who it is, is for people only: a full disk keeps nobody from starting
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _key(folder: Path) -> bytes:
    path = folder / "node.key"
    if not path.exists():
        if (folder / "sagad.db").exists():
            raise KeyMissing(path)
        _write_key(path)
    return read_key(folder)


def read_key(folder: Path) -> bytes:
    """Read the node's key. Raises KeyMissing, or FolderNotOurs where others may read it too."""
    path = folder / "node.key"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        raise KeyMissing(path) from None
    if mode & 0o077:
        raise FolderNotOurs(path, f"others may read it (mode {mode:04o}): run chmod 0600 {path}")
    key = path.read_bytes()
    if len(key) != KEY_SIZE:
        raise KeyMissing(path, f"it has {len(key)} bytes, not {KEY_SIZE}")
    return key


def _write_key(path: Path) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, secrets.token_bytes(KEY_SIZE))
        os.fsync(file)
    finally:
        os.close(file)
    new.rename(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
