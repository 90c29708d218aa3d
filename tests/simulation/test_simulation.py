"""The short form of `make simulate`: some seeds, the runs that once broke a law, and the simulation itself.

Each is a process of its own, as `make simulate` is: what dies in a run is dropped, not closed, and strings must hash alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEEDS = os.environ.get("TESTS_SEEDS", "100")

pytestmark = pytest.mark.slow


def simulate(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python -m tests.simulation` over a source tree."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False)


def test_no_law_is_broken() -> None:
    """In some runs of everything that can go wrong; `TESTS_SEEDS=100000` for a night's worth."""
    done = simulate("--seeds", SEEDS)

    assert done.returncode == 0, done.stdout + done.stderr


def test_what_once_broke_a_law_does_not_any_more() -> None:
    """Each scenario that found a bug is played again."""
    done = simulate("--regressions")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_seed_is_a_run() -> None:
    """The same seed does the same to the world, shows the same heads and writes the same record, in any process."""
    one, other = (simulate("--seed", "292").stdout for _ in range(2))

    assert "digest" in one
    assert one == other
