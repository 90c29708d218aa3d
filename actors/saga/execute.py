"""Drives one execution: performs it, polls it, ends what a crash left of it, and finds out what became of it.

Everything here turns what the machine wants (``wants``) into driver calls, and what drivers did into messages for the
machine. It decides nothing about sagas. What the rows on disk are to hold travels with the message (``carry``).
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import msgspec

from actors.saga import messages as m
from actors.saga import outcomes
from actors.saga.calls import Calls, NotReady
from actors.saga.dossier import PAYLOAD, Carry, Dossier, Entry, Intent
from actors.saga.later import NONE, Since
from actors.saga.outcomes import Attempt, settled
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
            return self._answer(want, entry, ended(why.code, str(why)), {})
        call = msgspec.structs.replace(call, attempt=want.attempt, generation=want.generation)
        before: dict[str, Image] = {}
        work = self._guarded(dossier, want, driver, call, entry, before)
        outcome = await attempt.outcome(work, entry.intent.limit, _ENDS)
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
                    before["image"] = self._calls.redacted(live)
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
                return self._answer(wanted, entry, Unknown(why.code, str(why)), {})
            call = msgspec.structs.replace(call, handle=entry.handle, attempt=want.attempt)
            outcome = await attempt.outcome(driver.poll(call), entry.intent.limit)
            if not isinstance(outcome, Working) or outcome.handle != entry.handle:
                return self._answer(wanted, entry, outcome, {})
            wait = self._due(outcome) - self._calls.clock.now()
            if wait > SHORT_POLL:
                return self._answer(wanted, entry, outcome, {})
            await attempt.rest(max(wait, 50) / 1000)

    def _due(self, outcome: Working) -> int:
        return self._calls.clock.now() + outcome.poll_after if outcome.until is None else outcome.until

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
            error = Error("conflict", outcomes.clip(self._calls.secrets.redact(outcome.why)))
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
        outcome, carry, digest = self._payload(entry, outcome)
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

    def _payload(self, entry: Entry, outcome: Any) -> tuple[Any, Carry, str]:
        """Give the outcome, what of it goes to disk, and the digest of that. Too much of it fails the step."""
        if not isinstance(outcome, Succeeded | Partial):
            return outcome, Carry(), ""
        outputs = self._calls.secrets.redact(outcome.outputs)
        try:
            encoded = msgspec.json.encode(outputs)
        except (TypeError, ValueError) as error:
            return _unwritable(outcome, f"its outputs are not JSON: {error}"), Carry(), ""
        if len(encoded) + (size := len(msgspec.json.encode(entry.arguments))) > PAYLOAD:
            why = (
                f"its outputs are {len(encoded)} bytes, with its arguments {len(encoded) + size}, more than {PAYLOAD}; "
                "what it did is undone with the rest"
            )
            return Partial("too_large", why), Carry(after=outcome.after), ""
        after = None if outcome.after is None else self._calls.redacted(outcome.after)
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
            driver, call = self._calls.again(dossier, want.step, entry)
            if (raised := await _end(driver, call)) is not None:
                error = Error("lost", f"{error.message}; ending what it left raised {raised}")
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
        """Find out what an attempt did. Absence within the provider's settle window proves nothing: it is waited out.

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
        return self._found(want, entry, await self._find(driver, call, entry.intent.settle))

    async def _find(self, driver: Driver, call: Call, settle: int) -> Any:
        certain = anyio.current_time() + settle / 1000
        tries, wait = 0, 0.05
        while True:
            asked = msgspec.structs.replace(call, now=self._calls.clock.now())
            finding = await settled(partial(driver.find, asked), FIND_TIMEOUT)
            if (again := _ask_again(finding)) is not None:
                await anyio.sleep(again / 1000)
                continue
            if isinstance(finding, BaseException):
                tries += not _passing(finding)
                if tries >= FIND_TRIES:
                    return Unclear(f"looking for it raised {type(finding).__name__}: {finding}")
            elif not isinstance(finding, NotDone) or anyio.current_time() >= certain:
                return finding
            await anyio.sleep(wait)
            wait = min(wait * 2, 5.0)

    def _cannot(self, want: Settle, entry: Entry) -> m.Found:
        same = True
        if entry.intent.secrets:
            try:
                same = self._calls.secrets.fingerprint(entry.intent.secrets) == entry.intent.mark
            except SecretUnusable:
                same = False
        return m.Found(**_of(want), kind="cannot", same_secrets=same)

    def _found(self, want: Settle, entry: Entry, finding: Any) -> m.Found:
        if isinstance(finding, Done):
            done, carry, digest = self._payload(entry, Succeeded(finding.outputs, finding.after))
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
        outputs: dict[str, Any] = dict(given)
        after: Image | None = None
        try:
            driver, call = self._calls.again(dossier, step, entry)
            live = await settled(lambda: driver.read(call), FIND_TIMEOUT)
            after = self._calls.redacted(live) if isinstance(live, Image) else None
        except NotReady:
            after = None
        return Carry(outputs=self._calls.secrets.redact(outputs), after=after)


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


def _ask_again(finding: Any) -> int | None:
    """Give the milliseconds after which to ask a ``find`` again that could not look yet: that is no failed try."""
    if isinstance(finding, Ended) and isinstance(finding.outcome, Working):
        return max(finding.outcome.poll_after, 10)
    return None


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
