"""What a route is, and what its handler is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from aiohttp.web import BaseRequest, StreamResponse

from orchestrator.access import Caller, Role
from orchestrator.api.answer import Answer
from orchestrator.api.bodies import Nothing
from orchestrator.api.stream import Streams
from orchestrator.service import Service


class Ask(NamedTuple):
    """A request that has been read and checked, and whom it may be put to."""

    service: Service
    streams: Streams
    caller: Caller
    request: BaseRequest
    route: Route
    ref: str
    query: Any
    body: Any


Result = Answer | StreamResponse
Handler = Callable[[Ask], Awaitable[Result]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route. `{id}` in its path is a saga's id, an unambiguous beginning of one, or `last`."""

    method: Literal["GET", "POST"]
    path: str
    role: Role
    role_with: Mapping[str, Role] = {}
    """What it needs where this, of its query or body, is given. That is for what the handler asks to see to."""
    handler: Handler
    summary: str
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] = Nothing
    answers: type[msgspec.Struct] | str
    """The document that it answers with, or the media type of a text."""
    or_else: type[msgspec.Struct] | None = None
    """Another document that it may answer with, at 200."""
    created: bool = False
    """201 where something was made, 200 where it was there already."""
    streams: bool = False
    """With `Accept: text/event-stream`, what comes is sent as it comes."""
    problems: tuple[int, ...] = ()
    """Statuses of problems beside those that every route may answer with."""
