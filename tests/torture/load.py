"""Who submits and who meddles, each a thread, as long as a round's storm lasts."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.daemon import ENDED
from tests.torture.book import Batch, Book
from tests.torture.node import Node
from tests.torture.operators import Operator
from tests.torture.sagas import Author, Sent
from tests.torture.stacks import Stack

ACCEPTED = (200, 201)


class Worker(threading.Thread):
    """Does its work again and again until told to leave off; a daemon that is away is waited for."""

    def __init__(self, name: str, work: Callable[[], None], book: Book) -> None:
        """Take the work."""
        super().__init__(name=name, daemon=True)
        self._work = work
        self._book = book
        self._enough = threading.Event()

    def run(self) -> None:
        """Work."""
        while not self._enough.is_set():
            try:
                self._work()
            except OSError:
                self._enough.wait(0.02)
            except Exception as error:
                self._book.wrong(f"the {self.name} broke: {error!r}")
                raise

    def leave_off(self) -> None:
        """End the thread, and wait for it."""
        self._enough.set()
        self.join(120)


class Load:
    """Keeps so many sagas in flight."""

    def __init__(
        self, chance: random.Random, node: Node, author: Author, operator: Operator, book: Book
    ) -> None:
        """Begin with nothing sent."""
        self._chance = chance
        self._node = node
        self._author = author
        self._operator = operator
        self._book = book
        self._waiting: Sent | Batch | None = None
        self.in_flight = 0
        self.most = 0
        """The most that were in flight."""
        self.ids: list[str] = []
        self.batches: list[str] = []
        self.stacks: list[Stack] = []

    # -- submitting --------------------------------------------------------------------------------------------------

    def submit(self, most: int) -> None:
        """Send the next saga or batch, or see to a stack. What nobody answered is sent again, with its key."""
        if self._waiting is None and (len(self.ids) % 10 == 0 or self.in_flight >= most):
            self.in_flight = self._count()
            self.most = max(self.most, self.in_flight)
            if self.in_flight >= most:
                time.sleep(0.05)
                return
        if self._waiting is None and self._chance.random() < 0.05 and self.stacks:
            self._chance.choice(self.stacks).step()
            return
        if self._waiting is None:
            self._waiting = self._next()
        if isinstance(self._waiting, Batch):
            self._send_batch(self._waiting)
        else:
            self._send(self._waiting)

    def _count(self) -> int:
        counts = self._node.tell("GET", "/v1/health")[1]["sagas"]
        return sum(each["sagas"] for each in counts if each["status"] not in ENDED)

    def _next(self) -> Sent | Batch:
        if self._chance.random() > 0.04:
            sent = self._author.saga()
            self._book.sent.append(sent)
            return sent
        members = [self._author.saga() for _ in range(self._chance.randint(2, 5))]
        mode = self._chance.choice(["all_or_nothing", "best_effort"])
        batch = Batch(f"b{members[0].number}", mode, members)
        self._book.batches.append(batch)
        return batch

    def _send(self, sent: Sent) -> None:
        body: dict[str, Any] = {"saga": sent.file, "labels": {"round": "torture"}}
        status, answer = self._node.tell("POST", "/v1/sagas", body, {"Idempotency-Key": sent.kind})
        if status in ACCEPTED:
            sent.acknowledged = True
            self.ids.append(answer["id"])
            self._waiting = None
            self._book.count("sagas")
        else:
            self._refused(status, answer)

    def _send_batch(self, batch: Batch) -> None:
        body: dict[str, Any] = {
            "batch": batch.name,
            "mode": batch.mode,
            "sagas": [{"saga": each.file} for each in batch.members],
        }
        if len(batch.members) % 2:
            body["parallel"] = 2
        status, answer = self._node.tell("POST", "/v1/batches", body, {"Idempotency-Key": batch.name})
        if status in ACCEPTED:
            batch.acknowledged = True
            self.batches.append(answer["id"])
            self.ids += [each["id"] for each in answer["sagas"]]
            self._waiting = None
            self._book.count("batches")
            self._book.count("sagas", len(batch.members))
        else:
            self._refused(status, answer)

    def _refused(self, status: int, answer: Any) -> None:
        if status == 503:
            time.sleep(0.1)  # no room, or it is going down: it is sent again
            return
        self._book.wrong(f"{self._waiting} was refused: {status} {answer}")
        self._waiting = None

    # -- meddling ----------------------------------------------------------------------------------------------------

    def meddle(self) -> None:
        """Say something to somebody, and now and then look at something."""
        if self.ids:
            self._operator.meddle(self.ids, self.batches)
        if self._chance.random() < 0.2 and self.ids:
            what = self._chance.choice(["", "/why", "/executions", "/events"])
            self._node.tell("GET", f"/v1/sagas/{self._chance.choice(self.ids)}{what}")
        time.sleep(self._chance.uniform(0, 0.02))

    def settle(self) -> None:
        """Send what waits to be sent; nobody strikes any more."""
        while self._waiting is not None:
            self.submit(1 << 30)
