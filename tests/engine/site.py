"""A real daemon and the account at DigitalOcean that it works on: the service on loopback, with faults on request."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.daemon import Daemon
from tests.fakes.digitalocean import Clock, FakeDigitalOcean

FAIL = {"name": "fail", "do": "test.fail"}


class Site:
    """A daemon and the account that it works on, in which there is one droplet."""

    def __init__(self, daemon: Daemon, fake: FakeDigitalOcean) -> None:
        self.daemon = daemon
        self.fake = fake
        body = {"name": "web-1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3"}
        self.droplet: int = self.ask("POST", "/v2/droplets", body)["droplet"]["id"]
        fake.clock.advance(60)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the service as somebody else does."""
        headers = {"Authorization": f"Bearer {self.fake.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.fake.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return dict(json.loads(answer.read() or b"{}"))

    def saga(self, *steps: dict[str, Any]) -> dict[str, Any]:
        """Make a saga that takes a snapshot, then does these steps."""
        first = {
            "name": "snap",
            "do": "digitalocean.droplet_snapshot.create",
            "with": {"droplet_id": self.droplet},
        }
        return {"saga": "snapshot", "steps": [first, *steps]}

    def posts(self) -> int:
        """Count the snapshots that were ever begun."""
        actions = self.ask("GET", f"/v2/droplets/{self.droplet}/actions?per_page=200")["actions"]
        return sum(1 for action in actions if action["type"] == "snapshot")


@contextmanager
def served(folder: Path, more: str = "", settle: str = "500ms") -> Iterator[Site]:
    """Serve a daemon whose provider is the fake; each request takes a second of the fake's time. ``more``: settings."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "do-token").write_text(FakeDigitalOcean.token)
    fake = FakeDigitalOcean(Clock(step=1.0))
    fake.lags.takes["snapshot"] = 4
    with fake.in_thread():
        settings = (
            f'[secrets]\ndir = "{secrets}"\n[providers.digitalocean]\ntoken = "do-token"\n'
            f'base_url = "{fake.url}"\npoll = "20ms"\nsettle = "{settle}"\n{more}'
        )
        with Daemon(folder, settings) as daemon:
            yield Site(daemon, fake)
