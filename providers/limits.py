"""How fast a service may be asked: so many requests in so long, so many at once, and what its answers say is left.

The service counts for the whole account, also what others ask, so its own word (`ratelimit-remaining`, `-reset`,
`retry-after`) comes before our count. A short wait is waited out here; a longer one is the engine's, where it is
written down and seen: then nothing was sent.

Whether nothing is overdrawn is decided where the requests arrive, which is some time after they were sent, and in any
order. So what counts here is always what is certain. By our own rate a request counts until so long after its answer came.
And the least that any answer has said is left since the last request was sent, less those that are still out, is left for
certain: the one that arrived last is either among those answers, or still out. Before the first answer one may be sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from providers.contract import Ended, Failed

PATIENCE = 5.0
"""Seconds that a request waits for its turn; a longer wait is a failure that says how long."""

SHORTEST = 0.001
"""Seconds: a wait is no shorter, however little a clock's rounding has left of it."""

ROUNDED = 1.0
"""Seconds: a reset is told in whole ones."""

LONGEST = 3600.0
"""Seconds: the service's own window. A reset further away than that is a clock that is wrong."""


class Turn:
    """One request that may be sent."""

    heard = False
    """Its answer has said what is left, or that nothing is counted."""


class Limits:
    """The limits of one service, for all drivers that ask it."""

    def __init__(self, name: str, wall: Callable[[], float]) -> None:
        """Begin with nothing sent. ``wall`` gives the time of day in seconds, in which the service gives its resets."""
        self.count = 250
        self.per = 60.0
        self._name = name
        self._wall = wall
        self._out = 0
        """How many requests have no answer yet."""
        self._done: deque[float] = deque()
        """When those ended that still count."""
        self._left: int | None = 1
        """How many may be sent for certain by the service's word; None: it gives none."""
        self._least: int | None = None
        """What it said at least since the last request was sent."""
        self._reset = 0.0
        """When there will be more than that."""
        self._free_at = 0.0
        self._parallel = 0
        self._slots = asyncio.Semaphore(0)
        self._news = asyncio.Event()

    def allow(self, count: int, per: float, parallel: int) -> None:
        """Set ``count`` requests in ``per`` seconds, and ``parallel`` at once."""
        self.count, self.per = count, per
        if parallel != self._parallel:
            # Those that hold a slot of the old number give it back to the old one.
            self._parallel, self._slots = parallel, asyncio.Semaphore(parallel)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Hold a turn to send one request. Raises Ended with a rate-limited failure where it is too far away."""
        async with self._slots:
            while (wait := self._wait()) > 0:
                if wait > PATIENCE:
                    raise Ended(limited(wait, f"{self._name} may not be asked again yet", unasked=True))
                await self._pause(wait)
            self._out += 1
            self._least = None
            if self._left is not None:
                self._left -= 1
            turn = Turn()
            try:
                yield turn
            finally:
                self._end(turn)

    def _end(self, turn: Turn) -> None:
        if not turn.heard:
            self._out -= 1
            if self._least is not None:
                self._least -= 1  # it may have arrived after those that said so
        self._done.append(self._now())
        self._news.set()

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until one of those that are out has ended: what it says may change everything."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), max(seconds, SHORTEST))

    def _wait(self) -> float:
        """Give the seconds until one may be sent. While others are out it may be told sooner."""
        now = self._now()
        while self._done and self._done[0] <= now - self.per:
            self._done.popleft()
        if self._left is not None and self._left <= 0 and now >= self._reset and not self._out:
            self._left = 1  # there is more by now, and its answer says how much
        waits = [self._free_at - now]
        if len(self._done) + self._out >= self.count:
            waits.append(self._done[0] + self.per - now if self._done else PATIENCE)
        if self._left is not None and self._left <= 0:
            waits.append(PATIENCE if self._out else self._reset - now)
        return max(waits)

    def heed(self, turn: Turn, headers: Mapping[str, str]) -> None:
        """Take in what an answer says is left: with nothing left, nobody asks before the reset."""
        turn.heard = True
        self._out -= 1
        remaining = _seconds(headers.get("ratelimit-remaining"))
        if remaining is None:
            self._left = None
            return
        self._least = int(remaining) if self._least is None else min(self._least, int(remaining))
        self._left = self._least - self._out
        self._reset = self._now() + self._until_reset(headers) + ROUNDED

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
