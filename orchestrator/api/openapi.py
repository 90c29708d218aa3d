"""openapi.json: the description of the API, made from the table of routes and the types of bodies and answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

import msgspec

from orchestrator.api.answer import JSON, PROBLEM, ProblemDocument
from orchestrator.api.bodies import Nothing
from orchestrator.api.route import Route
from orchestrator.api.words import describe_word
from orchestrator.requests import VERBS

Object = dict[str, Any]

REF = "#/components/schemas/{name}"

ANYWHERE = {
    400: "The request cannot be read.",
    403: "The caller's role does not allow it: `detail` says how to get one that does.",
    422: "Something that was sent is not valid: every problem is in `errors`.",
    500: "sagad failed: its log says more under the incident that `detail` names.",
    503: "Not now: sagad has no file descriptors left.",
}
WITH_BODY = {
    408: "The body did not arrive in time.",
    413: "The body is larger than `[limits] request_bytes`.",
    415: "The body is encoded.",
}
SOMETIMES = {
    404: "There is no such thing.",
    409: "Not in this state, or not with this key: `detail` says what is possible.",
    503: "Not now: the disk is full, the daemon drains, or it has no file descriptors left.",
}

KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same body gives the same saga; with another body it is a 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Where the stream is taken up again: the number of the last event that was read.",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}
ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "A saga's id, an unambiguous beginning of one, or `last`.",
    "schema": {"type": "string", "minLength": 1},
}
TYPE = {
    "name": "type",
    "in": "path",
    "required": True,
    "description": "A resource type, `local.file`.",
    "schema": {"type": "string", "minLength": 1},
}
NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": """What the resource is called, its id, or its path. Slashes may stand as they are; percent-encoded,
they are never taken for those of the route.""",
    "schema": {"type": "string", "minLength": 1},
}
STREAM = """Each event is a message with its number as `id`, its type as `event` and the document as `data`. Comments
keep the stream alive. It does not end with its saga, which may be taken up again. A reader that is too slow is sent a
message `error` with a problem, and hung up on."""
_IN_PATH: dict[str, Object] = {"{id}": ID, "{type}": TYPE, "{name}": NAME}
ABOUT = """HTTP/1.1 on a unix socket. Who may do what goes by the peer's user and groups: `x-role` is what a route
needs, `x-role-with` what it needs where that is given. Every answer has `Sagad-Version`. Documents only grow: ignore what you do not know."""


def document(routes: Iterable[Route], version: str) -> Object:
    """Give the whole description."""
    routes = list(routes)
    paths: Object = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "sagad", "version": version, "description": _line(ABOUT)},
        "servers": [{"url": "http://localhost", "description": "the unix socket; the host does not matter"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "headers": {"Sagad-Version": {"schema": {"type": "string"}}},
        },
    }


def _schemas(routes: Iterable[Route]) -> Object:
    kinds: list[Any] = [ProblemDocument]
    for route in routes:
        named = (route.body, route.answers, route.or_else)
        kinds += [kind for kind in named if kind not in (None, Nothing) and not isinstance(kind, str)]
    _, schemas = msgspec.json.schema_components(
        list(dict.fromkeys(kinds)), schema_hook=describe_word, ref_template=REF
    )
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = _line(schema["description"])
    return schemas


def _operation(route: Route) -> Object:
    operation: Object = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "x-role": route.role,
        "parameters": list(_parameters(route)),
        "responses": dict(_responses(route)),
    }
    if route.role_with:
        operation["x-role-with"] = dict(route.role_with)
    if route.method == "POST":
        operation["requestBody"] = _request_body(route)
    return operation


def _operation_id(route: Route) -> str:
    words = [word.strip("{}").removesuffix(".json") for word in route.path.split("/")[2:]]
    return "_".join([route.method.lower(), *words])


def _request_body(route: Route) -> Object:
    if route.body is Nothing:
        schema: Object = {"type": "object", "additionalProperties": False}
    else:
        schema = {"$ref": REF.format(name=route.body.__name__)}
    verb = VERBS.get(route.path.rpartition("/")[2])
    if verb is None:
        return {"required": route.body is not Nothing, "content": {JSON: {"schema": schema}}}
    takes = ", ".join(f"`{name}`" for name in dict.fromkeys((*verb.takes, *verb.needs, "reason")))
    needs = f" It needs {', '.join(f'`{name}`' for name in verb.needs)}." if verb.needs else ""
    return {
        "required": bool(verb.needs),
        "description": f"Takes {takes}.{needs}",
        "content": {JSON: {"schema": schema}},
    }


def _parameters(route: Route) -> Iterator[Object]:
    for name, parameter in _IN_PATH.items():
        if name in route.path:
            yield parameter | {"description": _line(parameter["description"])}
    if route.created:
        yield KEY
    if route.streams:
        yield LAST_EVENT_ID
    for field in msgspec.structs.fields(route.query):
        schema = _inlined(field.type)
        if field.default not in (msgspec.NODEFAULT, None):
            schema["default"] = field.default
        yield {"name": field.encode_name, "in": "query", "schema": schema}


def _inlined(kind: Any) -> Object:
    """Give a parameter's schema. What may be left out is not `null` in a query, so that half of a union goes."""
    if get_origin(kind) is not None and type(None) in get_args(kind):
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    schema = msgspec.json.schema(kind, schema_hook=describe_word)
    schema.pop("$defs", None)
    return schema


def _responses(route: Route) -> Iterator[tuple[str, Object]]:
    if isinstance(route.answers, str):
        content: Object = {route.answers: {"schema": {"type": "string"}}}
    else:
        content = {JSON: {"schema": {"$ref": REF.format(name=route.answers.__name__)}}}
    if route.streams:
        content["text/event-stream"] = {"schema": {"type": "string", "description": _line(STREAM)}}
    yield "200", _response("It was there already." if route.created else "Done.", _or_else(route, content))
    if route.created:
        location = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
        yield "201", _response("It was made.", content, location)
    problem = {PROBLEM: {"schema": {"$ref": REF.format(name=ProblemDocument.__name__)}}}
    for status, text in sorted(_problems(route).items()):
        yield str(status), _response(text, problem)


def _or_else(route: Route, content: Object) -> Object:
    if route.or_else is None:
        return content
    other = {"$ref": REF.format(name=route.or_else.__name__)}
    return content | {JSON: {"schema": {"anyOf": [content[JSON]["schema"], other]}}}


def _problems(route: Route) -> dict[int, str]:
    sometimes = {status: SOMETIMES[status] for status in route.problems}
    return ANYWHERE | sometimes | (WITH_BODY if route.method == "POST" else {})


def _response(text: str, content: Object, headers: Object | None = None) -> Object:
    version = {"Sagad-Version": {"$ref": "#/components/headers/Sagad-Version"}}
    return {"description": text, "headers": version | (headers or {}), "content": content}


def _line(text: str) -> str:
    return " ".join(text.split())
