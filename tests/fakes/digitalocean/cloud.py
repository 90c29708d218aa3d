"""What the account holds: objects that come and go by the clock, and effects that are still to come."""

from __future__ import annotations

import heapq
import itertools
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.digitalocean.clock import Clock, written
from tests.fakes.digitalocean.lags import Lags
from tests.fakes.digitalocean.wire import JSON, not_found

NEVER = float("inf")


@dataclass(eq=False)
class Thing:
    """One object. ``fields`` are its truth; what is shown of it may be older."""

    kind: str
    id: str
    fields: JSON
    shown: float
    """Found by its id from then on."""
    listed: float
    """Found in lists from then on."""
    gone: float = NEVER
    forgotten: float = NEVER
    """Not found by its id from then on."""
    unlisted: float = NEVER

    @property
    def exists(self) -> bool:
        """True until it is deleted, whatever is shown of it."""
        return self.gone == NEVER


@dataclass(frozen=True)
class Doom:
    """The next action of a type, on an object or on any, shall have no effect."""

    action: str
    id: str | None
    quietly: bool
    """True: it is called completed all the same."""


class Cloud:
    """The account's objects and what is going on with them."""

    def __init__(self, clock: Clock, lags: Lags) -> None:
        self.clock = clock
        self.lags = lags
        self.lock = threading.RLock()
        """Held while a request is answered, and while a test in another thread looks at the objects."""
        self.base = ""
        """The address of the server, for links."""
        self.doomed: list[Doom] = []
        self._things: dict[str, dict[str, Thing]] = {}
        self._numbers = itertools.count(7_000_001)
        self._pending: list[tuple[float, int, Callable[[], None]]] = []
        self._due: float | None = None

    # --- objects

    def time(self) -> float:
        """The time; for an effect, when it was due, however late it is looked at."""
        return self.clock() if self._due is None else self._due

    def number(self) -> int:
        """A number that was never used."""
        return next(self._numbers)

    def uuid(self) -> str:
        """A uuid that was never used, the same in each run."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, str(self.number())))

    def now(self) -> str:
        """The time, written."""
        return written(self.time())

    def add(self, kind: str, id: str, fields: JSON) -> Thing:
        """Make an object; it is seen when its kind's lags are over."""
        now = self.time()
        hidden, unlisted = self.lags.hidden.get(kind, 0), self.lags.unlisted.get(kind, 0)
        thing = Thing(kind, id, fields, shown=now + hidden, listed=now + unlisted)
        self._things.setdefault(kind, {})[id] = thing
        return thing

    def remove(self, thing: Thing) -> None:
        """Delete an object; what is shown of it goes when its kind's lags are over."""
        thing.gone = now = self.time()
        thing.forgotten = now + self.lags.remembered.get(thing.kind, 0)
        thing.unlisted = now + self.lags.lingers.get(thing.kind, 0)

    def get(self, kind: str, id: str) -> Thing:
        """The object as a reader by its id sees it, or 404."""
        thing = self._things.get(kind, {}).get(id)
        if thing is None or not thing.shown <= self.time() < thing.forgotten:
            raise not_found()
        return thing

    def alive(self, kind: str, id: str) -> Thing:
        """The object for a change: one that is deleted, or not to be seen yet, is 404."""
        thing = self.get(kind, id)
        if not thing.exists:
            raise not_found()
        return thing

    def listed(self, kind: str) -> list[Thing]:
        """The objects as a list shows them, oldest first."""
        now = self.time()
        return [
            thing for thing in self._things.get(kind, {}).values() if thing.listed <= now < thing.unlisted
        ]

    def existing(self, kind: str) -> list[Thing]:
        """The objects that are really there, seen or not."""
        return [thing for thing in self._things.get(kind, {}).values() if thing.exists]

    def kinds(self) -> list[str]:
        """The kinds of which there ever was an object."""
        return sorted(self._things)

    # --- effects to come

    def later(self, seconds: float, effect: Callable[[], None]) -> None:
        """Have the effect happen when so much time has passed."""
        heapq.heappush(self._pending, (self.time() + seconds, self.number(), effect))

    def settle(self) -> None:
        """Let happen what is due by now, in its order."""
        while self._pending and self._pending[0][0] <= self.clock():
            self._due, _, effect = heapq.heappop(self._pending)
            effect()
        self._due = None

    def doom(self, action: str, id: str) -> Doom | None:
        """What the next action of that type on that object is doomed to, once."""
        for doom in self.doomed:
            if doom.action == action and doom.id in {None, id}:
                self.doomed.remove(doom)
                return doom
        return None
