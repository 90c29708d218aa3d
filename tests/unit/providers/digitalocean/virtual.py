"""Hours in a moment: an event loop whose time jumps to the next timer when nothing comes in from a socket."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from tests.fakes.digitalocean import Clock
from tests.fakes.digitalocean.clock import START

GRACE = 0.001
"""Seconds of real time for what another end of a loopback connection has sent already."""


class Loop(asyncio.SelectorEventLoop):
    """Time is a number; both ends of a test's connections are on it."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.moment = 0.0
        super().__init__(Jumping(self))

    def time(self) -> float:
        """Give it."""
        return self.moment


class Jumping(selectors.DefaultSelector):
    """A selector that lets time pass instead of waiting."""

    def __init__(self, loop: Loop) -> None:
        """Jump on this loop."""
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """Give what is ready; else nothing, and it is later."""
        ready = super().select(GRACE if timeout is None else min(timeout, GRACE))
        if not ready and timeout:
            self._loop.moment += timeout
        return ready


class LoopClock(Clock):
    """The fake's clock, on the loop's time."""

    def __init__(self, loop: Loop) -> None:
        """Begin with the loop."""
        super().__init__()
        self._loop = loop

    def __call__(self) -> float:
        """The time now."""
        return START + self._loop.moment
