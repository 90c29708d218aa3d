"""Contents too large for the record: a folder of files named by their digests, beside the database.

A file is written elsewhere first, synced, and gets its name only then: what has a name is whole. The commit that names a
content comes after `keep` has returned, so that what the record names is there.

Contents are sealed, in the folder and in the record; digest and size are of what was sealed, since those are what
everybody may see. What an earlier release has kept is not sealed, and is told from the rest by its digest.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from store.errors import BlobDamaged, BlobMissing, SecretUnusable
from store.node import sync_folder

if TYPE_CHECKING:
    from store.sealing import Sealer

INLINE = 32 << 10
"""Contents up to this size are handed back to be kept in the record itself."""

CHUNK = 1 << 18

Transform = Callable[[Iterable[bytes]], Iterator[bytes]]


class StoredBlob(NamedTuple):
    """A content: its digest and size before it was sealed, and, where it is small, the sealed content, which is no file."""

    sha256: str
    size: int
    data: bytes | None = None


class Blobs:
    """The blob folder. All of it may be called from any thread.

    `inward` and `outward` turn contents into what is sealed and back again (`Secrets.redact_bytes` and
    `reveal_bytes`); digest and size are of what is sealed. The key
    is made from the node's.
    """

    def __init__(
        self,
        folder: Path,
        node_key: bytes,
        inward: Transform = iter,
        outward: Transform = iter,
        *,
        tidy: bool = True,
    ) -> None:
        """Use this folder. ``tidy``: clear away what was never finished, which nobody else may be at."""
        self._folder = folder
        self._node_key = node_key
        self._inward = inward
        self._outward = outward
        self._naming = threading.Lock()
        folder.mkdir(mode=0o700, exist_ok=True)
        for leftover in folder.glob(".new-*") if tidy else ():
            leftover.unlink()

    @cached_property
    def _sealer(self) -> Sealer:
        from store.sealing import Sealer

        return Sealer(self._node_key)

    def keep(self, chunks: Iterable[bytes]) -> StoredBlob:
        """Store a content; it is durable when this returns, unless it is small: then it is in the answer."""
        stored = self._inward(chunks)
        start = bytearray()
        for chunk in stored:
            start += chunk
            if len(start) > INLINE:
                return self._keep_file(bytes(start), stored)
        sealed = b"".join(self._sealer.seal([bytes(start)], _ABOUT)) if start else b""
        return StoredBlob(hashlib.sha256(start).hexdigest(), len(start), sealed)

    def chunks(self, blob: StoredBlob) -> Iterator[bytes]:
        """Give a content back, as it came in, once all of it has been checked.

        Raises BlobMissing (a FileNotFoundError), BlobDamaged and SealedElsewhere (ValueErrors) before the first byte.
        """
        return self._outward(self.kept(blob))

    def kept(self, blob: StoredBlob) -> Iterator[bytes]:
        """Give a content as it was sealed, before `outward` has made of it what it was. Raises as `chunks` does."""
        return iter(self._whole(blob.data, blob)) if blob.data is not None else self._read(blob)

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
            sha256, size = _write(new, _both(start, rest), self._sealer)
            with self._naming:
                path = self._folder / sha256
                new.rename(path)  # over one of the same name: the same content, and as good as new
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
        return StoredBlob(sha256, size)

    def _whole(self, data: bytes, blob: StoredBlob) -> Iterable[bytes]:
        if _digest([data]) == blob.sha256:
            return [data]  # not sealed: an earlier release's, or nothing at all
        where = f"the content {blob.sha256[:12]}… in the record"
        return [self._checked(self._sealer.open([data], _ABOUT, where), blob, where)]

    def _checked(self, opened: Iterable[bytes], blob: StoredBlob, where: object) -> bytes:
        whole = b"".join(opened)
        if (found := _digest([whole])) != blob.sha256:
            raise BlobDamaged(where, f"its digest is {found}")
        return whole

    def _read(self, blob: StoredBlob) -> Iterator[bytes]:
        # Twice: a restore must not begin to write what turns out to be damaged.
        path = self._folder / blob.sha256
        with closing(_chunks(path)) as chunks:
            sealed = self._sealer.has_sealed(next(chunks, b""))
        if sealed and self._opens(path, blob):
            return self._sealer.open(_chunks(path), _ABOUT, path)
        if (found := _digest(_chunks(path))) != blob.sha256:
            raise BlobDamaged(path, f"its digest is {found}")
        return _chunks(path)

    def _opens(self, path: Path, blob: StoredBlob) -> bool:
        """Tell whether a file that looks sealed is what it should be; an earlier release's may just look so."""
        try:
            found = _digest(self._sealer.open(_chunks(path), _ABOUT, path))
        except SecretUnusable:
            if _digest(_chunks(path)) == blob.sha256:
                return False
            raise
        if found != blob.sha256:
            raise BlobDamaged(path, f"its digest is {found}")
        return True


_ABOUT = b"content"


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


class _Counted:
    """Chunks on their way, with their digest and size once they have passed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.digest.update(chunk)
            self.size += len(chunk)
            yield chunk


def _write(path: Path, chunks: Iterable[bytes], sealer: Sealer) -> tuple[str, int]:
    counted = _Counted(chunks)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:  # a Path opens with no mode
        file.writelines(sealer.seal(counted, _ABOUT))
        file.flush()
        os.fsync(file.fileno())
    return counted.digest.hexdigest(), counted.size


def _both(start: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield start
    yield from rest


def _chunks(path: Path) -> Generator[bytes, None, None]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise BlobMissing(path) from None
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
