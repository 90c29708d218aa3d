"""What a file has beside its content: mode, owner, group, extended attributes, file flags, modification time."""

from __future__ import annotations

import array
import base64
import errno
import fcntl
import grp
import os
import pwd
import stat
import struct
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from providers.local.refusals import refused

# <linux/fs.h>: _IOR('f', 1, long) and _IOW('f', 2, long), as on every architecture but alpha, mips, ppc and sparc.
_LONG: Final = struct.calcsize("l")
_GET_FLAGS: Final = 0x80006601 | _LONG << 16
_SET_FLAGS: Final = 0x40006602 | _LONG << 16
_FIXED_FLAGS: Final = {0x10: "immutable", 0x20: "append-only"}
_KEPT_FLAGS: Final = 0x8 | 0x40 | 0x80 | 0x10000
"""sync, nodump, noatime, dirsync: those that any owner may set at any time, so that they can be put back."""

_NO_FLAGS: Final = frozenset(
    {errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES}
)
_NO_UNNAMED: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
_ANY_OWNER_MAY: Final = ("user.", "system.posix_acl_")


class Attributes(msgspec.Struct, frozen=True, array_like=True):
    """Attributes to be put on a file; None leaves one as it is."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    xattrs: dict[str, bytes] | None = None
    flags: int | None = None
    mtime_ns: int | None = None

    @classmethod
    def of(cls, fd: int) -> Attributes:
        """Read those of an open file or folder."""
        st = os.fstat(fd)
        return cls(
            stat.S_IMODE(st.st_mode),
            st.st_uid,
            st.st_gid,
            _xattrs(fd),
            _flags(fd) & _KEPT_FLAGS,
            st.st_mtime_ns,
        )

    @classmethod
    def in_fields(cls, fields: Mapping[str, Any]) -> Attributes:
        """Read those that an image's fields, or a call's arguments, give. Raises Ended where an owner is not known."""
        mode, owner, group, xattrs = (fields.get(name) for name in ("mode", "owner", "group", "xattrs"))
        return cls(
            mode=None if mode is None else int(mode, 8),
            uid=fields["uid"] if "uid" in fields else None if owner is None else user_id(owner),
            gid=fields["gid"] if "gid" in fields else None if group is None else group_id(group),
            xattrs=None
            if xattrs is None
            else {name: base64.b64decode(text) for name, text in xattrs.items()},
            flags=fields.get("flags"),
            mtime_ns=fields.get("mtime_ns"),
        )

    def fields(self) -> dict[str, Any]:
        """Give them as the fields of an image. Numbers stand beside names: a name may belong to another one later."""
        fields: dict[str, Any] = {"mtime_ns": self.mtime_ns}
        if self.mode is not None:
            fields["mode"] = format(self.mode, "04o")
        if self.uid is not None:
            fields |= {"owner": user_name(self.uid), "uid": self.uid}
        if self.gid is not None:
            fields |= {"group": group_name(self.gid), "gid": self.gid}
        if self.xattrs is not None:
            fields["xattrs"] = {name: base64.b64encode(data).decode() for name, data in self.xattrs.items()}
        if self.flags is not None:
            fields["flags"] = self.flags
        return fields

    def over(self, other: Attributes) -> Attributes:
        """Take what is None here from the other."""
        mine = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.structs.replace(other, **mine)

    def put_on(self, fd: int) -> None:
        """Put them on an open file or folder, all or as far as the first error.

        The order matters: a change of owner clears set-user-id bits and capabilities, an ACL changes the mode, and
        whatever comes later may change the modification time.
        """
        if self.uid is not None or self.gid is not None:
            os.fchown(fd, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid)
        if self.xattrs is not None:
            _put_xattrs(fd, self.xattrs)
        if self.mode is not None:
            os.fchmod(fd, self.mode)
            if (
                stat.S_IMODE(os.fstat(fd).st_mode) != self.mode
            ):  # set-group-id for another's group is dropped silently
                raise PermissionError(errno.EPERM, f"mode {self.mode:04o} cannot be set")
        if self.flags is not None:
            _put_flags(fd, self.flags)
        if self.mtime_ns is not None:
            os.utime(fd, ns=(os.fstat(fd).st_atime_ns, self.mtime_ns))


def fixed(fd: int) -> str | None:
    """Name the flag (``chattr``) that forbids changing the file; None where there is none."""
    flags = _flags(fd)
    return next((name for bit, name in _FIXED_FLAGS.items() if flags & bit), None)


def may_give(folder: int, wanted: Attributes) -> bool:
    """Tell whether this daemon may give a new file in this folder these owners and extended attributes.

    Tried on a file without a name (O_TMPFILE), which nobody ever sees: the only answer that holds whatever the
    capabilities, user namespaces, mounts and network file systems may be. Where the file system has no such files,
    root may and others may not.
    """
    xattrs = {
        name: data for name, data in (wanted.xattrs or {}).items() if not name.startswith(_ANY_OWNER_MAY)
    }
    mine = wanted.uid in {None, os.geteuid()} and wanted.gid in {None, os.getegid(), *os.getgroups()}
    if mine and not xattrs:
        return True
    try:
        unnamed = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError as problem:
        if problem.errno in _NO_UNNAMED:
            return os.geteuid() == 0
        raise
    try:
        Attributes(uid=wanted.uid, gid=wanted.gid, xattrs=_xattrs(unnamed) | xattrs).put_on(unnamed)
    except OSError:
        return False
    finally:
        os.close(unnamed)
    return True


def user_id(owner: str) -> int:
    """Give a user's number. Raises Ended where there is no such user."""
    if owner.isdecimal():
        return int(owner)
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        raise refused(
            "no_such_user", f'"owner": no user {owner!r} on this node; create it, or give a number'
        ) from None


def group_id(group: str) -> int:
    """Give a group's number. Raises Ended where there is no such group."""
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise refused(
            "no_such_group", f'"group": no group {group!r} on this node; create it, or give a number'
        ) from None


def user_name(uid: int) -> str:
    """Give a user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Give a group's name, or the number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _xattrs(fd: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(fd, name) for name in sorted(os.listxattr(fd))}
    except OSError as problem:
        if problem.errno == errno.EOPNOTSUPP:
            return {}
        raise


def _put_xattrs(fd: int, wanted: Mapping[str, bytes]) -> None:
    """Make the extended attributes exactly these: a new file may have inherited others (an ACL)."""
    live = _xattrs(fd)
    for name in live.keys() - wanted.keys():
        os.removexattr(fd, name)
    for name, data in wanted.items():
        if live.get(name) != data:
            os.setxattr(fd, name, data)


def _flags(fd: int) -> int:
    flags = array.array("L", [0])
    try:
        fcntl.ioctl(fd, _GET_FLAGS, flags)
    except OSError as problem:
        if problem.errno in _NO_FLAGS:
            return 0
        raise
    return flags[0]


def _put_flags(fd: int, wanted: int) -> None:
    live = _flags(fd)
    if live & _KEPT_FLAGS != wanted:
        fcntl.ioctl(fd, _SET_FLAGS, array.array("L", [live & ~_KEPT_FLAGS | wanted]))
