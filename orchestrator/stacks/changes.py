"""What of a resource differs from what is wanted, and whether that can be changed in place. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from providers.contract import Driver

LATER = "(known after apply)"
"""What stands for a value that an earlier action of the plan will bring about."""
SENSITIVE = "(sensitive)"
_APART = ("create", "delete")


class Change(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A field that an action changes."""

    field: str
    from_: Any
    to: Any


def changes(
    driver: Driver,
    wanted: Mapping[str, Any],
    unknown: Collection[str],
    live: Mapping[str, Any],
    recorded: Mapping[str, Any],
) -> list[Change]:
    """Compare, by the driver's own normalisation, with what is there; where that does not show a field, with the record.

    A field that neither shows cannot be compared, so it never differs. ``unknown``: fields whose new value is not known
    yet; those count as changed. What differs goes by the argument that sets it, and is sorted by that.
    """
    found = []
    for field, value in wanted.items():
        if field in unknown or not (field in live or field in recorded):
            continue
        now = live.get(field, recorded.get(field))
        if driver.normalise(field, value) != driver.normalise(field, now):
            found.append(_change(driver, field, now, value))
    found += [_change(driver, field, live.get(field, recorded.get(field)), LATER) for field in unknown]
    return sorted(found, key=lambda change: change.field)


def _change(driver: Driver, field: str, now: Any, value: Any) -> Change:
    name = driver.set_by.get(field, field)
    return Change(name, SENSITIVE, SENSITIVE) if field in driver.sensitive else Change(name, now, value)


def verbs_for(driver: Driver, changed: Collection[str]) -> tuple[str, ...] | None:
    """Give the verbs that change these fields in place; None: it takes a replacement.

    That is ``update``; of a type without it, for each field the verb that takes least beside it.
    """
    takes = _fields(driver, "create")
    if driver.verbs["create"].replaces.intersection(changed):
        return None
    if "update" in driver.verbs:
        arguments = takes.intersection(changed)
        settable = _fields(driver, "update") - driver.verbs["update"].replaces
        return ("update",) if arguments <= settable else None
    chosen = [_verb_for(driver, field) for field in sorted(takes.intersection(changed))]
    if not chosen or None in chosen:
        return None
    return tuple(dict.fromkeys(verb for verb in chosen if verb is not None))


def with_around(driver: Driver, verbs: Collection[str], live: Mapping[str, Any]) -> tuple[str, ...]:
    """Put before and behind each verb what it takes for the service to do it, as the resource is now."""
    found: list[str] = []
    for name in verbs:
        verb = driver.verbs[name]
        if (
            verb.only_while is None
            or verb.around is None
            or live.get(verb.only_while[0]) == verb.only_while[1]
        ):
            found.append(name)
        else:
            found += [verb.around[0], name, verb.around[1]]
    return tuple(found)


def _verb_for(driver: Driver, field: str) -> str | None:
    """Give the verb that sets just this field of a resource that is there."""
    able = [
        name
        for name, verb in driver.verbs.items()
        if verb.changes and name not in _APART and field in _fields(driver, name)
    ]
    return min(able, key=lambda name: len(_fields(driver, name)), default=None)


def _fields(driver: Driver, verb: str) -> set[str]:
    return set(driver.verbs[verb].arguments.__struct_fields__)
