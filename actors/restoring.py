"""Sagas that come back with a backup are held: what they did since is not on their record."""

from __future__ import annotations

import msgspec

from actors.directory import checkpointed
from actors.replay import fold
from actors.saga import messages as m
from actors.saga.evolve import NO_STATE
from actors.saga.ledger import checkpoint_alone, event_row
from actors.saga.machine import decide
from actors.saga.plan import Plan
from actors.saga.state import State
from store.journal import Journal
from store.queries import Live, Queries
from store.records import Commit

_PLAN = msgspec.json.Decoder(Plan)


async def hold_all(journal: Journal, queries: Queries, why: str, now: int) -> list[str]:
    """Hold every live saga, and give their ids; durable when this returns.

    One whose record cannot be read is left as it is: the daemon quarantines it as it loads it.
    """
    held: list[str] = []
    after = 0
    while page := await queries.live(after):
        held += [row.id for row in page if await _hold(journal, queries, row, why, now)]
        after = page[-1].number
    return held


async def _hold(journal: Journal, queries: Queries, row: Live, why: str, now: int) -> bool:
    state, plan = await _state(queries, row), _plan(queries, row.id)
    if state is None or plan is None:
        return False
    decision = decide(plan, state, m.Restore(why=why), now)
    if not decision.events:
        return False
    rows = [event_row(row.id, plan, event, now) for event in decision.events]
    await journal.commit(Commit(row.id, rows, checkpoint_alone(plan, decision.state, now)))
    return True


async def _state(queries: Queries, row: Live) -> State | None:
    state, _ = checkpointed(row)
    if state is not None:
        return state
    try:
        state = NO_STATE
        after = 0
        while events := await queries.history(row.id, after):
            state, after = fold(events, state), events[-1].seq
    except Exception:  # noqa: BLE001  whatever is in it, it cannot be read
        return None
    return None if state is NO_STATE else state


def _plan(queries: Queries, saga: str) -> Plan | None:
    row = queries.saga(saga)
    body = None if row is None else queries.plan(row.plan)
    return None if body is None else _PLAN.decode(body)
