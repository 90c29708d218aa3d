"""`wait.timer`, `wait.approval`: nothing happens, durably. While it waits the saga is a row, not an object.

A timer's due time is its handle; the driver has no clock of its own and goes by the time in the call. For an approval
the engine asks, and calls only when it was given.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar

import msgspec

from config.durations import parse_duration
from providers.contract import Call, Driver, Ended, Failed, Outcome, Succeeded, Verb, Working

EPOCH = datetime.fromtimestamp(0, UTC)


class Timer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long, or until when: one of the two."""

    duration: str | None = None
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked, whom, and for how long; what is left out is as the saga's policy says."""

    message: str = ""
    approvers: list[str] = []
    expires: str | None = None


class Wait(Driver):
    """Waits."""

    type = "wait"
    version = "1.0"
    summary = "waits, without memory and through restarts"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "timer": Verb(
            arguments=Timer,
            outputs={"at": str},
            changes=False,
            repeat="idempotent",
            summary="wait for a duration, or until a time",
        ),
        "approval": Verb(
            arguments=Approval,
            outputs={"by": str, "reason": str},
            changes=False,
            repeat="idempotent",
            asks=True,
            summary="wait until somebody approves; rejected or expired, the saga turns back",
        ),
    }

    def check(self, verb: str, arguments: Timer | Approval) -> list[str]:
        """Refuse both, neither, and what is no duration. What an approval asks is read where the file is."""
        if isinstance(arguments, Approval):
            return []
        if (arguments.duration is None) == (arguments.until is None):
            return ["give one of `duration` (as `30s`) and `until` (as `2026-01-31T06:00:00Z`)"]
        return duration_problems(arguments.duration) if arguments.duration is not None else []

    async def apply(self, call: Call) -> Outcome:
        """Fix the due time; every later look goes by it, whenever and by whichever process it is taken.

        An approval was given by now: tell by whom.
        """
        if isinstance(call.arguments, Approval):
            return _given(call)
        return _look(call, _due(call))

    async def poll(self, call: Call) -> Outcome:
        """Tell whether it is time."""
        return _look(call, call.handle["until"])


def _given(call: Call) -> Outcome:
    if call.approved is None:
        return Failed("not_approved", "nobody was asked")
    return Succeeded({"by": call.approved.by, "reason": call.approved.reason})


def duration_problems(text: str) -> list[str]:
    """Say what is wrong with a `duration` argument."""
    try:
        parse_duration(text)
    except ValueError as error:
        return [f"duration: {error}"]
    return []


def _due(call: Call) -> int:
    timer: Timer = call.arguments
    if timer.until is not None:
        return (timer.until - EPOCH) // timedelta(milliseconds=1)
    return call.now + parse_duration(timer.duration or "")


def _look(call: Call, due: int) -> Outcome:
    if call.now >= due:
        return Succeeded({"at": _rfc3339(call.now)})
    return Working(handle={"until": due}, until=due, detail=f"until {_rfc3339(due)}")


def _rfc3339(milliseconds: int) -> str:
    try:
        at = EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise Ended(Failed("too_far", "that is beyond the year 9999: wait for less")) from None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
