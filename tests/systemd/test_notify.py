"""What the daemon tells a service manager, and what it takes over from one."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.notify import Notifier, listen_sockets, watchdog_interval

PID = str(os.getpid())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(1)
        yield end


@pytest.fixture
def notifier(manager: socket.socket) -> Notifier:
    """What the daemon speaks through."""
    return Notifier.from_environ({"NOTIFY_SOCKET": manager.getsockname()})


@pytest.mark.parametrize(
    ("say", "heard"),
    [
        (Notifier.ready, b"READY=1"),
        (Notifier.stopping, b"STOPPING=1"),
        (Notifier.watchdog, b"WATCHDOG=1"),
        (lambda notifier: notifier.status("3 sagas running"), b"STATUS=3 sagas running"),
        (lambda notifier: notifier.extend_timeout(5_000_000), b"EXTEND_TIMEOUT_USEC=5000000"),
    ],
)
def test_each_message_is_as_sd_notify_has_it(
    manager: socket.socket, notifier: Notifier, say: Callable[[Notifier], None], heard: bytes
) -> None:
    """Each method sends one datagram with one assignment."""
    say(notifier)

    assert heard == manager.recv(4096)


def test_reloading_carries_the_time_on_the_monotonic_clock(
    manager: socket.socket, notifier: Notifier
) -> None:
    """Systemd wants both in one message, and compares the time with its own clock."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    notifier.reloading()

    reloading, _, usec = manager.recv(4096).partition(b"\nMONOTONIC_USEC=")
    assert reloading == b"RELOADING=1"
    assert before <= int(usec) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_with_line_breaks_stays_one_assignment(manager: socket.socket, notifier: Notifier) -> None:
    """What a step's name brings into a status cannot say more than a status."""
    notifier.status("running\nREADY=1 \udcff")

    assert manager.recv(4096) == b"STATUS=running READY=1 ?"


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    """Containers and user managers use names that are in no folder."""
    name = f"sagad-test-{PID}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        end.settimeout(1)

        Notifier.from_environ({"NOTIFY_SOCKET": f"@{name}"}).ready()

        assert end.recv(4096) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_manager_nothing_is_said(environ: dict[str, str]) -> None:
    """No address, or one of a kind that is not known, makes every message a no-op."""
    Notifier.from_environ(environ).ready()

    assert environ == {}


@pytest.mark.parametrize("address", ["/nowhere/at/all", "/" + "x" * 200])
def test_a_manager_that_is_gone_is_no_reason_to_fail(address: str) -> None:
    """A message that cannot be sent is dropped."""
    Notifier.from_environ({"NOTIFY_SOCKET": address}).ready()


@pytest.mark.slow
def test_a_manager_that_does_not_read_holds_the_daemon_up_only_briefly(
    manager: socket.socket, notifier: Notifier
) -> None:
    """A datagram socket has a short queue (net.unix.max_dgram_qlen); a blocking send would wait for ever."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler, suppress(BlockingIOError):
        filler.setblocking(False)
        while True:
            filler.sendto(b"-", manager.getsockname())
    began = time.monotonic()

    notifier.watchdog()

    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": PID}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0", "WATCHDOG_PID": PID}, None),
        ({"WATCHDOG_USEC": "soon", "WATCHDOG_PID": PID}, None),
        ({"WATCHDOG_PID": PID}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(
    environ: dict[str, str], seconds: float | None
) -> None:
    """sd_watchdog_enabled(3): half of the time, only where the process meant is this one."""
    assert seconds == watchdog_interval(environ)
    assert environ == {}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_PID": PID, "LISTEN_FDS": "0"},
        {"LISTEN_PID": PID, "LISTEN_FDS": "-1"},
        {"LISTEN_PID": PID, "LISTEN_FDS": "many"},
        {"LISTEN_PID": PID},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "sagad.socket"},
    ],
)
def test_sockets_that_are_not_for_this_process_are_left_alone(environ: dict[str, str]) -> None:
    """sd_listen_fds(3): only where the process meant is this one; the variables go either way."""
    assert listen_sockets(environ) == []
    assert environ == {}


TAKES_OVER = """
import fcntl, os, sys
for wanted, given in enumerate([fcntl.fcntl(int(given), fcntl.F_DUPFD, 50) for given in sys.argv[1:]], 3):
    os.dup2(given, wanted)
from orchestrator.notify import listen_sockets
os.environ["LISTEN_PID"] = str(os.getpid())  # as systemd does between fork and exec
first, second = listen_sockets(os.environ)
assert not {name for name in os.environ if name.startswith("LISTEN_")}, os.environ
assert (first.fileno(), second.fileno()) == (3, 4)
assert not first.get_inheritable() and not second.get_inheritable()
first.accept()[0].sendall(second.getsockname().encode())
"""


@pytest.mark.slow
def test_sockets_are_taken_over_and_kept_from_children(tmp_path: Path) -> None:
    """Descriptors count from 3, so this needs a process of its own."""
    with _listening(tmp_path / "first") as first, _listening(tmp_path / "second") as second:
        given = (first.fileno(), second.fileno())
        child = subprocess.Popen(
            [sys.executable, "-c", TAKES_OVER, *map(str, given)],
            pass_fds=given,
            env={"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"},
            cwd=Path(__file__).parents[2],
        )
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(tmp_path / "first"))

        assert client.recv(4096) == str(tmp_path / "second").encode()
    assert child.wait(10) == 0


def _listening(path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX)
    end.bind(str(path))
    end.listen()
    return end
