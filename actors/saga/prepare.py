"""Writes intents: what an execution is asked to do, resolved, checked and read, before anything is done.

Nothing here changes the world. What comes of it is a message for the machine, which carries the row that is committed
before the driver is called.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from actors.locks import Locks
from actors.resources import Resources
from actors.saga import keys, moved, outcomes, register
from actors.saga import messages as m
from actors.saga.calls import Calls, NotReady, Postponed
from actors.saga.dossier import PAYLOAD, Carry, Dossier, Entry, Intent, Past
from actors.saga.outcomes import settled
from actors.saga.plan import PlanStep, Undo
from actors.saga.references import BadReference, Lookup, mentions, record, reveal
from actors.saga.state import Ask, Direction, Error, Nature, State, StepState, Touch, WayBack
from actors.saga.wants import Prepare
from providers.contract import (
    ABSENT,
    Approved,
    Call,
    Driver,
    Ended,
    Failed,
    Image,
    Outcome,
    Planned,
    Resource,
    Verb,
)
from store.records import NewExecution


class Draft(msgspec.Struct):
    """An intent in the making: everything but what reading the resource will tell."""

    step: PlanStep
    direction: Direction
    nature: Nature
    driver: Driver
    declared: Verb
    operation: str
    arguments: Any
    """As recorded: secrets are references."""
    call: Call
    intent: Intent
    original: Entry | None


class Preparer:
    """Prepares executions, for all sagas of the daemon."""

    def __init__(self, calls: Calls, locks: Locks, resources: Resources) -> None:
        """Make calls with these; what is to be changed is locked first, and looked up in the registry."""
        self._calls = calls
        self._locks = locks
        self._resources = resources

    def prepare_nowait(
        self, dossier: Dossier, state: State, want: Prepare
    ) -> m.Prepared | m.NotPrepared | m.Blocked | None:
        """Prepare an execution, if nothing has to be read for it; None: it takes ``prepare``."""
        try:
            if self._reads(dossier, want):
                return None
            draft = self.draft(dossier, state, want)
            if wait := self._calls.postponed(draft.driver):
                return _postponed(want, wait)
            return self._blocked(dossier, state, want, draft) or self._prepared(
                dossier, state, want, draft, Planned()
            )
        except NotReady as why:
            return _not_prepared(want, why)

    def _reads(self, dossier: Dossier, want: Prepare) -> bool:
        """Tell whether the resource has to be read. What an undo restores, and over what, is on record."""
        step = dossier.plan.steps[want.step]
        if want.direction == "forward" and step.takes_back is not None:
            return True
        if want.direction == "undo" and step.undo.form != "given":
            return False
        driver, _ = self._calls.driver(step.asked(want.direction).operation, "")
        return type(driver).plan is not Driver.plan

    async def prepare(
        self, dossier: Dossier, state: State, want: Prepare
    ) -> m.Prepared | m.NotPrepared | m.Blocked:
        """Prepare an execution: resolve its arguments, check them, lock the resource, read it. Changes nothing."""
        try:
            draft = self.draft(dossier, state, want)
            if wait := self._calls.postponed(draft.driver):
                return _postponed(want, wait)
            if blocked := self._blocked(dossier, state, want, draft):
                return blocked
            try:
                return self._prepared(dossier, state, want, draft, await self._plan(draft))
            except BaseException:
                self._locks.give_back(dossier.header.id, want.step)
                raise
        except NotReady as why:
            return _not_prepared(want, why)
        except Postponed as wait:
            return _postponed(want, wait)
        except Ended as ended:
            return self._refused(want, ended.outcome)

    def _blocked(self, dossier: Dossier, state: State, want: Prepare, draft: Draft) -> m.Blocked | None:
        """Reserve the lock of what is to be changed before it is read; or tell who is in the way.

        Not yet where somebody is only to be asked: it is prepared again once it was approved.
        """
        resource = _touch(_alias(draft.step, want.direction), draft.intent.resource)
        if resource is None or not draft.declared.changes or state.has_lock(resource):
            return None
        if _is_to_ask(draft, state.steps[want.step]):
            return None
        behind = self._locks.acquire(dossier.header.id, dossier.header.batch, want.step, resource)
        if behind is None:
            return None
        return m.Blocked(
            step=want.step,
            direction=want.direction,
            generation=want.generation,
            resource=resource,
            behind=behind,
        )

    async def _plan(self, draft: Draft) -> Planned:
        with self._calls.asking(draft.driver) as asking:
            planned = await settled(lambda: draft.driver.plan(draft.call))
            asking.came(planned)
        if isinstance(planned, Ended):
            raise self._calls.held_up(draft.driver, planned.outcome) or planned
        if isinstance(planned, BaseException):
            raise Ended(Failed("plan", f"reading raised {type(planned).__name__}: {planned}", transient=True))
        if not isinstance(planned, Planned):
            raise NotReady("plan", f"its driver planned with {type(planned).__name__}, which is no plan")
        return planned

    def _refused(self, want: Prepare, outcome: Outcome) -> m.NotPrepared:
        failed = outcome if isinstance(outcome, Failed) else Failed("plan", f"its driver answered {outcome}")
        return m.NotPrepared(
            step=want.step,
            direction=want.direction,
            generation=want.generation,
            error=Error(failed.code, outcomes.clip(self._calls.secrets.redact(failed.message))),
            transient=failed.transient,
            rate_limited=failed.rate_limited,
            retry_after=failed.retry_after,
        )

    def draft(self, dossier: Dossier, state: State, want: Prepare) -> Draft:
        """Make an intent of what is on record, without reading anything. Raises NotReady."""
        step = dossier.plan.steps[want.step]
        if want.direction == "undo" and step.undo.form != "given":
            original = dossier.original(want.step, "undo")
            assert original is not None
            return self._restore(dossier, want, original, step.driver_version)
        if want.direction == "forward" and step.takes_back is not None:
            return self._taking_back(dossier, want, step, step.takes_back)
        asked = step.asked(want.direction)
        version = "" if isinstance(asked, Undo) else asked.driver_version
        find = dossier.lookup(state, None if want.direction == "forward" else want.step)
        original = dossier.entries.get((want.step, "forward")) if want.direction == "undo" else None
        return self._operation(
            dossier, want, find, asked.operation, asked.arguments, version, original=original
        )

    def _taking_back(self, dossier: Dossier, want: Prepare, step: PlanStep, theirs: int) -> Draft:
        """Take back a step of another saga, by the record of that saga."""
        past = dossier.past
        original = dossier.original(want.step, "forward")
        if past is None or original is None:
            raise NotReady("record", "the record of what it is to take back is gone")
        undo = past.dossier.plan.steps[theirs].undo
        if undo.form != "given":
            return self._restore(dossier, want, original, step.driver_version)
        find = past.dossier.lookup(past.state, theirs, dossier.moves)
        return self._operation(dossier, want, find, undo.operation, undo.arguments, original=original)

    def _operation(
        self,
        dossier: Dossier,
        want: Prepare,
        find: Lookup,
        operation: str,
        template: Any,
        version: str = "",
        original: Entry | None = None,
    ) -> Draft:
        step = dossier.plan.steps[want.step]
        driver, verb = self._calls.driver(operation, version)
        try:
            arguments = record(template, find) if mentions(template) else template
        except BadReference as why:
            raise NotReady("reference", str(why)) from why
        arguments = moved.followed(dossier.moves, arguments, driver.type)
        typed, names, mark = self._calls.reveal(arguments, driver.verbs[verb])
        with self._calls.heeding(driver):
            declared = driver.refine(verb, typed)
            problems = driver.check(verb, typed)
            resource = None if problems else driver.resource(verb, typed)
        if problems:
            raise NotReady("refused", self._calls.secrets.redact("; ".join(problems)))
        if names and resource is not None and self._is_named_by_secrets(driver, verb, arguments, resource):
            named = (
                f"a secret or sensitive output is in what says which {driver.type} is meant, and that is on record as "
                f"it is: of `{operation}` write {_naming(arguments)} without it"
            )
            raise NotReady("secret_name", named)
        key = keys.key(dossier.header.id, want.step, want.direction, want.generation)
        intent = Intent(
            verb=verb,
            name=keys.name(dossier.plan, dossier.header.id, want.step, want.generation, want.direction),
            driver=f"{driver.type} {driver.version}",
            resource=resource,
            settle=declared.settle,
            limit=declared.timeout if step.timeout is None else step.timeout,
            secrets=names,
            mark=mark,
        )
        call = self._calls.call(driver, key, intent, typed)
        if want.direction == "forward" and dossier.header.corrects is not None:
            original = original or _corrected(dossier.past, step, intent.resource)
        return Draft(
            step,
            want.direction,
            "correct" if original is not None or dossier.header.corrects is not None else "forward",
            driver,
            declared,
            operation,
            arguments,
            call,
            intent,
            original,
        )

    def _is_named_by_secrets(self, driver: Driver, verb: str, arguments: Any, resource: Resource) -> bool:
        """Tell whether other secrets would make it another resource."""
        try:
            others = reveal(arguments, lambda name: f"<{name}>")
            return driver.resource(verb, msgspec.convert(others, driver.verbs[verb].arguments)) != resource
        except Exception:  # noqa: BLE001  these stand-ins do not fit: then the secrets themselves are looked for
            told = msgspec.to_builtins(resource)
            return bool(self._calls.secrets.redact(told) != told)

    def _restore(self, dossier: Dossier, want: Prepare, original: Entry, version: str) -> Draft:
        """Derive the inverse from the driver's declaration and the before-image."""
        step = dossier.plan.steps[want.step]
        driver, verb = self._calls.driver(original.operation, version)
        typed, names, mark = self._calls.reveal(original.arguments, driver.verbs[original.verb])
        with self._calls.heeding(driver):
            means = _declared(driver, verb, typed, original)
        inverse, target = inverse_of(means, verb, original.intent.before, original.left)
        declared = driver.verbs[inverse]
        key = keys.key(dossier.header.id, want.step, want.direction, want.generation)
        intent = Intent(
            verb=inverse,
            name=original.intent.name,
            driver=f"{driver.type} {driver.version}",
            resource=original.known,
            before=original.left,
            after=target,
            fields=original.intent.fields,
            restore=True,
            typed_as=original.verb,
            settle=declared.settle,
            limit=declared.timeout if step.timeout is None else step.timeout,
            secrets=names,
            mark=mark,
        )
        call = self._calls.call(driver, key, intent, typed, original)
        operation = f"{driver.type}.{inverse}"
        return Draft(
            step,
            want.direction,
            "restore",
            driver,
            declared,
            operation,
            original.arguments,
            call,
            intent,
            original,
        )

    def _prepared(
        self, dossier: Dossier, state: State, want: Prepare, draft: Draft, planned: Planned
    ) -> m.Prepared:
        intent, id_ = draft.intent, keys.execution_id(draft.call.key)
        seals = self._calls.seals(draft.driver, id_)
        before = planned.before and seals.image(planned.before, "before")
        if intent.restore:
            # Of a step of its own the before-image is kept as it was found, so that it too can be put back.
            intent = msgspec.structs.replace(intent, before=before or intent.before)
        else:
            intent = msgspec.structs.replace(
                intent,
                before=before,
                after=planned.after and seals.image(planned.after, "after"),
                fields=planned.fields,
                approved=_approved(state.steps[want.step].ask) if draft.declared.asks else None,
            )
        if intent.resource is not None and _takes_part(dossier, draft):
            alias = _alias(draft.step, want.direction)
            instead_of = draft.step.instead_of if want.direction == "forward" else None
            found = register.before(
                self._resources, dossier, intent, alias, draft.original, instead_of=instead_of
            )
            intent = msgspec.structs.replace(intent, recorded=found, alias=alias)
        arguments = msgspec.json.encode(draft.arguments)
        encoded = msgspec.msgpack.encode(intent)
        if len(arguments) + len(encoded) > PAYLOAD:
            size = len(arguments) + len(encoded)
            raise NotReady("too_large", f"its arguments and images are {size} bytes, more than {PAYLOAD}")
        key = draft.call.key
        entry = Entry(
            id=id_,
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
            started_at=self._calls.clock.now(),
            resource=_label(_alias(draft.step, want.direction), intent.resource),
            compensates=draft.original.id if draft.original is not None else None,
        )
        return intended(
            want,
            draft.step,
            draft.declared,
            intent.resource,
            execution=entry.id,
            payload=hashlib.sha256(arguments + encoded).hexdigest(),
            nature=None if draft.nature == "forward" else draft.nature,
            hash=_hash(draft, arguments, intent) if _asks(draft) else "",
            message=self._message(draft) if draft.declared.asks else "",
            carry=Carry(entry=entry, row=row, sealed=seals.rows),
        )

    def _message(self, draft: Draft) -> str:
        """Give what to ask, in one line and without secrets."""
        message = self._calls.secrets.redact(draft.call.arguments.message)
        return outcomes.clip(" ".join(message.split()))


def _naming(arguments: dict[str, Any]) -> str:
    """List the arguments in which there is a secret, for a message."""
    return " or ".join(f"`{name}`" for name, value in arguments.items() if mentions(value))


def _alias(step: PlanStep, direction: Direction) -> str | None:
    """Give what the step calls its resource; a hook's is another."""
    return None if direction == "hook" else step.alias


def _takes_part(dossier: Dossier, draft: Draft) -> bool:
    """Tell whether the registry has to do with it. What takes something back goes by that."""
    if not draft.declared.changes:
        return False
    if draft.intent.restore:
        return draft.original is not None and draft.original.intent.recorded is not None
    theirs = draft.step.takes_back
    step = draft.step if theirs is None or dossier.past is None else dossier.past.dossier.plan.steps[theirs]
    return step.keep


def _corrected(past: Past | None, step: PlanStep, resource: Resource | None) -> Entry | None:
    """Give the execution that a corrective saga's step makes up for: of the step of its name, else on its resource."""
    if past is None:
        return None
    entries, touch = past.dossier.entries, _touch(step.alias, resource)
    named = past.dossier.plan.by_name.get(step.name)
    if named is not None and (named, "forward") in entries:
        return entries[named, "forward"]
    for index, theirs in enumerate(past.state.steps):
        if touch is not None and theirs.resource is not None and theirs.resource.overlaps(touch):
            return entries.get((index, "forward"))
    return None


def intended(
    want: Prepare,
    step: PlanStep,
    declared: Verb,
    resource: Resource | None,
    **written: Any,
) -> m.Prepared:
    """Say of an operation what the machine goes by: what its driver declares, and what the step says of itself."""
    forward = want.direction == "forward"
    irreversible = step.irreversible or declared.irreversible
    return m.Prepared(
        step=want.step,
        direction=want.direction,
        generation=want.generation,
        changes=declared.changes,
        repeats=declared.repeat in ("idempotent", "token") or (step.idempotent and forward),
        finds=declared.finds,
        way_back="nothing"
        if want.direction == "hook"
        else _way_back(step, declared, irreversible=irreversible),
        irreversible=irreversible and forward,
        resource=_touch(_alias(step, want.direction), resource),
        **written,
    )


def _approved(ask: Ask | None) -> Approved | None:
    """Give the approval that was given. That it is of these arguments is the machine's to see to."""
    if ask is None or not ask.approved:
        return None
    return Approved(by=", ".join(ask.given), reason=ask.reason or "")


def _asks(draft: Draft) -> bool:
    if draft.direction == "hook":
        return False
    return draft.step.asks_undo if draft.direction == "undo" else draft.step.asks != "never"


def _is_to_ask(draft: Draft, now: StepState) -> bool:
    """Tell whether an approval is needed (as the machine sees it) and nobody has given any."""
    step = draft.step
    if draft.direction == "undo":
        ask, needed = now.undo_ask, step.asks_undo
    else:
        irreversible = step.irreversible or draft.declared.irreversible
        ask, needed = now.ask, step.asks == "each" or (step.asks == "irreversible" and irreversible)
    return draft.direction != "hook" and needed and (ask is None or not ask.approved)


def _hash(draft: Draft, arguments: bytes, intent: Intent) -> str:
    """Give what an approval is for: the operation, its resolved arguments, and the image that is to be put back.

    Of a step that has a hook also that, as it is written.
    """
    more = b" " + msgspec.msgpack.encode(intent.after) if intent.restore else b""
    hook = draft.step.hook
    if hook is not None and draft.direction == "forward":
        more += b" " + msgspec.json.encode([hook.operation, hook.arguments])
    return hashlib.sha256(draft.operation.encode() + b" " + arguments + more).hexdigest()


def _not_prepared(want: Prepare, why: NotReady) -> m.NotPrepared:
    return m.NotPrepared(
        step=want.step,
        direction=want.direction,
        generation=want.generation,
        error=Error(why.code, outcomes.clip(str(why))),
        stuck=why.stuck,
        transient=why.transient,
    )


def _postponed(want: Prepare, wait: Postponed) -> m.NotPrepared:
    return m.NotPrepared(
        step=want.step,
        direction=want.direction,
        generation=want.generation,
        error=Error("provider", outcomes.clip(wait.why)),
        postponed=wait.until,
    )


def _way_back(step: PlanStep, declared: Verb, *, irreversible: bool) -> WayBack:
    if step.undo.form == "given":
        return "correct"
    if not declared.changes:
        return "nothing"
    if step.undo.form == "none" or irreversible or declared.inverse == "none":
        return "none"
    return "restore"


def _declared(driver: Driver, verb: str, typed: Any, original: Entry) -> str:
    """Give the declared inverse. Of a restore: whatever its before-image asks for, as it may have been put over another."""
    if not original.intent.restore:
        return driver.refine(verb, typed).inverse
    inverse = driver.verbs[verb].inverse
    return inverse if inverse in ("same", "none") else "put_back"


def inverse_of(declared: str, verb: str, before: Image | None, left: Image | None) -> tuple[str, Image]:
    """Give the verb that puts the earlier state back, and the image to be put back."""
    before = before or ABSENT
    if declared == "same":
        return verb, before
    if declared == "put_back":
        if not before.exists:
            return "delete", before
        return ("create" if left is not None and not left.exists else "update"), before
    if declared == "delete":
        return "delete", ABSENT
    return declared, before


def _touch(alias: str | None, resource: Resource | None) -> Touch | None:
    if resource is None:
        return None
    return Touch(type=resource.type, name=alias or resource.name, id=resource.id, path=resource.path)


def _label(alias: str | None, resource: Resource | None) -> str | None:
    return None if resource is None else f"{resource.type}/{alias or resource.name}"
