"""Drives one execution: performs it, polls it, ends what a crash left of it, and finds out what became of it.

Everything here turns what the machine wants (``wants``) into driver calls, and what drivers did into messages for the
machine. It decides nothing about sagas. What the rows on disk are to hold travels with the message (``carry``).
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import msgspec

from actors.saga import keys, outcomes
from actors.saga import messages as m
from actors.saga.calls import Calls, NotReady, Postponed
from actors.saga.dossier import PAYLOAD, Carry, Dossier, Entry, Intent
from actors.saga.later import NONE, Since
from actors.saga.outcomes import Attempt, settled
from actors.saga.plan import Plan
from actors.saga.prepare import Draft
from actors.saga.state import Direction, Error
from actors.saga.wants import Perform, Poll, Settle
from providers.contract import (
    Call,
    Done,
    Driver,
    Ended,
    Failed,
    Image,
    NotDone,
    Outcome,
    Partial,
    Succeeded,
    Unclear,
    Unknown,
    Working,
)
from store.errors import SecretUnusable

if TYPE_CHECKING:
    from actors.saga.seals import Seals

FIND_TIMEOUT = 60.0
FIND_TRIES = 5
"""How often a ``find`` that raises is asked again before somebody must look."""
SHORT_POLL = 5_000
"""Milliseconds up to which polls of the same handle go on without being written down."""


class Already(msgspec.Struct, frozen=True):
    """An undo found the resource as it should become."""


class Conflicting(msgspec.Struct, frozen=True):
    """An undo found that somebody else has changed the resource; later sagas among them by name."""

    why: str
    sagas: tuple[str, ...] = ()


Verdict = Already | Conflicting


async def _nobody(_: Entry) -> Since:
    return NONE


_ENDS = Outcome | Verdict
_NOTHING: Mapping[str, Image] = {}


class Executor:
    """Performs executions, for all sagas of the daemon."""

    def __init__(self, calls: Calls, changed_since: Callable[[Entry], Awaitable[Since]] = _nobody) -> None:
        """Make calls with these. ``changed_since`` names the sagas that have changed what an execution did."""
        self._calls = calls
        self._changed_since = changed_since

    # -- perform ---------------------------------------------------------------------------------------------------

    async def perform(self, dossier: Dossier, want: Perform, attempt: Attempt) -> m.Answered:
        """Make one attempt and await its end, whatever way it ends."""
        entry = dossier.entries[want.step, want.direction]
        try:
            driver, call = self._calls.again(dossier, want.step, entry)
        except NotReady as why:
            # A driver that is gone is nothing to fail over: settling will ask.
            ended = Unknown if why.stuck else Failed
            return self._answer(want, entry, ended(why.code, str(why)))
        call = msgspec.structs.replace(call, attempt=want.attempt, generation=want.generation)
        seals = self._calls.seals(driver, entry.id)
        before: dict[str, Image] = {}
        try:
            with self._calls.asking(driver) as asking:
                work = self._guarded(dossier, want, driver, call, entry, before, seals)
                outcome = await attempt.outcome(work, entry.intent.limit, _ENDS)
                asking.came(outcome)
        except Postponed as wait:
            return _postponed(want, wait)
        if held_up := self._calls.held_up(driver, outcome):
            return _postponed(want, held_up)
        return _with_move(dossier, self._answer(want, entry, outcome, before, seals))

    async def _guarded(
        self,
        dossier: Dossier,
        want: Perform,
        driver: Driver,
        call: Call,
        entry: Entry,
        before: dict[str, Image],
        seals: Seals,
    ) -> Outcome | Verdict:
        """Call the driver; what takes something back first looks whether that is still needed, and who else was there."""
        original = dossier.original(want.step, want.direction)
        if original is not None and entry.intent.after is not None and entry.intent.before is not None:
            live = await driver.read(call)
            if live is not None:
                another = want.direction == "forward"
                verdict = await self.guard(
                    driver, entry.intent, original, live, force=want.force, another=another
                )
                if verdict is not None:
                    return verdict
                if want.force and want.direction == "undo":
                    before["image"] = seals.image(live, "before")
                    call = msgspec.structs.replace(call, before=live)
        return await driver.apply(call)

    async def guard(
        self,
        driver: Driver,
        intent: Intent,
        original: Entry,
        live: Image,
        *,
        force: bool = False,
        another: bool = False,
        since: Since | None = None,
    ) -> Verdict | None:
        """Tell what keeps an execution from being taken back by what is intended; None: it may be.

        ``another``: it is of another saga, which ended before; then also what a later saga has only seemingly left as it
        was is a conflict, with that saga's name.
        """
        if intent.after is not None and self._calls.same(driver, intent.fields, intent.after, live):
            return Already()
        expected = original.left if intent.restore else _left_by(original, intent)
        if force or expected is None:
            return None
        fields = original.intent.fields
        expected = self._calls.opened(expected) or expected
        changed = not self._calls.same(driver, fields, expected, live)
        if not changed and not another:
            return None
        since = since or await self._changed_since(original)
        # What was done above or below is no harm to what is as it was left.
        sagas = since.sagas if changed else since.exactly
        who = "saga " + ", ".join(sagas) if sagas else "somebody else"
        if changed:
            return Conflicting(_difference(driver, fields, expected, live, who), sagas)
        return Conflicting(f"{who} has changed it since", sagas) if sagas else None

    async def foresee(self, draft: Draft) -> tuple[Verdict | None, tuple[str, ...]]:
        """Say what would keep this from being done as things are, and which later sagas have changed what it is about."""
        original = draft.original
        assert original is not None
        since = await self._changed_since(original)
        live = await settled(lambda: draft.driver.read(draft.call), FIND_TIMEOUT)
        if isinstance(live, BaseException):
            return Conflicting(self._calls.secrets.redact(f"it cannot be read: {live}")), since.sagas
        if live is None:
            return None, since.sagas
        verdict = await self.guard(draft.driver, draft.intent, original, live, another=True, since=since)
        return verdict, since.sagas

    async def poll(self, dossier: Dossier, want: Poll, attempt: Attempt) -> m.Answered:
        """Ask how a handle goes on; as long as nothing but time has passed, ask again."""
        entry = dossier.entries[want.step, want.direction]
        wanted = Perform(want.step, want.direction, want.generation, want.attempt)
        while True:
            try:
                driver, call = self._calls.again(dossier, want.step, entry)
            except NotReady as why:
                return self._answer(wanted, entry, Unknown(why.code, str(why)))
            call = msgspec.structs.replace(call, handle=entry.handle, attempt=want.attempt)
            try:
                with self._calls.asking(driver) as asking:
                    outcome = await attempt.outcome(driver.poll(call), entry.intent.limit)
                    asking.came(outcome)
            except Postponed as wait:
                return _postponed(want, wait)
            if held_up := self._calls.held_up(driver, outcome):
                return _postponed(want, held_up)
            seals = self._calls.seals(driver, entry.id)
            if not isinstance(outcome, Working) or outcome.handle != entry.handle:
                return _with_move(dossier, self._answer(wanted, entry, outcome, seals=seals))
            rest = self._due(outcome) - self._calls.clock.now()
            if rest > SHORT_POLL:
                return self._answer(wanted, entry, outcome)
            if not await attempt.rest(max(rest, 50) / 1000):
                return self._answer(wanted, entry, outcomes.INTERRUPTED)

    def _due(self, outcome: Working) -> int:
        return self._calls.clock.now() + outcome.poll_after if outcome.until is None else outcome.until

    def _answer(
        self,
        want: Perform,
        entry: Entry,
        outcome: Any,
        before: Mapping[str, Image] = _NOTHING,
        seals: Seals | None = None,
    ) -> m.Answered:
        """Put an outcome into words for the machine, secrets taken out. Without ``seals`` no driver was asked."""
        common: dict[str, Any] = {
            "step": want.step,
            "direction": want.direction,
            "generation": want.generation,
            "attempt": want.attempt,
        }
        if isinstance(outcome, Already):
            return m.Answered(**common, kind="already", carry=Carry())
        if isinstance(outcome, Conflicting):
            error = Error("conflict", outcomes.clip(self._calls.secrets.redact(outcome.why)))
            return m.Answered(**common, kind="conflict", error=error, carry=Carry())
        if isinstance(outcome, Working):
            payload = hashlib.sha256(msgspec.msgpack.encode(outcome.handle)).hexdigest()
            return m.Answered(
                **common,
                kind="working",
                due=self._due(outcome),
                detail=self._calls.secrets.redact(outcome.detail),
                payload=payload,
                carry=Carry(handle=outcome.handle),
            )
        outcome, carry, digest = self._payload(entry, outcome, seals)
        carry.before = before.get("image")
        return m.Answered(
            **common,
            kind=outcomes.kind(outcome),
            error=outcomes.error(outcome, self._calls.secrets.redact),
            transient=getattr(outcome, "transient", False),
            rate_limited=getattr(outcome, "rate_limited", False),
            retry_after=getattr(outcome, "retry_after", None),
            certain=getattr(outcome, "certain", False),
            payload=digest,
            id=_id(carry.outputs),
            carry=carry,
        )

    def _payload(self, entry: Entry, outcome: Any, seals: Seals | None) -> tuple[Any, Carry, str]:
        """Give the outcome, what of it goes to disk, and the digest of that. Too much of it fails the step."""
        if seals is None or not isinstance(outcome, Succeeded | Partial):
            return outcome, Carry(), ""
        try:
            after = None if outcome.after is None else seals.image(outcome.after, "after")
            outputs = seals.outputs(outcome.outputs)
            encoded = msgspec.json.encode(outputs)
        except (TypeError, ValueError) as error:
            return _unwritable(outcome, f"its outputs are not JSON: {error}"), Carry(sealed=seals.rows), ""
        out = len(encoded) + sum(len(row.box) for row in seals.rows)
        if out + (size := len(msgspec.json.encode(entry.arguments))) > PAYLOAD:
            why = (
                f"its outputs are {out} bytes, with its arguments {out + size}, more than {PAYLOAD}; "
                "what it did is undone with the rest"
            )
            return Partial("too_large", why), Carry(after=after, sealed=seals.rows), ""
        digest = hashlib.sha256(
            encoded + (b"" if after is None else msgspec.msgpack.encode(after))
        ).hexdigest()
        return outcome, Carry(outputs=outputs, after=after, sealed=seals.rows), digest

    # -- after a crash, and settling ---------------------------------------------------------------------------------

    async def end(self, dossier: Dossier, want: Perform) -> m.Answered:
        """End and await what a lost attempt left running, and say that it is over."""
        entry = dossier.entries[want.step, want.direction]
        error = Error("lost", "sagad stopped while it ran")
        try:
            driver, call = self._calls.again(dossier, want.step, entry)
            if (raised := await _end(driver, call)) is not None:
                why = self._calls.secrets.redact(f"ending what it left raised {raised}")
                error = Error("lost", outcomes.clip(f"{error.message}; {why}"))
        except NotReady as why:
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
        """Find out what an attempt did. What is as before, within the provider's settle window, proves nothing.

        The window counts from the moment when we begin to look, by the loop's clock: the time of day may be set
        meanwhile, or may have been while we were away, and what is declared absent too early is made twice.
        """
        entry = dossier.entries[want.step, want.direction]
        try:
            driver, call = self._calls.again(dossier, want.step, entry)
        except NotReady as why:
            return self._found(want, entry, Unclear(str(why)))
        if (raised := await _end(driver, call)) is not None:
            return self._found(want, entry, Unclear(f"ending what it left running raised {raised}"))
        if not want.finds:
            return self._cannot(want, entry)
        call = msgspec.structs.replace(call, handle=entry.handle, attempt=want.attempt)
        try:
            finding = await self._find(driver, call, entry.intent.settle)
        except Postponed as wait:
            return m.Found(**_of(want), kind="postponed", due=wait.until, error=Error("provider", wait.why))
        found = self._found(want, entry, finding, self._calls.seals(driver, entry.id))
        return _with_move(dossier, found)

    async def _find(self, driver: Driver, call: Call, settle: int) -> Any:
        certain = anyio.current_time() + settle / 1000
        tries, pause = 0, 0.05
        while True:
            asked = msgspec.structs.replace(call, now=self._calls.clock.now())
            with self._calls.asking(driver) as asking:
                finding = await settled(partial(driver.find, asked), FIND_TIMEOUT)
                asking.came(finding)
            if isinstance(finding, Ended) and (wait := self._calls.held_up(driver, finding.outcome)):
                raise wait
            if (again := _ask_again(finding)) is not None:
                if again.poll_after > SHORT_POLL:
                    raise Postponed(self._calls.secrets.redact(again.detail), self._due(again))
                await anyio.sleep(max(again.poll_after, 10) / 1000)
                continue
            if isinstance(finding, BaseException):
                tries += not _passing(finding)
                if tries >= FIND_TRIES:
                    return Unclear(f"looking for it raised {type(finding).__name__}: {finding}")
            elif anyio.current_time() >= certain or not _may_be_old(finding, call):
                return finding
            await anyio.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _cannot(self, want: Settle, entry: Entry) -> m.Found:
        same = True
        if entry.intent.secrets:
            try:
                same = self._calls.secrets.fingerprint(entry.intent.secrets) == entry.intent.mark
            except SecretUnusable:
                same = False
        return m.Found(**_of(want), kind="cannot", same_secrets=same)

    def _found(self, want: Settle, entry: Entry, finding: Any, seals: Seals | None = None) -> m.Found:
        if isinstance(finding, Done):
            done, carry, digest = self._payload(entry, Succeeded(finding.outputs, finding.after), seals)
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
        error = Error("unknown", outcomes.clip(self._calls.secrets.redact(why)))
        return m.Found(**_of(want), kind="unclear", error=error, carry=Carry())

    async def look(self, dossier: Dossier, step: int, direction: Direction, given: dict[str, str]) -> Carry:
        """For ``resolve --as done``: read the resource for its after-image, and take the outputs that were given."""
        entry = dossier.entries[step, direction]
        try:
            driver, call = self._calls.again(dossier, step, entry)
        except NotReady:
            return self._given(entry.operation, entry.id, given)
        live = await settled(lambda: driver.read(call), FIND_TIMEOUT)
        carry = self._given(entry.operation, entry.id, given)
        if isinstance(live, Image):
            seals = self._calls.seals(driver, entry.id)
            carry.after = seals.image(live, "after")
            carry.sealed += seals.rows
        return carry

    def stand_in(self, saga: str, plan: Plan, step: int, given: dict[str, Any]) -> Carry:
        """For ``skip``: take the outputs that were given for a step, and seal what is sensitive of them."""
        return self._given(plan.steps[step].operation, keys.given_id(saga, step), given)

    def _given(self, operation: str, execution: str, given: dict[str, Any]) -> Carry:
        try:
            driver, _ = self._calls.driver(operation, "")
        except NotReady:
            return Carry(outputs=self._calls.secrets.redact(given))
        seals = self._calls.seals(driver, execution)
        return Carry(outputs=seals.outputs(given), sealed=seals.rows)


async def _end(driver: Driver, call: Call) -> BaseException | None:
    """End and await what an attempt left running; give what kept us from it.

    What we lack for it is waited for: as long as it may be running, nobody can tell what it did, no person either.
    """
    wait = 0.05
    while isinstance(raised := await settled(lambda: driver.end(call)), BaseException):
        if not _passing(raised):
            return raised
        await anyio.sleep(wait)
        wait = min(wait * 2, 5.0)
    return None


def _may_be_old(finding: Any, call: Call) -> bool:
    """Tell whether what was found may be how it was before the call: not changed yet, or, of a restore, not changed at all.

    What a restore makes is what was there before its original, and so what a provider that lags shows of that one.
    """
    return isinstance(finding, NotDone) or (call.restore is not None and isinstance(finding, Done))


def _ask_again(finding: Any) -> Working | None:
    """Tell when to ask a ``find`` again that could not look yet: that is no failed try."""
    outcome = finding.outcome if isinstance(finding, Ended) else None
    return outcome if isinstance(outcome, Working) else None


_Message = TypeVar("_Message", m.Answered, m.Found)


def _with_move(dossier: Dossier, message: _Message) -> _Message:
    """Say of an execution that is done whether by it a resource has another id."""
    if message.kind not in ("succeeded", "done"):
        return message
    move = dossier.move(message.step, message.direction, message.carry.outputs)
    return message if move is None else msgspec.structs.replace(message, moved=move)


def _postponed(want: Perform | Poll, wait: Postponed) -> m.Answered:
    return m.Answered(
        step=want.step,
        direction=want.direction,
        generation=want.generation,
        attempt=want.attempt,
        kind="postponed",
        error=Error("provider", outcomes.clip(wait.why)),
        due=wait.until,
        carry=Carry(),
    )


def _passing(error: BaseException) -> bool:
    """Tell whether we lack what it takes, descriptors or memory, which says nothing about what it is for: we try on."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def _of(want: Settle) -> dict[str, Any]:
    return {
        "step": want.step,
        "direction": want.direction,
        "generation": want.generation,
        "attempt": want.attempt,
    }


def _left_by(original: Entry, intent: Intent) -> Image | None:
    """For a correcting operation: what the step left, where the two are about the same resource."""
    same = original.intent.resource is not None and original.intent.resource == intent.resource
    return original.left if same else None


def _difference(driver: Driver, fields: tuple[str, ...], wanted: Image, live: Image, who: str) -> str:
    if wanted.exists != live.exists:
        return f"{who} has removed it since" if wanted.exists else f"{who} has made it since"
    changed = [
        _CALLED.get(name, name)
        for name in fields
        if driver.normalise(name, wanted.fields.get(name)) != driver.normalise(name, live.fields.get(name))
    ]
    return f"{who} has changed its {', '.join(dict.fromkeys(changed)) or 'state'} since"


_CALLED = {"sha256": "content", "size": "content"}
"""What people call a field of an image."""


def _unwritable(outcome: Any, why: str) -> Partial | Unknown:
    return Partial("outputs", why, after=outcome.after)


def _id(outputs: dict[str, Any] | None) -> str | None:
    found = outputs.get("id") if outputs else None
    return str(found) if isinstance(found, str | int) else None
