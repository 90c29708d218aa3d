"""Words for values: times, ages, shortened outputs, and marks that every terminal can show."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TextIO

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))
_BRIEF_SECONDS = 10


def clean(text: str) -> str:
    """Make a text harmless to print: what a saga's output holds must not steer the reader's terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def brief(value: Any, longest: int = 60) -> str:
    """Write a value on one short line."""
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = "\\n".join(text.splitlines()) if "\n" in text or "\r" in text else text
    return clean(line if len(line) <= longest else line[: longest - 1] + "…")


def pairs(values: Any, longest: int = 40) -> str:
    """Write an object as ``name=value`` words."""
    if not isinstance(values, dict):
        return "" if values is None else brief(values, longest)
    return " ".join(f"{clean(str(name))}={brief(value, longest)}" for name, value in values.items())


def seconds_of(moment: str | None) -> float | None:
    """Give an API's time as seconds since 1970; None where there is none."""
    if not moment:
        return None
    from datetime import datetime

    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None


def age(moment: str | None, now: float | None = None) -> str:
    """Say how long ago something was: ``5s``, ``3h12m``."""
    then = seconds_of(moment)
    return "" if then is None else span(max(0.0, (time.time() if now is None else now) - then))


def took(start: str | None, end: str | None, now: float | None = None) -> str:
    """Say how long something took, or has been taking; nothing where it has not begun."""
    begun, ended = seconds_of(start), seconds_of(end)
    if begun is None:
        return ""
    return span(max(0.0, (ended if ended is not None else time.time() if now is None else now) - begun))


def span(seconds: float) -> str:
    """Write a length of time in its two largest units, and small ones with what matters of their fraction."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < _BRIEF_SECONDS:
        return f"{seconds:.1f}s"
    for index, (unit, size) in enumerate(_UNITS):
        if seconds >= size:
            smaller, below = _UNITS[index + 1] if index + 1 < len(_UNITS) else ("s", 1)
            rest = int(seconds % size) // below
            return f"{int(seconds) // size}{unit}" + (f"{rest}{smaller}" if rest else "")
    return f"{seconds:.0f}s"


def clock(moment: str | None) -> str:
    """Write a time of the API to the second: ``2026-11-21 09:40:12Z``."""
    if not moment or "T" not in moment:
        return moment or ""
    day, _, rest = moment.partition("T")
    return f"{day} {rest[:8]}Z"


def moment(milliseconds: Any) -> str:
    """Write a time of an event, which is UTC milliseconds, as the API writes times."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")[:19] + "Z"
    except (TypeError, ValueError, OverflowError, OSError):
        return str(milliseconds)


def count(number: int, thing: str) -> str:
    """Write a number of things: ``1 warning``, ``2 warnings``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def speaks_unicode(stream: TextIO) -> bool:
    """Tell whether marks beyond ASCII can be shown there.

    Python writes UTF-8 also where the locale is C; a terminal that was told that it is C would show rubbish.
    """
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    return (stream.encoding or "").lower().replace("-", "") == "utf8" and locale not in ("C", "POSIX")


def harden(*streams: Any) -> None:
    """Let nothing that a saga says break the printing of it: what the locale cannot write is escaped."""
    for stream in streams or (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
