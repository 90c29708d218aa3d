"""What a sync and a sweep of many resources cost, and what those who ask meanwhile notice of it: `make bench-drift`."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import fleet
from tests.bench.node import processor, resident, running
from tests.daemon import Daemon


class Cost(NamedTuple):
    """What it was."""

    resources: int
    processor: float
    """Seconds, of all of the daemon's threads."""
    seconds: float
    idle: float
    """Milliseconds of an answer, p50, while nothing goes on …"""
    meanwhile: float
    """… and while it runs."""
    before: float
    """Megabytes, when it has run once already …"""
    most: float
    """… and the most of them while it runs again."""
    opened: int
    requests: int
    """Of the service, both times together."""


def measure(folder: Path, resources: int, *, idle: float = 1.0) -> Cost:
    """Run it twice: the first time everything is new, the second time is measured as well for its memory."""
    secrets = folder / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    (secrets / "token").write_text(fleet.TOKEN)
    with fleet.service(resources) as (address, asked):
        settings = (
            f'[secrets]\ndir = "{secrets}"\n[drift]\nsync = "never"\nschedule = "never"\n'
            f'[providers.digitalocean]\ntoken = "token"\nbase_url = "{address}"\nrate = "100000/1m"\n'
        )
        with running(folder / "node", settings, ("tests.bench.fleet",)) as daemon:
            daemon.stop()
            fleet.fill(daemon.state / "sagad.db", resources)
            daemon.start(module=("tests.bench.fleet",))
            return _measured(daemon, resources, asked, idle)


def _measured(daemon: Daemon, resources: int, asked: Callable[[], int], rest: float) -> Cost:
    asking = _Asking(daemon)
    idle = asking.during(lambda: time.sleep(rest))
    used, began = processor(daemon)[1], time.perf_counter()
    found: list[dict[str, Any]] = []
    first = asking.during(lambda: found.append(daemon.ask("POST", "/v1/drift/detect", {})[1]))
    took, spent = time.perf_counter() - began, processor(daemon)[1] - used - asking.costs
    before = resident(daemon)
    again = asking.during(lambda: found.append(daemon.ask("POST", "/v1/drift/detect", {})[1]))
    assert found[0]["there"] == found[1]["there"] == resources, found
    return Cost(
        resources,
        spent,
        took,
        idle,
        max(first, again),
        before,
        max(asking.memory),
        int(found[0]["opened"]),
        asked(),
    )


class _Asking:
    """Somebody who asks one thing after the other, as fast as it is answered."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.memory: list[float] = []
        self.costs = 0.0
        """Seconds of the daemon's processor time that the answers took, as far as can be told."""
        self._each = 0.0

    def during(self, work: Any) -> float:
        """Ask while this is done; give the milliseconds of an answer, p50."""
        over, times = threading.Event(), list[float]()
        self.memory = []

        def ask() -> None:
            while not over.is_set():
                began = time.perf_counter()
                self._daemon.ask("GET", "/v1/sagas?limit=1")
                times.append(time.perf_counter() - began)
                self.memory.append(resident(self._daemon))
                time.sleep(0.005)

        used = processor(self._daemon)[1]
        thread = threading.Thread(target=ask)
        thread.start()
        work()
        over.set()
        thread.join()
        if not self._each:
            self._each = (processor(self._daemon)[1] - used) / len(times)
        self.costs = self._each * len(times)
        return statistics.median(times) * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drift")
    parser.add_argument("--resources", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".bench-") as folder:
        cost = measure(Path(folder) / "drift", given.resources)
    print(
        f"{cost.resources:,} resources in {fleet.TYPES} types, synced and swept, {cost.opened} records opened"
    )
    print(f"  processor time      {cost.processor:6.2f} s   (goal: under 10 s for 10,000)")
    print(f"  until it was done   {cost.seconds:6.2f} s")
    print(f"  API p50, idle       {cost.idle:6.2f} ms")
    print(f"  API p50, meanwhile  {cost.meanwhile:6.2f} ms  (goal: at most twice the idle one)")
    print(
        f"  memory, once more   {cost.before:6.1f} MB, at most {cost.most:.1f} MB while it runs (goal: flat)"
    )


if __name__ == "__main__":
    main()
