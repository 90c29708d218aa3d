"""Two sagas, one resource, through the socket: who waits, what for, how long, and who gives way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import ENDED, Daemon
from tests.engine.test_run import echo, fail, put, sleep, statuses, why
from tests.faults.folder import saga


@pytest.fixture
def holder(daemon: Daemon, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A saga that has written a file and waits; it is let go when the test is over."""
    document = daemon.submit(
        saga("holder", [put("one", tmp_path / "x", "held"), sleep("two", "1h")]), wait=None
    )
    daemon.wait_until(lambda: statuses(daemon.saga(document["id"]))[1] == "running", 10, "it has the lock")
    yield document
    daemon.say(document["id"], "cancel", now=True)
    daemon.wait_until(lambda: daemon.saga(document["id"])["status"] in ENDED, 10, "it has let go")


def waiting(daemon: Daemon, name: str, steps: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Submit a saga that comes to wait for a lock."""
    document = daemon.submit(saga(name, steps, **more), wait=None)
    daemon.wait_until(lambda: daemon.saga(document["id"])["hold"] is not None, 10, "it waits")
    return daemon.saga(document["id"])


def ended(daemon: Daemon, document: dict[str, Any]) -> dict[str, Any]:
    """Wait for its end; a wait for a lock is none."""
    daemon.wait_until(lambda: daemon.saga(document["id"])["status"] in ENDED, 20, "it has ended")
    return daemon.saga(document["id"])


def kinds(daemon: Daemon, document: dict[str, Any]) -> list[str]:
    """The types of its events."""
    return [event["type"] for event in daemon.events(document["id"])]


def test_the_second_waits_until_the_first_has_ended(
    daemon: Daemon, holder: dict[str, Any], tmp_path: Path
) -> None:
    """It is told whom it waits for, what that one is at, and what can be done; it goes on by itself."""
    second = waiting(daemon, "second", [put("one", tmp_path / "x", "mine")])
    sentence = why(daemon, second)
    first = daemon.saga(holder["id"])
    assert (second["status"], second["hold"]["reason"]) == ("pending", "lock")
    assert holder["id"] in sentence
    assert f"sagactl cancel {holder['id']}" in sentence
    assert first["locks"]["held"] == [str(tmp_path / "x")]
    assert first["locks"]["awaited_by"] == [{"saga": second["id"], "resource": str(tmp_path / "x")}]
    assert [each["saga"] for each in second["locks"]["awaits"]] == [holder["id"]]
    assert (tmp_path / "x").read_text() == "held"

    daemon.say(holder["id"], "cancel", now=True)
    done = ended(daemon, second)

    assert done["status"] == "completed"
    assert (tmp_path / "x").read_text() == "mine"
    assert done["locks"] == {"held": [], "awaits": [], "awaited_by": []}
    assert [kind for kind in kinds(daemon, done) if kind.startswith("lock")] == [
        "lock.awaited", "lock.taken", "lock.released",
    ]  # fmt: skip


def test_why_names_the_hold_of_who_has_the_lock_and_its_remedy(daemon: Daemon, tmp_path: Path) -> None:
    """The one who has the lock waits for somebody itself."""
    stopped = daemon.submit(
        saga("stopped", [put("one", tmp_path / "y", "1"), fail("two")], on_failure="hold")
    )
    second = waiting(daemon, "second", [put("one", tmp_path / "y", "2")])
    sentence = why(daemon, second)

    assert stopped["id"] in sentence
    assert "attention" in sentence
    assert f"`sagactl skip {stopped['id']} two`" in sentence
    daemon.say(stopped["id"], "cancel")
    assert ended(daemon, second)["status"] == "completed"


def test_a_folder_is_locked_with_all_that_lies_below(
    daemon: Daemon, holder: dict[str, Any], tmp_path: Path
) -> None:
    """And what lies beside it is not."""
    mode = {"name": "mode", "do": "local.directory.update", "with": {"path": str(tmp_path), "mode": "0750"}}
    second = waiting(daemon, "folder", [mode])
    beside = daemon.submit(saga("beside", [put("one", tmp_path.parent / f"{tmp_path.name}-beside", "x")]))

    assert second["hold"]["reason"] == "lock"
    assert beside["status"] == "completed"
    assert daemon.say(second["id"], "cancel")[0] == 200
    assert ended(daemon, second)["status"] == "rolled_back"


@pytest.mark.usefixtures("holder")
def test_who_waits_too_long_fails_and_is_taken_back(daemon: Daemon, tmp_path: Path) -> None:
    """``lock_timeout`` is the step's."""
    steps = [put("first", tmp_path / "z", "z"), put("one", tmp_path / "x", "mine", lock_timeout="200ms")]
    done = ended(daemon, daemon.submit(saga("impatient", steps), wait=None))

    assert (done["status"], statuses(done)) == ("rolled_back", ["compensated", "failed"])
    assert (done["error"]["code"], done["error"]["step"]) == ("step_failed", "one")
    assert done["steps"][1]["error"]["code"] == "lock_timeout"
    assert not (tmp_path / "z").exists()


def test_abandon_lets_go(daemon: Daemon, holder: dict[str, Any], tmp_path: Path) -> None:
    """A saga that is given up keeps nobody waiting."""
    second = waiting(daemon, "second", [put("one", tmp_path / "x", "mine")])
    status, _ = daemon.say(holder["id"], "abandon", reason="the node is to be rebuilt")

    assert status == 200
    assert ended(daemon, second)["status"] == "completed"


def test_of_two_that_wait_for_each_other_the_younger_turns_back(daemon: Daemon, tmp_path: Path) -> None:
    """And the older one has its way."""
    a, b, pause = tmp_path / "a", tmp_path / "b", "600ms"
    older = daemon.submit(
        saga("older", [put("a", a, "older"), sleep("s", pause), put("b", b, "older")]), wait=None
    )
    younger = daemon.submit(
        saga("younger", [put("b", b, "younger"), sleep("s", pause), put("a", a, "younger")]), wait=None
    )
    one, other = ended(daemon, older), ended(daemon, younger)

    assert (one["status"], other["status"]) == ("completed", "rolled_back")
    assert other["error"]["code"] == "deadlock"
    assert older["id"] in other["error"]["message"]
    assert (a.read_text(), b.read_text()) == ("older", "older")


def test_the_order_of_those_who_wait_outlives_a_kill(tmp_path: Path) -> None:
    """Neither lost nor leaked: the first in the queue is the first to write."""
    target = tmp_path / "x"
    with Daemon(tmp_path) as daemon:
        first = daemon.submit(saga("first", [put("one", target, "0"), sleep("two", "1h")]), wait=None)
        daemon.wait_until(lambda: statuses(daemon.saga(first["id"]))[1] == "running", 10, "it has the lock")
        rest = [waiting(daemon, f"next{n}", [put("one", target, str(n)), echo("two")]) for n in range(1, 6)]
        daemon.kill()
        daemon.start()
        assert daemon.saga(first["id"])["locks"]["held"] == [str(target)]
        assert len(daemon.saga(first["id"])["locks"]["awaited_by"]) == 5
        daemon.say(first["id"], "cancel", now=True)
        done = [ended(daemon, each) for each in rest]
        order = [
            event["saga"]
            for event in daemon.ask("GET", "/v1/events")[1]["events"]
            if event["type"] == "saga.completed"
        ]

    assert {each["status"] for each in done} == {"completed"}
    assert order == [each["id"] for each in rest]
    assert target.read_text() == "5"


def test_who_waits_for_approval_has_no_lock_and_waits_for_none(
    daemon: Daemon, holder: dict[str, Any], tmp_path: Path
) -> None:
    """A day of thinking keeps nobody else waiting, and begins before the lock is free."""
    each = {"policy": {"approve": "each"}}
    asked = waiting(daemon, "asked", [put("one", tmp_path / "x", "asked")], **each)
    assert asked["hold"]["reason"] == "approval"
    daemon.say(holder["id"], "cancel", now=True)
    other = daemon.submit(saga("other", [put("one", tmp_path / "x", "other")]))
    assert (other["status"], daemon.saga(asked["id"])["locks"]["held"]) == ("completed", [])

    assert daemon.say(asked["id"], "approve")[0] == 200
    assert ended(daemon, asked)["status"] == "completed"
    assert (tmp_path / "x").read_text() == "asked"


def test_who_was_approved_waits_for_the_lock(daemon: Daemon, holder: dict[str, Any], tmp_path: Path) -> None:
    """And is not asked again."""
    asked = waiting(daemon, "asked", [put("one", tmp_path / "x", "asked")], policy={"approve": "each"})
    daemon.say(asked["id"], "approve")
    daemon.wait_until(lambda: "lock of" in why(daemon, asked), 5, "it waits for the lock")
    daemon.say(holder["id"], "cancel", now=True)

    assert ended(daemon, asked)["status"] == "completed"
    assert kinds(daemon, asked).count("approval.asked") == 1


def test_a_step_that_cannot_be_prepared_keeps_nobody_waiting(daemon: Daemon, tmp_path: Path) -> None:
    """The file that it would make is there already; its saga goes on elsewhere for a while."""
    target = tmp_path / "there"
    target.write_text("already")
    create = {"name": "create", "do": "local.file.create", "needs": [],
              "with": {"path": str(target), "content": "new"}}  # fmt: skip
    slow = {**sleep("slow", "1h"), "needs": []}
    first = daemon.submit(saga("first", [create, slow]), wait=None)
    daemon.wait_until(lambda: statuses(daemon.saga(first["id"]))[0] == "failed", 10, "it has failed")
    second = daemon.submit(saga("second", [put("one", target, "mine")]))
    daemon.say(first["id"], "cancel", now=True)

    assert second["status"] == "completed"
    assert ended(daemon, first)["status"] == "rolled_back"
