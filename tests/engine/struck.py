"""sagad that is struck down when a batch has ended, before its sagas hear of it: `python -m tests.engine.struck …`."""

from __future__ import annotations

import os
import signal
import sys

from actors.directory import Directory

if __name__ == "__main__":
    Directory._batch_ended = lambda _, __: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment]
    from orchestrator.daemon import main

    main(sys.argv[1:])
