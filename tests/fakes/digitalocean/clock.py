"""The fake's time: it stands still until it is told to move."""

import threading
from datetime import UTC, datetime

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


class Clock:
    """A virtual clock in seconds since 1970.

    ``step`` is what each request takes: with 1.0 a client that polls without sleeping sees actions come to their end.
    Without it only `advance` moves the time.
    """

    def __init__(self, step: float = 0.0, start: float = START) -> None:
        self.step = step
        self._now = start
        self._lock = threading.Lock()  # the test may advance it while a server in a thread ticks

    def __call__(self) -> float:
        """The time now."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds

    def tick(self) -> None:
        """Let one request's time pass."""
        self.advance(self.step)


def written(moment: float) -> str:
    """The moment as DigitalOcean writes it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
