"""Single cases, told: what a review of the machine against SPEC 3 found, and what random runs seldom meet."""

from typing import Any

import msgspec
import pytest

from actors.clock import rfc3339
from actors.saga import messages as m
from actors.saga.holds import left_behind, waits
from actors.saga.plan import Batch, Retry, Undo
from actors.saga.state import Error, State
from actors.saga.wants import Poll, Prepare, Settle, dues, interrupted, wake
from actors.saga.why import why
from tests.machine import scripts
from tests.machine.cases import Driver
from tests.machine.scripts import IRREVERSIBLE, NEITHER, REPEATS, Script, put, step, touch
from tests.machine.simulation import SILENT


def test_all_steps_done_is_completed() -> None:
    """[echo, echo, echo]."""
    script = scripts.completed()

    assert script.state.status == "completed"
    assert script.statuses == ["completed"] * 3


def test_the_last_of_three_fails_and_the_error_names_it() -> None:
    """[echo, echo, fail]."""
    script = scripts.rolled_back()

    assert script.state.status == "rolled_back"
    assert script.statuses == ["compensated", "compensated", "failed"]
    assert script.state.error == Error("step_failed", "it broke", "s2")


def test_a_failed_repeat_does_not_settle_the_attempt_before() -> None:
    """An idempotent call times out after its effect, and its repeat is refused: nobody may call that `nothing changed`."""
    script = Script(None, drivers=[put(touch("c"), REPEATS)]).go("lost answer").found()
    script.to_wake()
    script.go("failed")

    assert script.statuses == ["unknown"]
    assert script.state.hold is not None
    assert script.state.hold.reason == "attention"


def test_a_repeat_that_cleaned_up_does_not_settle_the_attempt_before() -> None:
    """It has taken back what it did itself, and nobody knows what the one before did."""
    script = Script(None, drivers=[put(touch("c"), REPEATS)]).go("lost answer").found()
    script.to_wake()
    script.go("compensated")

    assert script.statuses == ["unknown"]


def test_a_failed_repeat_is_looked_into_where_the_driver_can_look() -> None:
    """The operator had it repeated, the repeat failed, and now `find` can tell."""
    script = Script(None)
    script.go("lost answer")
    settle = script.wanted(Settle)[0]
    script.say(m.Found(step=0, direction="forward", generation=1, attempt=settle.attempt, kind="unclear"))
    script.operator("again", 0, flag=True)
    script.go("failed")
    script.found()

    assert script.statuses == ["completed"]


def test_a_cancel_does_not_drop_a_repeat_that_settles_an_unknown_outcome() -> None:
    """What may have been done is settled before the saga turns back."""
    script = Script(None, drivers=[put(touch("c"), REPEATS)]).go("lost answer").found()
    script.operator("cancel", 0, flag=False)
    script.to_wake()
    script.go("succeeded", "succeeded")

    assert script.statuses == ["compensated"]
    assert script.world == script.before


def test_now_interrupts_what_runs_and_not_what_is_repeated_later() -> None:
    """`cancel --now`, then the operator says `resolve --as retry`: that attempt may run."""
    script = Script(None, drivers=[put(touch("c"), NEITHER)]).begin()
    script.operator("cancel", 0, flag=True)
    assert interrupted(script.plan, script.state, 0)
    assert interrupted(script.plan, script.state)
    script.go("nothing and lost").found()
    script.operator("again", 0, flag=True)

    assert script.flights
    assert not interrupted(script.plan, script.state)


def test_now_settles_what_goes_on_elsewhere() -> None:
    """A handle is no reason to wait: the outcome is unknown, and found out."""
    script = Script(None).go("working")
    script.operator("cancel", 0, flag=True)

    assert script.wanted(Settle)


def test_a_poll_lost_in_a_crash_is_asked_again() -> None:
    """The handle is committed, so nothing is unknown."""
    script = Script(None).go("working")
    script.say(m.Answered(step=0, direction="forward", generation=1, attempt=1, kind="lost"))

    assert script.wanted(Poll)


def test_what_changes_nothing_is_simply_done_again_after_a_crash() -> None:
    """No attempt is spent, and nothing is unknown."""
    script = Script(None, drivers=[put(None)]).begin()
    script.flights.clear()
    script.say(m.Answered(step=0, direction="forward", generation=1, attempt=1, kind="lost"))

    assert (script.statuses, script.call().attempt) == (["running"], 2)


def test_the_saga_names_the_step_that_failed_first() -> None:
    """Another one, earlier in the file, was merely stopped while it waited for its next attempt."""
    script = Script(step(needs=()), step(needs=()), graph=True).begin().begin()
    first, second = sorted(script.flights, key=lambda want: want.step)
    script.end(first, "transient")
    script.end(second, "failed")

    assert script.state.error is not None
    assert script.state.error.step == "s1"
    assert script.statuses == ["failed", "failed"]


def test_the_undo_of_what_a_failed_undo_needs_is_not_tried() -> None:
    """`blocked`, naming the step; what is only earlier in order is undone all the same."""
    script = Script(None, None, step(needs=(0,)), None).go("succeeded", "succeeded", "succeeded", "failed")
    script.go("failed", "succeeded")

    assert script.statuses == ["compensation_failed", "compensated", "compensation_failed", "failed"]
    assert script.state.steps[0].error is not None
    assert script.state.steps[0].error.code == "blocked"
    assert [(each.step, each.resource) for each in left_behind(script.plan, script.state)] == [
        ("s0", "/c"),
        ("s2", "service x"),
    ]
    assert script.state.status == "failed"


def test_what_changes_nothing_or_is_never_undone_is_not_blocked() -> None:
    """There is no undo that could be withheld."""
    drivers = (put(None), Driver(touch("c"), "none"), put(touch("d")), put(touch("e")))
    script = Script(None, None, step(needs=(0, 1)), None, drivers=drivers)
    script.go("succeeded", "succeeded", "succeeded", "failed", "failed")

    assert script.statuses == ["compensated", "kept", "compensation_failed", "failed"]


def test_late_repair_tells_what_was_never_taken_back() -> None:
    """Abandoned on the way back, then its one failed undo repaired: the other step is still done, so it is not rolled back."""
    script = scripts.back()
    script.operator("abandon", 0, flag=True)
    script.go("nothing and lost")
    script.operator("retry", 1, flag=True)
    script.go("succeeded")

    assert script.state.status == "failed"
    assert script.statuses == ["completed", "compensated", "failed"]
    assert [each.step for each in left_behind(script.plan, script.state)] == ["s0"]


def test_a_forced_retry_of_a_failed_undo_overwrites_what_others_did() -> None:
    """`retry STEP --force` works in a failed saga too."""
    script = scripts.failed()
    script.other_hand("/a/b")
    script.say(m.Retry(by="ada", step=1, force=True))
    script.begin()

    assert script.call().force
    assert script.call().generation == 2


def test_force_outlives_a_failure_to_prepare() -> None:
    """The operator said it once."""
    script = scripts.undo_failed()
    script.say(m.Retry(by="ada", step=1, force=True))
    want = script.wanted(Prepare)[0]
    head = {"step": 1, "direction": "undo", "generation": want.generation}
    script.say(m.NotPrepared(**head, error=Error("busy", "not now"), transient=True))
    script.to_wake()
    script.begin()

    assert script.call().force


def test_a_deadline_passes_whatever_holds_the_saga() -> None:
    """Stuck, paused or held for an unknown outcome: it turns back (the last once it is resolved)."""
    stuck = Script(None, None, deadline=1_000).go("succeeded")
    stuck.say(_stuck(stuck))
    paused = Script(None, None, deadline=1_000).go("succeeded")
    paused.operator("pause", 0, flag=True)
    for script in (stuck, paused):
        script.pass_time(1_000)
        assert script.state.status == "compensating"
        assert script.state.error is not None
        assert script.state.error.code == "deadline"

    assert stuck.wanted(Prepare)
    assert not paused.wanted(Prepare)


def _stuck(script: Script) -> m.NotPrepared:
    want = script.wanted(Prepare)[0]
    return m.NotPrepared(
        step=want.step,
        direction=want.direction,
        generation=want.generation,
        error=Error("gone", "its driver is gone"),
        stuck=True,
    )


def test_no_step_starts_after_the_deadline_though_nobody_has_looked_at_the_clock() -> None:
    """The intent comes in too late."""
    script = Script(None, deadline=1_000)
    want = script.wanted(Prepare)[0]
    script.now += 1_000
    script.prepare(want, well=True)

    assert script.state.status == "rolled_back"


def test_cancel_of_a_stuck_way_back_changes_nothing() -> None:
    """It turns back already; `skip` leaves the step whose driver is gone, and the rest goes on."""
    script = Script(None, None, None).go("succeeded", "succeeded", "failed")
    script.say(_stuck(script))
    assert script.operator("cancel", 0, flag=True).did == "nothing"
    assert script.operator("skip", 1, flag=True).did == "accepted"
    script.go("succeeded")

    assert script.statuses == ["compensated", "kept", "failed"]


def test_a_stuck_saga_still_turns_back_when_another_step_fails() -> None:
    """Only what needs the missing driver waits for somebody."""
    script = Script(step(needs=()), step(needs=()), graph=True).begin()
    script.say(_stuck(script))
    script.go("failed")

    assert script.state.status == "rolled_back"


def test_a_retry_of_a_partly_done_step_is_refused() -> None:
    """Its new start would know nothing of the part that exists."""
    held = Script(None, on_failure="hold").go("partial")
    past = Script(IRREVERSIBLE).go("partial")

    for script in (held, past):
        reply = script.operator("retry", 0, flag=False)
        assert reply.did == "refused"
        assert "partly done" in reply.detail


def test_a_skip_past_an_irreversible_step_waits_for_failed_undos() -> None:
    """First the undo that failed, then the step that failed."""
    script = Script(IRREVERSIBLE, None, None).go("succeeded", "succeeded", "failed", "failed")

    assert script.operator("skip", 2, flag=True).did == "refused"
    assert script.operator("retry", 0, flag=False).did == "refused"
    assert script.operator("skip", 0, flag=True).did == "refused"
    assert script.operator("skip", 1, flag=True).did == "accepted"
    assert script.operator("skip", 2, flag=True).did == "accepted"
    assert script.state.status == "completed"


def test_a_failed_undo_past_an_irreversible_step_can_be_tried_again() -> None:
    """With its name; without, all that was undone would start anew."""
    script = Script(IRREVERSIBLE, None, None).go("succeeded", "succeeded", "failed", "failed")
    script.operator("retry", 1, flag=True)
    script.go("succeeded")

    assert script.statuses == ["completed", "compensated", "failed"]


def test_what_begins_anew_and_is_cancelled_before_it_does_stays_what_it_was() -> None:
    """It has been tried: to say that it was skipped would not be true. What never started was skipped."""
    script = scripts.anew_then_cancelled()

    assert script.statuses == ["kept", "compensated", "failed", "skipped"]
    assert script.state.steps[2].error == Error("interrupted", "given up before it was tried again")


def test_a_step_whose_intent_could_not_be_written_so_far_can_be_skipped() -> None:
    """Nothing of it has begun; in a deadlock it is what sagad itself says to skip."""
    script = scripts.unprepared_then_skipped()

    assert script.statuses == ["completed", "skipped"]
    assert script.state.status == "completed"
    assert script.wanted(Prepare) == []


def test_what_follows_a_step_that_was_kept_waits_for_what_starts_anew_before_it() -> None:
    """They may do something to the same: the order is that of the file, the second time too."""
    script = scripts.kept_in_between()
    assert script.statuses == ["completed", "pending", "completed", "pending", "skipped"]

    begun = [[want.step for want in script.wanted(Prepare)]]
    script.go("succeeded")
    begun.append([want.step for want in script.wanted(Prepare)])

    assert begun == [[1], [3]]
    assert script.go("succeeded").state.status == "completed"


def test_a_hook_that_is_still_owed_waits_for_what_starts_anew_before_it() -> None:
    """Of a step that was kept before its hook had begun: what the hook tells of is there again first."""
    script = scripts.kept_then_hooked_late()

    begun = [[(want.step, want.direction) for want in script.wanted(Prepare)]]
    script.go("succeeded")
    begun.append([(want.step, want.direction) for want in script.wanted(Prepare)])

    assert begun == [[(1, "forward")], [(2, "hook")]]


def test_a_skip_past_the_irreversible_is_refused_while_an_output_is_missing() -> None:
    """As in every other state."""
    script = Script(IRREVERSIBLE, None, step(needs=(1,), refers=((1, "id"),))).go("succeeded", "failed")

    assert script.operator("skip", 1, flag=False).did == "refused"


def test_what_was_skipped_or_kept_already_is_said_so() -> None:
    """Twice is no error."""
    forward = scripts.forward()
    forward.operator("skip", 2, flag=True)
    back = scripts.back()
    back.operator("skip", 0, flag=True)

    assert forward.operator("skip", 2, flag=True).did == "nothing"
    assert back.operator("skip", 0, flag=True).did == "nothing"


def test_a_failed_saga_with_two_failed_undos_is_rolled_back_when_both_are_closed() -> None:
    """Not at the first."""
    script = Script(None, step(needs=(0,)), None).go("succeeded", "succeeded", "failed", "failed")
    script.operator("skip", 1, flag=True)
    first = script.state.status
    script.operator("done", 0, flag=True)

    assert (first, script.state.status) == ("failed", "rolled_back")


def test_two_steps_of_a_graph_that_touch_the_same_go_one_after_the_other() -> None:
    """The one whose intent comes second waits for the first; so do their undos, the later one first."""
    drivers = (put(touch("a")), put(touch("a/b")), put(touch("z")))
    script = Script(step(), step(), step(needs=(0, 1)), graph=True, drivers=drivers).begin().begin()
    assert script.state.steps[1].behind == 0
    script.go("succeeded", "succeeded", "failed")
    script.begin()

    assert script.call().step == 1
    assert not script.wanted(Prepare)


def test_steps_that_cannot_be_prepared_do_not_queue_behind_each_other() -> None:
    """Both once waited for a third; each now tries again, and none is at work."""
    drivers = (put(touch("a")), put(touch("a/b")), put(touch("a/b/c")))
    script = Script(step(), step(), step(), graph=True, drivers=drivers)
    script.begin().begin()
    script.prepare(script.wanted(Prepare)[0], well=True)
    script.go("succeeded")
    for want in script.wanted(Prepare):
        script.say(
            m.NotPrepared(
                step=want.step,
                direction="forward",
                generation=want.generation,
                error=Error("busy", "not now"),
                transient=True,
            )
        )
    script.to_wake()
    script.calm()

    assert script.state.status == "completed"


def test_a_verb_about_a_step_that_is_not_there_is_refused() -> None:
    """The service looks names up, so this is somebody else's mistake."""
    assert scripts.forward().operator("skip", 7, flag=True).did == "refused"


def test_an_unknown_outcome_of_what_changes_nothing_is_a_failure() -> None:
    """For good, once its attempts are spent."""
    script = Script(step(retry=Retry(attempts=1)), drivers=[put(None)]).go("nothing and lost")

    assert script.statuses == ["failed"]


def test_a_retry_of_an_undo_that_is_not_held_is_refused() -> None:
    """Another step's is."""
    assert scripts.undo_failed().operator("retry", 0, flag=True).did == "refused"


def test_undo_when_started_takes_back_a_step_that_failed() -> None:
    """It may have begun something that its driver does not know of."""
    script = Script(step(undo_when="started", undo=Undo("given"))).go("failed", "already")

    assert script.statuses == ["compensated"]


@pytest.mark.parametrize("spent", [1, 2, 64, 10_000])
def test_no_retry_waits_longer_than_its_longest(spent: int) -> None:
    """However large the factor and the count."""
    assert Retry(delay=1_000, factor=1e9, max_delay=30_000).wait(spent) <= 30_000


def test_the_checkpoint_reads_back_as_it_was() -> None:
    """A state is what its bytes say."""
    state = scripts.undo_conflict().state

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State) == state


def test_pause_shows_that_it_drains() -> None:
    """While the last running step has not ended; then it is held."""
    script = scripts.forward()
    script.operator("pause", 0, flag=True)
    waiting = waits(script.plan, script.state)
    script.go("succeeded")

    assert waiting is not None
    assert waiting.for_ == "drain"
    assert script.state.hold is not None
    assert script.state.hold.reason == "paused"


def test_dues_names_every_time_that_matters() -> None:
    """A poll and the deadline."""
    script = Script(None, deadline=60_000).go("working")

    assert sorted(dues(script.state)) == [script.now + 3_000, script.now + 60_000]
    assert wake(script.plan, script.state, script.now) == script.now + 3_000
    assert list(dues(scripts.forward().state)) == []


def test_a_retry_of_another_step_does_not_pass_a_failed_undo() -> None:
    """Forward again with an undo that failed, the saga would never complete and never say why."""
    script = Script(IRREVERSIBLE, None, None, None).go("succeeded", "succeeded", "succeeded", "failed")
    script.go("failed", "succeeded")

    assert script.operator("retry", 1, flag=True).did == "refused"


def test_what_is_surely_not_done_fails_once_its_attempts_are_spent() -> None:
    """Lost twice and found not done twice: an unknown outcome is repeated at least once, and not for ever."""
    script = Script(step(retry=Retry(attempts=1))).go("nothing and lost").found()
    script.to_wake()
    script.go("nothing and lost").found()

    assert script.statuses == ["failed"]
    assert script.state.status == "rolled_back"


def test_an_undo_that_is_told_to_overwrites_what_others_have_changed() -> None:
    """``on_conflict: force``: the conflict is on the record, and the next attempt goes over it."""
    script = Script(None, None, on_conflict="force").go("succeeded", "failed").begin()
    script.other_hand(script._name(0) or "")
    script.go("conflict")
    forced = script.call().force
    script.go("succeeded")

    assert forced
    assert script.statuses == ["compensated", "failed"]


def blocked(**fields: Any) -> Script:
    """The one step of a saga waits for another saga's lock."""
    script = Script(step(**fields))
    want = script.wanted(Prepare)[0]
    script.say(
        m.Blocked(
            step=0, direction="forward", generation=want.generation, resource=touch("c"), behind="another"
        )
    )
    return script


def test_a_step_that_waits_for_a_lock_takes_it_when_it_is_free() -> None:
    """It is held meanwhile, wants nothing, and is nobody's question."""
    script = blocked()
    assert script.state.hold is not None
    assert (script.state.hold.reason, script.wanted(Prepare)) == ("lock", [])
    assert wake(script.plan, script.state, script.now) is None
    script.say(m.Granted(step=0))
    script.say(m.Granted(step=0))
    assert script.state.locks == (touch("c"),)

    assert script.go("succeeded").state.status == "completed"


def test_a_lock_that_is_not_free_in_time_fails_the_step() -> None:
    """``lock_timeout``."""
    script = blocked(lock_timeout=5_000)
    script.to_wake()

    assert (script.state.status, script.statuses) == ("rolled_back", ["failed"])
    assert script.state.steps[0].error == Error("lock_timeout", "/c was not free within 5 s")


def test_the_victim_of_a_deadlock_turns_back() -> None:
    """Once; and only one that still can."""
    script = blocked()
    script.say(m.Deadlocked(sagas=("one", "other"), turns=True))

    assert script.state.status == "rolled_back"
    assert script.state.error is not None
    assert script.state.error.code == "deadlock"


def test_a_deadlock_that_nobody_can_break_asks_somebody_until_the_lock_is_free() -> None:
    """The sentence names the sagas."""
    script = blocked()
    for _ in range(2):
        script.say(m.Deadlocked(sagas=("one", "other"), turns=False))
    assert script.state.hold is not None
    assert script.state.hold.reason == "attention"
    assert "one, other" in script.state.hold.detail
    script.say(m.Granted(step=0))

    assert script.state.hold is None


def test_an_interrupted_poll_of_what_changes_nothing_ends() -> None:
    """A saga that stops waits for no timer; an interrupt of what goes on elsewhere is found out."""
    script = Script(None, drivers=[put(None)]).go("working")
    script.operator("cancel", 0, flag=True)

    assert script.statuses == ["failed"]


def test_a_late_skip_of_a_step_that_has_no_failed_undo_is_refused() -> None:
    """The saga has failed, and this step of it is not why."""
    reply = scripts.failed().operator("skip", 2, flag=True)

    assert (reply.did, "has no failed undo" in reply.detail) == ("refused", True)


def test_a_saga_of_a_batch_starts_when_its_batch_lets_it_and_keeps_its_locks() -> None:
    """Completed, it keeps them until it is told to let go; its deadline counts from its start."""
    script = Script(None, queued=True, keeps_locks=True, deadline=1_000)
    assert script.wanted(Prepare) == []
    assert (waiting := waits(script.plan, script.state)) is not None
    assert waiting.for_ == "queue"
    script.pass_time(5_000)
    for _ in range(2):
        script.admit()
    script.go("succeeded")
    assert (script.state.status, len(script.state.locks)) == ("completed", 1)
    for _ in range(2):
        script.say(m.BatchEnded())

    assert script.state.locks == ()


def test_what_its_batch_never_let_start_is_cancelled_when_the_batch_is_over() -> None:
    """Nothing of it has started, so it is rolled back at once."""
    script = Script(None, queued=True)
    script.say(m.BatchEnded())

    assert (script.state.status, script.statuses) == ("rolled_back", ["skipped"])


def test_in_a_batch_of_best_effort_a_failure_stops_nothing() -> None:
    """The last one's end is the batch's."""
    script = Script(None, None, None, graph=True, on_failure="stop", batch=Batch("best_effort", parallel=2))
    script.begin().begin()
    assert script.wanted(Prepare) == []
    script.end(min(script.flights, key=repr), "failed")
    assert len(script.wanted(Prepare)) == 1
    script.go("succeeded", "succeeded")

    assert (script.state.status, script.statuses) == ("failed", ["failed", "completed", "completed"])


def test_a_batch_is_taken_back_one_after_the_other() -> None:
    """The newest first."""
    script = Script(None, None, None, graph=True, batch=Batch()).begin().begin().begin()
    for how in ("succeeded", "succeeded", "failed"):
        script.end(min(script.flights, key=lambda want: want.step), how)

    assert [want.step for want in script.wanted(Prepare)] == [1]


def test_a_batch_that_stopped_is_not_retried() -> None:
    """The saga of it that failed has ended; its step can be skipped, or the batch goes back."""
    script = Script(None, None, graph=True, on_failure="hold", batch=Batch()).go("failed")
    assert script.state.hold is not None
    assert "`retry`" not in script.state.hold.detail
    reply = script.operator("retry", 0, flag=True)
    script.operator("skip", 0, flag=True)

    assert (reply.did, "`skip` its step" in reply.detail) == ("refused", True)
    assert script.go("succeeded").state.status == "completed"


# --- a service that is not to be asked ------------------------------------------------------------------------------


def _waiting(script: Script) -> tuple[str, int | None, str]:
    waiting = waits(script.plan, script.state)
    assert waiting is not None
    return waiting.for_, waiting.until, waiting.detail


def test_what_would_ask_a_service_that_is_not_to_be_asked_waits_and_spends_nothing() -> None:
    """However often: the attempt that begins in the end is the first, and then all of its retries are left."""
    script = Script(step(retry=Retry(attempts=2))).begin()
    for _ in range(5):
        script.end(script.call(), "postponed")
        until = script.now + 4_000
        assert _waiting(script) == ("provider", until, f"step s0 waits: {SILENT.message}")
        assert wake(script.plan, script.state, script.now) == until
        script.to_wake()
    assert script.call().attempt == 1
    script.go("transient")
    script.to_wake()

    assert script.call().attempt == 2


def test_it_is_not_even_prepared() -> None:
    """It is prepared when the service may be asked, and its sentence says what it waits for till then."""
    script = Script(None)
    want = script.wanted(Prepare)[0]
    head = {"step": want.step, "direction": want.direction, "generation": want.generation}
    due = script.now + 4_000
    script.say(m.NotPrepared(**head, error=SILENT, postponed=due))

    assert not script.wanted(Prepare)
    assert _waiting(script)[:2] == ("provider", due)
    sentence = why(script.plan, script.state, script.now, "ID")
    assert (
        f"step s0 waits for its provider ({SILENT.message}): it is tried again at {rfc3339(due)}" in sentence
    )
    script.to_wake()
    assert script.go("succeeded").statuses == ["completed"]


def test_a_saga_that_waits_for_a_service_can_be_cancelled_at_once() -> None:
    """Nothing was begun, so there is nothing to await."""
    script = Script(None, None).go("succeeded").begin()
    script.end(script.call(), "postponed")
    script.operator("cancel", 0, flag=False)

    assert script.state.status == "compensating"
    assert script.statuses == ["completed", "failed"]
    assert script.go("succeeded").state.status == "rolled_back"


def test_a_paused_saga_does_not_begin_when_the_service_may_be_asked() -> None:
    """Nor is it shown as waiting for it: it is held."""
    script = Script(None).begin()
    script.end(script.call(), "postponed")
    script.operator("pause", 0, flag=False)
    script.pass_time(4_000)
    assert not script.flights
    script.operator("resume", 0, flag=False)

    assert script.call().attempt == 1


def test_an_undo_waits_for_its_service_too() -> None:
    """And none of its patience is spent."""
    script = Script(None, None).go("succeeded", "failed").begin()
    script.end(script.call(), "postponed")
    assert _waiting(script)[:2] == ("provider", script.now + 4_000)
    script.to_wake()

    assert script.go("succeeded").state.status == "rolled_back"


def test_what_goes_on_elsewhere_is_asked_about_when_the_service_may_be_asked() -> None:
    """Its handle stays, and its wait is the service's."""
    script = Script(None).go("working")
    script.asked("postponed")
    assert _waiting(script) == ("provider", script.now + 4_000, f"step s0 waits: {SILENT.message}")

    assert script.asked("succeeded").statuses == ["completed"]


def test_an_unknown_outcome_is_found_out_when_the_service_may_be_asked() -> None:
    """Till then the saga leaves memory; what it is told of is kept, and nothing is repeated."""
    script = Script(None).go("lost answer")
    want = script.wanted(Settle)[0]
    due = script.now + 60_000
    script.say(
        m.Found(
            step=0,
            direction="forward",
            generation=1,
            attempt=want.attempt,
            kind="postponed",
            due=due,
            error=SILENT,
        )
    )

    assert not script.wanted(Settle)
    assert wake(script.plan, script.state, script.now) == due
    assert due in dues(script.state)
    assert _waiting(script)[:2] == ("provider", due)
    assert "whether it was done is asked again at" in why(script.plan, script.state, script.now, "ID")
    script.to_wake()
    assert script.found().statuses == ["completed"]


def test_a_repeat_that_waits_for_its_service_is_still_in_doubt() -> None:
    """What an earlier attempt has done is not settled by not asking."""
    script = Script(None, drivers=[put(touch("c"), REPEATS)]).go("lost answer").found()
    script.to_wake()
    script.go("postponed")
    script.to_wake()
    script.go("failed")

    assert script.statuses == ["unknown"]
