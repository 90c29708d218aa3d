"""The rules by which a spec is held against what is there (SPEC §6). Pure; docs/drift.md has them in words.

- Only what the spec sets is compared, at every depth. What it sets to null is not set, and null is the same as absent.
- Scalars are compared as text: 1, 1.0 and "1" are the same, and so are true and "true". Of two texts every character
  counts: "1.0" is not "1".
- Lists are sets: neither order nor repetition counts, [80, 80] is [80]. An empty list or object is the same as none.
- Objects are compared by path. In a list of objects one of the spec is there if one of the live ones has all that it
  sets, and each of the live ones must be meant by one of the spec.
- The driver's own normalisation comes first.
- A field that its driver does not show at all cannot be compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

Normalise = Callable[[str, Any], Any]

MOST_PAIRS = 250_000
"""Of two lists: beyond that, elements are the same only if they are alike in everything."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_BEGINS = frozenset("-0123456789")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PART = re.compile(r'\.?([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\]')


class Difference(NamedTuple):
    """What the spec wants at a path, and what is there instead."""

    field: str
    wanted: Any
    live: Any


def _as_it_is(_field: str, value: Any) -> Any:
    return value


def differences(
    spec: Mapping[str, Any], live: Mapping[str, Any], normalise: Normalise = _as_it_is
) -> list[Difference]:
    """Give every difference between a spec and the fields of what is there."""
    return [
        difference
        for name, wanted in spec.items()
        if name in live
        for difference in _of_field(name, wanted, live[name], normalise)
    ]


def _of_field(name: str, wanted: Any, live: Any, normalise: Normalise) -> Iterator[Difference]:
    """Compare a field in its normal form; what differs as a whole is told as it is written."""
    normal, there = _normal(normalise, name, wanted), _normal(normalise, name, live)
    if equal(normal, there):
        return
    kept = _in_place(name, wanted, normal, normalise)
    found = list(_within(_key_text("", name), normal if kept is None else kept, there))
    if len(found) == 1 and found[0].field == _key_text("", name):
        yield Difference(found[0].field, wanted, live)
    else:
        yield from found


def _normal(normalise: Normalise, name: str, value: Any) -> Any:
    """Give a value's normal form. One that its driver cannot bring into it is compared as it is."""
    try:
        return normalise(name, value)
    except Exception:  # noqa: BLE001  somebody else's code, and a value that it has not made
        return value


def _in_place(name: str, wanted: Any, normal: Any, normalise: Normalise) -> list[Any] | None:
    """Give a list's elements in their normal form, each at its place in the spec; None where that cannot be told."""
    if not isinstance(wanted, list) or not isinstance(normal, list):
        return None
    each = [_normal(normalise, name, [element]) for element in wanted]
    if not all(isinstance(one, list) and len(one) == 1 for one in each):
        return None
    parts = [one[0] for one in each]
    return parts if equal(parts, normal) and equal(normal, parts) else None


# --- what is the same -----------------------------------------------------------------------------------------------


def equal(wanted: Any, live: Any) -> bool:
    """Tell whether what is there is all that is wanted."""
    if wanted is None or (type(wanted) is str and wanted == live):
        return True
    if _is_nothing(live):
        return _is_nothing(wanted) or (isinstance(wanted, dict) and all(map(_is_nothing, wanted.values())))
    if isinstance(wanted, dict) and isinstance(live, dict):
        return all(equal(value, live.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list):
        missing, besides = unmatched(wanted, live)
        return not missing and not besides
    if isinstance(wanted, dict | list) or isinstance(live, dict | list):
        return False
    return _same_scalar(wanted, live)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, dict | list) and not value)


def _same_scalar(wanted: Any, live: Any) -> bool:
    if type(wanted) is type(live):
        return bool(wanted == live)
    if isinstance(wanted, bool) or isinstance(live, bool):
        return _text(wanted) == _text(live)
    a, b = _number(wanted), _number(live)
    return a is not None and a == b


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> Decimal | None:
    """Read a number, also where a text writes it as numbers are written: 0644 is none."""
    if type(value) is int:
        return Decimal(value)
    text = value if isinstance(value, str) else repr(value)
    return Decimal(text) if text[:1] in _BEGINS and _NUMBER.fullmatch(text) else None


def unmatched(wanted: list[Any], live: list[Any]) -> tuple[list[int], list[int]]:
    """Give the places of what is wanted and not there, and of what is there and not wanted."""
    few = len(wanted) * len(live) <= MOST_PAIRS
    by_key: dict[Any, list[int]] = {}
    nested, meant = [], set[int]()
    for index, element in enumerate(live):
        if element is None:
            meant.add(index)
        elif few and isinstance(element, dict | list):
            nested.append(index)
        else:
            by_key.setdefault(_key(element), []).append(index)
    missing = []
    for place, element in enumerate(wanted):
        among = nested if few and isinstance(element, dict | list) else by_key.get(_key(element), ())
        same = [index for index in among if equal(element, live[index])]
        meant.update(same)
        if not same and element is not None:
            missing.append(place)
    return missing, [index for index in range(len(live)) if index not in meant]


def _key(value: Any) -> Any:
    """Give what two values have in common if they are the same."""
    if isinstance(value, dict):
        return frozenset((key, _key(item)) for key, item in value.items() if not _is_nothing(item))
    if isinstance(value, list):
        return frozenset(_key(item) for item in value if item is not None)
    if value is None or isinstance(value, bool):
        return _text(value)
    number = _number(value)
    return _text(value) if number is None else number


# --- where it differs -----------------------------------------------------------------------------------------------


def _within(path: str, wanted: Any, live: Any) -> Iterator[Difference]:
    """Go down to where two values that differ do."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            if not equal(value, live.get(key)):
                yield from _within(_key_text(path, key), value, live.get(key))
    elif pairs := _pairs(wanted, live):
        for place, index in pairs:
            yield from _within(f"{path}[{place}]", wanted[place], live[index])
    else:
        yield Difference(path, wanted, live)


def _pairs(wanted: Any, live: Any) -> list[tuple[int, int]]:
    """Say which live object each object of the spec that is not there has become; none where that cannot be told."""
    if not (isinstance(wanted, list) and isinstance(live, list)):
        return []
    missing, besides = unmatched(wanted, live)
    if len(missing) != len(besides) or not all(
        isinstance(each, dict) for each in (*(wanted[i] for i in missing), *(live[i] for i in besides))
    ):
        return []
    pairs = []
    for place in missing:
        # What has most in common; of several always the same, in whatever order they come.
        index = max(
            besides, key=lambda i: (_common(wanted[place], live[i]), json.dumps(live[i], sort_keys=True))
        )
        if not _common(wanted[place], live[index]):
            return []
        besides.remove(index)
        pairs.append((place, index))
    return pairs


def _common(wanted: dict[str, Any], live: dict[str, Any]) -> int:
    return sum(equal(value, live.get(key)) for key, value in wanted.items() if value is not None)


# --- paths ----------------------------------------------------------------------------------------------------------


def _key_text(path: str, key: str) -> str:
    if _PLAIN.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def parts_of(path: str) -> list[str | int]:
    """Read a path: `rules[0].port` is rules, 0, port. Raises ValueError."""
    parts: list[str | int] = []
    end = 0
    while end < len(path):
        match = _PART.match(path, end)
        if match is None:
            raise ValueError(f"`{path}` is no path")
        key, index, quoted = match.groups()
        parts.append(int(index) if index is not None else json.loads(quoted) if quoted else key)
        end = match.end()
    return parts


def root_of(path: str) -> str:
    """Give the field that a path begins with."""
    return str(parts_of(path)[0])


def lies_in(path: str, outer: str) -> bool:
    """Tell whether a path is this one, or of something in it."""
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))


def at(value: Any, path: str) -> Any:
    """Give what is at a path; None where there is nothing."""
    for part in parts_of(path):
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def with_value(spec: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Give the spec with another value at a path; null takes the key away. Raises ValueError where there is no place."""
    changed: dict[str, Any] = json.loads(json.dumps(dict(spec)))
    *way, last = parts_of(path)
    place: Any = changed
    try:
        for part in way:
            place = place[part]
        if value is None and isinstance(last, str):
            place.pop(last, None)
        else:
            place[last] = value
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError(f"the spec has no `{path}`") from None
    return changed
