"""A damaged state folder is refused in words that name it and the way out; what is damaged of one saga holds that one.

Through the real daemon; more kinds of damage are in tests/unit/store/test_database.py and test_watermark.py.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from config.settings import load
from orchestrator.doctor.examine import examine_apart
from tests.daemon import Daemon, mortal
from tests.faults.folder import saga

pytestmark = pytest.mark.slow

ECHO: dict[str, Any] = {"name": "echo", "do": "test.echo", "with": {"message": "hello"}}
HOUR: dict[str, Any] = {"name": "wait", "do": "wait.timer", "with": {"duration": "1h"}}
RESTORE = "sagactl restore"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a daemon that was killed at work: half in its database, half in the log."""
    folder = tmp_path_factory.mktemp("killed")
    with Daemon(folder) as daemon:
        for _ in range(100):
            daemon.submit(saga("before", [ECHO]))
        daemon.stop()
        daemon.start()
        daemon.submit(saga("waits", [ECHO, HOUR]), wait=None)
        daemon.submit(saga("after", [ECHO]))
        daemon.kill()
    return daemon.state


@pytest.fixture
def daemon(killed: Path, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon over a copy of it, not started."""
    made = Daemon(tmp_path)
    shutil.copytree(killed, made.state)
    made.state.chmod(0o700)
    yield made
    made.__exit__(ValueError)  # what is damaged is not replayed


def content(daemon: Daemon) -> dict[str, bytes]:
    """Give what is in the folder, but for what is empty, and what says only who has it open."""
    files = {
        path.name: path.read_bytes()
        for path in daemon.state.iterdir()
        if path.is_file() and os.access(path, os.R_OK)
    }
    return {name: body for name, body in files.items() if body and name not in ("lock", "sagad.db-shm")}


def refusal(daemon: Daemon, become: Sequence[str] = ()) -> str:
    """Start it; it must end with 78 and one line in plain words, and must have changed nothing. Give the line."""
    before = content(daemon)
    ended = subprocess.run(
        [
            *become,
            sys.executable,
            "-m",
            "orchestrator.daemon",
            "--state-dir",
            daemon.state,
            "--socket",
            daemon.socket,
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )

    assert ended.returncode == 78, ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert content(daemon) == before
    return ended.stderr


def pipe(path: Path) -> None:
    """Put a named pipe there."""
    os.mkfifo(path, 0o600)


def plug(path: Path) -> None:
    """Put a socket there."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def doctor(daemon: Daemon) -> str:
    """Ask the doctor, who must find something that fails, change nothing, and not faint; give what he says of that."""
    before = content(daemon)
    found = examine_apart(lambda: load(None, {}, state_dir=daemon.state))

    assert not found.ok
    assert content(daemon) == before
    return " ".join(each.detail for each in found.checks if each.status == "fail")


def cut(share: float) -> Callable[[Path], None]:
    """Keep the beginning of the database."""

    def damage(state: Path) -> None:
        file = state / "sagad.db"
        os.truncate(file, int(file.stat().st_size * share))

    return damage


def fill(at: int, content: bytes) -> Callable[[Path], None]:
    """Write over the database."""

    def damage(state: Path) -> None:
        with (state / "sagad.db").open("r+b") as file:
            file.seek(at)
            file.write(content)

    return damage


def no_log(state: Path) -> None:
    """Remove the log."""
    (state / "sagad.db-wal").unlink()


def key(content: bytes) -> Callable[[Path], None]:
    """Put another key there."""

    def damage(state: Path) -> None:
        (state / "node.key").write_bytes(content)

    return damage


def both(*damages: Callable[[Path], None]) -> Callable[[Path], None]:
    """Do one after the other."""

    def damage(state: Path) -> None:
        for each in damages:
            each(state)

    return damage


def flip_log(state: Path) -> None:
    """Change one bit of the log, in the first page of it."""
    log = state / "sagad.db-wal"
    content = bytearray(log.read_bytes())
    content[200] ^= 1
    log.write_bytes(content)


def execute(statement: str) -> Callable[[Path], None]:
    """Change the database by SQL."""

    def damage(state: Path) -> None:
        with closing(sqlite3.connect(state / "sagad.db", isolation_level=None)) as db:
            db.execute(statement)

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "truncated": (cut(0.5), "damaged", "put back the last backup"),
    "empty": (cut(0), "lacks what was written to it last", RESTORE),
    "one byte": (lambda state: os.truncate(state / "sagad.db", 1), "lacks what was written to it last", RESTORE),
    "gone": (lambda state: (state / "sagad.db").unlink(), "lacks what was written to it last", RESTORE),
    "pages of zeros": (fill(4096, bytes(40 * 4096)), "damaged", "put back the last backup"),
    "rubbish at its beginning": (both(fill(0, b"rubbish" * 100), no_log), "not a database of sagad", "Move the file away"),
    "read-only by its header": (fill(18, bytes([3])), "its header says format 03 02", RESTORE),
    "log removed": (no_log, "lacks what was written to it last", "sagad.db-wal"),
    "a bit of the log flipped": (flip_log, "lacks what was written to it last", "sagad.db-wal"),
    "newer": (execute("PRAGMA user_version = 99"), "written by a newer sagad", "Start the newer sagad again"),
    "older by its number": (execute("PRAGMA user_version = 2"), "it says that its schema has version 2, and it is version", RESTORE),
    "no number": (execute("PRAGMA user_version = 0"), "it says that its schema has version 0, and it is version", RESTORE),
    "its head gone": (execute("DELETE FROM meta"), "the head is gone", RESTORE),
    "its head's table gone": (execute("DROP TABLE meta"), "look at meta", "put back the last backup"),
    "its head below zero": (execute("UPDATE meta SET seq = -5"), "was not signed with this node's key", RESTORE),
    "an event altered": (execute("UPDATE events SET body = cast('{}' AS BLOB) WHERE seq = (SELECT max(seq) - 3 FROM events)"), "does not prove itself", "as evidence"),
    "key of another": (key(b"x" * 32), "does not prove itself", "node.key"),
    "key gone": (lambda state: (state / "node.key").unlink(), "key is missing or damaged", "Put node.key back"),
    "key for all to read": (lambda state: (state / "node.key").chmod(0o644), "others may read it", "chmod 0600"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_with_the_way_out(daemon: Daemon, damage: str) -> None:
    """By the daemon, which changes nothing, and by the doctor."""
    do, what, way_out = DAMAGES[damage]
    do(daemon.state)
    said = refusal(daemon)

    assert what in said
    assert way_out in said
    assert str(daemon.state) in said
    assert damage == "gone" or str(daemon.state) in doctor(daemon) or "prove itself" in doctor(daemon)


@pytest.mark.parametrize("name", ["sagad.db", "node.key", "blobs"])
def test_what_is_another_users_is_refused(daemon: Daemon, name: str) -> None:
    """As after a copy by root: it says whose it is, and the command that mends it."""
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(daemon.state / name, 1, 1)
    said, found = refusal(daemon), doctor(daemon)

    assert f"{daemon.state / name}: This state folder is not safe to use: it belongs to user 1" in said
    assert f"chown {os.geteuid()} {daemon.state / name}" in said
    assert "not the folder's owner's" in found


STRANGERS: dict[str, Callable[[Path], None]] = {
    "a named pipe": pipe,
    "a folder": Path.mkdir,
    "a socket": plug,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link that cannot be followed (No such file": lambda path: path.symlink_to("nowhere"),
    "a link that cannot be followed (Too many": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "a named pipe") for name in ("lock", "sagad.db", "sagad.db-wal", "node.key", "reserve")),
        *(("head", kind) for kind in STRANGERS),
    ],
)
def test_what_is_no_file_is_not_opened(daemon: Daemon, name: str, kind: str) -> None:
    """By the daemon, nor by the doctor: a pipe or a device would hold them up for ever."""
    path = daemon.state / name
    path.unlink(missing_ok=True)
    STRANGERS[kind](path)
    said, found = refusal(daemon), doctor(daemon)

    assert f"{path}: Something else is where sagad has a file or folder of its own: it is {kind}" in said
    assert "Move it away" in said
    assert f"{path}: it is {kind}" in found


CLOSED = {".": (0o500, 0o700), "lock": (0, 0o600), "sagad.db": (0, 0o600), "head": (0o400, 0o600), "node.key": (0, 0o600)}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_what_is_closed_to_its_own_user_is_refused(daemon: Daemon, name: str) -> None:
    """It says which mode mends it, and neither that the disk is full nor that sagad goes on."""
    mode, mended = CLOSED[name]
    (daemon.state / "reserve").write_bytes(bytes(1 << 20))
    (daemon.state / "reserve").chmod(0o600)
    path = daemon.state / name
    path.chmod(mode)
    try:
        said = refusal(daemon, mortal())
    finally:
        path.chmod(mended)

    assert f"sagad may not use it (mode {mode:04o}): run chmod {mended:04o} {path}" in said


def spoil(state: Path, saga_id: str, *, checkpoint: bool) -> None:
    """Damage an event of a saga, and its checkpoint or not."""
    with closing(sqlite3.connect(state / "sagad.db", isolation_level=None)) as db:
        db.execute(
            "UPDATE events SET body = cast(replace(cast(body AS TEXT), '\"version\":1', '\"version\":9') AS BLOB)"
            " WHERE seq = (SELECT min(seq) + 1 FROM events WHERE saga = ?)",
            (saga_id,),
        )
        if checkpoint:
            db.execute("UPDATE sagas SET state = x'00' WHERE id = ?", (saga_id,))


@pytest.mark.parametrize("checkpoint", [True, False])
def test_a_damaged_event_of_a_live_saga_holds_that_saga_alone(tmp_path: Path, checkpoint: bool) -> None:
    """As it is folded, or as the record is inspected. Behind it lies enough that the start does not look so far back."""
    daemon = Daemon(tmp_path)
    try:
        daemon.start()
        live, other = (daemon.submit(saga("waits", [ECHO, HOUR]), wait=None)["id"] for _ in range(2))
        many = {"batch": "many", "sagas": [{"saga": saga("many", [ECHO])} for _ in range(200)]}
        assert daemon.ask("POST", "/v1/batches?wait=60s", many)[0] == 201
        daemon.stop()
        spoil(daemon.state, live, checkpoint=checkpoint)
        daemon.start(module=("tests.faults.tended",))
        daemon.wait_until(
            lambda: (daemon.saga(live)["hold"] or {}).get("reason") == "quarantined", 10, "it is held"
        )
        warnings = " ".join(daemon.ask("GET", "/v1/health")[1]["warnings"])
        ran = daemon.submit(saga("runs", [ECHO]))["status"]
        cancelled = daemon.say(other, "cancel")[0], daemon.wait_ended(other)["status"]
        said = daemon.say(live, "resume") if checkpoint else (500, {"detail": "see `sagactl why"})
        daemon.stop()
        daemon.start()
        again = daemon.saga(live)["hold"]["reason"]

        assert live in warnings
        assert checkpoint or "was altered" in warnings
        assert (ran, cancelled, again) == ("completed", (200, "rolled_back"), "quarantined")
        assert (said[0], "see `sagactl why" in said[1]["detail"]) == (500, True)
    finally:
        daemon.__exit__(ValueError)


@pytest.mark.parametrize(
    "damage", ["UPDATE plans SET body = cast(replace(body, 'hello', 'other') AS BLOB)", "DELETE FROM plans"]
)
def test_a_damaged_plan_is_not_gone_by(tmp_path: Path, damage: str) -> None:
    """Changed by one word it would be carried out; its digest tells. Its saga is held, and shown; the daemon runs."""
    daemon = Daemon(tmp_path)
    soon = {"name": "soon", "do": "wait.timer", "with": {"duration": "1s"}}
    try:
        with daemon:
            live = daemon.submit(saga("waits", [soon, HOUR, ECHO]), wait=None)["id"]
            daemon.wait_until(lambda: daemon.saga(live)["waiting"] is not None, 10, "it waits")
        execute(damage)(daemon.state)
        daemon.start()
        at_once = daemon.saga(live)["hold"]["reason"]
        daemon.wait_until(
            lambda: live in str(daemon.ask("GET", "/v1/health")[1]["warnings"]), 10, "health names it"
        )
        status, said = daemon.say(live, "cancel")
        listed = [each["id"] for each in daemon.ask("GET", "/v1/sagas")[1]["sagas"]]
        ran = daemon.submit(saga("runs", [{**ECHO, "with": {"message": "else"}}]))["status"]

        assert (at_once, daemon.saga(live)["hold"]["reason"], ran) == (
            "quarantined",
            "quarantined",
            "completed",
        )
        assert (status, "see `sagactl why" in said["detail"]) == (500, True)
        assert live in listed
    finally:
        daemon.__exit__(ValueError)


def test_a_live_saga_whose_row_is_gone_is_missed(tmp_path: Path) -> None:
    """Nobody would carry it on, and nobody hear of it: health names it soon after the start, and the doctor."""
    daemon = Daemon(tmp_path)
    try:
        with daemon:
            live, other = (daemon.submit(saga("waits", [ECHO, HOUR]), wait=None)["id"] for _ in range(2))
        execute(f"DELETE FROM sagas WHERE id = '{live}'")(daemon.state)
        found = doctor(daemon)
        daemon.start(module=("tests.faults.tended",))
        daemon.wait_until(
            lambda: live in str(daemon.ask("GET", "/v1/health")[1]["warnings"]), 10, "health names it"
        )
        warnings = str(daemon.ask("GET", "/v1/health")[1]["warnings"])
        cancelled = daemon.say(other, "cancel")[0], daemon.wait_ended(other)["status"]

        assert f"saga {live}: its row is gone" in found
        assert ("no row any more" in warnings, other in warnings) == (True, False)
        assert cancelled == (200, "rolled_back")
    finally:
        daemon.__exit__(ValueError)


def test_a_page_that_cannot_be_read_is_said_to_whoever_needs_it(tmp_path: Path) -> None:
    """The others are answered, and the doctor knows."""
    daemon = Daemon(tmp_path)
    try:
        with daemon:
            daemon.submit(saga("before", [ECHO]))
        with closing(sqlite3.connect(daemon.state / "sagad.db")) as db:
            ((page,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'idempotency_keys'")
        fill((page - 1) * 4096, bytes(4096))(daemon.state)
        daemon.start()
        body = {"saga": saga("other", [ECHO])}
        status, said = daemon.ask("POST", "/v1/sagas", body, {"Idempotency-Key": "k"})
        other = daemon.submit(saga("other", [ECHO]))["status"]
        checks = {each["check"]: each["status"] for each in daemon.ask("GET", "/v1/doctor")[1]["checks"]}

        assert (status, said["code"], other) == (500, "database_damaged", "completed")
        assert "sagactl doctor" in said["detail"]
        assert (checks["database"], checks["record"]) == ("fail", "ok")
    finally:
        daemon.__exit__(ValueError)
