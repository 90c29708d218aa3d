"""What is against the contract fails the test that did it; without the contract the fake works all the same."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.digitalocean import FakeDigitalOcean, Violated
from tests.fakes.digitalocean import contract as contracts
from tests.unit.fakes.asking import DROPLET, Client

WRONG: list[tuple[str, str, Any, dict[str, str]]] = [
    ("POST", "droplets", {"name": "web"}, {}),
    ("POST", "droplets", DROPLET | {"image": True}, {}),
    ("POST", "droplets/7/actions", {"type": "explode"}, {}),
    ("POST", "droplets/7/actions", {"type": "snapshot", "name": 3}, {}),
    ("GET", "droplets", None, {"per_page": "many"}),
    ("GET", "snapshots", None, {"name": "there is no such filter"}),
    ("GET", "firewalls", None, {"name": "nor here"}),
    ("GET", "dropplets", None, {}),
    ("PUT", "volumes/7", {"name": "x"}, {}),
    ("POST", "volumes", {"name": "x", "region": "mars", "size_gigabytes": 1}, {}),
]


@pytest.mark.parametrize(("method", "path", "body", "query"), WRONG)
async def test_a_request_that_the_contract_does_not_allow_fails_the_test(
    contract: None, method: str, path: str, body: Any, query: dict[str, str]
) -> None:
    """It is answered with 422, so that the client sees it, and fails the test at its end, so that nobody misses it."""

    async def asking() -> None:
        async with FakeDigitalOcean() as fake, aiohttp.ClientSession() as session:
            answer = await Client(fake, session).ask(method, path, body, **query)
            assert answer.status == 422

    with pytest.raises(Violated, match=rf"{method} /v2/{path}: "):
        await asking()


async def test_an_answer_that_the_contract_does_not_allow_fails_the_test(contract: None) -> None:
    """The fake's own answers are held against the contract too."""

    async def asking() -> None:
        async with FakeDigitalOcean() as fake, aiohttp.ClientSession() as session:
            client = Client(fake, session)
            number = await client.droplet()
            fake.cloud.get("droplet", str(number)).fields["memory"] = "much"
            await client.ask("GET", f"droplets/{number}")

    with pytest.raises(Violated, match=r"GET /v2/droplets/.*: answer 200: .*is not of type"):
        await asking()


async def test_a_test_that_fails_by_itself_is_told_of_it_in_a_note(contract: None) -> None:
    """The first failure stays the first; what was against the contract may be its cause."""

    async def failing() -> None:
        async with FakeDigitalOcean() as fake, aiohttp.ClientSession() as session:
            await Client(fake, session).ask("GET", "dropplets")
            raise LookupError

    with pytest.raises(LookupError) as failed:
        await failing()

    assert "GET /v2/dropplets" in failed.value.__notes__[0]


async def test_a_fake_that_breaks_fails_the_test_and_is_500(fake: FakeDigitalOcean, client: Client) -> None:
    """A bug of the fake is not a 500 of the service."""
    number = await client.droplet()
    fake.cloud.get("droplet", str(number)).fields.pop("tags")

    assert (await client.ask("GET", "droplets", tag_name="x")).status == 500
    assert "the fake broke" in fake.violations.pop()


async def test_what_is_documented_and_not_faked_fails_the_test(contract: None, client: Client) -> None:
    """It must not look like a 404 of the service."""
    assert (await client.ask("GET", "vpcs")).status == 501
    assert client.fake.violations.pop() == "GET /v2/vpcs: the fake does not have this"


async def test_without_the_contract_the_reason_is_told_and_the_fake_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not part of the project, and not everybody has it."""
    monkeypatch.setenv("TESTS_CONTRACTS", str(tmp_path))
    contracts._loaded.cache_clear()
    try:
        async with FakeDigitalOcean() as fake, aiohttp.ClientSession() as session:
            client = Client(fake, session)
            assert (await client.ask("POST", "droplets", DROPLET)).status == 202
            assert (await client.ask("GET", "dropplets")).status == 501
            assert fake.violations.pop() == "GET /v2/dropplets: the fake does not have this"
            lacking = await client.ask("POST", "droplets", {"name": "web"})
            reason = contracts.absence()
    finally:
        contracts._loaded.cache_clear()

    assert (lacking.status, lacking.body["message"]) == (422, "size is missing")
    assert reason == f"{tmp_path / contracts.FILE} absent: DigitalOcean contract not checked"


async def test_the_fake_answers_at_no_path_that_is_not_in_the_contract(contract: None) -> None:
    """What is not documented, no driver may build on."""
    from tests.fakes.digitalocean.server import TABLE

    paths = json.loads(contracts.place().read_text())["paths"]
    for method, pattern, _ in TABLE:
        fitting = [path for path in paths if pattern.fullmatch(path) and method.lower() in paths[path]]
        assert fitting, (method, pattern.pattern)
