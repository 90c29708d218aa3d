"""`wait.approval`, through the socket: a step that is done when somebody says so, and costs nothing until then."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.engine.test_approvals import kinds
from tests.engine.test_run import echo, put, statuses, why


def ok(name: str = "ok", *, needs: list[str] | None = None, **arguments: Any) -> dict[str, Any]:
    """A step that waits for approval."""
    step = {"name": name, "do": "wait.approval", "with": arguments}
    return step if needs is None else {**step, "needs": needs}


def waiting(*steps: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Give a saga of these steps."""
    return {"saga": "patient", "steps": list(steps), **keys}


def test_a_step_waits_until_somebody_approves_it(daemon: Daemon, tmp_path: Path) -> None:
    """Its message is shown with what is known by then; later steps can refer to who approved and why."""
    held = daemon.submit(
        waiting(
            put("page", tmp_path / "page", "x"),
            ok(message="Is ${steps.page.path}\nright?"),
            echo("after", "${steps.ok.by}: ${steps.ok.reason}"),
        )
    )
    sentence = why(daemon, held)
    daemon.say(held["id"], "approve", reason="looks fine")
    ended = daemon.wait_ended(held["id"])
    who = held["submitted_by"]

    assert (held["hold"]["reason"], statuses(held)) == ("approval", ["completed", "pending", "pending"])
    assert f'("Is {tmp_path}/page right?")' in held["hold"]["detail"]
    assert f'("Is {tmp_path}/page right?")' in sentence
    assert (ended["status"], statuses(ended)) == ("completed", ["completed"] * 3)
    assert ended["steps"][1]["output"] == {"by": who, "reason": "looks fine"}
    assert ended["steps"][2]["output"] == {"message": f"{who}: looks fine"}
    assert kinds(daemon, held["id"]).count("approval.asked") == 1


def test_no_reason_is_an_empty_one(daemon: Daemon) -> None:
    """So that a text with a reference to it resolves. No arguments are needed at all."""
    held = daemon.submit(waiting(ok(), echo("after", "because ${steps.ok.reason}")))
    daemon.say(held["id"], "approve", step="ok")

    assert daemon.wait_ended(held["id"])["steps"][1]["output"] == {"message": "because "}


def test_a_rejection_turns_the_saga_back(daemon: Daemon, tmp_path: Path) -> None:
    """As that of any other approval."""
    held = daemon.submit(waiting(put("page", tmp_path / "page", "x"), ok(), echo("after")))
    daemon.say(held["id"], "reject", reason="not on a Friday")
    ended = daemon.wait_ended(held["id"])

    assert (ended["status"], ended["error"]["code"]) == ("rolled_back", "rejected")
    assert statuses(ended) == ["compensated", "skipped", "skipped"]
    assert not (tmp_path / "page").exists()


def test_it_outlives_the_daemon_and_expires_on_time_all_the_same(daemon: Daemon, tmp_path: Path) -> None:
    """Nobody answers while the daemon is down; one whose time is up then has turned back, the other goes on waiting."""
    late = daemon.submit(waiting(put("page", tmp_path / "page", "x"), ok(expires="700ms")))
    kept = daemon.submit(waiting(ok(message="still?"), echo("after", "${steps.ok.by}")))
    daemon.wait_until(lambda: daemon.ask("GET", "/v1/health")[1]["in_memory"] <= 1, 5, "out of memory")
    daemon.kill()
    time.sleep(0.8)
    daemon.start()
    daemon.wait_until(lambda: daemon.saga(late["id"])["status"] == "rolled_back", 5, "expired")
    expired, after = daemon.saga(late["id"]), daemon.saga(kept["id"])
    daemon.say(kept["id"], "approve")
    ended = daemon.wait_ended(kept["id"])

    assert expired["error"]["code"] == "expired"
    assert statuses(expired) == ["compensated", "skipped"]
    assert '"still?"' in after["hold"]["detail"]
    assert ended["steps"][1]["output"] == {"message": kept["submitted_by"]}


def test_once_approved_a_crash_takes_nothing_back(daemon: Daemon) -> None:
    """Who approved is in the intent."""
    held = daemon.submit(waiting(ok(), {"name": "long", "do": "wait.timer", "with": {"duration": "1h"}}))
    daemon.say(held["id"], "approve", reason="yes")
    daemon.wait_until(lambda: daemon.saga(held["id"])["steps"][0]["status"] == "completed", 5, "approved")
    daemon.kill()
    daemon.start()
    after = daemon.saga(held["id"])
    daemon.say(held["id"], "cancel")
    ended = daemon.wait_ended(held["id"])

    assert after["steps"][0]["output"] == {"by": held["submitted_by"], "reason": "yes"}
    assert statuses(ended) == ["compensated", "failed"]


def test_in_a_graph_other_branches_go_on(daemon: Daemon) -> None:
    """While they run, why names the question; it can be answered all the time."""
    held = daemon.submit(
        waiting(
            ok(needs=[]),
            {"name": "other", "do": "test.sleep", "with": {"duration": "2s"}, "needs": []},
            echo("third", needs=[]),
            echo("last", needs=["ok", "other", "third"]),
        ),
        wait=None,
    )
    daemon.wait_until(lambda: daemon.saga(held["id"])["steps"][2]["status"] == "completed", 5, "third")
    sentence = why(daemon, held)
    daemon.say(held["id"], "approve")
    early = daemon.saga(held["id"])

    assert "step other is running" in sentence
    assert "step ok waits for approval of" in sentence
    assert early["steps"][1]["status"] == "running"
    assert daemon.wait_ended(held["id"])["status"] == "completed"


@pytest.mark.parametrize(
    ("arguments", "policy", "status", "detail"),
    [
        ({"approvers": ["ada", "eve"]}, {}, 403, "ada, eve"),
        ({"approvers": ["operator"]}, {"approvers": ["ada"]}, 200, "is approved; it goes on"),
        ({}, {"approvers": ["ada"]}, 403, "ada"),
        ({"approvers": ["operator"]}, {"four_eyes": True}, 403, "somebody else must approve"),
        ({}, {"quorum": 2}, 200, "1 more needed"),
    ],
)
def test_who_may_approve_is_the_steps_own_word_else_the_sagas(
    daemon: Daemon, arguments: dict[str, Any], policy: dict[str, Any], status: int, detail: str
) -> None:
    """How many, and whether others, is the saga's."""
    held = daemon.submit(waiting(ok(**arguments), policy=policy))
    said = daemon.say(held["id"], "approve")
    if daemon.saga(held["id"])["status"] != "completed":
        daemon.say(held["id"], "reject")
        daemon.wait_ended(held["id"])

    assert (said[0], detail in said[1]["detail"]) == (status, True)


def test_a_secret_in_a_message_is_not_shown(daemon: Daemon) -> None:
    """Its reference stands there."""
    held = daemon.submit(waiting(ok(message="use ${secret.token}?")))
    daemon.say(held["id"], "approve")
    ended = daemon.wait_ended(held["id"])

    assert '("use ${secret.token}?")' in held["hold"]["detail"]
    assert ended["status"] == "completed"


def test_a_step_that_waits_can_be_skipped(daemon: Daemon) -> None:
    """With the outputs that later steps refer to; nothing is asked any more."""
    held = daemon.submit(waiting(ok(), echo("after", "${steps.ok.by}")))
    refused = daemon.say(held["id"], "skip", step="ok")
    daemon.say(held["id"], "skip", step="ok", output={"by": "nobody"})
    ended = daemon.wait_ended(held["id"])

    assert refused[0] == 409
    assert (ended["status"], ended["steps"][1]["output"]) == ("completed", {"message": "nobody"})


def test_each_step_asks_once_where_every_step_asks(daemon: Daemon) -> None:
    """`approve: each` and the step's own question are one."""
    held = daemon.submit(waiting(ok(), policy={"approve": "each"}))
    daemon.say(held["id"], "approve")

    assert daemon.wait_ended(held["id"])["status"] == "completed"
