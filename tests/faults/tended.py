"""sagad whose retention goes round all the time: `python -m tests.faults.tended [sagad's arguments]`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from actors import inspection, retention
    from orchestrator import keep

    keep.SETTLED = retention.FIRST = retention.YOUNG = 0
    retention.EVERY, retention.PAUSE = 0.05, 0.001
    inspection.EVERY, inspection.PAUSE = 0.05, 0.001
    from orchestrator.daemon import main

    main(sys.argv[1:])
