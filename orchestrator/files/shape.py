"""The shape of a file: which keys there are, and what kind of value each takes. Knows no drivers and no references.

A reader takes the report, the path and the value, and gives what the plan keeps, or UNSET after it has reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from config.durations import EXAMPLES, NotADuration, parse_duration
from orchestrator.files.document import Report
from orchestrator.files.problems import Path, shown, suggest

Reader = Callable[[Report, Path, Any], Any]

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
KIND = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LONGEST_NAME = 100
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}


def kind_of(value: Any) -> str:
    """Say in a word or two what a value is."""
    return "nothing" if value is None else _WORDS.get(type(value), "a mapping")


def read_keys(
    report: Report, path: Path, value: Any, readers: Mapping[str, Reader], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Read a mapping key by key; give what could be read. Unknown, missing and bad ones are reported."""
    if not isinstance(value, dict):
        wrong_kind(report, path, value, f"a mapping with {_listed(readers)}")
        return {}
    result = {}
    for key, item in value.items():
        if key not in readers:
            report.unknown((*path, key), "key", key, list(readers), key=True)
        elif (read := readers[key](report, (*path, key), item)) is not UNSET:
            result[key] = read
    for key in required:
        if key not in value:
            report.problem(path, f"`{key}` is missing")
    return result


def _listed(readers: Mapping[str, Reader]) -> str:
    return ", ".join(f"`{key}`" for key in list(readers)[:4])


def wrong_kind(report: Report, path: Path, value: Any, wanted: str, hint: str = "") -> Any:
    """Report a value of the wrong kind; give UNSET."""
    if value is None and not hint:
        hint = "leave the key out, or give it a value"
    report.problem(path, f"must be {wanted}, not {kind_of(value)}", hint)
    return UNSET


def text(report: Report, path: Path, value: Any) -> Any:
    """Read a text that is kept as it is."""
    if isinstance(value, str):
        return value
    is_scalar = isinstance(value, bool | int | float)
    return wrong_kind(report, path, value, "text", "quote it" if is_scalar else "")


def plain_text(report: Report, path: Path, value: Any) -> Any:
    """Read a text in which a reference would be a mistake, because nothing resolves it."""
    if isinstance(value, str) and "${" in value:
        report.problem(path, "a reference is not resolved here", "write the text out")
        return UNSET
    return text(report, path, value)


def flag(report: Report, path: Path, value: Any) -> Any:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    said = str(value).casefold()
    hint = {"yes": "write `true`", "on": "write `true`", "no": "write `false`", "off": "write `false`"}.get(
        said
    )
    return wrong_kind(report, path, value, "true or false", hint or "")


def duration(report: Report, path: Path, value: Any) -> Any:
    """Read a duration, in milliseconds; nothing takes no time."""
    if not isinstance(value, str):
        is_number = isinstance(value, int) and not isinstance(value, bool)
        hint = f"with its unit: `{value}s`" if is_number else ""
        return wrong_kind(report, path, value, f"a duration, as {EXAMPLES}", hint)
    try:
        milliseconds = parse_duration(value)
    except NotADuration as error:
        report.problem(path, str(error))
        return UNSET
    if milliseconds:
        return milliseconds
    report.problem(
        path, "a duration must be longer than nothing", "leave the key out where there is no limit"
    )
    return UNSET


def wait(report: Report, path: Path, value: Any) -> Any:
    """Read a duration that may be nothing, in milliseconds."""
    return 0 if value in ("0s", "0ms") else duration(report, path, value)


def choice(*words: str) -> Reader:
    """Make a reader for one of these words."""

    def read(report: Report, path: Path, value: Any) -> Any:
        if isinstance(value, str) and value in words:
            return value
        listed = " or ".join(f"`{word}`" for word in words)
        if isinstance(value, str):
            report.problem(path, f"{shown(value)} is not {listed}", suggest(value, words))
            return UNSET
        return wrong_kind(report, path, value, listed)

    return read


def whole(least: int) -> Reader:
    """Make a reader for a whole number of at least ``least``."""

    def read(report: Report, path: Path, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return wrong_kind(report, path, value, f"a whole number of at least {least}")
        if value >= least:
            return value
        report.problem(path, f"must be at least {least}: {value}")
        return UNSET

    return read


def factor(report: Report, path: Path, value: Any) -> Any:
    """Read by how much waits grow."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return wrong_kind(report, path, value, "a number of at least 1")
    if value >= 1:
        return float(value)
    report.problem(path, f"must be at least 1: {value}", "1 waits the same each time, 2 twice as long")
    return UNSET


def each(read_one: Reader, wanted: str) -> Reader:
    """Make a reader for a list, giving a tuple of what could be read."""

    def read(report: Report, path: Path, value: Any) -> Any:
        if not isinstance(value, list):
            hint = f"write `[{value}]`" if isinstance(value, str) and NAME.fullmatch(value) else ""
            return wrong_kind(report, path, value, f"a list of {wanted}", hint)
        read_all = [read_one(report, (*path, index), item) for index, item in enumerate(value)]
        return tuple(item for item in read_all if item is not UNSET)

    return read


def name(report: Report, path: Path, value: Any) -> Any:
    """Read a name that references can use."""
    rule = "letters, digits, `_` and `-`, beginning with a letter or `_`, at most 100"
    return _matching(report, path, value, NAME, rule)


def kind(report: Report, path: Path, value: Any) -> Any:
    """Read a saga's kind."""
    rule = "small letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 100"
    return _matching(report, path, value, KIND, rule)


def _matching(report: Report, path: Path, value: Any, pattern: re.Pattern[str], rule: str) -> Any:
    if text(report, path, value) is UNSET:
        return UNSET
    if pattern.fullmatch(value) and len(value) <= _LONGEST_NAME:
        return value
    report.problem(path, f"{shown(value)} is not a name", rule)
    return UNSET


def labels(report: Report, path: Path, value: Any) -> Any:
    """Read labels: text to text."""
    if not isinstance(value, dict):
        return wrong_kind(report, path, value, "a mapping of text to text")
    read = {key: plain_text(report, (*path, key), item) for key, item in value.items()}
    return {key: item for key, item in read.items() if item is not UNSET}
