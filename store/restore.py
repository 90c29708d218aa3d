"""Reading a backup: each part is held against its digest, the whole against the node's key, before anything has its name.

What is unpacked lies in a folder of its own within the state folder, so that the last step is a few renames: the blobs
first, the database last. A restore that is killed has changed nothing that the daemon looks at.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from store import audit, database
from store.backup import BLOBS, CHUNK, DATABASE, FORMAT, MAC, MANIFEST, Manifest, Part, seal
from store.errors import (
    AnotherNodesBackup,
    BackupDamaged,
    BackupTooNew,
    DatabaseThere,
    KeyMissing,
)
from store.node import read_key, sync_folder

STAGED = ".restore-"
_MOST = 64 << 20
"""Bytes of a manifest at most: that of a million blobs is as large."""


class Unpacked(NamedTuple):
    """A backup, unpacked and found whole."""

    folder: Path
    manifest: Manifest

    @property
    def database(self) -> Path:
        """Where its database lies."""
        return self.folder / DATABASE


def check(source: IO[bytes], where: object) -> Manifest:
    """Read a backup to its end and hold each part against its digest. Raises BackupDamaged, BackupTooNew."""
    with _reading(source, where) as tar:
        members = iter(tar)
        document, _ = _heads(tar, members, where)
        manifest = _manifest(document, where)
        for part, file in _parts(tar, members, manifest, where):
            _pour(file, part, None, where)
    return manifest


@contextmanager
def unpacked(
    source: IO[bytes], where: object, folder: Path, key_file: Path | None = None
) -> Iterator[Unpacked]:
    """Unpack a backup into a state folder that has no database, and check all of it; what is unpacked is gone after.

    Raises DatabaseThere, KeyMissing, AnotherNodesBackup, BackupDamaged, BackupTooNew, or FolderNotOurs.
    """
    refuse_database(folder)
    clear_away(folder)
    staged = folder / f"{STAGED}{secrets.token_hex(8)}"
    try:
        with _reading(source, where) as tar:
            members = iter(tar)
            document, mac = _heads(tar, members, where)
            manifest = _manifest(document, where)
            key = _key(folder, key_file, manifest)
            if not hmac.compare_digest(mac, seal(key, document)):
                raise AnotherNodesBackup(
                    where, f"it is of node {manifest.node}, and {key_file or folder / 'node.key'} is not"
                )
            (staged / BLOBS).mkdir(mode=0o700, parents=True)
            staged.chmod(0o700)
            for part, file in _parts(tar, members, manifest, where):
                _pour(file, part, staged / part.name, where)
        made = Unpacked(staged, manifest)
        _check_database(made, key, where)
        yield made
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def put_in_place(made: Unpacked, folder: Path) -> None:
    """Give the unpacked parts their names, the database's last; all is durable when this returns."""
    refuse_database(folder)
    blobs = folder / BLOBS
    blobs.mkdir(mode=0o700, exist_ok=True)
    for path in (made.folder / BLOBS).iterdir():
        path.rename(blobs / path.name)
    sync_folder(blobs)
    (folder / "head").unlink(missing_ok=True)  # of the database that was here before
    made.database.rename(folder / DATABASE)
    sync_folder(folder)


def refuse_database(folder: Path) -> None:
    """Raise DatabaseThere where the folder has a database, or what belongs to one: its log would be taken for ours."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path = folder / f"{DATABASE}{suffix}"
        if path.exists():
            raise DatabaseThere(path)


def clear_away(folder: Path) -> None:
    """Remove what a restore that was killed has left in the state folder."""
    for leftover in folder.glob(f"{STAGED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _reading(source: IO[bytes], where: object) -> Iterator[tarfile.TarFile]:
    """Read a tar. Of what is none `tarfile` says so in many ways: headers without end, numbers that are none."""
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            yield tar
    except (tarfile.TarError, EOFError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise BackupDamaged(where, f"it cannot be read on: {error}") from error


def _heads(tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo], where: object) -> tuple[bytes, bytes]:
    found = []
    for name in (MANIFEST, MAC):
        member = next(members, None)
        file = None if member is None or member.name != name else tar.extractfile(member)
        if file is None or member is None or member.size > _MOST:
            raise BackupDamaged(where, f"it does not begin as a backup of sagad does: {name} is not there")
        found.append(file.read())
    return found[0], found[1]


def _manifest(document: bytes, where: object) -> Manifest:
    try:
        if (given := msgspec.json.decode(document)["format"]) != FORMAT:
            raise BackupTooNew(where, f"it has format {given}, and this sagad reads {FORMAT}")
        manifest = msgspec.json.decode(document, type=Manifest)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise BackupDamaged(where, f"its manifest cannot be read: {error}") from error
    if manifest.schema > (newest := database.newest()):
        raise BackupTooNew(where, f"its schema has version {manifest.schema}, and this sagad knows {newest}")
    return manifest


def _key(folder: Path, key_file: Path | None, manifest: Manifest) -> bytes:
    try:
        return read_key(folder, key_file)
    except KeyMissing as missing:
        detail = f"{missing.detail + '; ' if missing.detail else ''}the backup is of node {manifest.node}"
        raise KeyMissing(missing.where, detail) from None


def _parts(
    tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo], manifest: Manifest, where: object
) -> Iterator[tuple[Part, IO[bytes]]]:
    """Give each part that the manifest names with its content: all of them, in its order, and nothing else."""
    for part in manifest.parts:
        member = next(members, None)
        file = None if member is None else tar.extractfile(member)
        if member is None or file is None or member.name != part.name:
            raise BackupDamaged(where, f"{part.name} is not where it should be")
        if part.name != DATABASE and "/" in part.name.removeprefix(BLOBS):
            raise BackupDamaged(where, f"{part.name} is no name of a blob")
        yield part, file
    if next(members, None) is not None:
        raise BackupDamaged(where, "there is more in it than its manifest says")


def _pour(source: IO[bytes], part: Part, target: Path | None, where: object) -> None:
    """Read a part to its end, into a file where one is given, and hold it against its digest."""
    digest = hashlib.sha256()
    if target is None:
        for chunk in iter(lambda: source.read(CHUNK), b""):
            digest.update(chunk)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(target, flags, 0o600), "wb") as file:
            for chunk in iter(lambda: source.read(CHUNK), b""):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    if digest.hexdigest() != part.sha256:
        raise BackupDamaged(where, f"{part.name} is not what was saved: its digest is {digest.hexdigest()}")


def _check_database(made: Unpacked, key: bytes, where: object) -> None:
    """Check every page, and walk the whole chain."""
    try:
        with closing(sqlite3.connect(database.address(made.database, "ro", "immutable=1"), uri=True)) as db:
            (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            report = audit.verify(db, key)
    except sqlite3.Error as error:
        raise BackupDamaged(where, f"its database cannot be read: {error}") from error
    if found != "ok":
        raise BackupDamaged(where, f"its database is damaged: {found}")
    if report.problem or report.head != made.manifest.head:
        raise BackupDamaged(where, f"its record does not prove itself: {report.problem or 'the end differs'}")
