"""Whatever goes wrong in one saga stays in that saga, and it says why."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.faults.folder import FAIL, saga

QUICK = '[supervisor]\nmax_restarts = 2\nbackoff = "1ms"\n'
ECHO: dict[str, Any] = {"name": "echo", "do": "test.echo", "with": {"message": "hello"}}
UNKNOWN_TO_THE_ENGINE = (
    "raise", "exit", "interrupt", "cancelled", "group", "os", "memory", "recursion", "none", "text", "ended", "class",
)  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One rigged daemon for all: each test shows that it goes on."""
    made = Daemon(tmp_path_factory.mktemp("rigged"), QUICK)
    made.start(module=("tests.faults.rigged",))
    with_it = made
    try:
        yield with_it
    finally:
        made.__exit__()


def goes_on(daemon: Daemon) -> bool:
    """Another saga runs as ever."""
    return bool(daemon.submit(saga("other", [ECHO]))["status"] == "completed")


@pytest.mark.parametrize("how", UNKNOWN_TO_THE_ENGINE)
def test_a_driver_that_misbehaves_after_its_effect_is_found_out_and_undone(
    daemon: Daemon, tmp_path: Path, how: str
) -> None:
    """Its effect is adopted, done once, and taken back when the saga fails."""
    path = tmp_path / "made"
    step = {"name": "rig", "do": "rig.do", "with": {"path": str(path), "how": how}}
    document = daemon.submit(saga("rigged", [step, FAIL]))
    types = [event["type"] for event in daemon.events(document["id"]) if event["step"] == "rig"]

    assert document["status"] == "rolled_back"
    assert [step["status"] for step in document["steps"]] == ["compensated", "failed"]
    assert types[:5] == ["lock.taken", "step.started", "step.unknown", "step.settled", "step.succeeded"]
    assert not path.exists()
    assert goes_on(daemon)


@pytest.mark.slow
def test_an_effect_that_cannot_be_looked_at_for_want_of_descriptors_is_looked_at_later(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Found by torture: nobody can say what an attempt did that could not even be ended, and yet a person was asked."""
    step = {"name": "rig", "do": "rig.do", "with": {"path": str(tmp_path / "made"), "how": "starved"}}
    document = daemon.submit(saga("rigged", [step]))
    settled = [event for event in daemon.events(document["id"]) if event["type"] == "step.settled"]

    assert document["status"] == "completed", document["hold"]
    assert len(settled) == 1


def test_an_effect_behind_a_timeout_is_adopted(daemon: Daemon, tmp_path: Path) -> None:
    """A call that hangs is ended, and what it did is found."""
    path = tmp_path / "made"
    step = {"name": "rig", "do": "rig.do", "with": {"path": str(path), "how": "hang"}, "timeout": "50ms"}
    document = daemon.submit(saga("rigged", [step]))

    assert document["status"] == "completed"
    assert path.read_text() == "made\n"


def test_an_undo_whose_answer_is_lost_is_settled_like_a_step(daemon: Daemon, tmp_path: Path) -> None:
    """It is looked up, found done, and the step is compensated."""
    path = tmp_path / "made"
    step = {"name": "rig", "do": "rig.do", "with": {"path": str(path), "how": "undo"}}
    document = daemon.submit(saga("rigged", [step, FAIL]))
    types = [event["type"] for event in daemon.events(document["id"]) if event["type"].startswith("undo.")]

    assert document["status"] == "rolled_back"
    assert types == ["undo.started", "undo.unknown", "undo.settled", "undo.succeeded"]


def test_what_nobody_can_find_out_is_asked(daemon: Daemon, tmp_path: Path) -> None:
    """No find, not safe to repeat: the saga holds, and `why` says what to do."""
    path = tmp_path / "made"
    step = {"name": "rig", "do": "rig.blind", "with": {"path": str(path), "how": "raise"}}
    document = daemon.submit(saga("rigged", [step]))
    why = daemon.ask("GET", f"/v1/sagas/{document['id']}/why")[1]["why"]

    assert (document["steps"][0]["status"], document["hold"]["reason"]) == ("unknown", "attention")
    assert "after the effect" in why
    assert f"sagactl resolve {document['id']} rig --as done|failed|retry" in why
    assert path.read_text() == "made\n"


def test_a_check_that_raises_fails_the_step_before_anything_changed(daemon: Daemon, tmp_path: Path) -> None:
    """A symlink that vanished while its path was resolved once ended the actor, and the saga was set aside."""
    echo = {**ECHO, "with": {"message": "check"}}
    rig = {
        "name": "rig",
        "do": "rig.do",
        "with": {"path": str(tmp_path / "made"), "how": "${steps.echo.message}"},
        "retry": {"attempts": 2, "delay": "1ms"},
    }
    document = daemon.submit(saga("rigged", [echo, rig]))
    types = [event["type"] for event in daemon.events(document["id"])]

    assert document["status"] == "rolled_back", document
    assert document["error"]["step"] == "rig"
    assert "rig could not check its arguments: FileNotFoundError" in document["error"]["message"]
    assert "actor.failed" not in types
    assert goes_on(daemon)


def test_reading_that_raises_fails_the_step_before_anything_changed(daemon: Daemon, tmp_path: Path) -> None:
    """It is tried again as often as the step says, and then fails."""
    step = {
        "name": "rig",
        "do": "rig.do",
        "with": {"path": str(tmp_path / "made"), "how": "plan"},
        "retry": {"attempts": 2, "delay": "1ms"},
    }
    document = daemon.submit(saga("rigged", [ECHO, step]))

    assert document["status"] == "rolled_back"
    assert "planning raised" in document["steps"][1]["error"]["message"]
    assert document["steps"][1]["attempts"] == 0


def test_a_bug_in_the_machine_quarantines_its_saga_alone(daemon: Daemon) -> None:
    """After a few restarts it is left alone, says why, and everything else goes on."""
    document = daemon.submit(saga("machine-bug", [ECHO]), wait=None)
    document = daemon.wait_ended(document["id"])
    why = daemon.ask("GET", f"/v1/sagas/{document['id']}/why")[1]["why"]
    health = daemon.ask("GET", "/v1/health")[1]

    assert document["hold"]["reason"] == "quarantined"
    assert "a bug in the machine" in why
    assert any(document["id"] in warning and "ZeroDivisionError" in warning for warning in health["warnings"])
    assert daemon.say(document["id"], "cancel")[0] == 409
    assert daemon.say(document["id"], "abandon", reason="a test")[0] == 200
    assert daemon.wait_ended(document["id"])["status"] == "failed"
    assert document["id"] not in str(daemon.ask("GET", "/v1/health")[1]["warnings"])
    assert goes_on(daemon)


def test_a_damaged_checkpoint_is_folded_anew_from_the_events(tmp_path: Path) -> None:
    """Events are the truth: the saga goes on, its record says what happened, the others do not notice."""
    slow = {"name": "wait", "do": "wait.timer", "with": {"duration": "1h"}}
    with Daemon(tmp_path) as daemon:
        one, two = (daemon.submit(saga("waits", [ECHO, slow]), wait=None)["id"] for _ in range(2))
        daemon.wait_until(lambda: daemon.saga(two)["waiting"] is not None, 10, "both wait")
        daemon.kill()
        damage(daemon.state / "sagad.db", one)
        daemon.start()
        status, answer = daemon.say(one, "cancel")
        document = daemon.wait_ended(one)
        types = [event["type"] for event in daemon.events(one)]

        assert status == 200, answer
        assert document["status"] == "rolled_back"
        assert "saga.rebuilt" in types
        assert daemon.saga(two)["waiting"]["for"] == "timer"
        assert "saga.rebuilt" not in [event["type"] for event in daemon.events(two)]


def damage(database: Path, id_: str) -> None:
    """Overwrite a saga's checkpoint."""
    db = sqlite3.connect(database)
    db.execute("UPDATE sagas SET state = ? WHERE id = ?", (b"\x00rubbish", id_))
    db.commit()
    db.close()
