"""sagactl and the real sagad: drift as a user sees it, and what a user may do about it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import SCRIPT, environment
from tests.daemon import Daemon

pytestmark = pytest.mark.slow

TypeIn = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sagad() -> Iterator[Daemon]:
    """A daemon that keeps two files, of which somebody has changed one: its mode and its content."""
    with tempfile.TemporaryDirectory(prefix="sagactl-") as folder, Daemon(Path(folder)) as daemon:
        steps = [
            {
                "name": name,
                "do": "local.file.create",
                "with": {"path": f"{folder}/{name}", "content": name, "mode": "0600"},
                "as": name,
            }
            for name in ("one", "two")
        ]
        daemon.submit({"saga": "files", "steps": steps})
        Path(folder, "one").write_text("changed")
        Path(folder, "one").chmod(0o640)
        yield daemon


@pytest.fixture
def type_in(sagad: Daemon) -> TypeIn:
    """Type a command, where no terminal is."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *words],
            stdin=subprocess.DEVNULL,
            env=environment(sagad.socket),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


def test_an_inbox_from_detect_to_an_empty_list(type_in: TypeIn, sagad: Daemon) -> None:
    """Found, listed by resource, shown, accepted with the lines for the stack file, reverted with waiting."""
    empty = type_in("drift", "ls", "-o", "json")
    found = type_in("drift", "detect")
    table = type_in("drift", "ls").stdout.splitlines()
    mode, content = type_in("drift", "ls", "-q").stdout.split()
    shown = type_in("drift", "show", content).stdout
    document = json.loads(type_in("drift", "show", content[:6], "-o", "json").stdout)
    refused = type_in("drift", "revert", "--all")
    accepted = type_in("drift", "accept", mode, "--reason", "as it should be")
    again = type_in("drift", "accept", mode)
    reverted = type_in("drift", "revert", content, "--wait")
    left = type_in("drift", "ls", "-o", "json")
    history = type_in("drift", "ls", "--all").stdout

    assert json.loads(empty.stdout) == {"drift": [], "next": None}
    assert found.returncode == 0
    assert "looked at 2 resources: 2 new" in found.stderr
    assert len(table) == 3
    assert "local.file one" in table[1]
    assert "mode" in table[1]
    assert "sha256" in table[2]
    assert "local.file one: sha256" in shown
    assert document["drift"][0]["id"] == document["id"] == content
    assert (refused.returncode, again.returncode) == (2, 7)
    assert "--yes" in refused.stderr
    assert 'mode: "0640"  # mode was "0600"' in accepted.stdout
    assert (reverted.returncode, "completed" in reverted.stdout) == (0, True)
    assert Path(sagad.folder, "one").read_text() == "one"
    assert json.loads(left.stdout)["drift"] == []
    assert ("accepted" in history, "reverted" in history) == (True, True)


def test_all_is_reverted_ignored_and_heard_of_again(type_in: TypeIn, sagad: Daemon) -> None:
    """A batch; a rule with its reason, listed and ended; what cannot be found has its exit code."""
    type_in("drift", "detect", "-q")
    neither = type_in("drift", "revert", "--yes")
    both = type_in("drift", "revert", "--all", "--yes", "--wait")
    Path(sagad.folder, "two").chmod(0o644)
    (record,) = type_in("drift", "detect", "-q", "--type", "local", "--name", "two").stdout.split()
    rule = type_in("drift", "ignore", record, "--reason", "umask", "--expires", "7d", "-q").stdout.strip()
    hidden = type_in("drift", "ls")
    rules = type_in("drift", "rules").stdout
    ended = type_in("drift", "rules", "--end", rule)
    heard = type_in("drift", "ls", "-q").stdout.split()
    unknown = type_in("drift", "show", "zzzz")
    nothing = type_in("drift", "detect", "--type", "digitalocean.droplet")

    assert (neither.returncode, both.returncode) == (2, 0)
    assert Path(sagad.folder, "one").read_text() == "one"
    assert (hidden.returncode, hidden.stdout) == (0, "")
    assert (rule in rules, "umask" in rules, "mode" in rules) == (True, True, True)
    assert "heeded again" in ended.stdout
    assert heard == [record]
    assert (unknown.returncode, nothing.returncode) == (6, 6)
