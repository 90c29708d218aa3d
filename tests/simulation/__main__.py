"""`python -m tests.simulation`: plays seeds and tells what was injected and what was broken. See `make help`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

import msgspec

from tests.simulation.campaign import Player, Verdict, verdicts
from tests.simulation.laws import LAWS
from tests.simulation.regressions import FILE, Regression, regressions
from tests.simulation.scenario import Scenario, random_scenario
from tests.simulation.shrink import shrink, size

SAID = 5.0
"""Seconds between two lines of progress."""


def main() -> int:
    """Do as the command line says; give the exit code."""
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of a set of texts would be another in each process, and a seed would not be a run.
        arguments = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "PYTHONHASHSEED": "0"})
    if options.seed is None and not options.regressions:
        return _many(options)
    player = Player()
    try:
        return _again(player) if options.regressions else _one(player, options)
    finally:
        player.tidy()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many runs")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes; 0: one a core")
    parser.add_argument("--until", choices=LAWS, help="stop when this law was broken")
    parser.add_argument("--seed", type=int, help="this run alone, and what is the smallest one like it")
    parser.add_argument("--keep", action="store_true", help=f"with --seed: add it to {FILE.name}")
    parser.add_argument("--regressions", action="store_true", help=f"the runs of {FILE.name}")
    return parser.parse_args()


# --- many ------------------------------------------------------------------------------------------------------------


def _many(options: argparse.Namespace) -> int:
    began = said = time.monotonic()
    played, busy, broken, counts = 0, 0.0, list[Verdict](), Counter[str]()
    jobs = options.jobs or os.cpu_count() or 1
    for chunk in verdicts(options.first, options.seeds, jobs):
        played, busy = played + chunk.seeds, busy + chunk.seconds
        counts.update(chunk.counts)
        for verdict in chunk.broken:
            _say(f"seed {verdict.seed} breaks `{verdict.law}`: {verdict.how}")
            _say(f"    make simulate SEED={verdict.seed}")
        broken += chunk.broken
        if any(verdict.law == options.until for verdict in broken):
            break
        if time.monotonic() - said > SAID:
            said = time.monotonic()
            _say(_progress(played, options.seeds, said - began, busy, len(broken)))
    _say(_progress(played, options.seeds, time.monotonic() - began, busy, len(broken)))
    _tell(counts, broken)
    return 1 if broken else 0


def _progress(played: int, of: int, seconds: float, busy: float, broken: int) -> str:
    rate, core = played / max(seconds, 0.001), played / max(busy, 0.001)
    return f"{played:,} of {of:,} seeds, {rate:.0f} a second, {core:.0f} a core's second, {broken} violations"


def _tell(counts: Counter[str], broken: list[Verdict]) -> None:
    _say("\nwhat happened:")
    for what, number in sorted(counts.items()):
        _say(f"  {number:>9,}  {what}")
    _say("\nviolations:")
    by_law = Counter(verdict.law for verdict in broken)
    for law, sentence in LAWS.items():
        _say(f"  {by_law[law]:>9,}  {law:<9} {sentence}")


# --- one -------------------------------------------------------------------------------------------------------------


def _one(player: Player, options: argparse.Namespace) -> int:
    scenario = random_scenario(options.seed)
    verdict = player.play(scenario)
    _say(f"seed {verdict.seed}: {size(scenario)}; digest {verdict.digest[:16]}")
    if verdict.law is None:
        _say("no law is broken")
        return 0
    _say(f"breaks `{verdict.law}`: {verdict.how}")
    small = shrink(scenario, lambda each: _breaks(player, each, verdict.law))
    found = player.play(small)
    _say(f"\nthe smallest like it: {size(small)}\n  {found.how}\n")
    _say(msgspec.json.format(msgspec.json.encode(small)).decode())
    if options.keep:
        line = Regression(law=str(verdict.law), why=verdict.how, scenario=small)
        with FILE.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        _say(f"added to {FILE}; say there in `why` what was wrong")
    return 1


def _breaks(player: Player, scenario: Scenario, law: str | None) -> bool:
    return player.play(scenario).law == law


def _again(player: Player) -> int:
    broken = 0
    for each in regressions():
        verdict = player.play(each.scenario)
        if verdict.law is not None:
            broken += 1
            _say(f"seed {each.scenario.seed} ({each.why}) breaks `{verdict.law}` again: {verdict.how}")
    _say(f"{len(regressions())} runs that once broke a law: {broken} violations")
    return 1 if broken else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Connections of daemons that died may still be open; to close them now the disk would have to outlive the interpreter.
    os._exit(code)
