"""Who may do what (SPEC §8): a connection's peer, as the kernel knows it, and the role that the settings give it.

The kernel notes the uid and the groups of whoever connects to a unix socket (SO_PEERCRED, SO_PEERGROUPS). They are the
process's own: somebody who has just been added to a group has it from the next log-in on, as everywhere else. Names
come from passwd and group, which may live on a network; so they are looked up in a thread, and kept for a while.
"""

from __future__ import annotations

import asyncio
import errno
import grp
import os
import pwd
import socket
import struct
import time
from array import array
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from config.settings import Access
from orchestrator.problems import NotAllowed

Role = Literal["viewer", "operator", "admin"]

ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
"""Each may do what those before it may."""

KEPT = 30.0
"""Seconds for which a user's role is kept: so long it takes until a change of passwd or group is seen."""

MOST_KEPT = 1_000
SO_PEERGROUPS = 59  # asm-generic/socket.h, since Linux 4.13; Python has no name for it
GROUPS_BYTES = 1024  # the most that Python's getsockopt asks for: 256 groups


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end of a connection."""

    uid: int
    gids: frozenset[int]


class Caller(msgspec.Struct, frozen=True):
    """Who asks: a user's name, or `uid:1234` where the system knows none; and what they may."""

    name: str
    role: Role | None

    def may(self, role: Role) -> bool:
        """Tell whether the caller has that role or a higher one."""
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(role)


def peer_of(connection: socket.socket) -> Peer | None:
    """Ask the kernel who has connected; None where it cannot know, which is on any but a unix socket."""
    if connection.family != socket.AF_UNIX:
        return None
    _, uid, gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(uid, frozenset({gid, *_groups(connection, uid, gid)}))


def _groups(connection: socket.socket, uid: int, gid: int) -> Iterable[int]:
    try:
        return array("I", connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, GROUPS_BYTES))
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
    # In more groups than fit: those on record must do.
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return ()


class Callers:
    """Gives each peer its name and role. Kept per peer for `KEPT` seconds."""

    def __init__(self, access: Callable[[], Access], clock: Callable[[], float] = time.monotonic) -> None:
        """Take the settings by a function: they change with a reload, and so do the roles at once."""
        self._access = access
        self._clock = clock
        self._known: dict[Peer, tuple[float, Access, Caller]] = {}

    def known(self, peer: Peer) -> Caller | None:
        """Give the caller without looking anything up, if that was done a moment ago."""
        kept = self._known.get(peer)
        if kept is None or kept[0] <= self._clock() or kept[1] is not self._access():
            return None
        return kept[2]

    async def find(self, peer: Peer) -> Caller:
        """Give the caller, looking up names where that must be."""
        if (caller := self.known(peer)) is not None:
            return caller
        access = self._access()
        caller = await asyncio.to_thread(caller_of, peer, access)
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[peer] = (self._clock() + KEPT, access, caller)
        return caller


def caller_of(peer: Peer, access: Access) -> Caller:
    """Give a peer its name and its highest role. Asks the system's user database, which may block."""
    try:
        name = pwd.getpwuid(peer.uid).pw_name
    except KeyError:
        name = f"uid:{peer.uid}"
    return Caller(name, _role(name, peer, access))


def _role(name: str, peer: Peer, access: Access) -> Role | None:
    if peer.uid == os.getuid() or _is_listed(name, peer, access.admin):
        return "admin"
    if _is_listed(name, peer, access.operator):
        return "operator"
    return "viewer" if _is_listed(name, peer, access.viewer) else None


def _is_listed(name: str, peer: Peer, listed: Iterable[str]) -> bool:
    return any(_gid(one[1:]) in peer.gids if one.startswith("@") else one == name for one in listed)


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def require(caller: Caller, role: Role, access: Access) -> None:
    """Raise NotAllowed, saying who the caller is here and how to get the role, unless they have it."""
    if caller.may(role):
        return
    has = f"has the role {caller.role}" if caller.role else "has no role"
    raise NotAllowed(
        f"{caller.name} {has} here, and this needs {role}: {_way_to(role, caller.name, access)}",
        code="not_allowed" if caller.role else "no_role",
    )


def _way_to(role: Role, name: str, access: Access) -> str:
    enough = ROLES[ROLES.index(role) :]
    groups = [
        one[1:] for enough_role in enough for one in getattr(access, enough_role) if one.startswith("@")
    ]
    if not groups or name.startswith("uid:"):
        return f"ask the node's admin to name you in `[access] {role}` of the settings"
    return f"add yourself to group {groups[0]} (sudo usermod -aG {groups[0]} {name}), then log in again"
