"""What systemd and its service say to each other: readiness, status, watchdog, and sockets handed over.

The protocols of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3), for a daemon without libsystemd. Each
takes its variables out of the environment, so that no child takes the daemon's words for its own.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

Environ = MutableMapping[str, str]

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
PATIENCE = 0.5
"""Seconds to wait for a service manager that does not read: it may be busy, but the loop must go on."""


class Notifier:
    """Tells the service manager how the daemon is; without one, says nothing to nobody.

    Nothing here raises: a daemon whose manager does not listen works on.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address

    @classmethod
    def from_environ(cls, environ: Environ) -> "Notifier":
        """Take NOTIFY_SOCKET: a path, or `@` and an abstract name. Another kind of address counts as none."""
        address = environ.pop("NOTIFY_SOCKET", "")
        if address.startswith("@"):
            return cls("\0" + address[1:])
        return cls(address if address.startswith("/") else None)

    def ready(self) -> None:
        """Say that start-up, or what `reloading` began, is over."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def reloading(self) -> None:
        """Say that the settings are being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that shutdown has begun."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Show that the loop still turns; to be said every `watchdog_interval`."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, usec: int) -> None:
        """Ask for so many more microseconds, from now, for what is going on: start-up, reload or shutdown."""
        self._send(f"EXTEND_TIMEOUT_USEC={usec}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        # A socket for each message: the manager may have made its own anew meanwhile (daemon-reexec).
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(PATIENCE)
            out.sendto(message.encode(errors="replace"), self._address)


def watchdog_interval(environ: Environ) -> float | None:
    """Give the seconds between two `watchdog` calls, half of what the manager allows; None where it does not watch."""
    limit = _number(environ.pop("WATCHDOG_USEC", ""))
    is_for_us = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return limit / 2_000_000 if limit and is_for_us else None


def listen_sockets(environ: Environ) -> list[socket.socket]:
    """Take over the sockets that the service manager has opened; none where they are another process's."""
    count = _number(environ.pop("LISTEN_FDS", ""))
    is_for_us = environ.pop("LISTEN_PID", "") == str(os.getpid())
    environ.pop("LISTEN_FDNAMES", None)
    return [_take(FIRST_DESCRIPTOR + index) for index in range(count if is_for_us else 0)]


def _take(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keyword
    return socket.socket(fileno=descriptor)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
