"""What is wrong with a file, and where. Light to import: the command line reads and prints these too."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

Path = tuple[str | int, ...]
"""The way from the top of a document to a value in it: keys and numbers."""

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LONGEST_SHOWN = 60


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: where it is, what it is, what to do about it.

    ``where`` is ``publish.yaml:12:5: steps[2].with.path``: file, line, column and path, as far as they are known.
    Without a file's name it begins with the line, so that whoever knows the name can put it before (``in_file``).
    """

    where: str
    problem: str
    hint: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """Give the problem on one line."""
        return f"{self.where}: {self.problem}" + (f" ({self.hint})" if self.hint else "")


def in_file(name: str, problem: Problem) -> Problem:
    """Give the problem with the file's name put before its place."""
    between = ":" if problem.line is not None else ": "
    return msgspec.structs.replace(problem, where=f"{name}{between}{problem.where}")


def path_text(path: Path) -> str:
    """Write a path as its reader would: ``steps[2].with."X-Header"``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else shown(part, '"'))
    return text


def where_text(path: Path, name: str, line: int | None, column: int | None) -> str:
    """Write a place: whatever is known of file, line and column, then the path."""
    place = ":".join(str(part) for part in (name or None, line, column) if part is not None)
    if not path:
        return place or "the whole file"
    return f"{place}: {path_text(path)}" if place else path_text(path)


def shown(text: str, quote: str = "`") -> str:
    """Quote a user's text for a message: on one line, cut where it is long, harmless to print."""
    cut = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return quote + "".join(char if char.isprintable() else _escaped(char) for char in cut) + quote


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Say which of the known names was probably meant, or else which there are."""
    from difflib import get_close_matches

    names = sorted(known)
    folded = {name.casefold(): name for name in names}
    if near := get_close_matches(wrong[:_LONGEST_SHOWN].casefold(), folded, n=1):
        return f"did you mean `{folded[near[0]]}`?"
    if not names:
        return "there are none"
    return "there are: " + ", ".join(names[:20]) + (", …" if len(names) > 20 else "")  # noqa: PLR2004 - a line's worth
