"""An event loop whose time is a number: when nothing is ready, the clock jumps to the next timer.

Nothing here waits for the kernel, so hours pass in milliseconds, and a run is a function of its seed.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

TURNS = 30_000
"""Turns of the loop in one run at most: who goes round without end is found, not waited for."""


class Endless(Exception):
    """The loop goes round and round."""


class Died(Exception):
    """The process that ran on the loop is gone."""


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    _numbers = count(1)

    def __init__(self, *args: Any, **more: Any) -> None:
        self._own_number = next(_Task._numbers)
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        """Give the number in order of birth."""
        return self._own_number


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. It can be used again after whatever ran on it has died."""

    def __init__(self) -> None:
        """Begin at time 0, with nothing to do."""
        super().__init__()
        self.clock = 0.0
        self.turns = 0
        self.dead = False
        self.arms: dict[int, list[Callable[[], None]]] = {}
        self.broken: list[str] = []
        """What came to light in callbacks: bugs, all of them."""
        self.set_task_factory(self._factory)
        self.set_exception_handler(self._noticed)
        self._tasks: dict[int, _Task] = {}
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers = count()

    def time(self) -> float:
        """Give the virtual seconds."""
        return self.clock

    def at_turn(self, turn: int, then: Callable[[], None]) -> None:
        """Have something happen between two turns."""
        self.arms.setdefault(turn, []).append(then)

    def anew(self) -> None:
        """Begin another run."""
        self.forget()
        self.clock, self.turns, self.broken, self.arms = 0.0, 0, [], {}
        _Task._numbers = count(1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run this to its end. Raises Died where ``die`` was called meanwhile."""
        self.dead = False
        task = self.create_task(work)
        task.add_done_callback(lambda _: self.stop())
        try:
            self.run_forever()
        finally:
            if self.dead or not task.done():
                self.forget()
        if self.dead:
            raise Died
        return task.result()

    def die(self) -> None:
        """End here: what is ready does not run any more, and nobody is told."""
        self.dead = True
        for handle in self._ready:  # type: ignore[attr-defined]
            handle._cancelled = True
        self.stop()

    def forget(self) -> None:
        """Drop whatever was going on, as a process that ends drops it."""
        self._ready.clear()  # type: ignore[attr-defined]
        self._due.clear()
        for task in self._tasks.values():
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.clear()

    def _factory(self, loop: Any, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        task = _Task(coroutine, loop=loop, **more)
        self._tasks[task._own_number] = task
        if len(self._tasks) > 1_000:
            self._tasks = {number: each for number, each in self._tasks.items() if not each.done()}
        return task

    def _noticed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.dead:
            self.broken.append(f"{context.get('message')}: {context.get('exception')!r}")

    get_debug = staticmethod(bool)  # False, asked with each future and each handle

    # -- what asyncio's loop does, with nothing to wait for but time --------------------------------------------------

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Have something happen at that time; what is due at the same time happens in the order of these calls."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._due, (when, next(self._timers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def _run_once(self) -> None:
        ready, due = self._ready, self._due  # type: ignore[attr-defined]
        self.turns += 1
        while due and due[0][2].cancelled():
            heappop(due)
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not due:
                raise Endless("nothing is ready and nothing will be: somebody waits for what never comes")
            self.clock = max(self.clock, due[0][0])
        for crash in self.arms.pop(self.turns, ()):
            crash()
        if self.turns > TURNS:
            raise Endless(f"{TURNS} turns of the loop, and no end")
        while due and due[0][0] <= self.clock:
            ready.append(heappop(due)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _write_to_self(self) -> None:
        pass


def quiet() -> None:
    """Let those that died be collected without a word, and seldom: there are many of them, each a web of cycles."""
    import sys

    sys.unraisablehook = lambda _: None
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
