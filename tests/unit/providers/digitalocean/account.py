"""An account at the fake DigitalOcean as a world of the conformance suite."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.conformance import State
from tests.fakes.digitalocean import Clock, FakeDigitalOcean

SHOWN = (
    "name",
    "status",
    "size_slug",
    "tags",
    "resource_id",
    "type",
    "data",
    "ttl",
    "priority",
    "droplet_id",
    "droplet_ids",
    "inbound_rules",
    "outbound_rules",
    "grants",
    "spec",
)
"""The facts of an object that are the same in every run."""
_VARYING = re.compile(r"sagad-k-(forward-2|forward|restore|again)|(?<=EV\[1:)\d+|(?<=sagad-snap-)\d+")
"""What differs from run to run: our marks, how a secret is sealed, the number of a droplet that was made again."""

_OPEN: list[Account] = []


class Account:
    """An account of its own, in which there is a droplet that is on; each request takes a second of its time."""

    varying: frozenset[str] = frozenset()

    def __init__(self, _: Path) -> None:
        """Serve it until ``closing`` ends: a world is made where nothing can be awaited."""
        self.fake = FakeDigitalOcean(Clock(step=1.0))
        self.fake.lags.takes.clear()
        self.fake.lags.otherwise = 2
        self.stack = ExitStack()
        self.stack.enter_context(self.fake.in_thread())
        self.settings: Mapping[str, Any] = {
            "base_url": self.fake.url,
            "token": "do",
            "secret": {"do": self.fake.token}.__getitem__,
            "poll": 1,
            "settle": 500,
            "shared": {},
        }
        _OPEN.append(self)
        self.droplet = self.another("web-1")
        self.given: dict[str, Any] = {"droplet": self.droplet}
        self.words: Mapping[str, Any] = self.given

    def another(self, name: str) -> int:
        """Make a droplet that is on; give its id."""
        body = {"name": name, "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3"}
        made: int = self.ask("POST", "/v2/droplets", body)["droplet"]["id"]
        self.fake.clock.advance(60)
        return made

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask as somebody else does."""
        headers = {"Authorization": f"Bearer {self.fake.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.fake.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return dict(json.loads(answer.read() or b"{}"))

    def act(self, type: str, **more: Any) -> None:
        """Have an action done on the droplet."""
        self.ask("POST", f"/v2/droplets/{self.droplet}/actions", {"type": type, **more})
        self.fake.clock.advance(60)

    def state(self) -> State:
        """Look at all that is really there, alike things beside one another, droplets by their names."""
        things = self.fake.objects()
        names = {str(each["id"]): each["name"] for each in things if each["kind"] == "droplet"}
        found = [json.loads(_VARYING.sub("…", json.dumps(_facts(each, names)))) for each in things]
        ordered = sorted(found, key=lambda each: json.dumps(each, sort_keys=True))
        return {str(number): each for number, each in enumerate(ordered)}


def _facts(thing: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    # A firewall's status only tells whether its rules have reached the droplets.
    left_out = {"status"} if thing["kind"] == "firewall" else set()
    facts = {fact: thing[fact] for fact in (*SHOWN, "kind") if fact in thing and fact not in left_out}
    if "tags" in facts:
        facts["tags"] = [tag for tag in facts["tags"] if not tag.startswith("sagad-again")]
    if "droplet_ids" in facts:
        facts["droplet_ids"] = [names.get(str(each), "gone") for each in facts["droplet_ids"]]
    for one in {"droplet_id", "resource_id"} & facts.keys():
        facts[one] = facts[one] and names.get(str(facts[one]), "gone")
    return facts


@asynccontextmanager
async def closing() -> AsyncIterator[None]:
    """Close every account that was made, and the drivers' connections to it."""
    try:
        yield
    finally:
        while _OPEN:
            account = _OPEN.pop()
            if client := account.settings["shared"].get("client"):
                await client.close()
            account.stack.close()
