"""The kinds of value that a setting can have: what a person is told to write, and how it is read.

A field of a settings table is `Annotated[what the program keeps, Kind(...)]`; the aliases below are all there are.
"""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from config.durations import EXAMPLES, RETENTION_EXAMPLES, parse_duration, parse_retention


class Kind(msgspec.Struct, frozen=True):
    """A kind of value: `expects` completes "write …", `read` turns what TOML gave into it or raises ValueError."""

    expects: str
    read: Callable[[Any], Any]


class Rate(msgspec.Struct, frozen=True):
    """So many requests in so long a time: `250/1m` is 250 in 60,000 ms."""

    count: int
    per: int


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _whole(value: object) -> int:
    # TOML's true is Python's True, and that is an int.
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError
    return value


def _absolute(value: object) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise ValueError
    return path


def _mode(value: object) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text := _text(value)):
        raise ValueError
    return int(text, 8)


def _rate(value: object) -> Rate:
    count, slash, per = _text(value).partition("/")
    if not slash or not re.fullmatch(r"[1-9][0-9]{0,8}", count) or (milliseconds := parse_duration(per)) == 0:
        raise ValueError
    return Rate(int(count), milliseconds)


def _program(value: object) -> str:
    text = _text(value)
    return text if text == "*" else str(_absolute(text))


def _url_prefix(value: object) -> str:
    # Without the slash after the host, `https://example.net` would allow `https://example.net.elsewhere.org` too.
    parts = urlsplit(text := _text(value))
    if text != "*" and (parts.scheme not in {"http", "https"} or not parts.netloc or not parts.path):
        raise ValueError
    return text


def _cron(value: object) -> str:
    # Loaded only where somebody has set it: what is built in is known to be right.
    from cronsim import CronSim, CronSimError

    text = _text(value)
    if text == "never":
        return text
    try:
        next(CronSim(text, datetime(2026, 1, 1)))  # noqa: DTZ001  any time does
    except (CronSimError, StopIteration, OverflowError):
        raise ValueError from None
    return text


def _each(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read_list(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError
        return tuple(read(item) for item in value)

    return read_list


def _from_zero(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool | float) else _whole(value)


Text = Annotated[str, Kind("a text", _text)]
Cron = Annotated[str, Kind('a cron expression, as "15 * * * *", or "never"', _cron)]
Texts = Annotated[tuple[str, ...], Kind('a list of texts, as ["root", "@sagad"]', _each(_text))]
Count = Annotated[int, Kind("a whole number, 1 or more", _whole)]
CountFromZero = Annotated[int, Kind("a whole number, 0 or more", _from_zero)]
# Milliseconds, always: what was `30s` in the file is 30000 in the program.
Duration = Annotated[int, Kind(f"a duration: {EXAMPLES}", lambda value: parse_duration(_text(value)))]
# The same, or None for never.
Retention = Annotated[
    int | None,
    Kind(f"how long to keep it: {RETENTION_EXAMPLES}", lambda value: parse_retention(_text(value))),
]
Mode = Annotated[int, Kind('an octal mode in quotes, as "0660"', _mode)]
RequestRate = Annotated[Rate, Kind('a number of requests in a time, as "250/1m"', _rate)]
AbsolutePath = Annotated[Path, Kind('an absolute path, as "/srv"', _absolute)]
AbsolutePaths = Annotated[tuple[Path, ...], Kind('a list of absolute paths, as ["/srv"]', _each(_absolute))]
Programs = Annotated[
    tuple[str, ...],
    Kind('a list of programs by absolute path, as ["/usr/sbin/nginx"], or ["*"] for any', _each(_program)),
]
UrlPrefixes = Annotated[
    tuple[str, ...],
    Kind(
        'a list of addresses with a slash after the host, as ["https://example.net/"], or ["*"] for any',
        _each(_url_prefix),
    ),
]


def kind_of(hint: Any) -> Kind:
    """Find the kind in a field's annotation: `Annotated[…, Kind]`, that or None, or a Literal of texts."""
    if get_origin(hint) is Literal:
        return _choice(get_args(hint))
    for kind in getattr(hint, "__metadata__", ()):
        if isinstance(kind, Kind):
            return kind
    return kind_of(next(choice for choice in get_args(hint) if choice is not NoneType))


def _choice(words: tuple[str, ...]) -> Kind:
    def read_choice(value: object) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    quoted = ", ".join(f'"{word}"' for word in words)
    return Kind(f"one of {quoted}", read_choice)
