"""Reading sagas: documents, lists, timelines, streams, and the sentence that says why.

What is shown is durable: an actor's committed state, or the row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import msgspec

from actors.directory import Directory
from actors.saga.dossier import Dossier, Header
from actors.saga.holds import Waiting, hold, waits
from actors.saga.host import Host
from actors.saga.plan import Plan
from actors.saga.state import ENDED, State
from actors.saga.why import why
from orchestrator import answers, documents
from orchestrator.problems import Conflict, NotFound
from store.queries import Ambiguous

PAGE = 1_000
STREAMED = 100
"""Events that a stream reads at a time of what there is: it holds them until its reader has taken them."""
"""Events of a page, where the caller does not say."""
HELD = 3
"""Sagas that a batch's sentence names at most, of those that hold it up."""


class Reading:
    """What callers can see."""

    def __init__(self, host: Host, directory: Directory) -> None:
        """Read these sagas."""
        self._host = host
        self._directory = directory

    async def resolve_ref(self, ref: str) -> str:
        """Give the id that is meant by an id, an unambiguous prefix, or `last`. Raises NotFound, Conflict."""
        return _meant(self._host.queries.resolve, ref, f"there is no saga `{ref}`: `sagactl ls` lists them")

    def resolve_batch(self, ref: str) -> str:
        """Give the id of the batch that is meant, as :meth:`resolve_ref`. Raises NotFound, Conflict."""
        missing = f"there is no batch `{ref}`: `sagactl batch ls` lists them"
        return _meant(self._host.queries.resolve_batch, ref, missing)

    async def saga(self, ref: str) -> bytes:
        """Give a saga's document."""
        return documents.encode(await self.document(await self.resolve_ref(ref)))

    async def document(self, saga: str) -> answers.Saga:
        """Give a saga's document, by its full id."""
        header, plan, state, outputs = await self.look(saga)
        return self.compose(header, plan, state, outputs)

    async def look(self, saga: str) -> tuple[Header, Plan, State, Mapping[int, Any]]:
        """Give what is durable of a saga: from its actor, if it is in memory, else from its row."""
        actor = self._directory.actor(saga)
        if actor is not None:
            return actor.dossier.header, actor.plan, actor.state, outputs_of(actor.dossier)
        row = self._host.queries.saga(saga)
        if row is None:
            raise NotFound(f"there is no saga `{saga}`")
        plan, state = self._directory.shown(row)
        outputs = {
            each.step: msgspec.Raw(each.outputs)
            for each in await self._host.queries.executions(saga)
            if each.direction == "forward" and each.outputs is not None
        }
        return self._directory.header(row), plan, state, outputs

    def compose(self, header: Header, plan: Plan, state: State, outputs: Mapping[int, Any]) -> answers.Saga:
        """Make a saga's document."""
        waiting = self._waiting(header.id, plan, state)
        return documents.saga(header, plan, state, outputs, waiting, self._locks(header.id, plan, state))

    def _locks(self, saga: str, plan: Plan, state: State) -> answers.Locks:
        """Say what a saga has locked, what it waits for, and who waits for it."""
        table = self._host.locks
        return answers.Locks(
            held=[lock.label for lock in state.locks],
            awaits=[
                answers.LockAwaited(
                    step=plan.steps[step].name,
                    resource=resource.label,
                    saga=other,
                    why=self._in_the_way(other),
                )
                for step, resource, other in table.behind(saga)
            ],
            awaited_by=[
                answers.LockWanted(saga=other, resource=resource.label)
                for other, _, resource in table.awaiting(saga)
            ],
        )

    def _in_the_way(self, saga: str) -> str:
        """Say what a saga that has a lock, or waits for it longer, is at, and what can be done about it."""
        row = self._host.queries.saga(saga)
        if row is None:
            return f"saga {saga} is just taking it"
        plan, state = self._directory.shown(row)
        held = hold(plan, state, saga)
        if held is None:
            return f"saga {saga} ({row.kind}) has it and is {state.status}; `sagactl cancel {saga}` takes that back"
        return f"saga {saga} ({row.kind}) is first and is held ({held[0]}): {held[1]}"

    def _waiting(self, saga: str, plan: Plan, state: State) -> Waiting | None:
        """Give what a saga waits for, the node's own reasons included."""
        if state.status in ENDED or state.hold is not None:
            return None
        if self._host.journal.full:
            return Waiting(for_="storage", until=None, detail="the disk is full")
        if self._host.draining:
            return Waiting(for_="drain", until=None, detail="sagad drains: no new step is started")
        waiting = waits(plan, state)
        if waiting is None and saga not in self._directory.live:
            return Waiting(for_="queue", until=None, detail="as many sagas as may be are in flight")
        return waiting

    async def sagas(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        labels: Iterable[str] = (),
        hold: str | None = None,
        since: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> bytes:
        """List sagas, the newest first, a page at a time. Steps come without their outputs."""
        rows = await self._host.queries.sagas(
            status=status,
            kind=kind,
            labels=dict(label.partition("=")[::2] for label in labels),
            hold=hold,
            since=since,
            before=None if cursor is None else int(cursor),
            limit=limit + 1,
        )
        page = rows[:limit]
        shown = []
        for row in page:
            actor = self._directory.actor(row.id)
            plan, state = (actor.plan, actor.state) if actor is not None else self._directory.shown(row)
            shown.append(self.compose(self._directory.header(row), plan, state, {}))
        behind = str(page[-1].number) if len(rows) > limit else None
        return documents.encode(answers.Sagas(sagas=shown, next=behind))

    async def why(self, ref: str) -> bytes:
        """Say in one sentence why a saga is where it is."""
        header, plan, state, _ = await self.look(await self.resolve_ref(ref))
        words = self._why(header.id, plan, state)
        if plan.batch is not None and state.status not in ENDED:
            words = "; ".join([words.removesuffix("."), *await self._held_in(header.id)]) + "."
        return documents.encode(answers.Why(why=words))

    async def _held_in(self, batch: str) -> list[str]:
        """Name what holds a batch up: those of its sagas, and of those that take them back, which need somebody."""
        found: list[str] = []
        for row in await self._host.queries.members(batch):
            if row.hold not in (None, "lock") and row.status not in ENDED and len(found) < HELD:
                held = hold(*self._directory.shown(row), row.id)
                words = "" if held is None else f": {held[1]}"
                found.append(f"saga {row.id} ({row.kind}) is held ({row.hold}){words}")
        return found

    def _why(self, saga: str, plan: Plan, state: State) -> str:
        waiting = self._waiting(saga, plan, state)
        if (
            waiting is not None
            and waiting.for_ in ("storage", "drain", "queue")
            and waits(plan, state) is None
        ):
            return f"Saga {saga} is {state.status} and waits: {waiting.detail}."
        locks = [each.why for each in self._locks(saga, plan, state).awaits]
        return why(plan, state, self._host.clock.now(), saga, locks)

    async def executions(self, ref: str) -> bytes:
        """Give a saga's executions in the order in which they started, linked both ways."""
        saga = await self.resolve_ref(ref)
        rows = await self._host.queries.executions(saga)
        links = await self._host.queries.compensated_by(saga)
        shown = [documents.execution(row, links.get(row.id, [])) for row in rows]
        return documents.encode(answers.Executions(executions=shown))

    async def events(self, ref: str | None, after: int, limit: int = PAGE) -> bytes:
        """Give a page of events behind number ``after``, of one saga or of all."""
        saga = None if ref is None else await self.resolve_ref(ref)
        page, _ = await self._host.queries.events(saga, after=after, limit=limit)
        return b'{"events":%b}' % page

    async def stream(self, ref: str | None, after: int) -> AsyncIterator[tuple[int, str, bytes]]:
        """Give events behind number ``after`` as (number, type, document): those there are, then live, none twice.

        Raises SubscriberTooSlow when the reader is too slow.
        """
        saga = None if ref is None else await self.resolve_ref(ref)
        return self._stream(saga, after)

    async def _stream(self, saga: str | None, after: int) -> AsyncIterator[tuple[int, str, bytes]]:
        subscription = self._host.journal.subscribe(saga)
        try:
            while True:
                page, last = await self._host.queries.events(saga, after=after, limit=STREAMED)
                for each in _PAGE.decode(page):
                    seen = _SEEN.decode(each)
                    yield seen.seq, seen.type, bytes(each)
                if last == after:
                    break
                after = last
            async for published in subscription:
                if published.seq > after:
                    after = published.seq
                    yield published.seq, _SEEN.decode(published.document).type, published.document
        finally:
            subscription.close()


class _Seen(msgspec.Struct):
    """What a stream says of an event beside its document."""

    seq: int
    type: str


_SEEN = msgspec.json.Decoder(_Seen)
_PAGE = msgspec.json.Decoder(list[msgspec.Raw])


def _meant(lookup: Callable[[str], str | None], ref: str, missing: str) -> str:
    """Give what a lookup finds for what a caller typed. Raises Conflict if it is two, NotFound with ``missing``."""
    try:
        found = lookup(ref.lower())
    except Ambiguous as error:
        raise Conflict(f"{error}: give more of it", code="ambiguous") from error
    if found is None:
        raise NotFound(missing)
    return found


def outputs_of(dossier: Dossier) -> dict[int, Any]:
    """Give what each step put out."""
    return {
        step: entry.outputs
        for (step, direction), entry in dossier.entries.items()
        if direction == "forward" and entry.outputs is not None
    }
