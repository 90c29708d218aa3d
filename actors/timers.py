"""The watchman: wakes the sagas that are due, and those that were in flight when the daemon went down.

A durable wait is a time in a row. The watchman looks at the wall clock at least once a second, so that a suspend
counts, and a clock that is set is obeyed, without asking the kernel for more than the time.
"""

from __future__ import annotations

import anyio

from actors.directory import Directory
from actors.saga.host import Host

LOOK = 1.0
"""Seconds between two looks at the clock, at most."""
REST = 0.02
"""Seconds between two looks at the least: room for many sagas is made at once, not one by one."""


PAGE = 50
"""Sagas woken at a time, before the loop comes to whoever asks. With 10,000 to be carried on after a kill a pause is
answered 0.5 s after the start; at 1,000 at a time it was 2.2 s."""


class Watchman:
    """Goes round for as long as the daemon lives."""

    def __init__(self, host: Host, directory: Directory) -> None:
        """Wake sagas through this directory."""
        self._host = host
        self._directory = directory

    async def run(self) -> None:
        """Wake what is due, for ever."""
        while True:
            if not self._host.draining:
                await self.round()
            self._host.beat()
            self._directory.room = anyio.Event()
            await anyio.sleep(REST)
            with anyio.move_on_after(await self._rest()):
                await self._directory.room.wait()

    async def round(self) -> int:
        """Wake every saga that is due, as far as there is room; give how many."""
        woken, after = 0, 0
        now = self._host.clock.now()
        while page := await self._host.queries.due(now, after=after, limit=PAGE):
            for saga in page:
                if saga.id in self._directory.live:
                    continue
                if self._directory.full:
                    self._directory.crowded = True
                    return woken
                self._directory.wake(saga.id)
                woken += 1
            after = page[-1].number
        self._directory.crowded = False
        return woken

    async def _rest(self) -> float:
        now = self._host.clock.now()
        due = await self._host.queries.next_wake(now)
        return LOOK if due is None else min(LOOK, max(0.0, (due - now) / 1000))
