from typing import Any

import anyio
import msgspec
import pytest

from providers.contract import ABSENT, Compensated, Failed, Outcome, Partial, Succeeded, Unknown
from providers.test import Test
from tests.unit.providers.calls import NoBlobs, call_of, problems_of

DRIVER = Test({}, NoBlobs())


async def fail(attempt: int = 1, **arguments: Any) -> Outcome:
    """Fail as asked."""
    return await DRIVER.apply(call_of(DRIVER, "fail", arguments, attempt=attempt))


@pytest.mark.parametrize("message", ["hi", 1, 1.5, True, None, [1, {"a": None}], {"a": [1]}])
async def test_an_echo_keeps_the_values_type(message: Any) -> None:
    """Whatever JSON can say."""
    assert await DRIVER.apply(call_of(DRIVER, "echo", {"message": message})) == Succeeded(
        {"message": message}
    )


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("error", Failed("test_error", "it was asked to fail")),
        ("transient", Failed("test_transient", "it was asked to fail", transient=True)),
        ("unknown", Unknown("test_unknown", "it was asked to fail")),
        ("partial", Partial("test_partial", "it was asked to fail", {"left": "it was asked to fail"})),
        ("compensated", Compensated("test_compensated", "it was asked to fail")),
    ],
)
async def test_a_fail_ends_in_the_way_asked_for(kind: str, outcome: Outcome) -> None:
    """Each kind is one of the ways in which a driver can end."""
    assert await fail(kind=kind) == outcome


async def test_it_raises_what_no_driver_should() -> None:
    """The engine has to live with that."""
    with pytest.raises(RuntimeError, match="boom"):
        await fail(kind="raise", message="boom")


async def test_it_hangs_until_it_is_cancelled() -> None:
    """And not longer."""
    with anyio.move_on_after(0) as patience:
        await fail(kind="hang")

    assert patience.cancelled_caught


@pytest.mark.parametrize("kind", ["error", "transient", "unknown", "partial", "compensated", "raise", "hang"])
async def test_times_says_how_many_attempts_fail(kind: str) -> None:
    """The attempt's number is in the call; the driver remembers nothing."""
    outcomes: list[Outcome | str] = []
    for attempt in (1, 2, 3):
        with anyio.move_on_after(0 if kind == "hang" and attempt < 3 else 5) as patience:
            try:
                outcomes.append(await fail(attempt, kind=kind, times=2))
            except RuntimeError as error:
                outcomes.append(str(error))
        if patience.cancelled_caught:
            outcomes.append("hung")

    assert [outcome == Succeeded() for outcome in outcomes] == [False, False, True]


async def test_a_start_anew_counts_on() -> None:
    """What was asked to fail once succeeds when the operator has it retried."""
    call = call_of(DRIVER, "fail", {"times": 1})

    assert isinstance(await DRIVER.apply(call), Failed)
    assert await DRIVER.apply(msgspec.structs.replace(call, generation=2)) == Succeeded()


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [("echo", {"message": 1}), ("fail", {"kind": "partial"}), ("fail", {"kind": "raise"})],
)
async def test_undoing_succeeds(verb: str, arguments: dict[str, Any]) -> None:
    """There is nothing to put back, and that works."""
    assert await DRIVER.apply(call_of(DRIVER, verb, arguments, restore=ABSENT)) == Succeeded()


async def test_a_sleep_sleeps_as_long_as_asked() -> None:
    """In process: it is running, not waiting."""
    with anyio.move_on_after(0.01) as patience:
        assert await DRIVER.apply(call_of(DRIVER, "sleep", {"duration": "0s"})) == Succeeded()
        await DRIVER.apply(call_of(DRIVER, "sleep", {"duration": "1h"}))

    assert patience.cancelled_caught
    assert problems_of(DRIVER, "sleep", {"duration": "1h"}) == []
    assert problems_of(DRIVER, "sleep", {"duration": "long"}) != []


def test_it_declares_every_way_it_goes() -> None:
    """The engine believes declarations."""
    echo, failing, sleep = (DRIVER.verbs[verb] for verb in ("echo", "fail", "sleep"))

    assert (echo.changes, echo.compensable, echo.repeat) == (True, True, "idempotent")
    assert (failing.changes, failing.compensable, failing.repeat, failing.finds) == (True, True, "no", False)
    assert failing.may_end == {"partial", "compensated"}
    assert not sleep.changes


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("error", False), ("transient", False), ("partial", True), ("raise", True), ("hang", True)],
)
def test_a_plain_failure_changes_nothing(kind: str, changes: bool) -> None:
    """One whose answer was lost with the daemon is simply made again."""
    call = call_of(DRIVER, "fail", {"kind": kind})

    assert DRIVER.refine("fail", call.arguments).changes is changes
