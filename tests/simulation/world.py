"""The world that the sagas change: what is there, what was done to it by which call, and how it lies about it.

A resource has a value, or is not there. Every change is noted with the idempotency key of the call that made it, so that
the laws can tell afterwards who did what, how often, and over what. What is on its way when the daemon dies may still
arrive: that is what a lost answer is.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec

from providers.contract import ABSENT, Call, Image

Repeat = Literal["counted", "token", "any"]
"""What a second arrival of a call does: it is an effect that nobody wanted; nothing; what it did before."""
NOTHING_HAPPENS = frozenset(
    {"failed", "transient", "limited", "lost_before", "raises_before", "hangs_before"}
)
"""Ways to end without an effect."""
FOREVER = 86_400.0
LAG = 12.0
"""Seconds for which a change may not be seen from afar."""


class Effect(NamedTuple):
    """One change of the world."""

    at: float
    key: str
    """Of the call; empty where somebody else did it."""
    resource: str
    before: str | None
    after: str | None
    kind: str
    """``change``; ``partly``; ``cleanup`` of a driver after itself; ``other`` hands."""

    @property
    def saga(self) -> str:
        """Whose it is."""
        return self.key.partition("-")[0]


class Flight(msgspec.Struct):
    """A call that is with its driver and may not have had its effect yet."""

    call: Call
    resource: str
    target: str | None
    how: str
    repeat: Repeat
    arrived: bool = False


class Job(msgspec.Struct):
    """Something that goes on elsewhere after its call was answered."""

    flight: Flight
    due: float
    fails: bool
    over: bool = False


class World:
    """What there is."""

    def __init__(self, seed: int, values: dict[str, str | None], faults: dict[str, list[str]]) -> None:
        """Begin with these values; ``faults``: how successive calls of each mark end, where not well."""
        self._seed = seed
        self._faults = faults
        self._called: Counter[str] = Counter()
        self.values = dict(values)
        self.first = dict(values)
        self.log: list[Effect] = []
        self.done: Counter[str] = Counter()
        """Effects by key, less what drivers cleaned up after themselves."""
        self.counts: Counter[str] = Counter()
        """Those of them that must not be made twice."""
        self.settled: Counter[str] = Counter()
        """How often an operator said that an effect may be made again."""
        self.tokens: set[str] = set()
        self.jobs: dict[str, Job] = {}
        self._stale: dict[str, tuple[str | None, float]] = {}
        """What those who look from afar still see of a resource, and until when."""
        self.flights: dict[int, Flight] = {}
        self.disturbed: set[str] = set()
        """Resources that other hands changed."""
        self.injected: Counter[str] = Counter()
        self.calm = False
        self.dead = False
        self.slow = True
        self.now: Callable[[], float] = lambda: 0.0
        self.asked: Callable[[str], None] = lambda _: None
        """Called before and after each effect: a crash may come from there."""
        self.intended: Callable[[Effect, Call], None] = lambda *_: None
        """Called with each effect: is its intent on the disk?"""

    def draw(self, *what: Any) -> float:
        """Give a number between 0 and 1 that depends on the seed and on this alone."""
        mixed = zlib.crc32(repr((self._seed, what)).encode()) * 2654435761
        return (mixed >> 8 & 0xFFFFFF) / 0x1000000

    # -- looking ---------------------------------------------------------------------------------------------------

    async def read(self, resource: str, mark: str, *, afar: bool = False) -> Image:
        """Give a resource as it is now; from ``afar`` as it was some time ago, if it was changed since."""
        if not self.calm:
            how = self._next(f"{mark}?")
            await self._rest("read", mark)
            if how:
                self.injected["reads that failed"] += 1
                raise OSError(f"{resource} cannot be read")
        self._finish_jobs()
        value = self.values.get(resource)
        if afar and not self.calm and resource in self._stale and self.now() < self._stale[resource][1]:
            self.injected["answers that were out of date"] += 1
            value = self._stale[resource][0]
        return ABSENT if value is None else Image(fields={"value": value})

    def going_on(self, key: str) -> bool:
        """Tell whether a job of this call is still going on."""
        self._finish_jobs()
        return key in self.jobs and not self.jobs[key].over

    def half_done(self, key: str) -> bool:
        """Tell whether what is left of all that a call did is a part of what it was to do."""
        left: list[str] = []
        for each in self.log:
            if each.key == key and each.kind == "cleanup":
                left.pop()
            elif each.key == key:
                left.append(each.kind)
        return left[-1:] == ["partly"]

    # -- changing --------------------------------------------------------------------------------------------------

    async def call(self, call: Call, resource: str, target: str | None, mark: str, repeat: Repeat) -> str:
        """Have a call made: give how it ends."""
        how = "" if self.calm else self._next(mark)
        if how:
            self.injected[f"calls that end {how}"] += 1
        flight = Flight(call, resource, target, how, repeat)
        self.flights[id(flight)] = flight
        try:
            await self._rest("go", call.key, call.attempt)
            if how == "hangs_before":
                await asyncio.sleep(FOREVER)
            self._arrive(flight)
            if how == "hangs_after":
                await asyncio.sleep(FOREVER)
            await self._rest("come", call.key, call.attempt)
        except BaseException:
            if not flight.arrived and not self.dead and self.draw("cut off", call.key, call.attempt) < 0.5:
                self._arrive(flight)
            raise
        finally:
            self.flights.pop(id(flight), None)
        return how

    def begin(self, call: Call, resource: str, target: str | None, mark: str) -> None:
        """Have something begin that goes on elsewhere: its effect comes later, or never."""
        if call.key in self.jobs and not self.jobs[call.key].over:
            return
        fails = not self.calm and self._next(f"{mark}+") == "fails"
        due = self.now() + 0.5 + 20 * self.draw("job", call.key, call.attempt) * (not self.calm)
        self.jobs[call.key] = Job(Flight(call, resource, target, "", "counted"), due, fails)

    def _finish_jobs(self) -> None:
        for job in self.jobs.values():
            if not job.over and self.now() >= job.due:
                job.over = True
                if not job.fails:
                    self._set(job.flight, job.flight.target, "change")

    def job(self, key: str) -> Job | None:
        """Give a job as it stands."""
        self._finish_jobs()
        return self.jobs.get(key)

    def _arrive(self, flight: Flight) -> None:
        if flight.how in NOTHING_HAPPENS or flight.arrived or self.dead:
            return
        flight.arrived = True
        if flight.repeat == "token" and flight.call.key in self.tokens:
            return
        if flight.how == "partial":
            self._change(flight, f"{flight.target} in part", "partly")
            return
        before = self.values.get(flight.resource)
        self._change(flight, flight.target, "change")
        if flight.how == "compensated":
            self._change(flight, before, "cleanup")

    def _change(self, flight: Flight, value: str | None, kind: str) -> None:
        self.asked("effect")
        if not self.dead:
            self._set(flight, value, kind)
            self.asked("after an effect")

    def _set(self, flight: Flight, value: str | None, kind: str) -> None:
        key, resource = flight.call.key, flight.resource
        effect = Effect(self.now(), key, resource, self.values.get(resource), value, kind)
        self.intended(effect, flight.call)
        self._stale[resource] = effect.before, self.now() + LAG * self.draw("lag", key, len(self.log))
        self.values[resource] = value
        self.log.append(effect)
        more = -1 if kind == "cleanup" else 1
        self.done[key] += more
        if kind == "cleanup":
            self.tokens.discard(key)
        elif flight.repeat == "token" and kind != "partly":
            self.tokens.add(key)
        if flight.repeat == "counted":
            self.counts[key] += more

    def holds_others(self, place: str) -> bool:
        """Tell whether something lies below a place, so that it cannot go."""
        return any(value is not None and each.startswith(f"{place}/") for each, value in self.values.items())

    def lies_nowhere(self, place: str) -> bool:
        """Tell whether the place that this one lies in is not there."""
        above = place.rpartition("/")[0]
        return bool(above) and self.values.get(above) is None

    def other_hand(self, resource: str, value: str | None) -> None:
        """Let somebody else change something, if that can be."""
        self._finish_jobs()
        if self.lies_nowhere(resource) if value is not None else self.holds_others(resource):
            return
        self.injected["changes by other hands"] += 1
        self.disturbed.add(resource)
        self.log.append(Effect(self.now(), "", resource, self.values.get(resource), value, "other"))
        self.values[resource] = value

    # -- the end of the daemon ---------------------------------------------------------------------------------------

    def daemon_died(self) -> None:
        """What was on its way arrives, or is lost."""
        flights, self.flights = list(self.flights.values()), {}
        self.dead = False
        for flight in flights:
            if not flight.arrived and self.draw("died", flight.call.key, flight.call.attempt) < 0.5:
                self.injected["calls that outlived the daemon"] += 1
                self._arrive(flight)

    def _next(self, mark: str) -> str:
        """Give how the next call of this mark ends."""
        how = self._faults.get(mark)
        if how is None:
            return ""
        number = self._called[mark]
        self._called[mark] += 1
        return how[number] if number < len(how) else ""

    async def _rest(self, *what: Any) -> None:
        """Let the time pass that a request or its answer is under way: mostly little, now and then long."""
        if self.calm:
            return
        drawn = self.draw("rest", *what)
        if drawn < 0.3:
            return
        await asyncio.sleep(0.001 + 0.05 * drawn if drawn < 0.9 else 3 * (drawn - 0.85) * 10)
