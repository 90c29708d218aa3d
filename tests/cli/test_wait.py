"""`--wait`, `watch` and `events -f`: following a saga to its end, through whatever happens to the daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Sagactl
from tests.cli.standin import ID, Run, StandIn, saga_document

pytestmark = pytest.mark.slow
Start = Callable[..., "subprocess.Popen[str]"]
ENDS = [("completed", 0), ("rolled_back", 3), ("failed", 4)]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A saga file."""
    path = tmp_path / "publish.yaml"
    path.write_text("saga: publish-site\n")
    return str(path)


@pytest.fixture
def run(daemon: StandIn) -> Run:
    """A saga that was submitted and goes on as the test says."""
    daemon.on("POST", "/v1/sagas", (201, saga_document(status="pending")))
    return Run(daemon)


def line(process: subprocess.Popen[str]) -> str:
    """Read the next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def until(true: Callable[[], Any]) -> None:
    """Give another process time to get there, and no more."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("status", "code"), ENDS)
def test_wait_exits_as_the_saga_ended(run: Run, sagactl: Sagactl, file: str, status: str, code: int) -> None:
    """The exit code says how the saga ended, the last line says it in words."""
    run.happens("saga.submitted")
    run.happens(f"saga.{status}", status=status)
    begun = time.monotonic()
    ended = sagactl("submit", file, "--wait")

    assert ended.returncode == code
    assert (
        time.monotonic() - begun < 10
    )  # an end that was there before the stream was opened is not waited for in it
    steps = "1/2 steps" if status == "completed" else "2 steps, none taken back"
    assert ended.stdout.splitlines()[-1] == f"{ID}  publish-site  {status} ({steps})"


@pytest.mark.parametrize(("status", "code"), ENDS)
def test_watch_prints_a_line_per_event_and_exits_as_the_saga_ended(
    run: Run, sagactl: Sagactl, status: str, code: int
) -> None:
    """Away from a terminal watch prints the events from the first, and how it ended."""
    for step in ("one", "two", "three"):
        run.happens("step.started", step=step)
    run.happens(f"saga.{status}", status=status)
    ended = sagactl("watch", "7k2m9q4x1c0d")

    assert ended.returncode == code
    assert [line.split()[3] for line in ended.stdout.splitlines()[:-1]] == [
        *["step.started"] * 3,
        f"saga.{status}",
    ]
    assert ended.stdout.splitlines()[-1].startswith(f"{ID}  publish-site  {status}")


def test_events_are_printed_as_they_happen_over_one_stream(run: Run, started: Start) -> None:
    """Each line comes with its event, not at the end, and nothing is asked again and again."""
    watching = started("watch", ID)
    until(lambda: run.streams)
    for number in range(5):
        run.happens("step.started", step=f"step-{number}")
        assert f"step-{number}" in line(watching)
    streams = run.streams
    run.happens("saga.completed", status="completed")

    assert watching.wait(20) == 0
    assert streams == 1


@pytest.mark.parametrize("reason", ["attention", "paused", "approval", "quarantined"])
def test_a_hold_that_needs_somebody_ends_the_wait_and_says_why(
    run: Run, sagactl: Sagactl, file: str, reason: str
) -> None:
    """Nobody waits for a saga that waits for somebody; why it does is said."""
    run.why = "step two: perhaps done, perhaps not; say `sagactl resolve`"
    run.happens("saga.held", hold={"reason": reason, "since": None, "detail": "x"})

    for words in (["submit", file, "--wait"], ["watch", ID]):
        ended = sagactl(*words)
        assert ended.returncode == 5
        assert run.why in ended.stderr
        assert f"on hold: {reason}" in ended.stdout


def test_a_lock_is_waited_out(run: Run, started: Start) -> None:
    """A lock is released by another saga, not by a person, so the wait goes on."""
    run.happens("saga.held", hold={"reason": "lock", "since": None, "detail": "x"})
    watching = started("watch", ID)
    until(lambda: run.streams)
    assert watching.poll() is None
    run.happens("saga.released", hold=None, status="completed")

    assert watching.wait(20) == 0


def test_a_wait_with_a_time_ends_with_124_and_leaves_the_saga(run: Run, sagactl: Sagactl, file: str) -> None:
    """Time is up for the waiting, not for the saga; what it waits for is said."""
    run.why = "waiting for step two"
    ended = sagactl("submit", file, "--wait", "300ms")

    assert ended.returncode == 124
    assert ended.stdout.split()[0] == ID
    assert "time is up: waiting for step two" in ended.stderr
    assert f"saga {ID} goes on" in ended.stderr


def test_a_wait_with_a_time_ends_in_the_middle_of_a_busy_saga(run: Run, sagactl: Sagactl, file: str) -> None:
    """Events that come without a pause must not keep the clock from being looked at."""
    over = threading.Event()

    def chatter() -> None:
        while not over.wait(0.02):
            run.happens("step.started", step="one")

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        assert sagactl("submit", file, "--wait=500ms").returncode == 124
    finally:
        over.set()
        thread.join()


def test_wait_without_a_time_does_not_take_the_file_for_one(run: Run, sagactl: Sagactl, file: str) -> None:
    """--wait before FILE means for ever, not for as long as FILE."""
    run.happens("saga.completed", status="completed")

    assert sagactl("submit", "--wait", file).returncode == 0
    assert sagactl("submit", "--wait", "20s", file).returncode == 0
    assert sagactl("submit", "--wait", "--reason", "x", file).returncode == 0


def test_with_q_the_id_comes_before_the_end(run: Run, started: Start, file: str) -> None:
    """Whoever reads along has the id at once, and nothing else."""
    waiting = started("submit", "-q", "--wait", file)
    assert line(waiting) == f"{ID}\n"
    run.happens("saga.completed", status="completed")

    assert waiting.communicate(timeout=20) == ("", "")
    assert waiting.returncode == 0


def test_json_of_a_wait_is_one_document_the_saga_as_it_ended(run: Run, sagactl: Sagactl, file: str) -> None:
    """Two documents in a row would be none."""
    run.happens("saga.completed", status="completed")
    ended = sagactl("submit", "-o", "json", "--wait", file)

    assert json.loads(ended.stdout) == run.saga


def test_json_of_watch_is_one_event_a_line(run: Run, sagactl: Sagactl) -> None:
    """A stream of documents is one a line."""
    for _ in range(3):
        run.happens("step.started")
    run.happens("saga.completed", status="completed")

    lines = sagactl("watch", ID, "-o", "json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == run.events


@pytest.mark.parametrize("words", [["submit", "FILE", "--wait"], ["watch", ID], ["events", "-f", ID]])
def test_a_restart_of_the_daemon_is_waited_out(
    daemon: StandIn, run: Run, started: Start, file: str, words: list[str]
) -> None:
    """A daemon that is restarted loses no follower, and no event is printed twice."""
    waiting = started(*(file if word == "FILE" else word for word in words))
    until(lambda: run.streams)
    daemon.stop()
    run.happens("step.started", step="unheard")  # ends the stream, as the server is gone
    time.sleep(0.3)
    run.happens("saga.completed", status="completed")
    daemon.start()
    out, _ = waiting.communicate(timeout=30)

    assert waiting.returncode == 0
    if words[0] != "submit":
        assert out.count("unheard") == 1


def test_a_daemon_that_is_away_is_told_once(daemon: StandIn, run: Run, started: Start) -> None:
    """A daemon that is starting says 503; it is asked again, and that is said once."""
    watching = started("watch", ID)
    until(lambda: run.streams)
    run.saga = run.saga | {"status": "completed"}
    daemon.on(
        "GET",
        f"/v1/sagas/{ID}",
        *[(503, {"detail": "starting"})] * 4,
        lambda request: request.answer(200, run.saga),
    )
    run.happens("saga.completed", status="completed")
    _, err = watching.communicate(timeout=20)

    assert watching.returncode == 0
    assert err == "waiting for the daemon to come back (starting)\n"


@pytest.mark.parametrize("words", [["submit", "FILE", "--wait"], ["watch", ID], ["events", "-f", ID]])
def test_ctrl_c_leaves_the_saga_running_and_says_so(
    run: Run, daemon: StandIn, started: Start, file: str, words: list[str]
) -> None:
    """Ctrl-C ends the waiting; the saga is the daemon's."""
    waiting = started(*(file if word == "FILE" else word for word in words))
    until(lambda: run.streams)
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=20)

    assert waiting.returncode == 130
    assert f"saga {ID} goes on" in err
    assert "Traceback" not in err
    assert not [request for request in daemon.requests if "cancel" in request.target]


def test_watch_calls_the_saga_by_its_id_when_it_was_asked_for_the_last(
    daemon: StandIn, run: Run, sagactl: Sagactl
) -> None:
    """Another saga may be submitted meanwhile, and `last` would be that one."""
    run.happens("saga.completed", status="completed")
    daemon.on("GET", "/v1/sagas/last", (200, run.saga))
    sagactl("watch", "last")

    assert daemon.requests[0].target == "/v1/sagas/last"
    assert not [request for request in daemon.requests[1:] if "last" in request.target]


def test_events_f_goes_on_through_a_hold(run: Run, started: Start) -> None:
    """Following events is like tail -f: only the end ends it."""
    run.happens("saga.held", hold={"reason": "paused", "since": None, "detail": None})
    following = started("events", "-f", ID)
    assert "saga.held" in line(following)
    until(lambda: run.streams)
    run.happens("saga.released", hold=None)
    assert "saga.released" in line(following)
    run.happens("saga.failed", status="failed")
    assert "saga.failed" in line(following)

    assert following.wait(20) == 0


def test_a_daemon_that_does_not_stream_is_asked_at_intervals(
    daemon: StandIn, run: Run, started: Start
) -> None:
    """What gives no stream is not asked in a hot loop, and the end is still seen."""
    daemon.on("GET", f"/v1/sagas/{ID}/events", lambda request: request.answer(200, {"events": []}))
    watching = started("watch", ID)
    until(lambda: len(daemon.requests) > 3)
    asked = len(daemon.requests)
    time.sleep(0.5)
    assert len(daemon.requests) - asked < 5
    run.saga = run.saga | {"status": "completed"}

    assert watching.wait(20) == 0
