"""The README's tour prints what it says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.unit.docs import tour


@pytest.mark.slow
def test_the_tour_prints_what_the_readme_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Command by command, in shape: ids, times and digests differ. `python -m tests.unit.docs.tour` writes it anew."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    text = tour.README.read_text()
    typed = [
        command
        for block in tour.blocks(text)
        if block.language == "console"
        for command in tour.commands(block)
    ]
    with tour.place() as place:
        printed = tour.replay(text, Path(place))
        left = list(Path(place).glob("*"))

    assert len(typed) > 10
    for command, lines in zip(typed, printed, strict=True):
        assert (command.line, tour.shape(lines)) == (command.line, tour.shape(command.shown))
    assert left == []


def test_a_shape_keeps_what_is_the_same_in_every_run() -> None:
    """And nothing of what differs."""
    once = ["n1ztvsr46288  publish-site  completed", "  took: 15ms by root at 2026-11-21 11:06:47Z"]
    again = ["0d9k2m4p6r8t  publish-site  completed", "  took:  1.5s by anna at 2027-01-02 01:02:03Z"]
    other = ["n1ztvsr46288  publish-site  failed", "  took: 15ms by root at 2026-11-21 11:06:47Z"]

    assert tour.shape(once) == tour.shape(again)
    assert tour.shape(once) != tour.shape(other)
