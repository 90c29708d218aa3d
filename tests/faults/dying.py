"""sagad, made to die at one exact point: `python -m tests.faults.dying POINT NUMBER [sagad's arguments]`.

Points: `before` the numbered commit, `after` it (durable, nobody told yet), `effect`: right after the numbered call of a
driver has had its effect and before its outcome is known to anybody. Death is SIGKILL, as a power cut's. `slow` does not
die: each commit takes that many milliseconds more.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any


def die() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, number: int) -> None:
    """Have the process die at the point."""
    counted = iter(range(1, 1_000_000))

    def slowly(work: Callable[..., Any]) -> Callable[..., Any]:
        def waiting(*arguments: Any) -> Any:
            time.sleep(number / 1000)
            return work(*arguments)

        return waiting

    def around(work: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any) -> Any:
            here = next(counted)
            if here == number and point == "before":
                die()
            result = work(*arguments)
            if here == number:
                die()
            return result

        return counting

    if point in ("before", "after"):
        from store.writer import Writer

        Writer.commit = around(Writer.commit)  # type: ignore[method-assign]
    elif point == "slow":
        from store.writer import Writer

        Writer.commit = slowly(Writer.commit)  # type: ignore[method-assign]
    else:
        _arm_effect(number)


def _arm_effect(number: int) -> None:
    from providers.command import Command
    from providers.local import DRIVERS

    counted = iter(range(1, 1_000_000))
    for driver in (*DRIVERS, Command):
        apply = driver.apply

        async def dying(self: Any, call: Any, apply: Any = apply) -> Any:
            outcome = await apply(self, call)
            if next(counted) == number:
                die()
            return outcome

        driver.apply = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    from orchestrator.daemon import main

    main(sys.argv[3:])
