"""The routes to the record: what happened, to one saga or to all, and that it is whole."""

from __future__ import annotations

import msgspec
from aiohttp.web import BaseRequest

from orchestrator import answers
from orchestrator.api.answer import Answer
from orchestrator.api.asked import MOST_PER_PAGE, After, Limit
from orchestrator.api.bodies import decode_query
from orchestrator.api.route import Ask, Result, Route
from orchestrator.api.words import Head, Time
from orchestrator.problems import Invalid, Item


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events: so many, behind this number."""

    after: After = 0
    limit: Limit = MOST_PER_PAGE


class VerifyQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Against which head, noted down earlier."""

    head: Head | None = None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events: those that all filters let through; so many, behind this number."""

    saga: str | None = None
    resource: str | None = None
    actor: str | None = None
    since: Time | None = None
    until: Time | None = None
    after: After = 0
    limit: Limit = MOST_PER_PAGE


async def events(ask: Ask) -> Result:
    """Give events: those there are, or with `Accept: text/event-stream` also those to come."""
    ref, after = ask.ref or None, ask.query.after
    if wants_stream(ask):
        after = last_seen(ask.request, after)
        return await ask.streams.send(ask.request, await ask.service.stream(ref, after))
    return Answer(await ask.service.events(ref, after, ask.query.limit))


def wants_stream(ask: Ask) -> bool:
    """Tell whether what comes is to be sent as it comes."""
    return ask.request.method == "GET" and "text/event-stream" in ask.request.headers.get("Accept", "")


def last_seen(request: BaseRequest, after: int) -> int:
    """Give the number of the last event that a reader of a stream has. Raises Invalid."""
    if (seen := request.headers.get("Last-Event-ID")) is None:
        return after
    header = f"after={seen}" if seen.isascii() and seen.isdigit() else "after=?"
    try:
        return max(after, decode_query(EventsQuery, header).after)
    except Invalid:
        what = "is not the number of an event"
        raise Invalid("the stream cannot be resumed from there", [Item("Last-Event-ID", what)]) from None


async def audit_verify(ask: Ask) -> Result:
    """Prove the record. That it is broken is an answer, not an error of the request."""
    return Answer(await ask.service.audit_verify(ask.query.head))


async def audit_replay(ask: Ask) -> Result:
    """Rebuild every checkpoint."""
    return Answer(await ask.service.audit_replay())


async def audit_events(ask: Ask) -> Result:
    """Search the record."""
    return Answer(await ask.service.audit_events(**msgspec.structs.asdict(ask.query)))


RECORD_ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/events",
        role="viewer",
        handler=events,
        summary="What happened on this node",
        query=EventsQuery,
        answers=answers.Events,
        streams=True,
        problems=(503,),
    ),
    Route(
        method="GET",
        path="/v1/audit/verify",
        role="viewer",
        handler=audit_verify,
        summary="Prove that nothing on the record was altered, removed or cut off",
        query=VerifyQuery,
        answers=answers.Verified,
    ),
    Route(
        method="GET",
        path="/v1/audit/replay",
        role="viewer",
        handler=audit_replay,
        summary="Rebuild every checkpoint from its events and compare",
        answers=answers.Replayed,
    ),
    Route(
        method="GET",
        path="/v1/audit/events",
        role="viewer",
        handler=audit_events,
        summary="What happened to a saga or a resource, by whom, and when",
        query=AuditQuery,
        answers=answers.Events,
        problems=(404, 409),
    ),
)
