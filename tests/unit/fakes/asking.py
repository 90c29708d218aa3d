"""The plainest of clients: asks once, by hand."""

from typing import Any, NamedTuple

import aiohttp

from tests.fakes.digitalocean import FakeDigitalOcean

DROPLET = {"name": "web", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}


class Seen(NamedTuple):
    """An answer as a client sees it."""

    status: int
    body: Any
    headers: dict[str, str]


class Client:
    """Asks the fake, once, by hand."""

    def __init__(self, fake: FakeDigitalOcean, session: aiohttp.ClientSession) -> None:
        self.fake = fake
        self._session = session

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **query: str
    ) -> Seen:
        """One request to ``/v2`` and its answer."""
        headers = {"Authorization": f"Bearer {token or self.fake.token}"}
        url = f"{self.fake.url}/v2/{path}"
        async with self._session.request(method, url, json=body, params=query, headers=headers) as answer:
            data = await answer.json() if answer.status != 204 else None
            return Seen(answer.status, data, {name.lower(): value for name, value in answer.headers.items()})

    async def droplet(self, **more: Any) -> int:
        """A droplet that is up."""
        made = await self.ask("POST", "droplets", DROPLET | more)
        assert made.status == 202
        self.fake.clock.advance(60)
        number: int = made.body["droplet"]["id"]
        return number

    async def act(self, path: str, type: str, **more: Any) -> dict[str, Any]:
        """An action, begun."""
        begun = await self.ask("POST", f"{path}/actions", {"type": type, **more})
        assert begun.status in {201, 202}, begun
        action: dict[str, Any] = begun.body["action"]
        assert action["status"] == "in-progress"
        return action

    async def status(self, action: dict[str, Any]) -> str:
        """What has become of an action."""
        return str((await self.ask("GET", f"actions/{action['id']}")).body["action"]["status"])

    async def names(self, kind: str, **query: str) -> list[str]:
        """The names in a list."""
        found = await self.ask("GET", kind, **query)
        assert found.status == 200, found
        return [each["name"] for each in found.body[kind.rpartition("/")[2]]]
