"""What the unit gives the daemon and keeps from it, seen from inside by a stand-in (`probe.py`)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.machine import REPOSITORY, Machine, wait_until

pytestmark = pytest.mark.slow

PROBE = Path(__file__).with_name("probe.py")
ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as end:
    end.connect("/run/sagad/sagad.sock")
    end.sendall(sys.argv[1].encode())
    print(end.recv(65536).decode())
"""
PROBED = """
[Service]
ExecStart=
ExecStart=/opt/sagad/bin/python /opt/sagad/probe.py
WatchdogSec=1
LoadCredential=token:/etc/sagad/secrets/token
"""

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def probed(machine: Machine) -> Machine:
    """The machine with the socket up, and the stand-in to be started by the first who connects."""
    machine.path("/opt/sagad/probe.py").write_text(PROBE.read_text())
    secrets = machine.path("/etc/sagad/secrets")
    secrets.mkdir(mode=0o700)
    (secrets / "token").write_text("s3cret")
    machine.drop_in("probe.conf", PROBED)
    machine.run("systemctl", "start", "sagad.socket")
    return machine


@pytest.fixture
def ask(probed: Machine) -> Iterator[Ask]:
    """Ask the stand-in, as root or as a user."""

    def ask(expression: str, user: str | None = None) -> Any:
        return json.loads(probed.run("python", "-c", ASK, expression, user=user).stdout)

    yield ask
    # Nothing but what the test has said may have ended it.
    assert probed.show("Result") == "success", probed.log()


def test_the_first_client_starts_the_service(probed: Machine, ask: Ask) -> None:
    """The socket is there before the daemon is."""
    assert probed.show("ActiveState") == "inactive"

    assert ask("1 + 1")["value"] == 2
    assert probed.show("StatusText") == "probe is up"


def test_clients_are_seen_with_their_own_uid(probed: Machine, ask: Ask) -> None:
    """PrivateUsers=yes would make nobody (65534) of all but root; access goes by uid."""
    uid = int(probed.run("id", "-u", "olga").stdout)

    assert [ask("0")["uid"], ask("0", user="olga")["uid"]] == [0, uid]


def test_who_is_not_in_the_group_cannot_connect(probed: Machine) -> None:
    """The socket is root's and group sagad's."""
    refused = probed.run("python", "-c", ASK, "0", user="nina", check=False)

    assert "PermissionError" in refused.stderr


def test_children_get_none_of_the_managers_variables(ask: Ask) -> None:
    """A child that has them could speak to systemd in the daemon's name."""
    theirs = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}

    assert set(ask(f"sorted(set(given) & {theirs})")["value"]) == theirs
    assert ask(f"sorted(set(os.environ) & {theirs})")["value"] == []


def test_secrets_are_read_from_the_credentials_folder(ask: Ask) -> None:
    """The manager reads the file as root and shows it to the daemon alone."""
    assert ask("open('/etc/sagad/secrets/token').read()")["value"] == "PermissionError"
    assert ask("open(os.environ['CREDENTIALS_DIRECTORY'] + '/token').read()")["value"] == "s3cret"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("open('/var/lib/sagad/x', 'w').close()", None),
        ("oct(os.stat('/var/lib/sagad').st_mode)", "0o40700"),
        ("os.statvfs('/srv').f_flag & os.ST_RDONLY", 0),
        ("open('/etc/x', 'w')", "OSError"),
        ("os.listdir('/root')", "PermissionError"),
        ("os.chown('/var/lib/sagad', -1, os.getgid())", None),
        ("os.chown('/var/lib/sagad', 0, 0)", "PermissionError"),
        ("os.setpriority(0, 0, 5)", "PermissionError"),
        ("socket.socket(socket.AF_NETLINK)", "OSError"),
        ("[pid for pid in os.listdir('/proc') if pid == '1']", []),
        ("__import__('subprocess').call(['sh', '-c', 'ulimit -n >/dev/null; exit 3'])", 3),
        ("len(__import__('socket').getaddrinfo('localhost', 80)) > 0", True),
        ("__import__('importlib').import_module('uvloop').__name__", "uvloop"),
    ],
)
def test_the_service_can_do_what_it_needs_and_little_else(ask: Ask, expression: str, value: object) -> None:
    """The state folder and /srv are its own; commands run; the rest fails with an error, not with a signal."""
    assert value == ask(expression)["value"]


def test_a_killed_daemon_takes_its_children_along_and_is_back_for_the_next_request(
    probed: Machine, ask: Ask
) -> None:
    """What it settles at its start has come to rest by then."""
    child = ask("__import__('subprocess').Popen(['sleep', '1000'], start_new_session=True).pid")["value"]
    before = probed.show("MainPID")

    probed.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "sagad.service")

    assert ask("os.getpid()")["value"] != int(before)
    assert not probed.path(f"/proc/{child}").exists()


def test_a_reload_is_seen_until_it_has_ended(probed: Machine, ask: Ask) -> None:
    """RELOADING=1 and READY=1 are what `systemctl status` goes by."""
    ask("0")

    probed.run("systemctl", "reload", "--no-block", "sagad.service")
    wait_until(lambda: probed.show("ActiveState") == "reloading")
    wait_until(lambda: probed.show("ActiveState") == "active")

    assert probed.show("StatusText") == "reloaded"


def test_a_stop_is_no_failure_and_the_socket_stays(probed: Machine, ask: Ask) -> None:
    """Whoever asks next starts it again."""
    ask("0")

    probed.run("systemctl", "stop", "sagad.service")

    assert (probed.show("ActiveState"), probed.show("Result")) == ("inactive", "success")
    assert ask("0")["uid"] == 0


def test_verify_has_nothing_to_say_about_the_units_as_installed(probed: Machine) -> None:
    """It exits with 0 all the same for a misspelt directive, so what it says is what counts."""
    said = probed.run("systemd-analyze", "verify", "sagad.service", "sagad.socket")

    assert said.stderr == ""


def test_the_host_drop_in_opens_the_host_and_is_taken_back_without_a_trace(probed: Machine, ask: Ask) -> None:
    """The state folder changes hands both ways; a mount that a step makes is the host's."""
    ask("open('/var/lib/sagad/kept', 'w').close()")
    drop_in = (REPOSITORY / "systemd" / "sagad-host.conf").read_text()
    probed.drop_in("sagad-host.conf", drop_in)
    probed.run("systemctl", "restart", "sagad.service")

    run = "__import__('subprocess').call"
    assert ask("(os.getuid(), os.stat('/var/lib/sagad/kept').st_uid)")["value"] == [0, 0]
    assert ask("open('/etc/changed', 'w').close()")["value"] is None
    assert ask(f"{run}(['mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])")["value"] == 0
    assert probed.path("/mnt").is_mount()

    probed.path("/etc/systemd/system/sagad.service.d/sagad-host.conf").unlink()
    probed.run("systemctl", "daemon-reload")
    probed.run("systemctl", "restart", "sagad.service")
    assert ask("os.stat('/var/lib/sagad/kept').st_uid == os.getuid() != 0")["value"] is True
