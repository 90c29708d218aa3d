"""A fake in the test's own loop."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fakes.digitalocean import FakeDigitalOcean
from tests.fakes.digitalocean.contract import absence
from tests.unit.fakes.asking import Client


@pytest.fixture
def contract() -> None:
    """For a test that says something about the contract."""
    if (reason := absence()) is not None:
        pytest.skip(reason)


@pytest.fixture
async def fake() -> AsyncIterator[FakeDigitalOcean]:
    """A fake that ends with the test; it fails what was against the contract."""
    async with FakeDigitalOcean() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeDigitalOcean) -> AsyncIterator[Client]:
    """A client that repeats nothing."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(fake, session)
