"""sagad that is struck down at a chosen moment of a batch's life: `python -m tests.engine.struck MOMENT …`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from actors.directory import Directory
from store.journal import Journal


def strike(*_: Any) -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def when_it_has_ended() -> None:
    """Before its sagas hear of it."""
    Directory._batch_ended = strike  # type: ignore[method-assign,assignment]


def when_it_is_half_written() -> None:
    """After the first of the transactions that it takes."""
    written = Journal._written

    def or_strike(journal: Journal) -> None:
        if len(journal._group) > 1:
            strike()
        written(journal)

    Journal._written = or_strike  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    {"ended": when_it_has_ended, "half": when_it_is_half_written}[sys.argv[1]]()
    from orchestrator.daemon import main

    main(sys.argv[2:])
