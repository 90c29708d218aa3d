"""A run: daemons one after the other, each asked a thousand cases of either sort, then clients that misbehave."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.api import fuzz_api
from tests.fuzz.clients import bad_clients
from tests.fuzz.files import fuzz_files
from tests.fuzz.target import Target

A_DAEMON = 1_000
"""Cases for one daemon: some of what fits waits for an hour."""


@dataclass
class Found:
    """What a run found."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, target: Target) -> None:
        """Take in what one daemon has shown."""
        most = "MB of memory at most"
        highest = max(self.counts[most], target.counts.pop(most, 0))
        self.counts += target.counts
        self.counts[most] = highest
        self.wrong += target.wrong


def _with_daemon(folder: Path, found: Found, do: Callable[[Target], None]) -> None:
    target = Target(folder)
    try:
        do(target)
    except OSError as error:
        target.complain(f"sagad was not to be reached: {error}")
    finally:
        target.end()
        found.add(target)
        print(f"{folder.name}: {len(found.wrong)} things wrong so far", flush=True)


def run(folder: Path, cases: int, seed: int) -> Found:
    """Run so many cases, half of them requests and half of them files; then the clients."""
    found = Found()
    began = time.monotonic()
    for start in range(0, cases, A_DAEMON):
        count, number = min(A_DAEMON, cases - start) // 2, seed + start
        _with_daemon(
            folder / f"api{start}",
            found,
            lambda target, n=count, s=number: fuzz_api(target, n, s),  # type: ignore[misc]
        )
        _with_daemon(
            folder / f"files{start}",
            found,
            lambda target, n=count, s=number: fuzz_files(target, n, s),  # type: ignore[misc]
        )
    _with_daemon(
        folder / "clients",
        found,
        lambda target: bad_clients(target, connections=10_000, many=100, sagas=2_000),
    )
    found.counts["seconds in all"] = int(time.monotonic() - began)
    return found
