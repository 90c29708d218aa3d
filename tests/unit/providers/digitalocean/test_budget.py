"""500 things, 8 requests at once: what the service's headers say is left is never overdrawn, and lists go by pages.

On virtual time: an hour's budget takes hours.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from providers.contract import Ended, Failed
from providers.digitalocean.client import Client
from providers.digitalocean.volume import Volume
from tests.conformance import MemoryBlobs
from tests.fakes.digitalocean import FakeDigitalOcean
from tests.unit.providers.digitalocean.virtual import Loop, LoopClock

THINGS, PARALLEL = 500, 8


class Account:
    """A fake on the loop, with 500 volumes in it; each of its answers takes a moment, and is noted."""

    def __init__(self, loop: Loop) -> None:
        self.fake = FakeDigitalOcean(LoopClock(loop))
        self.loop = loop
        self.ids: list[str] = []

    def settings(self, **more: Any) -> dict[str, Any]:
        """Give the provider's table for it."""
        return {
            "base_url": self.fake.url,
            "token": "do",
            "secret": {"do": self.fake.token}.__getitem__,
            "parallel": PARALLEL,
            "shared": {},
            "wall": self.fake.clock,
        } | more

    async def fill(self) -> None:
        """Have one made as somebody else did long ago, and the others like it."""
        client = Client(self.settings(shared=None))
        made = await client.post("/v2/volumes", {"name": "v0", "region": "nyc3", "size_gigabytes": 1})
        await client.close()
        self.ids.append(made["volume"]["id"])
        fields = self.fake.cloud.get("volume", self.ids[0]).fields
        for number in range(1, THINGS):
            id_ = self.fake.cloud.uuid()
            self.fake.cloud.add("volume", id_, {**fields, "id": id_, "name": f"v{number}"})
            self.ids.append(id_)
        await asyncio.sleep(7_200)
        self.fake.requests.clear()


def on_virtual_time(test: Callable[[Account], Awaitable[None]]) -> None:
    """Run a test with an account, in a moment."""
    loop = Loop()

    async def run() -> None:
        account = Account(loop)
        async with account.fake:
            await account.fill()
            await test(account)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())


async def read_all(account: Account, client: Client) -> None:
    """Read everything by its id, as many sagas would: who may not ask yet comes again when he may."""

    async def read(id: str) -> None:
        while True:
            try:
                assert await client.get(f"/v2/volumes/{id}") is not None
                return
            except Ended as ended:
                failed = ended.outcome
                assert isinstance(failed, Failed)
                assert failed.unasked, failed
                assert failed.retry_after is not None
                await asyncio.sleep(failed.retry_after / 1000)

    await asyncio.gather(*map(read, account.ids))


def most_within(times: list[float], seconds: float) -> int:
    """Give how many requests there were at most within any so many seconds."""
    window: deque[float] = deque()
    most = 0
    for at in times:
        window.append(at)
        while window[0] <= at - seconds:
            window.popleft()
        most = max(most, len(window))
    return most


BUDGETS = {
    "an hour's, small": (100, 250, 0.7),
    "an hour's, of which little is left over eight": (9, 250, 0.0),
    "an hour's, smaller than what is sent at once": (3, 250, 0.7),
    "a minute's, which no header tells": (5_000, 250, 0.0),
    "a minute's, and each answer takes a while": (5_000, 250, 0.7),
}
"""How many an hour and a minute, and the seconds that an answer takes."""


@pytest.mark.slow
@pytest.mark.parametrize("budget", BUDGETS)
def test_the_budget_is_kept_with_eight_at_once(budget: str) -> None:
    """Nothing is ever refused, in no window are there more requests than it allows, and everything is read in the end."""
    an_hour, a_minute, latency = BUDGETS[budget]
    things = min(THINGS, 5 * an_hour)  # a budget of three an hour is shown by fifteen

    async def test(account: Account) -> None:
        account.fake.rate.an_hour, account.fake.rate.a_minute = an_hour, a_minute
        account.ids = account.ids[:things]
        if latency:
            account.fake.slow(latency, times=10**9)
        client = Client(account.settings())
        try:
            await read_all(account, client)
        finally:
            await client.close()
        times = [each.at for each in account.fake.requests]

        assert account.fake.rate.refused == 0
        assert len(times) == things
        assert most_within(times, 3_600) <= an_hour
        assert most_within(times, 60) <= a_minute
        assert not latency or most_within(times, 0.99 * latency) <= PARALLEL

    on_virtual_time(test)


def test_five_hundred_are_listed_by_pages() -> None:
    """Three requests, and none by id."""

    async def test(account: Account) -> None:
        settings = account.settings()
        driver = Volume(settings, MemoryBlobs())
        found = {key: image.fields["name"] async for key, image in driver.inventory()}
        await driver.close()

        assert len(found) == THINGS
        assert [each.path for each in account.fake.requests] == ["/v2/volumes"] * 3

    on_virtual_time(test)
