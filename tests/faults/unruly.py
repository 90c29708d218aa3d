"""sagad with actors that keep it from its work: `python -m tests.faults.unruly …`. Which bug a saga meets, its kind says.

    crashes     the machine raises at every message, once it is there
    endless     it computes without end when a driver answers
    blocks      it sleeps, and the loop with it
    forgets     it takes in nothing of what drivers answer
    waits       its turn never ends, and the loop goes on
    reads       what is to be changed is read, and no answer comes

The step `unruly.block` blocks the loop in its driver's call.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import anyio
import msgspec

from actors.saga.messages import Answered, Prepared, Tick
from providers.contract import Call, Driver, Outcome, Planned, Succeeded, Verb


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No arguments."""


class Unruly(Driver):
    """Blocks."""

    type = "unruly"
    version = "1.0"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "block": Verb(arguments=Nothing, outputs={}, inverse="none"),
        "read": Verb(arguments=Nothing, outputs={}, inverse="none"),
    }

    async def plan(self, call: Call) -> Planned:
        """Read for ever, where that is asked."""
        if call.verb == "read":
            await anyio.sleep_forever()
        return Planned(None, None, ())

    async def apply(self, call: Call) -> Outcome:
        """Block the loop."""
        if call.verb == "block":
            time.sleep(3600)
        return Succeeded()


def plant() -> None:
    """Put the bugs in their places."""
    from actors.saga import actor
    from actors.saga.machine import Decision, decide

    commit = actor.SagaActor._commit

    def unruly(plan: Any, state: Any, message: Any, now: int) -> Any:
        if plan.kind == "crashes" and not isinstance(message, Tick | Prepared):  # by these it comes to be
            raise ZeroDivisionError("at every message")
        if isinstance(message, Answered):
            while plan.kind == "endless":
                pass
            if plan.kind == "blocks":
                time.sleep(3600)
            if plan.kind == "forgets":
                return Decision([], state)
        return decide(plan, state, message, now)

    async def waiting(self: Any, draft: Any) -> None:
        await commit(self, draft)
        if self.plan.kind == "waits":
            await anyio.sleep_forever()

    vars(actor)["decide"] = unruly
    actor.SagaActor._commit = waiting  # type: ignore[method-assign]


if __name__ == "__main__":
    from actors import pulse
    from actors.saga import actor
    from providers import registry

    registry.BUILT_IN["unruly"] = "tests.faults.unruly:Unruly"
    pulse.LOOK, pulse.LOOKS, actor.STALLED = 0.1, 3, 300
    plant()
    from orchestrator.daemon import main

    main(sys.argv[1:])
