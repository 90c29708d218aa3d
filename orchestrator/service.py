"""The use cases: one function for each thing that an operator can ask for.

The API's routes, the command line (through the API) and the tests all call these. Everything that a caller must act
on is raised as a ``problems.Problem``; whatever changes a saga goes as a message through the directory.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

import anyio
import msgspec

from actors.directory import Directory, NoSuchSaga
from actors.saga import events as e
from actors.saga import keys
from actors.saga import messages as m
from actors.saga.dossier import Carry, Dossier, Header
from actors.saga.holds import Waiting, waits
from actors.saga.host import Host
from actors.saga.plan import Plan
from actors.saga.state import ENDED, Direction, State
from actors.saga.why import why
from config.problems import suggest
from config.settings import Settings
from orchestrator import documents
from orchestrator.access import Caller
from orchestrator.files.compile import Compiled, Compiler
from orchestrator.files.problems import Problem as FileProblem
from orchestrator.metrics import Counts
from orchestrator.problems import Conflict, Invalid, Item, NotFound, Problem, Unavailable
from orchestrator.requests import Submission, VerbBody
from providers.registry import Registry
from store.errors import SecretUnusable
from store.queries import Ambiguous
from store.records import IdempotencyKey, NewSaga

PAGE = 1_000


class Submitted(msgspec.Struct, frozen=True):
    """What a submission came to."""

    id: str
    created: bool
    body: bytes


def release() -> str:
    """Give this release's version."""
    try:
        return installed("sagad")
    except PackageNotFoundError:
        return "0"


class Service:
    """What sagad does for its callers."""

    def __init__(
        self,
        *,
        host: Host,
        directory: Directory,
        registry: Registry,
        settings: Settings,
        reload: Callable[[], list[str]],
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Serve these sagas. ``reload`` reads the settings again and gives what changed."""
        self.version = release()
        self.settings = settings
        self.ready = False
        self.warnings: list[str] = []
        self._host = host
        self._directory = directory
        self._registry = registry
        self._reload = reload
        self._random = random_bytes
        self._compiler = Compiler(registry, settings.policy, settings.limits.document_bytes)
        self._plans: dict[int, tuple[Plan, bytes, bytes]] = {}
        self._submitting: dict[str, anyio.Event] = {}

    # -- submitting --------------------------------------------------------------------------------------------------

    async def submit(
        self, caller: Caller, submission: Submission, *, idempotency_key: str | None, wait: int | None
    ) -> Submitted:
        """Accept a saga; it is durable when this returns. ``wait``: milliseconds to wait for its end or a hold.

        Raises Invalid with every problem, Conflict for a key that was used for something else, Unavailable.
        """
        if idempotency_key is None:
            return await self._submit(caller, submission, None, wait)
        while (other := self._submitting.get(idempotency_key)) is not None:
            await other.wait()
        self._submitting[idempotency_key] = anyio.Event()
        try:
            key = IdempotencyKey(idempotency_key, _digest(msgspec.json.encode(submission, order="sorted")))
            repeated = await self._repeated(key, wait)
            return repeated or await self._submit(caller, submission, key, wait)
        finally:
            self._submitting.pop(idempotency_key).set()

    async def _repeated(self, key: IdempotencyKey, wait: int | None) -> Submitted | None:
        known = self._host.queries.idempotency_key(key.key)
        if known is None:
            return None
        saga, body = known
        if body != key.body:
            detail = (
                f"the idempotency key `{key.key}` was used for something else, saga {saga}: use another key"
            )
            raise Conflict(detail, code="idempotency_key_reused")
        document = await self._awaited(saga, wait)
        return Submitted(saga, created=False, body=documents.with_warnings(document, ()))

    async def _submit(
        self, caller: Caller, submission: Submission, key: IdempotencyKey | None, wait: int | None
    ) -> Submitted:
        compiled, inputs = self._checked(submission)
        if self._host.journal.full:
            raise Unavailable("the disk is full, so no new work is taken: make room", code="storage_full")
        if self._host.draining:
            raise Unavailable("sagad is draining, so no new work is taken", code="draining")
        assert compiled.plan is not None
        plan, digest, encoded = self._plan(compiled.plan)
        saga, now = keys.new_id(self._random), self._host.clock.now()
        encoded_inputs = documents.encode(inputs)
        new = NewSaga(
            plan.kind,
            digest,
            encoded_inputs,
            {**compiled.labels, **submission.labels},
            caller.name,
            submission.reason,
            now,
        )
        submitted = e.Submitted(
            kind=plan.kind,
            steps=len(plan.steps),
            plan=digest.hex(),
            inputs=_digest(encoded_inputs).hex(),
            deadline=None if plan.deadline is None else now + plan.deadline,
            actor=caller.name,
            reason=submission.reason,
        )
        waiting = _Waiter() if wait else None
        stop = self._directory.watch(saga, waiting) if waiting else None
        try:
            dossier, state = await self._directory.submit(saga, plan, new, encoded, submitted, key)
            if waiting is not None and wait:
                await waiting.wait(wait)
                dossier, state = waiting.last or (dossier, state)
        finally:
            if stop is not None:
                stop()
        document = self._document(dossier.header, plan, state, _outputs(dossier))
        return Submitted(saga, created=True, body=documents.with_warnings(document, compiled.warnings))

    def _compiled(self, submission: Submission) -> Compiled:
        if submission.saga is not None:
            return self._compiler.object(submission.saga)
        return self._compiler.source(submission.source or "", format=submission.format or "yaml")

    def _checked(self, submission: Submission) -> tuple[Compiled, dict[str, Any]]:
        compiled = self._compiled(submission)
        problems = list(compiled.problems)
        inputs: dict[str, Any] = {}
        if not problems:
            inputs, problems = self._compiler.bind(
                compiled,
                submission.inputs,
                from_text=submission.inputs_as_text,
                has_secret=self._has_secret if compiled.secrets else None,
            )
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            raise Invalid(f"the saga is not valid: {count}; nothing was started", _items(problems))
        return compiled, inputs

    def _has_secret(self, name: str) -> bool:
        try:
            self._host.secrets.get(name)
        except SecretUnusable:
            return False
        return True

    def _plan(self, plan: Plan) -> tuple[Plan, bytes, bytes]:
        """Give the plan with its digest and encoded form, kept for as long as the compiler keeps the plan."""
        known = self._plans.get(id(plan))
        if known is None or known[0] is not plan:
            encoded = documents.encode(plan)
            known = (plan, _digest(encoded), encoded)
            if len(self._plans) >= PAGE:
                self._plans.clear()
            self._plans[id(plan)] = known
        return known

    async def validate(self, submission: Submission) -> bytes:
        """Say what is wrong with a file, without running it. Inputs are looked at only if some are given."""
        compiled = self._compiled(submission)
        problems = list(compiled.problems)
        if not problems and submission.inputs:
            _, problems = self._compiler.bind(
                compiled, submission.inputs, from_text=submission.inputs_as_text
            )
        steps = len(compiled.plan.steps) if compiled.plan is not None else None
        kind = compiled.plan.kind if compiled.plan is not None else None
        return documents.encode(
            {"problems": problems, "warnings": list(compiled.warnings), "kind": kind, "steps": steps}
        )

    # -- reading -----------------------------------------------------------------------------------------------------

    async def resolve_ref(self, ref: str) -> str:
        """Give the id that is meant by an id, an unambiguous prefix, or `last`. Raises NotFound, Conflict."""
        try:
            found = self._host.queries.resolve(ref.lower())
        except Ambiguous as error:
            raise Conflict(f"{error}: give more of it", code="ambiguous") from error
        if found is None:
            raise NotFound(f"there is no saga `{ref}`: `sagactl ls` lists them")
        return found

    async def saga(self, ref: str) -> bytes:
        """Give a saga's document."""
        return documents.encode(await self._saga(await self.resolve_ref(ref)))

    async def _saga(self, saga: str) -> documents.SagaDocument:
        header, plan, state, outputs = await self._look(saga)
        return self._document(header, plan, state, outputs)

    async def _look(self, saga: str) -> tuple[Header, Plan, State, Mapping[int, Any]]:
        """Give what is durable of a saga: from its actor, if it is in memory, else from its row."""
        actor = self._directory.actor(saga)
        if actor is not None:
            return actor.dossier.header, actor.plan, actor.state, _outputs(actor.dossier)
        row = self._host.queries.saga(saga)
        if row is None:
            raise NotFound(f"there is no saga `{saga}`")
        plan = self._directory.plan(row.plan)
        state = self._directory.state(row)
        outputs = {
            each.step: msgspec.Raw(each.outputs)
            for each in await self._host.queries.executions(saga)
            if each.direction == "forward" and each.outputs is not None
        }
        return self._directory.header(row), plan, state, outputs

    def _document(
        self, header: Header, plan: Plan, state: State, outputs: Mapping[int, Any]
    ) -> documents.SagaDocument:
        return documents.saga(header, plan, state, outputs, self._waiting(header.id, plan, state))

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
            state = actor.state if actor is not None else self._directory.state(row)
            header, plan = self._directory.header(row), self._directory.plan(row.plan)
            shown.append(self._document(header, plan, state, {}))
        return documents.encode({"sagas": shown, "next": str(page[-1].number) if len(rows) > limit else None})

    async def why(self, ref: str) -> bytes:
        """Say in one sentence why a saga is where it is."""
        header, plan, state, _ = await self._look(await self.resolve_ref(ref))
        return documents.encode({"why": self._why(header.id, plan, state)})

    def _why(self, saga: str, plan: Plan, state: State) -> str:
        waiting = self._waiting(saga, plan, state)
        if (
            waiting is not None
            and waiting.for_ in ("storage", "drain", "queue")
            and waits(plan, state) is None
        ):
            return f"Saga {saga} is {state.status} and waits: {waiting.detail}."
        return why(plan, state, self._host.clock.now(), saga)

    async def executions(self, ref: str) -> bytes:
        """Give a saga's executions in the order in which they started, linked both ways."""
        saga = await self.resolve_ref(ref)
        rows = await self._host.queries.executions(saga)
        links = await self._host.queries.compensated_by(saga)
        return documents.encode(
            {"executions": [documents.execution(row, links.get(row.id, [])) for row in rows]}
        )

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
                page, last = await self._host.queries.events(saga, after=after, limit=PAGE)
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

    async def providers(self, type_: str | None = None) -> bytes:
        """Give what the drivers declare; one type's, where one is named."""
        described = self._registry.describe()
        if type_ is not None:
            named = [
                each for each in described if each["type"] == type_ or each["type"].startswith(f"{type_}.")
            ]
            if not named and type_ not in self._registry.refused:
                hint = suggest(type_, [each["type"] for each in described])
                raise NotFound(f"there is no type `{type_}`" + (f": {hint}" if hint else ""))
            described = named
        refused = [{"type": each, "problems": found} for each, found in self._registry.refused.items()]
        return documents.encode({"providers": described, "refused": refused})

    # -- steering ----------------------------------------------------------------------------------------------------

    async def verb(self, caller: Caller, ref: str, verb: str, body: VerbBody) -> bytes:
        """Say something to a saga; what it brings about is durable when this returns.

        Raises NotFound, Conflict (naming what is possible instead), Invalid.
        """
        saga = await self.resolve_ref(ref)
        _, plan, state, _ = await self._look(saga)
        message = await self._message(caller, saga, plan, state, verb, body)
        reply = await self._ask(saga, message)
        if reply.did == "refused":
            raise Conflict(reply.detail)
        document = documents.VerbDocument(reply.did, reply.detail, await self._saga(saga))
        return documents.encode(document)

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
            return m.Skip(**said, step=_needed(step), output=self._typed(plan, _needed(step), body.output))
        if verb == "resolve":
            return await self._resolve(saga, plan, state, _needed(step), body, said)
        if verb == "rollback":
            return _rollback(state, body, said)
        if verb in _PLAIN:
            return _PLAIN[verb](**said)
        raise Conflict(f"cannot {verb}: this release has no {verb} yet")

    async def _resolve(
        self, saga: str, plan: Plan, state: State, step: int, body: VerbBody, said: dict[str, Any]
    ) -> m.Resolve:
        """Have the operator's word come with what the resource looks like and with the outputs that were given."""
        carry: Carry | None = None
        if body.as_ == "done":
            back = state.steps[step].status in ("compensating", "compensation_failed")
            carry = await self._seen(saga, step, "undo" if back else "forward", plan, body)
        elif body.output:
            raise Invalid("outputs go with --as done only", [Item("output", "goes with `as: done` only")])
        if body.as_ is None:
            raise Invalid("say how: --as done, failed or retry", [Item("as", "is missing")])
        payload = "" if carry is None else _digest(documents.encode(carry.outputs or {})).hex()
        return m.Resolve(**said, step=step, as_=body.as_, payload=payload, carry=carry)

    async def _seen(self, saga: str, step: int, direction: Direction, plan: Plan, body: VerbBody) -> Carry:
        actor = self._directory.actor(saga)
        if actor is not None:
            dossier = actor.dossier
        else:
            header, plan, _, _ = await self._look(saga)
            dossier = Dossier(header, plan)
            dossier.load(await self._host.queries.executions(saga))
        if (step, direction) not in dossier.entries:
            return Carry()
        given = self._typed(plan, step, body.output)
        return await self._host.executor.look(dossier, step, direction, given)

    def _typed(self, plan: Plan, step: int, output: dict[str, Any] | None) -> dict[str, Any]:
        """Bring outputs that came as text to the types that the driver declares for them."""
        driver, verb = self._registry.split(plan.steps[step].operation)
        declared = driver.verbs[verb].outputs
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

    async def _awaited(self, saga: str, wait: int | None) -> documents.SagaDocument:
        """Give a saga's document once it has ended or needs a person, or the time is up."""
        if wait:
            waiter = _Waiter()
            stop = self._directory.watch(saga, waiter)
            try:
                _, _, state, _ = await self._look(saga)
                if not _settled(state):
                    await waiter.wait(wait)
            finally:
                stop()
        return await self._saga(saga)

    # -- the node ----------------------------------------------------------------------------------------------------

    async def health(self) -> bytes:
        """Say how the node is: live and ready, and everything that somebody should look at."""
        counts = await self._host.queries.counts()
        warnings = [
            *self.warnings,
            *(
                f"type {name} is unavailable: {'; '.join(why)}"
                for name, why in self._registry.refused.items()
            ),
            *(
                f"saga {saga} is quarantined: {reason}"
                for saga, reason in self._directory.supervisor.quarantined.items()
            ),
        ]
        if self._host.journal.full:
            warnings.append(f"the disk is full: {self._host.journal.storage.why}")
        status = "draining" if self._host.draining else "ok" if not warnings else "warning"
        return documents.encode(
            {
                "live": True,
                "ready": self.ready,
                "status": status,
                "version": self.version,
                "node": self._host.journal.node,
                "head": {"seq": self._host.journal.last_seq, "hash": self._host.journal.head},
                "sagas": [{"status": c.status, "hold": c.hold, "sagas": c.sagas} for c in counts],
                "in_memory": len(self._directory.live),
                "restarts": self._directory.supervisor.restarts,
                "warnings": warnings,
            }
        )

    async def counts(self) -> Counts:
        """Count what there is, for the metrics."""
        rows = await self._host.queries.counts()
        return Counts(
            version=self.version,
            ready=self.ready,
            draining=self._host.draining,
            storage_full=self._host.journal.full,
            sagas={(row.status, row.hold): row.sagas for row in rows},
            actors=len(self._directory.live),
            restarts=self._directory.supervisor.restarts,
            quarantined=len(self._directory.supervisor.quarantined),
            last_seq=self._host.journal.last_seq,
        )

    async def reload(self, caller: Caller) -> bytes:
        """Read the settings again; what can change, changes. Raises Invalid, and then nothing has changed."""
        return documents.encode({"changed": self._reload()})

    async def drain(self, caller: Caller) -> bytes:
        """Start no step any more; return when what runs has ended."""
        self._host.draining = True
        await self._directory.wait_calm()
        return documents.encode(
            {"drained": True, "detail": "nothing runs; what is left waits for the next start"}
        )


class _Seen(msgspec.Struct):
    """What a stream says of an event beside its document."""

    seq: int
    type: str


_SEEN = msgspec.json.Decoder(_Seen)
_PAGE = msgspec.json.Decoder(list[msgspec.Raw])


class _Waiter:
    """Waits for a saga's end or a hold that needs a person."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self.last: tuple[Dossier, State] | None = None

    def __call__(self, dossier: Dossier, state: State) -> None:
        self.last = (dossier, state)
        if _settled(state):
            self._over.set()

    async def wait(self, milliseconds: int) -> None:
        with anyio.move_on_after(milliseconds / 1000):
            await self._over.wait()


def _settled(state: State) -> bool:
    return state.status in ENDED or (state.hold is not None and state.hold.reason != "lock")


def _outputs(dossier: Dossier) -> dict[int, Any]:
    return {
        step: entry.outputs
        for (step, direction), entry in dossier.entries.items()
        if direction == "forward" and entry.outputs is not None
    }


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _items(problems: Iterable[FileProblem]) -> list[Item]:
    return [Item(each.where, each.problem, each.hint) for each in problems]


def _step(plan: Plan, name: str) -> int:
    if name not in plan.by_name:
        hint = suggest(name, plan.by_name)
        raise NotFound(f"the saga has no step `{name}`" + (f": {hint}" if hint else ""), code="no_such_step")
    return plan.by_name[name]


def _needed(step: int | None) -> int:
    if step is None:
        raise Invalid("name the step", [Item("step", "is missing", "name the step")])
    return step


def _rollback(state: State, body: VerbBody, said: dict[str, Any]) -> m.Verb:
    if body.preview or body.to_step is not None or state.status in ("completed", "failed"):
        raise Conflict("cannot roll back an ended saga: this release has no rollback saga yet")
    return m.Rollback(**said, past_irreversible=body.past_irreversible)


_PLAIN: dict[str, type[m.Verb]] = {
    "pause": m.Pause,
    "resume": m.Resume,
    "abandon": m.Abandon,
    "approve": m.Approve,
    "reject": m.Reject,
}
