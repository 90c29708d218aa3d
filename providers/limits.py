"""How fast the service may be asked: so many requests in so long, so many at once, and what its answers say is left.

The service counts for the whole account, also what others ask, so its own word (`ratelimit-remaining`, `-reset`,
`retry-after`) comes before our count. A short wait is waited out here; a longer one is the engine's, where it is
written down and seen: then nothing was sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from providers.contract import Ended, Failed

PATIENCE = 5.0
"""Seconds that a request waits for its turn; a longer wait is a failure that says how long."""

LONGEST = 3600.0
"""Seconds: the service's own window. A reset further away than that is a clock that is wrong."""


class Limits:
    """The limits of one provider, for all its types."""

    def __init__(self, name: str, wall: Callable[[], float]) -> None:
        """Begin with nothing sent. ``name`` is the service's; ``wall`` gives the time of day in seconds, in which the service gives its resets."""
        self.count = 250
        self.per = 60.0
        self._name = name
        self._wall = wall
        self._sent: deque[float] = deque()
        self._free_at = 0.0
        self._parallel = 0
        self._slots = asyncio.Semaphore(0)

    def allow(self, count: int, per: float, parallel: int) -> None:
        """Set ``count`` requests in ``per`` seconds, and ``parallel`` at once."""
        self.count, self.per = count, per
        if parallel != self._parallel:
            # Those that hold a slot of the old number give it back to the old one.
            self._parallel, self._slots = parallel, asyncio.Semaphore(parallel)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a turn to send one request. Raises Ended with a rate-limited failure where it is too far away."""
        async with self._slots:
            while (wait := self._wait()) > 0:
                if wait > PATIENCE:
                    raise Ended(limited(wait, f"{self._name} may not be asked again yet", unasked=True))
                await asyncio.sleep(wait)
            self._sent.append(self._now())
            yield

    def _wait(self) -> float:
        now = self._now()
        while self._sent and self._sent[0] <= now - self.per:
            self._sent.popleft()
        own = self._sent[0] + self.per - now if len(self._sent) >= self.count else 0.0
        return max(own, self._free_at - now)

    def heed(self, headers: Mapping[str, str]) -> None:
        """Take in what an answer says is left: with nothing left, nobody asks before the reset."""
        if headers.get("ratelimit-remaining", "").strip() == "0" and (wait := self._until_reset(headers)):
            self._free_at = max(self._free_at, self._now() + wait)

    def refused(self, headers: Mapping[str, str]) -> float:
        """Give the seconds to wait after a 429, and have everybody wait them."""
        wait = _seconds(headers.get("retry-after"))
        if wait is None:
            wait = self._until_reset(headers) or 1.0
        self._free_at = max(self._free_at, self._now() + min(wait, LONGEST))
        return min(wait, LONGEST)

    def _until_reset(self, headers: Mapping[str, str]) -> float:
        reset = _seconds(headers.get("ratelimit-reset"))
        return 0.0 if reset is None else min(max(0.0, reset - self._wall()), LONGEST)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def limited(seconds: float, what: str, *, unasked: bool = False) -> Failed:
    """Make the failure of what was not done because of the limits: the service's word, or ours before it was asked."""
    return Failed(
        "rate_limited",
        f"{what}; it may be asked again in {seconds:.0f} s",
        transient=True,
        rate_limited=True,
        retry_after=max(1, round(seconds * 1000)),
        unasked=unasked,
    )


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
