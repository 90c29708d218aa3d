"""Short ways to call a driver as the engine does."""

from __future__ import annotations

from typing import Any

import msgspec

from providers.contract import Call, Driver, Succeeded


async def planned(driver: Driver, verb: str, key: str = "key", **arguments: Any) -> Call:
    """Plan an operation."""
    typed: Any = msgspec.convert(arguments, driver.verbs[verb].arguments)
    assert driver.check(verb, typed) == []
    call = Call(
        verb=verb, arguments=typed, key=key, name=f"sagad-{key}", resource=driver.resource(verb, typed)
    )
    plan = await driver.plan(call)
    return msgspec.structs.replace(call, before=plan.before, after=plan.after, fields=plan.fields)


async def done(driver: Driver, verb: str, key: str = "key", **arguments: Any) -> tuple[Call, Succeeded]:
    """Plan and apply an operation."""
    call = await planned(driver, verb, key, **arguments)
    outcome = await driver.apply(call)
    assert isinstance(outcome, Succeeded), outcome
    return call, outcome


def undo_of(call: Call, outcome: Succeeded) -> Call:
    """Make the call that puts the before-image back."""
    return msgspec.structs.replace(
        call, key=f"{call.key}-undo", before=outcome.after, after=call.before, restore=call.before
    )
