"""How cases are made up: from a number alone, and as many as wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy


def each_of(strategy: SearchStrategy[Any], check: Callable[[Any], None], cases: int, number: int) -> None:
    """Check what the strategy makes of the number, at most so many cases."""

    @seed(number)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(case: Any) -> None:
        check(case)

    one()
