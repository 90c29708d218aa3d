"""The drivers of the simulated world: one place to change, in all the ways in which a driver can be good or bad at it.

`sim.place` is a tree of places. Its verbs do the same and differ in what they declare: whether they can find out what
became of a lost call, honour a token, may be repeated, go on elsewhere, or cannot be taken back. `sim.bell` is rung by
hooks: nothing can be taken back, and it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from providers.contract import (
    ABSENT,
    Call,
    Compensated,
    Done,
    Driver,
    Ended,
    Failed,
    Finding,
    Image,
    NotDone,
    Outcome,
    Partial,
    Planned,
    Resource,
    Succeeded,
    Unclear,
    Unknown,
    Verb,
    Working,
)
from tests.simulation.world import Repeat, World

POLL = 3_000
SETTLE = 15_000
"""Milliseconds for which `sim.cloud` may show what was before: somewhat more than it does (`world.LAG`)."""


class Put(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which place, what to put there, and by what mark the simulation knows the call."""

    path: str
    mark: str
    value: str = ""
    note: Any = None


class Ring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what mark the simulation knows the call."""

    mark: str


_REPEAT: dict[str, Repeat] = {"again": "any", "token": "token", "once": "token"}
BAD: frozenset[Literal["partial", "compensated"]] = frozenset({"partial", "compensated"})
_OUT = {"value": str, "path": str}


def _verb(**more: Any) -> Verb:
    return Verb(arguments=Put, outputs=_OUT, may_end=BAD, **more)


class Place(Driver):
    """A place that has a value, or is not there."""

    type = "sim.place"
    version = "1.0"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "put": _verb(inverse="put_back", repeat="find", finds=True),
        "create": _verb(inverse="delete", repeat="find", finds=True),
        "update": _verb(inverse="update", repeat="find", finds=True),
        "delete": _verb(inverse="create", repeat="find", finds=True),
        "blind": _verb(inverse="put_back", repeat="no"),
        "token": _verb(inverse="put_back", repeat="token"),
        "again": _verb(inverse="put_back", repeat="idempotent"),
        "slow": _verb(inverse="put_back", repeat="find", finds=True),
        "burn": _verb(irreversible=True, repeat="find", finds=True),
    }

    @property
    def _world(self) -> World:
        world: World = self.settings["world"]
        return world

    def resource(self, verb: str, arguments: Put) -> Resource:
        """Name the place."""
        return Resource("sim.place", arguments.path.rpartition("/")[2], path=arguments.path)

    async def plan(self, call: Call) -> Planned:
        """Read it, and refuse what makes no sense as it is."""
        before = await self.read(call)
        if call.restore is not None:
            return Planned(before, call.restore, ("value",))
        verb, arguments = call.verb, call.arguments
        if verb == "create" and before.exists:
            raise Ended(Failed("exists", f"{arguments.path} is there already"))
        if verb == "update" and not before.exists:
            raise Ended(Failed("absent", f"{arguments.path} is not there"))
        if verb != "delete" and self._world.lies_nowhere(arguments.path):
            raise Ended(Failed("nowhere", f"there is no place for {arguments.path}"))
        after = ABSENT if verb == "delete" else Image(fields={"value": arguments.value})
        return Planned(before, after, ("value",))

    async def read(self, call: Call) -> Image:
        """Give it as it is now."""
        return await self._world.read(call.arguments.path, call.arguments.mark)

    async def apply(self, call: Call) -> Outcome:
        """Do it, in whatever way the simulation wants it to end."""
        world, arguments = self._world, call.arguments
        target = _target(call)
        mark = arguments.mark + "~" * (call.restore is not None)
        if target is None and world.holds_others(arguments.path):
            return Failed("not_empty", f"{arguments.path} is not empty")
        if target is not None and world.lies_nowhere(arguments.path):
            return Failed("nowhere", f"there is no place for {arguments.path}")
        if call.verb == "slow" and call.restore is None:
            world.begin(call, arguments.path, target, mark)
            return Working({"job": call.key}, poll_after=POLL, detail="it goes on elsewhere")
        repeat = _REPEAT.get(call.verb, "counted") if call.restore is None else "counted"
        how = await world.call(call, arguments.path, target, mark, repeat)
        return self._outcome(call, how)

    def _done(self, call: Call) -> Succeeded:
        return Succeeded({"value": _target(call) or "", "path": call.arguments.path})

    def _outcome(self, call: Call, how: str) -> Outcome:
        if how == "partial":
            there = Image(fields={"value": f"{_target(call)} in part"})
            return Partial("half", "it broke half-way", {"path": call.arguments.path}, after=there)
        if how == "compensated":
            return Compensated("cleaned", "it broke, and was cleaned up")
        return ended(how) or self._done(call)

    async def poll(self, call: Call) -> Outcome:
        """Ask how the job goes on."""
        await self._world.read(call.arguments.path, call.arguments.mark)
        job = self._world.job(call.key)
        if job is None:
            return Unknown("no_job", "there is no such job")
        if not job.over:
            return Working({"job": call.key}, poll_after=POLL)
        return Failed("job", "the job failed") if job.fails else self._done(call)

    async def find(self, call: Call) -> Finding:
        """Look; what is still going on elsewhere cannot be told yet."""
        if self._world.going_on(call.key):
            raise Ended(Working({"job": call.key}, poll_after=POLL))
        return await super().find(call)


class Cloud(Place):
    """A place without others in it, known by its name; whoever asks what became of a call may see it as it was before."""

    type = "sim.cloud"
    verbs: ClassVar[Mapping[str, Verb]] = {
        name: msgspec.structs.replace(Place.verbs[name], settle=SETTLE)
        for name in ("put", "create", "update", "delete")
    }

    def resource(self, verb: str, arguments: Put) -> Resource:
        """Name it."""
        return Resource("sim.cloud", arguments.path)

    async def find(self, call: Call) -> Finding:
        """Look from afar. What it was once is no news: it is told from what the call has made by when that was."""
        arguments = call.arguments
        live = await self._world.read(arguments.path, arguments.mark, afar=True)
        if call.restore is None and not self._world.done[call.key]:
            live = await self._world.read(arguments.path, arguments.mark)
        if call.after is not None and self.same(call.fields, call.after, live):
            return Done(after=live)
        if call.before is not None and self.same(call.fields, call.before, live):
            return NotDone()
        return Unclear("it is neither as it was before nor as it was to become")


class Bell(Driver):
    """Rings, once for each call or once for each token."""

    type = "sim.bell"
    version = "1.0"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "ring": Verb(arguments=Ring, repeat="no"),
        "once": Verb(arguments=Ring, repeat="token"),
        "asked": Verb(arguments=Ring, repeat="find", finds=True),
    }

    @property
    def _world(self) -> World:
        world: World = self.settings["world"]
        return world

    async def apply(self, call: Call) -> Outcome:
        """Ring."""
        world, mark = self._world, call.arguments.mark
        repeat = _REPEAT.get(call.verb, "counted")
        how = await world.call(call, f"bell {mark}", call.key, mark, repeat)
        return Compensated("cleaned", "it broke") if how in BAD else ended(how) or Succeeded()

    async def find(self, call: Call) -> Finding:
        """Tell whether it rang."""
        rung = self._world.done[call.key] > 0
        return Done() if rung else NotDone()


def _target(call: Call) -> str | None:
    if call.restore is not None:
        value = call.restore.fields.get("value") if call.restore.exists else None
        return None if value is None else str(value)
    return None if call.verb == "delete" else call.arguments.value


def ended(how: str) -> Any:
    """Give the outcome of a call that ends so; None: it has succeeded."""
    match how:
        case "failed":
            return Failed("broke", "it broke, and nothing changed")
        case "transient":
            return Failed("busy", "not now", transient=True)
        case "limited":
            return Failed("limited", "too many", rate_limited=True, retry_after=7_000)
        case "lost_before" | "lost_after":
            return Unknown("lost", "the answer was lost")
        case "raises_before" | "raises_after":
            raise RuntimeError("the driver has a bug")
        case "nonsense":
            return "done"
        case "unclear":
            return Unclear("?")
    return None
