"""The simulated disk is as bad as a disk can be, and no worse."""

from __future__ import annotations

import random

from providers.declarations import declaration_problems
from tests.simulation.disk import SECTOR, File
from tests.simulation.drivers import Bell, Cloud, Place


def test_what_was_synced_outlives_a_power_cut() -> None:
    """Whatever becomes of what came after."""
    file = File(b"")
    file.write(0, b"synced")
    file.sync()
    file.write(6, b" and more")
    left = [file.left(random.Random(seed)) for seed in range(50)]

    assert {each.content()[:6] for each in left if each is not None} == {b"synced"}
    assert len({each.content() for each in left if each is not None}) > 1


def test_what_was_not_synced_may_be_there_whole_in_part_or_not_at_all() -> None:
    """A write is torn at its sectors only."""
    file = File(b"\0" * 3 * SECTOR)
    file.write(0, b"x" * 3 * SECTOR)
    left = {file.left(random.Random(seed)) or File(None) for seed in range(300)}
    sectors = {
        tuple(each.content()[at : at + SECTOR] for at in range(0, 3 * SECTOR, SECTOR)) for each in left
    }

    assert {len(set(each)) for each in sectors} == {1, 2}
    assert {each for row in sectors for each in row} == {b"\0" * SECTOR, b"x" * SECTOR}


def test_a_file_whose_name_was_never_synced_may_be_gone() -> None:
    """And one that is empty is."""
    file = File(None)
    file.write(0, b"new")

    assert {file.left(random.Random(seed)) is None for seed in range(50)} == {True, False}


def test_the_drivers_of_the_simulated_world_are_well_declared() -> None:
    """As those that sagad loads must be."""
    assert declaration_problems(Place) == []
    assert declaration_problems(Cloud) == []
    assert declaration_problems(Bell) == []
