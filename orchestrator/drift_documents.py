"""The documents of drift (``orchestrator.answers``), and the lines that an accepted one changes in a stack file."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.clock import rfc3339
from actors.drift.compare import root_of
from actors.drift.judge import MISSING
from orchestrator import answers
from store.drift import Drift, Rule
from store.records import Resource


def document(drift: Drift, rule: Rule | None) -> answers.Drift:
    """Give a record's document; ``rule``: the one that hides it."""
    wanted: Any = msgspec.Raw(drift.wanted)
    live: Any = msgspec.Raw(drift.live)
    return answers.Drift(
        id=drift.id,
        type=drift.type,
        name=drift.name,
        resource_id=drift.identity,
        field=None if drift.field == MISSING else drift.field,
        kind=drift.kind,
        wanted=wanted,
        live=live,
        status=drift.status,
        first_seen=rfc3339(drift.first_seen),
        last_seen=rfc3339(drift.last_seen),
        count=drift.count,
        resolved_by=drift.resolved_by,
        resolved_at=None if drift.resolved_at is None else rfc3339(drift.resolved_at),
        automatic=drift.automatic,
        why=drift.why,
        ignored=None if rule is None else rule.id,
    )


def rule_document(rule: Rule) -> answers.DriftRule:
    """Give a rule's document."""
    return answers.DriftRule(
        id=rule.id,
        type=rule.type,
        name=rule.name,
        field=rule.field,
        reason=rule.reason,
        owner=rule.owner,
        created_at=rfc3339(rule.created_at),
        expires_at=None if rule.expires_at is None else rfc3339(rule.expires_at),
    )


def lines(drift: Drift, after: Resource | None) -> list[str]:
    """Give what to change in the stack file, so that it says what the spec says now. As YAML; JSON is YAML, too."""
    if after is None:
        return [f"# take {drift.label} out of `resources`"]
    root = root_of(drift.field)
    spec = msgspec.json.decode(after.spec)
    value = _json(spec[root]) if root in spec else None
    was = f"  # {drift.field} was {_json(msgspec.json.decode(drift.wanted))}"
    changed = f"    # {root}: leave it out{was}" if value is None else f"    {root}: {value}{was}"
    return [f"- type: {after.type}", f"  name: {_json(after.name)}", "  spec:", changed]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
