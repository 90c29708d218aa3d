"""What a sweep makes of a resource, what an absence proves, what is hidden, when the jobs are due: the pure rules."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from actors.drift import absence, automatic
from actors.drift.compare import Difference
from actors.drift.hiding import comparable, hidden
from actors.drift.judge import Case, Verdict, judge, parted, rule_for, seen_again
from actors.drift.schedule import JITTER, planned
from actors.drift.settling import End, closed
from store.drift import Drift, Found, Rule, Seen
from store.records import Resource

RECORD = Resource(
    type="t.thing",
    identity="7",
    name="web",
    id="7",
    spec=b"{}",
    spec_version=1,
    outputs=b"{}",
    saga=None,
    execution=None,
    created_at=1,
    updated_at=100,
)
SEEN = Seen("7", "t.thing", 1, "there", b"{}", 100, None, 0)
DRIFT = Drift("d1", "t.thing", "7", "web", "size", "changed", b'"a"', b'"b"', "open", 1, 1)
RULE = Rule("r1", "t.thing", None, None, None, "why", "ann", 1, None)


def verdict(
    spec: dict[str, Any], live: dict[str, Any], *open_: Drift, rules: tuple[Rule, ...] = (), **seen: Any
) -> Verdict:
    """Judge a resource of which that was seen."""
    found = Found(RECORD, msgspec.structs.replace(SEEN, **seen))
    return judge(Case(found, spec, live, open_, rules), lambda _, value: value, 2)


def fields(found: Verdict) -> tuple[list[str], list[str], list[str]]:
    """Give what is opened, goes on and is stale, by field."""
    return (
        [each.field for each in found.opened],
        [drift.field for drift, _ in found.still],
        [drift.field for drift, _ in found.stale],
    )


def test_a_difference_is_opened_once_goes_on_and_is_stale() -> None:
    """By what is open of it."""
    assert fields(verdict({"size": "a"}, {"size": "b"})) == (["size"], [], [])
    assert fields(verdict({"size": "a"}, {"size": "c"}, DRIFT)) == ([], ["size"], [])
    assert fields(verdict({"size": "a"}, {"size": "a"}, DRIFT)) == ([], [], ["size"])


@pytest.mark.parametrize("seen", [{"state": "unknown"}, {"seen_at": 99}, {"seen_at": None}])
def test_what_was_not_seen_since_the_record_changed_says_nothing(seen: dict[str, Any]) -> None:
    """Neither that it differs nor that it is as it should be."""
    assert fields(verdict({"size": "a"}, {"size": "b"}, DRIFT, **seen)) == ([], [], [])


def test_what_is_absent_is_missing_only_after_so_many_times() -> None:
    """Then what differed before is stale: it is not there to differ."""
    once = verdict({"size": "a"}, {}, DRIFT, state="absent", absent=1)
    twice = verdict({"size": "a"}, {}, DRIFT, state="absent", absent=2)
    again = verdict(
        {"size": "a"}, {}, msgspec.structs.replace(DRIFT, field="", kind="missing"), state="absent", absent=3
    )

    assert [fields(each) for each in (once, twice, again)] == [
        ([], [], []), ([""], [], ["size"]), ([], [""], []),
    ]  # fmt: skip


def test_what_a_saga_is_at_is_not_closed_by_the_sweep() -> None:
    """It is that one's to close."""
    at_work = msgspec.structs.replace(DRIFT, resolved_by="saga")

    assert fields(verdict({"size": "a"}, {"size": "a"}, at_work)) == ([], [], [])


@pytest.mark.parametrize(
    ("rule", "hides"),
    [
        ({}, True),
        ({"identity": "7"}, True),
        ({"identity": "8"}, False),
        ({"field": "size"}, True),
        ({"field": "siz"}, False),
        ({"type": "t.other"}, False),
    ],
)
def test_a_rule_hides_what_it_is_about(rule: dict[str, Any], hides: bool) -> None:
    """A type, a resource, a field with what lies in it."""
    made = msgspec.structs.replace(RULE, **rule)

    assert (verdict({"size": "a"}, {"size": "b"}, rules=(made,)).opened == []) is hides
    assert (rule_for([made], "t.thing", "7", "size[0].x") is not None) is hides


def test_rules_are_over_when_their_time_is_up() -> None:
    """At that millisecond."""
    timed = msgspec.structs.replace(RULE, expires_at=50)

    assert parted([RULE, timed], 49) == ([RULE, timed], [])
    assert parted([RULE, timed], 50) == ([RULE], [timed])


def test_a_record_that_is_seen_again_says_what_is_there_by_now() -> None:
    """And how often."""
    again = seen_again(DRIFT, Difference("size", "a", "c"), 9)

    assert (again.live, again.count, again.first_seen, again.last_seen) == (b'"c"', 2, 1, 9)


def test_a_revert_closes_or_opens_again() -> None:
    """By how its saga has ended."""
    at_work = msgspec.structs.replace(DRIFT, resolved_by="saga")
    done, failed = closed(at_work, End("saga", None), 9), closed(at_work, End("saga", "it broke"), 9)

    assert (done.status, done.resolved_by, done.resolved_at, done.why) == ("reverted", "saga", 9, None)
    assert (failed.status, failed.resolved_by, failed.resolved_at, failed.why) == (
        "open",
        None,
        None,
        "it broke",
    )


# --- absence ----------------------------------------------------------------------------------------------------------


ROUNDS: list[tuple[str, dict[str, Any], bool]] = [
    ("nothing is absent", {"there": 3}, False),
    ("one of three", {"there": 2, "absent": 1}, False),
    ("the only one, where others are seen for the first time", {"absent": 1, "besides": True}, False),
    ("the only one, where others are seen again", {"absent": 1, "besides": True, "recognised": True}, False),
    (
        "the only one, where others are seen, but none of before",
        {"absent": 1, "besides": True, "remembered": True},
        True,
    ),
    ("the only one, and nothing else", {"absent": 1}, True),
    ("two of three", {"there": 1, "absent": 2}, False),
    ("three of six", {"there": 3, "absent": 3}, False),
    ("three of five", {"there": 2, "absent": 3}, True),
    ("all of many, others are there", {"absent": 9, "besides": True, "recognised": True}, True),
]


@pytest.mark.parametrize(("what", "found", "alarms"), ROUNDS, ids=[each[0] for each in ROUNDS])
def test_when_absence_is_an_alarm(what: str, found: dict[str, Any], alarms: bool) -> None:
    """Much at once, or nothing known is seen."""
    given = {"there": 0, "absent": 0, "besides": False, "remembered": False, "recognised": False} | found
    if given["recognised"]:
        given["remembered"] = True

    assert (absence.alarm(absence.Round("cloud", **given)) is not None) is alarms


def test_what_is_remembered_of_a_list_stays_the_same_while_it_is_there() -> None:
    """So that a list is known again however it grows."""
    many = [str(number) for number in range(200)]

    assert absence.remembered(["150", "x"], many)[0] == "150"
    assert len(absence.remembered(["150", "x"], many)) == absence.SIGHTINGS


# --- what is hidden ---------------------------------------------------------------------------------------------------


def test_what_stands_in_a_secret_s_place_is_hidden() -> None:
    """Unless it is that secret's reference; the rest is shown."""
    spec = {
        "token": "${secret.a}",
        "env": {"A": "Bearer ${secret.a}", "B": "x"},
        "list": ["${secret.a}"],
        "n": 1,
    }
    same = {
        "token": "${secret.a}",
        "env": {"A": "Bearer ${secret.a}", "B": "y"},
        "list": ["${secret.a}"],
        "n": 2,
    }
    other = {"token": "old", "env": {"A": "Bearer old", "B": "y"}, "list": ["old"], "n": 2, "more": "old"}

    assert hidden(spec, same) == same
    assert hidden(spec, other) == {
        "token": "***", "env": {"A": "***", "B": "y"}, "list": "***", "n": 2, "more": "old",
    }  # fmt: skip


def test_what_cannot_be_known_is_not_compared() -> None:
    """What was never kept, a secret that is gone, a reference to anything else."""
    spec = {
        "a": "***",
        "b": "${secret.there}",
        "c": "${secret.gone}",
        "d": ["x", {"y": "***"}],
        "e": "${steps.one.id}",
        "f": "${",
        "g": "plain",
    }

    assert set(comparable(spec, lambda name: name == "there")) == {"b", "g"}


# --- when -------------------------------------------------------------------------------------------------------------


def at(*parts: int) -> int:
    """Give a local time as UTC milliseconds."""
    return round(datetime(*parts).timestamp() * 1000)  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("15 * * * *", at(2026, 3, 2, 10, 0), at(2026, 3, 2, 10, 15)),
        ("15 * * * *", at(2026, 3, 2, 10, 15), at(2026, 3, 2, 11, 15)),
        ("0 4 * * MON", at(2026, 3, 3, 0, 0), at(2026, 3, 9, 4, 0)),
    ],
)
def test_a_job_is_due_when_the_clock_strikes_and_a_little_later(cron: str, now: int, due: int) -> None:
    """By chance, up to half a minute."""
    assert planned(cron, now, lambda: 0.0).due == due
    assert planned(cron, now, lambda: 1.0).due == due + JITTER


def test_chance_does_not_reach_the_next_occasion() -> None:
    """A tenth of the way at most."""
    now = at(2026, 3, 2, 10, 0)

    assert planned("* * * * *", now, lambda: 1.0).due == now + 60_000 + 6_000
    assert planned("never", now, lambda: 1.0).due is None


# --- of itself --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "changes", "is_wanted"),
    [
        (["t.thing"], {}, True),
        (["t.thing/web"], {}, True),
        (["t.thing/7"], {}, True),
        (["t.thing/other", "t"], {}, False),
        (["t.thing"], {"why": "it failed"}, False),
        (["t.thing"], {"resolved_by": "saga"}, False),
        (["t.thing"], {"status": "stale"}, False),
        ([], {}, False),
    ],
)
def test_what_is_reverted_without_a_word(wanted: list[str], changes: dict[str, Any], is_wanted: bool) -> None:
    """What the settings name, and nobody is at, and has not failed once."""
    assert automatic.is_wanted(wanted, msgspec.structs.replace(DRIFT, **changes)) is is_wanted
