"""sagad with a driver that misbehaves in every way, and a machine with a bug: `python -m tests.faults.rigged …`.

`rig.do` makes a file, and then does what it was told: raises, answers nonsense, never answers. It can find out, so
whatever it did is found out. A saga of the kind `machine-bug` meets a bug in the machine whenever a driver answers.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import anyio
import msgspec

from actors.saga.execute import FIND_TRIES
from providers.contract import ABSENT, Call, Driver, Ended, Image, Outcome, Planned, Resource, Succeeded, Verb


class Do(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which file to make, and how to end."""

    path: str
    how: str
    once: bool = False
    """Misbehave at the first attempt only."""


RAISED: dict[str, BaseException] = {
    "raise": RuntimeError("after the effect"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt("not from a keyboard"),
    "cancelled": asyncio.CancelledError("by itself"),
    "group": BaseExceptionGroup("two", [ValueError("one"), SystemExit(1)]),
    "os": OSError(5, "Input/output error"),
    "memory": MemoryError(),
    "recursion": RecursionError("too deep"),
}
ANSWERED: dict[str, Any] = {
    "none": None,
    "text": "done",
    "ended": Ended(Succeeded({"path": "x"})),
    "class": Succeeded,
}


ENDS = 2
"""Of the times that it is starved, those in which it is asked to end what it left."""


class Rig(Driver):
    """Has its effect, and then misbehaves."""

    type = "rig"
    version = "1.0"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "do": Verb(arguments=Do, outputs={"path": str}, inverse="delete", repeat="find", finds=True),
        "delete": Verb(arguments=Do, outputs={"path": str}, inverse="none", repeat="find", finds=True),
        "blind": Verb(arguments=Do, outputs={"path": str}, inverse="none"),
    }

    starved = 0
    """So many times the process still has no file descriptors for what is to be looked at."""

    def _starve(self) -> None:
        if self.starved:
            self.starved -= 1
            raise OSError(errno.EMFILE, "Too many open files")

    async def end(self, call: Call) -> None:
        """Leave nothing running, where it can be looked for."""
        self._starve()

    def check(self, verb: str, arguments: Do) -> list[str]:
        """Have nothing against it, or fail to find out."""
        if arguments.how == "check":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", arguments.path)
        return []

    def resource(self, verb: str, arguments: Do) -> Resource:
        """Name the file."""
        return Resource("rig", Path(arguments.path).name, path=arguments.path)

    async def plan(self, call: Call) -> Planned:
        """Read the file, unless told to fail at that."""
        if call.arguments.how == "plan":
            raise RuntimeError("planning raised")
        return Planned(await self.read(call), Image(fields={"there": True}), ("there",))

    async def read(self, call: Call) -> Image:
        """Tell whether it is there."""
        self._starve()
        return Image(fields={"there": True}) if Path(call.arguments.path).exists() else ABSENT

    async def apply(self, call: Call) -> Outcome:
        """Make or remove the file, then misbehave."""
        path, how = Path(call.arguments.path), call.arguments.how
        if call.restore is not None:
            path.unlink(missing_ok=True)
            if how != "undo":
                return Succeeded()
            raise RuntimeError("after undoing")
        with path.open("a") as file:
            file.write("made\n")
        if call.arguments.once and call.attempt > 1:
            return Succeeded({"path": str(path)})
        if how in RAISED:
            raise RAISED[how]
        if how == "starved":
            self.starved = ENDS + FIND_TRIES
            raise RuntimeError("after the effect")
        if how == "hang":
            await anyio.sleep_forever()
        return ANSWERED[how] if how in ANSWERED else Succeeded({"path": str(path)})


def plant_bug() -> None:
    """Have the machine raise for sagas of one kind."""
    from actors.saga import actor
    from actors.saga.machine import decide
    from actors.saga.messages import Answered

    def buggy(plan: Any, state: Any, message: Any, now: int) -> Any:
        if plan.kind == "machine-bug" and isinstance(message, Answered):
            raise ZeroDivisionError("a bug in the machine")
        return decide(plan, state, message, now)

    vars(actor)["decide"] = buggy


if __name__ == "__main__":
    from providers import registry

    registry.BUILT_IN["rig"] = "tests.faults.rigged:Rig"
    plant_bug()
    from orchestrator.daemon import main

    main(sys.argv[1:])
