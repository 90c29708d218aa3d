"""What fails a given number of times succeeds when it is tried again, by the engine or by the operator."""

from __future__ import annotations

from tests.daemon import Daemon
from tests.faults.folder import saga

ONCE = {"name": "once", "do": "test.fail", "with": {"times": 1}}


def test_a_step_that_fails_once_is_completed_by_retry(daemon: Daemon) -> None:
    """The step starts anew, with the next generation of its key."""
    id_ = daemon.submit(saga("retried", [ONCE], on_failure="hold"))["id"]
    daemon.say(id_, "retry", step="once")
    document = daemon.wait_ended(id_)

    assert document["status"] == "completed"
    assert [(each["generation"], each["status"]) for each in daemon.executions(id_)] == [
        (1, "failed"),
        (2, "completed"),
    ]


def test_an_undo_that_fails_once_is_mended_by_a_late_retry(daemon: Daemon) -> None:
    """The failed saga becomes rolled back."""
    undo = {"do": "test.fail", "with": {"times": 1}}
    made = {"name": "made", "do": "test.echo", "with": {"message": "x"}, "undo": undo}
    failed = daemon.submit(saga("retried", [made, {"name": "last", "do": "test.fail", "with": {}}]))
    daemon.say(failed["id"], "retry", step="made")
    document = daemon.wait_ended(failed["id"])

    assert (failed["status"], failed["steps"][0]["status"]) == ("failed", "compensation_failed")
    assert (document["status"], document["steps"][0]["status"]) == ("rolled_back", "compensated")
