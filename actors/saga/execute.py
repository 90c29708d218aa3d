"""Drives one execution: prepares its intent, performs it, polls it, and finds out what became of it.

Everything here turns what the machine wants (``wants``) into driver calls, and what drivers did into messages for the
machine. It decides nothing about sagas. What the rows on disk are to hold travels with the message (``carry``).
"""

from __future__ import annotations

import hashlib
from typing import Any

import anyio
import msgspec

from actors.clock import Clock
from actors.saga import keys, outcomes
from actors.saga import messages as m
from actors.saga.dossier import Dossier, Entry, Intent
from actors.saga.outcomes import Attempt, settled
from actors.saga.plan import PlanStep
from actors.saga.references import BadReference, find, record, reveal
from actors.saga.state import Direction, Error, State, Touch, WayBack
from actors.saga.wants import Perform, Poll, Prepare, Settle
from providers.contract import (
    ABSENT,
    Call,
    Done,
    Driver,
    Ended,
    Failed,
    Image,
    NotDone,
    Outcome,
    Partial,
    Planned,
    Resource,
    Succeeded,
    Unclear,
    Unknown,
    Verb,
    Working,
)
from providers.registry import Registry, UnknownOperation
from store.errors import SecretUnusable
from store.records import NewExecution
from store.secrets import Secrets

PAYLOAD = 1 << 20
"""Arguments, outputs and images of one execution, together, in bytes (SPEC §4)."""
FIND_TIMEOUT = 60.0
FIND_TRIES = 5
"""How often a ``find`` that raises is asked again before somebody must look."""
SHORT_POLL = 5_000
"""Milliseconds up to which polls of the same handle go on without being written down."""


class Prep(Exception):
    """Preparing failed: the intent cannot be written."""

    def __init__(self, code: str, message: str, *, stuck: bool = False) -> None:
        """Say why. ``stuck``: it is the node's fault, not the step's."""
        super().__init__(message)
        self.code = code
        self.stuck = stuck


class Draft(msgspec.Struct):
    """An intent in the making: everything but what reading the resource will tell."""

    step: PlanStep
    direction: Direction
    nature: Any
    driver: Driver
    declared: Verb
    operation: str
    arguments: Any
    """As recorded: secrets are references."""
    call: Call
    intent: Intent
    original: Entry | None
    reads: bool = False


class Carry(msgspec.Struct):
    """Payloads that go to disk with the events which their message brings about."""

    entry: Entry | None = None
    row: NewExecution | None = None
    outputs: dict[str, Any] | None = None
    after: Image | None = None
    handle: Any = None
    before: Image | None = None
    """What a forced undo overwrote."""


class Already(msgspec.Struct, frozen=True):
    """An undo found the resource as it should become."""


class Conflicting(msgspec.Struct, frozen=True):
    """An undo found that somebody else has changed the resource."""

    why: str


Verdict = Already | Conflicting


class Executor:
    """Turns wants into driver calls, for all sagas of the daemon."""

    def __init__(self, registry: Registry, secrets: Secrets, clock: Clock) -> None:
        """Use these drivers, these secrets and this clock."""
        self.registry = registry
        self.secrets = secrets
        self.clock = clock

    # -- prepare ---------------------------------------------------------------------------------------------------

    def prepare_nowait(
        self, dossier: Dossier, state: State, want: Prepare
    ) -> m.Prepared | m.NotPrepared | None:
        """Prepare an execution, if nothing has to be read for it; None: it takes ``prepare``."""
        try:
            draft = self._draft(dossier, state, want)
            return None if draft.reads else self._prepared(dossier, want, draft, Planned())
        except Prep as why:
            return _not_prepared(want, why)

    async def prepare(self, dossier: Dossier, state: State, want: Prepare) -> m.Prepared | m.NotPrepared:
        """Prepare an execution: resolve its arguments, check them, read the resource. Changes nothing."""
        try:
            draft = self._draft(dossier, state, want)
            planned = await self._plan(draft)
            return self._prepared(dossier, want, draft, planned)
        except Prep as why:
            return _not_prepared(want, why)
        except Ended as ended:
            return self._refused(want, ended.outcome)

    async def _plan(self, draft: Draft) -> Planned:
        planned = await settled(lambda: draft.driver.plan(draft.call))
        if isinstance(planned, Ended):
            raise planned
        if isinstance(planned, BaseException):
            raise Ended(Failed("plan", f"reading raised {type(planned).__name__}: {planned}", transient=True))
        if not isinstance(planned, Planned):
            raise Prep("plan", f"its driver planned with {type(planned).__name__}, which is no plan")
        return planned

    def _refused(self, want: Prepare, outcome: Outcome) -> m.NotPrepared:
        failed = outcome if isinstance(outcome, Failed) else Failed("plan", f"its driver answered {outcome}")
        return m.NotPrepared(
            step=want.step,
            direction=want.direction,
            generation=want.generation,
            error=Error(failed.code, outcomes.clip(self.secrets.redact(failed.message))),
            transient=failed.transient,
            rate_limited=failed.rate_limited,
            retry_after=failed.retry_after,
        )

    def _draft(self, dossier: Dossier, state: State, want: Prepare) -> Draft:
        step = dossier.plan.steps[want.step]
        if want.direction == "forward":
            return self._operation(dossier, state, want, step, step.operation, step.arguments)
        if step.undo.form == "given":
            return self._operation(dossier, state, want, step, step.undo.operation, step.undo.arguments)
        return self._restore(dossier, want, step)

    def _driver(self, operation: str, version: str) -> tuple[Driver, str]:
        try:
            driver, verb = self.registry.split(operation)
        except UnknownOperation as gone:
            raise Prep("driver", str(gone), stuck=True) from gone
        if version and version.partition(".")[0] != driver.version.partition(".")[0]:
            why = f"{driver.type} is version {driver.version} now; the saga was made for {version}"
            raise Prep("driver", why, stuck=True)
        return driver, verb

    def _operation(
        self, dossier: Dossier, state: State, want: Prepare, step: PlanStep, operation: str, template: Any
    ) -> Draft:
        version = step.driver_version if want.direction == "forward" else ""
        driver, verb = self._driver(operation, version)
        self_ = want.step if want.direction == "undo" else None
        try:
            arguments = record(template, dossier.lookup(state, self_))
        except BadReference as why:
            raise Prep("reference", str(why)) from why
        typed, names, mark = self._reveal(arguments, driver.verbs[verb])
        declared = driver.refine(verb, typed)
        problems = driver.check(verb, typed)
        if problems:
            raise Prep("refused", self.secrets.redact("; ".join(problems)))
        key = keys.key(dossier.header.id, want.step, want.direction, want.generation)
        intent = Intent(
            verb=verb,
            name=keys.name(dossier.plan, dossier.header.id, want.step, want.generation),
            driver=f"{driver.type} {driver.version}",
            resource=driver.resource(verb, typed),
            settle=declared.settle,
            limit=declared.timeout if step.timeout is None else step.timeout,
            secrets=names,
            mark=mark,
        )
        call = self._call(key, intent, typed)
        reads = type(driver).plan is not Driver.plan
        nature = "forward" if want.direction == "forward" else "correct"
        original = dossier.entries.get((want.step, "forward")) if want.direction == "undo" else None
        return Draft(
            step,
            want.direction,
            nature,
            driver,
            declared,
            operation,
            arguments,
            call,
            intent,
            original,
            reads,
        )

    def _restore(self, dossier: Dossier, want: Prepare, step: PlanStep) -> Draft:
        """Derive the inverse from the driver's declaration and the before-image."""
        original = dossier.entries[want.step, "forward"]
        driver, verb = self._driver(step.operation, step.driver_version)
        typed, names, mark = self._reveal(original.arguments, driver.verbs[verb])
        inverse, target = _inverse(driver.refine(verb, typed).inverse, verb, original)
        declared = driver.verbs[inverse]
        key = keys.key(dossier.header.id, want.step, "undo", want.generation)
        intent = Intent(
            verb=inverse,
            name=original.intent.name,
            driver=f"{driver.type} {driver.version}",
            resource=original.intent.resource,
            before=original.left,
            after=target,
            fields=original.intent.fields,
            restore=True,
            settle=declared.settle,
            limit=declared.timeout if step.timeout is None else step.timeout,
            secrets=names,
            mark=mark,
        )
        call = self._call(key, intent, typed, original)
        operation = f"{driver.type}.{inverse}"
        return Draft(
            step,
            "undo",
            "restore",
            driver,
            declared,
            operation,
            original.arguments,
            call,
            intent,
            original,
        )

    def _reveal(self, arguments: Any, verb: Verb) -> tuple[Any, tuple[str, ...], str]:
        """Give the arguments as the driver gets them, and which secrets are in them."""
        names = tuple(sorted({ref.path[0] for _, ref in find(arguments) if ref.root == "secret"}))
        try:
            real = reveal(arguments, self.secrets.get)
            mark = self.secrets.fingerprint(names) if names else ""
            return msgspec.convert(real, verb.arguments), names, mark
        except SecretUnusable as why:
            raise Prep("secret", str(why)) from why
        except msgspec.ValidationError as why:
            raise Prep("arguments", self.secrets.redact(f"its arguments do not fit: {why}")) from why

    def _call(self, key: str, intent: Intent, typed: Any, original: Entry | None = None) -> Call:
        return Call(
            verb=intent.verb,
            arguments=typed,
            key=key,
            name=intent.name,
            now=self.clock.now(),
            resource=intent.resource,
            before=intent.before,
            after=intent.after,
            fields=intent.fields,
            restore=intent.after if intent.restore else None,
            outputs=(original.outputs or {}) if original is not None and intent.restore else {},
        )

    def _prepared(self, dossier: Dossier, want: Prepare, draft: Draft, planned: Planned) -> m.Prepared:
        intent = draft.intent
        if not intent.restore:
            intent = msgspec.structs.replace(
                intent,
                before=planned.before and self._redacted(planned.before),
                after=planned.after and self._redacted(planned.after),
                fields=planned.fields,
            )
        arguments = msgspec.json.encode(draft.arguments)
        encoded = msgspec.msgpack.encode(intent)
        if len(arguments) + len(encoded) > PAYLOAD:
            size = len(arguments) + len(encoded)
            raise Prep("too_large", f"its arguments and images are {size} bytes, more than {PAYLOAD}")
        irreversible = draft.step.irreversible or draft.declared.irreversible
        key = draft.call.key
        entry = Entry(
            id=keys.execution_id(key),
            key=key,
            direction=want.direction,
            operation=draft.operation,
            generation=want.generation,
            arguments=draft.arguments,
            intent=intent,
        )
        row = NewExecution(
            id=entry.id,
            step=want.step,
            step_name=draft.step.name,
            direction=want.direction,
            nature=draft.nature,
            generation=want.generation,
            operation=draft.operation,
            key=key,
            arguments=arguments,
            plan=encoded,
            started_at=self.clock.now(),
            resource=_label(draft.step, intent.resource),
            compensates=draft.original.id if draft.original is not None else None,
        )
        return m.Prepared(
            step=want.step,
            direction=want.direction,
            generation=want.generation,
            execution=entry.id,
            payload=hashlib.sha256(arguments + encoded).hexdigest(),
            changes=draft.declared.changes,
            repeats=draft.declared.repeat in ("idempotent", "token")
            or (draft.step.idempotent and want.direction == "forward"),
            finds=draft.declared.finds,
            way_back=_way_back(draft.step, draft.declared, irreversible=irreversible),
            irreversible=irreversible and want.direction == "forward",
            resource=_touch(draft.step, intent.resource),
            carry=Carry(entry=entry, row=row),
        )

    # -- perform ---------------------------------------------------------------------------------------------------

    async def perform(self, dossier: Dossier, want: Perform, attempt: Attempt) -> m.Answered:
        """Make one attempt and await its end, whatever way it ends."""
        entry = dossier.entries[want.step, want.direction]
        try:
            driver, call = self._again(dossier, want.step, entry)
        except Prep as why:
            return self._answer(want, entry, Failed(why.code, str(why)), {})
        call = msgspec.structs.replace(call, attempt=want.attempt)
        before: dict[str, Image] = {}
        work = self._guarded(dossier, want, driver, call, entry, before)
        outcome = await attempt.outcome(work, entry.intent.limit, Outcome | Verdict)
        return self._answer(want, entry, outcome, before)

    async def _guarded(
        self,
        dossier: Dossier,
        want: Perform,
        driver: Driver,
        call: Call,
        entry: Entry,
        before: dict[str, Image],
    ) -> Outcome | Verdict:
        """Call the driver; an undo first looks whether it is still needed, and whether somebody else was there."""
        if want.direction == "undo" and entry.intent.after is not None and entry.intent.before is not None:
            live = await driver.read(call)
            if live is not None:
                verdict = self._guard(dossier, want, driver, entry, live)
                if verdict is not None:
                    return verdict
                if want.force:
                    before["image"] = self._redacted(live)
                    call = msgspec.structs.replace(call, before=live)
        return await driver.apply(call)

    def _guard(
        self, dossier: Dossier, want: Perform, driver: Driver, entry: Entry, live: Image
    ) -> Verdict | None:
        """Tell what keeps an undo from being made; None: it may be."""
        intent, original = entry.intent, dossier.entries[want.step, "forward"]
        if intent.after is not None and self._same(driver, intent.fields, intent.after, live):
            return Already()
        expected = intent.before if intent.restore else _left_by(original, intent)
        fields = original.intent.fields
        if want.force or expected is None or self._same(driver, fields, expected, live):
            return None
        return Conflicting(_difference(driver, fields, expected, live))

    def _same(self, driver: Driver, fields: tuple[str, ...], wanted: Image, live: Image) -> bool:
        """Compare with what was recorded, in which secrets are references."""
        return driver.same(fields, wanted, live) or driver.same(fields, wanted, self._redacted(live))

    def _redacted(self, image: Image) -> Image:
        return msgspec.structs.replace(image, fields=self.secrets.redact(image.fields))

    def _again(self, dossier: Dossier, step: int, entry: Entry) -> tuple[Driver, Call]:
        """Make the call of an execution anew from its record."""
        driver, verb = self._driver(entry.operation, "")
        original = dossier.entries.get((step, "forward")) if entry.intent.restore else None
        declared = driver.verbs[verb]
        if original is not None:
            declared = driver.verbs[original.operation.rpartition(".")[2]]
        typed, _, _ = self._reveal(entry.arguments, declared)
        return driver, self._call(entry.key, entry.intent, typed, original)

    async def poll(self, dossier: Dossier, want: Poll, attempt: Attempt) -> m.Answered:
        """Ask how a handle goes on; as long as nothing but time has passed, ask again."""
        entry = dossier.entries[want.step, want.direction]
        wanted = Perform(want.step, want.direction, want.generation, want.attempt)
        while True:
            try:
                driver, call = self._again(dossier, want.step, entry)
            except Prep as why:
                return self._answer(wanted, entry, Unknown(why.code, str(why)), {})
            call = msgspec.structs.replace(call, handle=entry.handle, attempt=want.attempt)
            outcome = await attempt.outcome(driver.poll(call), entry.intent.limit)
            if not isinstance(outcome, Working) or outcome.handle != entry.handle:
                return self._answer(wanted, entry, outcome, {})
            wait = self._due(outcome) - self.clock.now()
            if wait > SHORT_POLL:
                return self._answer(wanted, entry, outcome, {})
            await anyio.sleep(max(wait, 50) / 1000)

    def _due(self, outcome: Working) -> int:
        return self.clock.now() + outcome.poll_after if outcome.until is None else outcome.until

    def _answer(self, want: Perform, entry: Entry, outcome: Any, before: dict[str, Image]) -> m.Answered:
        """Put an outcome into words for the machine, secrets taken out."""
        common: dict[str, Any] = {
            "step": want.step,
            "direction": want.direction,
            "generation": want.generation,
            "attempt": want.attempt,
        }
        if isinstance(outcome, Already):
            return m.Answered(**common, kind="already", carry=Carry())
        if isinstance(outcome, Conflicting):
            error = Error("conflict", outcomes.clip(self.secrets.redact(outcome.why)))
            return m.Answered(**common, kind="conflict", error=error, carry=Carry())
        if isinstance(outcome, Working):
            payload = hashlib.sha256(msgspec.msgpack.encode(outcome.handle)).hexdigest()
            return m.Answered(
                **common,
                kind="working",
                due=self._due(outcome),
                detail=outcome.detail,
                payload=payload,
                carry=Carry(handle=outcome.handle),
            )
        outcome, carry, digest = self._payload(outcome)
        carry.before = before.get("image")
        return m.Answered(
            **common,
            kind=outcomes.kind(outcome),
            error=outcomes.error(outcome, self.secrets.redact),
            transient=getattr(outcome, "transient", False),
            rate_limited=getattr(outcome, "rate_limited", False),
            retry_after=getattr(outcome, "retry_after", None),
            payload=digest,
            id=_id(carry.outputs),
            carry=carry,
        )

    def _payload(self, outcome: Any) -> tuple[Any, Carry, str]:
        """Give the outcome, what of it goes to disk, and the digest of that. Too much of it fails the step."""
        if not isinstance(outcome, Succeeded | Partial):
            return outcome, Carry(), ""
        outputs = self.secrets.redact(outcome.outputs)
        try:
            encoded = msgspec.json.encode(outputs)
        except (TypeError, ValueError) as error:
            return _unwritable(outcome, f"its outputs are not JSON: {error}"), Carry(), ""
        if len(encoded) > PAYLOAD:
            why = f"its outputs are {len(encoded)} bytes, more than {PAYLOAD}; it is done, and is undone with the rest"
            return Partial("too_large", why), Carry(after=outcome.after), ""
        after = None if outcome.after is None else self._redacted(outcome.after)
        digest = hashlib.sha256(
            encoded + (b"" if after is None else msgspec.msgpack.encode(after))
        ).hexdigest()
        return outcome, Carry(outputs=outputs, after=after), digest

    # -- after a crash, and settling ---------------------------------------------------------------------------------

    async def end(self, dossier: Dossier, want: Perform) -> m.Answered:
        """End and await what a lost attempt left running, and say that it is over."""
        entry = dossier.entries[want.step, want.direction]
        error = Error("lost", "sagad stopped while it ran")
        try:
            driver, call = self._again(dossier, want.step, entry)
            ended = await settled(lambda: driver.end(call))
            if isinstance(ended, BaseException):
                error = Error("lost", f"{error.message}; ending what it left raised {ended}")
        except Prep as why:
            error = Error("lost", f"{error.message}; {why}")
        return m.Answered(
            step=want.step,
            direction=want.direction,
            generation=want.generation,
            attempt=want.attempt,
            kind="lost",
            error=error,
            carry=Carry(),
        )

    async def settle(self, dossier: Dossier, want: Settle) -> m.Found:
        """Find out what an attempt did. Absence within the provider's settle window proves nothing: it is waited out."""
        entry = dossier.entries[want.step, want.direction]
        try:
            driver, call = self._again(dossier, want.step, entry)
        except Prep as why:
            return self._found(want, Unclear(str(why)))
        ended = await settled(lambda: driver.end(call))
        if isinstance(ended, BaseException):
            return self._found(want, Unclear(f"ending what it left running raised {ended}"))
        if not want.finds:
            return self._cannot(want, entry)
        call = msgspec.structs.replace(call, handle=entry.handle, attempt=want.attempt)
        return self._found(want, await self._find(driver, call, want.since + entry.intent.settle))

    async def _find(self, driver: Driver, call: Call, certain: int) -> Any:
        tries, wait = 0, 0.05
        while True:
            finding = await settled(lambda: driver.find(call), FIND_TIMEOUT)
            if isinstance(finding, BaseException):
                tries += 1
                if tries >= FIND_TRIES:
                    return Unclear(f"looking for it raised {type(finding).__name__}: {finding}")
            elif not isinstance(finding, NotDone) or self.clock.now() >= certain:
                return finding
            await anyio.sleep(wait)
            wait = min(wait * 2, 5.0)

    def _cannot(self, want: Settle, entry: Entry) -> m.Found:
        same = True
        if entry.intent.secrets:
            try:
                same = self.secrets.fingerprint(entry.intent.secrets) == entry.intent.mark
            except SecretUnusable:
                same = False
        return m.Found(**_of(want), kind="cannot", same_secrets=same)

    def _found(self, want: Settle, finding: Any) -> m.Found:
        if isinstance(finding, Done):
            done, carry, digest = self._payload(Succeeded(finding.outputs, finding.after))
            if isinstance(done, Succeeded):
                return m.Found(**_of(want), kind="done", payload=digest, id=_id(carry.outputs), carry=carry)
            finding = Unclear(done.message)
        if isinstance(finding, NotDone):
            return m.Found(**_of(want), kind="not_done", carry=Carry())
        why = (
            finding.why
            if isinstance(finding, Unclear)
            else f"its driver found {finding!r}, which is no finding"
        )
        error = Error("unknown", outcomes.clip(self.secrets.redact(why)))
        return m.Found(**_of(want), kind="unclear", error=error, carry=Carry())

    async def look(self, dossier: Dossier, step: int, direction: Direction, given: dict[str, str]) -> Carry:
        """For ``resolve --as done``: read the resource for its after-image, and take the outputs that were given."""
        entry = dossier.entries[step, direction]
        outputs: dict[str, Any] = dict(given)
        after: Image | None = None
        try:
            driver, call = self._again(dossier, step, entry)
            live = await settled(lambda: driver.read(call), FIND_TIMEOUT)
            after = self._redacted(live) if isinstance(live, Image) else None
        except Prep:
            after = None
        return Carry(outputs=self.secrets.redact(outputs), after=after)


def _not_prepared(want: Prepare, why: Prep) -> m.NotPrepared:
    return m.NotPrepared(
        step=want.step,
        direction=want.direction,
        generation=want.generation,
        error=Error(why.code, outcomes.clip(str(why))),
        stuck=why.stuck,
    )


def _of(want: Settle) -> dict[str, Any]:
    return {
        "step": want.step,
        "direction": want.direction,
        "generation": want.generation,
        "attempt": want.attempt,
    }


def _way_back(step: PlanStep, declared: Verb, *, irreversible: bool) -> WayBack:
    if step.undo.form == "given":
        return "correct"
    if not declared.changes:
        return "nothing"
    if step.undo.form == "none" or irreversible or declared.inverse == "none":
        return "none"
    return "restore"


def _inverse(declared: str, verb: str, original: Entry) -> tuple[str, Image]:
    """Give the verb that puts the earlier state back, and the image to be put back."""
    before = original.intent.before or ABSENT
    if declared == "same":
        return verb, before
    if declared == "put_back":
        left = original.left
        if not before.exists:
            return "delete", before
        return ("create" if left is not None and not left.exists else "update"), before
    if declared == "delete":
        return "delete", ABSENT
    return declared, before


def _left_by(original: Entry, intent: Intent) -> Image | None:
    """For a correcting operation: what the step left, where the two are about the same resource."""
    same = original.intent.resource is not None and original.intent.resource == intent.resource
    return original.left if same else None


def _difference(driver: Driver, fields: tuple[str, ...], wanted: Image, live: Image) -> str:
    if wanted.exists != live.exists:
        return "somebody else has removed it since" if wanted.exists else "somebody else has made it since"
    changed = [
        name
        for name in fields
        if driver.normalise(name, wanted.fields.get(name)) != driver.normalise(name, live.fields.get(name))
    ]
    return f"somebody else has changed its {', '.join(changed) or 'state'} since"


def _unwritable(outcome: Any, why: str) -> Partial | Unknown:
    return Partial("outputs", why, after=outcome.after)


def _id(outputs: dict[str, Any] | None) -> str | None:
    found = outputs.get("id") if outputs else None
    return str(found) if isinstance(found, str | int) else None


def _touch(step: PlanStep, resource: Resource | None) -> Touch | None:
    if resource is None:
        return None
    return Touch(type=resource.type, name=step.alias or resource.name, id=resource.id, path=resource.path)


def _label(step: PlanStep, resource: Resource | None) -> str | None:
    return None if resource is None else f"{resource.type}/{step.alias or resource.name}"
