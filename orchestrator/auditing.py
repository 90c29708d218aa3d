"""Auditing: whether the record is what was written, whether checkpoints are what the record says, and what it tells.

All of it may take long in a large journal. It runs on threads and connections of its own, one walk at a time, so that
neither the loop nor anybody's list waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from actors.clock import rfc3339
from actors.replay import replay
from orchestrator import answers, documents
from orchestrator.reading import Reading
from store.audit import Anchor, verify
from store.queries import Queries
from store.snapshot import Filters, events

SAGAS = 50
"""Sagas that are compared in one snapshot: a reader that stays for long keeps the log from being folded in."""


class Auditing:
    """What auditors can ask."""

    def __init__(self, queries: Queries, reading: Reading, node_key: bytes) -> None:
        """Audit this record."""
        self._queries = queries
        self._reading = reading
        self._node_key = node_key
        self._walking = asyncio.Lock()
        self._searching = asyncio.Lock()

    async def verify(self, head: str | None = None) -> bytes:
        """Walk the whole chain; `head` is one that was noted down earlier and must still be passed."""
        anchor = None if head is None else Anchor.read(head)
        async with self._walking:
            report = await self._queries.apart(partial(verify, node_key=self._node_key, anchor=anchor))
        return documents.encode(documents.verified(report))

    async def replay(self) -> bytes:
        """Rebuild every checkpoint from its events, a page at a time, and name the sagas that differ."""
        compared = skipped = after = 0
        differing: list[answers.Differing] = []
        async with self._walking:
            while True:
                page = await self._queries.apart(partial(replay, after=after, limit=SAGAS))
                compared, skipped = compared + page.compared, skipped + page.skipped
                differing += [
                    answers.Differing(saga=each.saga, problem=each.problem) for each in page.differing
                ]
                if not page.last:
                    break
                after = page.last
        found = answers.Replayed(ok=not differing, sagas=compared, skipped=skipped, differing=differing)
        return documents.encode(found)

    async def events(
        self,
        *,
        saga: str | None = None,
        resource: str | None = None,
        actor: str | None = None,
        since: int | None = None,
        until: int | None = None,
        after: int = 0,
        limit: int = 1_000,
    ) -> bytes:
        """Give a page of the events that all filters let through. Raises NotFound or Conflict for the saga."""
        filters = Filters(
            saga=None if saga is None else await self._reading.resolve_ref(saga),
            resource=() if resource is None else (resource,),
            actor=actor,
            since=None if since is None else rfc3339(since),
            until=None if until is None else rfc3339(until),
        )
        async with self._searching:
            page = await self._queries.apart(partial(events, filters=filters, after=after, limit=limit))
        return b'{"events":%b}' % page

    async def touching(self, labels: Sequence[str], after: int, limit: int) -> bytes:
        """Give a page of the events that had to do with what goes by any of these labels, as a JSON array."""
        filters = Filters(resource=tuple(labels))
        async with self._searching:
            return await self._queries.apart(partial(events, filters=filters, after=after, limit=limit))
