"""The verbs: what each sends, what is printed, which ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Sagactl
from tests.cli.standin import ID, Run, StandIn, problem, saga_document

pytestmark = pytest.mark.slow

SENT = [
    ("cancel x", {}),
    ("cancel x --now --reason why", {"now": True, "reason": "why"}),
    ("pause x", {}),
    ("resume x --reason why", {"reason": "why"}),
    ("retry x", {}),
    ("retry x two --force", {"step": "two", "force": True}),
    ("skip x two", {"step": "two"}),
    ("skip x two --output a=1 --output b=x=y", {"step": "two", "output": {"a": "1", "b": "x=y"}}),
    ("resolve x two --as done --output a=1", {"step": "two", "as": "done", "output": {"a": "1"}}),
    ("resolve x two --as failed", {"step": "two", "as": "failed"}),
    ("rollback x", {}),
    ("rollback x --preview", {"preview": True}),
    ("rollback x --to-step one --past-irreversible", {"to_step": "one", "past_irreversible": True}),
    ("abandon x --yes --reason why", {"reason": "why"}),
]


@pytest.mark.parametrize(("words", "sent"), SENT)
def test_what_is_sent(daemon: StandIn, sagactl: Sagactl, words: str, sent: dict[str, Any]) -> None:
    """Each verb sends what it was given, and nothing else, and prints what was done."""
    verb = words.partition(" ")[0]
    answer = {"did": "accepted", "detail": "it is so", "saga": saga_document()}
    daemon.on("POST", f"/v1/sagas/x/{verb}", (200, answer))
    ended = sagactl(*words.split())

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{ID}  {verb}  accepted: it is so\n"
    assert daemon.last.document == sent


def test_every_verb_takes_yes(daemon: StandIn, sagactl: Sagactl) -> None:
    """--yes does no harm to a verb that does not ask: scripts need not know which do."""
    for words in (
        "cancel x",
        "pause x",
        "resume x",
        "retry x",
        "skip x s",
        "resolve x s --as done",
        "rollback x",
    ):
        daemon.on(
            "POST", f"/v1/sagas/x/{words.split()[0]}", (200, {"did": "accepted", "saga": saga_document()})
        )
        assert sagactl(*words.split(), "--yes").returncode == 0


def test_nothing_to_do_is_said_and_is_no_error(daemon: StandIn, sagactl: Sagactl) -> None:
    """Repeating what is done already says so and exits 0."""
    answer = {"did": "nothing", "detail": "it is turning back already", "saga": saga_document()}
    daemon.on("POST", "/v1/sagas/x/cancel", (200, answer))
    ended = sagactl("cancel", "x")

    assert ended.returncode == 0
    assert ended.stdout == f"{ID}  cancel  nothing to do: it is turning back already\n"


def test_q_prints_the_id_of_the_saga_that_was_started(daemon: StandIn, sagactl: Sagactl) -> None:
    """A rollback is a saga of its own, and -q gives its id."""
    answer = {"did": "accepted", "detail": "", "saga": saga_document(id="newsaga00000", rollback_of=ID)}
    daemon.on("POST", f"/v1/sagas/{ID}/rollback", (200, answer))

    assert sagactl("rollback", ID, "-q").stdout == "newsaga00000\n"


def test_rollback_waits_for_the_saga_that_it_started(daemon: StandIn, sagactl: Sagactl) -> None:
    """--wait is for the new saga; the old one has ended long ago."""
    run = Run(daemon)
    run.happens("saga.completed", status="completed")
    daemon.on(
        "POST", "/v1/sagas/old/rollback", (200, {"did": "accepted", "detail": "", "saga": saga_document()})
    )
    ended = sagactl("rollback", "old", "--wait")

    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1].startswith(f"{ID}  publish-site  completed")


def test_a_conflict_says_what_is_possible_and_exits_7(daemon: StandIn, sagactl: Sagactl) -> None:
    """What cannot be done now names what can."""
    error = {"where": "verb", "problem": "the saga has completed", "hint": "`sagactl rollback` takes it back"}
    daemon.on("POST", "/v1/sagas/x/cancel", (409, problem(409, "cancel is not possible now", error)))
    ended = sagactl("cancel", "x")

    assert (ended.returncode, ended.stdout) == (7, "")
    assert ended.stderr.splitlines() == [
        "error: cancel is not possible now",
        "  verb: the saga has completed — `sagactl rollback` takes it back",
    ]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (413, 2), (415, 2), (422, 2), (403, 8), (404, 6), (409, 7), (500, 1), (503, 1), (405, 1)],
)
def test_the_exit_code_goes_by_the_answers_status(
    daemon: StandIn, sagactl: Sagactl, status: int, code: int
) -> None:
    """The exit code is the contract of SPEC §9, for verbs and reads alike."""
    daemon.on("POST", "/v1/sagas/x/pause", (status, problem(status, "no, because")))
    daemon.on("GET", "/v1/sagas/x", (status, problem(status, "no, because")))

    for words in (["pause", "x"], ["show", "x"], ["watch", "x"]):
        ended = sagactl(*words)
        assert (ended.returncode, ended.stderr) == (code, "error: no, because\n")


def test_abandon_asks_for_a_reason_before_anything_else(daemon: StandIn, sagactl: Sagactl) -> None:
    """The daemon would refuse it, after the question."""
    ended = sagactl("abandon", "x", "--yes")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--reason TEXT" in ended.stderr
    assert daemon.requests == []


def test_abandon_needs_yes_where_nobody_can_be_asked(daemon: StandIn, sagactl: Sagactl) -> None:
    """A script has to say that it means it, and is told how."""
    ended = sagactl("abandon", "x", "--reason", "why")

    assert ended.returncode == 2
    assert "--yes" in ended.stderr
    assert daemon.requests == []


def test_what_a_step_is_resolved_as_has_to_be_said(daemon: StandIn, sagactl: Sagactl) -> None:
    """There is no default for what became of a step."""
    assert sagactl("resolve", "x", "two").returncode == 2
    assert sagactl("resolve", "x", "two", "--as", "maybe").returncode == 2
    assert daemon.requests == []


def test_an_id_is_only_ever_one_part_of_the_route(daemon: StandIn, sagactl: Sagactl) -> None:
    """What was typed as an id cannot become another route, nor a query."""
    assert sagactl("pause", "../x?y").returncode == 6
    assert daemon.last.target == "/v1/sagas/..%2Fx%3Fy/pause"
    assert sagactl("pause", "").returncode == 2


def test_a_preview_is_a_table(daemon: StandIn, sagactl: Sagactl) -> None:
    """What will be done, step by step; in words on stderr; and no question is asked."""
    steps: list[dict[str, Any]] = [
        {
            "step": "new",
            "do": "local.file.delete",
            "nature": "restore",
            "resource": "/srv/new",
            "will": "conflict",
            "why": "saga later0000000 has changed its content since",
            "changed_by": ["later0000000"],
        },
        {"step": "run", "do": None, "nature": None, "resource": None, "will": "keep", "why": "it has no way back"},
    ]  # fmt: skip
    answer = {"did": "nothing", "detail": "takes back new", "saga": saga_document(), "preview": steps}
    daemon.on("POST", f"/v1/sagas/{ID}/rollback", (200, answer))
    ended = sagactl("rollback", ID, "--preview")

    assert (ended.returncode, ended.stderr) == (0, "takes back new; nothing was touched\n")
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["STEP", "WILL", "DO", "NATURE", "RESOURCE", "CHANGED", "BY", "WHY"],
        [
            "new",
            "conflict",
            "local.file.delete",
            "restore",
            "/srv/new",
            "later0000000",
            *steps[0]["why"].split(),
        ],
        ["run", "keep", "it", "has", "no", "way", "back"],
    ]


def test_there_is_nothing_to_wait_for_where_nothing_was_started(daemon: StandIn, sagactl: Sagactl) -> None:
    """It was taken back already."""
    answer = {"did": "nothing", "detail": "it is rolled back", "saga": saga_document(status="rolled_back")}
    daemon.on("POST", f"/v1/sagas/{ID}/rollback", (200, answer))
    ended = sagactl("rollback", ID, "--wait")

    assert (ended.returncode, ended.stderr) == (0, "")


def test_correct_sends_a_file(daemon: StandIn, sagactl: Sagactl, tmp_path: Path) -> None:
    """As submit does; the id of the saga that was started is printed, and waited for."""
    file = tmp_path / "mend.yaml"
    file.write_text("saga: mend\n")
    run = Run(daemon)
    run.happens("saga.completed", status="completed")
    answer = {"did": "accepted", "detail": "it makes up for saga old", "saga": saga_document(corrects="old")}
    daemon.on("POST", "/v1/sagas/old/correct", (200, answer))
    sent = sagactl("correct", "old", str(file), "-i", "page=hello", "--reason", "a typo")
    assert daemon.last.document == {
        "source": "saga: mend\n",
        "format": "yaml",
        "inputs": {"page": "hello"},
        "inputs_as_text": True,
        "reason": "a typo",
    }
    ended = sagactl("correct", "old", str(file), "--wait", "30s")

    assert sent.stdout == f"{ID}  correct  accepted: it makes up for saga old\n"
    assert (ended.returncode, ended.stdout.splitlines()[-1].split()[2]) == (0, "completed")
