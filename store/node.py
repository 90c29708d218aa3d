"""The state folder: whose it is, who uses it now, and the node's key."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from store.errors import FolderInUse, FolderNotOurs, KeyExposed, KeyMissing, NotAFile, TwoKeys

KEY_SIZE = 32

_RIGHTS = {
    "lock": 0o600,
    "sagad.db": 0o600,
    "sagad.db-wal": 0o600,
    "sagad.db-shm": 0o600,
    "sagad.db-journal": 0o600,
    "node.key": 0o400,
    "head": 0o600,
    "reserve": 0o000,
    "blobs": 0o700,
}
"""What may be in a state folder, and what its owner must be able to do with it. `blobs` is a folder."""

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class StateFolder:
    """A state folder that is ours alone, until `close`: database, blobs and key lie in it."""

    def __init__(self, path: Path, lock: int, node_key: bytes) -> None:
        self.path = path
        self.database = path / "sagad.db"
        self.blobs = path / "blobs"
        self.node_key = node_key
        self._lock = lock

    @classmethod
    def open(cls, path: Path, key_file: Path | None = None) -> Self:
        """Make the folder where there is none, and take it. The node's key is made in it, unless it is in `key_file`.

        Raises FolderNotOurs, NotAFile, FolderInUse (naming the process) or KeyMissing. Holds for as long as this process lives,
        however it ends: the lock is the kernel's.
        """
        _make(path)
        _check_files(path)
        lock = _take(path / "lock")
        try:
            return cls(path, lock, _key(path) if key_file is None else read_key(path, key_file))
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


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Take a state folder as `StateFolder.open` does, for a while, and make no key in it."""
    _make(path)
    _check_files(path)
    lock = _take(path / "lock")
    try:
        yield
    finally:
        os.close(lock)


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise FolderNotOurs(path, f"{error.filename}: {error.strerror}") from None
    _check_owner(path, status)
    # systemd makes a StateDirectory 0755 unless the unit says otherwise.
    if stat.S_IMODE(status.st_mode) & 0o077:
        path.chmod(0o700)
    _check_rights(path, status, 0o700)


def _check_files(folder: Path) -> None:
    """Raise NotAFile as `look_over` does, and FolderNotOurs where something is another user's, or closed to us.

    It was put there by hand, or by a root's sagad.
    """
    for path, status in look_over(folder):
        _check_owner(path, status)
        _check_rights(path, status, _RIGHTS[path.name])


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        what = f"it belongs to user {status.st_uid}, and sagad runs as {os.geteuid()}"
        raise FolderNotOurs(path, f"{what}: run chown {os.geteuid()} {path}")


def _check_rights(path: Path, status: os.stat_result, needed: int) -> None:
    """Raise FolderNotOurs where the mode keeps us out: not where that is a disk that is mounted read-only."""
    mode, asked = stat.S_IMODE(status.st_mode), needed >> 6
    if mode & needed != needed and not os.access(path, asked, effective_ids=True):
        mended = 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
        raise FolderNotOurs(path, f"sagad may not use it (mode {mode:04o}): run chmod {mended:04o} {path}")


def look_over(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """Give what is in a state folder, having opened nothing. Raises NotAFile where something else is in a file's place.

    To open a named pipe would take for ever, and to read a device to its end as well.
    """
    found = []
    for name in _RIGHTS:
        path = folder / name
        try:
            status = path.stat()
        except OSError as error:
            if path.is_symlink():
                raise NotAFile(path, f"it is a link that cannot be followed ({error.strerror})") from None
            if isinstance(error, FileNotFoundError):
                continue
            raise
        kind = stat.S_IFMT(status.st_mode)
        if kind != (stat.S_IFDIR if name == "blobs" else stat.S_IFREG):
            raise NotAFile(path, f"it is {_KINDS[kind]}")
        found.append((path, status))
    return found


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


def read_key(folder: Path, key_file: Path | None = None) -> bytes:
    """Read the node's key: from the folder, or from a file elsewhere, as a credential of systemd's.

    Raises KeyMissing, NotAFile, KeyExposed where others may read it too, or TwoKeys where the folder has another one.
    """
    own = folder / "node.key"
    path = key_file or own
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # to read a named pipe would take for ever
            raise NotAFile(path, f"it is {_KINDS[stat.S_IFMT(status.st_mode)]}")
        key = path.read_bytes()
    except FileNotFoundError:
        hint = (
            ""
            if key_file is None
            else f"[secrets] key_file names it: head -c {KEY_SIZE} /dev/urandom makes one"
        )
        raise KeyMissing(path, hint) from None
    except OSError as error:
        raise KeyMissing(path, f"it cannot be read: {error.strerror}") from None
    if others := _others(path, status):
        raise KeyExposed(path, others)
    if len(key) != KEY_SIZE:
        raise KeyMissing(path, f"it has {len(key)} bytes, not {KEY_SIZE}")
    if path != own and own.exists() and own.read_bytes() != key:
        raise TwoKeys(path, f"{own} is another")
    return key


def _others(path: Path, status: os.stat_result) -> str:
    """Say who else can read a key, and what to do about it; nothing where nobody can.

    systemd lets a service's user read its credentials by an ACL, which shows as the group's bits.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    given = credentials is not None and path.is_relative_to(credentials)
    mode = stat.S_IMODE(status.st_mode)
    if mode & (0o037 if given else 0o077):
        return f"others may read it (mode {mode:04o}): run chmod 0600 {path}"
    # Who is root looks at what is the user's that sagad runs as, and is nobody else's for that.
    if status.st_uid not in (0, os.geteuid(), path.parent.stat().st_uid if os.geteuid() == 0 else 0):
        return f"it belongs to user {status.st_uid}: run chown {os.geteuid()} {path}"
    return ""


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


def sync_file(path: Path) -> None:
    """Make a file durable, with its name. Raises OSError."""
    _sync(path, 0)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    _sync(path, os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
