"""Stacks through the socket of a real daemon: planned, applied, changed, refused, taken back, and destroyed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.engine.stacks import (
    actions,
    applied,
    asked,
    folder,
    nothing_to_do,
    one_life,
    outcomes,
    page,
    planned,
    records,
    refused,
    res,
    stack,
)

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "stacks"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A stack of the test's own."""
    return "s" + format(abs(hash(request.node.name)) % 10**9, "d")


def site(root: Path, name: str, *, content: str = "hello", dir: str = "site", **more: Any) -> dict[str, Any]:
    """A folder, a page in it, and a link to the page."""
    return stack(
        folder("dir", root / dir),
        page("index", "${resources.dir.path}/index.html", content),
        res("local.symlink", "current", {"path": str(root / "current"), "target": "${resources.index.path}"}),
        name=name,
        **more,
    )


def tree(root: Path) -> dict[str, str]:
    """What is there, by path below the root: contents, targets, and folders as such."""
    found = {}
    for path in sorted(root.rglob("*")):
        what = (
            str(path.readlink()) if path.is_symlink() else "a folder" if path.is_dir() else path.read_text()
        )
        found[str(path.relative_to(root))] = what
    return found


def owned(daemon: Daemon, root: Path) -> dict[str, dict[str, Any]]:
    """The records of what lies below the root, by name, without what tells of time and saga."""
    return {
        each["name"]: {key: each[key] for key in ("type", "spec", "outputs", "id")}
        for each in records(daemon)
        if str(each["outputs"].get("path", "")).startswith(f"{root}/")
    }


# --- as it should be --------------------------------------------------------------------------------------------------


def test_a_stack_from_nothing_to_nothing(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Made, made again, changed in place, replaced as a whole, and destroyed."""
    first = site(tmp_path, name)
    made = applied(daemon, first)
    assert outcomes(made) == [("create", each, "success") for each in ("dir", "index", "current")]
    assert made["kind"] == name
    assert nothing_to_do(daemon, first)

    second = site(tmp_path, name, content="again")
    assert actions(planned(daemon, second)) == [("update", "index", ["content"])]
    assert outcomes(applied(daemon, second)) == [("update", "index", "success")]
    assert tree(tmp_path)["site/index.html"] == "again"

    third = site(tmp_path, name, content="again", dir="place")
    assert actions(planned(daemon, third)) == [
        ("replace", "dir", ["path"]),
        ("replace", "index", ["path"]),
        ("update", "current", ["target"]),
    ]
    assert {status for _, _, status in outcomes(applied(daemon, third))} == {"success"}
    assert tree(tmp_path) == {
        "current": str(tmp_path / "place" / "index.html"),
        "place": "a folder",
        "place/index.html": "again",
    }
    assert nothing_to_do(daemon, third)
    assert actions(planned(daemon, third, destroy=True)) == actions(planned(daemon, stack(name=name)))

    gone = applied(daemon, third, destroy=True)
    assert outcomes(gone) == [("delete", each, "success") for each in ("current", "index", "dir")]
    assert (tree(tmp_path), owned(daemon, tmp_path)) == ({}, {})


def test_a_plan_touches_nothing_and_says_what_is_known(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """What is made is shown as the file has it, secrets as references; what changes, from what to what."""
    target = {"path": str(tmp_path / "l"), "target": "${secret.token}"}
    plan = planned(
        daemon, stack(page("p", tmp_path / "p", "x"), res("local.symlink", "l", target), name=name)
    )
    fields = {each["name"]: {one["field"]: one["to"] for one in each["changes"]} for each in plan["actions"]}

    assert fields == {"p": {"path": str(tmp_path / "p"), "content": "x"}, "l": target}
    assert (plan["stack"], len(plan["hash"]), tree(tmp_path)) == (name, 64, {})
    assert all(change["from"] is None for each in plan["actions"] for change in each["changes"])


def test_what_somebody_has_changed_is_put_back(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """The plan looks at what is there, and not only at what is on record."""
    file = stack(page("p", tmp_path / "p", "mine", set={"mode": "0640"}), name=name)
    applied(daemon, file)
    (tmp_path / "p").write_text("theirs")
    (tmp_path / "p").chmod(0o600)

    assert actions(planned(daemon, file)) == [("update", "p", ["content", "mode"])]
    applied(daemon, file)
    assert (tree(tmp_path), (tmp_path / "p").stat().st_mode & 0o777) == ({"p": "mine"}, 0o640)


def test_what_is_gone_is_made_anew_and_its_record_with_it(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """There is one record then, of what is there."""
    file = stack(page("p", tmp_path / "p", "mine"), name=name)
    first = applied(daemon, file)
    (tmp_path / "p").unlink()
    assert actions(planned(daemon, file)) == [("create", "p", ["path", "content"])]
    again = applied(daemon, file)

    assert outcomes(again) == [("create", "p", "success")]
    sagas = [
        each["saga"]
        for each in daemon.ask("GET", "/v1/resources?name=p&limit=1000")[1]["resources"]
        if each["outputs"]["path"] == str(tmp_path / "p")
    ]
    assert sagas == [again["id"]]
    assert sagas != [first["id"]]
    assert nothing_to_do(daemon, file)


def test_a_field_that_is_no_longer_named_is_left_alone(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Only what the file sets is compared."""
    applied(daemon, stack(page("p", tmp_path / "p", "mine", set={"mode": "0640"}), name=name))

    assert nothing_to_do(daemon, stack(page("p", tmp_path / "p", "mine"), name=name))
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o640


def test_an_output_that_follows_from_a_change_is_known_beforehand(
    daemon: Daemon, tmp_path: Path, name: str
) -> None:
    """A page's digest: what refers to it is changed in the same apply, so that a second one has nothing to do."""

    def file(content: str) -> dict[str, Any]:
        sums = page("sums", tmp_path / "sums", "${resources.p.sha256}  p")
        return stack(page("p", tmp_path / "p", content), sums, name=name)

    applied(daemon, file("one"))
    assert actions(planned(daemon, file("two"))) == [
        ("update", "p", ["content"]),
        ("update", "sums", ["content"]),
    ]
    applied(daemon, file("two"))

    assert nothing_to_do(daemon, file("two"))
    assert tree(tmp_path)["sums"].startswith(
        "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"
    )


def test_literals_and_dollars_reach_the_file_as_they_are_meant(
    daemon: Daemon, tmp_path: Path, name: str
) -> None:
    """Escapes, also just before references, and in what a reference stands for."""
    file = stack(
        page("p", tmp_path / "p$${x}", "$${resources.p.path} $"),
        page("q", tmp_path / "q", "${$}${resources.p.path}$ $${y}"),
        name=name,
    )
    applied(daemon, file)

    assert tree(tmp_path) == {
        "p${x}": "${resources.p.path} $",
        "q": f"${tmp_path}/p${{x}}$ ${{y}}",
    }
    assert nothing_to_do(daemon, file)


def test_a_resource_may_get_another_name(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """It is the same place: nothing is done but to say so on record, and the order of deletion follows."""
    applied(daemon, site(tmp_path, name))
    renamed = stack(
        folder("place", tmp_path / "site"),
        page("start", "${resources.place.path}/index.html", "hello"),
        res(
            "local.symlink",
            "current",
            {"path": str(tmp_path / "current"), "target": "${resources.start.path}"},
        ),
        name=name,
    )
    assert nothing_to_do(daemon, renamed)
    assert set(owned(daemon, tmp_path)) == {"place", "start", "current"}

    gone = applied(daemon, renamed, destroy=True)
    assert outcomes(gone) == [("delete", each, "success") for each in ("current", "start", "place")]


def test_needs_keep_apart_what_no_reference_connects(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Made behind what it needs, and deleted before it."""
    file = stack(page("p", tmp_path / "d" / "p", "x", needs=["d"]), folder("d", tmp_path / "d"), name=name)
    assert outcomes(applied(daemon, file)) == [("create", "d", "success"), ("create", "p", "success")]
    assert outcomes(applied(daemon, file, destroy=True)) == [
        ("delete", "p", "success"),
        ("delete", "d", "success"),
    ]


# --- refused ----------------------------------------------------------------------------------------------------------


def test_protect_refuses_what_would_delete_or_replace(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Changes are no matter. Also what is in the file no more, and until an apply has taken `protect` away."""
    spec = {"name": name}
    applied(daemon, stack(page("p", tmp_path / "p", "x", protect=True), **spec))
    changed = asked(daemon, stack(page("p", tmp_path / "p", "y", protect=True), **spec))
    moved = daemon.ask(
        "POST", "/v1/plans", {"stack": stack(page("p", tmp_path / "q", "y", protect=True), **spec)}
    )
    left_out = asked(daemon, stack(**spec))
    destroyed = asked(daemon, stack(page("p", tmp_path / "p", "y"), **spec), destroy=True)
    said = [each["problem"] for answer in (moved, left_out, destroyed) for each in answer[1]["errors"]]

    assert changed[1]["status"] == "completed"
    assert [answer[0] for answer in (moved, left_out, destroyed)] == [422] * 3
    assert all("protected" in each for each in said)
    assert nothing_to_do(daemon, stack(page("p", tmp_path / "p", "y"), **spec))
    assert outcomes(applied(daemon, stack(**spec))) == [("delete", "p", "success")]


@pytest.mark.parametrize("owner", ["stack", "saga"])
def test_what_somebody_else_keeps_is_taken_over_only_by_import(
    daemon: Daemon, tmp_path: Path, name: str, owner: str
) -> None:
    """Then it is the stack's, and no longer the other one's."""
    theirs = stack(page("theirs", tmp_path / "p", "x"), name=f"{name}b")
    if owner == "stack":
        applied(daemon, theirs)
    else:
        step = {"name": "a", "do": "local.file.create", "with": {"path": str(tmp_path / "p"), "content": "x"}}
        daemon.submit({"saga": "other", "steps": [step]})
    mine = stack(page("mine", tmp_path / "p", "y"), name=name)
    status, problem = asked(daemon, mine)
    assert status == 422
    assert (
        f"is kept by {'the stack ' + name + 'b' if owner == 'stack' else 'saga'}"
        in problem["errors"][0]["problem"]
    )
    hint = problem["errors"][0]["hint"]
    assert f"sagactl resources import local.file {tmp_path / 'p'}" in hint
    route = f"/v1/resources/local.file/{str(tmp_path / 'p').replace('/', '%2F')}/import"
    assert daemon.ask("POST", route, {})[0] == 200

    assert outcomes(applied(daemon, mine)) == [("update", "mine", "success")]
    assert owned(daemon, tmp_path).keys() == {"mine"}
    if owner == "stack":
        assert planned(daemon, stack(name=f"{name}b"))["actions"] == []
        assert "kept by the stack" in asked(daemon, theirs)[1]["errors"][0]["problem"]


def test_what_nobody_keeps_is_not_overwritten(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """The plan says so; neither made nor moved over."""
    (tmp_path / "p").write_text("theirs")
    made = asked(daemon, stack(page("p", tmp_path / "p", "mine"), name=name))
    applied(daemon, stack(page("p", tmp_path / "q", "mine"), name=name))
    moved = asked(daemon, stack(page("p", tmp_path / "p", "mine"), name=name))
    # Two that change places are two applies.
    applied(daemon, stack(page("p", tmp_path / "q", "1"), page("r", tmp_path / "r", "2"), name=name))
    swapped = asked(daemon, stack(page("p", tmp_path / "r", "1"), page("r", tmp_path / "q", "2"), name=name))
    taken = asked(daemon, stack(page("p", tmp_path / "z", "1"), page("s", tmp_path / "q", "2"), name=name))

    assert [answer[0] for answer in (made, moved, swapped, taken)] == [422] * 4
    assert "is there already, and not kept by this stack" in made[1]["errors"][0]["problem"]
    assert "is there already, and not kept by this stack" in moved[1]["errors"][0]["problem"]
    assert "is there already: it is r in this stack" in swapped[1]["errors"][0]["problem"]
    assert "which is to be something else" in taken[1]["errors"][0]["problem"]
    assert tree(tmp_path) == {"p": "theirs", "q": "1", "r": "2"}


def test_one_problem_is_said_once(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """What refers to what is wrong is not wrong itself."""
    (tmp_path / "site").write_text("theirs")
    status, problem = asked(daemon, site(tmp_path, name))

    assert status == 422
    assert [each["where"] for each in problem["errors"]] == ["resources[0]"]
    assert "what is there is a file" in problem["errors"][0]["problem"]


def test_a_saved_plan_is_stale_when_either_side_has_moved(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """The file, the registry, what is there, or the plan itself."""
    one, two = site(tmp_path, name), site(tmp_path, name, content="two")
    applied(daemon, one)
    plan = planned(daemon, two)

    def late(**more: Any) -> tuple[int, str]:
        return refused(daemon.ask("POST", "/v1/plans/apply?wait=30s", {"plan": plan, **more}))

    assert late(stack=site(tmp_path, name, content="three")) == (409, "stale")
    altered = {**plan, "file": site(tmp_path, name, content="four")}
    assert refused(daemon.ask("POST", "/v1/plans/apply", {"plan": altered})) == (409, "stale")
    (tmp_path / "site" / "index.html").write_text("theirs")
    assert late() == (409, "stale")
    (tmp_path / "site" / "index.html").write_text("hello")
    step = {
        "name": "a",
        "do": "local.file.update",
        "with": {"path": str(tmp_path / "site/index.html"), "mode": "0600"},
    }
    daemon.submit({"saga": "other", "steps": [step]})
    assert late() == (409, "stale")
    plan = planned(daemon, two)
    status, saga = daemon.ask("POST", "/v1/plans/apply?wait=30s", {**plan})

    assert (status, outcomes(saga)) == (201, [("update", "index", "success")])
    assert late() == (409, "stale")
    assert tree(tmp_path)["site/index.html"] == "two"


def test_what_is_no_plan_is_refused(daemon: Daemon, name: str) -> None:
    """With what to do."""
    assert daemon.ask("POST", "/v1/plans/apply", {"plan": {"stack": name}})[0] == 422
    assert daemon.ask("POST", "/v1/plans/apply", {})[0] == 422
    assert daemon.ask("POST", "/v1/plans", {"plan": {}})[0] == 422
    assert (
        daemon.ask("POST", "/v1/plans", {"source": "stack: x", "format": "yaml", "resources": []})[0] == 422
    )


# --- when something goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["dir", "index", "current", "dir-old", "index-old"])
def test_a_failure_at_each_action_leaves_everything_as_before(
    daemon: Daemon, tmp_path: Path, name: str, at: str
) -> None:
    """Also the registry; the next plan is the one that was."""
    applied(daemon, site(tmp_path, name))
    before, kept = tree(tmp_path), owned(daemon, tmp_path)
    to_be = site(tmp_path, name, content="two", dir="place")
    to_do = actions(planned(daemon, to_be))
    verb = {"current": "applied", "dir": "applied", "index": "applied"}.get(at, "deleted")
    path = {"dir": "place", "index": "place/index.html", "current": "current"}.get(at, "site")
    path = "site/index.html" if at == "index-old" else path
    check = f'test "$0" != {tmp_path / path}'
    hook = {verb: {"do": "command.run", "with": {"argv": ["sh", "-c", check, "${self.path}"]}}}
    failed = applied(daemon, {**to_be, "hooks": hook})

    assert (failed["status"], failed["error"]["code"], failed["error"]["step"]) == (
        "rolled_back",
        "hook_failed",
        at,
    )
    assert {status for _, _, status in outcomes(failed)} <= {"compensated", "skipped"}
    assert (tree(tmp_path), owned(daemon, tmp_path)) == (before, kept)
    assert actions(planned(daemon, to_be)) == to_do
    assert nothing_to_do(daemon, site(tmp_path, name))


def test_a_failed_apply_says_nothing_on_record(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """What the file says of a resource goes with what is done to it: what was taken back is protected by nobody."""
    applied(daemon, stack(page("p", tmp_path / "p", "1"), name=name))
    hook = {"applied": {"do": "command.run", "with": {"argv": ["false"]}}}
    failed = applied(daemon, stack(page("p", tmp_path / "p", "2", protect=True), name=name, hooks=hook))

    assert (failed["status"], tree(tmp_path)) == ("rolled_back", {"p": "1"})
    assert outcomes(applied(daemon, stack(name=name))) == [("delete", "p", "success")]


def test_a_driver_that_fails_is_the_outcome_of_its_action(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """With why; what was done is taken back, what was not begun is skipped."""
    file = stack(
        page("one", tmp_path / "one", "1"),
        page("two", tmp_path / "nowhere" / "two", "2", needs=["one"]),
        page("three", tmp_path / "three", "3", needs=["two"]),
        name=name,
    )
    failed = applied(daemon, file)

    assert failed["status"] == "rolled_back"
    assert outcomes(failed) == [
        ("create", "one", "compensated"),
        ("create", "two", "error"),
        ("create", "three", "skipped"),
    ]
    assert "nowhere" in failed["outcomes"][1]["error"]["message"]
    assert tree(tmp_path) == {}


def test_stop_leaves_what_was_applied(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """The saga has failed, the outcomes say what is there, and the next plan has only the rest."""
    file = stack(
        page("one", tmp_path / "one", "1"),
        page("two", tmp_path / "nowhere" / "two", "2", needs=["one"]),
        name=name,
        on_failure="stop",
    )
    failed = applied(daemon, file)

    assert (failed["status"], outcomes(failed)) == (
        "failed",
        [("create", "one", "success"), ("create", "two", "error")],
    )
    assert tree(tmp_path) == {"one": "1"}
    assert actions(planned(daemon, file)) == [("create", "two", ["path", "content"])]


def test_what_cannot_be_deleted_stays_on_record(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """`delete_failed`; of a replacement both are kept, and the next plan deletes what was left over."""
    applied(daemon, site(tmp_path, name))
    (tmp_path / "site" / "theirs").write_text("not of the stack")
    moved = site(tmp_path, name, dir="place", on_failure="stop")
    failed = applied(daemon, moved)

    assert failed["status"] == "failed"
    assert ("replace", "dir", "delete_failed") in outcomes(failed)
    paths = {
        each["outputs"]["path"]
        for each in daemon.ask("GET", "/v1/resources?name=dir&limit=1000")[1]["resources"]
    }
    assert {str(tmp_path / "site"), str(tmp_path / "place")} <= paths
    assert actions(planned(daemon, moved)) == [("delete", "dir", [])]
    (tmp_path / "site" / "theirs").unlink()
    assert outcomes(applied(daemon, moved)) == [("delete", "dir", "success")]
    assert nothing_to_do(daemon, moved)

    (tmp_path / "place" / "theirs").write_text("not of the stack")
    gone = applied(daemon, moved, destroy=True)
    assert outcomes(gone)[-1] == ("delete", "dir", "delete_failed")
    assert set(owned(daemon, tmp_path)) == {"dir"}


def test_cancel_and_abandon_leave_one_outcome_an_action(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Whatever way it ends by somebody's word."""
    file = stack(
        page("one", tmp_path / "one", "1"),
        page("two", tmp_path / "two", "2", needs=["one"]),
        name=name,
        policy={"approve": "each"},
    )
    cancelled = applied(daemon, file)
    daemon.say(cancelled["id"], "approve")
    held = daemon.wait_ended(cancelled["id"])
    assert (held["hold"]["reason"], held["outcomes"]) == ("approval", None)
    daemon.say(cancelled["id"], "cancel")
    assert outcomes(daemon.wait_ended(cancelled["id"])) == [
        ("create", "one", "compensated"),
        ("create", "two", "skipped"),
    ]

    abandoned = applied(daemon, file)
    daemon.say(abandoned["id"], "approve")
    daemon.wait_ended(abandoned["id"])
    daemon.say(abandoned["id"], "abandon", reason="test")
    assert outcomes(daemon.wait_ended(abandoned["id"])) == [
        ("create", "one", "success"),
        ("create", "two", "skipped"),
    ]
    assert actions(planned(daemon, file)) == [("create", "two", ["path", "content"])]


def test_an_apply_is_rolled_back(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """File system and registry are as before, and the next plan is right."""
    applied(daemon, site(tmp_path, name))
    before, kept = tree(tmp_path), owned(daemon, tmp_path)
    moved = site(tmp_path, name, content="two", dir="place")
    to_do = actions(planned(daemon, moved))
    saga = applied(daemon, moved)
    status, answer = daemon.say(saga["id"], "rollback")
    assert (status, daemon.wait_ended(answer["saga"]["id"])["status"]) == (200, "completed")

    assert (tree(tmp_path), owned(daemon, tmp_path)) == (before, kept)
    assert nothing_to_do(daemon, site(tmp_path, name))
    assert actions(planned(daemon, moved)) == to_do
    gone = applied(daemon, stack(name=name))
    assert outcomes(gone) == [("delete", each, "success") for each in ("current", "index", "dir")]


# --- what a stack file says beside its resources ----------------------------------------------------------------------


def test_policy_and_labels_and_conflict_are_a_sagas(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Approved at the start; a change by others is overwritten on the way back, as the file has it."""
    file = stack(
        page("one", tmp_path / "one", "1"),
        page("two", tmp_path / "two", "2", needs=["one"]),
        name=name,
        labels={"site": "harbour"},
        on_conflict="skip",
        policy={"approve": "start"},
    )
    saga = applied(daemon, file, reason="because")
    assert (saga["hold"]["reason"], saga["labels"], saga["reason"]) == (
        "approval",
        {"site": "harbour"},
        "because",
    )
    daemon.say(saga["id"], "approve")
    assert {status for _, _, status in outcomes(daemon.wait_ended(saga["id"]))} == {"success"}


def test_hooks_are_run_after_each_resource(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """What it is told is the resource's own outputs."""
    log = tmp_path / "log"
    say = {
        "do": "command.run",
        "with": {"argv": ["sh", "-c", f"echo $0 $1 >> {log}", "${saga.kind}", "${self.path}"]},
    }
    file = stack(page("one", tmp_path / "one", "1"), name=name, hooks={"applied": say, "deleted": say})
    applied(daemon, file)
    applied(daemon, file, destroy=True)

    assert log.read_text().splitlines() == [f"{name} {tmp_path / 'one'}"] * 2


def test_one_apply_at_a_time(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Of two that come at once one is told that the other is at it; so is who comes while it is taken back."""
    file = site(tmp_path, name)
    found: list[tuple[int, dict[str, Any]]] = []
    threads = [threading.Thread(target=lambda: found.append(asked(daemon, file, wait=""))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = [document for status, document in found if status == 201]
    others = {
        refused(answer) if answer[0] == 409 else answer[1]["did"] for answer in found if answer[0] != 201
    }

    assert len(started) == 1
    assert others <= {(409, "busy"), "nothing"}
    assert daemon.wait_ended(started[0]["id"])["status"] == "completed"
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("elsewhere")
    _, answer = daemon.say(started[0]["id"], "rollback")
    held = daemon.wait_ended(answer["saga"]["id"])
    assert held["hold"]["reason"] == "attention"
    busy = asked(daemon, file)
    assert refused(busy) == (409, "busy")
    assert f"saga {held['id']} is taking back {name}" in busy[1]["detail"]
    daemon.say(held["id"], "abandon", reason="test")


def test_the_same_key_is_the_same_apply(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Also of a plan that was made again meanwhile; another file is something else."""
    file, other = site(tmp_path, name), site(tmp_path, name, content="other")
    first = asked(daemon, file, key=f"{name}-1")
    again = asked(daemon, file, key=f"{name}-1")
    changed = asked(daemon, other, key=f"{name}-1")
    by_plan = [
        daemon.ask(
            "POST",
            "/v1/plans/apply?wait=30s",
            {"plan": planned(daemon, other)},
            {"Idempotency-Key": f"{name}-2"},
        )
        for _ in range(2)
    ]

    assert (first[0], again[0], first[1]["id"]) == (201, 200, again[1]["id"])
    assert refused(changed) == (409, "idempotency_key_reused")
    assert [status for status, _ in by_plan] == [201, 200]
    assert by_plan[0][1]["id"] == by_plan[1][1]["id"]


def test_a_stack_file_is_validated_and_rehearsed(daemon: Daemon, tmp_path: Path, name: str) -> None:
    """Nothing is touched; with everything as it should be there is nothing to rehearse."""
    file = site(tmp_path, name)
    text = f"stack: {name}\nresources:\n- {{type: local.fil, name: a, spec: {{}}}}\n"
    wrong = daemon.ask("POST", "/v1/validate", {"source": text, "format": "yaml"})[1]["problems"]
    assert [(each["line"], each["column"]) for each in wrong] == [(3, 10)]
    assert daemon.ask("POST", "/v1/validate", {"stack": file})[1]["problems"] == []
    rehearsed = daemon.ask("POST", "/v1/rehearse", {"stack": file})[1]
    assert (rehearsed["clean"], rehearsed["steps"]) == (True, 3)
    assert tree(tmp_path) == {}
    applied(daemon, file)
    nothing = daemon.ask("POST", "/v1/rehearse", {"stack": file})

    assert (nothing[0], nothing[1]["cases"], nothing[1]["clean"]) == (200, [], True)


def test_the_example_does_what_it_says(daemon: Daemon, tmp_path: Path) -> None:
    """Rehearsed, applied, and destroyed."""
    text = (EXAMPLES / "site.yaml").read_text().replace("/srv/", f"{tmp_path}/")
    given = {"source": text, "format": "yaml"}
    rehearsed = daemon.ask("POST", "/v1/rehearse", given)[1]
    made = daemon.ask("POST", "/v1/plans/apply?wait=30s", given)[1]
    there = tree(tmp_path)
    gone = daemon.ask("POST", "/v1/plans/apply?wait=30s", {**given, "destroy": True})[1]

    assert (rehearsed["clean"], len(rehearsed["cases"]) > 3) == (True, True)
    assert (made["status"], gone["status"]) == ("completed", "completed")
    assert there == {"live": f"{tmp_path}/site/index.html", "site": "a folder", "site/index.html": "hello\n"}
    assert tree(tmp_path) == {}


# --- a service that gives ids, and is finalized -----------------------------------------------------------------------


class Service:
    """A daemon with types of the tests' own, and the file that their things are in."""

    def __init__(self, daemon: Daemon, file: Path) -> None:
        self.daemon = daemon
        self.file = file

    def read(self) -> dict[str, Any]:
        """What the file says."""
        return dict(json.loads(self.file.read_text())) if self.file.exists() else {}

    def there(self) -> dict[str, int]:
        """The things that there are: name -> size."""
        return {each["name"]: each["size"] for each in self.read().values() if "name" in each}

    def finalized(self) -> int:
        """How often the things were announced."""
        return int(self.read().get("finalized", {"times": 0})["times"])

    def set(self, **values: Any) -> None:
        """Change what the file says."""
        self.file.write_text(json.dumps(self.read() | values))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A daemon with a driver for things that have ids, and for shelves, which are announced."""
    folder = tmp_path_factory.mktemp("cloud")
    daemon = Daemon(folder, environ={"CLOUD": str(folder / "cloud.json")})
    with daemon.start(module=("tests.engine.cloud",)):
        yield Service(daemon, folder / "cloud.json")


def shelves(name: str, *sizes: int, **more: Any) -> dict[str, Any]:
    """A stack of shelves, and one thing."""
    many = [
        res("cloud.shelf", f"{name}{n}", {"name": f"{name}{n}", "size": size}) for n, size in enumerate(sizes)
    ]
    return stack(*many, res("cloud.thing", f"{name}-t", {"name": f"{name}-t"}), name=name, **more)


def test_each_type_is_finalized_once(service: Service, name: str) -> None:
    """After the last action, whatever it was: made, changed, deleted; not where there is nothing to do."""
    times = [service.finalized()]
    for file in (shelves(name, 1, 2), shelves(name, 1, 3), stack(name=name)):
        saga = applied(service.daemon, file)
        assert {status for _, _, status in outcomes(saga)} == {"success"}
        last = max(saga["steps"], key=lambda step: step["index"])
        assert (last["do"], last["status"]) == ("cloud.shelf.finalize", "completed")
        assert nothing_to_do(service.daemon, file)
        times.append(service.finalized())

    assert [after - before for before, after in pairwise(times)] == [1, 1, 1]


def test_what_cannot_be_finalized_is_taken_back(service: Service, name: str) -> None:
    """By `on_failure`: with `stop` it stays as it was applied."""
    applied(service.daemon, shelves(name, 1, 2))
    before = service.there()
    service.set(finalize={"fails": True})
    failed = applied(service.daemon, shelves(name, 1, 3))
    stopped = applied(service.daemon, shelves(name, 1, 4, on_failure="stop"))
    service.set(finalize={"fails": False})
    step = failed["steps"][-1]["name"]

    assert (failed["status"], failed["error"]["code"], failed["error"]["step"]) == (
        "rolled_back",
        "finalize_failed",
        step,
    )
    assert "nobody listens" in failed["error"]["message"]
    assert outcomes(failed) == [("update", f"{name}1", "compensated")]
    assert (stopped["status"], stopped["error"]["code"]) == ("failed", "finalize_failed")
    assert outcomes(stopped) == [("update", f"{name}1", "success")]
    assert service.there() == before | {f"{name}1": 4}


def test_what_was_made_in_part_is_taken_back(service: Service, name: str) -> None:
    """Its action is compensated, and what it said of itself is told."""
    half = res("cloud.thing", name, {"name": name, "half": True})
    failed = applied(service.daemon, stack(half, name=name))

    assert (failed["status"], outcomes(failed)) == ("rolled_back", [("create", name, "compensated")])
    assert failed["outcomes"][0]["error"]["message"] == "no more than that"
    assert name not in service.there()
    assert planned(service.daemon, stack(name=name))["actions"] == []


def test_what_is_imported_is_kept_by_its_name(service: Service, name: str) -> None:
    """What nobody keeps is not looked for; what was imported is the stack's from the first apply on."""
    service.set(**{"900": {"name": name, "size": 1, "tags": []}})
    file = stack(res("cloud.thing", name, {"name": name, "size": 2}), name=name)
    service.daemon.ask("POST", f"/v1/resources/cloud.thing/{name}/import", {"id": "900"})
    assert actions(planned(service.daemon, file)) == [("update", name, ["size"])]
    assert outcomes(applied(service.daemon, file)) == [("update", name, "success")]
    gone = applied(service.daemon, file, destroy=True)

    assert outcomes(gone) == [("delete", name, "success")]
    assert "900" not in service.read()


def test_what_is_sealed_is_put_into_a_plan_as_a_reference(service: Service, name: str) -> None:
    """Its value reaches the driver that it is meant for, and no answer."""
    one = res("cloud.thing", f"{name}-a", {"name": f"{name}-a"})
    applied(service.daemon, stack(one, name=name))
    (id_,) = [id_ for id_, each in service.read().items() if each.get("name") == f"{name}-a"]
    two = res("cloud.thing", f"{name}-b", {"name": f"{name}-b", "tags": [f"${{resources.{name}-a.token}}"]})
    file = stack(one, two, name=name)
    planned = service.daemon.ask("POST", "/v1/plans", {"stack": file})[1]
    document = applied(service.daemon, file)

    assert document["status"] == "completed", document
    assert [f"token-of-{id_}"] in [each.get("tags") for each in service.read().values()]
    assert f"token-of-{id_}" not in json.dumps([planned, document])


def test_a_type_that_is_gone_is_in_the_way(service: Service, name: str) -> None:
    """Of what is kept and of what is wanted; nothing is planned around it. `forget` is the way out."""
    file = shelves(name, 1)
    applied(service.daemon, file)
    service.daemon.stop()
    service.daemon.start()
    wanted, left_out = asked(service.daemon, file), asked(service.daemon, stack(name=name))
    service.daemon.ask("POST", f"/v1/resources/cloud.shelf/{name}0/forget", {})
    forgotten = asked(service.daemon, stack(name=name))
    service.daemon.stop()
    service.daemon.start(module=("tests.engine.cloud",))

    assert [answer[0] for answer in (wanted, left_out, forgotten)] == [422] * 3
    assert [each["where"] for each in wanted[1]["errors"]] == ["resources[0].type", "resources[1].type"]
    assert {each["where"] for each in left_out[1]["errors"]} == {f"{name}0", f"{name}-t"}
    assert all("is not available" in each["problem"] for each in left_out[1]["errors"])
    assert [each["where"] for each in forgotten[1]["errors"]] == [f"{name}-t"]
    assert outcomes(applied(service.daemon, stack(name=name))) == [("delete", f"{name}-t", "success")]


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "number", "fails"), [("after", 5, False), ("before", 5, True)])
def test_killed_again_and_again_it_ends_as_it_would_have(
    tmp_path: Path, point: str, number: int, fails: bool
) -> None:
    """Every life of the daemon is a few commits long: what was begun is carried on, or taken back, all the same."""
    daemon, root, name = Daemon(tmp_path), tmp_path / "files", "harbour"
    root.mkdir()
    first = site(root, name)
    lives = 0
    try:
        daemon.start()
        applied(daemon, first)
        before, kept = tree(root), owned(daemon, root)
        to_be = site(root, name, content="two", dir="place")
        if fails:
            to_be["resources"].append(
                page("last", root / "nowhere" / "last", "x", needs=["dir", "index", "current"])
            )
        id_ = applied(daemon, {**to_be, "policy": {"approve": "start"}})["id"]
        daemon.say(id_, "approve")
        daemon.kill()
        ended: dict[str, Any] = {}
        while not ended:
            lives += 1
            assert lives < 60
            ended = one_life(daemon, id_, point, number)
        daemon.start()
        ended = daemon.saga(id_)
        found, now = tree(root), owned(daemon, root)
        assert nothing_to_do(daemon, first if fails else to_be)
    finally:
        daemon.__exit__()

    assert lives > 1
    assert ended["status"] == ("rolled_back" if fails else "completed"), ended
    if fails:
        assert (found, now) == (before, kept)
        assert outcomes(ended)[-1] == ("create", "last", "error")
    else:
        assert found == {
            "current": str(root / "place/index.html"),
            "place": "a folder",
            "place/index.html": "two",
        }
        assert {status for _, _, status in outcomes(ended)} == {"success"}


# --- drift ------------------------------------------------------------------------------------------------------------


def test_what_was_accepted_as_drift_is_put_back_only_by_word(
    daemon: Daemon, tmp_path: Path, name: str
) -> None:
    """The plan says so; and once it was put back, nobody has accepted anything any more."""
    page = tmp_path / "page"
    file = stack(res("local.file", "page", {"path": str(page), "content": "ours"}), name=name)
    applied(daemon, file)
    page.write_text("theirs")
    daemon.ask("POST", "/v1/drift/detect", {"type": "local.file", "name": "page"})
    (drift,) = [each for each in daemon.ask("GET", "/v1/drift")[1]["drift"] if each["name"] == "page"]
    accepted = daemon.ask("POST", f"/v1/drift/{drift['id']}/accept", {"reason": "they are right"})
    before = planned(daemon, file)
    refused = daemon.ask("POST", "/v1/plans/apply", {"stack": file})
    document = applied(daemon, file, revert_accepted=True)

    assert accepted[0] == 200, accepted
    assert [each["reverts_accepted"] for each in before["actions"]] == [["content"]]
    assert (refused[0], refused[1]["code"]) == (409, "reverts_accepted")
    assert document["status"] == "completed", document
    assert page.read_text() == "ours"
    page.write_text("theirs again")
    assert all("reverts_accepted" not in each for each in planned(daemon, file)["actions"])
