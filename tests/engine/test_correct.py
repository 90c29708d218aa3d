"""Sagas that make up for another one, through the socket of a real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.engine.test_rollback import preview, put, ran, rolled

pytestmark = pytest.mark.slow


def test_a_corrective_saga_makes_up_for_another_one(daemon: Daemon, tmp_path: Path) -> None:
    """Its steps for those of their names, else for those on their resource; the two sagas name each other."""
    page, other = tmp_path / "page", tmp_path / "other"
    id_ = ran(daemon, put("page", page, "wrong"), put("other", other, "wrong"))
    steps = [put("other", page, "right"), put("new", page, "righter"), put("free", tmp_path / "free", "x")]
    status, answer = daemon.say(id_, "correct", saga={"saga": "mend", "steps": steps}, reason="a typo")
    assert (status, answer["did"]) == (200, "accepted"), answer
    mend = daemon.wait_ended(answer["saga"]["id"])
    theirs = {each["step"]: each for each in daemon.executions(id_)}
    done = {each["step"]: each for each in daemon.executions(mend["id"])}

    assert (mend["status"], mend["corrects"], mend["reason"]) == ("completed", id_, "a typo")
    assert daemon.saga(id_)["corrected_by"] == mend["id"]
    assert {each["nature"] for each in done.values()} == {"correct"}
    assert done["other"]["compensates"] == theirs["other"]["id"]
    assert done["new"]["compensates"] == theirs["page"]["id"]
    assert done["free"]["compensates"] is None
    assert theirs["page"]["compensated_by"] == [done["new"]["id"]]


def test_a_correction_takes_nothing_back(daemon: Daemon, tmp_path: Path) -> None:
    """What it changed is a later saga's change; rolled back itself, it is none any more."""
    page = tmp_path / "page"
    id_ = ran(daemon, put("page", page, "wrong"))
    mend = daemon.say(id_, "correct", saga={"saga": "mend", "steps": [put("page", page, "right")]})[1]["saga"]
    daemon.wait_ended(mend["id"])
    (shown,) = preview(daemon, id_)
    assert (shown["will"], shown["changed_by"]) == ("conflict", [mend["id"]])

    rolled(daemon, mend["id"])
    assert page.read_text() == "wrong"
    assert [each["will"] for each in preview(daemon, id_)] == ["undo"]


def test_one_that_fails_corrects_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """It turns back as any saga."""
    page = tmp_path / "page"
    id_ = ran(daemon, put("page", page, "wrong"))
    steps = [put("page", page, "right"), {"name": "fail", "do": "test.fail", "with": {}}]
    mend = daemon.say(id_, "correct", saga={"saga": "mend", "steps": steps})[1]["saga"]

    assert daemon.wait_ended(mend["id"])["status"] == "rolled_back"
    assert page.read_text() == "wrong"
    assert daemon.saga(id_)["corrected_by"] is None


def test_only_what_has_ended_is_corrected(daemon: Daemon) -> None:
    """What has not is steered; and a file is checked as for submit."""
    held = ran(daemon, {"name": "one", "do": "test.fail", "with": {"kind": "unknown"}})
    body = {"saga": "mend", "steps": [{"name": "one", "do": "test.echo", "with": {"message": "x"}}]}
    status, answer = daemon.say(held, "correct", saga=body)
    assert (status, "cancel" in answer["detail"]) == (409, True)

    ended = ran(daemon, {"name": "one", "do": "test.echo", "with": {"message": "x"}})
    status, answer = daemon.say(ended, "correct", source="saga: mend\nstep: []\n", format="yaml")
    assert (status, answer["code"]) == (422, "invalid")
    assert "steps" in str(answer["errors"])
