"""sagactl backup, where what answers does not send what it should: no file has the name of a backup that is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Sagactl
from tests.cli.standin import Raw, StandIn


def short(raw: Raw) -> None:
    """Promise more than is sent, and hang up."""
    raw.send_response(200)
    raw.send_header("Content-Type", "application/x-tar")
    raw.send_header("Content-Length", "100000")
    raw.end_headers()
    raw.wfile.write(b"manifest" * 100)
    raw.close_connection = True


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (short, 9, "the backup was cut off"),
        ((200, b"no tar at all" * 1_000), 1, "This backup is damaged"),
        ((200, b""), 1, "This backup is damaged"),
        ((503, {"detail": "There is no room to make a backup"}), 1, "no room to make a backup"),
        ((403, {"detail": "ann has the role operator here, and this needs admin"}), 8, "needs admin"),
    ],
)
def test_what_is_no_whole_backup_is_not_kept(
    daemon: StandIn, sagactl: Sagactl, tmp_path: Path, reply: object, code: int, said: str
) -> None:
    """The one of before stays, also with --yes."""
    daemon.on("POST", "/v1/backup", reply, reply)  # type: ignore[arg-type]
    before = tmp_path / "before.tar"
    before.write_text("precious")
    ended = sagactl("backup", str(tmp_path / "new.tar"))
    over = sagactl("backup", str(before), "--yes")

    assert (ended.returncode, over.returncode) == (code, code), ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["before.tar"]
    assert before.read_text() == "precious"


def test_a_place_that_cannot_be_written_is_said_before_anything_is_asked(
    daemon: StandIn, sagactl: Sagactl, tmp_path: Path
) -> None:
    """No daemon makes a copy for nothing."""
    ended = sagactl("backup", str(tmp_path / "nowhere" / "new.tar"))

    assert ended.returncode == 1
    assert "cannot write" in ended.stderr
    assert daemon.requests == []


def test_what_is_no_file_is_never_replaced(daemon: StandIn, sagactl: Sagactl, tmp_path: Path) -> None:
    """A folder, a device: the last step of a backup would put a file in its place, as root even in that of /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ended = [sagactl("backup", str(path), "--yes") for path in (tmp_path, pipe)]

    assert [each.returncode for each in ended] == [2, 2]
    assert pipe.is_fifo()
    assert daemon.requests == []


def test_no_daemon_no_backup(sagactl: Sagactl, tmp_path: Path) -> None:
    """And no empty file."""
    ended = sagactl("backup", str(tmp_path / "new.tar"))

    assert ended.returncode == 9
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("nowhere.tar",), ("/etc/hostname",), ("/etc",)])
def test_a_restore_of_what_is_no_backup_is_refused(
    sagactl: Sagactl, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """With 2 where there is no such file, and with 1 where it is no backup, or no file; nothing is made but the folder."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "node.key").write_bytes(b"k" * 32)
    (state / "node.key").chmod(0o600)
    ended = sagactl("restore", *words, "--state-dir", str(state))

    assert ended.returncode == (2 if words == ("nowhere.tar",) else 1), ended.stderr
    assert words != ("/etc",) or ended.stderr.startswith("error: /etc: Is a directory\n")
    assert {path.name for path in state.iterdir()} <= {"node.key", "lock"}
