"""The settings read again while the daemon runs: what changes at once, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.faults.folder import saga

OPEN = """
[providers.local]
roots = ["{folder}"]
[providers.command]
allow = ["*"]
[providers.http]
allow = ["*"]
"""
CLOSED = """
[daemon]
socket_mode = "0600"
[secrets]
dir = "{folder}/secrets"
[supervisor]
max_restarts = 1
[providers.local]
roots = ["{folder}/site"]
[providers.command]
allow = ["/usr/bin/true"]
[providers.http]
allow = ["http://127.0.0.1:9/"]
[providers.digitalocean]
token = "token"
"""
FORBIDDEN: list[dict[str, Any]] = [
    {"do": "local.file.put", "with": {"path": "{folder}/page", "content": "x"}},
    {"do": "local.file.put", "with": {"path": "{folder}/state/page", "content": "x"}},
    {"do": "command.run", "with": {"argv": ["/bin/sh", "-c", "true"]}},
    {"do": "http.request", "with": {"method": "GET", "url": "http://127.0.0.1:7/"}},
]


@pytest.fixture
def reloaded(tmp_path: Path) -> Any:
    """A daemon that was started open, and has read narrower settings since; with its answer."""
    daemon = Daemon(tmp_path, OPEN.replace("{folder}", str(tmp_path))).start()
    (tmp_path / "site").mkdir()
    daemon.config.write_text(CLOSED.replace("{folder}", str(tmp_path)))
    yield daemon, daemon.ask("POST", "/v1/reload")
    daemon.stop()


@pytest.mark.parametrize("step", FORBIDDEN, ids=lambda step: step["with"].get("path", step["do"]))
def test_what_is_not_allowed_any_more_is_refused(
    reloaded: tuple[Daemon, Any], step: dict[str, Any], tmp_path: Path
) -> None:
    """As after a restart: a reload that says that it has narrowed what drivers may do has."""
    daemon, _ = reloaded
    given = {
        key: value.replace("{folder}", str(tmp_path)) if isinstance(value, str) else value
        for key, value in step["with"].items()
    }
    status, problem = daemon.ask("POST", "/v1/sagas", saga("late", [{**step, "name": "one", "with": given}]))

    assert status == 422, problem


def test_what_is_still_allowed_is_done(reloaded: tuple[Daemon, Any], tmp_path: Path) -> None:
    """Within the new root."""
    daemon, _ = reloaded
    given = {"path": str(tmp_path / "site" / "page"), "content": "x"}
    document = daemon.submit(saga("late", [{"name": "one", "do": "local.file.put", "with": given}]))

    assert document["status"] == "completed"


def test_what_counts_from_the_next_start_on_is_said(reloaded: tuple[Daemon, Any]) -> None:
    """Each time, until then."""
    daemon, (status, first) = reloaded
    second = daemon.ask("POST", "/v1/reload")[1]
    late = ["[daemon] socket_mode", "[secrets] dir", "[providers.digitalocean] token"]

    assert (status, first["changed"], first["needs_restart"]) == (200, ["supervisor", "providers"], late)
    assert (second["changed"], second["needs_restart"]) == ([], late)
