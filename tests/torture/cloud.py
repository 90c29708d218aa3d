"""The fake DigitalOcean on real time, each of whose requests may go wrong."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.digitalocean import Clock, FakeDigitalOcean, Lags
from tests.fakes.digitalocean.clock import START
from tests.fakes.digitalocean.faults import Fault, broken, too_many
from tests.fakes.digitalocean.wire import Asked

DOMAIN = "torture.example"
UNLIMITED = 10**9
KEPT = 1_000
"""Requests remembered; a round makes tens of thousands."""


class RealClock(Clock):
    """The fake's time goes as ours does, so that `settle` means to the daemon what it means to the fake."""

    def __init__(self) -> None:
        """Begin now."""
        super().__init__()
        self._began = time.monotonic()

    def __call__(self) -> float:
        """The time now."""
        return START + time.monotonic() - self._began


@dataclass
class Chance(Fault):
    """A fault that strikes any request, with this probability."""

    name: str = ""
    probability: float = 0.0
    chance: random.Random = field(default_factory=random.Random)

    def strikes(self, asked: Asked) -> bool:
        """True with the probability; counted."""
        hit = self.chance.random() < self.probability
        self.struck += hit
        return hit


def faults(chance: random.Random) -> list[Chance]:
    """Give what can happen to a request."""

    def fault(name: str, kind: Any, probability: float, **more: Any) -> Chance:
        return Chance(kind, "*", "**", name=name, probability=probability, chance=chance, **more)

    return [
        fault("lost before", "lose", 0.02),
        fault("lost after", "lose", 0.03, after=True),
        fault("5xx before", "answer", 0.02, answer=broken(503)),
        fault("5xx after", "answer", 0.02, after=True, answer=broken(500)),
        fault("429", "answer", 0.004, answer=too_many(None)),
        fault("429 with Retry-After", "answer", 0.004, answer=too_many(0.2)),
        fault("slow", "slow", 0.05, after=True, seconds=0.4),
        fault("garbled", "garble", 0.01, after=True, body=b'{"droplet": {"id": 70'),
    ]


class Cloud(FakeDigitalOcean):
    """The account that is worked on."""

    def __init__(self, chance: random.Random) -> None:
        """Have lags that are well within the daemon's `settle`."""
        lags = Lags(
            hidden={"droplet": 0.2},
            unlisted={"snapshot": 0.4, "record": 0.2, "firewall": 0.2, "volume": 0.2},
            lingers={"record": 0.2, "firewall": 0.2},
            takes={"create": 0.3, "snapshot": 0.4, "firewall": 0.1},
            otherwise=0.2,
        )
        super().__init__(RealClock(), lags)
        self.rate.a_minute = self.rate.an_hour = UNLIMITED
        self._faults = faults(chance)
        self.quiet = threading.Event()
        """Set: nothing goes wrong any more."""

    def trouble(self) -> None:
        """Let requests go wrong from now on."""
        self.faults = list(self._faults)

    def calm(self) -> None:
        """Let nothing go wrong from now on."""
        self.faults = []

    def struck(self) -> dict[str, int]:
        """Count what went wrong, by kind."""
        return {each.name: each.struck for each in self._faults}

    def forget(self) -> None:
        """Drop what was asked long ago."""
        del self.requests[:-KEPT]

    def named(self, kind: str, name: str) -> list[dict[str, Any]]:
        """What exists of that name."""
        return [each for each in self.objects(kind) if each.get("name") == name]

    def census(self) -> dict[tuple[str, str], list[bool]]:
        """For each kind and name, of everything that ever was: whether it still exists."""
        found: dict[tuple[str, str], list[bool]] = {}
        with self.cloud.lock:
            self.cloud.settle()
            for kind in self.cloud.kinds():
                for thing in self.cloud._things[kind].values():
                    name = str(thing.fields.get("name", ""))
                    found.setdefault((kind, name), []).append(thing.exists)
        return found
