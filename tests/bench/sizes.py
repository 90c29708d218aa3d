"""Memory, and how long it takes to be ready: for the first time, and after kill -9 with much in flight."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.bench.client import client
from tests.bench.figures import Figure
from tests.bench.node import ECHOES, python, resident, running, saga, wait_until_ready
from tests.daemon import Daemon

IN_FLIGHT = "[limits]\nsagas_in_flight = {}\n"


def memory(folder: Path, *, sagas: int, warm_up: float) -> list[Figure]:
    """Measure one daemon idle, then with many sagas waiting for an hour, then another one after work."""
    with running(folder) as daemon:
        idle = resident(daemon)
        timer = {"name": "wait", "do": "wait.timer", "with": {"duration": "1h"}}
        with client(daemon.socket, saga([timer]), in_flight=100, expect="", wait=False) as driver:
            load = driver.run(count=sagas)
        daemon.wait_until(
            lambda: daemon.ask("GET", "/v1/health")[1]["in_memory"] == 0, 60, "all have left memory"
        )
        waiting = resident(daemon)
    with running(folder.with_name(f"{folder.name}-worked")) as daemon:
        with client(daemon.socket, saga(ECHOES), in_flight=100) as driver:
            driver.run(seconds=warm_up)
        worked = resident(daemon)
    return [
        Figure(what="resident memory, idle", values=[idle], unit=" MB", goal=52, digits=1),
        Figure(what=f"… with {sagas:,} sagas waiting", values=[waiting], unit=" MB", goal=64, digits=1),
        Figure(what="… submitted, per second, 100 at a time", values=[load.rate]),
        Figure(what=f"… after {warm_up:g} s of sagas, 100 in flight", values=[worked], unit=" MB", digits=1),
    ]


def recovery(folder: Path, *, sagas: int, runs: int) -> list[Figure]:
    """Kill a daemon that has all these sagas in memory, each in a driver's call, and start it again."""
    sleep = {"name": "sleep", "do": "test.sleep", "with": {"duration": "1h"}}
    ready: list[float] = []
    steered: list[float] = []
    with running(folder, IN_FLIGHT.format(sagas)) as daemon:
        with client(daemon.socket, saga([sleep]), in_flight=100, expect="", wait=False) as driver:
            driver.run(count=sagas)
        id_ = daemon.ask("GET", "/v1/sagas?limit=1")[1]["sagas"][0]["id"]
        for number in range(runs):
            daemon.kill()
            start = time.perf_counter()
            _start(daemon)
            ready.append(wait_until_ready(daemon, start) / 1e3)
            status, answer = daemon.say(id_, "pause" if number % 2 == 0 else "resume")
            steered.append(time.perf_counter() - start)
            assert status == 200, answer
        daemon.kill()
    return [
        Figure(what=f"ready again after kill -9 with {sagas:,} sagas in flight", values=ready, unit=" s", goal=3,
               digits=2),
        Figure(what="… and one of them told to pause or resume", values=steered, unit=" s", digits=2),
    ]  # fmt: skip


def _start(daemon: Daemon) -> None:
    command = [python(), "-m", "orchestrator.daemon", "--config", str(daemon.config)]
    command += ["--state-dir", str(daemon.state), "--socket", str(daemon.socket)]
    with daemon.log.open("ab") as log:
        daemon.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def starts(folder: Path, *, runs: int) -> list[Figure]:
    """Start over a new folder, and ask the command line for help."""
    cold: list[float] = []
    for number in range(runs):
        (folder / str(number)).mkdir(parents=True)
        daemon = Daemon(folder / str(number))
        start = time.perf_counter()
        _start(daemon)
        cold.append(wait_until_ready(daemon, start))
        daemon.stop()
    command = [str(Path(python()).with_name("sagactl")), "--help"]
    helped: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        helped.append((time.perf_counter() - start) * 1e3)
    return [
        Figure(what="cold start to ready", values=cold, unit=" ms", goal=400),
        Figure(what="`sagactl --help`", values=helped, unit=" ms", goal=150),
    ]
