from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import drift, fleet
from tests.bench.figures import Figure, table

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_benchmark_runs() -> None:
    """It measures hardly anything here; that its figures are good is not tested, but read."""
    command = [sys.executable, "-m", "tests.bench", "--quick", "rates", "recovery"]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout

    assert "three-step sagas per second, 100 in flight" in printed
    assert "ready again after kill -9" in printed
    assert not list(ROOT.glob(".bench-*"))


def test_a_figure_says_whether_it_reaches_its_goal() -> None:
    """The median of its runs counts, against the least or the most that it should be."""
    rate = Figure(what="rate", values=[2_000, 1_500, 1_400], goal=3_000, least=True)
    time = Figure(what="time", values=[1.5, 1.9, 9.0], unit=" ms", goal=2, digits=1)
    printed = table("figure", [rate, time]).splitlines()

    assert [cell.strip() for cell in printed[2].split("|")[1:-1]] == [
        "rate",
        "≥ 3,000",
        "1,500",
        "1,400 – 2,000",
        "short: 0.50 of it",
    ]
    assert [cell.strip() for cell in printed[3].split("|")[1:-1]] == [
        "time",
        "≤ 2 ms",
        "1.9 ms",
        "1.5 – 9 ms",
        "ok",
    ]


@pytest.mark.slow
def test_drift_is_looked_for_by_pages(tmp_path: Path) -> None:
    """Everything is found by lists and by no other requests; once more, it takes no more memory. What it costs is printed."""
    cost = drift.measure(tmp_path / "drift", resources=1_000, idle=0.1)

    assert cost.opened == fleet.TYPES  # the seventh of each type
    assert cost.requests == 2 * fleet.TYPES
    assert cost.most < cost.before * 1.05
