"""What befalls the daemon itself: SIGKILL, SIGSTOP for longer than its watchdog, SIGTERM, at random."""

from __future__ import annotations

import random
import threading
import time

from tests.torture.book import Book
from tests.torture.node import WATCHDOG, Node


class Tormentor(threading.Thread):
    """Strikes until told to leave off; the daemon runs when this thread has ended."""

    def __init__(self, chance: random.Random, node: Node, book: Book, *, hard: float = 1.2) -> None:
        """Strike about every ``hard`` / 2 seconds."""
        super().__init__(name="tormentor", daemon=True)
        self._chance = chance
        self._node = node
        self._book = book
        self._hard = hard
        self._enough = threading.Event()

    def run(self) -> None:
        """Strike."""
        try:
            while not self._enough.wait(self._chance.uniform(0.1, self._hard)):
                self._strike()
        except Exception as error:  # noqa: BLE001  whatever it is, it ends up in the book
            self._book.wrong(f"sagad could not be started again: {error}")

    def _strike(self) -> None:
        kind = self._chance.random()
        if kind < 0.8:
            self._node.down()
            if self._chance.random() < 0.2:
                time.sleep(self._chance.uniform(0, 0.5))
            while self._chance.random() < 0.5:
                self._node.up_briefly(self._chance.uniform(0.1, 1.5))
            self._node.up()
        elif kind < 0.87:
            self._node.end()
            self._node.up()
        else:
            self._node.stopped(WATCHDOG * 1.2, aborted=self._chance.random() < 0.5)

    def leave_off(self) -> None:
        """End the thread, and wait for it."""
        self._enough.set()
        self.join(120)
