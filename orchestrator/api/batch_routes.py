"""The routes to batches."""

from __future__ import annotations

import msgspec

from orchestrator import answers
from orchestrator.api.answer import Answer
from orchestrator.api.asked import Limit, SubmitQuery, accepted, idempotency_key
from orchestrator.api.bodies import check_batch
from orchestrator.api.route import Ask, Result, Route
from orchestrator.api.words import Cursor
from orchestrator.requests import BatchBody, BatchSubmission

BATCH = "/v1/batches/{id}"


class BatchesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which batches: so many, behind this one."""

    limit: Limit = 100
    cursor: Cursor | None = None


async def submit_batch(ask: Ask) -> Result:
    """Start a batch, or find the one that the same key has started."""
    check_batch(ask.body)
    submitted = await ask.service.submit_batch(
        ask.caller, ask.body, idempotency_key=idempotency_key(ask.request), wait=ask.query.wait
    )
    return accepted(submitted, "/v1/batches")


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


BATCH_ROUTES: tuple[Route, ...] = (
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
)
