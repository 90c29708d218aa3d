"""Starting and stopping, as whoever starts the daemon sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.faults.folder import saga


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run sagad until it ends."""
    command = [sys.executable, "-m", "orchestrator.daemon", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def children(saga: str) -> list[str]:
    """Give the processes that were started for a saga."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"SAGAD_EXECUTION={saga}".encode() in environ.read_bytes():
                found.append(environ.parent.name)
        except OSError:
            continue  # it has ended, or is not ours to look at
    return found


def test_what_is_in_the_way_of_a_part_ends_the_start_with_its_name(tmp_path: Path) -> None:
    """Starting it again would not make it better."""
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "blobs").touch()
    ended = run("--state-dir", str(tmp_path / "state"), "--socket", str(tmp_path / "s"))

    assert ended.returncode == 78
    assert "state/blobs: Something else is where sagad has" in ended.stderr
    assert "it is a file" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_daemon_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """It names the first one, which does not notice."""
    with Daemon(tmp_path) as daemon:
        assert daemon.process is not None
        ended = run("--state-dir", str(daemon.state), "--socket", str(tmp_path / "other"))

        assert ended.returncode == 1
        assert str(daemon.process.pid) in ended.stderr
        assert daemon.ask("GET", "/v1/health")[0] == 200


@pytest.mark.parametrize("damage", ["newer", "rubbish"])
def test_a_database_that_is_not_ours_to_use_is_refused_untouched(tmp_path: Path, damage: str) -> None:
    """With what is wrong and what to do, and a code that systemd does not start again for."""
    with Daemon(tmp_path) as daemon:
        pass
    database = daemon.state / "sagad.db"
    if damage == "newer":
        import sqlite3

        db = sqlite3.connect(database)
        db.execute("PRAGMA user_version = 999")
        db.close()
    else:
        database.write_bytes(b"rubbish" * 1000)
    before = database.read_bytes()
    ended = run("--state-dir", str(daemon.state), "--socket", str(tmp_path / "s"))

    assert ended.returncode == 78
    assert "Nothing was changed." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert database.read_bytes() == before


def test_bad_settings_are_all_named(tmp_path: Path) -> None:
    """With the nearest right key."""
    config = tmp_path / "sagad.toml"
    config.write_text('[daemon]\nlog_levle = "info"\n[limits]\nwait_passivate = "soon"\n')
    ended = run("--config", str(config), "--check")

    assert ended.returncode == 78
    assert "log_level" in ended.stderr
    assert "wait_passivate" in ended.stderr


def test_told_to_stop_it_ends_what_runs_and_carries_it_on_later(tmp_path: Path) -> None:
    """A command that runs longer than the grace is ended with the daemon, and asked about afterwards."""
    daemon = Daemon(tmp_path, '[daemon]\nshutdown_grace = "100ms"\n').start()
    step = {
        "name": "long",
        "do": "command.run",
        "with": {"argv": ["sleep", "60"], "check": ["false"]},
        "undo": "none",
    }
    try:
        id_ = daemon.submit(saga("stop", [step]), wait=None)["id"]
        daemon.wait_until(lambda: bool(children(id_)), 5, "it runs")
        code = daemon.stop()
        left = children(id_)
        daemon.start()
        daemon.wait_until(lambda: len(daemon.events(id_)) > 3, 5, "it is settled")
        types = [event["type"] for event in daemon.events(id_)]
        daemon.say(id_, "cancel", now=True)

        assert code == 0
        assert left == []
        assert "step.settled" in types
    finally:
        daemon.__exit__()
