"""Contents too large for the record: a folder of files named by their digests, beside the database.

A file is written elsewhere first, synced, and gets its name only then: what has a name is whole. The commit that names a
content comes after `keep` has returned, so that what the record names is there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from store.errors import BlobDamaged, BlobMissing
from store.node import sync_folder

INLINE = 32 << 10
"""Contents up to this size are handed back to be kept in the record itself."""

CHUNK = 1 << 18

Transform = Callable[[Iterable[bytes]], Iterator[bytes]]


class StoredBlob(NamedTuple):
    """A content: its digest and size as stored, and, where it is small, the content itself, which is then no file."""

    sha256: str
    size: int
    data: bytes | None = None


class Blobs:
    """The blob folder. All of it may be called from any thread.

    `inward` and `outward` turn contents into what is stored and back again (`Secrets.redact_bytes` and
    `reveal_bytes`); digest and size are of what is stored.
    """

    def __init__(
        self, folder: Path, inward: Transform = iter, outward: Transform = iter, *, tidy: bool = True
    ) -> None:
        """Use this folder. ``tidy``: clear away what was never finished, which nobody else may be at."""
        self._folder = folder
        self._inward = inward
        self._outward = outward
        self._naming = threading.Lock()
        folder.mkdir(mode=0o700, exist_ok=True)
        for leftover in folder.glob(".new-*") if tidy else ():
            leftover.unlink()

    def keep(self, chunks: Iterable[bytes]) -> StoredBlob:
        """Store a content; it is durable when this returns, unless it is small: then it is in the answer."""
        stored = self._inward(chunks)
        start = bytearray()
        for chunk in stored:
            start += chunk
            if len(start) > INLINE:
                return self._keep_file(bytes(start), stored)
        return StoredBlob(hashlib.sha256(start).hexdigest(), len(start), bytes(start))

    def chunks(self, blob: StoredBlob) -> Iterator[bytes]:
        """Give a content back, as it came in, once all of it has been checked.

        Raises BlobMissing (a FileNotFoundError) and BlobDamaged (a ValueError) before the first byte.
        """
        return self._outward([blob.data] if blob.data is not None else self._read(blob))

    def any(self) -> bool:
        """Tell whether there is anything in the folder."""
        return next(self._folder.iterdir(), None) is not None

    def drop_unreferenced(self, keep: Collection[str], *, older_than: float = 3600) -> int:
        """Remove the contents whose digests are not in `keep`, and say how many.

        Those used in the last `older_than` seconds stay: the commit that names them may be on its way.
        """
        dropped, before = 0, time.time() - older_than
        for path in self._folder.iterdir():
            if path.name in keep or path.name.startswith("."):
                continue
            with self._naming:
                if path.stat().st_mtime < before:
                    path.unlink()
                    dropped += 1
        return dropped

    def _keep_file(self, start: bytes, rest: Iterable[bytes]) -> StoredBlob:
        new = self._folder / f".new-{secrets.token_hex(8)}"
        try:
            sha256, size = _write(new, start, rest)
            with self._naming:
                path = self._folder / sha256
                new.rename(path)  # over one of the same name: the same content, and as good as new
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
        return StoredBlob(sha256, size)

    def _read(self, blob: StoredBlob) -> Iterator[bytes]:
        # Twice: a restore must not begin to write what turns out to be damaged.
        path = self._folder / blob.sha256
        digest = hashlib.sha256()
        for chunk in _chunks(path):
            digest.update(chunk)
        if digest.hexdigest() != blob.sha256:
            raise BlobDamaged(path, f"its digest is {digest.hexdigest()}")
        return _chunks(path)


def _write(path: Path, start: bytes, rest: Iterable[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:  # a Path opens with no mode
        for chunk in _both(start, rest):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def _both(start: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield start
    yield from rest


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise BlobMissing(path) from None
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
