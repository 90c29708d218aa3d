"""sagad, made to die at a commit when a test says so: `python -m tests.faults.armed FILE [sagad's arguments]`.

FILE holds `before N` or `after N`: the N-th commit from when the file came is the last one, or the first that is not made.
`bug 0`: while it is there, sweeps crash.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any


def arm(file: Path) -> None:
    """Have the process die by that file."""
    from store.writer import Writer

    commit, counted = Writer.commit, 0

    def counting(self: Any) -> Any:
        nonlocal counted
        if not file.exists():
            return commit(self)
        counted += 1
        point, number = file.read_text().split()
        if point == "before" and counted == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        result = commit(self)
        if counted == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Writer.commit = counting  # type: ignore[method-assign]
    _arm_sweeps(file)


def _arm_sweeps(file: Path) -> None:
    from actors.drift.sweeping import Sweeping

    run = Sweeping.run

    async def breaking(self: Any, **more: Any) -> None:
        if file.exists() and file.read_text().startswith("bug"):
            raise ZeroDivisionError("a bug in the sweep")
        await run(self, **more)

    Sweeping.run = breaking  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(Path(sys.argv[1]))
    from orchestrator.daemon import main

    main(sys.argv[2:])
