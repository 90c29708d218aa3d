"""What was accepted as drift and stands in the spec since: a plan that would put it back says so."""

from __future__ import annotations

import sqlite3

import msgspec

from actors.drift.compare import at, root_of
from providers.registry import Registry
from store import drift
from store.queries import Queries
from store.records import Resource


class AcceptedDrift:
    """Tells of a resource which of its fields are as they are because somebody has accepted that."""

    def __init__(self, queries: Queries, registry: Registry) -> None:
        """Look into the records of drift; fields go by the arguments that set them."""
        self._queries = queries
        self._registry = registry

    def __call__(self, record: Resource) -> frozenset[str]:
        """Give the fields, as a plan's changes name them. One that was changed since is not as it was accepted."""
        found = self._queries.at_once(lambda db: _fields(db, record))
        driver = self._registry.drivers.get(record.type)
        named = {} if driver is None else driver.set_by
        return frozenset(named.get(field, field) for field in found)


def _fields(db: sqlite3.Connection, record: Resource) -> set[str]:
    spec = msgspec.json.decode(record.spec)
    accepted = drift.accepted_of(db, record.type, record.identity)
    return {
        root_of(each.field) for each in accepted if at(spec, each.field) == msgspec.json.decode(each.live)
    }
