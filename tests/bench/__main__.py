"""Measure and print: see the package."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import disk, rates, sizes
from tests.bench.client import client
from tests.bench.figures import Figure, table
from tests.bench.node import ECHOES, machine, running, saga

ROOT = Path(__file__).parents[2]
GROUPS = ("rates", "disk", "memory", "recovery", "starts", "files")


class Measuring:
    """Each group of figures, in full or only to see that it works."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self._folder = folder
        self._quick = quick
        self._timing = rates.Timing(0.05, 0.1, 1) if quick else rates.Timing()

    def rates(self) -> list[Figure]:
        """Sagas of three echoes."""
        return rates.measure(self._folder / "rates", self._timing)

    def files(self) -> list[Figure]:
        """Sagas of three files."""
        return rates.measure(self._folder / "files", self._timing, of_files=True)

    def disk(self) -> list[Figure]:
        """Appending and reading."""
        return disk.measure(
            self._folder / "disk", times=5 if self._quick else 500, runs=1 if self._quick else 5
        )

    def memory(self) -> list[Figure]:
        """How much it holds."""
        if self._quick:
            return sizes.memory(self._folder / "memory", sagas=50, warm_up=0.1)
        return sizes.memory(self._folder / "memory", sagas=10_000, warm_up=3)

    def recovery(self) -> list[Figure]:
        """How soon it is back."""
        if self._quick:
            return sizes.recovery(self._folder / "recovery", sagas=50, runs=1)
        return sizes.recovery(self._folder / "recovery", sagas=10_000, runs=3)

    def starts(self) -> list[Figure]:
        """How soon it is there."""
        return sizes.starts(self._folder / "starts", runs=1 if self._quick else 7)


def profile(folder: Path, seconds: float) -> str:
    """Give where the loop's time goes at 100 in flight."""
    report = folder / "profile.txt"
    with (
        running(folder / "profile", module=("tests.bench.sampled", str(report))) as daemon,
        client(daemon.socket, saga(ECHOES), in_flight=100) as driver,
    ):
        driver.run(seconds=seconds / 10)
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGUSR2)
        driver.run(seconds=seconds)
    return report.read_text("utf-8")


def write(file: Path, name: str, text: str) -> None:
    """Put the text between the file's marks of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before = file.read_text("utf-8")
    if begin not in before or end not in before:
        sys.exit(f"{file} has no place for it: {begin} … {end}")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    file.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", before), "utf-8")


def tables(groups: list[str], measuring: Measuring) -> Iterator[str]:
    """Measure group by group; the files have a table of their own."""
    measure: dict[str, Callable[[], list[Figure]]] = {name: getattr(measuring, name) for name in GROUPS}
    figures: list[Figure] = []
    for name in groups:
        if name != "files":
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            figures += measure[name]()
    if figures:
        yield table("figure", figures)
    if "files" in groups:
        print("measuring files …", file=sys.stderr, flush=True)
        yield table("figure, three `local.file` steps", measure["files"]())


def main() -> None:
    """Print the tables, and write them down where asked."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure the figures of SPEC §11."
    )
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"which: {', '.join(GROUPS)}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="hardly measure, only see that everything works")
    parser.add_argument("--profile", action="store_true", help="find out where the time goes instead")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into this file, too")
    given = parser.parse_args()
    if unknown := set(given.groups) - set(GROUPS):
        parser.error(f"there is no {', '.join(sorted(unknown))}: there are {', '.join(GROUPS)}")
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as folder:
        where = Path(folder)
        if given.profile:
            name, text = "profile", f"```\n{profile(where, 1 if given.quick else 15)}```"
        else:
            measured = "\n\n".join(tables(given.groups or [*GROUPS], Measuring(where, quick=given.quick)))
            today = datetime.now(UTC).date().isoformat()
            name, text = (
                "figures",
                f"{measured}\n\nMeasured {today} on {machine(where, 0.05 if given.quick else 1)}",
            )
    print(text)
    if given.write:
        write(given.write, name, text)


if __name__ == "__main__":
    main()
