"""A secret in a field that is no content: it reaches the world as it is, comes back as it was, and is not on record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.slow

SECRET = "hush-hush-4711"
FAIL = {"name": "last", "do": "test.fail", "with": {"kind": "error"}}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has a secret."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "token").write_text(SECRET)
    with Daemon(tmp_path, f'[secrets]\ndir = "{secrets}"\n') as made:
        yield made


def link(verb: str, path: Path, target: str | None = None) -> dict[str, Any]:
    """A step that does something to a symlink."""
    given = {"path": str(path)} | ({} if target is None else {"target": target})
    return {"name": verb, "do": f"local.symlink.{verb}", "with": given}


def test_a_secret_reaches_the_world_as_it_is(daemon: Daemon, tmp_path: Path) -> None:
    """Not as its reference, by which it goes on record."""
    path = tmp_path / "link"
    document = daemon.submit({"saga": "link", "steps": [link("create", path, "/srv/${secret.token}")]})

    assert document["status"] == "completed", document
    assert str(path.readlink()) == f"/srv/{SECRET}"
    assert SECRET not in str([document, daemon.executions(document["id"]), daemon.events(document["id"])])
    record = daemon.ask("GET", "/v1/resources/local.symlink/" + str(path).replace("/", "%2F"))[1]
    assert record["spec"] == {"target": "/srv/${secret.token}"}


@pytest.mark.parametrize("target", [f"/srv/{SECRET}", "/srv/aHVzaC1odXNoLTQ3MTE=", "/srv/${secret.token}"])
def test_what_was_there_is_put_back_just_as_it_was(daemon: Daemon, tmp_path: Path, target: str) -> None:
    """A secret in whatever form; and a text of somebody else's that only looks like a reference, which opens nothing."""
    path = tmp_path / "link"
    path.symlink_to(target)
    steps = [link("update", path, "/srv/other"), FAIL]
    document = daemon.submit({"saga": "link", "steps": steps})

    assert document["status"] == "rolled_back", document
    assert str(path.readlink()) == target
    assert SECRET not in str([document, daemon.executions(document["id"]), daemon.events(document["id"])])


def test_a_rollback_of_last_week_puts_it_back_too(daemon: Daemon, tmp_path: Path) -> None:
    """By another process, from the record alone; and the rollback of that again."""
    path = tmp_path / "link"
    path.symlink_to(f"/srv/{SECRET}")
    saga = daemon.submit({"saga": "link", "steps": [link("delete", path)]})["id"]
    daemon.kill()
    daemon.start()
    back = daemon.say(saga, "rollback")[1]["saga"]["id"]
    ended = daemon.wait_ended(back)

    assert ended["status"] == "completed", ended
    assert str(path.readlink()) == f"/srv/{SECRET}"
