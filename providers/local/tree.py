"""A folder with all that is in it, as one stream of bytes: the same tree gives the same bytes.

A record is the length of its head (four bytes), the head (an ``Entry`` in MessagePack) and, for a file, its content.
A folder's record is followed by those of its children, by name, and an ``end``. What a stream holds: names, contents,
modes, owners, extended attributes, file flags, modification times of files and symlinks, targets of symlinks. (Not a
tar: its times are decimal fractions and its extensions vary; what comes back must be what was.)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

import msgspec

from providers.local.attributes import Attributes
from providers.local.file import chunks_of, write_all
from providers.local.place import READ
from providers.local.refusals import refused

Judge = Callable[[str, int | None, os.stat_result], None]
"""Called with each thing's path below the tree, its open file (None for a symlink or special file) and its stat;
raises where the tree must not be taken."""

_LENGTH: Final = 4
_FOLDER: Final = READ | os.O_DIRECTORY
_encode = msgspec.msgpack.Encoder().encode


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """The head of a record."""

    kind: Literal["folder", "file", "symlink", "special", "end"]
    name: bytes = b""
    attributes: Attributes = Attributes()
    size: int = 0
    target: bytes = b""


_decode = msgspec.msgpack.Decoder(Entry).decode


def pack(name: str, parent: int, judge: Judge) -> Iterator[bytes]:
    """Read the folder of this name into a stream."""
    yield from _pack_folder(name, parent, "", judge)


def _pack_folder(name: str, parent: int, above: str, judge: Judge) -> Iterator[bytes]:
    here = os.open(name, _FOLDER, dir_fd=parent)
    path = os.path.join(above, name)
    try:
        judge(path, here, os.fstat(here))
        yield from _head(Entry("folder", os.fsencode(name), _lasting(here)))
        for child in sorted(os.listdir(here)):
            yield from _pack_child(child, here, path, judge)
        yield from _head(Entry("end"))
    finally:
        os.close(here)


def _pack_child(name: str, parent: int, above: str, judge: Judge) -> Iterator[bytes]:
    st = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(st.st_mode):
        yield from _pack_folder(name, parent, above, judge)
    elif stat.S_ISREG(st.st_mode):
        yield from _pack_file(name, parent, above, judge)
    else:
        judge(os.path.join(above, name), None, st)
        owners = Attributes(uid=st.st_uid, gid=st.st_gid, mtime_ns=st.st_mtime_ns)
        if stat.S_ISLNK(st.st_mode):
            target = os.fsencode(os.readlink(name, dir_fd=parent))
            yield from _head(Entry("symlink", os.fsencode(name), owners, target=target))
        else:
            yield from _head(Entry("special", os.fsencode(name), owners))


def _pack_file(name: str, parent: int, above: str, judge: Judge) -> Iterator[bytes]:
    fd = os.open(name, READ, dir_fd=parent)
    try:
        st = os.fstat(fd)
        judge(os.path.join(above, name), fd, st)
        yield from _head(Entry("file", os.fsencode(name), Attributes.of(fd), size=st.st_size))
        size = 0
        for chunk in chunks_of(fd):
            size += len(chunk)
            yield chunk
        if size != st.st_size:
            path = os.path.join(above, name)
            raise refused("changed", f"{path} is being written to; retry when it is not", transient=True)
    finally:
        os.close(fd)


def unpack(chunks: Iterable[bytes], name: str, parent: int) -> None:
    """Make the tree of a stream under this name, and sync it; nobody else may look in before it is whole.

    Raises ValueError where the stream ends too soon or is no such stream.
    """
    stream = _Stream(chunks)
    top = stream.entry()
    if top.kind != "folder":
        raise ValueError("it begins with no folder")
    _unpack_folder(stream, top, name, parent)


def _unpack_folder(stream: _Stream, folder: Entry, name: str, parent: int) -> None:
    os.mkdir(name, stat.S_IRWXU, dir_fd=parent)
    here = os.open(name, _FOLDER, dir_fd=parent)
    try:
        while (entry := stream.entry()).kind != "end":
            _unpack_child(stream, entry, here)
        folder.attributes.put_on(here)
        os.fsync(here)
    finally:
        os.close(here)


def _unpack_child(stream: _Stream, entry: Entry, parent: int) -> None:
    name = os.fsdecode(entry.name)
    if entry.kind == "folder":
        _unpack_folder(stream, entry, name, parent)
    elif entry.kind == "file":
        _unpack_file(stream, entry, name, parent)
    elif entry.kind == "symlink":
        given = entry.attributes
        os.symlink(entry.target, entry.name, dir_fd=parent)
        os.chown(entry.name, given.uid or 0, given.gid or 0, dir_fd=parent, follow_symlinks=False)
        os.utime(
            entry.name, ns=(given.mtime_ns or 0, given.mtime_ns or 0), dir_fd=parent, follow_symlinks=False
        )
    else:
        raise ValueError(f"{name} is special and cannot be made")


def _unpack_file(stream: _Stream, entry: Entry, name: str, parent: int) -> None:
    creating = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, creating, 0o600, dir_fd=parent)
    try:
        for chunk in stream.pieces(entry.size):
            write_all(fd, chunk)
        entry.attributes.put_on(fd)
        os.fsync(fd)
    finally:
        os.close(fd)


class _Stream:
    """Bytes that come in chunks, taken in pieces of another size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def entry(self) -> Entry:
        length = int.from_bytes(b"".join(self.pieces(_LENGTH)))
        return _decode(b"".join(self.pieces(length)))

    def pieces(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
                if not self._rest:
                    raise ValueError("it ends too soon")
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece


def _head(entry: Entry) -> Iterator[bytes]:
    head = _encode(entry)
    yield len(head).to_bytes(_LENGTH) + head


def _lasting(fd: int) -> Attributes:
    """Read a folder's attributes; its modification time changes with what is put in, and is not promised."""
    return msgspec.structs.replace(Attributes.of(fd), mtime_ns=None)
