"""Submitting sagas: from what was sent to a durable saga, at most once for each idempotency key."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import anyio
import msgspec

from actors.directory import Directory, Newborn
from actors.saga import events as e
from actors.saga import keys
from actors.saga.dossier import Dossier
from actors.saga.host import Host
from actors.saga.plan import Plan
from actors.saga.state import ENDED, State
from config.settings import Settings
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.files.compile import Compiled, Compiler
from orchestrator.files.problems import Problem as FileProblem
from orchestrator.problems import Conflict, Invalid, Item, NotFound, Unavailable
from orchestrator.reading import Reading, outputs_of
from orchestrator.requests import Submission
from providers.registry import Registry
from store.errors import SecretUnusable
from store.records import IdempotencyKey, NewSaga

PLANS = 1_000
"""Encoded plans kept at hand."""


class Submitted(msgspec.Struct, frozen=True):
    """What a submission came to."""

    id: str
    created: bool
    body: bytes


class Given(msgspec.Struct, frozen=True):
    """What a saga is given beside its file."""

    inputs: Mapping[str, Any]
    labels: Mapping[str, str]
    reason: str | None


class Submitting:
    """Takes sagas in."""

    def __init__(
        self,
        host: Host,
        directory: Directory,
        registry: Registry,
        settings: Settings,
        reading: Reading,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Compile with these drivers; hand over to this directory."""
        self._host = host
        self._directory = directory
        self._reading = reading
        self._random = random_bytes
        self._registry = registry
        self.settle_in(settings)
        self._plans: dict[int, tuple[Plan, bytes, bytes]] = {}
        self._submitting: dict[str, anyio.Event] = {}

    def settle_in(self, settings: Settings) -> None:
        """Compile by these settings from now on; what was compiled by others is forgotten."""
        self.compiler = Compiler(self._registry, settings.policy, settings.limits.document_bytes)

    async def submit(
        self, caller: Caller, submission: Submission, *, idempotency_key: str | None, wait: int | None
    ) -> Submitted:
        """Accept a saga; it is durable when this returns. ``wait``: milliseconds to wait for its end or a hold.

        Raises Invalid with every problem, Conflict for a key that was used for something else, Unavailable.
        """
        said = msgspec.json.encode(submission, order="sorted")

        async def again(saga: str) -> Submitted:
            document = await self.awaited(saga, wait)
            return Submitted(saga, created=False, body=documents.encode(documents.submitted(document, ())))

        async def start(key: IdempotencyKey | None) -> Submitted:
            return await self._submit(caller, submission, key, wait)

        return await self.once(idempotency_key, said, again, start)

    async def once(
        self,
        key: str | None,
        said: bytes,
        again: Callable[[str], Awaitable[Submitted]],
        start: Callable[[IdempotencyKey | None], Awaitable[Submitted]],
    ) -> Submitted:
        """Start what was ``said`` once for each key; with the same key ``again`` gives what was started.

        Raises Conflict for a key with which something else was said.
        """
        if key is None:
            return await start(None)
        while (other := self._submitting.get(key)) is not None:
            await other.wait()
        self._submitting[key] = anyio.Event()
        try:
            given = IdempotencyKey(key, _digest(said))
            known = self._host.queries.idempotency_key(key)
            if known is None:
                return await start(given)
            saga, body = known
            if body != given.body:
                detail = (
                    f"the idempotency key `{key}` was used for something else, saga {saga}: use another key"
                )
                raise Conflict(detail, code="idempotency_key_reused")
            try:
                return await again(saga)
            except NotFound:
                detail = (
                    f"with the idempotency key `{key}` saga {saga} was started, which has ended and had its time "
                    "([retention]): it is not started again"
                )
                raise Conflict(detail, code="saga_pruned") from None
        finally:
            self._submitting.pop(key).set()

    async def correct(self, caller: Caller, submission: Submission, original: str) -> Submitted:
        """Accept a saga that makes up for another one. Raises Invalid with every problem, Unavailable."""
        return await self._submit(caller, submission, None, None, corrects=original)

    async def submit_plan(self, caller: Caller, plan: Plan, given: Given, saga: str) -> None:
        """Accept a saga that sagad has made itself, under an id that is known beforehand. Raises Unavailable."""
        check_open(self._host)
        born = self.newborn(caller, plan, given, saga=saga)
        await self._directory.submit(saga, born.plan, born.new, born.encoded_plan, born.submitted, None)

    async def _submit(
        self,
        caller: Caller,
        submission: Submission,
        key: IdempotencyKey | None,
        wait: int | None,
        corrects: str | None = None,
    ) -> Submitted:
        compiled, inputs = self.checked(submission)
        check_open(self._host)
        assert compiled.plan is not None
        given = Given(inputs, {**compiled.labels, **submission.labels}, submission.reason)
        born = self.newborn(caller, compiled.plan, given, corrects=corrects)
        return await self.run(born, compiled.warnings, key, wait)

    async def run(
        self, born: Newborn, warnings: Iterable[FileProblem], key: IdempotencyKey | None, wait: int | None
    ) -> Submitted:
        """Accept what was made of a file; it is durable when this returns. ``wait``: as in :meth:`submit`."""
        saga, plan = born.saga, born.plan
        waiting = _Waiter() if wait else None
        stop = self._directory.watch(saga, waiting) if waiting else None
        try:
            dossier, state = await self._directory.submit(
                saga, plan, born.new, born.encoded_plan, born.submitted, key
            )
            if waiting is not None and wait:
                await waiting.wait(wait)
                dossier, state = waiting.last or (dossier, state)
        finally:
            if stop is not None:
                stop()
        document = self._reading.compose(dossier.header, plan, state, outputs_of(dossier))
        body = documents.encode(documents.submitted(document, warnings))
        return Submitted(saga, created=True, body=body)

    def newborn(
        self,
        caller: Caller,
        plan: Plan,
        given: Given,
        *,
        saga: str | None = None,
        batch: str | None = None,
        corrects: str | None = None,
        **more: Any,
    ) -> Newborn:
        """Make what is written first of a saga; ``more`` goes into its first event."""
        plan, digest, encoded = self._plan(plan)
        now, encoded_inputs = self._host.clock.now(), documents.encode(given.inputs)
        waits = plan.deadline is None or more.get("queued", False)
        submitted = e.Submitted(
            kind=plan.kind,
            steps=len(plan.steps),
            plan=digest.hex(),
            inputs=_digest(encoded_inputs).hex(),
            deadline=None if waits else now + (plan.deadline or 0),
            actor=caller.name,
            reason=given.reason,
            corrects=corrects,
            **more,
        )
        new = NewSaga(
            plan.kind,
            digest,
            encoded_inputs,
            documents.encode(given.labels),
            caller.name,
            given.reason,
            now,
            batch=batch,
            corrects=corrects,
        )
        return Newborn(saga or keys.new_id(self._random), plan, new, encoded, submitted)

    def _compiled(self, submission: Submission) -> Compiled:
        if submission.saga is not None:
            return self.compiler.object(submission.saga)
        return self.compiler.source(submission.source or "", format=submission.format or "yaml")

    def checked(self, submission: Submission, *, secrets: bool = True) -> tuple[Compiled, dict[str, Any]]:
        """Compile a saga and bind its inputs. Raises Invalid with every problem.

        Without ``secrets`` those that it refers to need not be there.
        """
        compiled = self._compiled(submission)
        inputs, wrong = self.compiler.bind(
            compiled,
            submission.inputs,
            from_text=submission.inputs_as_text,
            has_secret=self.has_secret if compiled.secrets and secrets else None,
        )
        problems = [*compiled.problems, *wrong]
        if problems:
            raise not_valid("saga", problems)
        return compiled, inputs

    def has_secret(self, name: str) -> bool:
        """Tell whether there is a secret of this name that can be used."""
        try:
            self._host.secrets.value(name)
        except SecretUnusable:
            return False
        return True

    def _plan(self, plan: Plan) -> tuple[Plan, bytes, bytes]:
        """Give the plan with its digest and encoded form, kept for as long as the compiler keeps the plan."""
        known = self._plans.get(id(plan))
        if known is None or known[0] is not plan:
            encoded = documents.encode(plan)
            known = (plan, _digest(encoded), encoded)
            if len(self._plans) > PLANS:
                self._plans.clear()
            self._plans[id(plan)] = known
        return known

    def validate(self, submission: Submission) -> bytes:
        """Say what is wrong with a saga file, without running it. Inputs are looked at only if some are given."""
        compiled = self._compiled(submission)
        problems = list(compiled.problems)
        if submission.inputs:
            _, wrong = self.compiler.bind(compiled, submission.inputs, from_text=submission.inputs_as_text)
            problems += wrong
        steps = len(compiled.plan.steps) if compiled.plan is not None else None
        kind = compiled.plan.kind if compiled.plan is not None else None
        return documents.encode(
            answers.Validated(problems=problems, warnings=list(compiled.warnings), kind=kind, steps=steps)
        )

    async def awaited(self, saga: str, wait: int | None) -> answers.Saga:
        """Give a saga's document once it has ended or needs a person, or the time is up."""
        if wait:
            waiter = _Waiter()
            stop = self._directory.watch(saga, waiter)
            try:
                _, _, state, _ = await self._reading.look(saga)
                if not _settled(state):
                    await waiter.wait(wait)
            finally:
                stop()
        return await self._reading.document(saga)


def check_open(host: Host) -> None:
    """Raise Unavailable while no new work is taken."""
    if host.journal.full:
        what = "there is no room left in the state folder's file system, so no new work is taken"
        raise Unavailable(f"{what}: make room there; `sagactl doctor` says how much", code="storage_full")
    if host.draining:
        what = "sagad is draining, so no new work is taken: only a restart of it ends that"
        raise Unavailable(what, code="draining")


class _Waiter:
    """Waits for a saga's end or a hold that needs a person."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        self.last: tuple[Dossier, State] | None = None

    def __call__(self, dossier: Dossier, state: State) -> None:
        self.last = (dossier, state)
        if _settled(state):
            self._end()

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    async def wait(self, milliseconds: int) -> None:
        """Return at its end, or when the time is up. A timer and a future: a tenth of what a cancel scope takes."""
        timer = self._loop.call_later(milliseconds / 1000, self._end)
        try:
            await self._over
        finally:
            timer.cancel()


def _settled(state: State) -> bool:
    return state.status in ENDED or (state.hold is not None and state.hold.reason != "lock")


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def not_valid(what: str, problems: Collection[FileProblem]) -> Invalid:
    """Put a file's problems into the API's form."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    errors = [Item(each.where, each.problem, each.hint) for each in problems]
    return Invalid(f"the {what} is not valid: {count}; nothing was started", errors)
