"""The simulated disk under the real SQLite: a VFS, registered with the library that the interpreter itself uses.

It is the platform's own, working on files in memory, but for what is written, synced, cut and deleted: that goes through
``disk`` first. What is read does not, which is fast.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

from tests.simulation.disk import IOERR, OK, Disk, mounted

NAME = "faulty"

P, N, I64 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_Write = ctypes.CFUNCTYPE(N, P, P, N, I64)
_Truncate = ctypes.CFUNCTYPE(N, P, I64)
_Sync = ctypes.CFUNCTYPE(N, P, N)
_Close = ctypes.CFUNCTYPE(N, P)
_Open = ctypes.CFUNCTYPE(N, P, P, P, N, P)
_Delete = ctypes.CFUNCTYPE(N, P, P, N)


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3 (sqlite.org/c3ref/io_methods.html)."""

    _fields_ = [
        ("version", N), ("close", P), ("read", P), ("write", P), ("truncate", P), ("sync", P), ("size", P),
        ("lock", P), ("unlock", P), ("reserved", P), ("control", P), ("sector", P), ("characteristics", P),
        ("shm_map", P), ("shm_lock", P), ("shm_barrier", P), ("shm_unmap", P), ("fetch", P), ("unfetch", P),
    ]  # fmt: skip


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3 (sqlite.org/c3ref/vfs.html)."""

    _fields_ = [
        ("version", N), ("file_size", N), ("longest", N), ("next", P), ("name", ctypes.c_char_p), ("data", P),
        ("open", P), ("delete", P), ("more", P * 16),
    ]  # fmt: skip


class _Patched:
    """The platform's methods of one kind of file, with ours in place of three of them."""

    def __init__(self, real: int) -> None:
        theirs = _Methods.from_address(real)
        self.write = _Write(theirs.write)
        self.truncate = _Truncate(theirs.truncate)
        self.close = _Close(theirs.close)
        self.ours = _Methods.from_buffer_copy(theirs)
        self.kept = [_Write(self._write), _Truncate(self._truncate), _Sync(self._sync), _Close(self._close)]
        for name, function in zip(("write", "truncate", "sync", "close"), self.kept, strict=True):
            setattr(self.ours, name, ctypes.cast(function, P).value)

    def _write(self, file: int, data: int, size: int, at: int) -> int:
        disk, name = _opened[file]
        refused = disk.write(name, at, ctypes.string_at(data, size))
        if refused:
            return refused
        done: int = self.write(file, data, size, at)
        if disk.watched:
            disk.asked("write", "after")
        return done

    def _truncate(self, file: int, size: int) -> int:
        disk, name = _opened[file]
        done: int = disk.truncate(name, size) or self.truncate(file, size)
        return done

    def _sync(self, file: int, _: int) -> int:
        disk, name = _opened[file]
        return disk.sync(name)

    def _close(self, file: int) -> int:
        _opened.pop(file, None)
        done: int = self.close(file)
        return done


_opened: dict[int, tuple[Disk, str]] = {}
_patched: dict[int, _Patched] = {}
_kept: list[Any] = []


def _file_opened(real: Any, vfs: int, name: int, file: int, flags: int, out: int) -> int:
    done: int = real(vfs, name, file, flags, out)
    if done != OK or not name:
        return done
    folder, _, file_name = ctypes.string_at(name).decode().rpartition("/")
    disk = mounted.get(folder)
    if disk is None:
        return done
    methods = ctypes.c_void_p.from_address(file)
    assert methods.value is not None
    patched = _patched.get(methods.value) or _patched.setdefault(methods.value, _Patched(methods.value))
    _opened[file] = disk, file_name
    methods.value = ctypes.addressof(patched.ours)
    return done


def _file_deleted(real: Any, vfs: int, name: int, sync: int) -> int:
    folder, _, file_name = ctypes.string_at(name).decode().rpartition("/")
    if (disk := mounted.get(folder)) is not None:
        if disk.dead:
            return IOERR
        disk.deleted(file_name)
    return int(real(vfs, name, sync))


def register() -> str:
    """Register the VFS, once a process, and give what chooses it in SQLite's URI."""
    if not _kept:
        library = ctypes.CDLL(ctypes.util.find_library("sqlite3") or "libsqlite3.so.0")
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        theirs = library.sqlite3_vfs_find(None).contents
        ours = _Vfs.from_buffer_copy(theirs)
        ours.name, ours.next = NAME.encode(), None
        open_, delete = _Open(theirs.open), _Delete(theirs.delete)
        hooks = (
            _Open(lambda *given: _file_opened(open_, *given)),
            _Delete(lambda *given: _file_deleted(delete, *given)),
        )
        ours.open, ours.delete = (ctypes.cast(each, P).value for each in hooks)
        _kept.extend((ours, open_, delete, hooks))
        assert library.sqlite3_vfs_register(ctypes.byref(ours), 0) == OK
    return f"vfs={NAME}"
