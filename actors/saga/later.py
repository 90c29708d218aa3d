"""Which sagas have changed a resource since an execution did, so that taking that one back would undo their work too."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from actors.saga.dossier import INTENT, Entry, Intent
from providers.contract import Resource
from store import links
from store.queries import Queries

_PACK = msgspec.msgpack.Encoder()


class Since(msgspec.Struct, frozen=True):
    """Sagas that have changed a resource since, and whose doing still is in effect."""

    sagas: tuple[str, ...] = ()
    exactly: tuple[str, ...] = ()
    """Those that changed that very resource, not only one above or below it."""


NONE = Since()


class Later:
    """Looks through what was done after an execution. Walks the executions since then, on a thread of its own."""

    def __init__(self, queries: Queries) -> None:
        """Ask this database."""
        self._queries = queries

    async def __call__(self, original: Entry) -> Since:
        """Name the sagas that have changed what the execution did."""
        resource = original.intent.resource
        if resource is None:
            return NONE
        return await self._queries.apart(lambda db: _since(db, original, resource))


def _since(db: sqlite3.Connection, original: Entry, resource: Resource) -> Since:
    found, exactly = dict[str, None](), dict[str, None]()
    for saga, intent in _changes(db, original, resource):
        found[saga] = None
        if intent.resource is not None and intent.resource.path == resource.path:
            exactly[saga] = None
    return Since(tuple(found), tuple(exactly))


def _changes(db: sqlite3.Connection, original: Entry, resource: Resource) -> Iterator[tuple[str, Intent]]:
    """Go through the changes by other sagas. What takes one of them back, or a later step of its own, is no other change."""
    seen = {original.id}
    for row in links.since(db, original.saga, original.key, _needles(resource)):
        intent = INTENT.decode(row.plan)
        if intent.resource is None or not intent.resource.overlaps(resource):
            continue
        undoes_one = row.takes_back and row.compensates in seen
        seen.add(row.id)
        if not undoes_one and row.saga != original.saga and _differs(intent) and links.in_effect(db, row.id):
            yield row.saga, intent


def _needles(resource: Resource) -> list[bytes]:
    """Give bytes of which one is in every intent about an overlapping resource, so that few have to be read whole."""
    if resource.path is None:
        return [_PACK.encode(word) for word in (resource.name, resource.id) if word is not None]
    path = resource.path.rstrip("/")
    above = []
    while path:
        path = path.rpartition("/")[0]
        above.append(_PACK.encode(path or "/"))
    return [resource.path.rstrip("/").encode(), *above]


def _differs(intent: Intent) -> bool:
    """Tell whether it made a difference: what was so already was not changed."""
    before, after = intent.before, intent.after
    if before is None or after is None or before.exists != after.exists:
        return True
    return any(before.fields.get(name) != after.fields.get(name) for name in intent.fields)
