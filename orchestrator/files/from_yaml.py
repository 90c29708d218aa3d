"""YAML by libyaml's events, built without recursion, so that no text can exhaust the stack.

Plain words follow YAML 1.2's core schema rather than 1.1, which PyYAML has by default: ``yes``, ``no``, ``on`` and
``off`` are text, and so are dates, times and ``22:30``; true and false are ``true`` and ``false``. One thing goes
beyond 1.2: digits with a leading zero stay text, because ``mode: 0640`` and ``id: 007`` never mean 640 and 7.

Aliases are the same value at each place; what they add up to is bounded by ``check_plain``, which every document goes
through. Merge keys (``<<``) and tags other than ``!!str`` are not understood.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from orchestrator.files.document import MOST_LEVELS, MOST_NODES, Document, Mark
from orchestrator.files.problems import Path, shown

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_OTHER_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_LONGEST_NUMBER = 400
_TAG = "tag:yaml.org,2002:"
_HINTS = (
    ("mapping values are not allowed", "quote a text that has `: ` in it, or check the indentation"),
    ("tab character", "indent with spaces, not tabs"),
    ("cannot start any token", "indent with spaces, not tabs; quote a text that begins with @, ` or %"),
    ("expected ',' or", 'close the bracket, and inside brackets quote what has `${…}` in it: "${inputs.x}"'),
    ("expected '-' indicator", "keys and list items do not mix at one indentation"),
    ("expected <block end>", "check the indentation; quote a text that begins with a quote, [ or {"),
    ("could not find expected ':'", "a key needs a colon and a space after it"),
    ("unexpected end of stream", "close the quote or the bracket"),
)


class _Refused(Exception):
    """The rest of the text cannot be read. Carries what is wrong and what to do."""


def read(document: Document, text: str) -> None:
    """Fill in the document's value and marks, or the problem for which there are none."""
    builder = _Builder(document)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except _Refused as refused:
        document.problems.append(document.problem((), *refused.args))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.marks = Mark(line, error.position - text.rfind("\n", 0, error.position))
        what = f"not YAML: the character {shown(chr(error.character))} is not allowed"
        document.problems.append(
            document.problem((), what, "remove it, or write it as an escape in double quotes")
        )
    except yaml.YAMLError as error:
        document.problems.append(_syntax(document, error))
    else:
        document.value = builder.value


def _syntax(document: Document, error: yaml.YAMLError) -> Any:
    said = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    if mark := getattr(error, "problem_mark", None):
        document.marks = Mark(mark.line + 1, mark.column + 1)
    hint = next((hint for sign, hint in _HINTS if sign in said), "the mistake is here or just before")
    return document.problem((), f"not YAML: {said}" + (f" ({context})" if context else ""), hint)


class _Open:
    """A mapping or list that is being read."""

    def __init__(self, value: Any, mark: Mark, anchor: str | None, path: Path) -> None:
        self.value = value
        self.mark = mark
        self.anchor = anchor
        self.path = path
        self.key: str | None = None


class _Builder:
    """Puts a document together from events."""

    def __init__(self, document: Document) -> None:
        self.value: Any = None
        self._document = document
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, Mark] | None] = {}
        self._documents = 0
        self._nodes = 0

    def take(self, event: Any) -> None:
        """Take the next event. Raises _Refused where nothing sensible can follow."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._start(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._refuse(event, "a second document begins here", "one saga a file: remove the `---`")

    def _scalar(self, event: Any) -> None:
        plain = event.tag is None and event.implicit[0]
        value = _plain(event.value) if plain else event.value
        if self._wants_key():
            self._key(event, value)
            return
        path, mark = self._path(), Mark(*_place(event))
        self._put(value, mark)
        if event.tag not in (None, "!", _TAG + "str"):
            self._bad_tag(path, event)
        if event.anchor:
            self._anchors[event.anchor] = (value, mark)

    def _key(self, event: Any, value: Any) -> None:
        top, place = self._stack[-1], _place(event)
        top.key = key = str(event.value)
        path = (*top.path, key)
        if key in top.mark.keys:
            self._document.twice(path, top.mark.keys[key], place)
        top.mark.keys[key] = place
        if not isinstance(value, str):
            self._document.add(path, place, f"the key {shown(key)} is not text", f'quote it: "{key}"')
        elif key == "<<" and event.implicit[0]:
            what = "merge keys (`<<`) are not understood"
            self._document.add(path, place, what, "write the keys out, or use an alias for a whole value")
        if event.anchor:
            self._anchors[event.anchor] = (value, Mark(*place))

    def _start(self, event: Any) -> None:
        if self._wants_key():
            self._refuse(event, "a key must be text, not a list or mapping", "quote what begins with [ or {")
        if len(self._stack) > MOST_LEVELS:
            self._refuse(event, f"nested deeper than {MOST_LEVELS} levels", "a saga file is flat")
        path, mark = self._path(), Mark(*_place(event))
        value: Any = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        self._put(value, mark)
        if event.tag not in (None, "!", _TAG + "seq", _TAG + "map"):
            self._bad_tag(path, event)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(value, mark, event.anchor, path))

    def _end(self) -> None:
        ended = self._stack.pop()
        if ended.anchor:
            self._anchors[ended.anchor] = (ended.value, ended.mark)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        if name not in self._anchors:
            self._refuse(event, f"unknown alias `*{name}`", "an anchor (`&…`) must stand before its aliases")
        found = self._anchors[name]
        if found is None:
            self._refuse(event, f"the alias `*{name}` contains itself", "write it out")
        if self._wants_key():
            self._refuse(event, "an alias cannot be a key", "write the key out")
        self._put(*found)

    def _put(self, value: Any, mark: Mark) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _Refused(f"more than {MOST_NODES:,} values", "split the saga")
        if not self._stack:
            self.value, self._document.marks = value, mark
            return
        top = self._stack[-1]
        if isinstance(top.value, list):
            top.mark.inside[len(top.value)] = mark
            top.value.append(value)
        else:
            key, top.key = top.key or "", None
            top.mark.inside[key] = mark
            top.value[key] = value

    def _wants_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _path(self) -> Path:
        if not self._stack:
            return ()
        top = self._stack[-1]
        return (*top.path, len(top.value) if isinstance(top.value, list) else top.key or "")

    def _bad_tag(self, path: Path, event: Any) -> None:
        tag = event.tag.replace(_TAG, "!!")
        what = f"the tag {shown(tag)} is not understood"
        self._document.add(path, _place(event), what, "write the plain value")

    def _refuse(self, event: Any, what: str, hint: str) -> NoReturn:
        self._document.marks = Mark(*_place(event))
        raise _Refused(what, hint)


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _plain(text: str) -> Any:
    """Give what an unquoted word stands for."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OTHER_INT.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(_NOT_FINITE[text.lower()]) if text.lower() in _NOT_FINITE else text
