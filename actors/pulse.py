"""The pulse: notices that one saga has the loop to itself for seconds, and breaks that off.

All actors share one thread. A turn or a driver that computes without end, or blocks (`time.sleep`), would keep all the
others from theirs until systemd's watchdog ends the daemon, and again after each start. So a timer of the kernel's looks
once a second. Where the loop has not gone round for some looks, and what runs belongs to a saga, it is ended by an
exception out of the signal's handler, as Ctrl-C ends a program: the others go on, that saga is quarantined or its
driver's call unknown, and the record says why. What runs within the store is never broken off, nor what is no saga's.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from types import CoroutineType, FrameType
from typing import Any, Self

import structlog

from actors.supervisor import Hopeless

LOOK = 1.0
"""Seconds between two looks."""
LOOKS = 10
"""Looks without a beat after which it is broken off. Looks are counted, not seconds: a machine that was suspended, or a
daemon that was stopped by a signal, has done nothing wrong."""

_NEVER = ("/store/",)
"""Where nothing is broken off: a commit is whole or not at all."""


class Endless(Hopeless):
    """It had the loop to itself for too long, and was broken off."""


class Pulse:
    """Beats on the loop, and looks from outside whether it does. In the main thread, of which the loop is."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger("pulse")
        self._beats = 0
        self._seen = -1
        self._missed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._handler: Any = signal.SIG_DFL

    def __enter__(self) -> Self:
        """Begin."""
        self._handler = signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)
        self._beat()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._beats += 1
        self._timer = self._loop.call_later(LOOK / 2, self._beat)

    def _look(self, _: int, frame: FrameType | None) -> None:
        if self._beats != self._seen:
            self._seen, self._missed = self._beats, 0
            return
        self._missed += 1
        task = asyncio.current_task(self._loop)
        if self._missed < LOOKS or task is None or _untouchable(frame):
            return
        saga = saga_of(task.get_coro())
        if saga is None:
            return
        self._missed = 0
        what = f"it had sagad to itself for {LOOKS * LOOK:g} s in {_place(frame)}"
        self._log.error("loop.blocked", saga=saga, why=what)
        raise Endless(f"{what}, and was broken off so that others can go on")


def saga_of(coroutine: Any) -> str | None:
    """Give the saga that a task is of: its actor's own, or that of a child of it."""
    while isinstance(coroutine, CoroutineType) and coroutine.cr_frame is not None:
        held = coroutine.cr_frame.f_locals
        saga = held.get("saga") or getattr(held.get("self"), "id", None)
        if isinstance(saga, str):
            return saga
        coroutine = coroutine.cr_await
    return None


def _untouchable(frame: FrameType | None) -> bool:
    return any(part in each.f_code.co_filename for each in _up(frame) for part in _NEVER)


def _place(frame: FrameType | None) -> str:
    """Name where it is: the innermost function, by its file."""
    if frame is None:
        return "native code"
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"


def _up(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
