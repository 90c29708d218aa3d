from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from orchestrator.api import SocketTaken, serve
from orchestrator.api.server import make_socket
from tests.api.standin import Running, StandIn


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize("mode", [0o660, 0o600, 0o666])
def test_the_socket_has_its_mode_whatever_the_umask(folder: Path, mode: int, umask: int) -> None:
    """The socket has its mode whatever the umask."""
    before = os.umask(umask)
    try:
        with make_socket(folder / "s", mode):
            assert stat.S_IMODE((folder / "s").stat().st_mode) == mode
    finally:
        os.umask(before)


def test_the_socket_is_never_wider_than_its_mode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between bind and chmod somebody may look at it."""
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    before = os.umask(0)
    try:
        with make_socket(folder / "s", 0o660):
            assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o660
    finally:
        os.umask(before)


def test_a_dead_daemons_socket_is_replaced(folder: Path) -> None:
    """A dead daemons socket is replaced."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "sagad.sock"))
    running = Running(folder / "sagad.sock")
    status = running.ask("GET", "/v1/health").status
    running.stop()

    assert status == 200


def test_a_live_daemons_socket_is_refused_and_left(api: Running) -> None:
    """A live daemons socket is refused and left."""
    with pytest.raises(SocketTaken, match=rf"process {os.getpid()} \(.+\) listens there"):
        make_socket(api.path, 0o660)

    assert api.ask("GET", "/v1/health").status == 200


def test_what_is_no_socket_is_refused_and_left(folder: Path) -> None:
    """What is no socket is refused and left."""
    (folder / "s").write_text("mine")
    with pytest.raises(SocketTaken, match="is no socket"):
        make_socket(folder / "s", 0o660)

    assert (folder / "s").read_text() == "mine"


@pytest.mark.parametrize("name", ["no/such/folder/s", "x" * 200])
def test_a_path_where_no_socket_can_be_is_named(folder: Path, name: str) -> None:
    """A path where no socket can be is named."""
    with pytest.raises(SocketTaken, match=name):
        make_socket(folder / name, 0o660)


def test_the_socket_is_gone_after_the_stop(api: Running) -> None:
    """The socket is gone after the stop."""
    api.stop()

    assert not api.path.exists()


def test_another_daemons_socket_at_the_path_is_left_at_the_stop(api: Running) -> None:
    """Another daemons socket at the path is left at the stop."""
    api.path.unlink()
    with make_socket(api.path, 0o660):
        api.stop()

        assert api.path.exists()


async def test_sockets_that_were_handed_over_are_served_and_left(folder: Path) -> None:
    """As systemd hands them: bound and listening."""
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(folder / "s"))
        given.listen()
        server = await serve(StandIn(), sockets=[given])  # type: ignore[arg-type]  # the stand-in
        reader, writer = await asyncio.open_unix_connection(folder / "s")
        writer.write(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        first = await reader.readline()
        writer.close()
        await writer.wait_closed()
        await server.close(1)

    assert first == b"HTTP/1.1 200 OK\r\n"
    assert (folder / "s").exists()


async def test_who_has_connected_just_before_a_stop_is_heard(folder: Path) -> None:
    """The request comes when nobody is taken in any more; who says nothing is not waited for."""
    with make_socket(folder / "s", 0o660) as given:
        server = await serve(StandIn(), sockets=[given])  # type: ignore[arg-type]  # the stand-in
        reader, writer = await asyncio.open_unix_connection(folder / "s")
        _, silent = await asyncio.open_unix_connection(folder / "s")
        stop = asyncio.create_task(server.close(1))
        await asyncio.sleep(0.02)
        writer.write(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        first = await reader.readline()
        await stop
        for each in (writer, silent):
            each.close()

    assert first == b"HTTP/1.1 200 OK\r\n"


async def test_who_comes_over_the_network_has_no_role() -> None:
    """Nobody can tell who that is."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        server = await serve(StandIn(), sockets=[given])  # type: ignore[arg-type]  # the stand-in
        reader, writer = await asyncio.open_connection(*given.getsockname())
        writer.write(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        first = await reader.readline()
        writer.close()
        await writer.wait_closed()
        await server.close(1)

    assert first == b"HTTP/1.1 403 Forbidden\r\n"
