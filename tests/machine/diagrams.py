"""Draws docs/machine.md's diagrams from the machine's tables: ``python -m tests.machine.diagrams`` writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actors.saga.machine import SAGA, STEP
from actors.saga.verbs import ALREADY, ANOTHER, NO, TABLE

DOC = Path(__file__).parents[2] / "docs" / "machine.md"


def diagram(table: Mapping[Any, frozenset[Any]]) -> str:
    """Give a mermaid diagram of a table of statuses, its first row the start, its empty rows the ends."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for start, ends in table.items():
        lines += [f"    {start} --> {end}" for end in table if end in ends]
    lines += [f"    {start} --> [*]" for start, ends in table.items() if not ends]
    return "\n".join([*lines, "```"])


def verbs() -> str:
    """Give the table of verbs and states."""
    columns = list(next(iter(TABLE.values())))
    lines = [f"| verb | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for verb, cells in TABLE.items():
        words = [
            {NO: "·", ALREADY: "already", ANOTHER: "a new saga"}.get(str(cell), "does it")
            for cell in cells.values()
        ]
        lines.append(f"| {verb} | {' | '.join(words)} |")
    return "\n".join(lines)


DRAWN = {"saga": lambda: diagram(SAGA), "step": lambda: diagram(STEP), "verbs": verbs}


def drawn(text: str) -> str:
    """Give the document with everything that is drawn from tables drawn anew."""
    for name, draw in DRAWN.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        text, found = marks.subn(lambda match, draw=draw: match[1] + draw() + match[2], text)  # type: ignore[misc]
        assert found == 1, f"{DOC} has no place for {name}"
    return text


if __name__ == "__main__":
    DOC.write_text(drawn(DOC.read_text()))
