"""sagad itself as a service: activated, killed, reloaded, stopped, refused."""

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.machine import Machine, wait_until

pytestmark = pytest.mark.slow

SOCKET = "/run/sagad/sagad.sock"
SETTINGS = """
[daemon]
shutdown_grace = "500ms"
[providers.command]
allow = ["*"]
"""
UNIT = """
[Service]
WatchdogSec=3
LoadCredential=token:/etc/sagad/secrets/token
"""
HELLO = """
saga: hello
steps:
  - {name: hello, do: test.echo, with: {message: hello}}
"""


@pytest.fixture(scope="module")
def served(machine: Machine) -> Machine:
    """The machine with the socket up and the daemon not started."""
    secrets = machine.path("/etc/sagad/secrets")
    secrets.mkdir(mode=0o700)
    (secrets / "token").write_text("s3cret")
    settings(machine, "tests", SETTINGS)
    machine.path("/srv/hello.yaml").write_text(HELLO)
    machine.drop_in("tests.conf", UNIT)
    machine.run("install", "-d", "-o", "sagad", "/srv/site")
    machine.run("systemctl", "start", "sagad.socket")
    return machine


def settings(machine: Machine, name: str, text: str) -> Path:
    """Add a drop-in to the settings."""
    path = machine.path(f"/etc/sagad/sagad.conf.d/{name}.toml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


class Connection(http.client.HTTPConnection):
    """A connection to the machine's daemon, by its socket as seen from out here; the peer is root."""

    def __init__(self, machine: Machine) -> None:
        """Take the machine."""
        super().__init__("sagad", timeout=60)
        self._path = machine.path(SOCKET)

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(machine: Machine, method: str, route: str, body: object = None) -> Any:
    """Ask the daemon; what it answers, where it has not refused."""
    text = None if body is None else json.dumps(body)
    with closing(Connection(machine)) as connection:
        connection.request(method, route, text, {"Content-Type": "application/json"})
        response = connection.getresponse()
        document = json.loads(response.read())
    assert response.status < 400, (document, machine.log())
    return document


def submit(machine: Machine, *steps: dict[str, Any], wait: str = "") -> Any:
    """Submit a saga of these steps."""
    named = [{"name": f"step{number}", **step} for number, step in enumerate(steps, 1)]
    return ask(machine, "POST", f"/v1/sagas{wait}", {"saga": {"saga": "tried", "steps": named}})


def echo(message: str) -> dict[str, Any]:
    """Make a step that says something."""
    return {"do": "test.echo", "with": {"message": message}}


def sleep(duration: str) -> dict[str, Any]:
    """Make a step that takes its time."""
    return {"do": "test.sleep", "with": {"duration": duration}}


def statuses(saga: Any) -> list[str]:
    """Give the statuses of the saga and its steps."""
    return [saga["status"], *(step["status"] for step in saga["steps"])]


def wait_for(machine: Machine, identity: str, *wanted: str) -> Any:
    """Wait until the saga and its steps have these statuses."""

    def reached() -> bool:
        return statuses(ask(machine, "GET", f"/v1/sagas/{identity}")) == list(wanted)

    wait_until(reached, 15)


def test_a_users_saga_runs_through_the_activated_socket(served: Machine) -> None:
    """The first request starts the daemon and is answered by it."""
    assert served.show("ActiveState") == "inactive"

    done = served.run("sagactl", "submit", "/srv/hello.yaml", "--wait", "30s", "-o", "json", user="olga")

    saga = json.loads(done.stdout)
    assert (saga["status"], saga["submitted_by"]) == ("completed", "olga")
    assert served.show("StatusText") != ""


def test_who_is_not_in_the_group_is_told_how_to_be(served: Machine) -> None:
    """The kernel refuses the connection; sagactl says what mends it."""
    refused = served.run("sagactl", "ls", user="nina", check=False)

    assert refused.returncode == 9
    assert "usermod -aG sagad" in refused.stderr


def test_a_saga_outlives_the_daemon_that_is_killed(served: Machine) -> None:
    """The daemon is back by itself and carries on where it was."""
    saga = submit(served, echo("one"), sleep("2s"), echo("three"))
    wait_for(served, saga["id"], "running", "completed", "running", "pending")

    served.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "sagad.service")

    wait_for(served, saga["id"], "completed", "completed", "completed", "completed")
    assert int(served.show("NRestarts")) == 1


def test_the_drivers_work_inside_the_confinement(served: Machine) -> None:
    """Their system calls are among those allowed, forward and back."""
    file = {"do": "local.file.put", "with": {"path": "/srv/site/page", "content": "new", "mode": "0644"}}
    folder = {"do": "local.directory.create", "with": {"path": "/srv/site/below"}}
    link = {"do": "local.symlink.create", "with": {"path": "/srv/site/link", "target": "page"}}
    run = {"do": "command.run", "with": {"argv": ["sh", "-c", "cat /srv/site/page; sleep 0.1"]}}

    saga = submit(served, file, folder, link, run, wait="?wait=30s")
    failing = submit(
        served,
        {"do": "local.file.update", "with": {"path": "/srv/site/page", "content": "other"}},
        {"do": "local.file.delete", "with": {"path": "/srv/site/page"}},
        {"do": "test.fail", "with": {}},
        wait="?wait=30s",
    )

    assert saga["status"] == "completed", (saga, served.log())
    assert saga["steps"][3]["output"]["stdout"] == "new"
    assert failing["status"] == "rolled_back", (failing, served.log())
    assert served.path("/srv/site/page").read_text() == "new"


def test_a_command_of_a_killed_daemon_is_ended_before_anything_is_settled(served: Machine) -> None:
    """It was not said to be idempotent: nobody knows, so a person decides."""
    saga = submit(served, {"do": "command.run", "with": {"argv": ["sleep", "1001"]}})
    wait_until(lambda: served.run("pgrep", "-f", "sleep 1001", check=False).stdout)

    served.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "sagad.service")
    wait_for(served, saga["id"], "running", "unknown")

    assert ask(served, "GET", f"/v1/sagas/{saga['id']}")["hold"]["reason"] == "attention"
    assert served.run("pgrep", "-f", "sleep 1001", check=False).stdout == ""


def test_a_secret_comes_from_the_credentials_folder_and_stays_out_of_the_answer(served: Machine) -> None:
    """LoadCredential= brings it; its reference stands where it would be shown."""
    saga = submit(served, echo("key ${secret.token}"), wait="?wait=30s")

    assert saga["status"] == "completed", saga
    assert "s3cret" not in json.dumps(saga)


def test_a_reload_keeps_the_daemon_and_its_sagas(served: Machine) -> None:
    """`systemctl reload` returns when the new settings are in force."""
    saga = submit(served, sleep("1s"))
    before = served.show("MainPID")

    served.run("systemctl", "reload", "sagad.service")

    wait_for(served, saga["id"], "completed", "completed")
    assert (served.show("MainPID"), served.show("ActiveState")) == (before, "active")


def test_a_stop_keeps_to_the_grace_and_the_next_start_carries_on(served: Machine) -> None:
    """What does not end within it is settled later: a sleep changes nothing, so it is done again."""
    saga = submit(served, sleep("2500ms"))
    wait_for(served, saga["id"], "running", "running")
    began = time.monotonic()

    served.run("systemctl", "stop", "sagad.service")

    assert time.monotonic() - began < 2.5
    assert (served.show("Result"), served.show("ExecMainStatus")) == ("success", "0")
    wait_for(served, saga["id"], "completed", "completed")


def test_a_restart_loses_no_request(served: Machine) -> None:
    """Who connects in between waits at the socket, which systemd holds."""
    before = ask(served, "GET", "/v1/health") and served.show("MainPID")

    with ThreadPoolExecutor(4) as clients:
        restart = clients.submit(served.run, "systemctl", "restart", "sagad.service")
        done = list(clients.map(lambda _: ask(served, "GET", "/v1/health"), range(200)))
        restart.result()

    assert len(done) == 200
    assert served.show("MainPID") != before


def test_an_idle_daemon_feeds_the_watchdog(served: Machine) -> None:
    """Nothing to do is no reason to be killed."""
    ask(served, "GET", "/v1/health")
    fed = served.show("WatchdogTimestampMonotonic")

    wait_until(lambda: served.show("WatchdogTimestampMonotonic") != fed)


def test_a_daemon_that_hangs_leaves_its_stack_and_is_started_again(served: Machine) -> None:
    """The loop that works feeds the watchdog, and SIGABRT is what faulthandler waits for."""
    ask(served, "GET", "/v1/health")
    before = served.show("MainPID")
    served.run("kill", "-STOP", before)

    wait_until(lambda: served.show("MainPID") not in {"0", before})

    assert "Fatal Python error: Aborted" in served.log()
    assert ask(served, "GET", "/v1/health")


def test_bad_settings_are_said_once(served: Machine) -> None:
    """Starting it again would not make them better: 78, and no restart."""
    wrong = settings(served, "wrong", "[daemon]\nlog_level = 'lots'\n")
    began = int(served.show("NRestarts"))

    served.run("systemctl", "restart", "sagad.service", check=False)
    wrong.unlink()

    assert (served.show("ActiveState"), served.show("ExecMainStatus")) == ("failed", "78")
    assert int(served.show("NRestarts")) in {0, began}
    assert "log_level" in served.log()
    served.run("systemctl", "start", "sagad.service")


def test_a_confined_daemon_is_examined_backed_up_and_restored_as_the_readme_says(served: Machine) -> None:
    """The doctor finds nothing that fails, and the file comes to where the daemon itself can write nothing."""
    saga = submit(served, {"do": "test.echo", "with": {"message": "kept"}})
    wait_for(served, saga["id"], "completed", "completed")
    checks = json.loads(served.run("sagactl", "doctor", "-o", "json").stdout)["checks"]
    served.run("sagactl", "backup", "/root/sagad.tar")
    served.run("systemctl", "stop", "sagad.socket", "sagad.service")
    served.run("sh", "-c", "mkdir /root/old && mv /var/lib/sagad/sagad.db* /root/old/")
    restore = "setpriv --reuid=sagad --regid=sagad --init-groups sagactl restore - --state-dir /var/lib/sagad"
    as_root = served.run(
        "sagactl", "restore", "/root/sagad.tar", "--state-dir", "/var/lib/sagad", check=False
    )
    served.run("sh", "-c", f"{restore} < /root/sagad.tar")
    down = served.run("sagactl", "doctor", "--config", "/etc/sagad/sagad.toml", check=False)
    served.run("systemctl", "start", "sagad.socket")

    assert [each for each in checks if each["status"] == "fail"] == []
    assert (as_root.returncode, "sudo -u sagad" in as_root.stderr) == (8, True)
    assert "fail" not in [line[:4] for line in down.stdout.splitlines()], down.stdout
    assert ask(served, "GET", f"/v1/sagas/{saga['id']}")["status"] == "completed"
    assert ask(served, "GET", "/v1/audit/verify")["ok"]
