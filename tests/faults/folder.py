"""A folder to be changed and taken back, and what it looked like: the world that a saga's files live in."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

FAIL: dict[str, Any] = {
    "name": "last",
    "do": "test.fail",
    "with": {"kind": "error", "message": "the last step"},
}


def fill(folder: Path) -> None:
    """Make files of different contents, modes, owners and times."""
    folder.mkdir()
    for number in range(14):
        path = folder / f"old{number}"
        path.write_bytes(bytes([number, 0, 255, 10]) * (number * 997 + 1))
        path.chmod((0o600, 0o644, 0o640, 0o755)[number % 4])
        if os.geteuid() == 0:
            os.chown(path, 1000 + number % 3, 2000 + number % 2)
        os.utime(path, ns=(10**18 + number, 10**18 + 123_456_789 * number))


def look(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Give all that is promised to come back: content, mode, owner, group, modification time."""
    seen: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        at = path.lstat()
        what = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        times = at.st_mtime_ns if stat.S_ISREG(at.st_mode) else None
        seen[str(path.relative_to(folder))] = (what, oct(at.st_mode), at.st_uid, at.st_gid, times)
    return seen


def steps(folder: Path, count: int = 20) -> list[dict[str, Any]]:
    """Give steps that create, update and delete, mixed; none that two of them would touch."""
    made: list[dict[str, Any]] = []
    for number in range(count):
        kind = ("create", "update", "delete")[number % 3]
        name = f"new{number}" if kind == "create" else f"old{number // 3 * 2 + (kind == 'delete')}"
        arguments: dict[str, Any] = {"path": str(folder / name)}
        if kind != "delete":
            arguments["content"] = f"content {number}\n" * (number * 50 + 1)
        if kind == "create":
            arguments["mode"] = "0604"
        made.append({"name": f"step{number}", "do": f"local.file.{kind}", "with": arguments})
    return made


def saga(kind: str, steps: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Give a saga document."""
    return {"saga": kind, "steps": steps, **more}
