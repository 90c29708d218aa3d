"""The routes to the node: files are checked, settings read anew, and it says what it can do and how it is."""

from __future__ import annotations

import msgspec

from orchestrator import answers
from orchestrator.api.answer import Answer
from orchestrator.api.bodies import check_submission
from orchestrator.api.route import Ask, Result, Route
from orchestrator.metrics import TEXT, render
from orchestrator.requests import FileSubmission


class ProvidersQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which types: one, or a family."""

    type: str | None = None


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


NODE_ROUTES: tuple[Route, ...] = (
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
)
