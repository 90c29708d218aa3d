"""Backups: the database as it is at one moment, and the blobs, as one tar that is sent while the daemon works.

    manifest.json   what is in it, with the digest of each part; always the first
    manifest.mac    the manifest's MAC by the node's key: whoever restores it knows whose it is, and that it is whole
    sagad.db        the database, copied by SQLite in one snapshot, page by page, on a connection of its own
    blobs/NAME      the contents beside it

The node's key is not in it, nor are the secrets folder and the settings. The copy is not made with VACUUM INTO, which
may number the rows anew of tables that have no integer key: executions are in the order of theirs.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import msgspec

from store.errors import BlobMissing, NoRoomForBackup
from store.snapshot import snapshot

FORMAT = 1
MANIFEST, MAC, DATABASE, BLOBS = "manifest.json", "manifest.mac", "sagad.db", "blobs/"
STAGED = ".backup-"
"""What the copy's name begins with while it is made. It has none once it is sent."""

CHUNK = 1 << 18
_PAGES = 1_024
"""Pages copied at a time; in between a cancelled copy is given up."""
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
BLOB = re.compile(r"[0-9a-f]{64}")


class Part(msgspec.Struct, frozen=True):
    """A file in a backup: its size and digest as it lies there."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is of, and what is in it."""

    format: int
    sagad: str
    """The release that made it."""
    schema: int
    node: str
    seq: int
    """The last event's number."""
    head: str
    """And its hash: what `audit verify --head` can be given."""
    made_at: str
    made_by: str
    parts: list[Part]


class About(NamedTuple):
    """Who has a backup made, when, and by which release."""

    sagad: str
    made_at: str
    made_by: str


def seal(node_key: bytes, manifest: bytes) -> bytes:
    """Give what only the holder of the node's key can say about a manifest."""
    return hmac.digest(node_key, b"sagad backup\0" + manifest, "sha256").hex().encode()


class Backup:
    """A backup that is ready to be sent. Close it: until then its copy of the database takes room on the disk."""

    def __init__(self, manifest: Manifest, node_key: bytes, copy: BinaryIO, blobs: Path) -> None:
        self.manifest = manifest
        self._copy = copy
        self._blobs = blobs
        document = msgspec.json.encode(manifest)
        self._heads = [(MANIFEST, document), (MAC, seal(node_key, document))]

    @classmethod
    def take(cls, db: sqlite3.Connection, folder: Path, node_key: bytes, about: About) -> Self:
        """Copy the database that `db` reads, and take stock of the blobs. May take long; nobody who writes waits for it.

        Raises NoRoomForBackup, and sqlite3.Error where the database cannot be read.
        """
        with snapshot(db):
            node, seq, head = db.execute(
                "SELECT node, seq, head FROM meta"
            ).fetchone()  # here the snapshot begins
            (schema,) = db.execute("PRAGMA user_version").fetchone()
            copy = _copied(db, folder)
        try:
            manifest = Manifest(
                format=FORMAT,
                schema=schema,
                node=node,
                seq=seq,
                head=head.hex(),
                parts=list(_parts(copy, folder / "blobs")),
                **about._asdict(),
            )
            return cls(manifest, node_key, copy, folder / "blobs")
        except BaseException:
            copy.close()
            raise

    @property
    def size(self) -> int:
        """How many bytes `chunks` gives."""
        inside = [(name, len(content)) for name, content in self._heads]
        inside += [(part.name, part.size) for part in self.manifest.parts]
        return sum(len(_head(name, size)) + size + _gap(size) for name, size in inside) + len(_END)

    def chunks(self) -> Iterator[bytes]:
        """Give the tar, piece by piece. Raises BlobMissing, or OSError, where a part is no longer what it was."""
        for name, content in self._heads:
            yield _head(name, len(content)) + content + bytes(_gap(len(content)))
        for part in self.manifest.parts:
            yield _head(part.name, part.size)
            yield from self._content(part)
            yield bytes(_gap(part.size))
        yield _END

    def close(self) -> None:
        """Let go of the copy."""
        self._copy.close()

    def _content(self, part: Part) -> Iterator[bytes]:
        if part.name == DATABASE:
            self._copy.seek(0)
            yield from _exactly(self._copy, part)
            return
        with _opened(self._blobs / part.name.removeprefix(BLOBS)) as file:
            yield from _exactly(file, part)


def clear_away(folder: Path) -> None:
    """Remove what a backup that was killed has left in the state folder."""
    for leftover in folder.glob(f"{STAGED}*"):
        leftover.unlink(missing_ok=True)


def _copied(db: sqlite3.Connection, folder: Path) -> BinaryIO:
    """Copy the database to a file that has no name any more when this returns. Writers go on, and are not seen."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (page,) = db.execute("PRAGMA page_size").fetchone()
    _check_room(folder, pages * page)
    path = folder / f"{STAGED}{secrets.token_hex(8)}"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            db.backup(copy, pages=_PAGES, sleep=0)
        return open(file, "rb")
    except BaseException:
        os.close(file)
        raise
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def _check_room(folder: Path, needed: int) -> None:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if free < needed + (32 << 20):
        raise NoRoomForBackup(folder, f"the copy takes {needed >> 20} MB, and {free >> 20} MB are free")


def _parts(copy: BinaryIO, blobs: Path) -> Iterator[Part]:
    """Take stock: all blobs, since one too many does no harm, and which of them a sealed image names nobody can see."""
    yield _part(DATABASE, open(os.dup(copy.fileno()), "rb"))  # noqa: SIM115  _part closes it
    for name in sorted(path.name for path in blobs.iterdir() if BLOB.fullmatch(path.name)):
        yield _part(f"{BLOBS}{name}", _opened(blobs / name))


def _part(name: str, file: BinaryIO) -> Part:
    digest, size = hashlib.sha256(), 0
    with file:
        file.seek(0)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Part(name, size, digest.hexdigest())


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise BlobMissing(path) from None


def _exactly(file: BinaryIO, part: Part) -> Iterable[bytes]:
    left = part.size
    while left:
        chunk = file.read(min(CHUNK, left))
        if not chunk:
            raise BlobMissing(part.name, f"{left} bytes of it are gone")
        left -= len(chunk)
        yield chunk


def _head(name: str, size: int) -> bytes:
    head = tarfile.TarInfo(name)
    head.size, head.mode = size, 0o600
    return head.tobuf(tarfile.PAX_FORMAT)


def _gap(size: int) -> int:
    return -size % _BLOCK
