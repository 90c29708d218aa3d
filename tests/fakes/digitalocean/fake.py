"""The fake as a test holds it: what it may see and switch, and how it is started and stopped."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from tests.fakes.digitalocean.clock import Clock
from tests.fakes.digitalocean.cloud import Cloud, Doom
from tests.fakes.digitalocean.contract import Violated
from tests.fakes.digitalocean.faults import Fault, broken, too_many
from tests.fakes.digitalocean.lags import Lags
from tests.fakes.digitalocean.rate import Rate
from tests.fakes.digitalocean.server import Server
from tests.fakes.digitalocean.wire import JSON, Asked

PATIENCE = 10.0
"""Seconds of real time in which a server in a thread has started, and has stopped."""


BY_THEMSELVES = frozenset({"action", "deployment", "tag"})


class FakeDigitalOcean:
    """A DigitalOcean with one account, that is there as long as its context."""

    token = "dop_v1_may_do_everything"
    read_token = "dop_v1_may_only_look"

    def __init__(self, clock: Clock | None = None, lags: Lags | None = None) -> None:
        self.clock = clock or Clock()
        self.lags = lags or Lags()
        self.rate = Rate()
        self.requests: list[Asked] = []
        """What was asked, in order; also what was refused or lost."""
        self.violations: list[str] = []
        """What was against the contract. A test that provokes one empties the list."""
        self.faults: list[Fault] = []
        self.cloud = Cloud(self.clock, self.lags)
        self._server = Server(self)

    @property
    def url(self) -> str:
        """Where it listens, as a driver's ``base_url`` (without ``/v2``)."""
        return self.cloud.base

    # --- looking

    def objects(self, kind: str | None = None) -> list[JSON]:
        """Everything that exists now, seen or not, or what exists of a kind.

        Actions, deployments and tags, which stay behind or come by themselves, only when asked for.

        Each has its ``kind`` and ``id`` beside what the service would show.
        """
        with self.cloud.lock:
            self.cloud.settle()
            kinds = [kind] if kind else [each for each in self.cloud.kinds() if each not in BY_THEMSELVES]
            return [
                copy.deepcopy(thing.fields) | {"kind": thing.kind}
                for each in kinds
                for thing in self.cloud.existing(each)
            ]

    def asked(self, method: str, path: str) -> list[Asked]:
        """The requests so far that fit; ``*`` in the path is one segment, ``**`` any number of them."""
        fits = Fault("slow", method, path, times=len(self.requests))
        return [each for each in self.requests if fits.strikes(each)]

    # --- faults

    def lose(
        self, *, after: bool, method: str = "*", path: str = "**", nth: int = 1, times: int = 1
    ) -> Fault:
        """Close the connection instead of answering, before the request has its effect or after."""
        return self._fault(Fault("lose", method, path, nth, times, after))

    def fail(
        self,
        status: int = 500,
        *,
        after: bool = False,
        method: str = "*",
        path: str = "**",
        nth: int = 1,
        times: int = 1,
    ) -> Fault:
        """Answer with a 5xx, before the request has its effect or after."""
        return self._fault(Fault("answer", method, path, nth, times, after, broken(status)))

    def limit(
        self,
        *,
        retry_after: float | None = None,
        method: str = "*",
        path: str = "**",
        nth: int = 1,
        times: int = 1,
    ) -> Fault:
        """Answer 429, with Retry-After or without; nothing happens."""
        return self._fault(Fault("answer", method, path, nth, times, answer=too_many(retry_after)))

    def slow(
        self, seconds: float, *, method: str = "*", path: str = "**", nth: int = 1, times: int = 1
    ) -> Fault:
        """Wait so many seconds of real time before the answer; the request has its effect first."""
        return self._fault(Fault("slow", method, path, nth, times, after=True, seconds=seconds))

    def garble(
        self,
        body: bytes = b'{"droplet": {"id": 70',
        *,
        method: str = "*",
        path: str = "**",
        nth: int = 1,
        times: int = 1,
    ) -> Fault:
        """Answer with that body, which is no JSON, after the request had its effect."""
        return self._fault(Fault("garble", method, path, nth, times, after=True, body=body))

    def doom(self, action: str, id: str | int | None = None, *, quietly: bool = False) -> None:
        """Have the action of that type (on that object) that ends next be errored, without its effect.

        A doomed ``create`` takes its droplet with it: no room was found for it. ``deployment`` dooms an app's. Quietly:
        the action is called completed, but nothing has happened, as can be with ``shutdown``.
        """
        self.cloud.doomed.append(Doom(action, None if id is None else str(id), quietly))

    def _fault(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    # --- starting and stopping

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()
        self._judge(error)

    @contextmanager
    def in_thread(self) -> Iterator[Self]:
        """The fake on a loop and in a thread of its own, for a client that blocks."""
        started, over = threading.Event(), asyncio.Event()
        loop = asyncio.new_event_loop()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._serve(started, over))

        thread = threading.Thread(target=run, name="fake DigitalOcean", daemon=True)
        thread.start()
        try:
            assert started.wait(PATIENCE), "the fake has not started"
            yield self
        except BaseException as error:
            self._judge(error)
            raise
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(over.set)
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the fake has not stopped"
        self._judge(None)

    async def _serve(self, started: threading.Event, over: asyncio.Event) -> None:
        await self._server.start()
        started.set()
        await over.wait()
        await self._server.stop()

    def _judge(self, error: BaseException | None) -> None:
        """Tell what was against the contract: by itself, or as a note to what the test fails with already."""
        if not self.violations:
            return
        told = "\n".join(dict.fromkeys(self.violations))
        if error is None:
            raise Violated(told)
        error.add_note(f"Against DigitalOcean's contract:\n{told}")
