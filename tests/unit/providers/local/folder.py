"""A folder as a world for the conformance suite: everything in it that a restore promises to give back."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conformance import State


class Folder:
    """One folder below the only root."""

    varying = frozenset({"mtime_ns"})

    def __init__(self, folder: Path) -> None:
        self.here = folder / "here"
        self.here.mkdir()
        self.settings: Mapping[str, Any] = {"roots": [str(folder)]}
        self.words: Mapping[str, str] = {"here": str(self.here)}

    def state(self) -> State:
        """Look at every name, what it is, and what it holds."""
        return {str(path.relative_to(self.here)): facts(path) for path in sorted(_below(self.here))}

    def write(self, name: str, content: str = "old\n", mode: int = 0o640) -> Path:
        """Make a file with attributes that no default gives."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        if os.geteuid() == 0:
            os.chown(path, 1234, 4321)
        path.chmod(mode)
        os.setxattr(path, "user.colour", b"blue\0")
        os.utime(path, ns=(1, 1_600_000_000_123_456_789))
        return path

    def folder(self, name: str, mode: int = 0o750) -> Path:
        """Make a folder likewise."""
        path = self.here / name
        path.mkdir()
        if os.geteuid() == 0:
            os.chown(path, 1234, 4321)
        path.chmod(mode)
        os.setxattr(path, "user.colour", b"red")
        return path

    def link(self, name: str, target: str = "elsewhere") -> Path:
        """Make a symlink likewise."""
        path = self.here / name
        path.symlink_to(target)
        if os.geteuid() == 0:
            os.chown(path, 1234, 4321, follow_symlinks=False)
        os.utime(path, ns=(1, 1_600_000_000_987_654_321), follow_symlinks=False)
        return path


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def facts(path: Path) -> dict[str, Any]:
    """Look at one thing: a folder's times are not promised."""
    st = path.lstat()
    seen: dict[str, Any] = {"mode": st.st_mode, "uid": st.st_uid, "gid": st.st_gid}
    if not stat.S_ISDIR(st.st_mode):
        seen["mtime_ns"] = st.st_mtime_ns
    if stat.S_ISREG(st.st_mode):
        seen["content"] = path.read_bytes()
    if stat.S_ISLNK(st.st_mode):
        seen["target"] = str(path.readlink())
    else:
        seen["xattrs"] = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return seen
