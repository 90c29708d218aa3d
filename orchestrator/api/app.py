"""From a request to its answer: find the route, ask who it is, check, call, and turn whatever is raised to a problem."""

from __future__ import annotations

import sqlite3
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import unquote

import structlog
from aiohttp.web import BaseRequest, StreamResponse

from orchestrator.access import Caller, Callers, Peer, require
from orchestrator.api.answer import Answer, problem_answer
from orchestrator.api.bodies import decode_body, decode_query, read_body
from orchestrator.api.problems import MethodNotAllowed, NoDescriptors, lacks_descriptors
from orchestrator.api.route import Ask, Route
from orchestrator.api.routes import ROUTES
from orchestrator.api.stream import Streams
from orchestrator.files.problems import shown
from orchestrator.problems import NotFound, Problem

if TYPE_CHECKING:
    from orchestrator.service import Service

log = structlog.get_logger("sagad.api")

NOBODY = Caller("who comes over the network", None)
"""Only a unix socket's peer is known."""

_RESOURCES = "/v1/resources/"
_ENDS = {"GET": ("events",), "POST": ("import", "forget")}
"""What may stand behind a resource's name, which may have slashes itself."""
_PREFIXES = ("/v1/sagas/", "/v1/batches/", "/v1/drift/rules/", "/v1/drift/")
_BY_PATH: dict[str, dict[str, Route]] = {}
for _route in ROUTES:
    _BY_PATH.setdefault(_route.path, {})[_route.method] = _route


class Api:
    """Answers requests."""

    def __init__(self, service: Service, streams: Streams) -> None:
        self._service = service
        self._streams = streams
        self._callers = Callers(lambda: service.settings.access)

    async def answer(self, request: BaseRequest, peer: Peer | None) -> Answer | StreamResponse:
        """Give the answer to a request. Raises nothing but what ends the connection or the task."""
        try:
            return await self._answer(request, peer)
        except Problem as problem:
            return problem_answer(problem)
        except ConnectionError:
            raise
        except Exception as error:
            if lacks_descriptors(error):
                log.warning("request.refused", why="no file descriptors left", path=request.raw_path)
                return problem_answer(NoDescriptors())
            if isinstance(error, sqlite3.DatabaseError):
                log.exception("request.failed", method=request.method, path=request.raw_path)
                what = f"the database cannot be read there ({error}): `sagactl doctor` says what is damaged, and what to do"
                return problem_answer(Problem(what, code="database_damaged"))
            incident = token_hex(4)
            log.exception("request.failed", incident=incident, method=request.method, path=request.raw_path)
            detail = f"sagad failed at this request: its log says more, under incident {incident}"
            return problem_answer(Problem(detail))

    async def _answer(self, request: BaseRequest, peer: Peer | None) -> Answer | StreamResponse:
        path, _, query = request.raw_path.partition("?")
        access = self._service.settings.access
        caller = await self._caller(peer)
        if caller.role is None:
            require(caller, "viewer", access)  # what there is, is not for everybody to know
        route, ref = find(request.method, path)
        require(caller, route.role, access)
        body = None
        if route.method == "POST":
            given = await read_body(request, self._service.settings.limits.request_bytes)
            body = decode_body(route.body, given)
        ask = Ask(
            self._service,
            self._streams,
            caller,
            request,
            route,
            ref,
            decode_query(route.query, query),
            body,
        )
        return await route.handler(ask)

    async def _caller(self, peer: Peer | None) -> Caller:
        if peer is None:
            return NOBODY
        return self._callers.known(peer) or await self._callers.find(peer)


def find(method: str, path: str) -> tuple[Route, str]:
    """Give the route, and the saga (or `TYPE/NAME`) that its path names. Raises NotFound or MethodNotAllowed."""
    ref = ""
    if (routes := _BY_PATH.get(path)) is None:
        pattern, ref = _pattern("GET" if method == "HEAD" else method, path)
        if (routes := _BY_PATH.get(pattern)) is None:
            raise NotFound(f"there is no {shown(path)}{_near(pattern, ref)}", code="no_such_route")
    route = routes.get("GET" if method == "HEAD" else method)
    if route is None:
        raise MethodNotAllowed(method, path, sorted({*routes, *(["HEAD"] if "GET" in routes else [])}))
    return route, ref


def _pattern(method: str, path: str) -> tuple[str, str]:
    """Split a path to the pattern that it follows and what it names: a saga's or batch's id, a resource."""
    if path.startswith(_RESOURCES):
        return _resource(method, path)
    prefix = next((each for each in _PREFIXES if path.startswith(each)), None)
    if prefix is None:
        return path, ""
    ref, slash, rest = path[len(prefix) :].partition("/")
    if not ref:
        return path, ""
    return f"{prefix}{{id}}{slash}{rest}", _unquoted(ref, path)


def _resource(method: str, path: str) -> tuple[str, str]:
    """Split the path of a resource. Only a slash that is not percent-encoded parts the name from what stands behind it."""
    type_, _, rest = path.removeprefix(_RESOURCES).partition("/")
    name, slash, end = rest.rpartition("/")
    if not (name and end in _ENDS.get(method, ())):
        name, slash, end = rest, "", ""
    if not type_ or not name:
        return path, ""
    return f"{_RESOURCES}{{type}}/{{name}}{slash}{end}", _unquoted(f"{type_}/{name}", path)


def _unquoted(text: str, path: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise NotFound(f"there is no {shown(path)}: it is not UTF-8", code="no_such_route") from None


def _near(pattern: str, ref: str) -> str:
    from difflib import get_close_matches  # 3 ms, for who has made a mistake

    near = get_close_matches(pattern, _BY_PATH, n=3)
    if not near:
        return ": GET /v1/openapi.json describes what there is"
    paths = [path.replace("{id}", ref or "{id}") for path in near]
    return "; near it are " + ", ".join(shown(path) for path in paths)
