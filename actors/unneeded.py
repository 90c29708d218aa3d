"""Dropping what is sealed and needed by nobody any more: for retention, after it has pruned sagas' records."""

from __future__ import annotations

from store.journal import Journal
from store.queries import Queries
from store.records import Note


async def drop_unneeded(journal: Journal, queries: Queries) -> int:
    """Drop the sealed values that nobody can need any more; durable when this returns. Gives how many those were.

    A value goes once its saga's record has been pruned and its resource has been deleted or forgotten, in whichever order.
    """
    from store.vault import unneeded

    keys = await queries.apart(unneeded)
    if keys:
        await journal.commit_nowait(Note([], unsealed=keys))
    return len(keys)
