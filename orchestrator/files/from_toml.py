"""TOML by the standard library's parser, which keeps no places; a second look at the text finds them.

The scanner below runs only over texts that ``tomllib`` has accepted, so it need not judge, only find its way. Where
it cannot, places are simply not known from there on: paths remain.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress

from orchestrator.files.document import MOST_LEVELS, Document, Lines, Mark

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r'[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_BARE = re.compile(r"[^,\]}#\n]+")
_TEXT = r"""(?>"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_PART = rf"(?>[A-Za-z0-9_-]+|{_TEXT})(?>[ \t]*)\.(?>[ \t]*)"
_TOKEN = re.compile(
    rf"(?P<deep>(?:{_PART}){{{MOST_LEVELS}}})"
    r"""|(?s:"{3}(?:[^\\]|\\.)*?(?:"{3}|\Z)|'{3}.*?(?:'{3}|\Z))"""
    rf"|(?:{_PART})++"
    r"""|(?>[A-Za-z0-9_-]+)|"(?:[^"\\\n]|\\.)*+"?|'[^'\n]*+'?|#[^\n]*"""
)
"""What a text is made of, as far as it matters to find a key of too many parts, and no text that only looks like one."""


def read(document: Document, text: str) -> None:
    """Fill in the document's value and marks, or the problem for which there are none."""
    # For a dotted key of n parts tomllib makes n keys of up to n parts, which takes any memory that there is.
    deep = next((found for found in _TOKEN.finditer(text) if found["deep"]), None)
    if deep is not None:
        document.marks = Mark(*Lines(text).place(deep.start()))
        _too_deep(document)
        return
    try:
        document.value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        _syntax(document, text, str(error))
    except RecursionError:
        _too_deep(document)
    except ValueError as error:  # a date that no calendar has, an integer of more than 4,300 digits
        document.problems.append(document.problem((), f"not TOML: {error}", "quote it"))
    else:
        scanner = _Scanner(text)
        with suppress(_Lost):
            scanner.run()
        document.marks = scanner.root


def _too_deep(document: Document) -> None:
    document.problems.append(document.problem((), "nested too deeply", "a saga file is flat"))


def _syntax(document: Document, text: str, said: str) -> None:
    if at := _AT.search(said):
        said = said[: at.start()]
        document.marks = Mark(int(at[1]), int(at[2])) if at[1] else Mark(*Lines(text).place(len(text)))
    hint = (
        "texts need quotes, tables are [name], lists of tables [[name]]; the mistake is here or just before"
    )
    if said.startswith(("Cannot overwrite", "Cannot declare", "Cannot mutate", "Duplicate")):
        hint = "the same key or table is there twice: keep one of them"
    document.problems.append(document.problem((), f"not TOML: {said}", hint))


class _Lost(Exception):
    """The scanner does not understand what tomllib did."""


class _Scanner:
    """Finds every key and value."""

    def __init__(self, text: str) -> None:
        self.root = Mark(1, 1)
        self._text = text
        self._lines = Lines(text)
        self._at = 0

    def run(self) -> None:
        table = self.root
        while not self._skip_blank():
            if self._text.startswith("[[", self._at):
                table = self._header("]]")
            elif self._text.startswith("[", self._at):
                table = self._header("]")
            else:
                self._pair(table)

    def _skip_blank(self) -> bool:
        """Go on to what comes next; tell whether that is the end."""
        self._at = self._match(_BLANK).end()
        return self._at >= len(self._text)

    def _header(self, close: str) -> Mark:
        start = self._lines.place(self._at)
        self._at += len(close)
        self._spaces()
        *path, last = self._dotted()
        self._spaces()
        self._at += len(close)
        parent = self._down(self.root, path)
        if close == "]":
            return self._down(parent, [last])
        key, place = last
        parent.keys.setdefault(key, place)
        tables = parent.inside.setdefault(key, Mark(*start))
        tables.inside[len(tables.inside)] = table = Mark(*start)
        return table

    def _pair(self, table: Mark, depth: int = 0) -> None:
        *path, (key, place) = self._dotted()
        self._spaces()
        self._at += 1  # the equals sign
        self._spaces()
        table = self._down(table, path)
        table.keys[key] = place
        table.inside[key] = self._value(depth)

    def _down(self, mark: Mark, path: list[tuple[str, tuple[int, int]]]) -> Mark:
        for key, place in path:
            mark.keys.setdefault(key, place)
            mark = mark.inside.setdefault(key, Mark(*place))
            if 0 in mark.inside:  # a list of tables: its latest
                mark = mark.inside[len(mark.inside) - 1]
        return mark

    def _dotted(self) -> list[tuple[str, tuple[int, int]]]:
        keys = [self._key()]
        while dot := _DOT.match(self._text, self._at):
            self._at = dot.end()
            keys.append(self._key())
        return keys

    def _key(self) -> tuple[str, tuple[int, int]]:
        place = self._lines.place(self._at)
        text = self._take(_KEY)
        if text[0] in "\"'":
            text = next(iter(tomllib.loads(f"{text} = 0")))
        return text, place

    def _value(self, depth: int) -> Mark:
        mark = Mark(*self._lines.place(self._at))
        if depth > MOST_LEVELS:
            raise _Lost
        for quotes in ('"""', "'''"):
            if self._text.startswith(quotes, self._at):
                self._long_string(quotes)
                return mark
        match self._text[self._at : self._at + 1]:
            case '"' | "'":
                self._take(_STRING)
            case "[":
                self._items(mark, "]", depth)
            case "{":
                self._items(mark, "}", depth)
            case _:
                self._take(_BARE)
        return mark

    def _items(self, mark: Mark, close: str, depth: int) -> None:
        self._at += 1
        while not self._skip_blank() and not self._text.startswith(close, self._at):
            if self._text.startswith(",", self._at):
                self._at += 1
            elif close == "}":
                self._pair(mark, depth + 1)
            else:
                mark.inside[len(mark.inside)] = self._value(depth + 1)
        self._at += 1

    def _long_string(self, quotes: str) -> None:
        end = self._text.find(quotes, self._at + 3)
        while quotes == '"""' and end > 0 and self._escaped(end):
            end = self._text.find(quotes, end + 1)
        if end < 0:
            raise _Lost
        self._at = end + 3
        for _ in range(2):  # up to two quotes may stand before the closing three
            if self._text.startswith(quotes[0], self._at):
                self._at += 1

    def _escaped(self, at: int) -> bool:
        backslashes = 0
        while self._text[at - 1 - backslashes] == "\\":
            backslashes += 1
        return backslashes % 2 == 1

    def _spaces(self) -> None:
        while self._text.startswith((" ", "\t"), self._at):
            self._at += 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = self._match(pattern)
        self._at = match.end()
        return match[0]

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _Lost
        return match
