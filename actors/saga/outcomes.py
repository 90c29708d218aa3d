"""From what a driver did to what the machine is told: outcomes, whatever way the call ended.

What a driver raises is data. Everything that is not one of the six outcomes is unknown: a timeout, an interruption,
any exception, any other return value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from actors.saga.state import Error
from providers.contract import (
    Compensated,
    Ended,
    Failed,
    Outcome,
    Partial,
    Succeeded,
    Unknown,
    Working,
)

MESSAGE = 2_000
"""An error's text is kept to this many characters: it goes into events and checkpoints."""

INTERRUPTED = Unknown("interrupted", "it was interrupted")


class Attempt:
    """One driver call under way: it can be told to end, and is over when its code has ended."""

    def __init__(self) -> None:
        """Begin uninterrupted."""
        self._scope: anyio.CancelScope | None = None
        self._interrupted = False

    def interrupt(self) -> None:
        """Have the call end as soon as its code can."""
        self._interrupted = True
        if self._scope is not None:
            self._scope.cancel()

    async def rest(self, seconds: float) -> bool:
        """Wait between two calls; give whether there is to be another one: not once it was interrupted."""
        with self._new_scope():
            await anyio.sleep(seconds)
        return not self._interrupted

    def _new_scope(self) -> anyio.CancelScope:
        """A scope can be entered once only, and an attempt may call several times (``poll``)."""
        self._scope = anyio.CancelScope()
        if self._interrupted:
            self._scope.cancel()
        return self._scope

    async def outcome(self, call: Awaitable[Any], limit: int | None, answers: Any = Outcome) -> Any:
        """Await the call, for ``limit`` milliseconds at most, and give its outcome: one of ``answers``, or Unknown.

        Only the cancellation of whoever awaits this passes through.
        """
        scope = self._new_scope()
        if limit is not None:
            scope.deadline = anyio.current_time() + limit / 1000
        answer: Any = None
        with scope:
            try:
                answer = await call
            except Ended as ended:
                answer = ended.outcome
            except asyncio.CancelledError:
                if scope.cancel_called or _cancelled_from_outside():
                    raise
                answer = Unknown("raised", "its driver gave up with CancelledError")
            except BaseException as error:  # noqa: BLE001  what a driver raises is data
                answer = Unknown("raised", f"its driver raised {type(error).__name__}: {error}")
        if answer is None and self._interrupted:
            return INTERRUPTED
        if answer is None and scope.cancelled_caught:
            return Unknown("timeout", f"no answer within {(limit or 0) / 1000:g} s")
        if not isinstance(answer, answers):
            return Unknown(
                "no_outcome", f"its driver answered with {type(answer).__name__}, which is no outcome"
            )
        return answer


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def settled(call: Callable[[], Awaitable[Any]], seconds: float | None = None) -> Any | BaseException:
    """Await a call that changes nothing, for so many seconds; give what it raised instead of raising it."""
    try:
        with anyio.fail_after(seconds):
            return await call()
    except asyncio.CancelledError:
        if _cancelled_from_outside():
            raise
        return RuntimeError("its driver gave up with CancelledError")
    except Exception as error:  # noqa: BLE001  what a driver raises is data
        return error


_KINDS: dict[type[Any], str] = {
    Succeeded: "succeeded",
    Failed: "failed",
    Partial: "partial",
    Compensated: "compensated",
    Unknown: "unknown",
    Working: "working",
}


def kind(outcome: Outcome) -> Any:
    """Give the outcome's name among the machine's messages."""
    return _KINDS[type(outcome)]


def error(outcome: Outcome, redact: Callable[[Any], Any]) -> Error | None:
    """Give why, kept to a line's length and without secrets; None where there is nothing to explain."""
    if isinstance(outcome, Succeeded | Working):
        return None
    return Error(outcome.code, clip(redact(outcome.message)))


def clip(text: str) -> str:
    """Keep a message to ``MESSAGE`` characters."""
    return text if len(text) <= MESSAGE else f"{text[:MESSAGE]}… ({len(text)} characters)"
