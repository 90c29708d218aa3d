"""What a sync makes of what it did not find: it counts as absent, or is an alarm. See ``absence`` for which."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from actors.beside import event_row
from actors.drift import absence, events
from actors.drift.report import Report
from actors.saga.host import Host
from store import drift as kept
from store.drift import Absent, Kept
from store.records import Note


class Scope(NamedTuple):
    """What is looked at: of one type or family, of one name or identity; None is all."""

    type: str | None = None
    name: str | None = None

    def takes(self, type_: str) -> bool:
        """Tell whether a type belongs to it."""
        return self.type is None or type_ == self.type or type_.startswith(f"{self.type}.")


class Counting:
    """What one round has found, provider by provider."""

    def __init__(self, host: Host, scope: Scope, missing_after: int, report: Report) -> None:
        """Begin a round; tell in the report."""
        self.round = host.clock.now()
        """Its name."""
        self.sightings: dict[str, list[str]] = {}
        """Ids that each type's list has shown."""
        self.witnessed: set[str] = set()
        """Providers of which a place was seen where something is gone."""
        self._host = host
        self._scope = scope
        self._missing_after = missing_after
        self._report = report

    async def count(self, provider: str, types: list[str]) -> None:
        """Count what was not found as absent, if that says something; else raise the alarm."""
        found = self._round_of(provider, types)
        why = absence.alarm(found)
        before = self._host.queries.at_once(lambda db: kept.notes(db, "alarm"))
        notes: list[tuple[kept.NoteKind, str, bytes | None]] = []
        told: list[events.DriftEvent] = []
        if why is not None:
            self._report.alarms.append(why)
            if self._scope == Scope():  # what was asked for alone says little of the rest
                notes.append(("alarm", provider, msgspec.json.encode(why)))
                told += [] if provider in before else [events.Alarmed(provider=provider, why=why)]
        else:
            notes += self._sighted(types)
            if provider in before and self._scope == Scope():
                notes.append(("alarm", provider, None))
                told.append(events.Calmed(provider=provider))
        counted = [] if why is not None else [Absent(type_, self.round) for type_ in types]
        now = self._host.clock.now()
        rows = [event_row(event, now, resource=provider) for event in told]
        await events.write(self._host, Note(rows, drift=Kept(absent=counted, notes=notes)))

    def _round_of(self, provider: str, types: list[str]) -> absence.Round:
        tallies = [
            tally
            for type_ in types
            for tally in self._host.queries.at_once(
                lambda db, type_=type_: kept.tally(db, type_, self.round, self._missing_after)  # type: ignore[misc]
            )
        ]
        for each in tallies:
            self._report.looked += each.resources
            self._report.there += each.resources * (each.state == "there")
            self._report.absent += each.resources * (each.state == "absent")
        shown = {type_: set(ids) for type_, ids in self.sightings.items() if type_ in types}
        before = {type_: set(ids) for type_, ids in self.remembered().items() if type_ in shown}
        return absence.Round(
            provider,
            there=sum(each.resources for each in tallies if each.state == "there"),
            absent=sum(each.resources for each in tallies if each.state == "absent" and not each.known),
            besides=provider in self.witnessed or any(shown.values()),
            remembered=any(before.values()),
            recognised=any(ids & shown[type_] for type_, ids in before.items()),
        )

    def remembered(self) -> dict[str, list[str]]:
        """Give the ids by which each type's list is known again."""
        found = self._host.queries.at_once(lambda db: kept.notes(db, "sighting"))
        return {type_: msgspec.json.decode(ids, type=list[str]) for type_, ids in found.items()}

    def _sighted(self, types: list[str]) -> list[tuple[kept.NoteKind, str, bytes | None]]:
        before = self.remembered()
        return [
            ("sighting", type_, msgspec.json.encode(absence.remembered(before.get(type_, []), ids)))
            for type_, ids in self.sightings.items()
            if type_ in types
        ]
