import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from providers import processes

pytestmark = pytest.mark.slow


@pytest.fixture
def key() -> str:
    """A key of this test's own: the look goes through the whole machine."""
    return f"test-{os.getpid()}-{time.monotonic_ns()}"


class Shell:
    """A shell in a session of its own that carries the key, as a command's child does; it says when it is ready."""

    def __init__(self, key: str, script: str) -> None:
        self.popen = subprocess.Popen(
            ["/bin/sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], processes.MARK: key},
        )

    def line(self) -> str:
        """Give the next line of what it says."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def close(self) -> None:
        """End what the test has left of it."""
        for process in processes._look("no such key", {self.popen.pid}):
            os.kill(process.pid, signal.SIGKILL)
        self.popen.kill()
        self.popen.communicate()


@pytest.fixture
def shells() -> Iterator[list[Shell]]:
    """A list to put shells in; they are gone after the test."""
    started: list[Shell] = []
    yield started
    for shell in started:
        shell.close()


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def test_nothing_to_end_ends_at_once(key: str) -> None:
    """The end of an execution that has no processes is not an error."""
    with anyio.fail_after(5):
        await processes.end(key)


async def test_whatever_carries_the_key_or_is_in_its_session_is_ended(key: str, shells: list[Shell]) -> None:
    """A process that left the session, and one that dropped its environment, are found all the same."""
    shells.append(
        Shell(
            key,
            "setsid sh -c 'echo $$; exec sleep 60' & wait_for=$!; "
            "env -i /bin/sh -c 'echo $$; exec sleep 60' & echo $$; wait",
        )
    )
    pids = [int(shells[0].line()) for _ in range(3)]
    assert all(map(is_alive, pids))

    await processes.end(key)

    assert [is_alive(pid) for pid in pids] == [False, False, False]


async def test_another_key_is_left_alone(key: str, shells: list[Shell]) -> None:
    """A key that begins with the same letters is another key."""
    shells += [Shell(f"{key}0", "echo ready; exec sleep 60"), Shell(f"x{key}", "echo ready; exec sleep 60")]
    assert [shell.line() for shell in shells] == ["ready", "ready"]

    await processes.end(key)

    assert [is_alive(shell.popen.pid) for shell in shells] == [True, True]


async def test_sigterm_comes_first_and_is_given_time(key: str, shells: list[Shell]) -> None:
    """A program that puts things in order on SIGTERM gets to do so."""
    shells.append(Shell(key, "trap 'echo in order; exit 0' TERM; echo ready; while :; do sleep 0.01; done"))
    assert shells[0].line() == "ready"

    await processes.end(key)

    assert shells[0].line() == "in order"


async def test_sigkill_follows_where_sigterm_is_ignored(key: str, shells: list[Shell]) -> None:
    """After the grace nothing is asked any more."""
    shells.append(Shell(key, "trap '' TERM; echo ready; while :; do sleep 0.01; done"))
    assert shells[0].line() == "ready"

    await processes.end(key, grace=0.05)

    assert not is_alive(shells[0].popen.pid)
    assert shells[0].popen.wait() == -signal.SIGKILL


async def test_a_process_that_has_ended_but_is_not_reaped_counts_as_gone(
    key: str, shells: list[Shell]
) -> None:
    """A zombie runs nothing; its parent, perhaps this very daemon, reaps it later."""
    shells.append(Shell(key, "exit 0"))
    os.waitid(os.P_PID, shells[0].popen.pid, os.WEXITED | os.WNOWAIT)

    with anyio.fail_after(5):
        await processes.end(key, session=shells[0].popen.pid)


def test_a_number_given_anew_is_not_signalled(key: str, shells: list[Shell]) -> None:
    """Between the look and the signal the process may end and its number go to a stranger."""
    shells.append(Shell(key, "echo ready; exec sleep 60"))
    assert shells[0].line() == "ready"
    while not (found := processes._members(key, set())):
        pass  # it is in the middle of its exec, where it has no environment for a moment
    (seen,) = found

    processes._signal(seen._replace(started=seen.started - 1), signal.SIGKILL)

    assert is_alive(seen.pid)


def test_the_daemon_itself_is_never_a_member() -> None:
    """A daemon that was itself started by a command.run must not end itself or its session."""
    own = os.getsid(0)
    environment = Path("/proc/self/environ").read_bytes()

    assert os.getpid() not in {process.pid for process in processes._look("none", {own})}
    assert b"SAGAD_EXECUTION=none" not in environment
