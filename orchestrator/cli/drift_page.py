"""Drift on paper: records as a table by resource, one record as lines, and how a round went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.cli.draw import Words, print_table
from orchestrator.cli.session import Session
from orchestrator.cli.text import age, brief, clock, count

Record = dict[str, Any]

NAMED = 20
"""Resources named of which nothing is known."""

_HEADS = ("ID", "RESOURCE", "FIELD", "WANTED", "LIVE", "SEEN", "STATUS")


def print_drift(session: Session, found: list[Record]) -> None:
    """Print records, by resource."""
    if session.quiet:
        for each in found:
            session.say(each["id"])
        return
    by_resource = sorted(found, key=lambda each: (each["type"], each["name"], each["resource_id"]))
    print_table(session, _HEADS, list(_rows(by_resource)), styled=6)


def _rows(found: list[Record]) -> Iterator[list[Any]]:
    """Write a row a record; the resource stands in the first of its rows only."""
    last = None
    for each in found:
        resource = (each["type"], each["resource_id"])
        shown = "" if resource == last else f"{each['type']} {each['name']}"
        last = resource
        missing = each["kind"] == "missing"
        yield [
            each["id"],
            shown,
            "(missing)" if missing else each["field"],
            "" if missing else brief(each["wanted"], 30),
            "" if missing else brief(each["live"], 30),
            f"{age(each['first_seen'])} ×{each['count']}",
            _status(each),
        ]


def _status(about: Record) -> str:
    if about["status"] != "open":
        return str(about["status"])
    if about["ignored"]:
        return "ignored"
    return "reverting" if about["resolved_by"] else "open"


def lines(about: Record) -> Iterator[Words]:
    """Write one record."""
    what = "missing" if about["kind"] == "missing" else about["field"]
    yield [
        (about["id"], "strong"),
        (f"  {about['type']} {about['name']}: {what}  ", ""),
        (_status(about), ""),
    ]
    if about["kind"] == "changed":
        yield [("wanted: ", "faint"), (brief(about["wanted"], 1_000), "")]
        yield [("live:   ", "faint"), (brief(about["live"], 1_000), "")]
    times = (
        f"seen {about['count']} times, first {clock(about['first_seen'])}, last {clock(about['last_seen'])}"
    )
    yield [(times, "faint")]
    if about["resolved_by"]:
        by = (
            f"saga {about['resolved_by']} is at it"
            if about["status"] == "open"
            else f"by {about['resolved_by']}"
        )
        yield [(f"{by}{' of itself' if about['automatic'] else ''}", "faint")]
    if about["resolved_at"]:
        yield [(f"{about['status']} {clock(about['resolved_at'])}", "faint")]
    for name in ("why", "ignored"):
        if about[name]:
            yield [(f"{name}: {about[name]}", "")]


def tell(session: Session, document: dict[str, Any]) -> None:
    """Say on stderr how it went: what is not known is not hidden behind what is."""
    looked = count(document["looked"], "resource")
    session.note(
        f"looked at {looked}: {document['opened']} new, {document['still_open']} still open,"
        f" {document['stale']} went away; {document['unknown_count']} unknown, {document['passed_over_count']} passed over"
    )
    for title, key in (("unknown", "unknown"), ("passed over", "passed_over")):
        for each in document[key][:NAMED]:
            session.note(f"{title}: {each['type']} {each['name']}: {each['why']}")
        if (more := document[f"{key}_count"] - NAMED) > 0:
            session.note(f"{title}: and {more} more: -o json names them")
    session.warn(document["alarms"])


def rule_row(about: Record) -> list[Any]:
    """Write a rule as a row: ID, TYPE, RESOURCE, FIELD, OWNER, UNTIL, REASON."""
    until = clock(about["expires_at"]) if about["expires_at"] else "for ever"
    field = "(missing)" if about["field"] == "" else about["field"] or "all"
    return [about["id"], about["type"], about["name"] or "all", field, about["owner"], until, about["reason"]]
