"""`test.*`: operations for trying things out. They touch nothing, and yet go every way that a real one can go."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import anyio
import msgspec

from config.durations import parse_duration
from providers.contract import (
    Call,
    Compensated,
    Driver,
    Failed,
    Outcome,
    Partial,
    Succeeded,
    Unknown,
    Verb,
)
from providers.wait import duration_problems

Kind = Literal["error", "transient", "unknown", "partial", "compensated", "raise", "hang"]


class Echo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to say."""

    message: Any


class Fail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to fail, and how many attempts of it, a start anew counted on; without `times` always."""

    kind: Kind = "error"
    times: Annotated[int, msgspec.Meta(ge=0)] | None = None
    message: str = "it was asked to fail"


class Sleep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long."""

    duration: str


class Test(Driver):
    """Says, fails and sleeps as asked."""

    __test__ = False  # pytest takes a class of this name for tests

    type = "test"
    version = "1.0"
    summary = "touches nothing; for trying things out"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "echo": Verb(
            arguments=Echo,
            outputs={"message": Any},
            inverse="same",
            repeat="idempotent",
            summary="put out the message; undoing it does nothing",
        ),
        "fail": Verb(
            arguments=Fail,
            outputs={"left": str},
            inverse="same",
            repeat="no",
            may_end=frozenset({"partial", "compensated"}),
            summary="fail in the way asked for; undoing it succeeds",
        ),
        "sleep": Verb(
            arguments=Sleep,
            changes=False,
            repeat="idempotent",
            summary="keep the step running; wait.timer is the wait that costs nothing",
        ),
    }

    def refine(self, verb: str, arguments: Any) -> Verb:
        """A plain failure changes nothing, and so is no question to anybody when its answer was lost."""
        declared = self.verbs[verb]
        if isinstance(arguments, Fail) and arguments.kind in ("error", "transient"):
            return msgspec.structs.replace(declared, changes=False, repeat="idempotent")
        return declared

    def check(self, verb: str, arguments: Echo | Fail | Sleep) -> list[str]:
        """Refuse what is no duration."""
        return duration_problems(arguments.duration) if isinstance(arguments, Sleep) else []

    async def apply(self, call: Call) -> Outcome:
        """Do as asked; an undo always succeeds."""
        if call.restore is not None:
            return Succeeded()
        match call.arguments:
            case Echo(message=message):
                return Succeeded({"message": message})
            case Sleep(duration=duration):
                await anyio.sleep(parse_duration(duration) / 1000)
                return Succeeded()
            case Fail() as fail:
                fails = fail.times is None or call.attempt + call.generation - 1 <= fail.times
                return await _fail(fail) if fails else Succeeded()
        raise AssertionError(call.verb)


async def _fail(fail: Fail) -> Outcome:
    code = f"test_{fail.kind}"
    match fail.kind:
        case "error":
            return Failed(code, fail.message)
        case "transient":
            return Failed(code, fail.message, transient=True)
        case "unknown":
            return Unknown(code, fail.message)
        case "partial":
            return Partial(code, fail.message, {"left": fail.message})
        case "compensated":
            return Compensated(code, fail.message)
        case "raise":
            raise RuntimeError(fail.message)
        case "hang":
            await anyio.sleep_forever()
    raise AssertionError(fail.kind)
