"""When the absence of resources proves that they are gone, and when that something is wrong with the looking. Pure.

Wrong credentials make everything look deleted. So an absence counts only while the same credentials still see something: a
resource on record, or one of those that the list has shown before. And where much is gone at once, that is an alarm.
"""

from __future__ import annotations

from typing import NamedTuple

MASS = 3
"""So many resources of one provider, and more than half of them, gone since they were last there: no drift, an alarm."""

SIGHTINGS = 50
"""Ids that are remembered of a type's list."""


class Round(NamedTuple):
    """What a round has found of one provider's resources."""

    provider: str
    there: int
    absent: int
    """Those that are not known to be missing already."""
    besides: bool
    """Something that is not on record was seen."""
    remembered: bool
    """Something is remembered that was seen before …"""
    recognised: bool
    """… and some of that was seen again."""


def alarm(found: Round) -> str | None:
    """Give why absences do not count, for a person; None: they do."""
    what = "1 resource" if found.absent == 1 else f"{found.absent} resources"
    if not found.absent:
        return None
    if found.absent >= MASS and found.absent > found.there:
        return (
            f"{found.provider}: {what} of {found.absent + found.there} cannot be found all at once, so none counts as"
            " missing: see whether the credentials are those of the right account, or what they are kept in is there"
            " (mounted, reachable); those that are really gone are taken off the record by `sagactl resources forget`"
        )
    if found.there or found.recognised:
        return None
    if found.remembered:
        return (
            f"{found.provider}: nothing that was seen before is seen any more, so {what} that cannot be found"
            " are not called missing: see whether the credentials are those of the right account"
        )
    if found.besides:
        return None
    return (
        f"{found.provider}: {what} cannot be found, and nothing else is seen either, so that says nothing: see"
        " whether the credentials are those of the right account"
    )


def remembered(before: list[str], now: list[str]) -> list[str]:
    """Give the ids to remember of a list: those that are known already, as far as they are there, then others."""
    there = set(now)
    return list(dict.fromkeys([*(each for each in before if each in there), *now]))[:SIGHTINGS]
