"""The routes of drift: see ``routes``, whose list has them."""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator import answers
from orchestrator.api.answer import Answer
from orchestrator.api.asked import Limit
from orchestrator.api.route import Ask, Result, Route
from orchestrator.api.words import Cursor, Wait
from orchestrator.requests import Detect, DriftBody, Ignore, RevertAll

DRIFT = "/v1/drift/{id}"
RULE = "/v1/drift/rules/{id}"


class DriftQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records: those that all filters let through. `open` are those that no rule hides; `type` may be a family."""

    status: Literal["open", "accepted", "reverted", "stale", "all"] = "open"
    type: str | None = None
    name: str | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class RevertQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to wait until the saga has ended, or a hold needs a person."""

    wait: Wait | None = None


async def drift(ask: Ask) -> Result:
    """List drift."""
    return Answer(await ask.service.drifting.drift(**msgspec.structs.asdict(ask.query)))


async def one(ask: Ask) -> Result:
    """Give a record."""
    return Answer(await ask.service.drifting.one(ask.ref))


async def detect(ask: Ask) -> Result:
    """Look and compare now."""
    return Answer(await ask.service.drifting.detect(ask.caller, ask.body))


async def progress(ask: Ask) -> Result:
    """Say how far the looking is."""
    return Answer(await ask.service.drifting.progress())


async def accept(ask: Ask) -> Result:
    """Make what is there the spec."""
    return Answer(await ask.service.drifting.accept(ask.caller, ask.ref, ask.body))


async def revert(ask: Ask) -> Result:
    """Have the spec set back."""
    return Answer(await ask.service.drifting.revert(ask.caller, ask.ref, ask.body, wait=ask.query.wait))


async def revert_all(ask: Ask) -> Result:
    """Have all of it set back."""
    return Answer(await ask.service.drifting.revert_all(ask.caller, ask.body))


async def ignore(ask: Ask) -> Result:
    """Hear no more of it."""
    return Answer(await ask.service.drifting.ignore(ask.caller, ask.ref, ask.body))


async def rules(ask: Ask) -> Result:
    """List the rules by which drift is ignored."""
    return Answer(await ask.service.drifting.rules())


async def heed(ask: Ask) -> Result:
    """End a rule."""
    return Answer(await ask.service.drifting.heed(ask.caller, ask.ref, ask.body))


DRIFT_ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/drift",
        role="viewer",
        handler=drift,
        summary="List drift: what is open, unless told",
        query=DriftQuery,
        answers=answers.Drifts,
    ),
    Route(
        method="POST",
        path="/v1/drift/detect",
        role="operator",
        handler=detect,
        summary="Look at what is really there and compare it now; answers when that is done",
        body=Detect,
        answers=answers.DriftDetected,
        problems=(404, 503),
    ),
    Route(
        method="GET",
        path="/v1/drift/detect",
        role="viewer",
        handler=progress,
        summary="How far the looking is that is going on",
        answers=answers.DriftProgress,
    ),
    Route(
        method="POST",
        path="/v1/drift/revert",
        role="admin",
        handler=revert_all,
        summary="Have a batch set back all that is open and not ignored",
        body=RevertAll,
        answers=answers.DriftAnswer,
        problems=(409, 503),
    ),
    Route(
        method="GET",
        path="/v1/drift/rules",
        role="viewer",
        handler=rules,
        summary="The rules by which drift is ignored",
        answers=answers.DriftRules,
    ),
    Route(
        method="POST",
        path=f"{RULE}/heed",
        role="operator",
        handler=heed,
        summary="End a rule: what it hid is heard of again",
        body=DriftBody,
        answers=answers.DriftAnswer,
        problems=(404,),
    ),
    Route(
        method="GET",
        path=DRIFT,
        role="viewer",
        handler=one,
        summary="One record of drift",
        answers=answers.DriftOne,
        problems=(404, 409),
    ),
    Route(
        method="POST",
        path=f"{DRIFT}/accept",
        role="admin",
        handler=accept,
        summary="Make what is there the spec",
        body=DriftBody,
        answers=answers.DriftAnswer,
        problems=(404, 409, 503),
    ),
    Route(
        method="POST",
        path=f"{DRIFT}/revert",
        role="admin",
        handler=revert,
        summary="Have a saga set the spec back",
        query=RevertQuery,
        body=DriftBody,
        answers=answers.DriftAnswer,
        problems=(404, 409, 503),
    ),
    Route(
        method="POST",
        path=f"{DRIFT}/ignore",
        role="operator",
        handler=ignore,
        summary="Hear no more of it, or of its like",
        body=Ignore,
        answers=answers.DriftAnswer,
        problems=(404, 409),
    ),
)
