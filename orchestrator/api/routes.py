"""Every route: what it is for, who may use it, what it takes and answers, and the few lines that call the service.

`ROUTES` is the one list. Requests are dispatched by it, access goes by it, openapi.json is made from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp.web import BaseRequest

from orchestrator import answers
from orchestrator.access import Role, require
from orchestrator.api.answer import Answer
from orchestrator.api.bodies import check_batch, check_stack, check_submission, check_verb, decode_query
from orchestrator.api.drift_routes import DRIFT_ROUTES
from orchestrator.api.keep_routes import KEEP_ROUTES
from orchestrator.api.route import Ask, Result, Route
from orchestrator.api.words import Cursor, Head, Label, Place, Time, Wait
from orchestrator.metrics import TEXT, render
from orchestrator.problems import Invalid, Item
from orchestrator.requests import (
    VERBS,
    BatchBody,
    BatchSubmission,
    FileSubmission,
    Forget,
    Import,
    StackSubmission,
    Submission,
    VerbBody,
)

if TYPE_CHECKING:
    from orchestrator.revealing import Revealing

MOST_PER_PAGE = 1_000
LONGEST_KEY = 255

Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST_PER_PAGE)]


# --- queries ----------------------------------------------------------------------------------------------------------


class SubmitQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to wait until it has ended, or a hold needs a person."""

    wait: Wait | None = None


class SagasQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sagas: those that all filters let through."""

    status: answers.SagaStatus | None = None
    kind: str | None = None
    label: list[Label] = []
    hold: answers.HoldReason | None = None
    since: Time | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class RevealQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether what is kept sealed is shown as well (admin, and it goes on the record), and why."""

    reveal: bool = False
    reason: str | None = None


class BatchesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which batches: so many, behind this one."""

    limit: Limit = 100
    cursor: Cursor | None = None


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events: so many, behind this number."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    limit: Limit = MOST_PER_PAGE


class ResourcesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which resources: those that all filters let through. `type` may be a family, as `local`."""

    type: str | None = None
    name: str | None = None
    limit: Limit = 100
    cursor: Place | None = None


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
    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    limit: Limit = MOST_PER_PAGE


class ProvidersQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which types: one, or a family."""

    type: str | None = None


# --- sagas ------------------------------------------------------------------------------------------------------------


async def submit(ask: Ask) -> Result:
    """Start a saga, or find the one that the same key has started."""
    check_submission(ask.body)
    submitted = await ask.service.submit(
        ask.caller, ask.body, idempotency_key=_idempotency_key(ask.request), wait=ask.query.wait
    )
    location = {"Location": f"/v1/sagas/{submitted.id}"}
    return Answer(submitted.body, 201 if submitted.created else 200, headers=location)


def _idempotency_key(request: BaseRequest) -> str | None:
    given = request.headers.getall("Idempotency-Key", [])
    if not given:
        return None
    key = given[0]
    if len(given) == 1 and key and len(key) <= LONGEST_KEY and key.isascii() and key.isprintable():
        return key
    what = f"must be one key of 1 to {LONGEST_KEY} printable ASCII characters"
    raise Invalid("the idempotency key cannot be used", [Item("Idempotency-Key", what)])


async def sagas(ask: Ask) -> Result:
    """List sagas."""
    query: SagasQuery = ask.query
    return Answer(
        await ask.service.sagas(
            status=query.status,
            kind=query.kind,
            labels=query.label,
            hold=query.hold,
            since=query.since,
            limit=query.limit,
            cursor=query.cursor,
        )
    )


async def saga(ask: Ask) -> Result:
    """Give a saga."""
    if (reveals := _reveals(ask)) is not None:
        return Answer(await reveals.saga(ask.caller, ask.ref, ask.query.reason))
    return Answer(await ask.service.saga(ask.ref))


def _reveals(ask: Ask) -> Revealing | None:
    """Give who shows what is sealed, where that is asked for. Raises NotAllowed: only an admin may."""
    if not ask.query.reveal:
        return None
    require(ask.caller, "admin", ask.service.settings.access)
    return ask.service.revealing


async def why(ask: Ask) -> Result:
    """Say why a saga is where it is."""
    return Answer(await ask.service.why(ask.ref))


async def executions(ask: Ask) -> Result:
    """List a saga's executions."""
    if (reveals := _reveals(ask)) is not None:
        return Answer(await reveals.executions(ask.caller, ask.ref, ask.query.reason))
    return Answer(await ask.service.executions(ask.ref))


async def events(ask: Ask) -> Result:
    """Give events: those there are, or with `Accept: text/event-stream` also those to come."""
    ref, after = ask.ref or None, ask.query.after
    if _wants_stream(ask):
        after = _last_seen(ask.request, after)
        return await ask.streams.send(ask.request, await ask.service.stream(ref, after))
    return Answer(await ask.service.events(ref, after, ask.query.limit))


def _wants_stream(ask: Ask) -> bool:
    return ask.request.method == "GET" and "text/event-stream" in ask.request.headers.get("Accept", "")


def _last_seen(request: BaseRequest, after: int) -> int:
    if (seen := request.headers.get("Last-Event-ID")) is None:
        return after
    header = f"after={seen}" if seen.isascii() and seen.isdigit() else "after=?"
    try:
        return max(after, decode_query(EventsQuery, header).after)
    except Invalid:
        what = "is not the number of an event"
        raise Invalid("the stream cannot be resumed from there", [Item("Last-Event-ID", what)]) from None


async def steer(ask: Ask) -> Result:
    """Say something to a saga; the verb is the end of the path."""
    verb = ask.route.path.rpartition("/")[2]
    check_verb(verb, ask.body)
    if verb == "correct":
        check_submission(ask.body)
    return Answer(await ask.service.verb(ask.caller, ask.ref, verb, ask.body))


# --- batches ----------------------------------------------------------------------------------------------------------


async def submit_batch(ask: Ask) -> Result:
    """Start a batch, or find the one that the same key has started."""
    check_batch(ask.body)
    submitted = await ask.service.submit_batch(
        ask.caller, ask.body, idempotency_key=_idempotency_key(ask.request), wait=ask.query.wait
    )
    location = {"Location": f"/v1/batches/{submitted.id}"}
    return Answer(submitted.body, 201 if submitted.created else 200, headers=location)


async def batches(ask: Ask) -> Result:
    """List batches."""
    return Answer(await ask.service.batches(ask.query.limit, ask.query.cursor))


async def batch(ask: Ask) -> Result:
    """Give a batch with its sagas."""
    return Answer(await ask.service.batch(ask.ref))


async def cancel_batch(ask: Ask) -> Result:
    """Turn a batch back."""
    return Answer(await ask.service.cancel_batch(ask.caller, ask.ref, ask.body))


async def rollback_batch(ask: Ask) -> Result:
    """Take a batch back."""
    return Answer(await ask.service.rollback_batch(ask.caller, ask.ref, ask.body))


# --- stacks -----------------------------------------------------------------------------------------------------------


async def plan(ask: Ask) -> Result:
    """Say what applying a stack file would do."""
    check_stack(ask.body)
    return Answer(await ask.service.plan(ask.body))


async def apply(ask: Ask) -> Result:
    """Apply a stack file or a plan, or find the saga that the same key has started."""
    check_stack(ask.body, plans=True)
    submitted = await ask.service.apply(
        ask.caller, ask.body, idempotency_key=_idempotency_key(ask.request), wait=ask.query.wait
    )
    location = {"Location": f"/v1/sagas/{submitted.id}"} if submitted.id else {}
    return Answer(submitted.body, 201 if submitted.created else 200, headers=location)


# --- resources --------------------------------------------------------------------------------------------------------


def _resource(ask: Ask) -> tuple[str, str]:
    """Give the type and the name in a path; a name may have slashes, a type has none."""
    type_, _, name = ask.ref.partition("/")
    return type_, name


async def resources(ask: Ask) -> Result:
    """List resources."""
    return Answer(await ask.service.resources(**msgspec.structs.asdict(ask.query)))


async def resource(ask: Ask) -> Result:
    """Give a resource."""
    if (reveals := _reveals(ask)) is not None:
        return Answer(await reveals.resource(ask.caller, *_resource(ask), ask.query.reason))
    return Answer(await ask.service.resource(*_resource(ask)))


async def resource_events(ask: Ask) -> Result:
    """Give what happened to a resource, and where a stream is wanted also what will."""
    (type_, name), after = _resource(ask), ask.query.after
    if _wants_stream(ask):
        stream = await ask.service.resource_stream(type_, name, _last_seen(ask.request, after))
        return await ask.streams.send(ask.request, stream)
    return Answer(await ask.service.resource_events(type_, name, after, ask.query.limit))


async def import_resource(ask: Ask) -> Result:
    """Have a resource kept."""
    return Answer(await ask.service.import_resource(ask.caller, *_resource(ask), ask.body))


async def forget_resource(ask: Ask) -> Result:
    """Have a resource kept no longer."""
    return Answer(await ask.service.forget_resource(ask.caller, *_resource(ask), ask.body))


# --- the record -------------------------------------------------------------------------------------------------------


async def audit_verify(ask: Ask) -> Result:
    """Prove the record. That it is broken is an answer, not an error of the request."""
    return Answer(await ask.service.audit_verify(ask.query.head))


async def audit_replay(ask: Ask) -> Result:
    """Rebuild every checkpoint."""
    return Answer(await ask.service.audit_replay())


async def audit_events(ask: Ask) -> Result:
    """Search the record."""
    return Answer(await ask.service.audit_events(**msgspec.structs.asdict(ask.query)))


# --- the node ---------------------------------------------------------------------------------------------------------


async def validate(ask: Ask) -> Result:
    """Check a file."""
    check_submission(ask.body)
    return Answer(await ask.service.validate(ask.body))


async def rehearse(ask: Ask) -> Result:
    """Try out what would be left behind."""
    check_submission(ask.body)
    return Answer(await ask.service.rehearse(ask.caller, ask.body))


async def providers(ask: Ask) -> Result:
    """Show what the drivers declare."""
    return Answer(await ask.service.providers(ask.query.type))


async def reload(ask: Ask) -> Result:
    """Read the settings again."""
    return Answer(await ask.service.reload(ask.caller))


async def drain(ask: Ask) -> Result:
    """Start nothing more."""
    return Answer(await ask.service.drain(ask.caller))


async def health(ask: Ask) -> Result:
    """Say how the node is."""
    return Answer(await ask.service.health())


async def metrics(ask: Ask) -> Result:
    """Give the figures."""
    return Answer(render(await ask.service.counts()), media=TEXT)


async def openapi(ask: Ask) -> Result:
    """Describe all this."""
    from orchestrator.api.openapi import document

    return Answer(msgspec.json.encode(document(ROUTES, ask.service.version)))


# --- the table --------------------------------------------------------------------------------------------------------

ID = "/v1/sagas/{id}"
BATCH = "/v1/batches/{id}"
RESOURCE = "/v1/resources/{type}/{name}"

_VERBS: dict[str, tuple[Role, str]] = {
    "cancel": ("operator", "Turn back; with `now` the running step is interrupted"),
    "pause": ("operator", "Stop before the next step or undo"),
    "resume": ("operator", "Go on after a pause, or after a quarantine"),
    "retry": ("operator", "Start what failed anew"),
    "skip": ("operator", "Go on without a step or an undo"),
    "resolve": ("operator", "Say what became of a step whose outcome is unknown"),
    "approve": ("operator", "Give the approval that is asked for"),
    "reject": ("operator", "Refuse the approval that is asked for"),
    "abandon": ("admin", "Give the saga up as it is"),
    "rollback": ("operator", "Take back what the saga has done"),
    "correct": ("operator", "Run another saga that makes up for this one"),
}
assert _VERBS.keys() == VERBS.keys()

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/sagas",
        role="operator",
        handler=submit,
        summary="Start a saga",
        query=SubmitQuery,
        body=Submission,
        answers=answers.Submitted,
        created=True,
        problems=(409, 503),
    ),
    Route(
        method="GET",
        path="/v1/sagas",
        role="viewer",
        handler=sagas,
        summary="List sagas, the newest first",
        query=SagasQuery,
        answers=answers.Sagas,
    ),
    Route(
        method="GET",
        path=ID,
        role="viewer",
        handler=saga,
        summary="One saga; with `reveal` its sensitive outputs too, for an admin",
        role_with={"reveal": "admin"},
        query=RevealQuery,
        answers=answers.Saga,
        problems=(404, 409, 503),
    ),
    Route(
        method="GET",
        path=f"{ID}/why",
        role="viewer",
        handler=why,
        summary="Why it is where it is, in a sentence",
        answers=answers.Why,
        problems=(404, 409),
    ),
    Route(
        method="GET",
        path=f"{ID}/executions",
        role="viewer",
        handler=executions,
        summary="What it did to the world, and what undid it; with `reveal` its images' contents too, for an admin",
        role_with={"reveal": "admin"},
        query=RevealQuery,
        answers=answers.Executions,
        problems=(404, 409, 503),
    ),
    Route(
        method="GET",
        path=f"{ID}/events",
        role="viewer",
        handler=events,
        summary="What happened to it",
        query=EventsQuery,
        answers=answers.Events,
        streams=True,
        problems=(404, 409),
    ),
    *(
        Route(
            method="POST",
            path=f"{ID}/{verb}",
            role=role,
            handler=steer,
            summary=summary,
            body=VerbBody,
            answers=answers.VerbAnswer,
            problems=(404, 409, 503),
        )
        for verb, (role, summary) in _VERBS.items()
    ),
    Route(
        method="POST",
        path="/v1/batches",
        role="operator",
        handler=submit_batch,
        summary="Start many sagas together",
        query=SubmitQuery,
        body=BatchSubmission,
        answers=answers.BatchSubmitted,
        created=True,
        problems=(409, 503),
    ),
    Route(
        method="GET",
        path="/v1/batches",
        role="viewer",
        handler=batches,
        summary="List batches, the newest first",
        query=BatchesQuery,
        answers=answers.Batches,
    ),
    Route(
        method="GET",
        path=BATCH,
        role="viewer",
        handler=batch,
        summary="One batch, and where each of its sagas is",
        answers=answers.Batch,
        problems=(404, 409),
    ),
    Route(
        method="POST",
        path=f"{BATCH}/cancel",
        role="operator",
        handler=cancel_batch,
        summary="Turn the whole batch back",
        body=BatchBody,
        answers=answers.BatchAnswer,
        problems=(404, 409, 503),
    ),
    Route(
        method="POST",
        path=f"{BATCH}/rollback",
        role="operator",
        handler=rollback_batch,
        summary="Take back what the whole batch has done, or preview that",
        body=BatchBody,
        answers=answers.BatchAnswer,
        problems=(404, 409, 503),
    ),
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
        problems=(404, 409),
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
    *DRIFT_ROUTES,
    Route(
        method="GET",
        path="/v1/events",
        role="viewer",
        handler=events,
        summary="What happened on this node",
        query=EventsQuery,
        answers=answers.Events,
        streams=True,
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
    Route(
        method="POST",
        path="/v1/validate",
        role="viewer",
        handler=validate,
        summary="Check a saga file without running it",
        body=FileSubmission,
        answers=answers.Validated,
    ),
    Route(
        method="POST",
        path="/v1/rehearse",
        role="viewer",
        handler=rehearse,
        role_with={"stack": "operator"},
        summary="Try a saga against simulated drivers: what each failure would leave behind; a stack, for an operator",
        body=FileSubmission,
        answers=answers.Rehearsed,
    ),
    Route(
        method="GET",
        path="/v1/providers",
        role="viewer",
        handler=providers,
        summary="What steps can do here",
        query=ProvidersQuery,
        answers=answers.Providers,
        problems=(404,),
    ),
    *KEEP_ROUTES,
    Route(
        method="POST",
        path="/v1/reload",
        role="admin",
        handler=reload,
        summary="Read the settings again",
        answers=answers.Reloaded,
    ),
    Route(
        method="POST",
        path="/v1/drain",
        role="admin",
        handler=drain,
        summary="Start no new steps; answer when what runs has ended",
        answers=answers.Drained,
    ),
    Route(
        method="GET",
        path="/v1/health",
        role="viewer",
        handler=health,
        summary="How the node is",
        answers=answers.Health,
    ),
    Route(
        method="GET",
        path="/v1/metrics",
        role="viewer",
        handler=metrics,
        summary="Figures for Prometheus",
        answers=TEXT,
    ),
    Route(
        method="GET",
        path="/v1/openapi.json",
        role="viewer",
        handler=openapi,
        summary="The description of all this",
        answers=answers.OpenApi,
    ),
)
