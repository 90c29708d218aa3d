"""SPEC §3's table: what is not possible in a state is 409, and names what is instead."""

from __future__ import annotations

import pytest

from tests.daemon import Daemon
from tests.faults.folder import saga

ECHO = {"name": "one", "do": "test.echo", "with": {"message": "x"}}
FAIL = {"name": "last", "do": "test.fail", "with": {}}
UNKNOWN = {"name": "last", "do": "test.fail", "with": {"kind": "unknown"}}
POINT = {**ECHO, "irreversible": True}
BROKEN = {**ECHO, "undo": {"do": "test.fail", "with": {}}}


@pytest.mark.parametrize(
    ("steps", "verb", "instead"),
    [
        ([ECHO], "cancel", "rollback"),
        ([ECHO, UNKNOWN], "retry", "resolve"),
        ([ECHO, UNKNOWN], "rollback", "cancel"),
        ([POINT, FAIL], "cancel", "rollback"),
        ([BROKEN, FAIL], "cancel", "retry"),
    ],
)
def test_a_verb_that_is_not_possible_names_what_is(
    daemon: Daemon, steps: list[dict[str, object]], verb: str, instead: str
) -> None:
    """After `possible:`, or in words of its own."""
    id_ = daemon.submit(saga("refused", steps))["id"]
    status, answer = daemon.say(id_, verb)

    assert (status, answer["code"]) == (409, "conflict")
    assert instead in answer["detail"].partition("; ")[2]
