"""`digitalocean.firewall`: a firewall, known by its name, which is unique in the account.

The service replaces the whole of it with each change, so a change sends all that is there, with what the call sets in
its place: what somebody else has added meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from providers.contract import ABSENT, Call, Ended, Failed, Image, Outcome, Planned, Value, Verb
from providers.digitalocean.calls import goal
from providers.digitalocean.client import Thing, part, path
from providers.digitalocean.driver import CloudDriver
from providers.digitalocean.verbs import changing, deleting, making

Rules = list[dict[str, Any]]


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make, named as in DigitalOcean's API."""

    name: str
    inbound_rules: Rules = []
    outbound_rules: Rules = []
    droplet_ids: list[int] = []
    tags: list[str] = []


class Update(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    id: str
    name: str | None = None
    inbound_rules: Rules | None = None
    outbound_rules: Rules | None = None
    droplet_ids: list[int] | None = None
    tags: list[str] | None = None


SPEC = ("name", "inbound_rules", "outbound_rules", "droplet_ids", "tags")
OUTPUTS: Mapping[str, Any] = {
    "id": str,
    "name": str,
    "inbound_rules": Rules,
    "outbound_rules": Rules,
    "droplet_ids": list[int],
    "tags": list[str],
    "created_at": str | None,
}


class Firewall(CloudDriver):
    """Makes, changes and deletes firewalls."""

    type = "digitalocean.firewall"
    summary = "a firewall around droplets"
    collection, one, many = "firewalls", "firewall", "firewalls"
    relied_on = ("id", "name")
    known_by = SPEC
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(Create, OUTPUTS, "make a firewall; its name must be free"),
        "update": changing(Update, OUTPUTS, "change a firewall; what is left out stays"),
        "delete": deleting(
            "delete a firewall; its undo makes one that is alike, with another id", inverse="create"
        ),
    }

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give what the service tells of a firewall."""
        shown: dict[str, Value] = {"name": thing["name"], "created_at": thing.get("created_at")}
        return shown | {name: thing.get(name) or [] for name in SPEC if name != "name"}

    def normalise(self, field: str, value: Value) -> Value:
        """Compare lists as sets, and rules as the service writes them: all ports are `0`, what is empty is left out."""
        if field in {"inbound_rules", "outbound_rules"}:
            return sorted((_rule(rule) for rule in value or []), key=msgspec.json.encode)
        return sorted(value or []) if field in {"droplet_ids", "tags"} else value

    async def marked(self, call: Call) -> Thing | None:
        """Look for its name. A list may still show one that was deleted a moment ago; whether it is there its id tells."""
        wanted = goal(call) if goal(call).exists else call.before or ABSENT
        listed = await self._named_so(wanted.fields["name"])
        return None if listed is None else await self.get(call, listed["id"])

    async def _named_so(self, name: Value) -> Thing | None:
        pages = self.client.pages(path("firewalls"), "firewalls")
        found = [each async for each in pages if each.get("name") == name]
        return found[0] if found else None

    async def plan_new(self, call: Call) -> Planned:
        """Refuse a name that is taken."""
        name = call.arguments.name
        if await self._named_so(name) is not None:
            raise Ended(Failed("exists", f"there is a firewall {name} already: choose another name"))
        return Planned(before=ABSENT, after=Image(fields=msgspec.to_builtins(call.arguments)), fields=SPEC)

    async def make(self, call: Call) -> Outcome:
        """Post it."""
        answer = await self.client.post(path("firewalls"), _body(goal(call).fields))
        return self.done(call, part(answer, "firewall", "POST /v2/firewalls", *self.relied_on))

    async def change(self, call: Call, live: Thing) -> Outcome:
        """Put all that is there, and in its place what the call sets."""
        where = self.place(call, live["id"])
        wanted = {name: goal(call).fields[name] for name in call.fields}
        answer = await self.client.put(where, _body(self.shown(live) | wanted))
        return self.done(call, part(answer, "firewall", f"PUT {where}", *self.relied_on))


def _body(fields: Mapping[str, Value]) -> Thing:
    return {name: fields[name] for name in SPEC if fields.get(name)}


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    ends = {
        side: {kind: sorted(each) for kind, each in rule[side].items() if each}
        for side in ("sources", "destinations")
        if rule.get(side)
    }
    ports = str(rule.get("ports") or "0")
    return {"protocol": rule.get("protocol"), "ports": "0" if ports == "all" else ports, **ends}
