"""Why no daemon answers, told apart, each with the command that mends it."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from config.paths import SYSTEM_SOCKET
from orchestrator.cli.failures import Unreachable


def unanswered(path: Path, error: OSError) -> Unreachable:
    """Say why nothing could be connected to."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return Unreachable(
                f"no daemon is listening: there is no socket at {path}", _start(path), _ELSEWHERE
            )
        case errno.ECONNREFUSED if not _is_socket(path):
            return Unreachable(f"{path} is not a socket", _ELSEWHERE)
        case errno.ECONNREFUSED:
            what = (
                f"no daemon is listening: the socket {path} is there, but nobody is behind it (it has ended)"
            )
            return Unreachable(what, _start(path))
        case errno.EACCES | errno.EPERM:
            return Unreachable(f"you may not connect to {path}", _permission(path))
        case errno.EAGAIN | errno.ETIMEDOUT:
            return Unreachable(
                f"the daemon at {path} does not take connections: it is overloaded or hangs", _look(path)
            )
    return Unreachable(f"cannot connect to {path}: {error.strerror or error}", _ELSEWHERE)


def silent(path: Path, seconds: float | None) -> Unreachable:
    """Say that the daemon has taken the request and not answered in time."""
    waited = f" within {seconds:g} s" if seconds else ""
    return Unreachable(f"the daemon at {path} has not answered{waited}", _UNSURE, _look(path))


def cut_off(path: Path) -> Unreachable:
    """Say that the connection broke in the middle of a request."""
    return Unreachable(f"the daemon at {path} hung up before it had answered", _UNSURE, _look(path))


def unintelligible(why: str) -> Unreachable:
    """Say that what answers does not speak as sagad does."""
    return Unreachable(f"what answers on the socket does not speak as sagad does: {why}", _ELSEWHERE)


_ELSEWHERE = "another socket: `sagactl --socket PATH …`, or SAGAD_SOCKET"
_UNSURE = "whether the request was carried out is not known: `sagactl ls` and `sagactl show ID` tell"


def _start(path: Path) -> str:
    if path == SYSTEM_SOCKET:
        return "start it: `sudo systemctl start sagad`"
    return "start it as it was started before, with the same settings: `sagad --config FILE`"


def _look(path: Path) -> str:
    if path == SYSTEM_SOCKET:
        return "see what it does: `systemctl status sagad`, `journalctl -u sagad -e`"
    return "see what it does: its log, and `ps -C sagad`"


def _permission(path: Path) -> str:
    group = _group(path)
    if group is None:
        return "only its owner may: run sagactl as the user whose daemon it is"
    return f"add yourself to the group {group}: `sudo usermod -aG {group} $USER`, then log in again"


def _group(path: Path) -> str | None:
    """The group whose members may pass: the socket's, or that of the first folder above that shuts us out."""
    import grp

    try:
        about = path.stat()
        name = grp.getgrgid(about.st_gid).gr_name
    except (OSError, KeyError):
        return "sagad" if path == SYSTEM_SOCKET else None
    return name if about.st_mode & stat.S_IWGRP and name != "root" else None


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return True
