"""The daemons that are measured, what they use, and the machine that they run on."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.daemon import Daemon

STEPS = "abc"
ECHOES = [{"name": name, "do": "test.echo", "with": {"message": "x"}} for name in STEPS]
FAIL = {"name": "c", "do": "test.fail"}


def saga(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Give a saga file."""
    return {"saga": "bench", "steps": steps}


@contextmanager
def running(
    folder: Path, settings: str = "", module: tuple[str, ...] = ("orchestrator.daemon",)
) -> Iterator[Daemon]:
    """Run a daemon over a new folder."""
    folder.mkdir()
    daemon = Daemon(folder, settings)
    try:
        daemon.start(module=module)
        yield daemon
        daemon.stop()
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


def resident(daemon: Daemon) -> float:
    """Give the megabytes of memory that it holds now."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def processor(daemon: Daemon) -> tuple[float, float]:
    """Give the seconds of processor time that its loop has used, and all of it."""
    assert daemon.process is not None
    tasks = Path(f"/proc/{daemon.process.pid}/task")
    used = {task.name: int((task / "schedstat").read_text().split()[0]) / 1e9 for task in tasks.iterdir()}
    return used[str(daemon.process.pid)], sum(used.values())


def wait_until_ready(daemon: Daemon, start: float) -> float:
    """Give the milliseconds from ``start`` until it is ready. It is asked more often than ``Daemon.start`` does."""
    while not daemon._is_ready():
        time.sleep(0.002)
    return (time.perf_counter() - start) * 1e3


def syncs(folder: Path, seconds: float) -> float:
    """Give how many 4 KB writes a second are durable here, one after the other."""
    file = os.open(folder / "syncs", os.O_CREAT | os.O_WRONLY)
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        os.pwrite(file, bytes(4096), 4096 * (count % 1_000))
        os.fdatasync(file)
        count += 1
    os.close(file)
    return count / spent


def machine(folder: Path, seconds: float) -> str:
    """Name the machine, in a sentence."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {_memory():.0f} GB, Linux {platform.release()}, {_file_system(folder)},"
        f" {syncs(folder, seconds):,.0f} synced 4 KB writes a second, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}; load while measuring {os.getloadavg()[0]:.1f}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _file_system(folder: Path) -> str:
    """Give the type of the file system that the folder is on."""
    best = ("", "?")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if folder.resolve().is_relative_to(place) and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]


def python() -> str:
    """Give the interpreter's path, beside which the commands are."""
    return sys.executable
