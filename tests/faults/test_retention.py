"""What has had its time is dropped from the record, which goes on proving itself; what somebody needs stays."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.faults.folder import FAIL, saga

pytestmark = pytest.mark.slow

ECHO: dict[str, Any] = {"name": "echo", "do": "test.echo", "with": {"message": "hello"}}
HOUR: dict[str, Any] = {"name": "wait", "do": "wait.timer", "with": {"duration": "1h"}}
SETTINGS = '[retention]\ncompleted = "1ms"\nrolled_back = "1ms"\nfailed = "never"\n'


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that keeps nothing that has ended well."""
    made = Daemon(tmp_path, SETTINGS)
    made.start(module=("tests.faults.tended",))
    with made:
        yield made


def gone(daemon: Daemon, id_: str) -> bool:
    """Tell whether there is no such saga any more."""
    return bool(daemon.ask("GET", f"/v1/sagas/{id_}")[0] == 404)


def rounds(daemon: Daemon) -> None:
    """Wait until retention has gone round once more from now on."""

    def last() -> Any:
        return (daemon.ask("GET", "/v1/health")[1]["retention"] or {}).get("last")

    for _ in range(2):  # the first may have begun before
        before = last()
        daemon.wait_until(lambda before=before: last() != before, 10, "retention goes round")  # type: ignore[misc]


def rows(daemon: Daemon, query: str) -> list[Any]:
    """Look into the database."""
    with closing(sqlite3.connect(f"file:{daemon.state / 'sagad.db'}?mode=ro", uri=True)) as db:
        return list(db.execute(query))


def test_what_has_had_its_time_goes_and_the_record_proves_itself(daemon: Daemon) -> None:
    """Rows, executions and plans go; hashes stay; the chain holds, the replay says what it skipped; it is on record."""
    done = daemon.submit(saga("done", [ECHO]))["id"]
    back = daemon.submit(saga("back", [ECHO, FAIL]))["id"]
    live = daemon.submit(saga("live", [ECHO, HOUR]), wait=None)["id"]
    failed = daemon.submit(saga("failed", [ECHO, FAIL], on_failure="stop"))["id"]
    daemon.wait_until(lambda: gone(daemon, done) and gone(daemon, back), 10, "they are gone")
    rounds(daemon)
    verified, replayed = (daemon.ask("GET", f"/v1/audit/{what}")[1] for what in ("verify", "replay"))
    pruned = [
        event for event in daemon.ask("GET", "/v1/events")[1]["events"] if event["type"] == "node.pruned"
    ]
    health = daemon.ask("GET", "/v1/health")[1]["retention"]
    doctor = {each["check"]: each for each in daemon.ask("GET", "/v1/doctor")[1]["checks"]}

    assert (verified["ok"], verified["pruned"] > 10) == (True, True)
    assert (replayed["ok"], replayed["sagas"], replayed["skipped"]) == (True, 2, 2)
    assert {id_ for event in pruned for id_ in event["data"]["sagas"]} == {done, back}
    assert not gone(daemon, live)
    assert daemon.saga(failed)["status"] == "failed"
    assert rows(daemon, "SELECT count(*) FROM executions WHERE number NOT IN (SELECT number FROM sagas)") == [
        (0,)
    ]
    assert rows(daemon, "SELECT count(*) FROM plans") == [(2,)]
    assert rows(daemon, "SELECT count(*) FROM events WHERE body IS NULL AND digest IS NULL") == [(0,)]
    assert (health["sagas"], health["error"]) == (2, None)
    assert doctor["retention"]["status"] == "ok"
    assert daemon.say(live, "cancel")[0] == 200


def test_a_key_outlives_its_saga(daemon: Daemon) -> None:
    """The same submission is not started again, and says why."""
    body, key = {"saga": saga("done", [ECHO])}, {"Idempotency-Key": "once"}
    id_ = daemon.ask("POST", "/v1/sagas?wait=30s", body, key)[1]["id"]
    daemon.wait_until(lambda: gone(daemon, id_), 10, "it is gone")
    status, said = daemon.ask("POST", "/v1/sagas", body, key)

    assert (status, said["code"]) == (409, "saga_pruned")
    assert id_ in said["detail"]
    assert daemon.ask("GET", "/v1/sagas")[1]["sagas"] == []


def test_a_saga_whose_resource_is_kept_stays_until_that_is_forgotten(daemon: Daemon, tmp_path: Path) -> None:
    """It is what says how the resource came to be, and what takes it back."""
    path = str(tmp_path / "page")
    step = {"name": "page", "do": "local.file.create", "with": {"path": path, "content": "x"}}
    made = daemon.submit(saga("makes", [step]))["id"]
    rounds(daemon)
    kept, needed = gone(daemon, made), daemon.ask("GET", "/v1/health")[1]["retention"]["needed"]
    assert daemon.ask("POST", f"/v1/resources/local.file/{path.replace('/', '%2F')}/forget", {})[0] == 200
    daemon.wait_until(lambda: gone(daemon, made), 10, "it is gone")

    assert (kept, needed) == (False, 1)


def test_a_saga_goes_with_all_that_takes_it_back_or_not_at_all(daemon: Daemon, tmp_path: Path) -> None:
    """While a rollback of it is at work, or has failed and is kept, nothing of them goes."""
    keep_all(daemon)
    step = {**ECHO, "undo": {"do": "wait.timer", "with": {"duration": "1h"}}}
    done = daemon.submit(saga("done", [step]))["id"]
    rollback = daemon.say(done, "rollback")[1]["saga"]["id"]
    daemon.wait_until(lambda: daemon.saga(rollback)["waiting"] is not None, 10, "the rollback is at work")
    daemon.config.write_text(SETTINGS)
    assert daemon.ask("POST", "/v1/reload")[1]["changed"] == ["retention"]
    rounds(daemon)
    live = gone(daemon, done)
    daemon.say(rollback, "abandon", reason="a test")
    daemon.wait_ended(rollback)
    rounds(daemon)

    assert live is False
    assert daemon.saga(rollback)["status"] == "failed"
    assert not gone(daemon, done)


def keep_all(daemon: Daemon) -> None:
    """Have the daemon drop nothing for now."""
    daemon.config.write_text(SETTINGS.replace("1ms", "never"))
    assert daemon.ask("POST", "/v1/reload")[0] == 200


def test_blobs_go_with_the_last_execution_that_names_them(daemon: Daemon, tmp_path: Path) -> None:
    """Two sagas have deleted the same content; the failed one is kept."""
    content = os.urandom(1 << 17)
    blobs = daemon.state / "blobs"
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        path.write_bytes(content)
    steps = [{"name": "rm", "do": "local.file.delete", "with": {"path": str(path)}} for path in paths]
    kept = daemon.submit(saga("kept", [steps[0], FAIL], on_failure="stop"))["id"]
    first = daemon.submit(saga("first", [steps[1]]))["id"]
    daemon.wait_until(lambda: gone(daemon, first), 10, "it is gone")
    rounds(daemon)
    while_named = [path.name for path in blobs.iterdir()]
    back = daemon.wait_ended(daemon.say(kept, "rollback")[1]["saga"]["id"])
    again = paths[0].read_bytes()

    assert (len(while_named), back["status"]) == (1, "completed")
    assert again == content


def test_others_work_on_while_hundreds_of_sagas_are_dropped(tmp_path: Path) -> None:
    """It is killed half-way, too, and goes on where it was."""
    made = Daemon(tmp_path, '[retention]\ncompleted = "never"\n')
    with made.start(module=("tests.faults.tended",)) as daemon:
        body = {
            "batch": "many",
            "sagas": [{"saga": saga("many", [ECHO])} for _ in range(100)],
            "mode": "best_effort",
        }
        for _ in range(3):
            assert daemon.ask("POST", "/v1/batches?wait=60s", body)[0] == 201
        daemon.stop()
        daemon.config.write_text(SETTINGS)
        daemon.start(module=("tests.faults.tended",))
        daemon.wait_until(lambda: daemon.ask("GET", "/v1/audit/verify")[1]["pruned"] > 0, 20, "it has begun")
        daemon.kill()
        left = rows(daemon, "SELECT count(*) FROM sagas")[0][0]
        daemon.start(module=("tests.faults.tended",))
        other = daemon.submit(saga("other", [ECHO]))["status"]
        daemon.wait_until(lambda: not daemon.ask("GET", "/v1/sagas")[1]["sagas"], 30, "all are gone")
        rounds(daemon)
        replayed = daemon.ask("GET", "/v1/audit/replay")[1]

    assert (0 < left <= 303, other) == (True, "completed")
    assert replayed == {"ok": True, "sagas": 0, "skipped": 304, "differing": []}
