"""The processes of one execution: found by what they carry, signalled, and awaited until they are gone.

A command's child gets SAGAD_EXECUTION=<key> in its environment and a session of its own; what it starts inherits both
(environ(7), setsid(2)). Neither needs the daemon that started it to be alive, so an orphan of a daemon that was killed
is found in /proc again. A process escapes only by dropping its environment and leaving its session both, as a service
manager's client does: what that starts belongs to the service manager.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread

MARK = "SAGAD_EXECUTION"

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""

FIRST_LOOK = 0.005
LONGEST_PAUSE = 0.25


class Process(NamedTuple):
    """One process at one moment; pid and start time together name it for good (proc_pid_stat(5))."""

    pid: int
    session: int
    started: int


async def end(key: str, session: int = 0, grace: float = GRACE) -> None:
    """End the execution's processes: SIGTERM, after the grace SIGKILL; return when none is left.

    `session` is one that is known to be the execution's, if its leader is still unreaped. What cannot be killed (it
    hangs in the kernel, or it is another user's) is awaited: nothing may be settled beside it.
    """
    known = {session} - {0}
    with anyio.move_on_after(grace):
        await _signal_until_gone(key, known, signal.SIGTERM)
        return
    await _signal_until_gone(key, known, signal.SIGKILL)


async def _signal_until_gone(key: str, sessions: set[int], number: signal.Signals) -> None:
    told: set[Process] = set()
    pause = FIRST_LOOK
    while members := await anyio.to_thread.run_sync(_members, key, sessions):
        for process in members - told:
            _signal(process, number)
        told |= members
        # Those that have emptied are forgotten: their numbers may be given anew.
        sessions &= {process.session for process in members}
        await anyio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _members(key: str, sessions: set[int]) -> set[Process]:
    """Find the execution's living processes; add the sessions they are in to those that are known.

    One empty look proves nothing: a process that forks and exits while /proc is being listed can hide its child.
    """
    return _look(key, sessions) or _look(key, sessions)


def _look(key: str, sessions: set[int]) -> set[Process]:
    mark = f"\0{MARK}={key}\0".encode()
    everyone = [process for process in _everyone() if process.pid != os.getpid()]
    marked = {process for process in everyone if mark in _environment(process.pid)}
    # Session 0 is "outside of this PID namespace"; the daemon's own can only be there by a mistake.
    sessions |= {process.session for process in marked} - {0, os.getsid(0)}
    return marked | {process for process in everyone if process.session in sessions}


def _everyone() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (process := _process(int(folder.name))):
            yield process


def _process(pid: int) -> Process | None:
    """Read one process; None where it has gone, or has ended and waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The second field is the program's name in parentheses, and may itself hold parentheses and blanks.
    state, *rest = stat.rpartition(b")")[2].split()
    return None if state in b"ZX" else Process(pid, session=int(rest[2]), started=int(rest[18]))


def _environment(pid: int) -> bytes:
    try:
        return b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""  # gone, or another user's: then its session still tells


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal this process and never one that has got its number since."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if _process(process.pid) == process:
            signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended meanwhile, or may not be signalled: either way the next look decides
    finally:
        os.close(descriptor)
