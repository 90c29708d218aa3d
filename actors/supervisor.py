"""Restarts what crashes: with back-off, and not for ever.

A saga's actor that crashes is started again from its checkpoint. One that crashes too often within the window is
quarantined: left alone, said so on its record, lifted by `resume`; the rest of the daemon does not notice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import anyio
import structlog

from config.settings import Supervisor as Limits


def too_many(crashes: Sequence[int], now: int, limits: Limits) -> bool:
    """Tell whether these crashes (UTC milliseconds) are more than the window allows."""
    return sum(now - at <= limits.window for at in crashes) > limits.max_restarts


def backoff(crashes: int, limits: Limits) -> int:
    """Give the milliseconds to wait after so many crashes in a row."""
    return int(min(limits.backoff * 2 ** min(crashes - 1, 32), limits.max_backoff))


def reason(error: BaseException) -> str:
    """Say in one line what went wrong, looking inside groups."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class Hopeless(Exception):
    """What would only happen again: its saga is quarantined at once."""


class Supervisor:
    """Watches over actors; counts what happened, for health and metrics."""

    def __init__(self, limits: Limits, now: Callable[[], int]) -> None:
        """Go by these limits and this clock."""
        self.limits = limits
        self._now = now
        self._log = structlog.get_logger("supervisor")
        self.restarts = 0

    async def watch_over(
        self, saga: str, live: Callable[[], Awaitable[None]], give_up: Callable[[str], Awaitable[None]]
    ) -> Literal["ended", "quarantined"]:
        """Call ``live`` until it returns; after too many crashes call ``give_up`` with the reason instead."""
        crashes: list[int] = []
        while True:
            try:
                await live()
            except Exception as error:  # noqa: BLE001  let it crash: this is where it is caught
                why, hopeless = reason(error), isinstance(error, Hopeless)
                crashes.append(self._now())
                self._log.error("actor.crashed", saga=saga, why=why, exc_info=error)
            else:
                return "ended"
            if hopeless or too_many(crashes, self._now(), self.limits):
                await give_up(why)
                return "quarantined"
            self.restarts += 1
            await anyio.sleep(backoff(len(crashes), self.limits) / 1000)
