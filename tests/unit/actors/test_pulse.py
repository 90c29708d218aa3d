"""What has the loop to itself for too long is broken off, if it is a saga's and not within the store."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from actors import pulse
from actors.pulse import Endless, Pulse, saga_of

pytestmark = pytest.mark.slow

LONG = 0.3


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pulse, "LOOK", 0.02)
    monkeypatch.setattr(pulse, "LOOKS", 3)
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def block() -> None:
    """Sleep, and the loop with it."""
    time.sleep(LONG)


def compute() -> None:
    """Compute, without a system call."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        pass


def within_the_store() -> None:
    """Wait for a disk."""
    made: dict[str, Callable[[], None]] = {}
    code = f"import time\ndef stage():\n    time.sleep({LONG})\n"
    exec(compile(code, "/opt/sagad/store/writer.py", "exec"), made)
    made["stage"]()


async def of_saga(saga: str | None, work: Callable[[], None]) -> str:
    """Do it as a saga's actor, or as nobody's."""
    try:
        work()
    except Endless as broken_off:
        return str(broken_off)
    return f"{saga} was left alone"


@pytest.mark.parametrize("work", [block, compute])
async def test_a_saga_that_has_the_loop_to_itself_is_broken_off(work: Callable[[], None]) -> None:
    """Whether it computes or sleeps; the error says where."""
    with Pulse():
        said = await asyncio.create_task(of_saga("a", work))

    assert work.__name__ in said


@pytest.mark.parametrize(("saga", "work"), [(None, block), ("a", within_the_store)])
async def test_what_is_no_sagas_and_what_the_store_is_at_is_left_alone(
    saga: str | None, work: Callable[[], None]
) -> None:
    """A commit is whole or not at all; and nobody could say whom else to quarantine."""
    with Pulse():
        said = await asyncio.create_task(of_saga(saga, work))

    assert said == f"{saga} was left alone"


async def test_a_loop_that_goes_round_is_left_alone() -> None:
    """However long one saga takes for all of it."""
    with Pulse():
        for _ in range(10):
            said = await asyncio.create_task(of_saga("a", lambda: time.sleep(LONG / 10)))
            await asyncio.sleep(0.02)
            assert said == "a was left alone"


async def test_a_childs_saga_is_found_too() -> None:
    """By the actor that runs it, whatever it awaits."""

    class Actor:
        id = "abc"

        async def run(self) -> str | None:
            task = asyncio.current_task()
            assert task is not None
            return saga_of(task.get_coro())

    assert await asyncio.create_task(Actor().run()) == "abc"
