"""A backup is of one moment, made while the daemon works; a restore gives it back whole or changes nothing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from orchestrator.restoring import restore
from store.errors import StoreError
from tests.cli.conftest import SCRIPT, environment
from tests.daemon import Connection, Daemon
from tests.faults.folder import FAIL, saga

pytestmark = pytest.mark.slow

ECHO: dict[str, Any] = {"name": "echo", "do": "test.echo", "with": {"message": "hello"}}
HOUR: dict[str, Any] = {"name": "wait", "do": "wait.timer", "with": {"duration": "1h"}}
Ended = subprocess.CompletedProcess[str]


def sagactl(daemon: Daemon, *words: str | Path) -> Ended:
    """Type a command."""
    return subprocess.run(
        [SCRIPT, *map(str, words)],
        env=environment(daemon.socket),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def lose(daemon: Daemon) -> None:
    """Have the disk lose all but the key, as after the machine was set up anew."""
    for path in daemon.state.iterdir():
        if path.name != "node.key":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def append(path: Path, word: str) -> dict[str, Any]:
    """A step that shows how often it ran, and cannot find out whether it did."""
    return {"name": word, "do": "command.run", "with": {"argv": ["sh", "-c", f"echo {word} >> {path}"]}}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of its own."""
    with Daemon(tmp_path, '[daemon]\nshutdown_grace = "100ms"\n') as daemon:
        yield daemon


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A backup of a node with a few sagas and a blob, and that node's key; both not to be written to."""
    folder = tmp_path_factory.mktemp("taken")
    big = folder / "big"
    big.write_bytes(os.urandom(1 << 17))
    with Daemon(folder) as daemon:
        daemon.submit(saga("gone", [{"name": "rm", "do": "local.file.delete", "with": {"path": str(big)}}]))
        daemon.submit(saga("waits", [ECHO, HOUR]), wait=None)
        assert sagactl(daemon, "backup", folder / "backup.tar").returncode == 0
    return folder / "backup.tar", daemon.state / "node.key"


@pytest.fixture
def elsewhere(tmp_path: Path, taken: tuple[Path, Path]) -> Daemon:
    """A state folder with the key and nothing else; its daemon is not running."""
    there = Daemon(tmp_path)
    there.state.mkdir(mode=0o700)
    shutil.copy(taken[1], there.state / "node.key")
    return there


def test_all_comes_back_and_what_lived_is_held(daemon: Daemon, tmp_path: Path) -> None:
    """Sagas, executions, keys, registry and images; what was deleted can still be put back from its blob."""
    big, log = tmp_path / "big", tmp_path / "log"
    content = os.urandom(1 << 17)
    big.write_bytes(content)
    log.touch()
    gone = daemon.submit(
        saga("gone", [{"name": "rm", "do": "local.file.delete", "with": {"path": str(big)}}])
    )
    live = daemon.submit(saga("waits", [append(log, "one"), HOUR, append(log, "two")]), wait=None)
    daemon.wait_until(lambda: daemon.saga(live["id"])["waiting"] is not None, 10, "it waits")
    file = tmp_path / "backup.tar"
    made = sagactl(daemon, "backup", file)
    daemon.stop()
    lose(daemon)
    restored = sagactl(daemon, "restore", file, "--state-dir", daemon.state)
    daemon.start()
    shown = daemon.saga(live["id"])
    why = daemon.ask("GET", f"/v1/sagas/{live['id']}/why")[1]["why"]
    verified = daemon.ask("GET", "/v1/audit/verify")[1]
    back = daemon.say(gone["id"], "rollback")[1]["saga"]
    replayed = daemon.ask("GET", "/v1/audit/replay")[1]

    assert (made.returncode, restored.returncode) == (0, 0), made.stderr + restored.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob(".*.part")] == []
    assert (shown["status"], shown["hold"]["reason"]) == ("running", "attention")
    assert "came back with a backup" in why
    assert f"sagactl resume {live['id']}" in why
    assert verified["ok"]
    assert replayed["ok"]
    assert daemon.wait_ended(back["id"])["status"] == "completed"
    assert [each for each in daemon.ask("GET", "/v1/doctor")[1]["checks"] if each["status"] == "fail"] == []
    assert big.read_bytes() == content
    assert log.read_text() == "one\n"


@pytest.mark.parametrize(("verb", "status"), [("resume", "completed"), ("cancel", "rolled_back")])
def test_nothing_is_done_twice_by_a_backup_that_is_older_than_the_world(
    daemon: Daemon, tmp_path: Path, verb: str, status: str
) -> None:
    """The saga went on after the backup; restored, it does nothing until somebody has said what."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    until = {
        "name": "gate",
        "do": "command.run",
        "with": {"argv": ["sh", "-c", f"while ! test -e {gate}; do sleep 0.02; done"]},
    }
    live = daemon.submit(saga("goes-on", [until | {"idempotent": True}, append(log, "once")]), wait=None)
    daemon.wait_until(lambda: daemon.saga(live["id"])["steps"][0]["status"] == "running", 10, "it runs")
    assert sagactl(daemon, "backup", tmp_path / "backup.tar").returncode == 0
    gate.touch()
    assert daemon.wait_ended(live["id"])["status"] == "completed"
    daemon.stop()
    lose(daemon)
    assert sagactl(daemon, "restore", tmp_path / "backup.tar", "--state-dir", daemon.state).returncode == 0
    daemon.start()
    later = daemon.submit(saga("other", [ECHO]))
    held, done = daemon.saga(live["id"]), log.read_text()
    daemon.say(live["id"], verb)
    ended = daemon.wait_ended(live["id"])

    assert later["status"] == "completed"
    assert (held["hold"]["reason"], held["steps"][0]["status"], done) == ("attention", "running", "once\n")
    assert ended["status"] == status
    assert log.read_text() == ("once\nonce\n" if verb == "resume" else "once\n")


def test_a_backup_is_of_one_moment_though_sagas_run(daemon: Daemon, tmp_path: Path) -> None:
    """Each of three taken under load is whole, and none stops the sagas: they are answered while it is sent."""
    stop = threading.Event()
    done: list[str] = []

    def load() -> None:
        while not stop.is_set():
            done.append(daemon.submit(saga("load", [ECHO, FAIL]))["status"])

    workers = [threading.Thread(target=load) for _ in range(4)]
    for worker in workers:
        worker.start()
    daemon.wait_until(lambda: len(done) > 50, 30, "some are done")
    counts, files = [], [tmp_path / f"{number}.tar" for number in range(3)]
    for file in files:
        before = len(done)
        assert sagactl(daemon, "backup", file).returncode == 0
        counts.append(len(done) - before)
    stop.set()
    for worker in workers:
        worker.join()
    daemon.stop()
    for file in files:
        lose(daemon)
        restored = sagactl(daemon, "restore", file, "--state-dir", daemon.state)
        assert restored.returncode == 0, restored.stderr

    assert min(counts) > 0
    assert set(done) == {"rolled_back"}


def test_a_reader_that_stops_reading_holds_nobody_up(daemon: Daemon, tmp_path: Path) -> None:
    """The backup waits for it, the sagas do not; when it is gone the next backup is made."""
    big = tmp_path / "big"
    big.write_bytes(os.urandom(16 << 20))
    daemon.submit(saga("gone", [{"name": "rm", "do": "local.file.delete", "with": {"path": str(big)}}]))
    connection = Connection(daemon.socket)
    connection.request("POST", "/v1/backup", b"{}", {"Content-Type": "application/json"})
    status = connection.getresponse().status
    other = daemon.submit(saga("other", [ECHO]))
    connection.close()
    after = sagactl(daemon, "backup", tmp_path / "backup.tar")
    types = [event["type"] for event in daemon.ask("GET", "/v1/events")[1]["events"]]

    assert (status, other["status"], after.returncode) == (200, "completed", 0)
    assert types.count("node.backed_up") == 2
    assert list(daemon.state.glob(".backup-*")) == []


def test_the_key_is_not_in_a_backup(taken: tuple[Path, Path]) -> None:
    """Neither as a file nor as bytes."""
    with tarfile.open(taken[0]) as tar:
        names = tar.getnames()

    assert names[:3] == ["manifest.json", "manifest.mac", "sagad.db"]
    assert {name.partition("/")[0] for name in names[3:]} == {"blobs"}
    assert taken[1].read_bytes() not in taken[0].read_bytes()


def test_an_existing_file_is_replaced_by_ones_word_only(daemon: Daemon, tmp_path: Path) -> None:
    """What destroys needs --yes."""
    file = tmp_path / "backup.tar"
    file.write_text("precious")
    refused = sagactl(daemon, "backup", file)
    kept = file.read_text()
    replaced = sagactl(daemon, "backup", file, "--yes", "-o", "json")

    assert (refused.returncode, kept, replaced.returncode) == (2, "precious", 0)
    assert json.loads(replaced.stdout)["parts"][0]["name"] == "sagad.db"


def test_two_backups_to_one_file_do_not_meet(daemon: Daemon, tmp_path: Path) -> None:
    """The second is refused while the first is at it; what one left that was killed is nobody's."""
    path = tmp_path / "b.tar"
    part = tmp_path / ".b.tar.part"
    part.write_bytes(b"of one that was killed")
    with part.open("rb") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        refused = sagactl(daemon, "backup", str(path))
        kept = part.read_bytes()
    done = sagactl(daemon, "backup", str(path))

    assert (refused.returncode, "another backup is being written" in refused.stderr) == (1, True), refused
    assert kept == b"of one that was killed"
    assert (done.returncode, part.exists(), path.stat().st_size > 0) == (0, False, True)


# --- what a restore refuses ---------------------------------------------------------------------------------------------


def test_a_database_that_is_there_is_not_overwritten(daemon: Daemon, taken: tuple[Path, Path]) -> None:
    """Neither while its daemon runs nor after."""
    running = sagactl(daemon, "restore", taken[0], "--state-dir", daemon.state)
    daemon.stop()
    before = (daemon.state / "sagad.db").read_bytes()
    stopped = sagactl(daemon, "restore", taken[0], "--state-dir", daemon.state)

    assert (running.returncode, stopped.returncode) == (7, 7)
    assert "Another sagad uses this state folder" in running.stderr
    assert "There is a database already" in stopped.stderr
    assert (daemon.state / "sagad.db").read_bytes() == before


def refused(there: Daemon, file: Path, *said: str) -> None:
    """Expect the refusal, in plain words, with nothing changed."""
    before = sorted(path.name for path in there.state.iterdir()) if there.state.exists() else []
    ended = sagactl(there, "restore", file, "--state-dir", there.state)
    after = sorted(path.name for path in there.state.iterdir()) if there.state.exists() else []

    assert ended.returncode == 1, ended.stderr
    assert [each for each in said if each not in ended.stderr] == []
    assert "Traceback" not in ended.stderr
    assert "bug" not in ended.stderr
    assert set(after) - set(before) <= {"lock"}


def test_without_the_key_it_says_what_is_missing(elsewhere: Daemon, taken: tuple[Path, Path]) -> None:
    """And makes none: a new one would prove nothing."""
    (elsewhere.state / "node.key").unlink()

    refused(elsewhere, taken[0], "node.key", "is of node", "Put node.key back")


def test_another_nodes_key_is_refused(elsewhere: Daemon, taken: tuple[Path, Path]) -> None:
    """The manifest is sealed with the key."""
    (elsewhere.state / "node.key").write_bytes(os.urandom(32))

    refused(elsewhere, taken[0], "not made with this node's key")


def cut(content: bytes) -> bytes:
    """Lose the end."""
    return content[: len(content) // 2]


def flip(at: float) -> Callable[[bytes], bytes]:
    """Change a bit somewhere."""

    def changed(content: bytes) -> bytes:
        place = int(len(content) * at)
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    return changed


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change one part, and keep the tar itself whole."""

    def changed(content: bytes) -> bytes:
        made = BytesIO()
        with tarfile.open(fileobj=BytesIO(content)) as old, tarfile.open(fileobj=made, mode="w") as new:
            for member in old.getmembers():
                file = old.extractfile(member)
                assert file is not None
                body = change(file.read()) if member.name.startswith(name) else file.read()
                member.size = len(body)
                new.addfile(member, BytesIO(body))
        return made.getvalue()

    return changed


def headed(header: bytes, many: int) -> Callable[[bytes], bytes]:
    """Put headers before it, each of which says something of the next."""

    def changed(content: bytes) -> bytes:
        return header * many + content

    return changed


def header(kind: bytes, body: bytes) -> bytes:
    """A header that is one of another: its block and what it says."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(body)
    return info.tobuf() + body.ljust(512, b"\0")


def sparse(word: bytes) -> bytes:
    """A pax header by which a file has holes, as GNU tar writes it, at places that are none."""
    record = b"GNU.sparse.map=" + word + b"\n"
    return header(tarfile.XHDTYPE, b"%d %b" % (len(record) + 3, record))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "damaged"),
        (headed(header(tarfile.XHDTYPE, b"12 path=abc\n"), 3_000), "damaged"),
        (headed(header(tarfile.GNUTYPE_LONGNAME, b"abc"), 3_000), "damaged"),
        (headed(sparse(b"a,b"), 1), "damaged"),
        (rewrite("manifest.json", lambda body: b"[" * 100_000), "its manifest cannot be read"),
        (
            rewrite("manifest.json", lambda body: body.replace(b'"root"', b'"\xff"')),
            "its manifest cannot be read",
        ),
        (lambda content: b"", "damaged"),
        (lambda content: b"hello\n" * 2000, "damaged"),
        (flip(0.3), "not what was saved"),
        (flip(0.9), "not what was saved"),
        (rewrite("sagad.db", lambda body: body[:-4096]), "sagad.db is not what was saved"),
        (rewrite("blobs/", lambda body: body[1:]), "is not what was saved"),
        (rewrite("manifest.json", lambda body: body.replace(b'"root"', b'"toor"')), "or was altered"),
        (rewrite("manifest.json", lambda body: body.replace(b'"format":1', b'"format":9')), "newer sagad"),
        (rewrite("manifest.json", lambda body: body.replace(b'"schema":', b'"schema":9')), "newer sagad"),
    ],
)
def test_a_damaged_backup_is_refused(
    elsewhere: Daemon, taken: tuple[Path, Path], damage: Callable[[bytes], bytes], said: str
) -> None:
    """Wherever, and nothing has changed in the state folder."""
    file, before = damage(taken[0].read_bytes()), sorted(elsewhere.state.iterdir())
    with pytest.raises(StoreError) as refusal:
        restore(BytesIO(file), "damaged.tar", elsewhere.state, "root")

    assert said in str(refusal.value)
    assert "damaged.tar" in str(refusal.value)
    assert {path.name for path in elsewhere.state.iterdir()} - {path.name for path in before} <= {"lock"}


@pytest.mark.parametrize("name", ["head", "lock"])
def test_what_is_no_file_is_refused_before_anything_has_its_place(
    elsewhere: Daemon, taken: tuple[Path, Path], name: str
) -> None:
    """A folder in place of the mark was noticed when the blobs had theirs; a pipe held it up for ever."""
    path = elsewhere.state / name
    path.mkdir() if name == "head" else os.mkfifo(path)

    refused(elsewhere, taken[0], f"{path}: Something else is where sagad has a file", "Move it away")


def test_a_restore_that_is_killed_has_changed_nothing_and_can_be_made_again(
    elsewhere: Daemon, taken: tuple[Path, Path]
) -> None:
    """It is killed at random moments; then it is made, and the daemon starts over it."""
    for patience in (0.15, 0.25):
        words = [str(SCRIPT), "restore", str(taken[0]), "--state-dir", str(elsewhere.state)]
        process = subprocess.Popen(
            words, env=environment(elsewhere.socket), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if (elsewhere.state / "sagad.db").exists():
            break
    else:
        made = sagactl(elsewhere, "restore", taken[0], "--state-dir", elsewhere.state)
        assert made.returncode == 0, made.stderr
    with elsewhere as daemon:
        verified = daemon.ask("GET", "/v1/audit/verify")[1]
        held = daemon.ask("GET", "/v1/sagas?hold=attention")[1]["sagas"]

    assert verified["ok"]
    assert [each["kind"] for each in held] == ["waits"]
    assert list(elsewhere.state.glob(".restore-*")) == []


def test_a_restore_may_come_from_a_pipe(elsewhere: Daemon, taken: tuple[Path, Path]) -> None:
    """Whose other end is another machine."""
    with taken[0].open("rb") as file:
        ended = subprocess.run(
            [SCRIPT, "restore", "-", "--state-dir", str(elsewhere.state), "-q"],
            stdin=file,
            env=environment(elsewhere.socket),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    assert (ended.returncode, len(ended.stdout.split())) == (0, 1), ended.stderr
