"""Following a saga as it goes on, through lost connections and restarts of the daemon.

The saga's own document decides when it is over; the event stream only says when to look again. So a stream that ends
early, an event type of a later version or a lost line costs time, never the truth.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPException
from typing import Any, TypeVar

from orchestrator.cli.client import Client, saga_route
from orchestrator.cli.failures import Failure, Refused, Unreachable
from orchestrator.cli.sagas import Saga, saga_of, settled

Event = dict[str, Any]
T = TypeVar("T")

QUIET_SECONDS = 15.0
"""After so long without a word the saga is looked at again, in case the daemon has died without hanging up."""
PATIENCE_SECONDS = 60.0
"""So long a daemon may be away before the wait is given up: a restart, an upgrade."""
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)


class OutOfTime(Exception):
    """The time that the user gave has passed; ``saga`` is what was last seen."""

    def __init__(self, saga: Saga) -> None:
        """Carry what was last seen of the saga."""
        super().__init__()
        self.saga = saga


class Follower:
    """Follows one saga until it is over (by default: has ended or needs somebody) or time is up."""

    quiet = QUIET_SECONDS
    held = ""
    """Why it needs somebody, where the daemon's `why` of the saga would not say so."""

    def __init__(
        self,
        client: Client,
        saga: Saga,
        *,
        seconds: float | None = None,
        over: Callable[[Saga], bool] = lambda saga: settled(saga) is not None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take the saga as it was seen first, how long to follow it, and whom to tell that the daemon is away."""
        self.client = client
        self.over = over
        self.saga = saga
        self.id = str(saga["id"])
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.note = note
        self.seen = 0

    def events(self) -> Iterator[Event]:
        """Give each event once, as it happens; at the end ``saga`` is over. Raise OutOfTime where it is not."""
        while True:
            news = False
            while page := self.patiently(self.page):
                for event in page:
                    self.seen = event["seq"]
                    news = news or _about_the_whole(event)
                    yield event
            if self.over(self.saga):
                return
            self.check_time()
            # What these events say may be newer than what was seen of the saga, and then nothing more may ever come.
            if not news:
                yield from self.stream()
            self.saga = self.patiently(self.look)

    def look(self) -> Saga:
        """Read the saga as it now is."""
        return saga_of(self.client.get(saga_route(self.id)).document())

    def page(self) -> list[Event]:
        """Read some events since the last one seen; none where there are no more."""
        events = (
            self.client.get(saga_route(self.id, "events"), {"after": self.seen}).document().get("events", [])
        )
        return [event for event in events if event["seq"] > self.seen]

    def stream(self) -> Iterator[Event]:
        """Give events as they happen, until one is about the saga as a whole, or nothing has come for a while."""
        try:
            for event in self.listen():
                if event["seq"] > self.seen:
                    self.seen = event["seq"]
                    yield event
                    self.check_time()
                    if _about_the_whole(event):
                        return
        except (OSError, HTTPException, Unreachable):
            time.sleep(_PAUSES[0])  # whether it is away or was only quiet, the next look tells

    def listen(self) -> Iterator[Event]:
        """Open the stream where it was left."""
        left = self.quiet if self.deadline is None else self.deadline - time.monotonic()
        timeout = max(0.01, min(self.quiet, left))
        target = f"{saga_route(self.id, 'events')}?after={self.seen}"
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.seen)}
        with self.client.open("GET", target, headers=headers, timeout=timeout) as answer:
            if not (answer.headers.get("Content-Type") or "").startswith("text/event-stream"):
                time.sleep(
                    _PAUSES[-1]
                )  # refused for now, or something that does not stream: look at intervals
                return
            yield from messages(answer)
            time.sleep(_PAUSES[0])

    def patiently(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, as long as the daemon may be on its way back."""
        given_up = time.monotonic() + PATIENCE_SECONDS
        told = False
        attempt = 0
        while True:
            try:
                return ask()
            except Failure as failure:
                if not _may_pass(failure) or time.monotonic() > given_up:
                    raise
                if not told:
                    self.note(f"waiting for the daemon to come back ({failure})")
                    told = True
            self.check_time()
            time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1

    def check_time(self) -> None:
        """Raise OutOfTime when the user's time has passed."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise OutOfTime(self.saga)


def messages(lines: Iterable[bytes]) -> Iterator[Event]:
    """Read an event stream (HTML Standard, 9.2): give the data of each message that is an event of sagad's."""
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line:
            field, _, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
            continue
        if (event := _event(data)) is not None:
            yield event
        data = []


def _about_the_whole(event: Event) -> bool:
    return str(event.get("type", "")).startswith("saga.")


def _event(data: list[str]) -> Event | None:
    try:
        document = json.loads("\n".join(data)) if data else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and isinstance(document.get("seq"), int) else None


def _may_pass(failure: Failure) -> bool:
    return isinstance(failure, Unreachable) or (isinstance(failure, Refused) and failure.status >= 500)  # noqa: PLR2004
