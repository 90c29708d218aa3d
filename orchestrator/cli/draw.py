"""Lines and tables on paper: fitted and coloured by rich on a terminal, plain and whole everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.cli.session import Session
from orchestrator.cli.text import clean

if TYPE_CHECKING:
    from rich.console import Console, Group, RenderableType
    from rich.text import Text

_SHORT = 12
"""Characters of a cell that is not folded: an id's."""

Words = list[tuple[str, str]]
"""One line: texts, each with the style that a terminal gives it."""

_STYLES = {
    "completed": "green",
    "running": "bold cyan",
    "failed": "bold red",
    "compensation_failed": "bold red",
    "unknown": "bold yellow",
    "hold": "bold yellow",
    "compensating": "magenta",
    "compensated": "magenta",
    "rolled_back": "magenta",
    "kept": "yellow",
    "faint": "dim",
    "pending": "dim",
    "skipped": "dim",
    "strong": "bold",
    "conflict": "bold yellow",
    "fail": "bold red",
    "keep": "yellow",
    "nothing": "dim",
    "already": "dim",
}


def style(name: str) -> str:
    """Give rich's style for a status or a role; a status of a later version has none."""
    return _STYLES.get(name, "")


def print_lines(session: Session, lines: Sequence[Words]) -> None:
    """Print lines to stdout."""
    if sys.stdout.isatty():
        console(session, sys.stdout).print(picture(lines))
    else:
        sys.stdout.writelines(f"{plain(line)}\n" for line in lines)


def plain(line: Words) -> str:
    """Give a line without its styles."""
    return clean("".join(text for text, _ in line)).rstrip()


def picture(lines: Sequence[Words]) -> RenderableType:
    """Make what rich draws of lines. Markup in a saga's own words stays words."""
    from rich.console import Group
    from rich.text import Text

    return Group(*(Text.assemble(*((clean(text), style(name)) for text, name in line)) for line in lines))


def print_table(
    session: Session, heads: Sequence[str], rows: Sequence[Sequence[Any]], *, styled: int = -1
) -> None:
    """Print a table to stdout; the words of column ``styled`` are statuses. Without rows it prints nothing."""
    cells = [["" if cell is None else clean(str(cell)) for cell in row] for row in rows]
    if not cells:
        return
    if sys.stdout.isatty():
        paper = console(session, sys.stdout)
        paper.print(_table(heads, cells, styled, paper.width))
    else:
        sys.stdout.writelines(f"{line}\n" for line in columns([list(heads), *cells]))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows under each other, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], styled: int, room: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    widest = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    words = [
        [Text(cell, style(cell.split(",")[0]) if at == styled else "") for at, cell in enumerate(row)]
        for row in rows
    ]
    if sum(min(each, _SHORT) + 2 for each in widest) > room:
        return _stacked(heads, words, widest, room)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    # An id must not be cut, wherever it stands: it is what the next command is given. Long cells are folded.
    for head, most in zip(heads, widest, strict=True):
        table.add_column(head, no_wrap=most <= _SHORT, min_width=min(most, _SHORT), overflow="fold")
    for row in words:
        table.add_row(*row)
    return table


def _stacked(heads: Sequence[str], rows: Sequence[Sequence[Text]], widest: Sequence[int], room: int) -> Group:
    """Draw as many columns as there is room for, and what is in the others below each row, a line each."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    beside, left = 1, room - widest[0]
    while beside < len(heads) and left >= widest[beside] + 2:
        left -= widest[beside] + 2
        beside += 1
    lines: list[RenderableType] = [_line([Text(head, "bold") for head in heads[:beside]], widest)]
    for row in rows:
        lines.append(_line(row[:beside], widest))
        for head, cell in zip(heads[beside:], row[beside:], strict=True):
            if cell.plain:
                lines.append(Padding(Text.assemble((f"{head.lower()}: ", "dim"), cell), (0, 0, 0, 4)))
    return Group(*lines)


def _line(cells: Sequence[Text], widest: Sequence[int]) -> Text:
    from rich.text import Text

    padded = [cell + " " * (width - len(cell)) for cell, width in zip(cells, widest, strict=False)]
    return Text("  ", no_wrap=True).join(padded)


def console(session: Session, stream: TextIO) -> Console:
    """Make rich's console for a stream: colours only on a terminal that is asked for them."""
    from rich.console import Console

    terminal = stream.isatty()
    # No colour system means no escape codes at all; rich's own no_color would leave bold and dim in.
    system: Any = "auto" if terminal and session.color else None
    return Console(
        file=stream, color_system=system, force_terminal=terminal, markup=False, emoji=False, highlight=False
    )
