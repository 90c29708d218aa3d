"""What becomes of the undos of a type's steps, through the socket: as its driver, the node and the saga file say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.engine.test_run import echo, fail, put, statuses

SETTINGS = """
[policy."local.file"]
undo = "hold"
[policy.command]
undo = "required"
[policy.test]
undo = "none"
[policy."local.fiel"]
undo = "required"
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a word for some types."""
    with Daemon(tmp_path_factory.mktemp("strict"), SETTINGS) as made:
        yield made


def command(**more: Any) -> dict[str, Any]:
    """A step that no driver can undo."""
    return {"name": "one", "do": "command.run", "with": {"argv": ["true"]}, **more}


def test_required_refuses_a_step_without_a_way_back(strict: Daemon) -> None:
    """Nothing starts; an undo of its own will do, `undo: none` will not."""
    undo = {"do": "command.run", "with": {"argv": ["true"]}}
    refused = [
        strict.ask("POST", "/v1/sagas", {"saga": {"saga": "a", "steps": [step]}})
        for step in (command(), command(undo="none"), command(undo="none", irreversible=True))
    ]
    accepted = strict.submit({"saga": "a", "steps": [command(undo=undo)]})

    assert [status for status, _ in refused] == [422, 422, 422]
    assert refused[0][1]["errors"][0]["problem"] == (
        "`command` requires a way back by the settings of this node, and this step has none"
    )
    assert accepted["status"] == "completed"


def test_none_keeps_steps_with_a_warning(strict: Daemon) -> None:
    """They end `kept`, and the saga names them as left behind; a type without a word goes as ever."""
    saga = {"saga": "a", "steps": [echo("one"), fail("two")]}
    validated = strict.ask("POST", "/v1/validate", {"saga": saga})[1]
    ended = strict.submit(saga)

    assert "`test` is not undone, by the settings of this node" in validated["warnings"][0]["problem"]
    assert (ended["status"], statuses(ended)) == ("rolled_back", ["kept", "failed"])
    assert [each["step"] for each in ended["left_behind"]] == ["one"]


def test_a_file_can_say_none_for_a_type(daemon: Daemon, tmp_path: Path) -> None:
    """The files stay, what is of another type is taken back."""
    target = tmp_path / "file"
    saga = {
        "saga": "a",
        "policy": {"local.file": {"undo": "none"}},
        "steps": [echo("zero"), put("one", target, "x"), fail("two")],
    }
    ended = daemon.submit(saga)

    assert statuses(ended) == ["compensated", "kept", "failed"]
    assert target.read_text() == "x"


def test_a_file_can_say_that_a_type_asks(daemon: Daemon) -> None:
    """`approve` for the steps of a type alone."""
    saga = {
        "saga": "a",
        "policy": {"test": {"approve": "each"}},
        "steps": [{"name": "zero", "do": "wait.timer", "with": {"duration": "1ms"}}, echo("one")],
    }
    held = daemon.submit(saga)
    daemon.say(held["id"], "approve")

    assert (held["hold"]["reason"], statuses(held)) == ("approval", ["completed", "pending"])
    assert daemon.wait_ended(held["id"])["status"] == "completed"


def test_providers_tell_each_types_policy(strict: Daemon) -> None:
    """The driver's, the node's, and what they come to; a type of the settings that there is none of is a warning."""
    listed = strict.ask("GET", "/v1/providers")[1]["providers"]
    policies = {each["type"]: each["undo_policy"] for each in listed}
    warnings = strict.ask("GET", "/v1/health")[1]["warnings"]

    assert policies["local.file"] == {
        "driver": "auto",
        "node": "hold",
        "effective": "hold",
        "asks_first": True,
    }
    assert policies["command"]["effective"] == "required"
    assert policies["wait"] == {"driver": "auto", "node": "auto", "effective": "auto", "asks_first": False}
    assert 'the settings have [policy."local.fiel"]' in warnings[0]
    assert "did you mean `local.file`?" in warnings[0]


def test_a_reload_takes_the_new_policy(tmp_path: Path) -> None:
    """For what is submitted from then on, also of a file that was compiled before."""
    saga = {"saga": "a", "steps": [command()]}
    with Daemon(tmp_path) as daemon:
        before = daemon.ask("POST", "/v1/validate", {"saga": saga})[1]
        daemon.config.write_text('[policy.command]\nundo = "required"\n')
        changed = daemon.ask("POST", "/v1/reload")[1]["changed"]
        after = daemon.ask("POST", "/v1/validate", {"saga": saga})[1]

    assert (before["problems"], changed) == ([], ["policy"])
    assert "requires a way back" in json.dumps(after["problems"])
