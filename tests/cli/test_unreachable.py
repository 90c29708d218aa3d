"""What cannot be reached, told apart: each with the exact command that mends it, exit 9, never a traceback."""

from __future__ import annotations

import grp
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Sagactl, environment
from tests.cli.standin import Raw, Run, StandIn, saga_document

pytestmark = pytest.mark.slow


def test_no_socket(sagactl: Sagactl, socket_path: Path) -> None:
    """The daemon was never started: here is how."""
    ended = sagactl("ls")

    assert (ended.returncode, ended.stdout) == (9, "")
    assert f"there is no socket at {socket_path}" in ended.stderr
    assert "start it as it was started before" in ended.stderr


def test_no_socket_of_the_machines_daemon(sagactl: Sagactl) -> None:
    """The machine's daemon is started by systemd."""
    ended = sagactl("ls", "--socket", "/run/sagad/sagad.sock")
    if ended.returncode != 9:
        pytest.skip("a daemon runs on this machine")

    assert "sudo systemctl start sagad" in ended.stderr


def test_a_stale_socket(daemon: StandIn, sagactl: Sagactl) -> None:
    """A daemon that was killed leaves its socket lying about."""
    daemon.stop()
    ended = sagactl("ls")

    assert ended.returncode == 9
    assert "nobody is behind it" in ended.stderr


def test_something_else_in_the_sockets_place(sagactl: Sagactl, socket_path: Path) -> None:
    """A plain file refuses connections just as a stale socket does; it is another mistake."""
    socket_path.write_text("")
    ended = sagactl("ls")

    assert ended.returncode == 9
    assert "is not a socket" in ended.stderr


def test_a_path_too_long_for_a_socket(sagactl: Sagactl) -> None:
    """The kernel takes 107 bytes."""
    ended = sagactl("ls", SAGAD_SOCKET="/tmp/" + "x" * 200)

    assert ended.returncode == 9
    assert "too long" in ended.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="root is needed to become somebody else")
def test_a_socket_that_one_may_not_use(daemon: StandIn, sagactl: Sagactl, socket_path: Path) -> None:
    """The group that would let one in is named."""
    group = next(each for each in grp.getgrall() if each.gr_gid not in (0, 65534))
    os.chown(socket_path, 0, group.gr_gid)
    socket_path.chmod(0o660)
    socket_path.parent.chmod(0o755)
    # Somebody else may not even be able to read this Python's library, so all is loaded before.
    program = """if True:
        import grp, os, sys
        import orchestrator.cli.client, orchestrator.cli.listing, orchestrator.cli.text
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        sys.exit(orchestrator.cli.main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", program, "ls"],
        env=environment(socket_path),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert ended.returncode == 9
    assert f"sudo usermod -aG {group.gr_name} $USER" in ended.stderr
    assert "log in again" in ended.stderr


def test_a_full_queue_is_waited_out(sagactl: Sagactl, socket_path: Path) -> None:
    """A unix socket whose queue is full refuses at once, where TCP would wait; a busy daemon is not a dead one."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(socket_path))
    listener.listen(0)
    in_the_way = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    in_the_way.connect(str(socket_path))

    def take_them_late() -> None:
        time.sleep(0.5)
        listener.accept()[0].close()
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"sagas":[]}')
        connection.close()

    late = threading.Thread(target=take_them_late)
    late.start()
    ended = sagactl("ls")
    late.join()
    listener.close()
    in_the_way.close()

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "reply", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"]
)
def test_an_answer_that_breaks_off_or_is_none(daemon: StandIn, sagactl: Sagactl, reply: bytes) -> None:
    """A daemon that dies in the middle, and what is no daemon at all."""

    def break_off(request: Raw) -> None:
        request.wfile.write(reply)
        request.close_connection = True

    daemon.on("GET", "/v1/sagas", break_off)
    ended = sagactl("ls")

    assert (ended.returncode, ended.stdout) == (9, "")
    assert ended.stderr.startswith("error: ")
    assert "bug" not in ended.stderr


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff\xfe"])
def test_an_answer_that_is_no_json(daemon: StandIn, sagactl: Sagactl, body: bytes) -> None:
    """Some other server sits on the socket."""
    daemon.on("GET", "/v1/sagas", (200, body))
    ended = sagactl("ls")

    assert ended.returncode == 9
    assert "does not speak as sagad does" in ended.stderr


def test_a_refusal_without_a_problem_document(daemon: StandIn, sagactl: Sagactl) -> None:
    """A bare 500 still is an error with a word to it."""
    daemon.on("GET", "/v1/sagas", (500, b"oops"))
    ended = sagactl("ls")

    assert ended.returncode == 1
    assert "the daemon answered 500" in ended.stderr


def test_another_version_is_said_on_stderr(daemon: StandIn, sagactl: Sagactl) -> None:
    """The answer counts all the same."""
    daemon.version = "9.8.7"
    daemon.on("GET", "/v1/sagas", (200, {"sagas": []}))
    ended = sagactl("ls", "-o", "json")

    assert ended.returncode == 0
    assert ended.stdout == '{"sagas": []}\n'
    assert "the daemon is sagad 9.8.7" in ended.stderr


def test_version_names_both(daemon: StandIn, sagactl: Sagactl) -> None:
    """With no daemon there is still sagactl's own."""
    assert sagactl("version").stdout == f"sagactl {daemon.version}\nsagad {daemon.version}\n"
    daemon.stop()
    ended = sagactl("version")
    assert (ended.returncode, ended.stdout) == (9, f"sagactl {daemon.version}\n")


def test_a_lost_daemon_during_a_wait_names_the_saga(
    daemon: StandIn, sagactl: Sagactl, tmp_path: Path
) -> None:
    """A refusal in the middle of a wait ends it, and says that the saga goes on."""
    run = Run(daemon)
    run.happens("saga.submitted")
    daemon.on("POST", "/v1/sagas", (201, saga_document(status="pending")))
    daemon.on("GET", f"/v1/sagas/{run.saga['id']}", (403, {"detail": "you may not look"}))
    (tmp_path / "a.yaml").write_text("saga: a")
    ended = sagactl("submit", "--wait", str(tmp_path / "a.yaml"))

    assert ended.returncode == 8
    assert "you may not look" in ended.stderr
    assert f"saga {run.saga['id']} goes on" in ended.stderr
