"""How much may be asked: so many requests an hour and so many a minute, told on every answer."""

from collections import deque

from tests.fakes.digitalocean.faults import too_many
from tests.fakes.digitalocean.wire import Answer

HOUR, MINUTE = 3600.0, 60.0


class Rate:
    """Counts requests on the fake's clock. The service's own figures are the ones it begins with.

    On a clock that stands still the minute never ends: the 251st request is refused, and all that follow.
    """

    def __init__(self) -> None:
        self.an_hour = 5000
        self.a_minute = 250
        self.refused = 0
        """How many were over the limit."""
        self._taken: deque[float] = deque()

    def taken(self, now: float) -> int:
        """How many were taken within the last hour."""
        self._forget(now)
        return len(self._taken)

    def take(self, now: float) -> Answer | None:
        """Count a request; over the limit it is answered with 429, and does not count."""
        self._forget(now)
        wait = self._wait(now)
        if wait is not None:
            self.refused += 1
            return too_many(wait)
        self._taken.append(now)
        return None

    def headers(self, now: float) -> dict[str, str]:
        """What every answer tells of it."""
        left = self.an_hour - self.taken(now)
        oldest = self._taken[0] if self._taken else now
        return {
            "ratelimit-limit": str(self.an_hour),
            "ratelimit-remaining": str(max(0, left)),
            "ratelimit-reset": str(int(oldest + HOUR)),
        }

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - HOUR:
            self._taken.popleft()

    def _wait(self, now: float) -> float | None:
        for most, window in ((self.an_hour, HOUR), (self.a_minute, MINUTE)):
            if len(self._taken) >= most and self._taken[-most] > now - window:
                return float(int(self._taken[-most] + window - now) + 1)
        return None
