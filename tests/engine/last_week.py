"""sagad with a clock that is a week slow: `python -m tests.engine.last_week …`. What it does was done last week."""

from __future__ import annotations

import sys
import time

from actors.clock import WallClock

WEEK = 7 * 24 * 60 * 60 * 1000

if __name__ == "__main__":
    WallClock.now = lambda _: time.time_ns() // 1_000_000 - WEEK  # type: ignore[method-assign,assignment]
    from orchestrator.daemon import main

    main(sys.argv[1:])
