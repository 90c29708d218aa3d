"""What comes of a request to DigitalOcean, and how fast it may be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from config.settings import Rate
from providers import limits
from providers.contract import Ended, Failed, Outcome, Unknown, cut
from providers.digitalocean.client import Client, part
from tests.unit.providers.digitalocean.service import Handler, Service, lose, say, served

CHANGING = ["post", "put", "patch", "delete"]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """Serve one."""
    async with served() as found:
        yield found


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    """Ask it."""
    made = Client(service.settings())
    yield made
    await made.close()


async def asked(client: Client, method: str, path: str = "/v2/volumes/1") -> Any:
    """Send a request of that method."""
    ask: Callable[..., Awaitable[Any]] = getattr(client, method)
    return await (ask(path) if method in {"get", "delete"} else ask(path, {"name": "x"}))


async def outcome(client: Client, method: str) -> Outcome:
    """Give the outcome with which a request ends."""
    with pytest.raises(Ended) as ended:
        await asked(client, method)
    return ended.value.outcome


async def test_an_object_is_given_and_absence_is_none(client: Client, service: Service) -> None:
    """A 2xx is the object, 404 to a GET is None, to a DELETE False."""
    service.answer = say({"volume": {"id": "1"}})
    assert await client.get("/v2/volumes/1") == {"volume": {"id": "1"}}
    service.answer = say(status=204, text="")
    assert await client.delete("/v2/volumes/1")
    service.answer = say({"id": "not_found", "message": "…"}, status=404)
    assert await client.get("/v2/volumes/1") is None

    assert not await client.delete("/v2/volumes/1")


@pytest.mark.parametrize("status", [401, 403, 409, 422])
async def test_a_refusal_is_a_failure_in_the_services_words(
    client: Client, service: Service, status: int
) -> None:
    """Nothing changed, and it says why."""
    service.answer = say({"id": "nope", "message": "Name is already taken."}, status=status)
    found = await outcome(client, "post")

    assert found == Failed(
        f"http_{status}", f"POST /v2/volumes/1 was answered {status}: Name is already taken."
    )


async def test_a_404_to_a_change_is_a_failure(client: Client, service: Service) -> None:
    """What is to be changed is not there."""
    service.answer = say({}, status=404)
    found = await outcome(client, "patch")

    assert isinstance(found, Failed)
    assert found.code == "not_found"


DOUBTFUL: dict[str, Handler] = {
    "500": say({"message": "oops"}, status=500),
    "503": say(text="busy", status=503),
    "lost": lose,
    "no JSON": say(text="<html>"),
    "no object": say([1]),
}


@pytest.mark.parametrize("method", ["get", *CHANGING])
@pytest.mark.parametrize("answer", DOUBTFUL)
async def test_a_doubtful_answer_is_unknown_where_something_may_have_changed(
    client: Client, service: Service, method: str, answer: str
) -> None:
    """A GET may be asked again; of anything else nobody knows. Nothing is sent twice."""
    service.answer = DOUBTFUL[answer]
    found = await outcome(client, method)

    assert len(service.asked) == 1
    assert isinstance(found, Failed) == (method == "get")
    assert isinstance(found, Unknown) or getattr(found, "transient", False)


async def test_what_an_error_quotes_of_a_long_answer_ends_with_a_mark(
    client: Client, service: Service
) -> None:
    """By it the engine knows where to look for part of a secret."""
    service.answer = say({"message": "x" * 501}, status=422)
    found = await outcome(client, "post")

    assert isinstance(found, Failed)
    assert found.message.endswith("x" * 500 + cut("1 characters"))


@pytest.mark.parametrize("method", ["get", "post"])
async def test_no_answer_in_time(
    client: Client, service: Service, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stands and nothing comes."""
    monkeypatch.setattr("providers.digitalocean.client.ANSWER_TIME", 0.05)
    never = asyncio.Event()

    async def hang(_: Any) -> Any:
        await never.wait()

    service.answer = hang
    found = await outcome(client, method)
    never.set()

    assert isinstance(found, Unknown if method == "post" else Failed)


async def test_what_could_not_be_sent_has_changed_nothing() -> None:
    """Nobody listens: a POST may be tried again."""
    client = Client({"base_url": "http://127.0.0.1:9", "token": "do", "secret": lambda _: "t0k3n"})
    found = await outcome(client, "post")
    await client.close()

    assert isinstance(found, Failed)
    assert (found.code, found.transient) == ("not_connected", True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"retry_after": "7"}, 7_000), ({"ratelimit_reset": "{in 9}"}, 9_000), ({}, 1_000)],
)
async def test_429_says_when_to_come_back(
    client: Client, service: Service, headers: dict[str, str], wait: int
) -> None:
    """From Retry-After, else from the reset; and nobody asks before."""
    reset = {name: text.replace("{in 9}", str(round(time.time()) + 9)) for name, text in headers.items()}
    service.answer = say({"message": "Too many"}, status=429, **reset)
    found = await outcome(client, "post")
    assert isinstance(found, Failed)
    assert found.rate_limited
    assert found.retry_after == pytest.approx(wait, abs=1_100)
    if wait > limits.PATIENCE * 1000:
        again = await outcome(client, "post")

        assert isinstance(again, Failed)
        assert again.rate_limited
        assert len(service.asked) == 1


async def test_nothing_left_is_heeded(client: Client, service: Service) -> None:
    """An answer that says that none is left is the last before the reset."""
    service.answer = say({}, ratelimit_remaining="0", ratelimit_reset=str(time.time() + 60))
    await client.get("/v2/volumes")
    found = await outcome(client, "get")

    assert isinstance(found, Failed)
    assert found.rate_limited
    assert found.retry_after == pytest.approx(60_000, abs=1_500)


async def test_no_more_than_so_many_in_so_long(service: Service) -> None:
    """The rate that is set is kept, by waiting a little."""
    client = Client(service.settings(rate=Rate(3, 200)))
    began = time.monotonic()
    await asyncio.gather(*(client.get("/v2/volumes") for _ in range(7)))
    await client.close()

    assert time.monotonic() - began >= 0.4


async def test_no_more_than_so_many_at_once(service: Service) -> None:
    """``parallel`` counts for the whole provider."""
    now, most = 0, 0

    async def slow(_: Any) -> Any:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.01)
        now -= 1
        return await say({})(_)

    service.answer = slow
    shared = service.settings(parallel=2, shared={})
    clients = [Client.shared(shared), Client.shared(shared)]
    await asyncio.gather(*(each.get("/v2/volumes") for each in clients * 4))
    await clients[0].close()

    assert clients[0] is clients[1]
    assert most == 2


async def test_connections_are_kept(client: Client, service: Service) -> None:
    """One after the other they go over the same one."""
    for _ in range(3):
        await client.get("/v2/volumes")

    assert len(service.peers) == 1


async def test_the_token_is_read_at_each_request_and_told_to_nobody(service: Service) -> None:
    """A new value counts at once; readers have one of their own; a secret that is missing sends nothing."""
    values = {"do": "first", "read": "reader"}

    def secret(name: str) -> str:
        if name not in values:
            raise LookupError(f"secret `{name}`: there is no such file")
        return values[name]

    client = Client(service.settings(secret=secret, read_token="read"))
    await client.get("/v2/volumes")
    values["do"] = "second"
    await client.get("/v2/volumes")
    await client.get("/v2/volumes", reader=True)
    del values["do"]
    found = await outcome(client, "post")
    await client.close()

    assert [authorization for _, _, authorization in service.asked] == [
        "Bearer first",
        "Bearer second",
        "Bearer reader",
    ]
    assert found == Failed("secret", "secret `do`: there is no such file")


async def test_a_list_is_followed_to_its_last_page(service: Service) -> None:
    """As long as an answer names a next page, and by the count where it says nothing of pages."""
    client = Client(service.settings(per_page=2))
    for linked in (True, False):
        service.asked.clear()

        async def page(request: Any, linked: bool = linked) -> Any:
            number = int(request.query["page"])
            links = {"pages": {"next": "…"} if number < 3 else {"prev": "…"}} if linked else {}
            things = [{"id": number}] * (2 if number < 3 else 1)
            return await say({"volumes": things, "links": links})(request)

        service.answer = page
        found = [thing["id"] async for thing in client.pages("/v2/volumes", "volumes", name="a b")]
        assert found == [1, 1, 2, 2, 3]
        assert service.asked[0][1] == "/v2/volumes?name=a+b&per_page=2&page=1"
        assert len(service.asked) == 3
    await client.close()


def test_an_answer_without_what_is_relied_on_is_doubtful() -> None:
    """Their document requires few fields."""
    assert part({"volume": {"id": 1}}, "volume", "POST /v2/volumes", "id") == {"id": 1}
    for answer in ({}, {"volume": None}, {"volume": {"name": "x"}}):
        with pytest.raises(Ended) as ended:
            part(answer, "volume", "POST /v2/volumes", "id")

        assert isinstance(ended.value.outcome, Unknown)
