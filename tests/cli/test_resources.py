"""sagactl and the real sagad: the registry as a user sees it, and what a user may say of it."""

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


@pytest.fixture(scope="module")
def sagad() -> Iterator[Daemon]:
    """A daemon in a folder whose name is short enough for a socket, which keeps three files."""
    with tempfile.TemporaryDirectory(prefix="sagactl-") as folder, Daemon(Path(folder)) as daemon:
        steps = [
            {
                "name": name,
                "do": "local.file.create",
                "with": {"path": f"{folder}/{name}", "content": name, "mode": "0600"},
                "as": name,
            }
            for name in ("one", "two", "three")
        ]
        daemon.submit({"saga": "files", "steps": steps})
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


def test_a_list_has_a_line_for_each(type_in: TypeIn) -> None:
    """As a table, as names alone, and as the API's own document."""
    table = type_in("resources", "ls").stdout.splitlines()
    named = type_in("resources", "ls", "-q", "--type", "local").stdout
    document = json.loads(type_in("resources", "ls", "-o", "json").stdout)

    assert table[0].split() == ["NAME", "TYPE", "ID", "VERSION", "SAGA", "CHANGED", "SPEC"]
    assert [line.split()[:2] for line in table[1:]] == [
        ["one", "local.file"], ["three", "local.file"], ["two", "local.file"],
    ]  # fmt: skip
    assert named == "one\nthree\ntwo\n"
    assert [each["name"] for each in document["resources"]] == ["one", "three", "two"]
    assert type_in("resources", "ls", "--type", "local.symlink").stdout == ""


def test_a_list_may_be_cut_short(type_in: TypeIn) -> None:
    """And says so."""
    cut = type_in("resources", "ls", "-q", "--limit", "2")

    assert cut.stdout == "one\nthree\n"
    assert "--limit 4" in cut.stderr


def test_a_resource_is_shown(type_in: TypeIn, sagad: Daemon) -> None:
    """By its name or its path; in words, and as the document."""
    shown = type_in("resources", "show", "local.file", "one").stdout
    by_path = json.loads(
        type_in("resources", "show", "local.file", f"{sagad.folder}/one", "-o", "json").stdout
    )

    assert shown.splitlines()[0] == "one  local.file"
    assert "mode: 0600" in shown
    assert f"made by saga {by_path['saga']}" in shown
    assert by_path["outputs"]["path"] == f"{sagad.folder}/one"
    assert type_in("resources", "show", "local.file", "one", "-q").stdout == "one\n"


def test_what_is_not_there_is_not_found(type_in: TypeIn) -> None:
    """With what to do about it."""
    missing = type_in("resources", "show", "local.file", "nothing")

    assert missing.returncode == 6
    assert "sagactl resources ls" in missing.stderr


def test_a_file_is_imported_and_forgotten(type_in: TypeIn, sagad: Daemon) -> None:
    """Forgetting asks: without a terminal it needs a word. The record tells who did it."""
    path = sagad.folder / "theirs"
    path.write_text("theirs")
    imported = type_in("resources", "import", "local.file", str(path), "--reason", "ours")
    asked = type_in("resources", "forget", "local.file", str(path))
    forgotten = type_in("resources", "forget", "local.file", str(path), "--yes", "-o", "json")
    told = type_in("audit", "show", "--resource", f"local.file/{path}").stdout

    assert imported.returncode == 0, imported.stderr
    assert "is kept from now on" in imported.stdout
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    assert json.loads(forgotten.stdout)["did"] == "accepted"
    assert path.read_text() == "theirs"
    assert "imported" in told
    assert "forgotten" in told
    assert "ours" in told


def test_what_cannot_be_imported_says_why(type_in: TypeIn, sagad: Daemon) -> None:
    """A conflict: there is nothing."""
    refused = type_in("resources", "import", "local.file", f"{sagad.folder}/nothing")

    assert (refused.returncode, "there is no local.file" in refused.stderr) == (7, True)
