"""Reverting without anybody's word: what the settings want, and when two tools fight. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from store.drift import Drift

HOUR = 3_600_000
ACTOR = "the drift actor"
"""What the alarm about the actor itself is kept under; those about providers go by their names."""

_FIGHT = "fight "


class Refused(Exception):
    """It cannot be reverted; the message says why."""


def is_wanted(wanted: Sequence[str], drift: Drift) -> bool:
    """Tell whether the settings have a record reverted. One whose revert did not work is for somebody to look at."""
    names = {drift.type, drift.label, f"{drift.type}/{drift.identity}"}
    return (
        drift.status == "open"
        and drift.resolved_by is None
        and drift.why is None
        and not names.isdisjoint(wanted)
    )


def alarm_name(drift: Drift) -> str:
    """Give what the alarm about a resource is kept under."""
    return f"{_FIGHT}{drift.type}/{drift.identity}"


def is_fight(name: str) -> bool:
    """Tell whether an alarm is one of these."""
    return name.startswith(_FIGHT)


def is_of_provider(name: str) -> bool:
    """Tell whether an alarm is about a provider."""
    return not is_fight(name) and name != ACTOR


def fight(drift: Drift, times: int) -> str:
    """Say that somebody else changes a resource, too."""
    return (
        f"{drift.label} was reverted {times} times within an hour and has drifted again: somebody else changes it too;"
        " it is not reverted by itself for now: see `sagactl drift ls`"
    )
