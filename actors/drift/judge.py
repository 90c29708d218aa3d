"""What a sweep makes of one resource, from its record, what was last seen of it, and what is open. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from actors.drift.compare import Difference, Normalise, differences, lies_in
from store.drift import Drift, Found, Rule

MISSING = ""
"""The field of a record that is about the resource itself."""

_GONE = "the resource itself is missing"


class Case(NamedTuple):
    """All that is known of one resource."""

    found: Found
    spec: dict[str, Any]
    """What can be compared of its spec."""
    live: dict[str, Any]
    open: Sequence[Drift]
    rules: Sequence[Rule]


class Verdict(NamedTuple):
    """What becomes of a resource's records."""

    opened: Sequence[Difference] = ()
    still: Sequence[tuple[Drift, Difference]] = ()
    stale: Sequence[tuple[Drift, str | None]] = ()


NOTHING = Verdict()


def is_judged(found: Found) -> bool:
    """Tell whether what was seen says anything of the record as it is: it was seen, and since the record last changed."""
    seen = found.seen
    return (
        seen is not None
        and seen.state != "unknown"
        and seen.seen_at is not None
        and seen.seen_at >= found.record.updated_at
    )


def judge(case: Case, normalise: Normalise, missing_after: int) -> Verdict:
    """Say what differs, against what is open. What a rule hides is not opened; open already, it stays."""
    seen = case.found.seen
    if not is_judged(case.found) or seen is None:
        return NOTHING
    if seen.state == "there":
        return _compared(case, differences(case.spec, case.live, normalise))
    if seen.absent < missing_after:
        return NOTHING
    return _compared(case, [Difference(MISSING, case.spec, None)], _GONE)


def _compared(case: Case, found: list[Difference], why: str | None = None) -> Verdict:
    by_field = {difference.field: difference for difference in found}
    known = {drift.field: drift for drift in case.open}
    record = case.found.record
    return Verdict(
        opened=[
            each
            for field, each in by_field.items()
            if field not in known and rule_for(case.rules, record.type, record.identity, field) is None
        ],
        still=[(known[field], each) for field, each in by_field.items() if field in known],
        # What a saga is at is that one's to close.
        stale=[
            (drift, why)
            for field, drift in known.items()
            if field not in by_field and drift.resolved_by is None
        ],
    )


def rule_for(rules: Sequence[Rule], type_: str, identity: str, field: str) -> Rule | None:
    """Give a rule by which nobody wants to hear of a difference. They are those that hold."""
    return next((rule for rule in rules if _hides(rule, type_, identity, field)), None)


def _hides(rule: Rule, type_: str, identity: str, field: str) -> bool:
    if rule.type != type_ or rule.identity not in (None, identity):
        return False
    return rule.field is None or lies_in(field, rule.field)


def parted(rules: Sequence[Rule], now: int) -> tuple[list[Rule], list[Rule]]:
    """Part rules into those that hold and those whose time is up."""
    over = [rule for rule in rules if rule.expires_at is not None and rule.expires_at <= now]
    return [rule for rule in rules if rule not in over], over


def seen_again(drift: Drift, difference: Difference, now: int) -> Drift:
    """Give an open record after another sweep has seen it, with what is there by now."""
    return msgspec.structs.replace(
        drift,
        wanted=msgspec.json.encode(difference.wanted),
        live=msgspec.json.encode(difference.live),
        last_seen=now,
        count=drift.count + 1,
    )
