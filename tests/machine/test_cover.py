"""The machine's branches are all reached by the tests of this folder that make no use of chance beyond a fixed seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE = (
    "answers",
    "approvals",
    "evolve",
    "holds",
    "machine",
    "repairs",
    "replies",
    "verbs",
    "wants",
    "why",
)
TESTS = (
    "test_cases.py",
    "test_verbs.py",
    "test_hooks.py",
    "test_seeds.py",
    "test_why.py",
    "test_rollback.py",
)


@pytest.mark.slow
def test_every_branch_of_the_machine_is_reached(tmp_path: Path) -> None:
    """Full branch coverage; what is missing is printed with its lines."""
    files = ",".join(f"actors/saga/{name}.py" for name in MACHINE)
    environment = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage"), "MACHINE_RUNS": "800"}
    coverage = [sys.executable, "-m", "coverage"]
    tests = [f"tests/machine/{name}" for name in TESTS]
    run = [*coverage, "run", "--branch", f"--include={files}", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    select = [
        "-k",
        "not exact and not reached and not seen_to_fail",
    ]  # those want more runs than coverage does

    ran = subprocess.run(
        [*run, *tests, *select], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout
    report = [*coverage, "report", f"--include={files}", "--show-missing", "--fail-under=100"]
    shown = subprocess.run(report, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert shown.returncode == 0, shown.stdout
