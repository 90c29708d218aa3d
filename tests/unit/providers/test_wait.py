from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.durations import format_duration
from providers.contract import Approved, Ended, Failed, Succeeded, Working
from providers.wait import Wait
from tests.unit.providers.calls import NOW, NoBlobs, call_of, problems_of

DRIVER = Wait({}, NoBlobs())


async def test_a_duration_is_counted_from_the_call() -> None:
    """The due time is fixed once, as the handle."""
    outcome = await DRIVER.apply(call_of(DRIVER, "timer", {"duration": "30s"}))

    assert outcome == Working(
        handle={"until": NOW + 30_000}, until=NOW + 30_000, detail="until 2027-01-15T08:00:30.000Z"
    )


async def test_until_is_a_time_wherever_it_is_written() -> None:
    """Offsets are understood."""
    outcome = await DRIVER.apply(call_of(DRIVER, "timer", {"until": "2027-01-15T10:00:01.5+02:00"}))

    assert isinstance(outcome, Working)
    assert outcome.until == NOW + 1_500


async def test_it_is_over_when_it_is_time_and_not_before() -> None:
    """Each look goes by the handle and the call's clock, whichever process takes it."""
    call = call_of(DRIVER, "timer", {"duration": "30s"}, handle={"until": NOW + 30_000})
    early = await DRIVER.poll(msgspec.structs.replace(call, now=NOW + 29_999))
    due = await DRIVER.poll(msgspec.structs.replace(call, now=NOW + 30_000))

    assert isinstance(early, Working)
    assert early.handle == call.handle
    assert due == Succeeded({"at": "2027-01-15T08:00:30.000Z"})


@pytest.mark.parametrize("arguments", [{"duration": "0s"}, {"until": "2027-01-15T08:00:00Z"}])
async def test_what_is_over_already_does_not_wait(arguments: dict[str, Any]) -> None:
    """A time in the past is no mistake: the saga may have been late."""
    outcome = await DRIVER.apply(call_of(DRIVER, "timer", arguments))

    assert outcome == Succeeded({"at": "2027-01-15T08:00:00.000Z"})


@given(st.integers(min_value=1, max_value=200 * 365 * 86_400_000))
async def test_every_duration_ends_when_it_should(milliseconds: int) -> None:
    """Handing the handle back at its time ends the wait."""
    working = await DRIVER.apply(call_of(DRIVER, "timer", {"duration": format_duration(milliseconds)}))
    assert isinstance(working, Working)
    assert working.until is not None
    over = await DRIVER.poll(
        call_of(DRIVER, "timer", {"duration": "1s"}, handle=working.handle, now=working.until)
    )

    assert isinstance(over, Succeeded)
    due = datetime.fromisoformat(over.outputs["at"])
    assert due == datetime.fromtimestamp(NOW / 1000, UTC) + timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize(
    "arguments", [{}, {"duration": "30s", "until": "2027-01-15T08:00:00Z"}, {"duration": "soon"}]
)
def test_exactly_one_and_it_must_be_one(arguments: dict[str, Any]) -> None:
    """Both, neither, and what is no duration are refused beforehand."""
    (problem,) = problems_of(DRIVER, "timer", arguments)

    assert "30s" in problem


@pytest.mark.parametrize("until", ["2027-01-15T08:00:00", "tomorrow", "2027-01-15"])
def test_a_time_without_offset_or_of_another_form_is_refused(until: str) -> None:
    """Nobody can know whose morning it is; the answer is RFC 3339."""
    with pytest.raises(msgspec.ValidationError):
        call_of(DRIVER, "timer", {"until": until})


async def test_beyond_the_calendar_it_fails_and_says_so() -> None:
    """No time can be written for it."""
    with pytest.raises(Ended, match="year 9999") as ended:
        await DRIVER.apply(
            call_of(DRIVER, "timer", {"duration": "365000d"}, now=NOW + 8_000 * 365 * 86_400_000)
        )

    assert isinstance(ended.value.outcome, Failed)


def test_it_changes_nothing() -> None:
    """So there is nothing to undo, and a repeat is safe."""
    verb = DRIVER.verbs["timer"]

    assert (verb.changes, verb.compensable, verb.repeat) == (False, True, "idempotent")


async def test_an_approval_tells_by_whom_and_why() -> None:
    """The engine asks, and calls when it was given; a call without it is a mistake that does nothing."""
    call = call_of(DRIVER, "approval", {"message": "go?"}, approved=Approved("ada, eve", "looks fine"))

    assert await DRIVER.apply(call) == Succeeded({"by": "ada, eve", "reason": "looks fine"})
    assert await DRIVER.apply(msgspec.structs.replace(call, approved=None)) == Failed(
        "not_approved", "nobody was asked"
    )


def test_an_approval_needs_no_arguments() -> None:
    """What is left out is as the saga's policy says."""
    assert problems_of(DRIVER, "approval", {}) == []
