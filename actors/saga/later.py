"""Which sagas have changed a resource since an execution did, so that taking that one back would undo their work too."""

from __future__ import annotations

import sqlite3

from actors.saga.dossier import INTENT, Entry, Intent
from providers.contract import Resource
from store import links
from store.queries import Queries


class Later:
    """Looks through what was done after an execution. Walks the executions since then, on a thread of its own."""

    def __init__(self, queries: Queries) -> None:
        """Ask this database."""
        self._queries = queries

    async def __call__(self, original: Entry, *, exactly: bool) -> tuple[str, ...]:
        """Name the sagas that changed the same resource since (also above and below it, unless ``exactly``), and still do."""
        resource = original.intent.resource
        if resource is None:
            return ()
        return await self._queries.apart(lambda db: _changed(db, original, resource, exactly=exactly))


def _changed(
    db: sqlite3.Connection, original: Entry, resource: Resource, *, exactly: bool
) -> tuple[str, ...]:
    seen, found = {original.id}, dict[str, None]()
    for row in links.since(db, original.saga, original.key):
        intent = INTENT.decode(row.plan)
        if intent.resource is None or not intent.resource.overlaps(resource):
            continue
        undoes_one = row.takes_back and row.compensates in seen
        seen.add(row.id)
        if undoes_one or row.saga == original.saga or (exactly and not _same(intent.resource, resource)):
            continue
        if _changes(intent) and links.in_effect(db, row.id):
            found[row.saga] = None
    return tuple(found)


def _same(one: Resource, other: Resource) -> bool:
    return one.path == other.path


def _changes(intent: Intent) -> bool:
    """Tell whether it made a difference: what was so already was not changed."""
    before, after = intent.before, intent.after
    if before is None or after is None or before.exists != after.exists:
        return True
    return any(before.fields.get(name) != after.fields.get(name) for name in intent.fields)
