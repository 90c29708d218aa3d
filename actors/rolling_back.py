"""Starts the sagas that take others back, and says beforehand what they would do.

Used by the service for an operator's word, and by whatever in the engine takes back a saga that has ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable
from typing import Literal

import msgspec

from actors.directory import Directory
from actors.saga import events as e
from actors.saga import keys
from actors.saga import rollback as way
from actors.saga.calls import NotReady
from actors.saga.dossier import Dossier, Entry, Header, Past
from actors.saga.evolve import NO_STATE
from actors.saga.execute import Already, Conflicting
from actors.saga.plan import Plan
from actors.saga.prepare import Draft
from actors.saga.rollback import Asks, Fate, Inverse, Survey
from actors.saga.state import ENDED, Nature, State
from actors.saga.wants import Prepare
from store import links
from store.records import NewSaga

_NO_INPUTS = b"{}"


class CannotRollBack(Exception):
    """It cannot be taken back in the way that was asked for; the message says why, and what is possible."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A saga to be taken back, by whom, and how far."""

    saga: str
    by: str
    reason: str | None = None
    to_step: int | None = None
    """Keep this step and what it needs."""
    past_irreversible: bool = False
    batch: str | None = None
    id: str | None = None
    """The id of the saga that does it, where whoever asks must know it beforehand."""


class Begun(msgspec.Struct, frozen=True):
    """The saga that takes another one back, or why there is none."""

    detail: str
    saga: tuple[Dossier, State] | None


class Outlook(msgspec.Struct, frozen=True):
    """What a rollback would make of one step of the original."""

    fate: Fate
    will: Literal["undo", "already", "conflict", "fail", "keep", "nothing"]
    why: str = ""
    operation: str | None = None
    nature: Nature | None = None
    changed_by: tuple[str, ...] = ()
    """Later sagas that have changed the same resource, or one above or below it."""


class RollingBack:
    """Starts rollback sagas, one at a time for each saga."""

    def __init__(
        self,
        directory: Directory,
        random_bytes: Callable[[int], bytes],
        asks: Callable[[Plan], Asks] = lambda _: Asks(),
    ) -> None:
        """Submit to this directory. ``asks``: what the node's policy asks of a rollback of such a plan."""
        self._directory = directory
        self._host = directory.host
        self._random = random_bytes
        self._asks = asks
        self._alone = asyncio.Lock()

    async def start(self, request: Request) -> Begun:
        """Start the saga that takes another one back; it is durable when this returns.

        Raises CannotRollBack: another one is at it, or an irreversible step is in its way.
        """
        async with self._alone:
            self.check_alone(request.saga)
            past, survey = await self._survey(request)
            refusal = way.refusal(past.dossier.plan, survey)
            if refusal is not None:
                raise CannotRollBack(refusal)
            detail = way.told(past.dossier.plan, survey)
            if not survey.steps:
                return Begun(detail, None)
            return Begun(detail, await self._submit(request, past, survey.steps))

    def check_alone(self, saga: str) -> None:
        """Raise CannotRollBack where a saga is taking this one back right now, or one of those that belong to it."""
        live = self._host.queries.live_rollback(saga)
        if live is not None and live != saga:
            raise CannotRollBack(f"saga {live} is at work on a rollback of it: see `sagactl why {live}`")

    async def preview(self, request: Request) -> tuple[str, list[Outlook]]:
        """Say what would be done, in words and step by step. Reads each resource and touches nothing."""
        past, survey = await self._survey(request)
        plan = past.dossier.plan
        detail = way.refusal(plan, survey) or way.told(plan, survey)
        chosen = survey.steps
        dossier = self._dossier("preview", past, self._provisional(past, chosen))
        return detail, [await self._outlook(dossier, past, fate, chosen) for fate in survey.fates]

    async def _survey(self, request: Request) -> tuple[Past, Survey]:
        past = await self._directory.past(request.saga)
        plan, state = past.dossier.plan, past.state
        if state.status not in ENDED:
            raise CannotRollBack(f"it is {state.status} again by now: see `sagactl why {request.saga}`")
        if request.to_step is not None and not state.steps[request.to_step].number:
            name = plan.steps[request.to_step].name
            raise CannotRollBack(f"step {name} was never started, so there is nothing of it to keep")
        taken = await self._taken(past)
        return past, way.survey(plan, state, taken, request.to_step, past=request.past_irreversible)

    async def _taken(self, past: Past) -> dict[int, str]:
        """Give the steps that other sagas have taken back, and which."""
        done = {step: entry for (step, way_), entry in past.dossier.entries.items() if way_ == "forward"}
        return await self._host.queries.apart(lambda db: _taken(db, done))

    # -- the plan --------------------------------------------------------------------------------------------------

    async def _submit(self, request: Request, past: Past, chosen: list[int]) -> tuple[Dossier, State]:
        saga, now = request.id or keys.new_id(self._random), self._host.clock.now()
        plan = self._plan(saga, past, chosen)
        encoded = msgspec.json.encode(plan)
        digest = hashlib.sha256(encoded).digest()
        header = past.dossier.header
        new = NewSaga(
            plan.kind,
            digest,
            _NO_INPUTS,
            header.labels,
            request.by,
            request.reason,
            now,
            batch=_batch(request, past),
            rollback_of=header.id,
        )
        submitted = e.Submitted(
            kind=plan.kind,
            steps=len(plan.steps),
            plan=digest.hex(),
            inputs=hashlib.sha256(_NO_INPUTS).hexdigest(),
            actor=request.by,
            reason=request.reason,
            rollback_of=header.id,
        )
        return await self._directory.submit(saga, plan, new, encoded, submitted, None)

    def _plan(self, id: str, past: Past, chosen: list[int]) -> Plan:
        """Make the plan, with the operations that are to be expected as things are."""
        provisional = self._provisional(past, chosen)
        dossier = self._dossier(id, past, provisional)
        steps = []
        for step in provisional.steps:
            draft = self._draft(dossier, step.index)
            operation = draft.operation if isinstance(draft, Draft) else step.operation
            steps.append(msgspec.structs.replace(step, operation=operation))
        return msgspec.structs.replace(provisional, steps=tuple(steps))

    def _provisional(self, past: Past, chosen: list[int]) -> Plan:
        plan, entries = past.dossier.plan, past.dossier.entries
        recorded = {index: entries[index, "forward"] for index in chosen}
        inverses = {i: Inverse(entry.operation, entry.arguments) for i, entry in recorded.items()}
        return way.made_from(plan, past.dossier.header.id, chosen, inverses, self._asks(plan))

    def _dossier(self, id: str, past: Past, plan: Plan) -> Dossier:
        theirs = past.dossier.header
        header = Header(
            id, plan.kind, _NO_INPUTS, theirs.labels, "", None, self._host.clock.now(), rollback_of=theirs.id
        )
        return Dossier(header, plan, past)

    def _draft(self, dossier: Dossier, step: int) -> Draft | NotReady:
        try:
            return self._host.preparer.draft(dossier, NO_STATE, Prepare(step, "forward", 1))
        except NotReady as why:
            return why

    # -- the preview -----------------------------------------------------------------------------------------------

    async def _outlook(self, dossier: Dossier, past: Past, fate: Fate, chosen: list[int]) -> Outlook:
        if fate.will != "undo":
            return Outlook(fate, fate.will, fate.why)
        draft = self._draft(dossier, chosen.index(fate.step))
        if isinstance(draft, NotReady):
            return Outlook(fate, "fail", str(draft))
        will, why, sagas = await self._foreseen(past, fate, draft, chosen)
        return Outlook(fate, will, why or fate.why, draft.operation, draft.nature, sagas)

    async def _foreseen(
        self, past: Past, fate: Fate, draft: Draft, chosen: list[int]
    ) -> tuple[Literal["undo", "already", "conflict"], str, tuple[str, ...]]:
        verdict, sagas = await self._host.executor.foresee(draft)
        first = _first(past, fate.step, chosen)
        if first is not None:
            return "undo", f"once step {first}, which touches the same, is taken back", sagas
        if isinstance(verdict, Already):
            return "already", "it is as it was before the step", sagas
        if isinstance(verdict, Conflicting):
            return "conflict", verdict.why, sagas
        return "undo", "", sagas


def _batch(request: Request, past: Past) -> str | None:
    """Give the batch that it belongs to: also that which keeps the original's locks, for exactly this.

    What takes back a rollback that belongs to a batch would wait for the same locks, until that has ended.
    """
    header = past.dossier.header
    kept = past.state.keeps_locks or header.rollback_of is not None
    return header.batch if kept and header.batch is not None else request.batch


def _first(past: Past, step: int, chosen: list[int]) -> str | None:
    """Name the step on the same resource that is taken back before this one: only then can be seen how this one's is."""
    resource = past.state.steps[step].resource
    for other in chosen[: chosen.index(step)]:
        theirs = past.state.steps[other].resource
        if resource is not None and theirs is not None and theirs.overlaps(resource):
            return past.dossier.plan.steps[other].name
    return None


def _taken(db: sqlite3.Connection, done: dict[int, Entry]) -> dict[int, str]:
    found = {step: links.taken_back_by(db, entry.id) for step, entry in done.items()}
    return {step: saga for step, saga in found.items() if saga is not None and saga != done[step].saga}
