"""Thousands of runs from seeds, and what they reach. ``MACHINE_RUNS=100000`` for a night's worth."""

import os
import random
from functools import cache
from typing import Any

import pytest

from actors.saga import events as e
from actors.saga import state as s
from actors.saga.holds import Wait
from actors.saga.machine import SAGA, STEP
from tests.machine import scripts
from tests.machine.cases import Chooser, random_case
from tests.machine.reached import Reached
from tests.machine.simulation import KINDS, Simulation

RUNS = int(os.environ.get("MACHINE_RUNS", "2000"))

NOT_YET = {
    "code": {
        "internal": "only where the record of the way back has no error, which no run reaches",
    },
    "wait": {
        "storage": "a full disk is the journal's, not the machine's",
    },
}
"""What no run of the machine can reach today, and why. Whoever makes one of them reachable takes it out of here."""


def run(seed: int, reached: Reached, length: int = 60) -> None:
    """Run one saga from a seed: anything happens, then everything goes well."""
    choose = Chooser(random.Random(seed).choice)
    simulation = Simulation(random_case(choose), choose, reached)
    for _ in range(choose.of((10, 25, length))):
        simulation.anything()
    simulation.calm()


@cache
def reached() -> Reached:
    """Run them all, once."""
    found = Reached()
    for seed in range(RUNS):
        try:
            run(seed, found)
        except Exception as broken:
            broken.add_note(f"seed {seed}")
            raise
    for script in scripts.TOLD:
        _again(script(), found)
    return found


def _again(script: scripts.Script, found: Reached) -> None:
    for kind, values in script.reached.what.items():
        found.what[kind] |= values


@pytest.mark.slow
def test_the_laws_hold_in_every_run() -> None:
    """Random plans, drivers, operators, crashes, other hands and time: every law, after every message."""
    assert reached().what["saga"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "table"), [("saga move", SAGA), ("step move", STEP)])
def test_the_tables_are_exact(kind: str, table: dict[Any, frozenset[Any]]) -> None:
    """Each transition that a table allows is made by some run (the laws see to it that no other is)."""
    allowed = {(start, end) for start, ends in table.items() for end in ends}

    assert reached().what[kind] == allowed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("saga", s.Status.__args__),  # type: ignore[attr-defined]
        ("step", s.StepStatus.__args__),  # type: ignore[attr-defined]
        ("hold", s.Hold.__args__),  # type: ignore[attr-defined]
        ("wait", Wait.__args__),  # type: ignore[attr-defined]
        ("code", s.ErrorCode.__args__),  # type: ignore[attr-defined]
        ("answer", KINDS),
        ("finding", ("done", "not_done", "unclear", "cannot", "postponed")),
        ("event", tuple(e.EVENTS)),
    ],
)
def test_every_word_is_reached(kind: str, words: tuple[str, ...]) -> None:
    """Every status, hold, wait, code, outcome and event occurs in some run, less those that cannot yet."""
    not_yet = set(NOT_YET.get(kind, {}))

    assert reached().what[kind] == set(words) - not_yet


@pytest.mark.slow
def test_every_phase_is_reached() -> None:
    """Each phase of an execution, forward, of a hook and on the way back; a conflict is the way back's alone."""
    phases = set(s.Phase.__args__) - {"over"}  # type: ignore[attr-defined]
    expected = {("undo", phase) for phase in phases}
    expected |= {(way, phase) for way in ("forward", "hook") for phase in phases - {"conflict"}}

    assert reached().what["phase"] == expected
