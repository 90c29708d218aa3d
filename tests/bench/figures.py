"""What is measured, against what is to be reached, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table. ``values`` are of several runs; the median counts."""

    what: str
    values: Sequence[float]
    unit: str = ""
    goal: float | None = None
    """None: it is only told."""
    least: bool = False
    """The goal is the least that it should be; else the most."""
    digits: int = 0

    @property
    def measured(self) -> float:
        """Give the value that counts."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Say `ok`, or how far it is from the goal."""
        if self.goal is None:
            return ""
        if self.measured >= self.goal if self.least else self.measured <= self.goal:
            return "ok"
        return (
            f"short: {self.measured / self.goal:.2f} of it"
            if self.least
            else f"{self.measured / self.goal:.1f} × it"
        )

    def row(self) -> tuple[str, str, str, str, str]:
        """Give what, goal, measured, spread and verdict."""
        goal = "" if self.goal is None else f"{'≥' if self.least else '≤'} {self._text(self.goal)}{self.unit}"
        spread = f"{self._text(min(self.values))} – {self._text(max(self.values))}" + self.unit
        return self.what, goal, f"{self._text(self.measured)}{self.unit}", spread, self.verdict

    def _text(self, value: float) -> str:
        digits = self.digits if value != int(value) else 0
        return f"{value:,.{digits}f}"


def table(title: str, figures: Iterable[Figure]) -> str:
    """Give a Markdown table that can also be read as it is."""
    rows = [(title, "goal", "measured", "of several runs", ""), *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
