"""`python -m tests.torture --minutes 10`: torture the daemon, print the figures, exit 1 on any violation."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.torture.ordeals import ORDEALS
from tests.torture.run import figures, run, seed_of

APART = "TESTS_TORTURE_APART"


def _apart() -> None:
    """Go on in a mount namespace of our own, where that is allowed: nobody else then holds on to what is mounted here."""
    words = ["unshare", "--mount", "--propagation", "private"]
    if APART in os.environ or shutil.which("unshare") is None:
        return
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
        os.environ[APART] = "1"
        os.execvp("unshare", [*words, sys.executable, "-m", "tests.torture", *sys.argv[1:]])


def main() -> int:
    """Run as told."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--round", type=float, default=40.0, help="seconds of storm in a round")
    parser.add_argument("--only", help="rounds of this kind only", choices=sorted({o.name for o in ORDEALS}))
    parser.add_argument("--seed", help="what is done at random; when it happens is never the same")
    given = parser.parse_args()
    _apart()
    # Each exchange would be held to DigitalOcean's contract, which takes longer than all else that the fake does.
    os.environ["TESTS_CONTRACTS"] = os.devnull
    seed = seed_of(given.seed)
    folder = Path(tempfile.mkdtemp(prefix="sagad-torture-"))
    print(f"seed {seed}, in {folder}", flush=True)
    rounds = [each for each in ORDEALS if given.only in (None, each.name)]
    book = run(folder, given.minutes * 60, seed, rounds, given.round)
    figures(book, print)
    if book.violations:
        print(f"left for looking at: {folder}")
        return 1
    folder.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main())
