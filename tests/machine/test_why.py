"""``why``: one sentence for every state (the laws ask for one after every message; here they are read)."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from actors.saga import messages as m
from actors.saga.state import Error, Pause
from actors.saga.why import why
from tests.machine import scripts
from tests.machine.cases import Driver
from tests.machine.scripts import Script, step

T = "1970-01-01T00:16:40.000Z"


def quarantined() -> Script:
    """Its actor crashed too often."""
    script = scripts.forward()
    script.say(m.Quarantine(why="boom"))
    return script


def interrupted() -> Script:
    """Cancelled now, and its code has not ended."""
    script = scripts.forward()
    script.operator("cancel", 0, flag=True)
    return script


def pausing() -> Script:
    """Paused while a step runs."""
    script = scripts.forward()
    script.operator("pause", 0, flag=True)
    return script


def paused() -> Script:
    """Paused before anything had started."""
    script = scripts.pending()
    script.operator("pause", 0, flag=True)
    return script


def cancelled() -> Script:
    """Cancelled before anything had started."""
    script = scripts.pending()
    script.operator("cancel", 0, flag=True)
    return script


def given_up() -> Script:
    """Abandoned before anything had started."""
    script = scripts.pending()
    script.operator("abandon", 0, flag=True)
    return script


def abandoned() -> Script:
    """Given up while an undo runs."""
    script = scripts.back()
    script.operator("abandon", 0, flag=True)
    return script


def failing() -> Script:
    """One of two failed, the other still runs."""
    script = Script(step(), step(), graph=True).begin().begin()
    script.end(min(script.flights, key=repr), "failed")
    return script


def asks_and_runs() -> Script:
    """One undo is in conflict, another still runs."""
    script = Script(step(), step(), step(), graph=True).go("succeeded", "succeeded", "failed")
    script.other_hand("/a/b")
    script.begin().begin()
    script.end(max(script.flights, key=lambda want: want.step), "conflict")
    return script


SENTENCES: list[tuple[Callable[[], Script], str]] = [
    (scripts.pending, "Saga 7 is pending: step s0 is about to start."),
    (scripts.forward, f"Saga 7 is running: step s0 is running since {T}, attempt 1."),
    (
        lambda: Script(None).go("transient"),
        "Saga 7 is running: step s0 is tried again at 1970-01-01T00:16:41.000Z, attempt 2 (it broke).",
    ),
    (
        lambda: Script(None).go("working"),
        "Saga 7 is running: step s0 goes on elsewhere and is asked about again at 1970-01-01T00:16:43.000Z.",
    ),
    (
        lambda: Script(None, drivers=[Driver()]).go("working"),
        "Saga 7 is running: step s0 waits until 1970-01-01T00:16:43.000Z.",
    ),
    (
        lambda: Script(None).go("lost answer"),
        f"Saga 7 is running: whether step s0 was done is being found out since {T} (no answer came).",
    ),
    (
        scripts.unknown,
        (
            f"Saga 7 is held since {T} (attention): nobody knows whether step s1 was done (no answer came; its driver "
            "cannot find out, and it is not safe to repeat): look, then `sagactl resolve 7 s1 --as done|failed|retry`."
        ),
    ),
    (
        scripts.stopped,
        (
            f"Saga 7 is held since {T} (attention): step s1 failed (it broke) and on_failure is hold: "
            "`sagactl retry 7`, `sagactl skip 7 s1` or `sagactl cancel 7`."
        ),
    ),
    (
        scripts.undo_conflict,
        (
            f"Saga 7 is held since {T} (attention): step s1 was not undone (somebody changed it): "
            "`sagactl retry 7 s1 --force` undoes it all the same, `sagactl skip 7 s1` leaves it."
        ),
    ),
    (
        scripts.undo_failed,
        (
            f"Saga 7 is held since {T} (attention): the undo of step s1 failed (it broke): "
            "`sagactl retry 7 s1`, `sagactl skip 7 s1` or `sagactl resolve 7 s1 --as done|failed`."
        ),
    ),
    (
        scripts.back,
        (
            "Saga 7 is on its way back (it broke), 2 steps to go: "
            f"the undo of step s1 is running since {T}, attempt 1."
        ),
    ),
    (
        quarantined,
        (
            f"Saga 7 is held since {T} (quarantined): its actor crashed too often (boom): "
            "`sagactl resume 7` lets it try again."
        ),
    ),
    (
        interrupted,
        (
            "Saga 7 turns back (cancelled by ada: because) once what is going on has ended: "
            f"step s0 was interrupted, and its code, running since {T}, has not ended yet."
        ),
    ),
    (
        cancelled,
        f"Saga 7 was rolled back at {T} because ada cancelled it: because.",
    ),
    (
        given_up,
        f"Saga 7 failed at {T}: abandoned by ada: because.",
    ),
    (
        paused,
        f"Saga 7 is held since {T} (paused): paused by ada (because): `sagactl resume 7` lets it go on.",
    ),
    (
        pausing,
        (
            "Saga 7 is paused by ada (because) and stops once what is going on has ended: "
            f"step s0 is running since {T}, attempt 1."
        ),
    ),
    (
        abandoned,
        (
            "Saga 7 was abandoned by ada: because; it ends once what is going on has ended: "
            f"the undo of step s1 is running since {T}, attempt 1."
        ),
    ),
    (
        failing,
        (
            "Saga 7 failed at step s0 and turns back once what is going on has ended: "
            f"step s1 is running since {T}, attempt 1."
        ),
    ),
    (
        asks_and_runs,
        (
            f"Saga 7 is on its way back (it broke), 2 steps to go: the undo of step s0 is running since {T}, attempt 1; "
            "the undo of step s1 needs your word once the rest has ended (somebody changed it)."
        ),
    ),
    (scripts.completed, f"Saga 7 completed at {T}."),
    (scripts.rolled_back, f"Saga 7 was rolled back at {T} because step s2 failed: it broke."),
    (
        scripts.failed,
        (
            f"Saga 7 failed at {T} because step s2 failed: it broke; "
            "left behind: step s1 (/a/b), its undo failed: it broke."
        ),
    ),
]


@pytest.mark.parametrize(("state", "sentence"), SENTENCES)
def test_sentence(state: Callable[[], Script], sentence: str) -> None:
    """It says what the saga does, waits for or needs, with the commands in full."""
    script = state()

    assert why(script.plan, script.state, script.now, "7") == sentence


def test_a_reason_of_several_lines_is_still_one_sentence() -> None:
    """Errors come from drivers, and drivers from anywhere."""
    script = scripts.stopped()
    failed = replace(script.state.steps[1], error=Error("boom", "first\nsecond"))
    state = replace(script.state, steps=(script.state.steps[0], failed, script.state.steps[2]))

    assert "first second" in why(script.plan, state, script.now, "7")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            Error("deadline", "it took too long"),
            "was rolled back at 1970-01-01T00:16:40.000Z: it took too long.",
        ),
        (
            Error("internal", ""),
            "was rolled back at 1970-01-01T00:16:40.000Z, internal: no reason was given.",
        ),
    ],
)
def test_a_code_is_said_where_it_says_something(error: Error, words: str) -> None:
    """Codes are for programs; a sentence has one where the message needs it."""
    script = scripts.rolled_back()

    assert why(script.plan, replace(script.state, error=error), script.now, "7") == f"Saga 7 {words}"


def test_a_pause_of_which_nobody_knows_who_asked_is_said_all_the_same() -> None:
    """A checkpoint from before the field was there, and one without a reason."""
    script = paused()
    old = replace(script.state, pause=None)
    silent = replace(script.state, pause=Pause("bob", 0))

    assert "(paused): paused by the operator: " in why(script.plan, old, script.now, "7")
    assert "(paused): paused by bob: " in why(script.plan, silent, script.now, "7")


def test_a_deadline_that_has_passed_is_said_until_that_is_on_record() -> None:
    """What is about to be done about it may have to wait for the disk."""
    script = scripts.pending()
    late = replace(script.state, deadline=script.now)

    assert why(script.plan, late, script.now, "7").endswith(f"its deadline was {T}, and it turns back.")
    assert "deadline" not in why(script.plan, late, script.now - 1, "7")


def test_a_time_beyond_the_calendar_is_written_all_the_same() -> None:
    """A retry in ten thousand years."""
    script = Script(None).go("working")
    script.say(m.Answered(step=0, direction="forward", generation=1, attempt=1, kind="working", due=10**18))

    assert "9999-12-31T23:59:59.999Z" in why(script.plan, script.state, script.now, "7")
