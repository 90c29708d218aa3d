"""`sagactl audit` and the real sagad: an honest record, and each way of tampering with one."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.saga.state import State
from store import chain
from tests.cli.conftest import SCRIPT, environment
from tests.cli.standin import StandIn
from tests.daemon import Daemon

pytestmark = pytest.mark.slow

SWAP = """
    UPDATE events SET seq = -5 WHERE seq = 5;
    UPDATE events SET seq = 5 WHERE seq = 7;
    UPDATE events SET seq = 7 WHERE seq = -5;
"""
TAMPERED = {
    "a byte of a body": (
        "UPDATE events SET body = cast(replace(body, 'root', 'r0ot') AS BLOB) WHERE seq = 1",
        1,
    ),
    "a row deleted": ("DELETE FROM events WHERE seq = 4", 4),
    "two swapped": (SWAP, 5),
    "the end cut off": ("DELETE FROM events WHERE seq > 8", 9),
    "one taken off its timeline": ("UPDATE events SET number = NULL WHERE seq = 6", 6),
}


def typed(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Type a command."""
    return subprocess.run(
        [SCRIPT, "audit", *words],
        env=environment(daemon.socket),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def undone(folder: Path) -> dict[str, Any]:
    """A saga that writes a page and then fails."""
    page = {"name": "page", "do": "local.file.put", "with": {"path": str(folder / "page"), "content": "x"}}
    return {"saga": "undone", "steps": [page, {"name": "bad", "do": "test.fail", "with": {"kind": "error"}}]}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a saga that was taken back and one that stayed, 19 events. Its record may be tampered with."""
    made = Daemon(tmp_path)
    try:
        made.start()
        made.submit(undone(tmp_path), reason="to see")
        say = {"name": "say", "do": "test.echo", "with": {"message": "é"}}
        steps = [undone(tmp_path)["steps"][0], say]
        made.submit({"saga": "stays", "steps": steps})
        yield made
    finally:
        made.__exit__(Exception)  # without the check that its checkpoints are what its events say


def tamper(daemon: Daemon, change: str) -> None:
    """Change the database behind the daemon's back."""
    with closing(sqlite3.connect(daemon.state / "sagad.db", isolation_level=None)) as db:
        db.executescript(change)


def test_an_honest_record_proves_itself(daemon: Daemon) -> None:
    """Online and offline alike, and up to a head that was noted down in either form; every checkpoint as well."""
    head = typed(daemon, "verify", "-q").stdout.strip()
    daemon.submit(undone(daemon.folder))
    health = daemon.ask("GET", "/v1/health")[1]["head"]

    assert head.startswith("19:")
    for words in (["--head", head], ["--head", head.partition(":")[2]], ["--head", health["hash"]], []):
        for place in ([], ["--state-dir", str(daemon.state)]):
            ended = typed(daemon, "verify", *words, *place)
            assert (ended.returncode, ended.stderr) == (0, "")
            assert f"30 events, head 30:{health['hash']}" in ended.stdout
    assert typed(daemon, "replay").stdout == "every checkpoint is what its events say: 3 sagas\n"


@pytest.mark.parametrize("how", TAMPERED)
def test_tampering_is_found_and_the_event_named(daemon: Daemon, how: str) -> None:
    """By the running daemon, and without it when it refuses to start."""
    change, bad = TAMPERED[how]
    tamper(daemon, change)
    online = typed(daemon, "verify", "-o", "json")
    daemon.stop()
    command = [sys.executable, "-m", "orchestrator.daemon", "--state-dir", str(daemon.state)]
    refused = subprocess.run(
        [*command, "--socket", str(daemon.socket)], capture_output=True, timeout=20, check=False
    )
    offline = typed(daemon, "verify", "--state-dir", str(daemon.state))

    assert refused.returncode == 78
    assert (online.returncode, offline.returncode, offline.stdout) == (1, 1, "")
    found = json.loads(online.stdout)
    assert (found["ok"], found["bad"]) == (False, bad)
    for ended in (online, offline):
        assert f"event {bad} " in ended.stderr


def test_a_record_that_was_shortened_with_the_key_is_found_by_a_head(daemon: Daemon) -> None:
    """An earlier copy put back, or the end cut off and signed anew: it proves itself, but not to who has the head."""
    head = typed(daemon, "verify", "-q").stdout.strip()
    daemon.stop()
    key = (daemon.state / "node.key").read_bytes()
    with closing(sqlite3.connect(daemon.state / "sagad.db", isolation_level=None)) as db:
        db.execute("DELETE FROM events WHERE seq > 8")
        node, last = db.execute("SELECT node, hash FROM meta, events WHERE events.seq = 8").fetchone()
        db.execute("UPDATE meta SET seq = 8, head = ?, mac = ?", (last, chain.mac(key, node, 8, last)))
    offline = ("--state-dir", str(daemon.state))

    assert typed(daemon, "verify", *offline).returncode == 0
    missed = typed(daemon, "verify", *offline, "--head", head)
    assert (missed.returncode, "the given head was taken from event 19" in missed.stderr) == (1, True)
    unknown = typed(daemon, "verify", *offline, "--head", head[3:])
    assert (unknown.returncode, "is not on the record" in unknown.stderr) == (1, True)


def test_a_checkpoint_changed_behind_its_back_is_found_by_replay(daemon: Daemon) -> None:
    """Also with a sum that fits; the chain does not cover it. A row that is gone is missed."""
    first, second = (each["id"] for each in daemon.ask("GET", "/v1/sagas")[1]["sagas"])
    with closing(sqlite3.connect(daemon.state / "sagad.db", isolation_level=None)) as db:
        (state,) = db.execute("SELECT state FROM sagas WHERE id = ?", (first,)).fetchone()
        changed = msgspec.structs.replace(msgspec.msgpack.decode(state, type=State), numbers=99)
        forged = msgspec.msgpack.encode(changed)
        fitting = hashlib.sha256(forged).digest()[:8]
        db.execute("UPDATE sagas SET state = ?, state_sum = ? WHERE id = ?", (forged, fitting, first))
    ended = typed(daemon, "replay")

    assert typed(daemon, "verify").returncode == 0
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"saga {first}: its checkpoint differs from its events in numbers: 99, not 2\n" in ended.stderr
    assert second not in ended.stderr
    assert typed(daemon, "replay", "-q").stdout == f"{first}\n"

    tamper(daemon, f"DELETE FROM sagas WHERE id = '{second}'")
    assert f"saga {second}: its row is gone, its events begin with 1" in typed(daemon, "replay").stderr


def test_a_saga_at_work_is_no_false_alarm(daemon: Daemon) -> None:
    """Its checkpoint and its events are read at the same moment."""
    step = {"do": "test.echo", "with": {"message": "x"}}
    steps = [{"name": f"s{number}", **step} for number in range(40)]
    for _ in range(10):
        daemon.submit({"saga": "busy", "steps": steps}, wait=None)

    for _ in range(10):
        status, found = daemon.ask("GET", "/v1/audit/replay")
        assert (status, found["ok"], found["differing"]) == (200, True, [])
        assert daemon.ask("GET", "/v1/audit/verify")[1]["ok"]


def test_a_resources_history_is_told_across_sagas(daemon: Daemon) -> None:
    """Who, what, when and why, and which execution made up for which."""
    story = typed(daemon, "show", "--resource", str(daemon.folder / "page")).stdout.splitlines()
    first, second = (line for line in story if line.startswith("saga "))
    made, taken = (line for line in story if "as execution" in line and line.split()[0] in ("3", "8"))
    forward, undo = (line.partition("as execution ")[2][:12] for line in (made, taken))

    assert "undone  rolled_back  submitted by root: to see" in first
    assert "stays  completed  submitted by root" in second
    assert "step page started (local.file.put, forward) on" in made
    assert made.endswith(f"which was made up for by {undo}")
    assert "undo of page started (local.file.delete, restore) on" in taken
    assert taken.endswith(f"which makes up for {forward}")
    assert [line.split()[0] for line in story] == ["saga", "2", "3", "4", "8", "9", "saga", "13", "14", "15"]


def test_a_story_is_told_of_a_saga_a_user_and_a_time(daemon: Daemon) -> None:
    """Nothing of that is said where there is nothing; ids and numbers alone where they are asked for."""
    whole = typed(daemon, "show", "last").stdout
    assert "root      saga submitted" in whole
    assert "sagad     saga completed" in whole
    assert typed(daemon, "show", "--user", "root", "-q").stdout.split() == ["1", "12"]
    assert (
        typed(daemon, "show", "--until", "2020-01-01T00:00:00Z").stderr
        == "nothing of that is on the record\n"
    )
    assert len(json.loads(typed(daemon, "show", "-o", "json").stdout)["events"]) == 19
    assert typed(daemon, "show", "nosuchsaga").returncode == 6
    assert typed(daemon, "show", "--since", "yesterday").returncode == 2


def test_an_export_can_be_proved_by_anybody(daemon: Daemon) -> None:
    """Its lines are what was hashed: SHA-256 is all that is needed to follow the chain."""
    ended = typed(daemon, "export")
    previous = chain.GENESIS
    for number, line in enumerate(ended.stdout.splitlines(), start=1):
        event = json.loads(line)
        body = "{" + line.partition(f'"hash":"{event["hash"]}",')[2]
        previous = chain.link(previous, number, chain.digest(body.encode()), event["saga"])
        assert (event["seq"], event["hash"]) == (number, previous.hex())

    assert number == 19
    assert json.loads(typed(daemon, "export", "--user", "root").stdout.splitlines()[1])["seq"] == 12


def test_what_cannot_be_verified_is_told_from_what_is_broken(daemon: Daemon, tmp_path: Path) -> None:
    """No folder, no key, no database: each with a code of its own kind, and no traceback."""
    (tmp_path / "empty").mkdir()
    assert typed(daemon, "verify", "--state-dir", str(tmp_path / "empty")).returncode == 2
    assert typed(daemon, "verify", "--head", "12").returncode == 2
    assert typed(daemon, "verify", "--state-dir", str(daemon.state), "--head", "12").returncode == 2
    (tmp_path / "empty" / "sagad.db").write_text("rubbish" * 1000)
    keyless = typed(daemon, "verify", "--state-dir", str(tmp_path / "empty"))
    (tmp_path / "empty" / "node.key").write_bytes(bytes(32))
    (tmp_path / "empty" / "node.key").chmod(0o600)
    rubbish = typed(daemon, "verify", "--state-dir", str(tmp_path / "empty"))

    assert (keyless.returncode, "node's key is missing" in keyless.stderr) == (1, True)
    assert (rubbish.returncode, "cannot be read as a database of sagad" in rubbish.stderr) == (1, True)


def test_an_export_reads_every_page(socket_path: Path) -> None:
    """The daemon gives a thousand at a time; the bytes of each event are as they came."""
    stand_in = StandIn(socket_path)
    pages = [b'{"events":[{"seq":1,"x":"]},{"},{"seq":2}]}', b'{"events":[{"seq":3}]}', b'{"events":[]}']
    stand_in.on("GET", "/v1/audit/events", *((200, page) for page in pages))
    ended = subprocess.run(
        [SCRIPT, "audit", "export", "--user", "ann"],
        env=environment(socket_path),
        capture_output=True,
        check=False,
    )
    stand_in.stop()

    assert ended.stdout == b'{"seq":1,"x":"]},{"}\n{"seq":2}\n{"seq":3}\n'
    asked = [request.target.partition("?")[2] for request in stand_in.requests]
    assert asked == [f"actor=ann&after={after}" for after in (0, 2, 3)]
