"""Undos that ask first, through the socket: policy `hold` of a type, who may answer, and what becomes of the step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.daemon import Daemon
from tests.engine.test_approvals import kinds
from tests.engine.test_run import echo, fail, put, statuses, why


def asking(*steps: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Give a saga whose files are taken back only if somebody approves."""
    policy = {"local.file": {"undo": "hold"}, **keys.pop("policy", {})}
    return {"saga": "careful", "policy": policy, "steps": list(steps), **keys}


def failing(target: Path) -> dict[str, Any]:
    """Give one that has to take back a file."""
    return asking(echo("one"), put("two", target, "new"), fail("three"))


def test_an_undo_waits_for_approval_and_nothing_is_touched_until_then(daemon: Daemon, tmp_path: Path) -> None:
    """What is asked, given and done is on the record, and the rest of the way back waits in its order."""
    target = tmp_path / "file"
    target.write_text("old")
    held = daemon.submit(failing(target))
    sentence, content = why(daemon, held), target.read_text()
    _, said = daemon.say(held["id"], "approve", reason="go ahead")
    ended = daemon.wait_ended(held["id"])
    events = [each for each in daemon.events(held["id"]) if each["type"].startswith("approval")]

    assert (held["status"], held["hold"]["reason"]) == ("compensating", "approval")
    assert statuses(held) == ["completed", "completed", "failed"]
    assert content == "new"
    assert "the undo of step two waits for approval of" in sentence
    assert f"`sagactl approve {held['id']} two`" in sentence
    assert said["did"] == "accepted"
    assert (ended["status"], statuses(ended)) == ("rolled_back", ["compensated", "compensated", "failed"])
    assert target.read_text() == "old"
    assert [(each["type"], each["step"], each["data"]["direction"]) for each in events] == [
        ("approval.asked", "two", "undo"),
        ("approval.given", "two", "undo"),
    ]
    assert kinds(daemon, held["id"]).index("approval.given") < kinds(daemon, held["id"]).index("undo.started")


def test_a_rejected_undo_keeps_its_step_and_the_others_go_on(daemon: Daemon, tmp_path: Path) -> None:
    """The saga is rolled back, less what it names as left behind."""
    target = tmp_path / "file"
    held = daemon.submit(failing(target))
    status, said = daemon.say(held["id"], "reject", step="two", reason="it is in use")
    ended = daemon.wait_ended(held["id"])

    assert (status, said["detail"]) == (200, "step two is kept")
    assert (ended["status"], statuses(ended)) == ("rolled_back", ["compensated", "kept", "failed"])
    assert ended["left_behind"][0]["step"] == "two"
    assert ended["left_behind"][0]["why"].startswith(
        f"its undo was rejected by {held['submitted_by']}: it is"
    )
    assert target.read_text() == "new"


def test_a_skip_and_a_cancel_while_an_undo_asks(daemon: Daemon, tmp_path: Path) -> None:
    """A cancel is said to be under way; a skip keeps the step."""
    held = daemon.submit(failing(tmp_path / "file"))
    cancelled = daemon.say(held["id"], "cancel")
    daemon.say(held["id"], "skip", step="two")
    ended = daemon.wait_ended(held["id"])

    assert (cancelled[0], cancelled[1]["did"]) == (200, "nothing")
    assert statuses(ended) == ["compensated", "kept", "failed"]


def test_the_question_outlives_the_daemon_and_does_not_expire(daemon: Daemon, tmp_path: Path) -> None:
    """`expires` is for the way forward; while it waits the saga takes no memory."""
    target = tmp_path / "file"
    saga = asking(
        put("one", target, "new"), fail("two"), policy={"expires": "100ms", "approvers": ["operator"]}
    )
    held = daemon.submit(saga)
    daemon.wait_until(lambda: daemon.ask("GET", "/v1/health")[1]["in_memory"] == 0, 5, "out of memory")
    daemon.kill()
    time.sleep(0.2)
    daemon.start()
    after = daemon.saga(held["id"])
    daemon.say(held["id"], "approve")
    ended = daemon.wait_ended(held["id"])

    assert (after["status"], after["hold"]["reason"]) == ("compensating", "approval")
    assert (ended["status"], statuses(ended)) == ("rolled_back", ["compensated", "failed"])
    assert not target.exists()


def test_in_a_graph_the_other_undos_go_on(daemon: Daemon, tmp_path: Path) -> None:
    """Only what asks waits, and what it depends on."""
    saga = asking(
        put("one", tmp_path / "a", "new", needs=[]),
        echo("two", needs=[]),
        fail("three", needs=["one", "two"]),
    )
    held = daemon.submit(saga)
    daemon.say(held["id"], "approve", step="one")

    assert statuses(held) == ["completed", "compensated", "failed"]
    assert statuses(daemon.wait_ended(held["id"])) == ["compensated", "compensated", "failed"]


def test_who_may_approve_an_undo_is_as_the_saga_says(daemon: Daemon, tmp_path: Path) -> None:
    """With four eyes not the one who submitted it, who may still leave the step as it is."""
    saga = asking(put("one", tmp_path / "a", "x"), fail("two"), policy={"four_eyes": True})
    held = daemon.submit(saga)
    status, problem = daemon.say(held["id"], "approve")
    daemon.say(held["id"], "reject")

    assert (status, "somebody else must approve" in problem["detail"]) == (403, True)
    assert statuses(daemon.wait_ended(held["id"])) == ["kept", "failed"]


def test_an_undo_of_ones_own_asks_too(daemon: Daemon, tmp_path: Path) -> None:
    """With its resolved arguments; and the node's word is enough."""
    (tmp_path / "node").mkdir()
    undo = {"do": "test.echo", "with": {"message": "was ${self.exit_code}"}}
    step = {"name": "one", "do": "command.run", "with": {"argv": ["true"]}, "undo": undo}
    with Daemon(tmp_path / "node", '[policy.command]\nundo = "hold"\n') as node:
        held = node.submit({"saga": "a", "steps": [step, fail("two")]})
        node.say(held["id"], "approve")
        ended = node.wait_ended(held["id"])
        executions = node.executions(held["id"])

    assert held["hold"]["reason"] == "approval"
    assert statuses(ended) == ["compensated", "failed"]
    assert executions[-1]["arguments"] == {"message": "was 0"}


def test_a_rehearsal_takes_it_as_given_that_undos_are_approved(daemon: Daemon, tmp_path: Path) -> None:
    """And says so."""
    saga = asking(put("one", tmp_path / "a", "x"), echo("two"))
    status, found = daemon.ask("POST", "/v1/rehearse", {"saga": saga})

    assert status == 200
    assert found["notes"] == ["approvals were taken as given"]
    assert not any(case["hold"] for case in found["cases"])
