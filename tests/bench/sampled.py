"""A daemon that samples itself: `python -m tests.bench.sampled REPORT … (sagad's own arguments)`.

From SIGUSR2 on the loop's stack is noted down every so often of processor time; at the end REPORT gets the functions
by their share. Unlike cProfile it makes no call dearer, so that many small functions do not look worse than they are.
"""

from __future__ import annotations

import atexit
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

from orchestrator import daemon

EVERY = 0.001
"""Seconds of processor time between two samples."""

TOP = 30
OUTER = 0.95
"""What is in more than this share of the stacks is what runs the loop, and tells nothing."""


class Sampler:
    """Counts where the main thread is."""

    def __init__(self) -> None:
        self._own: Counter[CodeType] = Counter()
        self._below: Counter[CodeType] = Counter()
        self._samples = 0
        self._spent = 0.0

    def start(self) -> None:
        """Sample from now on."""
        self._spent = time.thread_time()
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        """Note the stack down, unless the time was the journal's thread's."""
        spent = time.thread_time()
        mine, self._spent = spent - self._spent, spent
        if mine < EVERY / 2 or frame is None:
            return
        self._samples += 1
        self._own[frame.f_code] += 1
        seen: set[CodeType] = set()
        while frame is not None:
            seen.add(frame.f_code)
            frame = frame.f_back
        self._below.update(seen)

    def table(self, top: int = TOP) -> str:
        """Give both lists as text."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        lines = [f"{self._samples} samples of the loop's thread, 100 three-step sagas in flight", ""]
        for title, counted in (("itself", self._own), ("with what it calls", self._below)):
            lines.append(f"share  {title}")
            inner = [(code, count) for code, count in counted.most_common() if count < self._samples * OUTER]
            for code, count in inner[:top]:
                lines.append(f"{count / max(self._samples, 1):5.1%}  {_name(code)}")
            lines.append("")
        return "\n".join(lines)


def _name(code: CodeType) -> str:
    parts = Path(code.co_filename).parts
    begin = parts.index("site-packages") + 1 if "site-packages" in parts else -3
    return f"{'/'.join(parts[begin:])}:{code.co_firstlineno} {code.co_qualname}"


def main() -> None:
    """Run the daemon, and write the report when it ends."""
    report = Path(sys.argv[1])
    sampler = Sampler()
    atexit.register(lambda: report.write_text(sampler.table(), "utf-8"))
    signal.signal(signal.SIGUSR2, lambda *_: sampler.start())
    daemon.main(sys.argv[2:])


if __name__ == "__main__":
    main()
