"""sagad whose time of day is shifted: `python -m tests.torture.shifted FILE [sagad's arguments]`.

FILE has 8 bytes, a double: so many seconds are added to what `time.time` and `time.time_ns` say, from the moment on
when they are written. The monotonic clock is left alone, as it is when somebody sets a machine's clock. A time
namespace would not do: it moves the monotonic clocks, and cannot move the time of day.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path


def shift(path: Path) -> None:
    """Shift the time of day by what stands in the file, from now on."""
    with path.open("rb") as file:
        said = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    now, now_ns = time.time, time.time_ns

    def offset() -> float:
        (seconds,) = struct.unpack("d", said[:8])
        return float(seconds)

    time.time = lambda: now() + offset()
    time.time_ns = lambda: now_ns() + int(offset() * 1e9)


if __name__ == "__main__":
    shift(Path(sys.argv[1]))
    from orchestrator.daemon import main

    main(sys.argv[2:])
