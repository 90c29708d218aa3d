"""A document that was read: its values, where each of them stands in the text, and what was wrong with it."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any

import msgspec

from orchestrator.files.problems import Path, Problem, shown, suggest, where_text

MOST_NODES = 100_000
"""Values in one document, aliases counted as often as they are used."""
MOST_LEVELS = 100
MOST_PROBLEMS = 200
"""Told of one document; a file with more has one cause, and finding near words for all of them would take long."""
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


class Mark(msgspec.Struct):
    """Where a value stands (line and column from 1), where its keys stand, and the marks of what is inside it.

    Marks form a tree beside the values. What an alias stands for has one mark, at the anchor, where it must be
    mended.
    """

    line: int
    column: int
    keys: dict[str, tuple[int, int]] = {}
    inside: dict[str | int, Mark] = {}


class Lines:
    """Turns offsets in a text into lines and columns."""

    def __init__(self, text: str) -> None:
        """Find where lines begin."""
        self._starts = [0]
        position = text.find("\n")
        while position >= 0:
            self._starts.append(position + 1)
            position = text.find("\n", position + 1)

    def place(self, offset: int) -> tuple[int, int]:
        """Give the line and the column, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


class Document(msgspec.Struct):
    """Values with their places. ``value`` holds nothing but JSON's types and is bounded in size and depth.

    Where the text could not be read at all, ``value`` is UNSET and ``problems`` says why. A document without marks
    (an object given to the API) has paths for places.
    """

    value: Any = msgspec.UNSET
    marks: Mark | None = None
    name: str = ""
    problems: list[Problem] = []

    def problem(self, path: Path, problem: str, hint: str = "", *, key: bool = False) -> Problem:
        """Make a problem with the value at ``path``, or with its key; where there is none, with what encloses it."""
        place = self._place(path, key=key)
        return Problem(where_text(path, self.name, *place), problem, hint, *place)

    def add(self, path: Path, place: tuple[int | None, int | None], problem: str, hint: str = "") -> None:
        """Add a problem at a place that is known, whatever the marks say."""
        self.problems.append(Problem(where_text(path, self.name, *place), problem, hint, *place))

    def twice(self, path: Path, first: tuple[int, int], second: tuple[int, int]) -> None:
        """Add the problem of a key that is there twice, placed at its second time."""
        what = f"the key {shown(str(path[-1]))} is there twice, first on line {first[0]}"
        self.add(path, second, what, "keep one of them")

    def _place(self, path: Path, *, key: bool) -> tuple[int | None, int | None]:
        mark = self.marks
        if mark is None:
            return None, None
        for depth, part in enumerate(path):
            last = depth == len(path) - 1
            if key and last and isinstance(part, str) and part in mark.keys:
                return mark.keys[part]
            if part not in mark.inside:
                break
            mark = mark.inside[part]
        return mark.line, mark.column


class Report:
    """Collects what is wrong with one document, and what is worth a warning."""

    def __init__(self, document: Document) -> None:
        """Begin with what reading the document found."""
        self.document = document
        self.problems = list(document.problems)
        self.warnings: list[Problem] = []
        self._more = 0

    def problem(self, path: Path, problem: str, hint: str = "", *, key: bool = False) -> None:
        """Add a problem with the value at ``path`` (or with its key)."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(self.document.problem(path, problem, hint, key=key))
        else:
            self._more += 1

    def unknown(self, path: Path, what: str, name: str, known: list[str], *, key: bool = False) -> None:
        """Add the problem that ``name`` is not one of the known names, with the nearest of them."""
        hint = suggest(name, known) if len(self.problems) < MOST_PROBLEMS else ""
        self.problem(path, f"unknown {what} {shown(name)}", hint, key=key)

    def warn(self, path: Path, warning: str, hint: str = "", *, key: bool = False) -> None:
        """Add a warning."""
        if len(self.warnings) < MOST_PROBLEMS:
            self.warnings.append(self.document.problem(path, warning, hint, key=key))

    def all(self) -> tuple[Problem, ...]:
        """Give every problem once, by place; those beyond the limit as a number."""
        found = sorted(dict.fromkeys(self.problems), key=lambda it: (it.line or 0, it.column or 0))
        if self._more:
            found.append(self.document.problem((), f"and {self._more} more problems"))
        return tuple(found)


def check_plain(document: Document) -> None:
    """Hold the document's value to JSON's types, to the limits of size and depth; add what is wrong to ``problems``.

    Afterwards the value may be walked recursively and encoded as JSON: what no JSON can hold has been replaced by its
    text, so that the rest can still be checked. A value that is too large or too deep is UNSET.
    """
    top = [document.value]
    stack: list[tuple[Any, Path, Any]] = [(document.value, (), top)]
    nodes = 0
    while stack:
        value, path, holder = stack.pop()
        nodes += 1
        if nodes > MOST_NODES or len(path) > MOST_LEVELS:
            document.value = msgspec.UNSET
            document.problems.append(_too_much(document, path))
            return
        if isinstance(value, dict):
            _check_keys(document, path, value)
            stack.extend((item, (*path, key), value) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((item, (*path, index), value) for index, item in reversed(list(enumerate(value))))
        elif wrong := _wrong_scalar(value):
            _add(document, path, *wrong)
            holder[path[-1] if path else 0] = _as_text(value)
    document.value = top[0]


def _add(document: Document, path: Path, problem: str, hint: str) -> None:
    if len(document.problems) < MOST_PROBLEMS:
        document.problems.append(document.problem(path, problem, hint))


def _check_keys(document: Document, path: Path, value: dict[Any, Any]) -> None:
    for key in list(value):
        if not isinstance(key, str):
            _add(document, path, f"the key {shown(str(key))} is not text", "quote it")
        elif wrong := _wrong_scalar(key):
            _add(document, path, *wrong)
        else:
            continue
        del value[key]


def _too_much(document: Document, path: Path) -> Problem:
    if len(path) > MOST_LEVELS:
        what = f"nested deeper than {MOST_LEVELS} levels"
        return document.problem(path[:4], what, "a saga file is flat; pass deep data as a file")
    what = f"more than {MOST_NODES:,} values, aliases counted as often as they are used"
    return document.problem((), what, "use fewer aliases, or split the saga")


def _as_text(value: Any) -> str:
    try:
        return str(value).encode("utf-8", "replace").decode()
    except ValueError:  # an integer of more than 4,300 digits
        return ""


def _wrong_scalar(value: Any) -> tuple[str, str] | None:
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            return "half of a surrogate pair, which is not text", "remove the lone `\\uD800`…`\\uDFFF`"
    elif value is None or isinstance(value, bool):
        pass
    elif isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            return "a whole number beyond 64 bits", "quote it"
    elif isinstance(value, float):
        if not math.isfinite(value):
            return f"`{value}` is not a number that can be kept", "quote it, or write a number"
    else:
        return f"{shown(str(value))} is a date or time, which no value here can be", "quote it"
    return None
