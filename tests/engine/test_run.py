"""Runs of a saga as its submitter sees them: what SPEC §3 says, through the socket, on real files and processes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.faults.folder import saga


def echo(name: str, message: Any = "hello", **more: Any) -> dict[str, Any]:
    """A step that says something."""
    return {"name": name, "do": "test.echo", "with": {"message": message}, **more}


def fail(name: str, kind: str = "error", **more: Any) -> dict[str, Any]:
    """A step that fails."""
    return {"name": name, "do": "test.fail", "with": {"kind": kind, **more.pop("args", {})}, **more}


def sleep(name: str, duration: str, **more: Any) -> dict[str, Any]:
    """A step that runs for a while."""
    return {"name": name, "do": "test.sleep", "with": {"duration": duration}, **more}


def put(name: str, path: Path, content: str, **more: Any) -> dict[str, Any]:
    """A step that writes a file."""
    return {"name": name, "do": "local.file.put", "with": {"path": str(path), "content": content}, **more}


def statuses(document: dict[str, Any]) -> list[str]:
    """The steps' statuses."""
    return [step["status"] for step in document["steps"]]


def why(daemon: Daemon, document: dict[str, Any]) -> str:
    """The sentence."""
    return str(daemon.ask("GET", f"/v1/sagas/{document['id']}/why")[1]["why"])


def test_outputs_are_seen_by_later_steps_with_their_types(daemon: Daemon) -> None:
    """A whole reference keeps the value's type, one inside a text becomes text."""
    document = daemon.submit(
        saga(
            "seed",
            [
                echo("one", {"n": 3, "on": True}),
                echo("two", "${steps.one.message}"),
                echo("three", "n=${steps.two.message.n}"),
            ],
        )
    )

    assert document["status"] == "completed"
    assert statuses(document) == ["completed"] * 3
    assert document["steps"][1]["output"] == {"message": {"n": 3, "on": True}}
    assert document["steps"][2]["output"] == {"message": "n=3"}


def test_a_failure_takes_back_what_was_done_and_names_its_step(daemon: Daemon) -> None:
    """[echo, echo, fail]: compensated, compensated, failed; executions are linked both ways."""
    document = daemon.submit(
        saga("seed", [echo("one"), echo("two"), fail("three", args={"message": "no luck"})])
    )
    executions = {each["id"]: each for each in daemon.executions(document["id"])}
    undone = [each for each in executions.values() if each["compensates"]]

    assert document["status"] == "rolled_back"
    assert statuses(document) == ["compensated", "compensated", "failed"]
    assert document["error"] == {"code": "step_failed", "message": "no luck", "step": "three"}
    assert [each["step"] for each in undone] == ["two", "one"]
    assert all(executions[each["compensates"]]["compensated_by"] == [each["id"]] for each in undone)
    assert {each["nature"] for each in undone} == {"restore"}


def test_a_cancel_between_steps_takes_back_what_was_done(daemon: Daemon) -> None:
    """The running step is awaited and its result counts."""
    document = daemon.submit(saga("seed", [echo("one"), sleep("two", "200ms"), echo("three")]), wait=None)
    status, answer = daemon.say(document["id"], "cancel", reason="changed my mind")
    again = daemon.say(document["id"], "cancel")
    document = daemon.wait_ended(document["id"])

    assert (status, answer["did"]) == (200, "accepted")
    assert again[1]["did"] == "nothing"
    assert document["status"] == "rolled_back"
    assert statuses(document)[2] == "skipped"
    assert document["error"]["code"] == "cancelled"
    assert document["cancel"]["reason"] == "changed my mind"


def test_cancel_now_interrupts_what_runs(daemon: Daemon) -> None:
    """Nobody waits for an hour's sleep."""
    document = daemon.submit(saga("seed", [echo("one"), sleep("two", "1h")]), wait=None)
    daemon.wait_until(lambda: statuses(daemon.saga(document["id"]))[1] == "running", 5, "it sleeps")
    daemon.say(document["id"], "cancel", now=True)
    document = daemon.wait_ended(document["id"], 5)

    assert document["status"] == "rolled_back"
    assert document["cancel"]["now"] is True


def test_a_wait_costs_no_memory_and_survives_a_kill(tmp_path: Path) -> None:
    """A timer is a row: due while the daemon is down, it is over when it comes back."""
    with Daemon(tmp_path, '[limits]\nwait_passivate = "50ms"\n') as daemon:
        timer = {"name": "wait", "do": "wait.timer", "with": {"duration": "700ms"}}
        document = daemon.submit(
            saga("seed", [echo("one"), timer, echo("three", "${steps.wait.at}")]), wait=None
        )
        daemon.wait_until(
            lambda: daemon.ask("GET", "/v1/health")[1]["in_memory"] == 0, 5, "nothing in memory"
        )
        waiting = daemon.saga(document["id"])["waiting"]
        sentence = why(daemon, document)
        daemon.kill()
        time.sleep(0.8)
        daemon.start()
        document = daemon.wait_ended(document["id"], 10)

        assert waiting["for"] == "timer"
        assert "wait" in sentence
        assert document["status"] == "completed"
        assert document["steps"][2]["output"]["message"].endswith("Z")


def test_a_transient_failure_is_tried_again_and_a_plain_one_is_not(daemon: Daemon) -> None:
    """Attempts are counted; the wait between them is of the step's choosing."""
    patient = {"retry": {"attempts": 5, "delay": "5ms", "factor": 1}}
    document = daemon.submit(saga("seed", [fail("one", "transient", args={"times": 2}, **patient)]))
    plain = daemon.submit(saga("seed", [fail("one", "error", args={"times": 1}, **patient)]))

    assert (document["status"], document["steps"][0]["attempts"]) == ("completed", 3)
    assert (plain["status"], plain["steps"][0]["attempts"]) == ("rolled_back", 1)


@pytest.mark.parametrize(
    ("word", "end", "steps"),
    [
        ("done", "completed", ["completed", "completed", "completed"]),
        ("failed", "rolled_back", ["compensated", "failed", "skipped"]),
    ],
)
def test_an_unknown_outcome_is_asked_and_the_answer_counts(
    daemon: Daemon, word: str, end: str, steps: list[str]
) -> None:
    """Never a blind repeat: the saga holds, `why` says what to do, and resolve goes on from there."""
    document = daemon.submit(saga("seed", [echo("one"), fail("two", "unknown"), echo("three")]))
    sentence = why(daemon, document)
    assert (statuses(document)[1], document["hold"]["reason"]) == ("unknown", "attention")
    assert document["steps"][1]["error"]["message"] in sentence
    status, _ = daemon.say(document["id"], "resolve", step="two", **{"as": word})
    document = daemon.wait_ended(document["id"])

    assert status == 200
    assert "--as done|failed|retry" in sentence
    assert (document["status"], statuses(document)) == (end, steps)


def test_resolve_gives_outputs_their_declared_types(daemon: Daemon) -> None:
    """`--output exit_code=0` is a number again for who refers to it."""
    kill = {"name": "one", "do": "command.run", "with": {"argv": ["sh", "-c", "kill -9 $$"]}, "undo": "none"}
    document = daemon.submit(saga("seed", [kill, echo("two", "${steps.one.exit_code}")]))
    output = {"exit_code": "7", "stdout": "", "stderr": ""}
    daemon.say(document["id"], "resolve", step="one", output=output, **{"as": "done"})
    document = daemon.wait_ended(document["id"])

    assert document["steps"][1]["output"] == {"message": 7}


def test_on_failure_hold_waits_for_a_word(daemon: Daemon) -> None:
    """Retry starts the step anew with a new generation; skip goes on without it."""
    steps = [echo("one"), fail("two"), echo("three")]
    document = daemon.submit(saga("seed", steps, on_failure="hold"))
    assert daemon.say(document["id"], "retry")[0] == 200
    document = daemon.wait_ended(document["id"])
    generations = [each["generation"] for each in daemon.executions(document["id"]) if each["step"] == "two"]
    assert daemon.say(document["id"], "skip", step="two", reason="by hand")[0] == 200
    document = daemon.wait_ended(document["id"])

    assert generations == [1, 2]
    assert (document["status"], statuses(document)) == ("completed", ["completed", "skipped", "completed"])
    assert document["steps"][1]["output"] is None, "none was given"


def test_on_failure_stop_leaves_everything_and_says_so(daemon: Daemon, tmp_path: Path) -> None:
    """Failed, and `left_behind` names what is there."""
    path = tmp_path / "left"
    document = daemon.submit(
        saga("seed", [put("one", path, "x"), fail("two"), echo("three")], on_failure="stop")
    )

    assert (document["status"], statuses(document)) == ("failed", ["completed", "failed", "skipped"])
    assert [(left["step"], left["resource"]) for left in document["left_behind"]] == [("one", str(path))]
    assert path.read_text() == "x"


def test_what_somebody_else_changed_is_not_overwritten(daemon: Daemon, tmp_path: Path) -> None:
    """The undo stops and asks; forced, it records what it overwrote."""
    path = tmp_path / "page"
    path.write_text("before")
    document = daemon.submit(
        saga("seed", [put("one", path, "ours"), sleep("two", "200ms"), fail("three")]), wait=None
    )
    daemon.wait_until(lambda: path.read_text() == "ours", 5, "the page is ours")
    path.write_text("theirs")
    document = daemon.wait_ended(document["id"])
    assert (document["hold"]["reason"], statuses(document)[0]) == ("attention", "compensating")
    assert document["steps"][0]["error"] == {
        "code": "conflict",
        "message": "somebody else has changed its content since",
    }
    assert path.read_text() == "theirs"
    assert daemon.say(document["id"], "retry", step="one", force=True)[0] == 200
    document = daemon.wait_ended(document["id"])
    undo = next(each for each in daemon.executions(document["id"]) if each["compensates"])

    assert document["status"] == "rolled_back"
    assert path.read_text() == "before"
    assert undo["before"]["size"] == len("theirs")
    assert (undo["status"], undo["error"]) == ("completed", None), (
        "what it ended with, not what it went through"
    )
    assert document["steps"][0]["error"] is None


def test_a_failed_undo_blocks_what_its_step_needs_and_can_be_mended_late(
    daemon: Daemon, tmp_path: Path
) -> None:
    """One undo fails for good, the one below it is blocked, the saga fails; a late retry closes both."""
    mended = tmp_path / "mended"
    undo = {"do": "command.run", "with": {"argv": ["test", "-e", str(mended)]}}
    needed = echo("needed")
    broken = {
        "name": "broken",
        "do": "command.run",
        "with": {"argv": ["echo", "${steps.needed.message}"]},
        "undo": undo,
    }
    document = daemon.submit(saga("seed", [echo("free"), needed, broken, fail("last")]))
    assert document["status"] == "failed"
    assert statuses(document) == ["compensated", "compensation_failed", "compensation_failed", "failed"]
    assert document["steps"][1]["error"]["code"] == "blocked"
    assert [left["step"] for left in document["left_behind"]] == ["needed", "broken"]
    mended.touch()
    status, answer = daemon.say(document["id"], "retry")
    document = daemon.wait_ended(document["id"])

    assert (status, answer["did"]) == (200, "accepted")
    assert document["status"] == "rolled_back"
    assert document["left_behind"] == []


def test_an_irreversible_step_stops_the_way_back(daemon: Daemon) -> None:
    """What comes after it is taken back; the rest only when told."""
    steps = [echo("one"), echo("point", irreversible=True), echo("three"), fail("four")]
    document = daemon.submit(saga("seed", steps))
    assert (document["hold"]["reason"], statuses(document)) == (
        "attention",
        ["completed", "completed", "compensated", "failed"],
    )
    assert daemon.say(document["id"], "cancel")[0] == 409
    assert daemon.say(document["id"], "rollback")[0] == 409
    assert daemon.say(document["id"], "rollback", past_irreversible=True)[0] == 200
    document = daemon.wait_ended(document["id"])

    assert (document["status"], statuses(document)) == (
        "rolled_back",
        ["compensated", "kept", "compensated", "failed"],
    )
    assert [left["step"] for left in document["left_behind"]] == ["point"]


def test_a_deadline_turns_the_saga_back(daemon: Daemon) -> None:
    """The way forward has its time; a timer does not hold it up."""
    timer = {"name": "two", "do": "wait.timer", "with": {"duration": "1h"}}
    document = daemon.submit(saga("seed", [echo("one"), timer], deadline="150ms"))

    assert (document["status"], document["error"]["code"]) == ("rolled_back", "deadline")


def test_pause_stops_before_the_next_step_until_resume(daemon: Daemon) -> None:
    """The running step is drained first."""
    document = daemon.submit(saga("seed", [sleep("one", "100ms"), echo("two")]), wait=None)
    daemon.say(document["id"], "pause", reason="lunch")
    document = daemon.wait_ended(document["id"])
    assert (document["hold"]["reason"], statuses(document)) == ("paused", ["completed", "pending"])
    assert " (lunch): `resume` lets it go on" in document["hold"]["detail"]
    daemon.say(document["id"], "resume")

    assert daemon.wait_ended(document["id"])["status"] == "completed"


def test_a_step_that_there_is_none_of_is_answered_with_those_that_there_are(daemon: Daemon) -> None:
    """In the saga's order, which is not that of the alphabet."""
    document = daemon.submit(saga("seed", [echo("two"), fail("one"), echo("three")], on_failure="hold"))
    status, answer = daemon.say(document["id"], "skip", step="zzz")

    assert status == 404
    assert answer["detail"] == "the saga has no step `zzz`: known here: two, one, three"


def test_independent_steps_run_side_by_side_but_never_on_one_resource(daemon: Daemon, tmp_path: Path) -> None:
    """In a graph, order is by need alone; a shared folder puts two steps one after the other."""
    side = [sleep(name, "300ms", needs=[]) for name in ("a", "b", "c")]
    began = time.monotonic()
    document = daemon.submit(saga("seed", [*side, echo("d", needs=["a", "b", "c"])]))
    took = time.monotonic() - began
    path = tmp_path / "shared"
    both = [put("a", path, "a" * 100_000, needs=[]), put("b", path, "b" * 100_000, needs=[])]
    shared = daemon.submit(saga("seed", [*both, fail("c", needs=["a", "b"])]))

    assert document["status"] == "completed"
    assert took < 0.8, "three sleeps of 0.3 s one after the other would take 0.9 s"
    assert (shared["status"], statuses(shared)) == ("rolled_back", ["compensated", "compensated", "failed"])
    assert not path.exists()


def test_a_secret_is_nowhere_but_where_it_was_sent(daemon: Daemon, tmp_path: Path) -> None:
    """Not in the database, the blobs, the log, or any answer; the file has it, and its undo gives it back."""
    path = tmp_path / "conf"
    path.write_text("old token: s3cr3t-t0k3n-value\n")
    run = {
        "name": "run",
        "do": "command.run",
        "with": {"argv": ["sh", "-c", "echo $T; echo $T >&2"], "env": {"T": "${secret.token}"}},
        "undo": "none",
    }
    broken = {
        "name": "broken",
        "do": "command.run",
        "with": {"argv": ["sh", "-c", "echo ${secret.token} >&2; exit 3"]},
    }
    steps = [run, put("conf", path, "token=${secret.token} ${secret.other}"), sleep("nap", "50ms"), broken]
    document = daemon.submit(saga("seed", steps))
    said = str([document, daemon.executions(document["id"]), daemon.events(document["id"])])
    on_disk = (
        b"".join(each.read_bytes() for each in daemon.state.rglob("*") if each.is_file())
        + daemon.log.read_bytes()
    )

    assert document["status"] == "rolled_back", document
    assert path.read_text() == "old token: s3cr3t-t0k3n-value\n"
    assert "${secret.token}" in document["steps"][0]["output"]["stdout"]
    assert "${secret.token}" in document["steps"][3]["error"]["message"]
    for value in ("s3cr3t-t0k3n-value", "another-s3cret"):
        assert value not in said
        assert value.encode() not in on_disk


def test_an_abandoned_saga_ends_as_it_is(daemon: Daemon) -> None:
    """Nothing more is done or undone; it needs a reason."""
    document = daemon.submit(saga("seed", [echo("one"), sleep("two", "1h"), echo("three")]), wait=None)
    daemon.wait_until(lambda: statuses(daemon.saga(document["id"]))[1] == "running", 5, "it sleeps")
    refused = daemon.say(document["id"], "abandon")[0]
    daemon.say(document["id"], "abandon", reason="the machine is gone")
    document = daemon.wait_ended(document["id"], 5)

    assert refused in (409, 422)
    assert document["status"] == "failed"
    assert statuses(document)[0] == "completed"


def test_a_saga_that_needs_a_driver_which_is_gone_holds_instead_of_guessing(tmp_path: Path) -> None:
    """It says which driver; once that is back, `retry` goes on."""
    path = tmp_path / "made"
    steps = [
        sleep("one", "300ms"),
        {"name": "rig", "do": "rig.do", "with": {"path": str(path), "how": "well"}},
    ]
    with Daemon(tmp_path) as _:
        pass
    daemon = Daemon(tmp_path).start(module=("tests.faults.rigged",))
    try:
        id_ = daemon.submit(saga("seed", steps), wait=None)["id"]
        daemon.kill()
        daemon.start()
        document = daemon.wait_ended(id_)
        assert document["hold"]["reason"] == "attention"
        assert "rig" in document["hold"]["detail"]
        daemon.stop()
        daemon.start(module=("tests.faults.rigged",))
        assert daemon.say(id_, "retry")[0] == 200
        assert daemon.wait_ended(id_)["status"] == "completed"
    finally:
        daemon.__exit__()
