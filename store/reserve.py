"""Room kept for the day when the disk is full: a file that takes up space until it is needed."""

from __future__ import annotations

import os
from pathlib import Path


class Reserve:
    """A file of a fixed size beside the database. While it is away, there is no room but what it left."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def make(self) -> str:
        """Make the file where it is not there, and say why that cannot be done; else say nothing.

        Asks for twice the room, lest it be given up again with the next transition.
        """
        if not self._size or (self._path.exists() and self._path.stat().st_size >= self._size):
            return ""
        try:
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize < 2 * self._size:
                return f"less than {2 * self._size >> 20} MB are free"
            with self._path.open("wb") as file:
                self._path.chmod(0o600)
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError as error:
            self.release()
            return str(error)
        return ""

    def release(self) -> bool:
        """Give up the room, and say whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
