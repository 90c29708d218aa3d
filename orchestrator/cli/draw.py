"""Lines and tables on paper: fitted and coloured by rich on a terminal, plain and whole everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.cli.session import Session
from orchestrator.cli.text import clean

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_SHORT = 10

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

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    # An id that does not fit must not be cut: it is what the next command is given. Where there is room for it, the
    # long cells are folded before any short one.
    widest = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    roomy = sum(min(each, _SHORT) + 2 for each in widest[1:]) + widest[0] <= room
    for index, head in enumerate(heads):
        table.add_column(head, no_wrap=index == 0 or (roomy and widest[index] <= _SHORT), overflow="fold")
    for row in rows:
        words = (style(cell.split(",")[0]) if index == styled else "" for index, cell in enumerate(row))
        table.add_row(*(Text(cell, name) for cell, name in zip(row, words, strict=True)))
    return table


def console(session: Session, stream: TextIO) -> Console:
    """Make rich's console for a stream: colours only on a terminal that is asked for them."""
    from rich.console import Console

    terminal = stream.isatty()
    # No colour system means no escape codes at all; rich's own no_color would leave bold and dim in.
    system: Any = "auto" if terminal and session.color else None
    return Console(
        file=stream, color_system=system, force_terminal=terminal, markup=False, emoji=False, highlight=False
    )
