"""What can happen to the drift of a resource. Values are in the record that ``id`` names, not here: see ``store.drift``."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from actors.saga.host import Host
from store.drift import Drift
from store.records import Note


class DriftEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that happened to a difference, or to a rule about some."""

    type: ClassVar[str]
    version: ClassVar[int] = 1


class OfRecord(DriftEvent, frozen=True, kw_only=True):
    """Something that happened to a record of drift."""

    id: str
    identity: str
    field: str = ""


class Detected(OfRecord, frozen=True, kw_only=True):
    """A sweep has found a difference that is not on record yet: said once, not with each sweep."""

    type = "drift.detected"
    kind: Literal["changed", "missing"]


class Stale(OfRecord, frozen=True, kw_only=True):
    """A difference went away by itself; ``why``, where it is not that the resource is as it should be."""

    type = "drift.stale"
    why: str | None = None


class Accepted(OfRecord, frozen=True, kw_only=True):
    """Somebody made what is there the spec; of a resource that is missing: has it kept no longer."""

    type = "drift.accepted"
    spec_version: int
    reason: str | None = None


class RevertStarted(OfRecord, frozen=True, kw_only=True):
    """A saga is to set the spec back. ``automatic``: by the settings, nobody asked."""

    type = "drift.revert_started"
    saga: str
    automatic: bool = False
    reason: str | None = None


class Reverted(OfRecord, frozen=True, kw_only=True):
    """The saga has completed: what is there is as the spec says again."""

    type = "drift.reverted"
    saga: str


class RevertFailed(OfRecord, frozen=True, kw_only=True):
    """The saga did not complete, or was never begun: the record is open as before, with ``why``."""

    type = "drift.revert_failed"
    saga: str
    why: str


class Ignored(DriftEvent, frozen=True, kw_only=True):
    """Somebody does not want to hear of some differences. Without ``identity`` of any of the type, without ``field`` in any."""

    type = "drift.ignored"
    rule: str
    identity: str | None = None
    field: str | None = None
    expires_at: int | None = None
    reason: str


class Heeded(DriftEvent, frozen=True, kw_only=True):
    """A rule is over: somebody has ended it, or its time is up (then sagad says so, once)."""

    type = "drift.heeded"
    rule: str
    owner: str
    expired: bool
    reason: str


class Alarmed(DriftEvent, frozen=True, kw_only=True):
    """So much is not to be seen that it is no drift, but something is wrong with the looking."""

    type = "drift.alarmed"
    provider: str
    why: str


class Calmed(DriftEvent, frozen=True, kw_only=True):
    """What a ``drift.alarmed`` told of is over."""

    type = "drift.calmed"
    provider: str


DRIFT_EVENTS: dict[str, type[DriftEvent]] = {
    each.type: each
    for each in (
        Detected,
        Stale,
        Accepted,
        RevertStarted,
        Reverted,
        RevertFailed,
        Ignored,
        Heeded,
        Alarmed,
        Calmed,
    )
}


def of(drift: Drift) -> dict[str, str]:
    """Give what every event of a record says of it."""
    return {"id": drift.id, "identity": drift.identity, "field": drift.field}


async def write(host: Host, note: Note) -> None:
    """Have it written, and its events told to the log once they are durable."""
    await host.journal.commit_nowait(note)
    host.log_events("drift", note.events)
