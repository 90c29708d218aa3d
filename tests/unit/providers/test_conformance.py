"""The conformance suite for the drivers without a resource of their own, as far as its laws speak of such.

`command.run` changes what it knows nothing of, `test.echo` touches nothing at all: the laws about
resources, before-images and boundaries of the file system are those of `tests/unit/providers/local/`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from providers.command import Command
from providers.contract import Driver
from providers.http import Http
from providers.test import Test
from providers.wait import Wait
from tests.conformance import (
    Case,
    Law,
    State,
    Trials,
    a_restore_is_taken_back_in_turn,
    finding_after_a_lost_answer,
    finding_before_the_effect,
    going_forward_again_after_a_restore,
    incomplete,
    outputs_are_those_declared,
    planning_changes_nothing,
    restoring_gives_everything_back,
    restoring_is_not_repeated_where_it_is_done,
)


class Place:
    """A folder that commands may write to."""

    varying: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        self.here = folder
        self.settings: Mapping[str, Any] = {"allow": ["*"]}
        self.words: Mapping[str, str] = {"here": str(folder)}

    def state(self) -> State:
        """Look at every file."""
        return {path.name: {"content": path.read_bytes()} for path in self.here.iterdir()}


CASES = {
    Command: Case("silent", "run", {"argv": ["touch", "{here}/x"], "check": ["test", "-e", "{here}/x"]}),
    Test: Case("echo", "echo", {"message": {"a": [1, None]}}),
}

LAWS: Mapping[type[Driver], Sequence[Law]] = {
    Command: [
        planning_changes_nothing,
        outputs_are_those_declared,
        finding_before_the_effect,
        finding_after_a_lost_answer,
    ],
    Test: [
        planning_changes_nothing,
        outputs_are_those_declared,
        restoring_gives_everything_back,
        going_forward_again_after_a_restore,
        a_restore_is_taken_back_in_turn,
        restoring_is_not_repeated_where_it_is_done,
    ],
}


@pytest.mark.parametrize(
    ("driver", "law"),
    [
        pytest.param(driver, law, id=f"{driver.type}-{getattr(law, '__name__', law)}")
        for driver, laws in LAWS.items()
        for law in laws
    ],
)
async def test_a_driver_keeps_its_promises(driver: type[Driver], law: Law, tmp_path: Path) -> None:
    """One law at a time."""
    await law(Trials(driver, Place, CASES[driver], tmp_path))


@pytest.mark.parametrize("driver", [Command, Http, Wait, Test])
def test_a_declaration_is_complete(driver: type[Driver]) -> None:
    """By the suite's own measure, which a driver of another package meets first."""
    assert incomplete(driver) == []
