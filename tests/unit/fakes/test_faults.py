"""Each fault does what it says, where it says, as often as it says."""

import asyncio
import threading
import time
import urllib.request

import aiohttp
import pytest

from tests.fakes.digitalocean import FakeDigitalOcean
from tests.unit.fakes.asking import DROPLET, Client

LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


@pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)])
async def test_an_answer_is_lost_before_the_effect_or_after_it(
    client: Client, after: bool, made: int
) -> None:
    """The client sees the same in both cases, and only `objects` tells them apart; then all is well again."""
    fault = client.fake.lose(after=after, method="POST", path="/v2/droplets")
    with pytest.raises(LOST):
        await client.ask("POST", "droplets", DROPLET)

    assert fault.struck == 1
    assert len(client.fake.objects("droplet")) == made
    assert (await client.ask("POST", "droplets", DROPLET)).status == 202


@pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_5xx_comes_before_the_effect_or_after_it(
    client: Client, status: int, after: bool, made: int
) -> None:
    """The answer is the same in both cases."""
    client.fake.fail(status, after=after, method="POST")

    assert (await client.ask("POST", "droplets", DROPLET)).status == status
    assert len(client.fake.objects("droplet")) == made


@pytest.mark.parametrize("retry_after", [None, 7])
async def test_a_429_has_retry_after_or_not_and_no_effect(client: Client, retry_after: float | None) -> None:
    """With Retry-After on a burst, without on an empty quota."""
    client.fake.limit(retry_after=retry_after, method="POST")
    answer = await client.ask("POST", "droplets", DROPLET)

    assert answer.status == 429
    assert answer.body["id"] == "too_many_requests"
    assert answer.headers.get("retry-after") == (None if retry_after is None else "7")
    assert client.fake.objects() == []


async def test_a_slow_answer_comes_after_the_effect(client: Client) -> None:
    """A client that gives up has made a droplet."""
    client.fake.slow(30, method="POST")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.ask("POST", "droplets", DROPLET), 0.1)

    assert len(client.fake.objects("droplet")) == 1


async def test_a_garbled_answer_is_no_json_and_the_effect_is_there(client: Client) -> None:
    """A proxy may answer with anything."""
    client.fake.garble(b"<html>", method="POST")
    with pytest.raises(ValueError, match="Expecting value"):
        await client.ask("POST", "droplets", DROPLET)

    assert len(client.fake.objects("droplet")) == 1


async def test_a_fault_strikes_the_nth_such_request_and_so_many_after_it(client: Client) -> None:
    """Others do not count: the list, and what lies below the droplet."""
    client.fake.fail(method="GET", path="/v2/droplets/*", nth=2, times=2)
    number = await client.droplet()
    seen = []
    for _ in range(4):
        seen.append((await client.ask("GET", f"droplets/{number}")).status)
        assert (await client.ask("GET", "droplets")).status == 200
        assert (await client.ask("GET", f"droplets/{number}/actions")).status == 200

    assert seen == [200, 500, 500, 200]


async def test_every_answer_tells_the_rate_also_a_refused_one(client: Client) -> None:
    """The header counts the request that it answers."""
    first = await client.ask("GET", "account")
    second = await client.ask("GET", "account", token="nobody's")
    client.fake.limit(retry_after=1)
    third = await client.ask("GET", "account")

    left = [int(each.headers["ratelimit-remaining"]) for each in (first, second, third)]
    assert left == [4999, 4998, 4997]
    assert first.headers["ratelimit-limit"] == "5000"
    assert int(first.headers["ratelimit-reset"]) == int(client.fake.clock()) + 3600
    assert third.status == 429


async def test_over_the_rate_of_a_minute_it_is_429_until_the_minute_is_over(client: Client) -> None:
    """Retry-After is when there is room again."""
    client.fake.rate.a_minute = 3
    client.fake.clock.step = 10
    seen = [(await client.ask("GET", "account")) for _ in range(4)]
    wait = int(seen[-1].headers["retry-after"])
    client.fake.clock.step = 0
    client.fake.clock.advance(wait - 2)
    early = (await client.ask("GET", "account")).status
    client.fake.clock.advance(2)

    assert [each.status for each in seen] == [200, 200, 200, 429]
    assert (early, client.fake.rate.refused) == (429, 2)
    assert (await client.ask("GET", "account")).status == 200


async def test_a_token_is_wanted_and_one_that_may_only_look_changes_nothing(client: Client) -> None:
    """What is refused has no effect."""
    fake = client.fake
    unknown = await client.ask("POST", "droplets", DROPLET, token="nobody's")
    looking = await client.ask("POST", "droplets", DROPLET, token=fake.read_token)

    assert (unknown.status, unknown.body["id"]) == (401, "unauthorized")
    assert (looking.status, looking.body["id"]) == (403, "forbidden")
    assert (await client.ask("GET", "droplets", token=fake.read_token)).status == 200
    assert fake.objects() == []


async def test_without_any_token_it_is_401(fake: FakeDigitalOcean) -> None:
    """No header is as bad as a wrong one, and no violation."""
    async with aiohttp.ClientSession() as session, session.get(f"{fake.url}/v2/account") as answer:
        assert answer.status == 401


async def test_what_was_asked_is_on_record_with_method_path_query_and_body(client: Client) -> None:
    """A test asserts what a driver sent, and how often."""
    await client.ask("POST", "droplets", DROPLET)
    await client.ask("GET", "droplets", name="web")
    first, second = client.fake.requests

    assert (first.method, first.path, first.body) == ("POST", "/v2/droplets", DROPLET)
    assert (second.method, second.query) == ("GET", {"name": "web"})
    assert client.fake.asked("GET", "/v2/*") == [second]


def test_in_a_thread_it_stops_with_its_context_too() -> None:
    """Also while an answer is slow whose client has given up."""
    threads = threading.active_count()
    begun = time.monotonic()
    with FakeDigitalOcean().in_thread() as fake:
        fake.slow(60)
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(f"{fake.url}/v2/account", timeout=0.05)

    assert time.monotonic() - begun < 5
    assert threading.active_count() == threads


async def test_it_stops_with_its_context_even_while_an_answer_is_slow() -> None:
    """No fault of a fake keeps a test waiting."""
    begun = time.monotonic()
    async with FakeDigitalOcean() as fake, aiohttp.ClientSession() as session:
        fake.slow(60)
        asking = asyncio.create_task(Client(fake, session).ask("GET", "account"))
        await asyncio.sleep(0.05)
        asking.cancel()
        url = fake.url

    assert time.monotonic() - begun < 5
    assert asyncio.all_tasks() == {asyncio.current_task()}
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
