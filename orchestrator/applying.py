"""Stacks as callers see them: what a stack file would change, and the saga that changes it.

A plan is made anew whenever it is needed: a saved one is nothing but its file and what was seen when it was made, and it
is applied only if that is what is seen now. The saga of a plan is compiled as if somebody had written it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakValueDictionary

import anyio
import msgspec

from actors.beside import event_row
from actors.directory import Directory
from actors.resources import Declared as DeclaredEvent
from actors.resources import Key, encoded, key_of, label_of, touch_of
from actors.saga.host import Host
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.files.compile import Compiled
from orchestrator.files.document import Document
from orchestrator.files.load import load, load_object
from orchestrator.files.problems import Problem
from orchestrator.files.stack import CompiledStack, Declared, compile_stack
from orchestrator.problems import Conflict, Invalid, Item
from orchestrator.refusals import refuse_full, refuse_locked
from orchestrator.requests import StackSubmission
from orchestrator.stacks.looking import Look, look
from orchestrator.stacks.planning import Finder, Planned, Planner, Sketch
from orchestrator.stacks.steps import Building, applied, written
from orchestrator.submitting import Given, Submitted, Submitting, check_open, not_valid
from providers.registry import Registry
from store.records import IdempotencyKey, NewEvent, Resource, ResourceChange, Saga

_LIVE = ("pending", "running", "compensating")
_MOST_LIVE = 1_000
"""Sagas of one kind that are looked through for one that is at the stack."""
_FILE = (
    "stack", "description", "labels", "on_failure", "on_undo_failure", "on_conflict", "deadline", "policy", "hooks",
    "resources",
)  # fmt: skip

Accepted = Callable[[Resource], frozenset[str]]
"""Gives the fields of a resource of which a drift was accepted."""


class Made(msgspec.Struct):
    """A plan that was made, with what it takes to run it."""

    sketch: Sketch
    compiled: Compiled | None
    """The saga that brings it about; None: there is nothing to do."""
    document: answers.StackPlan


class Applying:
    """What callers can do with stacks."""

    def __init__(
        self,
        host: Host,
        directory: Directory,
        registry: Registry,
        submitting: Submitting,
        accepted: Accepted,
    ) -> None:
        """Plan with these drivers; submit by this. ``accepted``: see there."""
        self._host = host
        self._directory = directory
        self._registry = registry
        self._submitting = submitting
        self._accepted = accepted
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    # -- planning ----------------------------------------------------------------------------------------------------

    async def plan(self, submission: StackSubmission) -> bytes:
        """Say what applying a stack file would do. Changes nothing. Raises Invalid with every problem."""
        return documents.encode((await self._made(self._compiled(submission))).document)

    def check(self, document: Document) -> CompiledStack:
        """Check a document as a stack file, its secrets included."""
        stack = compile_stack(document, self._registry)
        missing = [each for name, each in stack.secrets.items() if not self._submitting.has_secret(name)]
        return msgspec.structs.replace(stack, problems=(*stack.problems, *missing))

    async def rehearsable(self, document: Document) -> Compiled | None:
        """Give the saga that applying a stack file would run now; None: none, there is nothing to do. Raises Invalid."""
        return (await self._made(_sound(compile_stack(document, self._registry)))).compiled

    def _compiled(self, submission: StackSubmission) -> CompiledStack:
        stack = _sound(self.check(_document(submission, self._submitting.compiler.limit)))
        return _destroyed(stack) if submission.destroy else stack

    async def _made(self, stack: CompiledStack) -> Made:
        resources = self._host.queries
        owned = resources.resources_of_stack(stack.name)
        seen: dict[Key, Look] = {}

        async def see(records: Iterable[Resource]) -> dict[Key, Look]:
            found = await look(self._registry, records)
            seen.update(found)
            return found

        finder = Finder(resources.resource, resources.resources_called)
        sketch = await Planner(stack, owned, finder, self._host.calls, see).plan()
        if sketch.problems:
            raise not_valid("stack", sketch.problems)
        compiled = self._saga(stack, sketch) if sketch.actions else None
        actions = [self._action(index, each) for index, each in enumerate(sketch.actions)]
        hashes = answers.PlanHashes(file=_hash(stack.file), state=_state(owned, sketch, seen, actions))
        document = answers.StackPlan(
            stack=stack.name,
            hash=_hash([hashes.file, hashes.state]),
            hashes=hashes,
            file=stack.file,
            destroy=stack.destroyed,
            actions=actions,
            warnings=list(stack.warnings),
        )
        return Made(sketch, compiled, document)

    def _action(self, index: int, planned: Planned) -> answers.Action:
        accepted = frozenset[str]() if planned.record is None else self._accepted(planned.record)
        return answers.Action(
            index=index,
            action=planned.kind,
            type=planned.type,
            name=planned.name,
            changes=[
                answers.Change(field=each.field, from_=each.from_, to=each.to) for each in planned.changes
            ],
            reverts_accepted=[each.field for each in planned.changes if each.field in accepted],
        )

    def _saga(self, stack: CompiledStack, sketch: Sketch) -> Compiled:
        """Compile the saga that brings a plan about. Raises Invalid."""
        building = Building(self._registry.drivers, sketch.actions)
        compiled = self._submitting.compiler.object(written(stack.name, stack.shared, building))
        if compiled.plan is None:
            raise not_valid("stack", [_named(each, building) for each in compiled.problems])
        plan = applied(compiled.plan, stack.name, building)
        return msgspec.structs.replace(compiled, plan=plan, warnings=())

    # -- applying ----------------------------------------------------------------------------------------------------

    async def apply(
        self, caller: Caller, submission: StackSubmission, *, idempotency_key: str | None, wait: int | None
    ) -> Submitted:
        """Run what a stack file, or a saved plan, asks for as a saga: durable when this returns.

        ``id`` is empty where there was nothing to do. Raises Invalid; Conflict where a plan is stale, or another saga
        is in the way; Unavailable.
        """

        async def again(saga: str) -> Submitted:
            document = await self._submitting.awaited(saga, wait)
            return Submitted(saga, created=False, body=documents.encode(documents.submitted(document, ())))

        saved = _saved(submission)

        async def start(key: IdempotencyKey | None) -> Submitted:
            stack = self._compiled(submission) if saved is None else self._of_plan(submission, saved)
            async with self._locks.setdefault(stack.name, anyio.Lock()):
                return await self._apply(caller, submission, stack, saved, key, wait)

        return await self._submitting.once(idempotency_key, _asked(submission, saved), again, start)

    def _of_plan(self, submission: StackSubmission, saved: answers.StackPlan) -> CompiledStack:
        """Give the stack of a saved plan. Raises Conflict where the file beside it is another by now."""
        stack = _sound(self.check(load_object(saved.file)))
        if saved.hash != _hash([saved.hashes.file, saved.hashes.state]) or saved.hashes.file != _hash(
            stack.file
        ):
            raise Conflict("the plan was altered after it was made: plan again", code="stale")
        beside = msgspec.structs.replace(submission, plan=None, file=None)
        if submission.plan is not None and (beside.source is not None or beside.stack is not None):
            document = _document(beside, self._submitting.compiler.limit)
            if _hash(document.value) != saved.hashes.file:
                raise Conflict(
                    "the plan is stale: its stack file has changed since: plan again", code="stale"
                )
        return _destroyed(stack) if saved.destroy else stack

    async def _apply(
        self,
        caller: Caller,
        submission: StackSubmission,
        stack: CompiledStack,
        saved: answers.StackPlan | None,
        key: IdempotencyKey | None,
        wait: int | None,
    ) -> Submitted:
        check_open(self._host)
        await self._refuse_busy(stack.name)
        made = await self._made(stack)
        if saved is not None and saved.hashes.state != made.document.hashes.state:
            raise Conflict(
                "the plan is stale: what is there has changed since it was made; plan again, and look what is to be "
                "done now",
                code="stale",
            )
        _refuse_reverting(submission, made.document.actions)
        await self._claim(caller, stack.name, made.sketch, submission.reason)
        if made.compiled is None or made.compiled.plan is None:
            return Submitted("", created=False, body=_nothing(stack.name))
        given = Given({}, stack.labels, submission.reason)
        born = self._submitting.newborn(caller, made.compiled.plan, given)
        return await self._submitting.run(born, stack.warnings, key, wait)

    async def _refuse_busy(self, stack: str) -> None:
        """Raise Conflict while a saga applies the same stack, or takes that back: what it is at cannot be planned."""
        for status in _LIVE:
            for row in await self._host.queries.sagas(kind=stack, status=status, limit=_MOST_LIVE):
                if self._is_of_stack(row):
                    doing = "applying" if row.rollback_of is None else "taking back"
                    hint = f"wait until it has ended, `sagactl why {row.id}` says for what"
                    raise Conflict(f"saga {row.id} is {doing} {stack}: {hint}", code="busy")

    def _is_of_stack(self, saga: Saga) -> bool:
        """Tell whether a saga applies a stack, or takes one that did back, or that in turn."""
        first: Saga | None = saga
        while first is not None and first.rollback_of is not None:
            first = self._host.queries.saga(first.rollback_of)
        return first is not None and self._directory.plan(first.plan).stack is not None

    async def _claim(self, caller: Caller, stack: str, sketch: Sketch, reason: str | None) -> None:
        """Put on record what the file says of resources that stay as they are: whose they are, what they need, `protect`.

        Of what is changed or replaced its step says it, so that a failed apply leaves the record as it was.
        """
        acted = {key_of(each.record) for each in sketch.actions if each.record is not None}
        said = [
            (record, declared)
            for declared, record in sketch.owned
            if key_of(record) not in acted and record != _said(stack, record, declared)
        ]
        if not said:
            return
        refuse_full(self._host)
        for record, _ in said:
            refuse_locked(self._host, touch_of(record))
        events = [self._declared(caller, stack, *each, reason) for each in said]
        changes = [
            ResourceChange(*key_of(record), _said(stack, record, declared)) for record, declared in said
        ]
        await self._host.resources.write(self._host.journal, events, changes)

    def _declared(
        self, caller: Caller, stack: str, record: Resource, declared: Declared, reason: str | None
    ) -> NewEvent:
        said = DeclaredEvent(
            identity=record.identity,
            stack=stack,
            needs=declared.needs,
            protect=declared.protect,
            reason=reason,
        )
        return event_row(said, self._host.clock.now(), actor=caller.name, resource=label_of(record))


def _said(stack: str, record: Resource, declared: Declared) -> Resource:
    """Give the record with what a stack file says of its resource."""
    needs, protect = encoded(list(declared.needs)), int(declared.protect)
    return msgspec.structs.replace(record, name=declared.name, stack=stack, needs=needs, protect=protect)


def _destroyed(stack: CompiledStack) -> CompiledStack:
    return msgspec.structs.replace(stack, resources=(), destroyed=True)


def _sound(stack: CompiledStack) -> CompiledStack:
    if stack.problems:
        raise not_valid("stack", stack.problems)
    return stack


def _document(submission: StackSubmission, limit: int) -> Document:
    if submission.source is not None:
        return load(submission.source, format=submission.format or "yaml", limit=limit)
    if isinstance(submission.stack, dict):
        return load_object(submission.stack)
    given = msgspec.structs.asdict(submission)
    return load_object({name: given[name] for name in _FILE if given[name] is not None})


def _saved(submission: StackSubmission) -> answers.StackPlan | None:
    """Give the plan of a request. Raises Invalid for what is none."""
    plan: dict[str, Any] | None = submission.plan
    if plan is None and submission.actions is not None:
        given = msgspec.structs.asdict(submission)
        names = answers.StackPlan.__struct_fields__
        plan = {name: given[name] for name in names if given.get(name) is not None}
    if plan is None:
        return None
    known = {name: plan[name] for name in answers.StackPlan.__struct_fields__ if name in plan}
    try:
        return msgspec.convert({"warnings": [], **known}, answers.StackPlan)
    except msgspec.ValidationError as why:
        hint = "give it as `sagactl plan FILE --out PLAN` wrote it"
        raise Invalid("this is no plan", [Item("plan", str(why), hint)]) from why


def _asked(submission: StackSubmission, saved: answers.StackPlan | None) -> bytes:
    """Give what is asked for, as an idempotency key stands for it: of a plan its file, and not what was seen.

    So whoever plans again and asks again with the same key gets the saga that was started.
    """
    if saved is None:
        return b"stack " + msgspec.json.encode(submission, order="sorted")
    asked = [saved.file, saved.destroy, submission.revert_accepted, submission.reason]
    return b"plan " + msgspec.json.encode(asked, order="sorted")


def _refuse_reverting(submission: StackSubmission, actions: list[answers.Action]) -> None:
    reverting = [each for each in actions if each.reverts_accepted]
    if not reverting or submission.revert_accepted:
        return
    named = "; ".join(f"{each.name}: {', '.join(each.reverts_accepted)}" for each in reverting)
    raise Conflict(
        f"this would put back what was accepted as drift ({named}): change the file, or apply with --revert-accepted",
        code="reverts_accepted",
    )


def _named(problem: Problem, building: Building) -> Problem:
    """Say of which resource a problem of the saga is."""
    where = problem.where
    for index, step in enumerate(building.steps):
        if where == f"steps[{index}]" or where.startswith(f"steps[{index}]."):
            rest = where.removeprefix(f"steps[{index}]").removeprefix(".").replace("with", "spec", 1)
            return msgspec.structs.replace(problem, where=f"resource {step.name}" + (rest and f": {rest}"))
    return problem


def _nothing(stack: str) -> bytes:
    detail = f"there is nothing to do: everything is as the stack {stack} wants it"
    return documents.encode(
        answers.NothingToDo(did="nothing", detail=detail, stack=stack, saga=None, outcomes=[])
    )


def _hash(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def _state(
    owned: list[Resource], sketch: Sketch, seen: dict[Key, Look], actions: list[answers.Action]
) -> str:
    """Give the digest of all that a plan was made from beside its file: the records, what is there of them, the actions."""
    records = {key_of(each): each for each in (*owned, *(record for _, record in sketch.owned))}
    there = [
        [*key, records[key].spec_version, _shown(records[key], seen.get(key))] for key in sorted(records)
    ]
    return _hash([there, actions])


def _shown(record: Resource, seen: Look | None) -> Any:
    """Give what was seen of the fields that the record is about."""
    if seen is None or seen.image is None:
        return None
    spec: dict[str, Any] = msgspec.json.decode(record.spec)
    return [seen.image.exists, {name: seen.image.fields.get(name) for name in sorted(spec)}]
