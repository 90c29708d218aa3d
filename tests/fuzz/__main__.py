"""`python -m tests.fuzz --cases 20000`: fuzz the daemon, print the figures, exit 1 if anything is wrong."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import run

SHOWN = 40


def main() -> int:
    """Run as told."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sagad-fuzz-"))
    folder.chmod(0o755)  # others than we are to reach the socket
    print(f"seed {given.seed}, in {folder}", flush=True)
    found = run(folder, given.cases, given.seed)
    for name, count in sorted(found.counts.items()):
        print(f"{count:>10,}  {name}")
    print(f"{len(found.wrong):>10,}  THINGS WRONG")
    for each in found.wrong[:SHOWN]:
        print(f"- {each}")
    if found.wrong:
        print(f"left for looking at: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
