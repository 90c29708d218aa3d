"""Scenarios that once broke a law, made small: what was wrong was mended, and must stay so.

They are kept whole, not by their seeds: what a seed comes to changes with `scenario`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from tests.simulation.scenario import Scenario

FILE = Path(__file__).with_name("regressions.jsonl")


class Regression(msgspec.Struct, frozen=True):
    """A scenario, the law that it broke, and what was wrong."""

    law: str
    why: str
    scenario: Scenario


@cache
def regressions() -> list[Regression]:
    """Give them all."""
    decode = msgspec.json.Decoder(Regression).decode
    lines = FILE.read_bytes().splitlines() if FILE.exists() else []
    return [decode(line) for line in lines if line.strip()]
