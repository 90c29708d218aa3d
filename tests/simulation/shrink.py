"""Makes a failing scenario small: whatever can be left out while the same law is broken, is.

Nothing of a run depends on the rest of its scenario but through what happens in it (`scenario`), so parts can be taken
out one by one: sagas, steps, words, crashes, troubles, faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from tests.simulation.scenario import Scenario

TRIES = 400
"""Runs that are spent on one scenario at most."""


def shrink(scenario: Scenario, breaks: Callable[[Scenario], bool]) -> Scenario:
    """Give the smallest scenario found for which ``breaks`` is still true."""
    tries = 0
    again = True
    while again:
        again = False
        for smaller in list(_smaller(scenario)):
            tries += 1
            if tries > TRIES:
                return scenario
            if breaks(smaller):
                scenario, again = smaller, True
                break
    return scenario


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Give scenarios with one thing less, the largest things first."""
    yield from _fewer_sagas(scenario)
    for name in ("actions", "crashes", "troubles", "others"):
        for index in range(len(getattr(scenario, name))):
            yield replace(scenario, **{name: _without(getattr(scenario, name), index)})
    if len(scenario.faults) > 1:
        yield replace(scenario, faults={})
    for mark in scenario.faults:
        yield replace(scenario, faults={name: how for name, how in scenario.faults.items() if name != mark})
    for index, file in enumerate(scenario.sagas):
        for smaller in _smaller_file(file):
            sagas = (*scenario.sagas[:index], smaller, *scenario.sagas[index + 1 :])
            yield replace(scenario, sagas=sagas)
    for name, plain in (("passivate", 5_000), ("in_flight", 1_000)):
        if getattr(scenario, name) != plain:
            yield replace(scenario, **{name: plain})


def _fewer_sagas(scenario: Scenario) -> Iterator[Scenario]:
    sagas, starts = scenario.sagas, scenario.starts
    for index in range(len(sagas) - 1, -1, -1):
        if len(sagas) > 1:
            yield replace(scenario, sagas=_without(sagas, index), starts=_without(starts, index))
    if scenario.batch is not None:
        yield replace(scenario, batch=None)


def _smaller_file(file: dict[str, Any]) -> Iterator[dict[str, Any]]:
    steps = file["steps"]
    if len(steps) > 1:
        for gone in range(len(steps) - 1, -1, -1):
            left = [_without_need(step, steps[gone]["name"]) for step in _without(steps, gone)]
            yield {**file, "steps": left}
    for key in ("on_failure", "on_undo_failure", "on_conflict", "deadline", "policy"):
        if key in file:
            yield {name: value for name, value in file.items() if name != key}
    for index, step in enumerate(steps):
        for key in ("hooks", "retry", "undo_retry", "undo", "undo_when", "lock_timeout", "irreversible"):
            if key in step:
                plainer = {name: value for name, value in step.items() if name != key}
                yield {**file, "steps": [*steps[:index], plainer, *steps[index + 1 :]]}


def _without(things: Any, index: int) -> Any:
    return type(things)(each for place, each in enumerate(things) if place != index)


def _without_need(step: dict[str, Any], gone: str) -> dict[str, Any]:
    if gone not in step.get("needs", ()):
        return step
    return {**step, "needs": [name for name in step["needs"] if name != gone]}


def size(scenario: Scenario) -> str:
    """Say how large a scenario is."""
    steps = sum(len(file["steps"]) for file in scenario.sagas)
    wrong = sum(sum(map(bool, how)) for how in scenario.faults.values())
    return (
        f"{len(scenario.sagas)} sagas of {steps} steps, {len(scenario.actions)} words, {len(scenario.crashes)} crashes,"
        f" {wrong} calls that go wrong, {len(scenario.troubles)} times trouble with the disk"
    )
