"""Who has no right to change anything changes nothing, by whatever route."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.api.routes import ROUTES
from orchestrator.requests import VERBS
from tests.daemon import Daemon
from tests.faults.folder import saga
from tests.security.others import Asked, ask_as

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else"),
]

ECHO: dict[str, Any] = {"name": "echo", "do": "test.echo", "with": {"message": "hello"}}
HOUR: dict[str, Any] = {"name": "wait", "do": "wait.timer", "with": {"duration": "1h"}}
HARMLESS = {"/v1/validate", "/v1/rehearse"}
"""POSTs that only compute."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One that lets everybody connect, and bin look."""
    with tempfile.TemporaryDirectory(prefix="sagad-") as made:
        Path(made).chmod(0o755)
        with Daemon(Path(made), '[daemon]\nsocket_mode = "0666"\n[access]\nviewer = ["bin"]\n') as started:
            yield started


def content(daemon: Daemon) -> list[str]:
    """Give all that is in the database."""
    with closing(sqlite3.connect(f"file:{daemon.state / 'sagad.db'}?mode=ro", uri=True)) as db:
        return list(db.iterdump())


def every_route(live: str, batch: str) -> Iterator[Asked]:
    """Give a request for each route that would do something if whoever sends it might."""
    submission = {"saga": saga("sneaked-in", [ECHO])}
    bodies: dict[str, Any] = {
        "/v1/sagas": submission,
        "/v1/batches": {"batch": "sneaked-in", "sagas": [submission]},
        "/v1/validate": submission,
        "/v1/rehearse": submission,
    }
    needs = {"step": "wait", "as": "done", "reason": "why not"}
    for route in ROUTES:
        path = route.path.replace("{id}", batch if "batches" in route.path else live)
        path = path.replace("{type}/{name}", "local.file/%2Fetc%2Fmotd")
        verb = path.rpartition("/")[2]
        body = bodies.get(route.path)
        if verb in VERBS and "sagas" in path:
            body = {name: needs[name] for name in VERBS[verb].needs} | (
                submission if verb == "correct" else {}
            )
        yield route.method, path, (body or {}) if route.method == "POST" else None


def test_a_viewer_can_write_nothing_through_any_route(daemon: Daemon) -> None:
    """Every route of the table, as it would do something: what writes is refused, and nothing has changed."""
    live = daemon.submit(saga("live", [ECHO, HOUR]), wait=None)["id"]
    daemon.wait_until(lambda: daemon.saga(live)["waiting"] is not None, 10, "it waits")
    many = {"batch": "some", "sagas": [{"saga": saga("member", [ECHO])}]}
    batch = daemon.ask("POST", "/v1/batches?wait=20s", many)[1]["id"]
    asked = list(every_route(live, batch))
    before = content(daemon)
    said = ask_as("bin", daemon.socket, asked)
    writes = [
        (method, path, status)
        for (method, path, _), (status, _) in zip(asked, said, strict=True)
        if method != "GET" and path not in HARMLESS
    ]

    assert len(asked) == len(ROUTES)
    assert len(writes) > 15
    assert [each for each in writes if each[2] != 403] == []
    assert [status for status, _ in said if status >= 500 or status == 0] == []
    assert content(daemon) == before
    assert daemon.saga(live)["status"] == "running"


def test_the_same_requests_of_an_admin_do_something(daemon: Daemon) -> None:
    """Else the test above would prove nothing."""
    live = daemon.submit(saga("live", [ECHO, HOUR]), wait=None)["id"]
    many = {"batch": "some", "sagas": [{"saga": saga("member", [ECHO])}]}
    batch = daemon.ask("POST", "/v1/batches?wait=20s", many)[1]["id"]
    asked = [each for each in every_route(live, batch) if each[0] == "POST" and not each[1].endswith("drain")]
    said = {
        path: status
        for (_, path, _), (status, _) in zip(asked, ask_as("root", daemon.socket, asked), strict=True)
    }

    assert 403 not in said.values()
    assert said["/v1/sagas"] == 201
    assert said[f"/v1/sagas/{live}/cancel"] == 200


def test_other_methods_write_nothing_either(daemon: Daemon) -> None:
    """There are none."""
    asked: list[Asked] = [(method, "/v1/sagas", {}) for method in ("PUT", "PATCH", "DELETE")]

    assert {status for status, _ in ask_as("bin", daemon.socket, asked)} <= {403, 405}


def test_who_has_no_role_is_not_told_what_there_is(daemon: Daemon) -> None:
    """Not even by what is refused: every route, and one that is none, answers alike."""
    asked = [*every_route("last", "last"), ("GET", "/v1/nothing", None)]

    assert {status for status, _ in ask_as("nobody", daemon.socket, asked)} == {403}


def test_by_default_another_user_cannot_connect_at_all() -> None:
    """Also where the folder lets them see the socket; and in the state folder they see nothing."""
    with tempfile.TemporaryDirectory(prefix="sagad-") as made:
        Path(made).chmod(0o755)
        with Daemon(Path(made)) as daemon:
            said = ask_as("nobody", daemon.socket, [("GET", "/v1/health", None)])
            modes = {path.name: path.lstat().st_mode & 0o077 for path in daemon.state.rglob("*")}

            assert said == [(0, "PermissionError")]
            assert daemon.state.stat().st_mode & 0o777 == 0o700
            assert {name for name, mode in modes.items() if mode} == set()
            assert {"sagad.db", "node.key", "lock", "head", "blobs"} <= modes.keys()
