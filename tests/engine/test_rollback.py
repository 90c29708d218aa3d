"""Sagas that have ended are taken back by sagas of their own, through the socket of a real daemon."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SCRIPT, environment
from tests.daemon import Daemon

pytestmark = pytest.mark.slow

Saga = dict[str, Any]


def put(name: str, path: Path, content: str, **more: Any) -> dict[str, Any]:
    """A step that writes a file."""
    return {"name": name, "do": "local.file.put", "with": {"path": str(path), "content": content}, **more}


def ran(daemon: Daemon, *steps: dict[str, Any], kind: str = "publish", **more: Any) -> str:
    """Run a saga to its end; its id."""
    return str(daemon.submit({"saga": kind, "steps": list(steps), **more})["id"])


def rolled(daemon: Daemon, id: str, **body: Any) -> Saga:
    """Take a saga back, and give the saga that did, once it is over or held."""
    status, answer = daemon.say(id, "rollback", **body)
    assert (status, answer["did"]) == (200, "accepted"), answer
    return daemon.wait_ended(answer["saga"]["id"])


def preview(daemon: Daemon, id: str, **body: Any) -> list[dict[str, Any]]:
    """What a rollback would do."""
    status, answer = daemon.say(id, "rollback", preview=True, **body)
    assert status == 200, answer
    return list(answer["preview"])


def told(daemon: Daemon, id: str) -> str:
    """What the record tells of a saga."""
    command = [str(SCRIPT), "audit", "show", id]
    environ = environment(daemon.socket)
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout


@pytest.fixture
def two(daemon: Daemon, tmp_path: Path) -> tuple[str, Path, Path]:
    """A completed saga that has changed one file and made another."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before")
    return ran(daemon, put("old", old, "after"), put("new", new, "made")), old, new


def test_a_completed_saga_is_taken_back(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """In reverse order, to what was before; the executions name each other, and so do the sagas."""
    id_, old, new = two
    back = rolled(daemon, id_, reason="wrong page")
    done = daemon.executions(back["id"])
    theirs = {each["step"]: each for each in daemon.executions(id_)}

    assert (old.read_text(), new.exists()) == ("before", False)
    assert (back["status"], back["rollback_of"], back["reason"]) == ("completed", id_, "wrong page")
    assert [step["name"] for step in back["steps"]] == ["new", "old"]
    assert [step["do"] for step in back["steps"]] == ["local.file.delete", "local.file.update"]
    assert [each["nature"] for each in done] == ["restore", "restore"]
    assert [each["compensates"] for each in done] == [theirs["new"]["id"], theirs["old"]["id"]]
    assert [theirs[each["step"]]["compensated_by"] for each in done] == [[each["id"]] for each in done]
    original = daemon.saga(id_)
    assert (original["status"], original["rolled_back_by"]) == ("completed", back["id"])


def test_what_is_taken_back_is_not_taken_back_again(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """It is said by whom, and is no error."""
    id_, _, _ = two
    back = rolled(daemon, id_)
    status, answer = daemon.say(id_, "rollback")

    assert (status, answer["did"], answer["saga"]["id"]) == (200, "nothing", id_)
    assert {each["will"] for each in preview(daemon, id_)} == {"nothing"}
    assert all(back["id"] in each["why"] for each in preview(daemon, id_))


def test_a_rollback_is_rolled_back(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """The change is in place again, also the content that had been restored over; and can be taken back once more."""
    id_, old, new = two
    back = rolled(daemon, id_)
    again = rolled(daemon, back["id"])
    assert (again["status"], again["rollback_of"]) == ("completed", back["id"])
    assert (old.read_text(), new.read_text()) == ("after", "made")

    once_more = rolled(daemon, id_)
    assert once_more["status"] == "completed", daemon.ask("GET", f"/v1/sagas/{once_more['id']}/why")
    assert (old.read_text(), new.exists()) == ("before", False)


def test_a_preview_touches_nothing(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """It tells step by step what will be done."""
    id_, old, new = two
    shown = preview(daemon, id_)

    assert [(each["step"], each["will"], each["do"], each["nature"]) for each in shown] == [
        ("new", "undo", "local.file.delete", "restore"),
        ("old", "undo", "local.file.update", "restore"),
    ]
    assert [each["resource"] for each in shown] == [str(new), str(old)]
    assert (old.read_text(), new.read_text()) == ("after", "made")
    assert daemon.saga(id_)["rolled_back_by"] is None
    assert daemon.ask("GET", "/v1/sagas?limit=1")[1]["sagas"][0]["id"] == id_


def test_what_is_as_it_should_become_is_left(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """Somebody has removed the new file by hand."""
    id_, old, new = two
    new.unlink()

    assert [each["will"] for each in preview(daemon, id_)] == ["already", "undo"]
    assert rolled(daemon, id_)["status"] == "completed"
    assert old.read_text() == "before"


def conflicting(daemon: Daemon, two: tuple[str, Path, Path]) -> Saga:
    """A rollback that is held: somebody has changed the new file by hand."""
    id_, _, new = two
    new.write_text("by hand")
    (shown,) = [each for each in preview(daemon, id_) if each["step"] == "new"]
    assert (shown["will"], shown["changed_by"]) == ("conflict", [])
    assert shown["why"] == "somebody else has changed its content since"
    back = rolled(daemon, id_)
    assert (back["status"], back["hold"]["reason"]) == ("running", "attention")
    assert back["steps"][0]["error"]["code"] == "conflict"
    assert "`retry new --force` takes it back all the same" in back["hold"]["detail"]
    return back


def test_a_conflict_holds_until_it_is_forced(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """What the other hand did is on record as the before-image, and comes back when the rollback is rolled back."""
    _, old, new = two
    back = conflicting(daemon, two)
    assert daemon.say(back["id"], "retry", step="new")[0] == 200
    held = daemon.wait_ended(back["id"])
    assert held["hold"]["reason"] == "attention"

    assert daemon.say(back["id"], "retry", step="new", force=True, reason="it is mine")[0] == 200
    ended = daemon.wait_ended(back["id"])
    assert (ended["status"], new.exists(), old.read_text()) == ("completed", False, "before")
    decision = [each for each in daemon.events(back["id"]) if each["type"] == "step.reset"][-1]
    assert (decision["data"]["force"], decision["data"]["reason"]) == (True, "it is mine")
    assert decision["actor"]
    assert "step new reset by force: it is mine" in told(daemon, back["id"])
    assert f"completed  takes back {two[0]}" in told(daemon, back["id"])

    assert rolled(daemon, back["id"])["status"] == "completed"
    assert (new.read_text(), old.read_text()) == ("by hand", "after")


def test_a_conflict_holds_until_it_is_skipped(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """Then the rest is taken back, and what is left says so."""
    _, old, new = two
    back = conflicting(daemon, two)
    daemon.say(back["id"], "skip", step="new", reason="keep it")
    ended = daemon.wait_ended(back["id"])

    assert (ended["status"], new.read_text(), old.read_text()) == ("completed", "by hand", "before")
    (left,) = ended["left_behind"]
    assert left["step"] == "new"
    assert left["why"].startswith("not taken back: skipped by ")
    assert left["why"].endswith(": keep it")


@pytest.mark.parametrize(("rule", "content"), [("force", None), ("skip", "by hand")])
def test_on_conflict_decides_beforehand(
    daemon: Daemon, tmp_path: Path, rule: str, content: str | None
) -> None:
    """The original's word is the rollback's too."""
    path = tmp_path / "page"
    id_ = ran(daemon, put("page", path, "made"), on_conflict=rule)
    path.write_text("by hand")
    back = rolled(daemon, id_)

    assert back["status"] == "completed"
    assert (path.read_text() if path.exists() else None) == content
    assert len(back["left_behind"]) == (rule == "skip")


def test_a_later_saga_is_named(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """Also where what it changed is not what is compared; not any more once it is taken back itself."""
    id_, old, new = two
    later = ran(daemon, put("page", new, "later"))
    (shown, other) = preview(daemon, id_)
    assert (shown["will"], shown["changed_by"], other["changed_by"]) == ("conflict", [later], [])
    assert shown["why"] == f"saga {later} has changed its content since"
    back = rolled(daemon, id_)
    assert later in back["hold"]["detail"]
    assert later in back["steps"][0]["error"]["message"]
    daemon.say(back["id"], "cancel")
    assert daemon.wait_ended(back["id"])["status"] == "rolled_back"
    assert rolled(daemon, later)["status"] == "completed"

    assert rolled(daemon, id_)["status"] == "completed"
    assert (old.read_text(), new.exists()) == ("before", False)


def test_a_later_saga_that_changed_what_is_not_compared_is_a_conflict(
    daemon: Daemon, two: tuple[str, Path, Path]
) -> None:
    """The step had set the content, the later saga the mode."""
    id_, _, new = two
    step = {"name": "mode", "do": "local.file.update", "with": {"path": str(new), "mode": "0600"}}
    later = ran(daemon, step)
    (shown, _) = preview(daemon, id_)

    assert (shown["will"], shown["why"]) == ("conflict", f"saga {later} has changed it since")
    assert rolled(daemon, id_)["hold"]["reason"] == "attention"


def test_to_step_keeps_that_step_and_what_came_before(daemon: Daemon, tmp_path: Path) -> None:
    """And a second rollback takes back the rest."""
    paths = [tmp_path / name for name in "abc"]
    id_ = ran(daemon, *(put(path.name, path, "made") for path in paths))
    assert [each["will"] for each in preview(daemon, id_, to_step="b")] == ["undo", "keep", "keep"]
    rolled(daemon, id_, to_step="b")
    assert [path.exists() for path in paths] == [True, True, False]
    assert daemon.say(id_, "rollback", to_step="x")[0] == 404
    back = rolled(daemon, id_)

    assert [step["name"] for step in back["steps"]] == ["b", "a"]
    assert not any(path.exists() for path in paths)


def test_to_step_of_a_graph_takes_back_only_what_started_later_and_is_not_needed(
    daemon: Daemon, tmp_path: Path
) -> None:
    """C needs a; b is another branch."""
    steps = [put("a", tmp_path / "a", "made", needs=[]), put("c", tmp_path / "c", "made", needs=["a"])]
    id_ = ran(daemon, *steps, put("b", tmp_path / "b", "made", needs=["c"]))

    assert [each["will"] for each in preview(daemon, id_, to_step="c")] == ["undo", "keep", "keep"]


def test_an_irreversible_step_is_gone_past_only_by_word(daemon: Daemon, tmp_path: Path) -> None:
    """The refusal names both ways."""
    first, last = tmp_path / "first", tmp_path / "last"
    point = {"name": "point", "do": "test.echo", "with": {"message": "x"}, "irreversible": True}
    id_ = ran(daemon, put("first", first, "made"), point, put("last", last, "made"))
    status, answer = daemon.say(id_, "rollback")
    assert (status, answer["code"]) == (409, "conflict")
    assert "rollback --to-step point" in answer["detail"]
    assert "rollback --past-irreversible" in answer["detail"]
    assert [each["will"] for each in preview(daemon, id_)] == ["undo", "keep", "undo"]
    rolled(daemon, id_, to_step="point")
    assert (first.exists(), last.exists()) == (True, False)
    status, answer = daemon.say(id_, "rollback", past_irreversible=True)

    assert "leaves point (it is irreversible)" in answer["detail"]
    assert daemon.wait_ended(answer["saga"]["id"])["status"] == "completed"
    assert not first.exists()


def test_there_is_one_live_rollback_a_saga(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """The refusal names the one that is at it."""
    back = conflicting(daemon, two)
    status, answer = daemon.say(two[0], "rollback")

    assert (status, answer["code"]) == (409, "conflict")
    assert back["id"] in answer["detail"]


def test_an_undo_that_fails_holds(daemon: Daemon, tmp_path: Path) -> None:
    """It never puts the bad change back; the operator skips it, and can roll back later what is left."""
    path = tmp_path / "page"
    undo = {"do": "test.fail", "with": {"kind": "error"}}
    id_ = ran(
        daemon,
        put("page", path, "made"),
        {"name": "call", "do": "test.echo", "with": {"message": "hi"}, "undo": undo},
    )
    back = rolled(daemon, id_)
    assert (back["status"], back["hold"]["reason"], path.exists()) == ("running", "attention", True)
    assert daemon.executions(back["id"])[0]["nature"] == "correct"
    daemon.say(back["id"], "skip", step="call")

    assert daemon.wait_ended(back["id"])["status"] == "completed"
    assert not path.exists()
    assert [each["will"] for each in preview(daemon, id_)] == ["undo", "nothing"]


def test_a_cancelled_rollback_puts_the_change_back_in_place(
    daemon: Daemon, two: tuple[str, Path, Path]
) -> None:
    """As any saga it takes back what it did; then nothing of the original is taken back."""
    id_, old, new = two
    old.write_text("by hand")
    back = rolled(daemon, id_)
    assert (back["hold"]["reason"], new.exists()) == ("attention", False)
    daemon.say(back["id"], "cancel")

    assert daemon.wait_ended(back["id"])["status"] == "rolled_back"
    assert (old.read_text(), new.read_text()) == ("by hand", "made")
    assert [each["will"] for each in preview(daemon, id_)] == ["undo", "conflict"]
    assert daemon.saga(id_)["rolled_back_by"] is None


def test_an_undo_of_its_own_is_taken_back_by_the_step_again(daemon: Daemon, tmp_path: Path) -> None:
    """The step's own operation, with the arguments that it had; references are the original's."""
    log = tmp_path / "log"
    script = ["sh", "-c", 'echo "$0" >> "$1"']
    daemon_step = {
        "name": "note",
        "do": "command.run",
        "with": {"argv": [*script, "do ${inputs.what}", str(log)]},
        "undo": {"do": "command.run", "with": {"argv": [*script, "undo ${self.exit_code}", str(log)]}},
    }
    saga = {"saga": "note", "inputs": {"what": {"type": "string"}}, "steps": [daemon_step]}
    id_ = daemon.submit(saga, inputs={"what": "it ${literally}"})["id"]
    back = rolled(daemon, id_)
    assert back["status"] == "completed", back
    again = rolled(daemon, back["id"])

    assert again["status"] == "completed", again
    assert log.read_text().splitlines() == ["do it ${literally}", "undo 0", "do it ${literally}"]
    assert daemon.executions(again["id"])[0]["nature"] == "correct"


def test_a_failed_saga_is_taken_back_as_far_as_it_is_still_done(daemon: Daemon, tmp_path: Path) -> None:
    """on_failure: stop left everything as it was."""
    path = tmp_path / "page"
    fail = {"name": "fail", "do": "test.fail", "with": {}}
    id_ = ran(daemon, put("page", path, "made"), fail, on_failure="stop")
    assert daemon.saga(id_)["status"] == "failed"
    back = rolled(daemon, id_)

    assert (back["status"], path.exists()) == ("completed", False)
    assert (daemon.saga(id_)["status"], daemon.saga(id_)["rolled_back_by"]) == ("failed", back["id"])


def test_a_saga_that_is_rolled_back_is_so_already(daemon: Daemon) -> None:
    """And one that has not ended is cancelled instead."""
    fail = {"name": "fail", "do": "test.fail", "with": {}}
    id_ = ran(daemon, {"name": "one", "do": "test.echo", "with": {"message": "x"}}, fail)
    status, answer = daemon.say(id_, "rollback")
    assert (status, answer["did"], answer["saga"]["id"]) == (200, "nothing", id_)
    assert daemon.say(id_, "rollback", preview=True)[1]["preview"] == []
    held = ran(daemon, {"name": "one", "do": "test.fail", "with": {"kind": "unknown"}})
    status, answer = daemon.say(held, "rollback", preview=True)

    assert (status, "cancel" in answer["detail"]) == (409, True)


def test_the_same_file_changed_twice_is_taken_back_through_both(daemon: Daemon, tmp_path: Path) -> None:
    """The second step's change hides whether the first one's can be taken back, and is no conflict."""
    path = tmp_path / "page"
    path.write_text("zero")
    id_ = ran(daemon, put("one", path, "first"), put("two", path, "second"))
    shown = preview(daemon, id_)
    assert [(each["will"], each["changed_by"]) for each in shown] == [("undo", [])] * 2
    assert shown[1]["why"] == "once step two, which touches the same, is taken back"
    back = rolled(daemon, id_)
    assert (back["status"], path.read_text()) == ("completed", "zero")
    assert rolled(daemon, back["id"])["status"] == "completed"
    assert path.read_text() == "second"
    assert rolled(daemon, id_)["status"] == "completed"
    assert path.read_text() == "zero"


def test_folders_and_symlinks_are_taken_back_and_put_back(daemon: Daemon, tmp_path: Path) -> None:
    """Made, pointed elsewhere, removed with all that is in it: back and forth."""
    made, link, gone = tmp_path / "made", tmp_path / "link", tmp_path / "gone"
    link.symlink_to("here")
    gone.mkdir()
    (gone / "inside").write_text("x")
    id_ = ran(
        daemon,
        {"name": "made", "do": "local.directory.create", "with": {"path": str(made)}},
        {"name": "link", "do": "local.symlink.update", "with": {"path": str(link), "target": "there"}},
        {"name": "gone", "do": "local.directory.delete", "with": {"path": str(gone), "recursive": True}},
    )
    back = rolled(daemon, id_)
    assert back["status"] == "completed", back
    assert (made.exists(), str(link.readlink()), (gone / "inside").read_text()) == (False, "here", "x")
    again = rolled(daemon, back["id"])
    assert again["status"] == "completed", again
    assert (made.is_dir(), str(link.readlink()), gone.exists()) == (True, "there", False)
    assert rolled(daemon, id_)["status"] == "completed"
    assert (made.exists(), str(link.readlink()), (gone / "inside").read_text()) == (False, "here", "x")


def test_it_asks_for_approval_where_the_start_of_its_original_did(daemon: Daemon, tmp_path: Path) -> None:
    """Whatever the original was asked about later."""
    path = tmp_path / "page"
    policy = {"approve": "start"}
    held = daemon.submit({"saga": "publish", "policy": policy, "steps": [put("page", path, "made")]})
    daemon.say(held["id"], "approve")
    daemon.wait_ended(held["id"])
    back = rolled(daemon, held["id"])
    assert (back["status"], back["hold"]["reason"], path.exists()) == ("pending", "approval", True)
    daemon.say(back["id"], "approve")

    daemon.wait_until(lambda: daemon.saga(back["id"])["status"] == "completed", 10, "it is taken back")
    assert not path.exists()


def test_a_rollback_outlives_kill_9(tmp_path: Path) -> None:
    """In the middle of an undo of its own: what was done is found, the rest goes on."""
    path, log, go = tmp_path / "page", tmp_path / "log", tmp_path / "go"
    script = f"until test -e {go}; do sleep 0.05; done; echo undone >> {log}"
    slow = {"do": "command.run", "with": {"argv": ["sh", "-c", script]}}
    with Daemon(tmp_path) as daemon:
        id_ = ran(
            daemon,
            put("page", path, "made"),
            {
                "name": "slow",
                "do": "command.run",
                "with": {"argv": ["true"]},
                "undo": slow,
            },
        )
        back = daemon.say(id_, "rollback")[1]["saga"]["id"]
        daemon.wait_until(lambda: bool(daemon.executions(back)), 10, "the undo has begun")
        daemon.kill()
        daemon.start()
        held = daemon.wait_ended(back)
        assert held["hold"]["reason"] == "attention"
        assert path.exists()
        go.touch()
        daemon.say(back, "resolve", step="slow", **{"as": "retry"})

        daemon.wait_until(lambda: daemon.saga(back)["status"] == "completed", 10, "it is taken back")
        assert not path.exists()
        assert log.read_text() == "undone\n"
        assert daemon.ask("GET", "/v1/audit/replay")[1]["ok"]
        assert daemon.saga(id_)["rolled_back_by"] == back


def test_a_saga_that_completed_last_week_is_taken_back(tmp_path: Path) -> None:
    """By a daemon that was started anew since; what was done in between to one of its files is named."""
    old, new, other = tmp_path / "old", tmp_path / "new", tmp_path / "other"
    old.write_text("before")
    with Daemon(tmp_path).start(module=("tests.engine.last_week",)) as daemon:
        id_ = ran(daemon, put("old", old, "after"), put("new", new, "made"), put("other", other, "made"))
        daemon.stop()
        daemon.start()
        completed = datetime.fromisoformat(daemon.saga(id_)["finished_at"])
        assert timedelta(days=6) < datetime.now(UTC) - completed < timedelta(days=8)
        later = ran(daemon, put("page", new, "later"))
        shown = {each["step"]: (each["will"], each["changed_by"]) for each in preview(daemon, id_)}
        assert shown == {"other": ("undo", []), "new": ("conflict", [later]), "old": ("undo", [])}
        back = rolled(daemon, id_)
        assert (back["hold"]["reason"], other.exists(), old.read_text()) == ("attention", False, "after")
        daemon.say(back["id"], "skip", step="new", reason="of this week")

        assert daemon.wait_ended(back["id"])["status"] == "completed"
        assert (old.read_text(), new.read_text()) == ("before", "later")


def test_what_somebody_has_put_into_a_folder_that_was_made_is_a_conflict(
    daemon: Daemon, tmp_path: Path
) -> None:
    """A later saga that did is named, though it changed another resource: one below."""
    folder = tmp_path / "folder"
    id_ = ran(daemon, {"name": "folder", "do": "local.directory.create", "with": {"path": str(folder)}})
    later = ran(daemon, put("page", folder / "page", "later"))
    (shown,) = preview(daemon, id_)

    assert (shown["will"], shown["changed_by"]) == ("conflict", [later])
    assert rolled(daemon, id_)["hold"]["reason"] == "attention"


def test_a_failed_saga_is_not_repaired_while_it_is_taken_back(daemon: Daemon, tmp_path: Path) -> None:
    """Two would be at work on the same."""
    broken = {"do": "test.fail", "with": {"kind": "error"}}
    id_ = ran(
        daemon,
        put("page", tmp_path / "page", "made"),
        {"name": "one", "do": "test.echo", "with": {"message": "x"}, "undo": broken},
        {"name": "two", "do": "test.fail", "with": {}},
    )
    assert daemon.saga(id_)["status"] == "failed"
    assert [(each["step"], each["will"], each["why"]) for each in preview(daemon, id_)] == [
        ("two", "nothing", "it has changed nothing"),
        ("one", "undo", "its own undo failed"),
        ("page", "nothing", "it was taken back already"),
    ]
    back = rolled(daemon, id_)
    assert back["hold"]["reason"] == "attention"
    status, answer = daemon.say(id_, "retry")
    assert (status, back["id"] in answer["detail"]) == (409, True)
    daemon.say(back["id"], "cancel")
    daemon.wait_until(lambda: daemon.saga(back["id"])["status"] == "rolled_back", 10, "it is given up")

    assert daemon.say(id_, "skip", step="one")[0] == 200
    assert daemon.saga(id_)["status"] == "rolled_back"


def test_the_nodes_policy_asks_for_rollbacks_too(tmp_path: Path) -> None:
    """Before each undo of a type whose undos it holds, whatever the original asked."""
    path = tmp_path / "page"
    with Daemon(tmp_path, '[policy."local.file"]\nundo = "hold"\n') as daemon:
        id_ = ran(daemon, put("page", path, "made"))
        back = rolled(daemon, id_)
        assert (back["hold"]["reason"], path.exists()) == ("approval", True)
        daemon.say(back["id"], "approve")

        daemon.wait_until(lambda: daemon.saga(back["id"])["status"] == "completed", 10, "it is taken back")
        assert not path.exists()


def test_no_rollback_is_started_while_the_node_drains(tmp_path: Path) -> None:
    """It is new work; what it would do is told all the same."""
    with Daemon(tmp_path) as daemon:
        id_ = ran(daemon, put("page", tmp_path / "page", "made"))
        daemon.ask("POST", "/v1/drain", {})

        assert daemon.say(id_, "rollback")[0] == 503
        assert [each["will"] for each in preview(daemon, id_)] == ["undo"]


def test_a_content_that_was_lost_fails_the_step_and_holds(tmp_path: Path) -> None:
    """The kept content is gone from the blob folder: it says so, and nothing is changed."""
    path = tmp_path / "page"
    path.write_text("b" * 100_000)
    with Daemon(tmp_path) as daemon:
        id_ = ran(daemon, put("page", path, "made"))
        blobs = [each for each in (tmp_path / "state" / "blobs").rglob("*") if each.is_file()]
        assert blobs
        for each in blobs:
            each.unlink()
        back = rolled(daemon, id_)

        assert back["hold"]["reason"] == "attention"
        assert "restore a backup" in back["hold"]["detail"]
        assert path.read_text() == "made"


def test_a_later_saga_counts_again_when_its_rollback_is_rolled_back(
    daemon: Daemon, two: tuple[str, Path, Path]
) -> None:
    """What is in effect goes by the whole chain."""
    id_, _, new = two
    later = ran(daemon, put("page", new, "later"))
    back = rolled(daemon, later)
    assert [each["will"] for each in preview(daemon, id_)] == ["undo", "undo"]
    assert [each["changed_by"] for each in preview(daemon, id_)] == [[], []]
    rolled(daemon, back["id"])

    assert [each["changed_by"] for each in preview(daemon, id_)] == [[later], []]


def test_a_later_saga_that_changed_nothing_is_no_conflict(
    daemon: Daemon, two: tuple[str, Path, Path]
) -> None:
    """It put what was there already."""
    id_, _, new = two
    ran(daemon, put("page", new, "made"))

    assert [(each["will"], each["changed_by"]) for each in preview(daemon, id_)] == [("undo", [])] * 2


def test_what_a_later_saga_did_to_the_folder_around_is_told(daemon: Daemon, tmp_path: Path) -> None:
    """The file is as it was left, so that is no conflict; removed with all that was in it, it is."""
    folder = tmp_path / "folder"
    folder.mkdir()
    id_ = ran(daemon, put("page", folder / "page", "made"))
    mode = {"name": "mode", "do": "local.directory.update", "with": {"path": str(folder), "mode": "0700"}}
    around = ran(daemon, mode)
    (shown,) = preview(daemon, id_)
    assert (shown["will"], shown["changed_by"]) == ("undo", [around])

    gone = {
        "name": "gone",
        "do": "local.directory.delete",
        "with": {"path": str(folder), "recursive": True},
    }
    ran(daemon, gone)
    (shown,) = preview(daemon, id_)
    assert shown["will"] in ("already", "conflict")
    again = {"name": "again", "do": "local.directory.create", "with": {"path": str(folder)}}
    ran(daemon, again, put("page", folder / "page", "other"))
    (shown,) = preview(daemon, id_)

    assert (shown["will"], len(shown["changed_by"])) == ("conflict", 3)


def test_of_two_who_ask_at_once_one_is_heard(daemon: Daemon, two: tuple[str, Path, Path]) -> None:
    """The other is told which saga is at it, or that nothing is left."""
    id_, old, _ = two
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: daemon.say(id_, "rollback"), range(48)))
    accepted = [answer for _, answer in answers if answer.get("did") == "accepted"]
    daemon.wait_ended(accepted[0]["saga"]["id"])

    assert len(accepted) == 1
    assert old.read_text() == "before"
    assert all(status == 409 or answer["did"] in ("accepted", "nothing") for status, answer in answers)


def test_rollbacks_outlive_kill_9_at_any_moment(tmp_path: Path) -> None:
    """Twelve of them, six kills: each file is as it was before, and nothing is asked of anybody."""
    folder = tmp_path / "site"
    folder.mkdir()
    with Daemon(tmp_path) as daemon:
        ids = []
        for number in range(12):
            old = folder / f"old{number}"
            old.write_text("before" * 1_000)
            gone = {"name": "gone", "do": "local.file.delete", "with": {"path": str(old)}}
            made = folder / f"made{number}"
            steps = [put("once", old, "once"), put("made", made, "made"), put("twice", old, "twice"), gone]
            ids.append(ran(daemon, *steps))
        for moment in range(6):
            for id_ in ids:
                daemon.say(id_, "rollback")
            time.sleep(0.01 * moment)
            daemon.kill()
            daemon.start()
        for id_ in ids:
            daemon.say(id_, "rollback")
        daemon.wait_until(lambda: all(daemon.saga(id_)["rolled_back_by"] for id_ in ids), 30, "they are back")

        assert {path.name: path.read_text() for path in folder.iterdir()} == {
            f"old{number}": "before" * 1_000 for number in range(12)
        }
