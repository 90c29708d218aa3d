"""One name in one opened folder, and the staged name beside it that belongs to one operation.

Whatever changes the target is a method here, is one atomic step, and sets ``touched`` when it has happened or may
have. So the driver knows which errors came before the effect and which may have come after.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from providers.local.confined import OWN_PREFIX, Confined
from providers.local.refusals import CERTAIN, refused

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How to open what is to be read: never through a symlink, never waiting for the other end of a fifo."""


class Stamp(NamedTuple):
    """What changes whenever a file does: nobody can set an inode's change time."""

    inode: int
    ctime_ns: int

    @classmethod
    def of(cls, st: os.stat_result) -> Stamp:
        """Take the stamp of what was looked at."""
        return cls(st.st_ino, st.st_ctime_ns)


class Place:
    """The name that a call is about. Where its folder is missing, nothing is there and nothing can be put there."""

    def __init__(self, path: str, key: str, folder: int | None, missing: str = "") -> None:
        self.path = path
        self.leaf = os.path.basename(path)
        self.staged = f"{OWN_PREFIX}{key}"
        self.touched = False
        self._folder = folder
        self._missing = missing

    @property
    def folder(self) -> int:
        """The opened folder. Raises Ended where there is none."""
        if self._folder is None:
            raise refused("not_found", f"{self._missing} is not there, or is no folder: create it first")
        return self._folder

    def stat(self) -> os.stat_result | None:
        """Look at the target, not through it; None where nothing is."""
        return self._stat(self.leaf)

    def stat_staged(self) -> os.stat_result | None:
        """Look at what an attempt of this operation has staged; None where nothing is."""
        return self._stat(self.staged)

    def _stat(self, name: str) -> os.stat_result | None:
        if self._folder is None:
            return None
        try:
            return os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def put(self, over: Stamp | None) -> None:
        """Make the staged file or symlink the target, in one step.

        ``over`` is the stamp of what it replaces; None where nothing may be there, and nothing is overwritten.
        """
        if over is not None:
            self._still(over)
            with self._effect():
                os.rename(self.staged, self.leaf, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        else:
            with self._effect():
                os.link(
                    self.staged,
                    self.leaf,
                    src_dir_fd=self.folder,
                    dst_dir_fd=self.folder,
                    follow_symlinks=False,
                )
            os.unlink(self.staged, dir_fd=self.folder)
        os.fsync(self.folder)

    def put_folder(self) -> None:
        """Make the staged folder the target, in one step; nothing is overwritten."""
        with self._effect():
            _rename_to_nothing(self.staged, self.leaf, self.folder)
        os.fsync(self.folder)

    def remove(self, expected: Stamp) -> None:
        """Remove the file or symlink that was looked at."""
        self._still(expected)
        with self._effect():
            os.unlink(self.leaf, dir_fd=self.folder)
        os.fsync(self.folder)

    def remove_folder(self) -> None:
        """Remove the folder, which must be empty."""
        with self._effect():
            os.rmdir(self.leaf, dir_fd=self.folder)
        os.fsync(self.folder)

    def remove_tree(self, expected: Stamp) -> None:
        """Remove the folder with all that is in it: gone in one step, then cleared away."""
        self._still(expected)
        with self._effect():
            os.rename(self.leaf, self.staged, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        os.fsync(self.folder)
        self.discard()

    def discard(self) -> None:
        """Remove what this operation has staged, if anything."""
        staged = self.stat_staged()
        if staged is None:
            return
        if stat.S_ISDIR(staged.st_mode):
            _clear_away(self.staged, self.folder)
        else:
            os.unlink(self.staged, dir_fd=self.folder)
        os.fsync(self.folder)

    def sync(self) -> None:
        """Make durable what has happened in the folder."""
        if self._folder is not None:
            os.fsync(self._folder)

    @contextmanager
    def _effect(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            self.touched |= problem.errno not in CERTAIN
            raise
        self.touched = True

    def _still(self, expected: Stamp) -> None:
        """Refuse where the target is no longer what was looked at.

        No call of Linux compares and swaps a name: what happens between this look and the effect, a microsecond
        later, goes unseen.
        """
        now = self.stat()
        if now is None or Stamp.of(now) != expected:
            raise refused(
                "changed", f"{self.path} was changed by somebody else just now; look at it, then retry"
            )


@contextmanager
def opened(confined: Confined, path: str, key: str) -> Iterator[Place]:
    """Open the place of a real path for the time of one call."""
    folder: int | None = None
    missing = ""
    try:
        folder = confined.open_folder(os.path.dirname(path))
    except (FileNotFoundError, NotADirectoryError) as problem:
        missing = str(problem.filename)
    try:
        yield Place(path, key, folder, missing)
    finally:
        if folder is not None:
            os.close(folder)


def _clear_away(name: str, folder: int) -> None:
    """Remove a tree, without following anything out of it."""
    here = _open_to_clear(name, folder)
    try:
        with os.scandir(here) as entries:
            children = list(entries)
        for child in children:
            if child.is_dir(follow_symlinks=False):
                _clear_away(child.name, here)
            else:
                os.unlink(child.name, dir_fd=here)
    finally:
        os.close(here)
    os.rmdir(name, dir_fd=folder)


def _open_to_clear(name: str, folder: int) -> int:
    here = os.open(name, READ | os.O_DIRECTORY, dir_fd=folder)
    if os.fstat(here).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        # Who owns a folder without `w` may not remove what is in it, unless it is root.
        os.fchmod(here, stat.S_IRWXU)
    return here


def _rename_to_nothing(old: str, new: str, folder: int) -> None:
    """Rename, failing where something is: ``rename`` alone would silently replace an empty folder.

    Where the C library or the file system (NFS) cannot do that in one step, look first.
    """
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    noreplace = 1
    if rename is not None:
        if rename(folder, os.fsencode(old), folder, os.fsencode(new), noreplace) == 0:
            return
        code = ctypes.get_errno()
        if code not in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
            raise OSError(code, os.strerror(code), new)
    try:
        os.stat(new, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
