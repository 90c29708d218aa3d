"""The routes to resources: stacks are planned and applied, and what they and other sagas made is looked at and kept or not."""

from __future__ import annotations

import msgspec

from orchestrator import answers
from orchestrator.api.answer import Answer
from orchestrator.api.asked import Limit, RevealQuery, SubmitQuery, accepted, idempotency_key, reveals
from orchestrator.api.bodies import check_stack
from orchestrator.api.record_routes import EventsQuery, last_seen, wants_stream
from orchestrator.api.route import Ask, Result, Route
from orchestrator.api.words import Place
from orchestrator.requests import Forget, Import, StackSubmission

RESOURCE = "/v1/resources/{type}/{name}"


class ResourcesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which resources: those that all filters let through. `type` may be a family, as `local`."""

    type: str | None = None
    name: str | None = None
    limit: Limit = 100
    cursor: Place | None = None


async def plan(ask: Ask) -> Result:
    """Say what applying a stack file would do."""
    check_stack(ask.body)
    return Answer(await ask.service.plan(ask.body))


async def apply(ask: Ask) -> Result:
    """Apply a stack file or a plan, or find the saga that the same key has started."""
    check_stack(ask.body, plans=True)
    submitted = await ask.service.apply(
        ask.caller, ask.body, idempotency_key=idempotency_key(ask.request), wait=ask.query.wait
    )
    return accepted(submitted, "/v1/sagas")


def _resource(ask: Ask) -> tuple[str, str]:
    """Give the type and the name in a path; a name may have slashes, a type has none."""
    type_, _, name = ask.ref.partition("/")
    return type_, name


async def resources(ask: Ask) -> Result:
    """List resources."""
    return Answer(await ask.service.resources(**msgspec.structs.asdict(ask.query)))


async def resource(ask: Ask) -> Result:
    """Give a resource."""
    if (shows := reveals(ask)) is not None:
        return Answer(await shows.resource(ask.caller, *_resource(ask), ask.query.reason))
    return Answer(await ask.service.resource(*_resource(ask)))


async def resource_events(ask: Ask) -> Result:
    """Give what happened to a resource, and where a stream is wanted also what will."""
    (type_, name), after = _resource(ask), ask.query.after
    if wants_stream(ask):
        stream = await ask.service.resource_stream(type_, name, last_seen(ask.request, after))
        return await ask.streams.send(ask.request, stream)
    return Answer(await ask.service.resource_events(type_, name, after, ask.query.limit))


async def import_resource(ask: Ask) -> Result:
    """Have a resource kept."""
    return Answer(await ask.service.import_resource(ask.caller, *_resource(ask), ask.body))


async def forget_resource(ask: Ask) -> Result:
    """Have a resource kept no longer."""
    return Answer(await ask.service.forget_resource(ask.caller, *_resource(ask), ask.body))


RESOURCE_ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/plans",
        role="operator",
        handler=plan,
        summary="Say what applying a stack file would do",
        body=StackSubmission,
        answers=answers.StackPlan,
        problems=(409,),
    ),
    Route(
        method="POST",
        path="/v1/plans/apply",
        role="operator",
        handler=apply,
        summary="Run what a stack file or a plan asks for as a saga; where there is nothing to do, none is started",
        query=SubmitQuery,
        body=StackSubmission,
        answers=answers.Submitted,
        or_else=answers.NothingToDo,
        created=True,
        problems=(409, 503),
    ),
    Route(
        method="GET",
        path="/v1/resources",
        role="viewer",
        handler=resources,
        summary="List what sagad keeps, by type and name",
        query=ResourcesQuery,
        answers=answers.Resources,
    ),
    Route(
        method="GET",
        path=RESOURCE,
        role="viewer",
        handler=resource,
        summary="One resource that sagad keeps; with `reveal` its sensitive outputs too, for an admin",
        role_with={"reveal": "admin"},
        query=RevealQuery,
        answers=answers.Resource,
        problems=(404, 409, 503),
    ),
    Route(
        method="GET",
        path=f"{RESOURCE}/events",
        role="viewer",
        handler=resource_events,
        summary="What happened to it, in whatever saga",
        query=EventsQuery,
        answers=answers.Events,
        streams=True,
        problems=(404, 409, 503),
    ),
    Route(
        method="POST",
        path=f"{RESOURCE}/import",
        role="operator",
        handler=import_resource,
        summary="Keep a resource that is there, whosever it was; it is not touched",
        body=Import,
        answers=answers.ResourceAnswer,
        problems=(404, 409, 503),
    ),
    Route(
        method="POST",
        path=f"{RESOURCE}/forget",
        role="operator",
        handler=forget_resource,
        summary="Keep a resource no longer; it is not touched",
        body=Forget,
        answers=answers.ResourceAnswer,
        problems=(404, 409, 503),
    ),
)
