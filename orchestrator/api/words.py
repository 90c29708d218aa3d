"""Words in requests that stand for something: durations, times, labels, cursors, heads. Read once, at the door."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from datetime import datetime
from typing import Any

import msgspec

from config.durations import parse_duration
from store.audit import Anchor

LONGEST_WAIT = 24 * 3_600_000


class Wait(int):
    """How long to wait, `30s`; in milliseconds. At most a day: whoever wants more asks again."""

    @classmethod
    def read(cls, text: str) -> Wait:
        """Read a duration."""
        milliseconds = parse_duration(text)
        if milliseconds > LONGEST_WAIT:
            raise ValueError(f"`{text}` is more than 24h: wait for less, then ask again")
        return cls(milliseconds)


class Time(int):
    """A time, RFC 3339; in milliseconds, UTC."""

    @classmethod
    def read(cls, text: str) -> Time:
        """Read a time with its offset: `2026-11-21T10:00:00Z`."""
        # In a query a bare `+` is a space: an offset that lost its sign is given it back.
        try:
            moment = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ValueError(f"`{text}` is not a time: write it as 2026-11-21T10:00:00Z")
        return cls(round(moment.timestamp() * 1000))


class Label(str):
    """A label to look for, `site=harbour`."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> Label:
        """Read a label."""
        if "=" not in text[1:]:
            raise ValueError(f"`{text}` is not a label: write NAME=VALUE")
        return cls(text)


class Cursor(str):
    """Where a page ended: what `next` said."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Read a cursor."""
        if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004  an int64 has 19 digits
            raise ValueError(f"`{text}` is not a cursor: give what `next` said of the page before")
        return cls(text)


class Place(tuple[str, str, str]):
    """Where a page of resources ended: what `next` said."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> Place:
        """Read such a cursor: type, name and identity of the page's last."""
        try:
            found = msgspec.json.decode(
                urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[str, str, str]
            )
        except ValueError:
            raise ValueError(f"`{text}` is not a cursor: give what `next` said of the page before") from None
        return cls(found)


class Head(str):
    """A head that was noted down: `SEQ:HASH`, or the hash alone."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> Head:
        """Read a head."""
        return cls(Anchor.read(text))


WORDS: dict[type, dict[str, Any]] = {
    Wait: {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["30s"]},
    Time: {"type": "string", "format": "date-time"},
    Label: {"type": "string", "pattern": "^[^=]+=", "examples": ["site=harbour"]},
    Head: {"type": "string", "pattern": "^([0-9]{1,18}:)?[0-9A-Fa-f]{64}$"},
    Cursor: {"type": "string", "pattern": "^[0-9]{1,18}$"},
    Place: {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
}
"""Each kind of word, and how openapi.json describes it."""


def read_word(kind: type, text: Any) -> Any:
    """Read a word of that kind; raise ValueError with what is wrong (msgspec's `dec_hook`)."""
    if kind not in WORDS:
        raise NotImplementedError(kind)
    if not isinstance(text, str):
        raise TypeError("Expected `str`")
    return kind.read(text)  # type: ignore[attr-defined]


def describe_word(kind: type) -> dict[str, Any]:
    """Give the JSON schema of a kind of word (msgspec's `schema_hook`)."""
    if kind not in WORDS:
        raise NotImplementedError(kind)
    return WORDS[kind]
