"""The routes to sagas: they are submitted, looked at, and steered."""

from __future__ import annotations

import msgspec

from orchestrator import answers
from orchestrator.access import Role
from orchestrator.api.answer import Answer
from orchestrator.api.asked import Limit, RevealQuery, SubmitQuery, accepted, idempotency_key, reveals
from orchestrator.api.bodies import check_submission, check_verb
from orchestrator.api.record_routes import EventsQuery, events
from orchestrator.api.route import Ask, Result, Route
from orchestrator.api.words import Cursor, Label, Time
from orchestrator.requests import VERBS, Submission, VerbBody

ID = "/v1/sagas/{id}"


class SagasQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sagas: those that all filters let through."""

    status: answers.SagaStatus | None = None
    kind: str | None = None
    label: list[Label] = []
    hold: answers.HoldReason | None = None
    since: Time | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


async def submit(ask: Ask) -> Result:
    """Start a saga, or find the one that the same key has started."""
    check_submission(ask.body)
    submitted = await ask.service.submit(
        ask.caller, ask.body, idempotency_key=idempotency_key(ask.request), wait=ask.query.wait
    )
    return accepted(submitted, "/v1/sagas")


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
    if (shows := reveals(ask)) is not None:
        return Answer(await shows.saga(ask.caller, ask.ref, ask.query.reason))
    return Answer(await ask.service.saga(ask.ref))


async def why(ask: Ask) -> Result:
    """Say why a saga is where it is."""
    return Answer(await ask.service.why(ask.ref))


async def executions(ask: Ask) -> Result:
    """List a saga's executions."""
    if (shows := reveals(ask)) is not None:
        return Answer(await shows.executions(ask.caller, ask.ref, ask.query.reason))
    return Answer(await ask.service.executions(ask.ref))


async def steer(ask: Ask) -> Result:
    """Say something to a saga; the verb is the end of the path."""
    verb = ask.route.path.rpartition("/")[2]
    check_verb(verb, ask.body)
    if verb == "correct":
        check_submission(ask.body)
    return Answer(await ask.service.verb(ask.caller, ask.ref, verb, ask.body))


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

SAGA_ROUTES: tuple[Route, ...] = (
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
        problems=(404, 409, 503),
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
)
