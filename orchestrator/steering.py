"""Steering sagas: an operator's verb becomes a message, and its answer is given once it is durable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import anyio
import msgspec

from actors.directory import Directory, NoSuchSaga
from actors.saga import messages as m
from actors.saga.dossier import Carry, Dossier, Header
from actors.saga.host import Host
from actors.saga.plan import Plan
from actors.saga.state import ENDED, Direction, Move, State, StepState
from config.problems import suggest
from orchestrator import answers, documents
from orchestrator.access import ROLES, Caller
from orchestrator.making_up import MakingUp
from orchestrator.problems import Conflict, Invalid, Item, NotAllowed, NotFound, Problem
from orchestrator.reading import Reading
from orchestrator.requests import VerbBody
from providers.registry import Registry, UnknownOperation


class Steering:
    """Says to sagas what operators say."""

    def __init__(
        self,
        host: Host,
        directory: Directory,
        registry: Registry,
        reading: Reading,
        making_up: MakingUp,
    ) -> None:
        """Send through this directory; what is done by another saga is ``making_up``'s."""
        self._making_up = making_up
        self._host = host
        self._directory = directory
        self._registry = registry
        self._reading = reading

    async def verb(self, caller: Caller, ref: str, verb: str, body: VerbBody) -> bytes:
        """Say something to a saga; what it brings about is durable when this returns.

        Raises NotFound, Conflict (naming what is possible instead), Invalid.
        """
        saga = await self._reading.resolve_ref(ref)
        header, plan, state, _ = await self._reading.look(saga)
        if verb == "correct":
            return await self._making_up.correct(caller, saga, state, body)
        if verb == "rollback" and (state.status in ENDED or body.preview or body.to_step is not None):
            step = None if body.to_step is None else _step(plan, body.to_step)
            return await self._making_up.rollback(caller, saga, state, step, body)
        if state.status == "failed":
            self._making_up.check_alone(saga, verb)
        if verb in _APPROVALS:
            message: m.Verb = _approval(caller, header, plan, verb, body)
        else:
            message = await self._message(caller, saga, plan, state, verb, body)
        reply = await self._ask(saga, message)
        if reply.did == "forbidden":
            raise NotAllowed(reply.detail)
        if reply.did == "refused":
            raise Conflict(reply.detail)
        document = await self._reading.document(saga)
        return documents.encode(answers.VerbAnswer(did=reply.did, detail=reply.detail, saga=document))

    async def _ask(self, saga: str, message: m.Verb) -> m.Reply:
        answered = anyio.Event()
        answers: list[m.Reply | BaseException | None] = []

        def answer(reply: m.Reply | BaseException | None) -> None:
            answers.append(reply)
            answered.set()

        self._directory.tell(saga, message, answer)
        await answered.wait()
        reply = answers[0]
        if isinstance(reply, NoSuchSaga):
            raise NotFound(f"there is no saga `{saga}`") from reply
        if isinstance(reply, BaseException):
            raise Problem(f"{reply}: see `sagactl why {saga}` and sagad's log") from reply
        assert reply is not None
        return reply

    async def _message(
        self, caller: Caller, saga: str, plan: Plan, state: State, verb: str, body: VerbBody
    ) -> m.Verb:
        said: dict[str, Any] = {"by": caller.name, "reason": body.reason}
        step = None if body.step is None else _step(plan, body.step)
        if verb == "cancel":
            return m.Cancel(**said, now=body.now)
        if verb == "retry":
            return m.Retry(**said, step=step, force=body.force)
        if verb == "skip":
            given = self._typed(plan, _needed(step), body.output)
            carry = self._host.executor.stand_in(saga, plan, _needed(step), given)
            return m.Skip(**said, step=_needed(step), output=carry.outputs or {}, carry=carry)
        if verb == "resolve":
            return await self._resolve(saga, plan, state, _needed(step), body, said)
        if verb == "rollback":
            return m.Rollback(**said, past_irreversible=body.past_irreversible)
        if verb in _PLAIN:
            return _PLAIN[verb](**said)
        raise Conflict(f"cannot {verb}: this release has no {verb} yet")

    async def _resolve(
        self, saga: str, plan: Plan, state: State, step: int, body: VerbBody, said: dict[str, Any]
    ) -> m.Resolve:
        """Have the operator's word come with what the resource looks like and with the outputs that were given."""
        carry: Carry | None = None
        moved: Move | None = None
        if body.as_ == "done":
            carry, moved = await self._seen(saga, step, _direction(state.steps[step]), plan, body)
        elif body.output:
            raise Invalid("outputs go with --as done only", [Item("output", "goes with `as: done` only")])
        if body.as_ is None:
            raise Invalid("say how: --as done, failed or retry", [Item("as", "is missing")])
        payload = "" if carry is None else hashlib.sha256(documents.encode(carry.outputs or {})).hexdigest()
        return m.Resolve(**said, step=step, as_=body.as_, payload=payload, moved=moved, carry=carry)

    async def _seen(
        self, saga: str, step: int, direction: Direction, plan: Plan, body: VerbBody
    ) -> tuple[Carry, Move | None]:
        """Look at the resource; and tell whether by what was put out it has another id."""
        actor = self._directory.actor(saga)
        if actor is not None:
            dossier = actor.dossier
        else:
            header, plan, state, _ = await self._reading.look(saga)
            dossier = Dossier(header, plan)
            dossier.load(await self._host.queries.executions(saga))
            dossier.recall(state)
        if (step, direction) not in dossier.entries:
            return Carry(), None
        given = self._typed(plan, step, body.output, direction)
        carry = await self._host.executor.look(dossier, step, direction, given)
        return carry, dossier.move(step, direction, carry.outputs)

    def _typed(
        self, plan: Plan, step: int, output: dict[str, Any] | None, direction: Direction = "forward"
    ) -> dict[str, Any]:
        """Bring outputs that came as text to the types that the driver declares for them."""
        asked = plan.steps[step].asked("hook" if direction == "hook" else "forward")
        declared = self._declared(asked.operation)
        typed: dict[str, Any] = {}
        for name, value in (output or {}).items():
            wanted = declared.get(name, Any)
            try:
                typed[name] = msgspec.convert(value, wanted, strict=False) if wanted is not Any else value
            except msgspec.ValidationError as error:
                raise Invalid(
                    f"output {name} does not fit: {error}", [Item(f"output.{name}", str(error))]
                ) from error
        return typed

    def _declared(self, operation: str) -> Mapping[str, Any]:
        try:
            driver, verb = self._registry.split(operation)
        except UnknownOperation:
            return {}
        return driver.verbs[verb].outputs


def _step(plan: Plan, name: str) -> int:
    if name not in plan.by_name:
        hint = suggest(name, plan.by_name)
        raise NotFound(f"the saga has no step `{name}`" + (f": {hint}" if hint else ""), code="no_such_step")
    return plan.by_name[name]


def _direction(step: StepState) -> Direction:
    """Tell which execution of a step an operator speaks of."""
    if step.status in ("compensating", "compensation_failed"):
        return "undo"
    return "hook" if step.at_hook else "forward"


def _needed(step: int | None) -> int:
    if step is None:
        raise Invalid("name the step", [Item("step", "is missing", "name the step")])
    return step


def _approval(caller: Caller, header: Header, plan: Plan, verb: str, body: VerbBody) -> m.Approval:
    return _APPROVALS[verb](
        by=caller.name,
        reason=body.reason,
        step=None if body.step is None else _step(plan, body.step),
        roles=tuple(role for role in ROLES if caller.may(role)),
        own=caller.name == header.submitted_by,
    )


_APPROVALS: dict[str, type[m.Approval]] = {"approve": m.Approve, "reject": m.Reject}

_PLAIN: dict[str, type[m.Verb]] = {
    "pause": m.Pause,
    "resume": m.Resume,
    "abandon": m.Abandon,
}
