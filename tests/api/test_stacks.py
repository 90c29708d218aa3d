"""Stacks through the API, with the real daemon behind it. Each answer is held to what openapi.json promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.promises import ask
from tests.daemon import Daemon

pytestmark = pytest.mark.slow


@pytest.fixture
def daemon(folder: Path) -> Iterator[Daemon]:
    """A daemon of the test's own."""
    with Daemon(folder) as started:
        yield started


def test_a_stack_by_every_shape_of_request(daemon: Daemon, folder: Path) -> None:
    """The file as it is, below `stack`, or as text; the plan as it is, or below `plan`."""
    page = {"type": "local.file", "name": "page", "spec": {"path": f"{folder}/page", "content": "hello"}}
    file: dict[str, Any] = {"stack": "site", "resources": [page]}
    shapes = [file, {"stack": file}, {"source": json.dumps(file), "format": "json"}]
    plans = [ask(daemon, "POST", "/v1/plans", shape) for shape in shapes]
    assert [each.status for each in plans] == [200] * 3
    plan = plans[0].document
    assert all(each.document == plan for each in plans)
    assert {"stack", "hash", "actions"} <= plan.keys()
    assert plan["actions"] == [
        {
            "index": 0,
            "action": "create",
            "type": "local.file",
            "name": "page",
            "changes": [
                {"field": "path", "from": None, "to": f"{folder}/page"},
                {"field": "content", "from": None, "to": "hello"},
            ],
        }
    ]

    made = ask(daemon, "POST", "/v1/plans/apply?wait=30s", plan)
    assert (made.status, made.headers["Location"]) == (201, f"/v1/sagas/{made.document['id']}")
    outcome = {
        "index": 0,
        "action": "create",
        "type": "local.file",
        "name": "page",
        "status": "success",
        "error": None,
    }
    assert made.document["outcomes"] == [outcome]
    assert ask(daemon, "GET", f"/v1/sagas/{made.document['id']}").document["outcomes"] == [outcome]
    nothing = [ask(daemon, "POST", "/v1/plans/apply", shape) for shape in shapes]
    assert {(each.status, each.document["did"]) for each in nothing} == {(200, "nothing")}
    stale = ask(daemon, "POST", "/v1/plans/apply", {"plan": plan})
    assert (stale.status, stale.document["code"]) == (409, "stale")


def test_what_is_no_stack_is_refused(daemon: Daemon) -> None:
    """With every problem and its place; of a saga without a stack there are no outcomes."""
    bodies: list[dict[str, Any]] = [
        {},
        {"stack": "s"},
        {"stack": "s", "resources": [{}]},
        {"stack": {"stack": "s", "resource": []}},
        {"source": "stack: [", "format": "yaml"},
        {"source": "stack: s"},
        {"source": "stack: s", "format": "yaml", "stack": "s"},
        {"stack": "s", "resources": [], "on_failure": "never"},
        {"plan": {"actions": []}},
    ]
    answers = [
        ask(daemon, "POST", path, body) for body in bodies for path in ("/v1/plans", "/v1/plans/apply")
    ]
    plain = daemon.submit(
        {"saga": "plain", "steps": [{"name": "a", "do": "test.echo", "with": {"message": "x"}}]}
    )

    assert {each.status for each in answers} == {422}
    assert all(each.document["errors"] for each in answers)
    assert "outcomes" not in plain
