"""Hooks, told: a step is completed only after its hook, and taken back at once where that fails."""

from __future__ import annotations

import pytest

from actors.saga import messages as m
from actors.saga.holds import left_behind, waits
from actors.saga.plan import Hook, Retry, Undo
from actors.saga.state import Error
from actors.saga.verbs import column
from actors.saga.wants import Prepare, interrupted
from actors.saga.why import why
from tests.machine.cases import Driver, Way
from tests.machine.scripts import DRIVERS, FINDS, HOOKED, NEITHER, REPEATS, Script, put, step, touch

BROKEN = Error("hook_failed", "the hook test.tell of step s1 failed: it broke", "s1")
IRREVERSIBLE = step(irreversible=True, hook=Hook("test.tell"))


def done(*more: object, **plan: object) -> Script:
    """The second of three steps is done, and its hook has not begun."""
    return Script(None, HOOKED, None, *more, **plan).go("succeeded", "succeeded")  # type: ignore[arg-type]


def failed(**plan: object) -> Script:
    """Its hook has failed."""
    return done(**plan).go("failed")


def wanted(script: Script) -> list[tuple[int, str, int]]:
    """What is about to be prepared."""
    return [(want.step, want.direction, want.generation) for want in script.wanted(Prepare)]


def test_a_step_is_completed_after_its_hook_and_only_then_the_next_one_starts() -> None:
    """Till then it is running, and has not finished."""
    script = done()
    before = script.statuses, wanted(script), script.state.steps[1].finished_at
    script.go("succeeded")

    assert before == (["completed", "running", "pending"], [(1, "hook", 1)], None)
    assert (script.statuses, wanted(script)) == (["completed", "completed", "pending"], [(2, "forward", 1)])
    assert script.go("succeeded").state.status == "completed"


def test_what_has_changed_nothing_has_no_hook_run() -> None:
    """A request that turned out to be a GET."""
    script = Script(HOOKED, drivers=[Driver()]).go("succeeded")

    assert script.state.status == "completed"


def test_a_failed_hook_has_its_step_undone_at_once_and_then_the_saga_turns() -> None:
    """While the saga is still running, and before anything else."""
    script = failed()
    at_once = script.state.status, script.statuses, wanted(script)
    script.go("succeeded")
    turned = script.state.status, script.statuses, wanted(script)
    script.go("succeeded")

    assert at_once == ("running", ["completed", "failed", "pending"], [(1, "undo", 1)])
    assert turned == ("compensating", ["completed", "compensated", "pending"], [(0, "undo", 1)])
    assert (script.state.status, script.state.error) == ("rolled_back", BROKEN)
    assert script.state.steps[1].error == Error("hook_failed", "its hook failed: it broke")
    assert script.statuses == ["compensated", "compensated", "skipped"]


def test_whatever_on_failure_says_the_step_is_undone() -> None:
    """`stop` leaves the others as they are."""
    script = failed(on_failure="stop").go("succeeded")

    assert (script.state.status, script.state.error) == ("failed", BROKEN)
    assert script.statuses == ["completed", "compensated", "skipped"]


def test_held_for_a_failed_hook_the_step_starts_anew_with_it() -> None:
    """Both with the next generation."""
    script = failed(on_failure="hold")
    assert script.operator("retry", 1, flag=True).did == "refused", "not before it is undone"
    script.go("succeeded")
    assert column(script.plan, script.state) == "stopped"
    script.operator("retry", 1, flag=True)
    anew = wanted(script)
    script.go("succeeded")

    assert (anew, wanted(script)) == ([(1, "forward", 2)], [(1, "hook", 2)])
    assert script.go("succeeded", "succeeded").state.status == "completed"


def test_a_hook_has_as_many_attempts_as_its_step() -> None:
    """A failure that passes is nothing to undo for."""
    script = done().go("transient")
    script.to_wake()
    script.go("succeeded")

    assert script.statuses == ["completed", "completed", "pending"]


def test_a_hook_that_cannot_be_prepared_has_failed() -> None:
    """It refers to an output that is not there, say."""
    script = done().refuse()

    assert wanted(script) == [(1, "undo", 1)]


@pytest.mark.parametrize("how", ["partial", "compensated"])
def test_a_hook_that_did_a_part_or_cleaned_up_has_failed(how: str) -> None:
    """There is no way back for the part of a hook."""
    assert done().go(how).statuses == ["completed", "failed", "pending"]


def test_a_paused_saga_starts_no_hook_and_no_undo_of_a_failed_one() -> None:
    """Both go on with `resume`."""
    before, after = done(), failed()
    for script in (before, after):
        script.operator("pause", 0, flag=False)
        assert wanted(script) == []
        assert script.state.hold is not None
        script.operator("resume", 0, flag=False)

    assert (wanted(before), wanted(after)) == ([(1, "hook", 1)], [(1, "undo", 1)])


def test_a_cancel_before_the_hook_has_it_not_run() -> None:
    """The step counts as done, and is undone with the rest."""
    script = done()
    script.operator("cancel", 0, flag=False)
    assert (script.state.status, script.statuses[1], wanted(script)) == (
        "compensating",
        "running",
        [(1, "undo", 1)],
    )
    script.go("succeeded", "succeeded")

    assert script.statuses == ["compensated", "compensated", "skipped"]
    assert script.world["the hook of s1"] == "not run"


def test_now_interrupts_a_hook() -> None:
    """Its outcome is settled; found done, the step is completed and taken back as any other."""
    script = done().begin()
    script.operator("cancel", 0, flag=True)
    assert interrupted(script.plan, script.state, 1)
    script.go("lost answer").found()

    assert script.statuses == ["completed", "completed", "pending"]
    assert script.state.status == "compensating"


def test_a_hook_that_waits_for_its_next_attempt_when_the_saga_stops_has_failed() -> None:
    """Cancelled, the saga says so."""
    script = done().go("transient")
    script.operator("cancel", 0, flag=False)
    at_once = wanted(script), script.state.status
    script.go("succeeded", "succeeded")

    assert at_once == ([(1, "undo", 1)], "running")
    assert script.state.error is not None
    assert script.state.error.code == "cancelled"


def test_a_cancel_reaches_a_saga_that_undoes_for_a_failed_hook() -> None:
    """The undo goes on, also in its waits; then the saga turns, though it was to stop and ask."""
    script = failed(on_failure="hold").go("transient")
    reply = script.operator("cancel", 0, flag=True)
    script.to_wake()
    script.go("succeeded")

    assert reply.did == "accepted"
    assert (script.state.status, script.statuses[1]) == ("compensating", "compensated")


def held(**plan: object) -> Script:
    """The undo for a failed hook found that somebody else was there."""
    script = failed(on_failure="hold", **plan)
    script.other_hand("/a/b")
    return script.go("conflict")


def test_a_held_undo_can_be_answered_or_the_saga_cancelled_before_it_turns() -> None:
    """Retry, skip and resolve are about the undo; `cancel` is about the saga, which goes forward as yet."""
    for verb, status in (("retry", "compensating"), ("skip", "kept"), ("done", "compensated")):
        script = held()
        assert (script.state.status, column(script.plan, script.state)) == ("running", "undo_held")
        assert script.operator(verb, 1, flag=True).did == "accepted"
        assert script.statuses[1] == status
    script = held()

    assert script.operator("rollback", 0, flag=False).did == "refused"
    assert script.operator("skip", 0, flag=True).did == "refused", "which is done and stays so"
    assert script.operator("cancel", 0, flag=False).did == "accepted"
    assert script.operator("skip", 1, flag=True).did == "accepted"
    assert script.state.status == "compensating"


def test_an_unknown_outcome_is_resolved_beside_a_held_undo() -> None:
    """Two steps of a graph, each with a question."""
    drivers = (put(touch("c"), NEITHER), put(touch("a/b")))
    script = Script(step(), HOOKED, graph=True, drivers=drivers).begin().begin()
    first, second = sorted(script.flights, key=lambda want: want.step)
    script.end(second, "succeeded")
    script.begin()
    script.end(first, "lost answer")
    script.found()
    script.end(script.call(), "failed")
    script.other_hand("/a/b")
    script.begin()
    script.end(script.call(), "conflict")
    asked = column(script.plan, script.state), script.operator("done", 0, flag=True).did

    assert asked == ("undo_held", "accepted")
    assert script.operator("skip", 1, flag=True).did == "accepted"
    assert script.go("succeeded").statuses == ["compensated", "kept"]


def test_an_undo_that_fails_for_a_failed_hook_is_first_in_the_way_of_a_retry() -> None:
    """`retry` of that step tries its undo again; `skip` keeps what it did, and then goes on without it."""
    tried, skipped = failed(on_failure="hold").go("failed"), failed(on_failure="hold").go("failed")
    assert tried.statuses == ["completed", "compensation_failed", "pending"]
    assert tried.state.hold is not None
    assert "the undo of step s1 failed: `retry s1` or `skip s1`; step s1 failed (it broke)" in (
        tried.state.hold.detail
    )
    assert tried.operator("retry", 0, flag=False).did == "refused"
    assert tried.operator("retry", 1, flag=True).did == "accepted"
    assert tried.state.steps[1].error == Error("hook_failed", "its hook failed: it broke")
    tried.go("succeeded")
    skipped.operator("skip", 1, flag=True)
    assert "partly done" in skipped.operator("retry", 1, flag=True).detail
    skipped.operator("skip", 1, flag=True)

    assert tried.statuses == ["completed", "compensated", "pending"]
    assert skipped.go("succeeded").statuses == ["completed", "skipped", "completed"]
    assert [each.step for each in left_behind(skipped.plan, skipped.state)] == ["s1"]


def test_a_failed_undo_is_held_before_the_saga_turns() -> None:
    """`on_undo_failure: hold`, and `resolve --as failed` lets the saga fail."""
    script = failed(on_undo_failure="hold").go("failed")
    open_ = column(script.plan, script.state), wanted(script)
    script.operator("failed", 1, flag=True)

    assert open_ == ("undo_held", [])
    assert script.go("succeeded").state.status == "failed"
    assert script.state.error == BROKEN
    assert script.statuses == ["compensated", "compensation_failed", "skipped"]


def test_what_has_no_way_back_is_kept_and_left_behind() -> None:
    """A request, say; it cannot start anew either."""
    drivers = (DRIVERS[0], Driver(touch("a/b"), "none", hook=FINDS))
    posted = step(undo=Undo("none"), hook=Hook("test.tell"))
    script = Script(None, posted, drivers=drivers, on_failure="hold")
    script.go("succeeded", "succeeded", "failed")

    assert script.statuses[1] == "kept"
    assert script.state.steps[1].left == "it has no way back (undo: none)"
    assert script.operator("retry", 1, flag=True).did == "refused"


def test_an_irreversible_step_whose_hook_failed_is_kept_with_what_comes_before_it() -> None:
    """It is done for good: `skip` goes on without it, `retry` would do it a second time."""
    script = Script(None, IRREVERSIBLE, None).go("succeeded", "succeeded", "failed")
    at = column(script.plan, script.state), script.statuses
    retried = script.operator("retry", 1, flag=False)
    script.operator("skip", 1, flag=True)

    assert at == ("past", ["completed", "kept", "pending"])
    assert "partly done" in retried.detail
    assert script.go("succeeded").state.status == "completed"


@pytest.mark.parametrize(
    ("word", "statuses"),
    [
        ("done", ["completed", "completed", "running"]),
        ("failed", ["completed", "compensating", "pending"]),
        ("again", ["completed", "running", "pending"]),
    ],
)
def test_an_unknown_hook_is_asked_about(word: str, statuses: list[str]) -> None:
    """Never a blind repeat; `resolve STEP` is about the hook."""
    drivers = (DRIVERS[0], Driver(touch("a/b"), "restore", FINDS, FINDS, NEITHER), DRIVERS[2])
    script = Script(None, HOOKED, None, drivers=drivers).go("succeeded", "succeeded", "lost answer").found()
    asked = script.statuses, script.state.hold
    script.operator(word, 1, flag=True)
    script.begin() if script.wanted(Prepare) else None

    assert asked[0] == ["completed", "unknown", "pending"]
    assert asked[1] is not None
    assert "nobody knows whether the hook of step s1 was done" in asked[1].detail
    assert script.statuses == statuses
    script.calm()


def test_a_crash_during_a_hook_repeats_it_with_the_same_key() -> None:
    """Where that is safe; and never the step itself."""
    drivers = (DRIVERS[0], Driver(touch("a/b"), "restore", FINDS, FINDS, REPEATS), DRIVERS[2])
    script = Script(None, HOOKED, None, drivers=drivers).go("succeeded", "succeeded").begin()
    script.crash()
    script.found()

    assert (script.call().direction, script.call().generation, script.call().attempt) == ("hook", 1, 2)
    assert script.go("succeeded").statuses == ["completed", "completed", "pending"]


def test_a_saga_that_fails_elsewhere_starts_no_hook_and_awaits_those_that_run() -> None:
    """Held for the other step, the hook begins when that is tried again."""
    drivers = (put(touch("c")), put(touch("a/b")), put(touch("d")))
    script = Script(HOOKED, HOOKED, step(), graph=True, on_failure="hold", drivers=drivers)
    script.begin().begin().begin()
    zero, one, two = sorted(script.flights, key=lambda want: want.step)
    script.end(zero, "succeeded")
    script.begin()
    script.end(one, "succeeded")
    script.end(two, "failed")
    stopping = wanted(script), waits(script.plan, script.state)
    script.end(script.call(), "succeeded")
    statuses = script.statuses
    script.operator("retry", 2, flag=True)

    assert stopping[0] == []
    assert stopping[1] is not None
    assert stopping[1].detail == "it stops once the hook of step s0 has ended"
    assert statuses == ["completed", "running", "failed"]
    assert wanted(script) == [(2, "forward", 2), (1, "hook", 1)]


def test_two_hooks_that_fail_side_by_side_have_both_steps_undone_at_once() -> None:
    """The saga names the first."""
    script = Script(HOOKED, HOOKED, graph=True).go("succeeded", "succeeded").begin().begin()
    for want in sorted(script.flights, key=lambda want: -want.step):
        script.end(want, "failed")

    assert wanted(script) == [(1, "undo", 1), (0, "undo", 1)]
    script.go("succeeded", "succeeded")
    assert (script.state.status, script.state.error) == ("rolled_back", BROKEN)


def test_what_another_step_is_stuck_at_is_not_in_the_way_of_a_failed_hook() -> None:
    """Its undo has another driver; where that is gone too, `skip` leaves the step as it is."""
    script = Script(HOOKED, None, graph=True).go("succeeded")
    script.prepare(script.wanted(Prepare)[1], well=True)
    script.refuse(stuck=True)
    script.go("failed")
    free = wanted(script)
    script.refuse(stuck=True)
    stuck = wanted(script), script.operator("skip", 0, flag=True).did

    assert free == [(0, "undo", 1)]
    assert stuck == ([], "accepted")
    assert script.state.status == "rolled_back"
    assert script.statuses == ["kept", "skipped"]


@pytest.mark.parametrize(
    ("more", "status", "left"),
    [
        ([], "failed", "abandoned by ada: because"),
        (["transient"], "failed", "abandoned by ada: because"),
        (["lost answer"], "unknown", "given up before the outcome of its hook was known"),
    ],
)
def test_given_up_at_its_hook_a_step_is_not_completed(more: list[str], status: str, left: str) -> None:
    """Nor called failed where nobody knows."""
    drivers = (DRIVERS[0], Driver(touch("a/b"), "restore", FINDS, FINDS, Way()), DRIVERS[2])
    script = Script(None, HOOKED, None, drivers=drivers).go("succeeded", "succeeded", *more)
    script.operator("abandon", 0, flag=True)

    assert script.state.status == "failed"
    assert script.statuses == ["completed", status, "skipped"]
    assert left_behind(script.plan, script.state)[1].why == left


def test_given_up_while_its_hook_only_looks_it_has_failed() -> None:
    """A health check has done nothing that somebody would have to look for."""
    driver = Driver(touch("c"), "restore", FINDS, FINDS, hook_changes=False)
    script = Script(step(hook=Hook("test.tell"), retry=Retry(attempts=5)), drivers=[driver])
    script.go("succeeded", "working")
    script.operator("abandon", 0, flag=True)

    assert script.statuses == ["failed"]


def locked(script: Script) -> str:
    """The next intent waits for another saga's lock; what is said of it."""
    want = script.wanted(Prepare)[0]
    head = {"step": want.step, "direction": want.direction, "generation": want.generation}
    script.say(m.Blocked(**head, resource=touch("z"), behind="another"))
    assert script.wanted(Prepare) == []
    assert script.state.hold is not None
    assert script.state.hold.reason == "lock"
    return script.state.hold.detail


def test_a_hook_and_an_undo_for_it_wait_for_locks() -> None:
    """Each is named as what it is, and goes on when the lock is free."""
    hook, at_once, later = done(), failed(), done()
    later.operator("cancel", 0, flag=False)
    said = [locked(each) for each in (hook, at_once, later)]
    for script in (hook, at_once, later):
        script.say(m.Granted(step=1))

    assert said == [
        "the hook of step s1 waits for the lock of /z",
        "the undo of step s1 waits for the lock of /z",
        "the undo of step s1 waits for the lock of /z",
    ]
    assert [wanted(each)[0][:2] for each in (hook, at_once, later)] == [(1, "hook"), (1, "undo"), (1, "undo")]


def test_a_hook_has_its_steps_patience_for_a_lock() -> None:
    """Then it has failed, and the step is undone."""
    script = Script(step(hook=Hook("test.tell"), lock_timeout=5_000)).go("succeeded")
    locked(script)
    script.to_wake()

    assert wanted(script) == [(0, "undo", 1)]
    assert script.state.steps[0].error == Error("hook_failed", "its hook failed: /z was not free within 5 s")


def test_a_deadlock_at_a_hook_turns_the_saga_and_at_a_failed_one_another() -> None:
    """The step is taken back with the rest; where nobody can turn, only giving up helps, for its hook cannot be skipped."""
    turns, asks, undoes = done(), done(), failed()
    for script in (turns, asks, undoes):
        locked(script)
        script.say(m.Deadlocked(sagas=("a", "b"), turns=script is not asks))
    assert asks.state.hold is not None

    assert (turns.state.status, wanted(turns)) == ("compensating", [(1, "undo", 1)])
    assert asks.state.hold.detail.startswith(
        "a deadlock: the sagas a, b wait for each other's locks, and none of them can turn back: `abandon` one of them"
    )
    assert undoes.state.turn is None


def test_the_undo_for_a_failed_hook_asks_where_undos_ask() -> None:
    """Before the saga turns; rejected, what the step did is kept."""
    careful = step(hook=Hook("test.tell"), asks_undo=True)
    approved, rejected = (
        Script(None, careful, None).go("succeeded", "succeeded", "failed") for _ in range(2)
    )
    for script in (approved, rejected):
        script.begin()
        assert script.state.status == "running"
        assert script.state.hold is not None
        assert script.state.hold.reason == "approval"
        assert "the undo of step s1 waits for approval" in script.state.hold.detail
    approved.operator("approve", 1, flag=True)
    rejected.operator("reject", 1, flag=True)

    assert wanted(approved) == [(1, "undo", 1)]
    assert approved.go("succeeded", "succeeded").statuses == ["compensated", "compensated", "skipped"]
    assert rejected.go("succeeded").statuses == ["compensated", "kept", "skipped"]


T = "1970-01-01T00:16:40.000Z"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (done(), "Saga 7 is running: the hook of step s1 is about to start."),
        (done().begin(), f"Saga 7 is running: the hook of step s1 is running since {T}, attempt 1."),
        (
            failed().begin(),
            (
                "Saga 7 failed at step s1 and turns back once what is going on has ended: "
                f"the undo of step s1 is running since {T}, attempt 1."
            ),
        ),
        (
            failed().go("succeeded", "succeeded"),
            f"Saga 7 was rolled back at {T} because the hook test.tell of step s1 failed: it broke.",
        ),
    ],
)
def test_why(script: Script, sentence: str) -> None:
    """The hook is named as what it is."""
    assert why(script.plan, script.state, script.now, "7") == sentence


def test_an_answer_of_the_step_itself_is_too_late_at_its_hook() -> None:
    """It is recorded and ignored."""
    script = done().begin()
    before = script.statuses
    script.say(m.Answered(step=1, direction="forward", generation=1, attempt=1, kind="failed"))

    assert script.statuses == before
