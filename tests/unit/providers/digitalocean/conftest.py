"""Accounts are closed when a test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.providers.digitalocean.account import closing


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    async with closing():
        yield
