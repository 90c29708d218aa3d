"""JSON by the standard library's parser; a second look at the words gives the places and finds keys given twice."""

from __future__ import annotations

import json
import re

from orchestrator.files.document import Document, Lines, Mark
from orchestrator.files.problems import Path

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_HINTS = {
    "Expecting property name enclosed in double quotes": "quote the key; no comma after the last item",
    "Illegal trailing comma before end of object": "no comma after the last item",  # Python 3.13 and newer
    "Illegal trailing comma before end of array": "no comma after the last item",
}


def read(document: Document, text: str) -> None:
    """Fill in the document's value and marks, or the problem for which there are none."""
    try:
        document.value = json.loads(text)
    except json.JSONDecodeError as error:
        document.marks = Mark(error.lineno, error.colno)
        hint = _HINTS.get(error.msg, "the mistake is here or just before")
        document.problems.append(document.problem((), f"not JSON: {error.msg}", hint))
    except RecursionError:
        document.problems.append(document.problem((), "nested too deeply", "a saga file is flat"))
    except ValueError:  # an integer of more than 4,300 digits; it has no place in the message
        document.problems.append(document.problem((), "a whole number beyond 64 bits", "quote it"))
    else:
        _mark(document, text)


class _Open:
    """An object or list that is being read: its mark, and the key or number of its next value."""

    def __init__(self, mark: Mark, *, is_list: bool) -> None:
        self.mark = mark
        self.is_list = is_list
        self.key: str | None = None
        self.count = 0

    def next_key(self) -> str | int:
        if not self.is_list:
            return self.key or ""
        self.count += 1
        return self.count - 1


def _mark(document: Document, text: str) -> None:
    """Go through the words of a text that is known to be JSON."""
    lines = Lines(text)
    stack: list[_Open] = []
    path: list[str | int] = []
    for match in _TOKEN.finditer(text):
        word, (line, column) = match[0], lines.place(match.start())
        if word in ",:":
            if word == ",":
                stack[-1].key = None
        elif word in "]}":
            stack.pop()
            del path[-1:]
        elif stack and not stack[-1].is_list and stack[-1].key is None:
            _take_key(document, stack[-1], (*path, json.loads(word)), (line, column))
        else:
            mark = Mark(line, column)
            if stack:
                path.append(stack[-1].next_key())
                stack[-1].mark.inside[path[-1]] = mark
            else:
                document.marks = mark
            if word in "[{":
                stack.append(_Open(mark, is_list=word == "["))
            else:
                del path[-1:]


def _take_key(document: Document, top: _Open, path: Path, place: tuple[int, int]) -> None:
    top.key = str(path[-1])
    if top.key in top.mark.keys:
        document.twice(path, top.mark.keys[top.key], place)
    top.mark.keys[top.key] = place
