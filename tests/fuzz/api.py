"""Every route, asked what schemathesis makes up from its description: fitting requests, and such as do not fit."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import requests
import schemathesis
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core import NOT_SET
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from orchestrator.api.openapi import document
from orchestrator.api.routes import ROUTES
from tests.fuzz.made import each_of
from tests.fuzz.target import Said, Target, roles

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NAME = re.compile("[A-Za-z][A-Za-z-]*")
LAST = "/v1/drain"
"""After it nothing new is taken: asked only of a daemon that is about to go."""
RANK = {"viewer": 0, "operator": 1, "admin": 2}
STEP: dict[str, Any] = {"name": "one", "do": "test.echo", "with": {"message": "x"}}
SAGAS: list[dict[str, Any]] = [
    {"saga": "ends", "steps": [STEP]},
    {"saga": "held", "steps": [{"name": "one", "do": "test.fail", "with": {"kind": "unknown"}}]},
    {"saga": "stops", "on_failure": "hold", "steps": [STEP, {"name": "two", "do": "test.fail", "with": {}}]},
    {"saga": "waits", "steps": [{"name": "one", "do": "wait.timer", "with": {"duration": "1h"}}]},
    {"saga": "asks", "policy": {"approve": "start"}, "steps": [STEP]},
]


class Routes:
    """The description, and the operations to be asked."""

    def __init__(self) -> None:
        """Draw it from the table of routes, as the daemon does."""
        described = msgspec.json.decode(msgspec.json.encode(document(ROUTES, "0")))
        self.schema = schemathesis.openapi.from_dict(described)
        self.operations = [each.ok() for each in self.schema.get_all_operations()]  # type: ignore[union-attr]

    def strategies(self, only: str, *, last: bool = False) -> Iterator[SearchStrategy[Case[Any]]]:
        """Give each way to make up requests for each operation; ``last``: for what comes after all else."""
        for operation in self.operations:
            if (str(operation.path) == LAST) == last and str(operation.path).startswith(only):
                yield operation.as_strategy(GenerationMode.POSITIVE)
                yield operation.as_strategy(GenerationMode.NEGATIVE)


class Asking:
    """Asks a target, as somebody at random, about sagas that are there or not."""

    def __init__(self, target: Target, chance: random.Random) -> None:
        """Have some sagas there, in all kinds of states."""
        self._target = target
        self._chance = chance
        self._ids = [target.post("/v1/sagas?wait=1s", {"saga": each}).json["id"] for each in SAGAS]
        members = [{"saga": each} for each in SAGAS[:2]]
        batch = target.post("/v1/batches", {"batch": "some", "mode": "best_effort", "sagas": members})
        self._ids.append(batch.json["id"])

    def ask(self, case: Case[Any]) -> None:
        """Send it, and hold the answer to the description."""
        role = self._chance.choice(roles())
        path, body, headers = self._path(case), _body(case), _headers(case)
        said = self._target.ask(case.method, path, body, headers, role)
        self._target.counts["API cases"] += 1
        where = f"{case.method} {path} as {role}, {dict(headers)}, {body!r:.600}"
        described = case.operation.definition.raw
        needs = described["x-role"]
        more = [each for name, each in described.get("x-role-with", {}).items() if _given(case, name)]
        wanted = max(needs, *more, key=RANK.__getitem__) if more else needs
        may = RANK[role] >= RANK[wanted]
        # Whoever may not have all that is asked for may first be told what else is wrong with it.
        refused = said.status == 403 or (RANK[role] >= RANK[needs] and not may and said.status == 422)
        if may == refused and not _unread(said):
            self._target.complain(f"{where}: answered {said.status}, and it is for {wanted}")
        try:
            case.validate_response(_response(said, case.method, path), checks=CHECKS)
        except (Failure, FailureGroup) as failure:
            self._target.complain(f"{where}: {said.status} {said.body!r:.600}: {_why(failure)}")

    def _path(self, case: Case[Any]) -> str:
        given = {name: str(value) for name, value in (case.path_parameters or {}).items()}
        if "id" in given and self._chance.random() < 0.7:
            given["id"] = self._chance.choice([*self._ids, "last"])
        path = str(case.path)
        for name, value in given.items():
            path = path.replace(f"{{{name}}}", quote(value, safe="", errors="surrogatepass"))
        query = dict(case.query or {})
        if "wait" in query and case.method == "POST":
            query["wait"] = "1ms"
        if not query:
            return path
        return f"{path}?{urlencode(query, doseq=True, errors='surrogatepass')}"


def _given(case: Case[Any], name: str) -> bool:
    query, body = dict(case.query or {}), case.body if isinstance(case.body, dict) else {}
    return query.get(name) in (True, "true", "1") or body.get(name) is not None


def _unread(said: Said) -> bool:
    """Tell whether the request was refused before anybody looked who asks: it was no request, or no route."""
    return said.status in (400, 404)


def _body(case: Case[Any]) -> bytes | None:
    if case.body is NOT_SET or case.body is None:
        return b"" if case.method == "POST" else None
    if isinstance(case.body, bytes):
        return case.body
    return json.dumps(case.body).encode("utf-8", "surrogatepass")


def _headers(case: Case[Any]) -> dict[str, str]:
    """Such as can be sent: what http.client refuses to write, no client of that kind can send."""
    return {
        name: str(value) for name, value in (case.headers or {}).items() if _can_be_sent(name, str(value))
    }


def _can_be_sent(name: str, value: str) -> bool:
    return bool(NAME.fullmatch(name)) and value.isascii() and value.isprintable()


def _response(said: Said, method: str, path: str) -> Response:
    headers = {name.lower(): said.headers.get_all(name) or [] for name in said.headers}
    request = requests.Request(method, "http://localhost" + path.partition("?")[0]).prepare()
    return Response(said.status, headers, said.body, request, 0.0, verify=False)


def _why(failure: Failure | FailureGroup) -> str:
    if isinstance(failure, FailureGroup):
        return "; ".join(str(each) for each in failure.exceptions)[:1500]
    return str(failure)[:1500]


def fuzz_api(target: Target, cases: int, number: int, only: str = "") -> None:
    """Ask so many cases in all, each operation as many as the others; ``only`` those whose path begins so.

    With fewer cases than there are operations and ways to ask them, some of them are asked once.
    """
    routes = Routes()
    asking = Asking(target, random.Random(number))
    ways = list(routes.strategies(only))
    if cases < len(ways):
        chosen = sorted(random.Random(number).sample(range(len(ways)), cases))
        ways = [ways[index] for index in chosen]
    end = target.counts["API cases"] + cases
    while ways and (left := end - target.counts["API cases"]) > 0:
        # Some cannot be asked in so many ways: the others are asked for them, in the next round.
        ways = [each for each in ways if _asked(asking, each, -(-left // len(ways)), number)]
        number += 1
    for each in routes.strategies(only, last=True):
        _asked(asking, each, 2, number)


def _asked(asking: Asking, way: SearchStrategy[Case[Any]], cases: int, number: int) -> bool:
    """Ask what is made up so, at most so often; False: nothing can be."""
    try:
        each_of(way, asking.ask, cases, number)
    except HypothesisException:
        return False  # a route that takes nothing cannot be asked wrongly
    return True
