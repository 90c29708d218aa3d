"""Durations as users write them (SPEC §2: `250ms`, `30s`, `5m`, `2h`, `7d`) and as the program keeps them.

Inside sagad a duration is always a whole number of milliseconds. One unit, no fractions and no sums (`1h30m`): there
is one way to write each, so what is printed can be pasted back.
"""

import re
from collections.abc import Mapping

MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# How long to keep something may also be said in years, of 365 days: nobody prunes a database by leap days.
RETENTION = MILLISECONDS | {"y": 365 * MILLISECONDS["d"]}

# Far beyond any use, and an int64 of milliseconds since 1970 can still have it added.
LONGEST = 1_000 * RETENTION["y"]

EXAMPLES = "`250ms`, `30s`, `5m`, `2h` or `7d`"
RETENTION_EXAMPLES = "`7d`, `1y` or `never`"


class NotADuration(ValueError):
    """This is not a duration."""


def parse_duration(text: str) -> int:
    """Give the milliseconds that a text like `30s` stands for; raise NotADuration with the reason otherwise."""
    return _parse(text, MILLISECONDS, EXAMPLES)


def parse_retention(text: str) -> int | None:
    """Give the milliseconds after which something may be dropped: a duration, years (`1y`), or None for `never`."""
    return None if text == "never" else _parse(text, RETENTION, RETENTION_EXAMPLES)


def format_duration(milliseconds: int) -> str:
    """Write a duration with the largest unit that loses nothing: 90,000 is `90s`, 120,000 is `2m`."""
    if milliseconds < 0:
        message = f"a duration is not negative: {milliseconds}"
        raise ValueError(message)
    for unit in ("d", "h", "m", "s"):
        if milliseconds and milliseconds % MILLISECONDS[unit] == 0:
            return f"{milliseconds // MILLISECONDS[unit]}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def _parse(text: str, units: Mapping[str, int], examples: str) -> int:
    match = re.fullmatch(r"([0-9]{1,20})([a-z]+)", text)
    if match is None or match[2] not in units:
        raise NotADuration(f"`{text}` is not a duration: write {examples}")
    milliseconds = int(match[1]) * units[match[2]]
    if milliseconds > LONGEST:
        raise NotADuration(f"`{text}` is longer than a thousand years")
    return milliseconds
