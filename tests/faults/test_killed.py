"""The real daemon, killed with SIGKILL while it changes real files: taken back or carried on, never doubled."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import ENDED, Daemon
from tests.faults.folder import FAIL, fill, look, saga, steps

KILLS = int(os.environ.get("TESTS_KILLS", "24"))
"""Random kills in all; the full run is `TESTS_KILLS=200`."""


def no_leftovers(folder: Path) -> bool:
    """No file of sagad's own lies about."""
    return not [path for path in folder.rglob("*") if path.name.startswith(".sagad-")]


def test_twenty_files_are_taken_back_when_the_last_step_fails(tmp_path: Path) -> None:
    """Content, mode, owner, group and time of every file are as before."""
    folder = tmp_path / "site"
    fill(folder)
    before = look(folder)
    with Daemon(tmp_path) as daemon:
        document = daemon.submit(saga("files", [*steps(folder), FAIL]))

    assert document["status"] == "rolled_back"
    assert document["error"]["step"] == "last"
    assert [step["status"] for step in document["steps"]] == ["compensated"] * 20 + ["failed"]
    assert document["left_behind"] == []
    assert look(folder) == before
    assert no_leftovers(tmp_path)


@pytest.mark.slow
def test_killed_at_random_moments_the_folder_is_as_before(tmp_path: Path) -> None:
    """Again and again until enough kills: submit, kill at a random moment, start again, until the saga has ended."""
    seed = int(os.environ.get("TESTS_SEED", str(random.randrange(10**6))))
    chance = random.Random(seed)
    print(f"TESTS_SEED={seed}")
    folder = tmp_path / "site"
    fill(folder)
    before = look(folder)
    daemon = Daemon(tmp_path)
    kills = 0
    try:
        while kills < KILLS:
            daemon.start()
            id_ = daemon.submit(saga("files", [*steps(folder), FAIL]), wait=None)["id"]
            while True:
                time.sleep(chance.uniform(0, 0.08))
                daemon.kill()
                kills += 1
                daemon.start()
                if daemon.saga(id_)["status"] in ENDED or kills >= KILLS:
                    break
            document = daemon.wait_ended(id_)

            assert document["status"] == "rolled_back", document
            assert look(folder) == before
            assert no_leftovers(tmp_path)
            check_record(daemon, document)
            daemon.stop()
    finally:
        daemon.__exit__()


def check_record(daemon: Daemon, document: dict[str, Any]) -> None:
    """Each step done once and undone once, linked both ways."""
    executions = daemon.executions(document["id"])
    by_id = {each["id"]: each for each in executions}
    for each in executions:
        for other in each["compensated_by"]:
            assert by_id[other]["compensates"] == each["id"]
    done = Counter(
        event["step"] for event in daemon.events(document["id"]) if event["type"] == "step.succeeded"
    )
    assert set(done.values()) <= {1}


LINES = 'printf \'%s\\n\' "$1" >> "$2"'


def append(number: int, file: Path, **more: Any) -> dict[str, Any]:
    """Give a step that appends a line: not safe to repeat."""
    argv = ["sh", "-c", LINES, "sh", f"line {number}", str(file)]
    return {"name": f"line{number}", "do": "command.run", "with": {"argv": argv}, "undo": "none", **more}


@pytest.mark.slow
def test_no_line_is_twice_and_none_is_missing_however_often_it_is_killed(tmp_path: Path) -> None:
    """What may have been done is asked about, never repeated; the operator looks at the file and says."""
    chance = random.Random(int(os.environ.get("TESTS_SEED", "7")))
    file = tmp_path / "lines"
    file.touch()
    daemon = Daemon(tmp_path)
    kills, rounds = 0, 0
    expected: list[str] = []
    try:
        while kills < KILLS // 2:
            daemon.start()
            numbers = range(rounds * 10, rounds * 10 + 10)
            rounds += 1
            expected += [f"line {number}" for number in numbers]
            id_ = daemon.submit(saga("lines", [append(number, file) for number in numbers]), wait=None)["id"]
            while True:
                time.sleep(chance.uniform(0, 0.06))
                daemon.kill()
                kills += 1
                daemon.start()
                document = answer_by_looking(daemon, id_, file)
                if document["status"] in ENDED:
                    break

            assert document["status"] == "completed", document
            assert file.read_text().splitlines() == expected
            daemon.stop()
    finally:
        daemon.__exit__()


def test_a_call_that_ends_while_another_outcome_is_being_written_is_not_made_again(tmp_path: Path) -> None:
    """Its answer was in the mailbox, unread, when the turn that had not seen it looked for what was missing."""
    file = tmp_path / "lines"
    file.touch()
    steps_ = [append(number, file, needs=[]) for number in range(24)]
    for number, step in enumerate(steps_):
        step["with"]["argv"][2] = f"sleep {number % 6 / 100}; {LINES}"
    with Daemon(tmp_path).start(module=("tests.faults.dying", "slow", "15")) as daemon:
        document = daemon.submit(saga("lines", steps_))

    assert document["status"] == "completed"
    assert sorted(file.read_text().splitlines()) == sorted(f"line {number}" for number in range(24))


def answer_by_looking(daemon: Daemon, id: str, file: Path) -> dict[str, Any]:
    """Do as an operator would: look at the file, and resolve what is unknown."""
    document = daemon.saga(id)
    if document["status"] in ENDED:
        return document
    end = time.monotonic() + 1.0
    while time.monotonic() < end and document["hold"] is None and document["status"] not in ENDED:
        time.sleep(0.01)
        document = daemon.saga(id)
    for step in document["steps"]:
        if step["status"] == "unknown":
            done = step["name"].replace("line", "line ") in file.read_text().splitlines()
            status, answer = daemon.say(
                id, "resolve", step=step["name"], **{"as": "done" if done else "retry"}
            )
            assert status == 200, answer
    return daemon.saga(id)


POINTS = (
    [("before", n) for n in range(1, 13)]
    + [("after", n) for n in range(1, 13)]
    + [("effect", n) for n in range(1, 8)]
)


@pytest.mark.slow
@pytest.mark.parametrize(("point", "number"), POINTS if KILLS >= 200 else POINTS[::3])
def test_dying_at_any_commit_or_effect_changes_nothing_about_the_end(
    tmp_path: Path, point: str, number: int
) -> None:
    """Before a commit, after it, and between an effect and its outcome: the folder is as before all the same."""
    folder = tmp_path / "site"
    fill(folder)
    before = look(folder)
    daemon = Daemon(tmp_path)
    try:
        daemon.start(module=("tests.faults.dying", point, str(number)))
        id_ = submit_through_death(daemon, saga("files", [*steps(folder, 4), FAIL]))
        document = wait_through_death(daemon, id_)
    finally:
        daemon.__exit__()

    assert document["status"] == "rolled_back", document
    assert look(folder) == before
    assert no_leftovers(tmp_path)


def wait_through_death(daemon: Daemon, id_: str) -> dict[str, Any]:
    """Wait for the saga's end; start the daemon again when it has died."""
    while True:
        try:
            return daemon.wait_ended(id_)
        except OSError:
            assert daemon.process is not None
            daemon.process.wait(10)
            daemon.start()


def submit_through_death(daemon: Daemon, document: dict[str, Any]) -> str:
    """Submit with an idempotency key until somebody has answered, as a careful client would."""
    key = {"Idempotency-Key": "once"}
    while True:
        try:
            status, answer = daemon.ask("POST", "/v1/sagas", {"saga": document}, key)
        except OSError:
            assert daemon.process is not None
            daemon.process.wait(10)
            daemon.start()
        else:
            assert status in (200, 201), answer
            return str(answer["id"])
