"""Approvals, through the socket: what is asked, who may answer, and what becomes of a saga that nobody answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.engine.test_run import echo, put, statuses, why


def asking(approve: str, *steps: dict[str, Any], **policy: Any) -> dict[str, Any]:
    """Give a saga that wants to be approved."""
    return {"saga": "careful", "policy": {"approve": approve, **policy}, "steps": list(steps)}


def kinds(daemon: Daemon, id: str) -> list[str]:
    """The types of its events."""
    return [event["type"] for event in daemon.events(id)]


def test_nothing_starts_before_the_saga_is_approved(daemon: Daemon, tmp_path: Path) -> None:
    """Who, when and why are on the record, with the hash of what was approved."""
    target = tmp_path / "file"
    held = daemon.submit(asking("start", put("one", target, "x")))
    sentence = why(daemon, held)
    assert (held["status"], held["hold"]["reason"]) == ("pending", "approval")
    assert not target.exists()

    status, said = daemon.say(held["id"], "approve", reason="looks fine")
    ended = daemon.wait_ended(held["id"])
    (given,) = [event for event in daemon.events(held["id"]) if event["type"] == "approval.given"]

    assert (status, said["did"], ended["status"]) == (200, "accepted", "completed")
    assert target.read_text() == "x"
    assert given["data"]["reason"] == "looks fine"
    assert given["actor"] == held["submitted_by"]
    assert given["data"]["hash"][:12] in sentence
    assert "approve" in sentence


def test_each_step_is_asked_for_with_its_resolved_arguments(daemon: Daemon) -> None:
    """One hash a step, and none of them starts by the other's approval."""
    held = daemon.submit(asking("each", echo("one"), echo("two", "after ${steps.one.message}")))
    daemon.say(held["id"], "approve")
    second = daemon.saga(held["id"])
    while second["hold"] is None or "step two" not in second["hold"]["detail"]:
        time.sleep(0.01)
        second = daemon.saga(held["id"])
    assert statuses(second) == ["completed", "pending"]
    daemon.say(held["id"], "approve", step="two")

    assert daemon.wait_ended(held["id"])["status"] == "completed"
    asked = [each["data"]["hash"] for each in daemon.events(held["id"]) if each["type"] == "approval.asked"]
    assert len(set(asked)) == 2


def test_an_irreversible_step_is_asked_for_and_no_other(daemon: Daemon) -> None:
    """What comes before it runs; a rejection takes it back."""
    held = daemon.submit(asking("irreversible", echo("one"), echo("two", irreversible=True)))
    assert statuses(held) == ["completed", "pending"]
    status, _ = daemon.say(held["id"], "reject", reason="not today")
    ended = daemon.wait_ended(held["id"])

    assert status == 200
    assert (ended["status"], statuses(ended)) == ("rolled_back", ["compensated", "skipped"])
    assert ended["error"]["code"] == "rejected"
    assert "not today" in ended["error"]["message"]


@pytest.mark.parametrize(
    ("policy", "reason"),
    [({"four_eyes": True}, "somebody else"), ({"approvers": ["ada", "eve"]}, "ada, eve")],
)
def test_who_may_not_approve_is_told_why(daemon: Daemon, policy: dict[str, Any], reason: str) -> None:
    """It stays as it was; who submitted it may still reject it."""
    held = daemon.submit(asking("start", echo("one"), **policy))
    status, problem = daemon.say(held["id"], "approve")
    after = daemon.saga(held["id"])
    daemon.say(held["id"], "reject")
    ended = daemon.wait_ended(held["id"])

    assert (status, reason in problem["detail"]) == (403, True)
    assert after["hold"]["reason"] == "approval"
    assert (ended["status"], statuses(ended)) == ("rolled_back", ["skipped"])


def test_a_quorum_counts_people_and_not_words(daemon: Daemon) -> None:
    """The same user twice is one."""
    held = daemon.submit(asking("start", echo("one"), quorum=2))
    first = daemon.say(held["id"], "approve")[1]
    second = daemon.say(held["id"], "approve")[1]

    assert (first["did"], second["did"]) == ("accepted", "nothing")
    assert "1 more" in first["detail"]
    assert daemon.saga(held["id"])["hold"]["reason"] == "approval"


def test_waiting_takes_no_memory_and_outlives_the_daemon(daemon: Daemon) -> None:
    """Nobody answers while the daemon is down, and its time is up then: it turns back at the start, by its due time."""
    held = daemon.submit(asking("start", echo("one"), expires="700ms"))
    kept = daemon.submit(asking("start", echo("one")))
    in_memory = daemon.ask("GET", "/v1/health")[1]["in_memory"]
    daemon.kill()
    time.sleep(0.8)
    daemon.start()
    daemon.wait_until(lambda: daemon.saga(held["id"])["status"] == "rolled_back", 5, "expired")
    ended = daemon.saga(held["id"])
    daemon.say(kept["id"], "approve")

    assert in_memory <= 1  # one that is due within seconds may be
    assert (ended["status"], ended["error"]["code"]) == ("rolled_back", "expired")
    assert kinds(daemon, held["id"])[-2:] == ["approval.expired", "saga.rolled_back"]
    assert daemon.wait_ended(kept["id"])["status"] == "completed"


def test_the_nodes_policy_cannot_be_loosened(tmp_path: Path) -> None:
    """What the settings demand is asked for whatever the file says, of a type as well."""
    settings = '[policy]\napprove = "start"\n[policy."local.file"]\napprove = "each"\n'
    (tmp_path / "node").mkdir()
    with Daemon(tmp_path / "node", settings) as daemon:
        held = daemon.submit(asking("never", echo("one"), put("two", tmp_path / "two", "x")))
        assert "it waits for approval" in held["hold"]["detail"]
        daemon.say(held["id"], "approve")
        daemon.wait_until(
            lambda: "step two" in ((daemon.saga(held["id"])["hold"] or {}).get("detail") or ""), 5, "asked"
        )
        assert statuses(daemon.saga(held["id"])) == ["completed", "pending"]
        daemon.say(held["id"], "cancel")
        assert daemon.wait_ended(held["id"])["status"] == "rolled_back"
