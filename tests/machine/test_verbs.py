"""SPEC 3's table of verbs and states, cell by cell."""

from collections.abc import Callable
from typing import Any

import pytest

from actors.saga import messages as m
from actors.saga.plan import Approvals
from actors.saga.state import Error
from actors.saga.verbs import TABLE, Column, column
from actors.saga.wants import Prepare, wants
from actors.saga.why import why
from tests.machine import scripts
from tests.machine.scripts import IRREVERSIBLE, Script

STATES = {
    "forward": scripts.forward,
    "unknown": scripts.unknown,
    "stopped": scripts.stopped,
    "past": scripts.past,
    "back": scripts.back,
    "undo_held": scripts.undo_failed,
    "completed": scripts.completed,
    "failed": scripts.failed,
    "rolled_back": scripts.rolled_back,
}
COLUMNS: tuple[Column, ...] = Column.__args__  # type: ignore[attr-defined]
YES, SAID, NO = "accepted", "nothing", "refused"

# fmt: off
EXPECTED = {
    #            forward unknown stopped past  back  undo_held completed failed rolled_back
    "cancel":   (YES,    YES,    YES,    NO,   SAID, SAID,     NO,       NO,    SAID),
    "pause":    (YES,    YES,    YES,    YES,  YES,  YES,      NO,       NO,    NO),
    "resume":   (YES,    YES,    YES,    YES,  YES,  YES,      NO,       NO,    NO),
    "retry":    (NO,     NO,     YES,    YES,  NO,   YES,      NO,       YES,   NO),
    "skip":     (YES,    NO,     YES,    YES,  YES,  YES,      NO,       YES,   NO),
    "done":     (NO,     YES,    NO,     NO,   NO,   YES,      NO,       YES,   NO),
    "failed":   (NO,     YES,    NO,     NO,   NO,   YES,      NO,       NO,    NO),
    "again":    (NO,     YES,    NO,     NO,   NO,   YES,      NO,       NO,    NO),
    "rollback": (NO,     NO,     YES,    YES,  SAID, SAID,     NO,       NO,    SAID),
    "abandon":  (YES,    YES,    YES,    YES,  YES,  YES,      NO,       SAID,  NO),
    "approve":  (NO,     NO,     NO,     NO,   NO,   NO,       NO,       NO,    NO),
    "reject":   (NO,     NO,     NO,     NO,   NO,   NO,       NO,       NO,    NO),
}
# fmt: on
SKIPS = {"forward": 2, "stopped": 1, "past": 2, "back": 0, "undo_held": 1, "failed": 1}
"""The step that `skip` fits, by column; the others mean step 1."""
CELLS = [(verb, at, did) for verb, row in EXPECTED.items() for at, did in zip(COLUMNS, row, strict=True)]


@pytest.mark.parametrize(("verb", "at", "did"), CELLS)
def test_cell(verb: str, at: Column, did: str) -> None:
    """Each verb in each state does what the table says, and the saga can be brought to an end from there."""
    script = STATES[at]()
    assert column(script.plan, script.state) == at
    if verb == "resume" and did == YES:
        script.operator("pause", 0, flag=False)
    before = script.state

    reply = script.operator(verb, SKIPS.get(at, 1) if verb == "skip" else 1, flag=True)

    assert reply.did == did
    if did != YES:
        assert script.state == before
    script.calm()


def test_the_table_has_every_verb_and_column() -> None:
    """No cell of the machine's table is without a test."""
    rows = {"resolve" if verb in ("done", "failed", "again") else verb for verb in EXPECTED}
    assert set(TABLE) == rows
    assert all(tuple(row) == COLUMNS for row in TABLE.values())
    assert set(STATES) == set(COLUMNS)


def test_a_refusal_names_what_is_possible_instead() -> None:
    """409 helps: the verbs that would do something now."""
    reply = scripts.unknown().operator("retry", 1, flag=True)

    assert reply.detail == (
        "cannot retry: the outcome of a step is unknown; possible: cancel, pause, resume, resolve, abandon"
    )


def test_what_is_said_of_another_step_than_the_one_in_question_is_refused() -> None:
    """The step before it is done, and nobody wonders; the undo before it went well."""
    retried = scripts.stopped().operator("retry", 0, flag=True)
    resolved = scripts.unknown().operator("done", 0, flag=True)
    skipped = scripts.failed().operator("skip", 0, flag=True)

    assert (retried.did, retried.detail) == (NO, "step s0 has not failed")
    assert (resolved.did, resolved.detail) == (NO, "the outcome of step s0 is not unknown")
    assert (skipped.did, skipped.detail) == (NO, "step s0 has no failed undo")


def given_up() -> Script:
    """Abandoned on the way forward."""
    script = scripts.forward()
    script.operator("abandon", 0, flag=True)
    return script


@pytest.mark.parametrize(
    ("state", "verb", "detail"),
    [
        (scripts.completed, "cancel", "cannot cancel: it is completed; possible: rollback"),
        (scripts.rolled_back, "resume", "cannot resume: it is rolled back; nothing is left to be done"),
        (scripts.failed, "cancel", "cannot cancel: it has failed; possible: retry, skip, resolve, rollback"),
        (
            given_up,
            "retry",
            "cannot retry: it is being abandoned, and ends once what runs has ended",
        ),
        (lambda: given_up().go("succeeded"), "retry", "cannot retry: it has failed; possible: rollback"),
    ],
)
def test_where_nothing_is_possible_that_is_said(state: Callable[[], Script], verb: str, detail: str) -> None:
    """Of an ended saga a refusal names what is possible still: to take it back, and where an undo failed more."""
    reply = state().operator(verb, 0, flag=False)

    assert (reply.did, reply.detail) == ("refused", detail)


@pytest.mark.parametrize("state", [scripts.completed, scripts.failed])
def test_a_saga_that_ended_meanwhile_is_rolled_back_by_another_one(state: Callable[[], Script]) -> None:
    """The service starts that; the machine only hears of it when the saga ended while the word was on its way."""
    reply = state().operator("rollback", 0, flag=False)

    assert reply.did == "refused"
    assert reply.detail.endswith(" by now: say `rollback` again, for a saga that takes it back")


def test_a_late_retry_is_for_a_step_whose_undo_failed() -> None:
    """Step s1's failed, step s0's did not."""
    reply = scripts.failed().operator("retry", 0, flag=True)

    assert (reply.did, reply.detail) == ("refused", "step s0 has no failed undo to try again")


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "abandon"])
def test_saying_it_twice_is_said_already(verb: str) -> None:
    """Repeating what is done already does nothing and says so."""
    script = scripts.forward()
    if verb == "resume":
        script.operator("pause", 0, flag=False)
    script.operator(verb, 0, flag=True)

    assert script.operator(verb, 0, flag=True).did == "nothing"


def test_cancel_waits_for_the_running_step_whose_result_counts() -> None:
    """A cancel between steps compensates what was done, the step that was running included."""
    script = scripts.forward()
    script.operator("cancel", 0, flag=False)
    script.go("succeeded", "succeeded")

    assert script.state.status == "rolled_back"
    assert script.statuses == ["compensated", "skipped", "skipped"]
    assert script.state.error is not None
    assert script.state.error.code == "cancelled"


def test_cancel_of_what_never_started_goes_straight_to_rolled_back() -> None:
    """Nothing had started, so there is no way back to go."""
    script = scripts.pending()
    script.operator("cancel", 0, flag=False)

    assert script.state.status == "rolled_back"
    assert script.statuses == ["skipped"] * 3


def test_retry_of_an_irreversible_saga_starts_the_undone_steps_anew_with_the_next_generation() -> None:
    """Forward again after an undo: new keys for what was taken back, and for the failed step."""
    script = scripts.past()
    script.operator("retry", 0, flag=False)
    generations = []
    while script.state.status != "completed":
        script.begin()
        generations.append(script.call().generation)
        script.go("succeeded")

    assert generations == [2, 2]


def test_rollback_past_the_irreversible_needs_its_flag() -> None:
    """Without the flag it is refused, naming the flag."""
    reply = scripts.past().operator("rollback", 0, flag=False)

    assert reply.did == "refused"
    assert "rollback --past-irreversible" in reply.detail


def test_rollback_past_the_irreversible_keeps_just_that_step() -> None:
    """All else is taken back."""
    script = Script(None, IRREVERSIBLE, None).go("succeeded", "succeeded", "failed")
    script.operator("rollback", 0, flag=True)
    script.go("succeeded")

    assert script.state.status == "rolled_back"
    assert script.statuses == ["compensated", "kept", "failed"]


def test_skip_is_refused_while_a_later_step_refers_to_an_output() -> None:
    """It names the step, the reference and the option."""
    script = Script(None, scripts.step(needs=(0,), refers=((0, "id"),)))
    refused = script.operator("skip", 0, flag=False)
    accepted = script.operator("skip", 0, flag=True)

    assert refused.detail == "step s1 refers to ${steps.s0.id}: give it with --output id=VALUE"
    assert accepted.did == "accepted"


def test_a_step_behind_a_skipped_one_waits_for_what_comes_before_that() -> None:
    """Skipping the middle of three does not let the third pass the first."""
    script = scripts.forward()
    script.operator("skip", 1, flag=True)

    assert script.statuses == ["running", "skipped", "pending"]
    assert not script.wanted(Prepare)


def test_closing_the_last_failed_undo_of_a_failed_saga_rolls_it_back() -> None:
    """By hand (`resolve --as done`) as well as by trying again."""
    by_hand, again = scripts.failed(), scripts.failed()
    by_hand.operator("done", 1, flag=True)
    again.operator("retry", 1, flag=True)
    again.go("succeeded")

    assert by_hand.state.status == again.state.status == "rolled_back"
    assert again.statuses == ["compensated", "compensated", "failed"]


def test_abandon_needs_a_reason() -> None:
    """Giving up is on the record with its reason."""
    assert scripts.forward().operator("abandon", 0, flag=False).did == "refused"


def test_what_was_given_up_between_two_attempts_has_failed() -> None:
    """Nothing of it is there, for certain."""
    script = Script(None).go("transient")
    script.operator("abandon", 0, flag=True)

    assert (script.state.status, script.statuses) == ("failed", ["failed"])


def test_abandon_of_a_quarantined_saga_ends_at_once() -> None:
    """It has no actor, so nobody would ever tell that the call is over."""
    script = scripts.forward()
    script.say(m.Quarantine(why="it crashed"))
    script.operator("abandon", 0, flag=True)

    assert script.state.status == "failed"
    assert script.statuses[0] == "unknown"


def test_what_came_back_with_a_backup_needs_somebody_and_does_nothing() -> None:
    """Not even what was under way is settled: the world may be further than the record."""
    script = scripts.restored()

    assert script.state.hold is not None
    assert script.state.hold.reason == "attention"
    assert "`resume`, `cancel` or `abandon`" in script.state.hold.detail
    assert wants(script.plan, script.state, script.now) == []
    assert script.operator("retry", 0, flag=False).did == "refused"


def test_what_came_back_with_a_backup_goes_on_when_it_is_resumed() -> None:
    """What was under way is then found out, as after a crash."""
    script = scripts.restored()
    reply = script.operator("resume", 0, flag=False)

    assert (reply.did, script.state.hold, script.state.restored) == ("accepted", None, False)
    assert wants(script.plan, script.state, script.now) != []


def test_what_came_back_with_a_backup_can_be_turned_back() -> None:
    """That is a word as good as resume. Said before the backup, it does not count: nobody had looked."""
    script = scripts.restored()
    cancelled = scripts.forward()
    cancelled.operator("cancel", 0, flag=False)
    cancelled.say(m.Restore(why="it came back with a backup"))

    assert (script.operator("cancel", 0, flag=False).did, script.state.quarantine) == ("accepted", None)
    assert script.state.turn is not None
    assert cancelled.operator("cancel", 0, flag=False).did == "refused"


def test_what_has_ended_is_not_held_by_a_restore() -> None:
    """There is nothing of it to look at."""
    script = scripts.forward()
    script.operator("abandon", 0, flag=True)
    script.go("succeeded")
    script.say(m.Restore(why="it came back with a backup"))

    assert script.state.status == "failed"
    assert script.state.hold is None


def asked(irreversible: bool = False, **rules: Any) -> Script:
    """A saga that waits for approval of its first step."""
    asks = "irreversible" if irreversible else "each"
    script = Script(
        scripts.step(asks=asks, irreversible=irreversible), scripts.step(), approvals=Approvals(**rules)
    )
    script.prepare(script.wanted(Prepare)[0], well=True)
    return script


ALL = ("viewer", "operator", "admin")


@pytest.mark.parametrize(
    ("rules", "irreversible", "said", "did", "detail"),
    [
        ({}, False, {"roles": ("operator",)}, YES, "is approved; it goes on"),
        ({"quorum": 2}, False, {"roles": ALL}, YES, "is approved; 1 more needed"),
        ({}, False, {"step": 1}, NO, "step s1 does not wait for approval"),
        ({"approvers": ("ada",)}, False, {}, YES, "it goes on"),
        ({"approvers": ("ada",)}, True, {}, YES, "it goes on"),
        (
            {"approvers": ("admin",)},
            False,
            {"roles": ("operator",)},
            "forbidden",
            "ada is not one of its approvers",
        ),
        ({"approvers": ("operator",)}, True, {"roles": ("operator",)}, "forbidden", "ada is no admin"),
        ({}, True, {"roles": ("operator",)}, "forbidden", "ada is no admin"),
        ({}, True, {"roles": ALL}, YES, "it goes on"),
        ({"four_eyes": True}, False, {"roles": ALL, "own": True}, "forbidden", "somebody else must approve"),
    ],
)
def test_who_may_approve(
    rules: dict[str, Any],
    irreversible: bool,
    said: dict[str, Any],
    did: str,
    detail: str,
) -> None:
    """By name, by role, by number, and what is irreversible by an admin."""
    reply = asked(irreversible, **rules).say(m.Approve(by="ada", **said))

    assert reply is not None
    assert reply.did == did
    assert detail in reply.detail


def test_the_same_user_counts_once() -> None:
    """A quorum is of people."""
    script = asked(quorum=2)
    replies = [script.say(m.Approve(by=by, roles=ALL)) for by in ("ada", "ada", "eve")]

    assert [reply.did for reply in replies if reply] == [YES, SAID, YES]
    assert script.wanted(Prepare)


@pytest.mark.parametrize(
    ("said", "did"),
    [({}, "forbidden"), ({"own": True}, YES), ({"roles": ALL}, YES), ({"step": 1, "own": True}, NO)],
)
def test_who_may_reject(said: dict[str, Any], did: str) -> None:
    """Whoever might approve, and who submitted it."""
    script = asked(approvers=("admin",))
    reply = script.say(m.Reject(by="ada", reason="no", **said))

    assert reply is not None
    assert reply.did == did
    assert (script.state.status == "rolled_back") == (did == YES)


def test_an_approval_is_of_exactly_what_was_asked() -> None:
    """Arguments that resolve to something else by the time that it is approved are asked for again."""
    script = asked()
    script.say(m.Approve(by="ada", roles=ALL))
    want = script.wanted(Prepare)[0]
    script.say(
        m.Prepared(
            step=0, direction="forward", generation=want.generation, execution="x", payload="p", hash="other"
        )
    )

    assert script.state.steps[0].ask is not None
    assert (script.state.steps[0].ask.hash, script.state.steps[0].ask.approved) == ("other", False)
    assert script.state.hold is not None
    assert script.state.hold.reason == "approval"
    script.calm()


def test_an_undo_asks_before_its_intent_is_written() -> None:
    """Nobody but a person can bring it on; approved, it runs."""
    script = scripts.undo_asks()
    held, sentence = script.state.hold, why(script.plan, script.state, script.now, "ID")
    asked_for = script.state.steps[0].undo_ask
    reply = script.operator("approve", 0, flag=True)
    script.go("succeeded")

    assert held is not None
    assert held.reason == "approval"
    assert asked_for is not None
    assert asked_for.due is None
    assert "the undo of step s0 waits for approval of same: `sagactl approve ID s0`" in sentence
    assert (reply.did, reply.detail) == (YES, "same is approved; it goes on")
    assert script.state.status == "rolled_back"
    assert script.statuses == ["compensated", "compensated", "failed"]


def test_a_rejected_undo_leaves_its_step_kept_and_the_way_back_goes_on() -> None:
    """With who and why."""
    script = Script(None, scripts.step(asks_undo=True), None).go("succeeded", "succeeded", "failed").begin()
    reply = script.say(m.Reject(by="ada", roles=ALL, reason="customers use it"))
    script.go("succeeded")

    assert reply is not None
    assert (reply.did, reply.detail) == (YES, "step s1 is kept")
    assert script.statuses == ["compensated", "kept", "failed"]
    assert script.state.steps[1].left == "its undo was rejected by ada: customers use it"
    assert script.state.status == "rolled_back"


def test_a_rejection_of_an_undo_without_a_reason_still_says_by_whom() -> None:
    """A reason is not asked for."""
    script = scripts.undo_asks()
    script.say(m.Reject(by="ada", roles=ALL))

    assert script.state.steps[0].left == "its undo was rejected by ada"


def test_in_a_graph_other_undos_go_on_beside_one_that_asks() -> None:
    """Unless they need it; it stays approvable while an undo is held, and one word can be for all that ask."""
    asks = scripts.step(asks_undo=True)
    drivers = [scripts.put(scripts.touch(name)) for name in "abcd"]
    script = Script(asks, asks, None, None, graph=True, on_undo_failure="hold", drivers=drivers)
    script.begin().begin().begin().begin()
    calls = sorted(script.flights, key=lambda want: want.step)
    for want, how in zip(calls, ("succeeded", "succeeded", "succeeded", "failed"), strict=True):
        script.end(want, how)
    while script.wanted(Prepare):
        script.begin()
    sentence = why(script.plan, script.state, script.now, "ID")
    script.end(script.call(), "failed")
    held = column(script.plan, script.state), script.state.hold
    reply = script.say(m.Approve(by="eve", roles=ALL))
    script.calm()

    assert "the undo of step s2 is running" in sentence
    assert "the undo of step s1 waits for approval" in sentence
    assert held[0] == "undo_held"
    assert held[1] is not None
    assert held[1].reason == "attention"
    assert "the undo of step s0 waits for approval" in held[1].detail
    assert reply is not None
    assert reply.detail == "same, same is approved; it goes on"
    assert script.statuses == ["compensated", "compensated", "kept", "failed"]


def test_who_may_approve_an_undo_is_as_the_policy_says() -> None:
    """Approvers, quorum and four eyes; and one user's word counts once."""
    rules = Approvals(approvers=("admin",), quorum=2, four_eyes=True, expires=1_000)
    script = Script(scripts.step(asks_undo=True), None, approvals=rules).go("succeeded", "failed").begin()
    said: list[dict[str, Any]] = [
        {"by": "ada", "roles": ("operator",)},
        {"by": "ada", "roles": ALL, "own": True},
        {"by": "eve", "roles": ALL},
        {"by": "eve", "roles": ALL},
        {"by": "ivy", "roles": ALL, "step": 0},
    ]
    script.pass_time(2_000)
    replies = [script.say(m.Approve(**each)) for each in said]

    assert [reply.did for reply in replies if reply] == ["forbidden", "forbidden", YES, SAID, YES]
    assert script.wanted(Prepare)


def test_an_undo_that_asks_can_be_skipped_also_when_it_could_not_be_prepared_at_first() -> None:
    """By then its step is `compensating`, and nothing of it runs."""
    script = Script(None, scripts.step(asks_undo=True), None).go("succeeded", "succeeded", "failed")
    want = script.wanted(Prepare)[0]
    script.say(
        m.NotPrepared(
            step=1,
            direction="undo",
            generation=want.generation,
            error=Error("busy", "not now"),
            transient=True,
        )
    )
    script.to_wake()
    script.begin()
    status = script.statuses[1]
    reply = script.operator("skip", 1, flag=True)

    assert (status, reply.did, script.statuses[1]) == ("compensating", YES, "kept")


def test_a_pause_and_an_approval_of_an_undo_do_not_wait_for_each_other() -> None:
    """Approved while paused, it runs once resumed."""
    script = scripts.undo_asks()
    script.operator("pause", 0, flag=True)
    held = script.state.hold
    script.operator("approve", 0, flag=True)
    waiting = script.wanted(Prepare)
    script.operator("resume", 0, flag=True)

    assert held is not None
    assert held.reason == "paused"
    assert "waits for approval" in held.detail
    assert not waiting
    assert script.go("succeeded").state.status == "rolled_back"


def test_an_undo_that_would_do_something_else_asks_again() -> None:
    """An approval covers one hash."""
    script = scripts.undo_asks()
    script.operator("approve", 0, flag=True)
    want = script.wanted(Prepare)[0]
    script.say(
        m.Prepared(
            step=0, direction="undo", generation=want.generation, execution="x", payload="p", hash="other"
        )
    )
    undo_ask = script.state.steps[0].undo_ask

    assert undo_ask is not None
    assert (undo_ask.hash, undo_ask.approved) == ("other", False)
    script.calm()


def test_an_undo_that_asks_can_be_abandoned() -> None:
    """The saga ends failed, and nothing is asked any more."""
    script = scripts.undo_asks()
    script.operator("abandon", 0, flag=True)

    assert script.state.status == "failed"
    assert script.statuses[0] == "completed"
    assert script.operator("approve", 0, flag=True).did == NO


def test_a_step_that_was_skipped_asks_no_longer() -> None:
    """Its approval would bring nothing on."""
    script = asked()
    script.operator("skip", 0, flag=True)

    assert script.state.hold is None
    assert script.operator("approve", 0, flag=True).did == NO


def test_an_approval_can_be_given_while_another_step_is_unknown() -> None:
    """The step starts once that is resolved."""
    drivers = (scripts.put(scripts.touch("a"), scripts.NEITHER), scripts.put(scripts.touch("b")))
    script = Script(None, scripts.step(asks="each"), graph=True, drivers=drivers).begin().begin()
    script.end(script.call(), "lost answer")
    script.found()
    at = column(script.plan, script.state)
    reply = script.operator("approve", 1, flag=True)
    script.operator("done", 0, flag=True)

    assert (at, reply.did) == ("unknown", YES)
    assert script.wanted(Prepare)


def test_a_late_skip_is_for_a_step_whose_undo_failed() -> None:
    """Step s1's failed, step s0's did not."""
    reply = scripts.failed().operator("skip", 0, flag=True)

    assert (reply.did, reply.detail) == (NO, "step s0 has no failed undo")


OWN = Approvals(approvers=("eve",), expires=5_000)


def waiting() -> Script:
    """Two steps of a graph wait for approval, the first of them by its own rules."""
    script = Script(
        scripts.step(asks="each", approvals=OWN),
        scripts.step(asks="each"),
        graph=True,
        approvals=Approvals(approvers=("ada", "operator")),
    )
    return script.begin().begin()


def test_a_step_can_say_itself_who_approves_it() -> None:
    """Who may not is told so, by the step's own rules; whoever may answer some of the questions answers those."""
    script = waiting()
    held = script.state.hold
    wrong = script.say(m.Approve(by="ada", roles=ALL, step=0))
    other = script.say(m.Approve(by="ada", roles=("operator",)))
    right = script.say(m.Approve(by="eve", roles=("operator",), step=0))

    assert held is not None
    assert "step s0 waits for approval of same by eve: `approve s0` or `reject s0`; step s1" in held.detail
    assert wrong is not None
    assert (wrong.did, wrong.detail) == ("forbidden", "ada is not one of its approvers: eve")
    assert other is not None
    assert (other.did, other.detail) == (YES, "same is approved; it goes on")
    assert right is not None
    assert right.did == YES
    assert [want.step for want in script.wanted(Prepare)] == [0, 1]


def test_who_may_answer_none_of_the_questions_is_told_about_the_first() -> None:
    """And nothing happens."""
    script = waiting()
    reply = script.say(m.Reject(by="zoe"))

    assert reply is not None
    assert (reply.did, reply.detail) == ("forbidden", "zoe is not one of its approvers: eve")


def test_a_steps_own_approval_expires_by_its_own_time() -> None:
    """The saga turns back, whatever the others' rules are."""
    script = waiting()
    script.pass_time(5_000)

    assert script.state.status == "rolled_back"
    assert script.state.error is not None
    assert script.state.error.code == "expired"


def test_a_message_and_the_last_reason_are_kept_with_the_question() -> None:
    """Of several who approve, a later one without a reason does not take away what was said."""
    script = Script(scripts.step(asks="each"), approvals=Approvals(quorum=2))
    script.say(
        m.Prepared(
            step=0,
            direction="forward",
            generation=1,
            execution="x",
            payload="p",
            hash="abc",
            message="Is the page right?",
        )
    )
    held = script.state.hold
    script.say(m.Approve(by="ada", roles=ALL, reason="looks fine"))
    script.say(m.Approve(by="eve", roles=ALL))
    ask = script.state.steps[0].ask

    assert held is not None
    assert held.detail.startswith('step s0 waits for approval of abc ("Is the page right?"), 0 of 2 given: ')
    assert ask is not None
    assert (ask.given, ask.reason, ask.approved) == (("ada", "eve"), "looks fine", True)
