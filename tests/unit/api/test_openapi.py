from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from orchestrator.api.app import find
from orchestrator.api.openapi import document
from orchestrator.api.route import Route
from orchestrator.api.routes import ROUTES
from orchestrator.problems import NotFound
from orchestrator.requests import VERBS, VerbBody

DOCUMENT = msgspec.json.decode(msgspec.json.encode(document(ROUTES, "1.2.3")))


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str):
            yield ref
        for each in node.values():
            yield from _refs(each)
    elif isinstance(node, list):
        for each in node:
            yield from _refs(each)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return operation


def test_it_says_what_it_is() -> None:
    """It says what it is."""
    assert (DOCUMENT["openapi"], DOCUMENT["info"]["version"]) == ("3.1.0", "1.2.3")


def test_every_route_is_there_and_nothing_else() -> None:
    """Every route is there and nothing else."""
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}

    assert described == {(route.method, route.path) for route in ROUTES}


def test_every_reference_leads_somewhere() -> None:
    """Every reference leads somewhere."""

    def target(ref: str) -> Any:
        node: Any = DOCUMENT
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]
        return node

    assert all(isinstance(target(ref), dict) for ref in _refs(DOCUMENT))


def test_every_schema_is_used_and_described() -> None:
    """Every schema is used and described."""
    schemas = DOCUMENT["components"]["schemas"]
    used = {ref.rpartition("/")[2] for ref in _refs(DOCUMENT)}

    assert schemas.keys() - used == set()
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []


def test_operation_ids_are_unique_names() -> None:
    """Operation ids are unique names."""
    ids = [_operation(route)["operationId"] for route in ROUTES]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z_]+", each) for each in ids)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
class TestEachRoute:
    """What holds for the description of each route."""

    def test_names_what_is_in_its_path(self, route: Route) -> None:
        """Each variable is a parameter, and is required."""
        named = {each["name"] for each in _operation(route)["parameters"] if each["in"] == "path"}

        assert named == set(re.findall(r"\{(\w+)\}", route.path))

    def test_names_its_query(self, route: Route) -> None:
        """Each parameter has a type, and none may be null."""
        query = {
            each["name"]: each["schema"] for each in _operation(route)["parameters"] if each["in"] == "query"
        }

        assert query.keys() == {field.encode_name for field in msgspec.structs.fields(route.query)}
        assert all(
            "null" not in str(schema) and ("type" in schema or "enum" in schema) for schema in query.values()
        )

    def test_has_a_success_and_the_problems_of_every_route(self, route: Route) -> None:
        """And a body's problems where it takes one."""
        responses = _operation(route)["responses"].keys()

        assert {"200", "400", "403", "422", "500", "503"} <= responses
        assert ("413" in responses) == (route.method == "POST")
        assert ("404" in responses) >= ("{" in route.path)

    def test_has_a_body_only_where_one_is_taken(self, route: Route) -> None:
        """POST takes one, GET none."""
        assert ("requestBody" in _operation(route)) == (route.method == "POST")

    def test_says_who_may_use_it(self, route: Route) -> None:
        """The role is that of the table."""
        assert _operation(route)["x-role"] == route.role
        assert _operation(route).get("x-role-with", {}) == route.role_with

    def test_is_found_by_its_path(self, route: Route) -> None:
        """With the saga that the path names."""
        path = route.path.replace("{id}", "last").replace("{type}/{name}", "local.file//srv/a")
        named = "last" if "{id}" in route.path else "local.file//srv/a" if "{type}" in route.path else ""

        assert find(route.method, path) == (route, named)


def test_each_verb_says_what_it_takes() -> None:
    """Each verb says what it takes."""
    takes = {
        verb: _operation(find("POST", f"/v1/sagas/x/{verb}")[0])["requestBody"]["description"]
        for verb in VERBS
    }

    assert takes["cancel"] == "Takes `now`, `reason`."
    assert takes["resolve"] == "Takes `step`, `as`, `output`, `reason`. It needs `step`, `as`."
    assert takes["abandon"] == "Takes `reason`. It needs `reason`."


def test_verbs_take_nothing_that_the_body_has_not() -> None:
    """Verbs take nothing that the body has not."""
    fields = {field.encode_name for field in msgspec.structs.fields(VerbBody)}

    assert {name for verb in VERBS.values() for name in (*verb.takes, *verb.needs)} | {"reason"} == fields


@pytest.mark.parametrize(
    "path", ["/v1/sagas//why", "/v1/sagas/a/b/why", "/v1/sagas/a/", "//v1/health", "v1/health", "*"]
)
def test_paths_that_are_nearly_right_are_not(path: str) -> None:
    """Paths that are nearly right are not."""
    with pytest.raises(NotFound):
        find("GET", path)
