"""sagactl doctor: with the daemon and without it, one finding for each thing that is wrong, and what to do about it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from actors.clock import rfc3339
from config.settings import load
from orchestrator.answers import Examination
from orchestrator.doctor import disk
from orchestrator.doctor.disk import look_at_disk
from orchestrator.doctor.examine import examine_apart
from orchestrator.doctor.findings import looked
from tests.cli.conftest import SCRIPT, environment
from tests.daemon import Daemon, mortal
from tests.faults.folder import saga

pytestmark = pytest.mark.slow

Mend = Callable[[], object]
CHECKS = {
    "settings", "state folder", "files", "socket", "disk", "file system", "fsync", "clock", "database", "record",
    "checkpoints", "executions", "blobs", "secrets",
}  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a secret, a blob and a saga that waits for it."""
    folder = tmp_path_factory.mktemp("patient")
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets" / "token").write_text("hush-hush")
    (folder / "secrets" / "token").chmod(0o600)
    (folder / "big").write_bytes(os.urandom(1 << 17))
    with Daemon(folder, f'[secrets]\ndir = "{folder / "secrets"}"\n') as daemon:
        delete = {"name": "rm", "do": "local.file.delete", "with": {"path": str(folder / "big")}}
        daemon.submit(saga("deletes", [delete]))
        wait = {"name": "wait", "do": "wait.timer", "with": {"duration": "1h"}}
        run = {"name": "run", "do": "command.run", "with": {"argv": ["echo", "${secret.token}"]}}
        daemon.submit(saga("waits", [wait, run]), wait=None)
        yield daemon


def doctor(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask the doctor."""
    return subprocess.run(
        [SCRIPT, "doctor", *words],
        env=environment(daemon.socket),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def found(daemon: Daemon) -> dict[str, str]:
    """Give what is not well, as the doctor says it without the daemon."""
    examined = examine_apart(lambda: load(daemon.config, {}, state_dir=daemon.state, socket=daemon.socket))
    return {f"{each.status} {each.check}": each.detail for each in examined.checks if each.status != "ok"}


def test_a_sound_node_is_well_with_its_daemon_and_without(daemon: Daemon) -> None:
    """Each check is there once, and exit 0."""
    ended = doctor(daemon, "-o", "json")
    document = json.loads(ended.stdout)
    apart = doctor(daemon, "--config", str(daemon.config), "--state-dir", str(daemon.state))

    assert (ended.returncode, document["ok"]) == (0, True), ended.stdout
    assert sorted(each["check"] for each in document["checks"]) == sorted(CHECKS | {"daemon", "retention"})
    assert apart.returncode == 0, apart.stdout
    assert {line[6:19].strip() for line in apart.stdout.splitlines() if line[:2] == "ok"} >= CHECKS - {
        "socket"
    }


def test_where_no_daemon_answers_it_looks_by_itself(tmp_path: Path) -> None:
    """And says so; a node that was never started has nothing wrong with it."""
    ended = subprocess.run(
        [SCRIPT, "doctor", "-o", "json"],
        env=environment(
            tmp_path / "none.sock",
            XDG_STATE_HOME=str(tmp_path),
            SAGAD_DAEMON__STATE_DIR=str(tmp_path / "state"),
        ),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    document = json.loads(ended.stdout)

    assert ended.returncode == 0, ended.stdout
    assert "no daemon is listening" in ended.stderr
    assert {"daemon", "state folder"} <= {
        each["check"] for each in document["checks"] if each["status"] == "warn"
    }


def test_settings_that_it_may_not_read_are_a_finding(tmp_path: Path) -> None:
    """With the file's name and the way out, and not as an answer that could not be written."""
    home = tmp_path / "home"
    home.mkdir(mode=0)
    ended = subprocess.run(
        [*mortal(), SCRIPT, "doctor", "--config", home / "sagad.toml"],
        env=environment(tmp_path / "none.sock"),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    home.chmod(0o700)

    assert (ended.returncode, ended.stderr) == (1, "")
    assert f"{home / 'sagad.toml'}: cannot be read: Permission denied" in ended.stdout


def spoil_blob(daemon: Daemon) -> Mend:
    """Change a blob; give what mends it."""
    blob = next((daemon.state / "blobs").iterdir())
    content = blob.read_bytes()
    blob.write_bytes(content[:-1])
    return lambda: blob.write_bytes(content)


def lose_blob(daemon: Daemon) -> Mend:
    """Lose a blob; give what mends it."""
    blob = next((daemon.state / "blobs").iterdir())
    aside = blob.rename(daemon.folder / "aside")
    return lambda: aside.rename(blob)


def mode(name: str, wrong: int, right: int) -> Callable[[Daemon], Mend]:
    """Open something to others; give what closes it."""

    def spoil(daemon: Daemon) -> Mend:
        (daemon.folder / name).chmod(wrong)
        return lambda: (daemon.folder / name).chmod(right)

    return spoil


def no_secret(daemon: Daemon) -> Mend:
    """Take away a secret that a live saga will ask for; give what brings it back."""
    path = daemon.folder / "secrets" / "token"
    aside = path.rename(daemon.folder / "token")
    return lambda: aside.rename(path)


def leftover(daemon: Daemon) -> Mend:
    """Leave what a backup that was killed leaves."""
    path = daemon.state / ".backup-1"
    path.touch(mode=0o600)
    return path.unlink


def other_arguments(daemon: Daemon) -> Mend:
    """Change what an execution was to do; give what mends it."""

    def execute(statement: str) -> None:
        with closing(sqlite3.connect(daemon.state / "sagad.db", isolation_level=None)) as db:
            db.execute(statement)

    execute("UPDATE executions SET arguments = cast(replace(arguments, 'big', 'bag') AS BLOB)")
    return lambda: execute("UPDATE executions SET arguments = cast(replace(arguments, 'bag', 'big') AS BLOB)")


def bad_settings(daemon: Daemon) -> Mend:
    """Misspell a key; give what mends it."""
    good = daemon.config.read_text()
    daemon.config.write_text("[demon]\n")
    return lambda: daemon.config.write_text(good)


@pytest.mark.parametrize(
    ("spoil", "check", "said"),
    [
        (mode("state", 0o755, 0o700), "fail state folder", "mode 0755"),
        (mode("state/node.key", 0o644, 0o600), "fail files", "node.key"),
        (mode("state/sagad.db", 0o640, 0o600), "fail files", "sagad.db"),
        (mode("sagad.sock", 0o666, 0o660), "warn socket", "any user may connect"),
        (spoil_blob, "fail blobs", "altered, cut off"),
        (lose_blob, "fail blobs", "not there"),
        (no_secret, "warn credentials", "needs secret `token`"),
        (other_arguments, "fail executions", "not what their intents say"),
        (leftover, "warn leftovers", ".backup-1"),
        (bad_settings, "fail settings", "unknown key `demon`"),
    ],
)
def test_what_is_wrong_is_named(
    daemon: Daemon, spoil: Callable[[Daemon], Mend], check: str, said: str
) -> None:
    """By the daemon about itself too; once it is mended nothing is said any more."""
    mend = spoil(daemon)
    try:
        apart = found(daemon)
        checks = daemon.ask("GET", "/v1/doctor")[1]["checks"]
    finally:
        mend()
    itself = {f"{each['status']} {each['check']}": each for each in checks}

    assert said in apart[check]
    assert said in itself[check]["detail"]
    assert itself[check]["remedy"]
    assert found(daemon) == {}


def test_a_disk_that_is_scarce_slow_or_far_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it is, with limits moved to where this disk is."""

    def status() -> dict[str, str]:
        return {each.check: each.status for each in look_at_disk(tmp_path)}

    here = status()
    monkeypatch.setattr(disk, "SCARCE", 1 << 60)
    monkeypatch.setattr(disk, "SLOW", 0)
    scarce = status()
    monkeypatch.setattr(disk, "FULL", 1 << 60)
    monkeypatch.setattr(disk, "TOO_SLOW", 0)
    monkeypatch.setattr(disk, "_FAR", {disk.file_system(tmp_path)})
    worst = status()

    assert "fail" not in here.values()
    assert (scarce["disk"], scarce["fsync"]) == ("warn", "warn")
    assert worst == {"disk": "fail", "file system": "fail", "fsync": "fail"}
    assert list(tmp_path.iterdir()) == []


def test_a_clock_behind_the_record_is_named(daemon: Daemon) -> None:
    """Timers would wait until it has caught up."""
    from orchestrator.doctor.record import look_at_clock, open_apart

    with closing(open_apart(daemon.state / "sagad.db", (daemon.state / "node.key").read_bytes())) as db:
        now = int(time.time() * 1000)
        behind, unset, right = (next(look_at_clock(db, at)) for at in (now - 86_400_000, 0, now))

    assert (behind.status, unset.status, right.status) == ("warn", "fail", "ok")
    assert rfc3339(now - 86_400_000) in behind.detail


def test_a_look_that_breaks_is_a_finding() -> None:
    """A doctor who faints helps nobody."""

    def look() -> Iterator[Examination]:
        raise OSError(5, "Input/output error", "/x")

    assert [each.status for each in looked("disk", look)] == ["fail"]
