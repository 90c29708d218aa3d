"""The one list of routes: what each is for, who may use it, what it takes and answers, and what is called for it.

Requests are dispatched by it, access goes by it, openapi.json is made from it.
"""

from __future__ import annotations

import msgspec

from orchestrator import answers
from orchestrator.api.answer import Answer
from orchestrator.api.batch_routes import BATCH_ROUTES
from orchestrator.api.drift_routes import DRIFT_ROUTES
from orchestrator.api.keep_routes import KEEP_ROUTES
from orchestrator.api.node_routes import NODE_ROUTES
from orchestrator.api.record_routes import RECORD_ROUTES
from orchestrator.api.resource_routes import RESOURCE_ROUTES
from orchestrator.api.route import Ask, Result, Route
from orchestrator.api.saga_routes import SAGA_ROUTES


async def openapi(ask: Ask) -> Result:
    """Describe all this."""
    from orchestrator.api.openapi import document

    return Answer(msgspec.json.encode(document(ROUTES, ask.service.version)))


ROUTES: tuple[Route, ...] = (
    *SAGA_ROUTES,
    *BATCH_ROUTES,
    *RESOURCE_ROUTES,
    *DRIFT_ROUTES,
    *RECORD_ROUTES,
    *NODE_ROUTES,
    *KEEP_ROUTES,
    Route(
        method="GET",
        path="/v1/openapi.json",
        role="viewer",
        handler=openapi,
        summary="The description of all this",
        answers=answers.OpenApi,
    ),
)
