"""What a driver of this room says when it must refuse: the file system's errors and its own, for who must act."""

from __future__ import annotations

import errno
from typing import Final

from providers.contract import Ended, Failed

CERTAIN: Final = frozenset(
    {
        errno.EACCES,
        errno.EBUSY,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMLINK,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOSYS,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EROFS,
        errno.EXDEV,
    }
)
"""With these a call of the file system has surely changed nothing. After any other (EIO, ESTALE, …) nobody knows."""

_FAILURES: Final[dict[int, tuple[str, str]]] = {
    errno.EACCES: ("not_permitted", "give the daemon's user access to it"),
    errno.EPERM: ("not_permitted", "give the daemon's user the right to do this, or let another user own it"),
    errno.EROFS: ("read_only", "mount it writable, or add it to ReadWritePaths= of the daemon's unit"),
    errno.EEXIST: ("exists", "use the verb put or update, or another path"),
    errno.ENOENT: ("not_found", "create it first"),
    errno.ENOTEMPTY: ("not_empty", "empty the folder, or say `recursive: true`"),
    errno.ENOTDIR: ("not_a_folder", "name a path whose parents are folders"),
    errno.ELOOP: ("not_a_folder", "name a path whose parents are folders, not symlinks that change"),
    errno.ENOSPC: ("no_space", "make room on its file system"),
    errno.EDQUOT: ("no_space", "raise the quota of the daemon's user"),
    errno.ENAMETOOLONG: ("name_too_long", "choose a shorter name"),
    errno.EMFILE: ("no_resources", "raise LimitNOFILE= of the daemon's unit"),
    errno.ENFILE: ("no_resources", "raise fs.file-max"),
    errno.ENOMEM: ("no_resources", "free some memory"),
}
_TRANSIENT: Final = frozenset({"no_resources"})


def refused(code: str, message: str, *, transient: bool = False) -> Ended:
    """Make what to raise where nothing was changed and nothing will be."""
    return Ended(Failed(code=code, message=message, transient=transient))


def failure(problem: OSError, path: str) -> Failed:
    """Tell an error of the file system, met before anything changed, in the words of the contract."""
    code, remedy = _FAILURES.get(problem.errno or 0, ("os_error", "see the daemon's log and the kernel's"))
    reason = problem.strerror or str(problem)
    return Failed(code=code, message=f"{path}: {reason}; {remedy}", transient=code in _TRANSIENT)
