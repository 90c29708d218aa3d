"""SPEC 3's table of verbs and states, cell by cell."""

from collections.abc import Callable
from typing import Any

import pytest

from actors.saga import messages as m
from actors.saga.plan import Approvals
from actors.saga.verbs import TABLE, Column, column
from actors.saga.wants import Prepare
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


def test_abandon_of_a_quarantined_saga_ends_at_once() -> None:
    """It has no actor, so nobody would ever tell that the call is over."""
    script = scripts.forward()
    script.say(m.Quarantine(why="it crashed"))
    script.operator("abandon", 0, flag=True)

    assert script.state.status == "failed"
    assert script.statuses[0] == "unknown"


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
