from __future__ import annotations

import asyncio

import anyio
import pytest

from actors.crew import Crew


async def test_what_a_task_raises_is_told() -> None:
    """And the task is over; a cancelled one is just over."""
    told: list[BaseException] = []
    crew = Crew(told.append)

    async def fail() -> None:
        raise ValueError("broken")

    crew.start(fail())
    crew.start(anyio.sleep_forever())
    await asyncio.sleep(0)
    crew.cancel()
    await crew.wait_ended()

    assert [str(error) for error in told] == ["broken"]


async def test_waiting_for_the_end_goes_on_when_the_one_who_waits_is_cancelled() -> None:
    """What a driver cannot interrupt is awaited, also by an actor that has to go."""
    crew = Crew(lambda error: None)
    released, ended = asyncio.Event(), []

    async def stubborn() -> None:
        await released.wait()
        ended.append(True)

    crew.start(stubborn())
    waiting = asyncio.create_task(crew.wait_ended())
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert ended == [True]
