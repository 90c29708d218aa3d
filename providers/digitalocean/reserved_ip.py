"""`digitalocean.reserved_ip`: an address that stays when its droplet goes; its id is the address itself.

An address has neither a name nor a tag. So the plan notes those that there are; after a lost answer the one that fits
and was not there then is ours, and where several fit somebody must look. sagad itself makes one at a time in a region
(or for a droplet), and one counts as made only when the list shows it, so that it is never taken for the next.

Right after it was made an address may be 404, and one that was deleted may be shown for a while (reported in
digitalocean/terraform-provider-digitalocean#1600). The action that assigns an address may never be shown at all (#1557
there): then the address itself says what came of it.

A delete cannot be taken back: the address goes to whoever asks for one next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from providers.contract import (
    ABSENT,
    Call,
    Ended,
    Failed,
    Image,
    Outcome,
    Planned,
    Resource,
    Unknown,
    Value,
    Verb,
)
from providers.digitalocean import actions
from providers.digitalocean.actions import ActingDriver
from providers.digitalocean.calls import goal, makes
from providers.digitalocean.client import Thing, part, path
from providers.digitalocean.verbs import Number, Which, acting, deleting, making


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where: in a region, or for a droplet, to which it is assigned at once."""

    region: str | None = None
    droplet_id: Number | None = None


class Assign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one, to which droplet."""

    id: str
    droplet_id: Number


OUTPUTS: Mapping[str, Any] = {"id": str, "ip": str, "region": str | None, "droplet_id": int | None}
FIELDS = ("region", "droplet_id")


class ReservedIp(ActingDriver):
    """Reserves addresses, assigns them to droplets and gives them back."""

    type = "digitalocean.reserved_ip"
    summary = "an address that can be moved from droplet to droplet"
    collection, one, many, key = "reserved_ips", "reserved_ip", "reserved_ips", "ip"
    relied_on = ("ip", "region")
    known_by = FIELDS
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(
            Create,
            OUTPUTS,
            "reserve an address in a region, or for a droplet",
            repeat="find",
            may_end=frozenset({"partial"}),
            replaces=frozenset({"region"}),
        ),
        "assign": acting(
            Assign, OUTPUTS, "assign an address to a droplet, whoever has it; its undo gives it back to them"
        ),
        "unassign": acting(Which, OUTPUTS, "take an address from its droplet; its undo assigns it again"),
        "delete": deleting("give an address back; there is no way to have the same one again"),
    }

    def check(self, verb: str, arguments: Any) -> list[str]:
        """Ask for either a region or a droplet."""
        if isinstance(arguments, Create) and (arguments.region is None) == (arguments.droplet_id is None):
            return ["name either a `region` or a `droplet_id`: the region is then that of the droplet"]
        return []

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name it by its address; before it has one by its place, in which one is made at a time."""
        if not isinstance(arguments, Create):
            return super().resource(verb, arguments)
        where = (
            f"droplet-{arguments.droplet_id}" if arguments.region is None else f"region-{arguments.region}"
        )
        return Resource(type=self.type, name=where)

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give the address, its region and its droplet."""
        return {
            "ip": thing["ip"],
            "region": (thing.get("region") or {}).get("slug"),
            "droplet_id": (thing.get("droplet") or {}).get("id"),
        }

    def ready(self, thing: Thing) -> bool:
        """Tell whether nothing is being done to it."""
        return not thing.get("locked")

    async def under_way(self, call: Call, live: Thing | None) -> str:
        """Tell whether it is being assigned: it is locked then, also where no action is shown."""
        return "" if live is None or self.ready(live) else f"reserved ip {live['ip']} is being assigned"

    async def _all(self) -> list[Thing]:
        return [each async for each in self.client.pages(self.where(), self.many)]

    async def marked(self, call: Call) -> Thing | None:
        """Look among those that were not there before, for the one that fits."""
        if not makes(call):
            return None
        wanted = goal(call).fields
        found = [each for each in await self._all() if _fits(self.shown(each), wanted)]
        if len(found) > 1:
            which = ", ".join(each["ip"] for each in found)
            raise Ended(Unknown("twice", f"several addresses are new: {which}; delete all but one"))
        return found[0] if found else None

    async def plan_new(self, call: Call) -> Planned:
        """Note those that there are, and the droplet's region."""
        droplet, region = call.arguments.droplet_id, call.arguments.region
        there = [self.shown(each) for each in await self._all()]
        if droplet is not None:
            region = await self._region(droplet)
            for each in there:
                if each["droplet_id"] == droplet:
                    raise Ended(
                        Failed("assigned", f"droplet {droplet} has {each['ip']} already: unassign that first")
                    )
        noted = [each["ip"] for each in there]
        after = Image(fields={"region": region, "droplet_id": droplet, "there": noted})
        return Planned(before=ABSENT, after=after, fields=FIELDS)

    async def _region(self, droplet: int) -> Value:
        where = path("droplets", droplet)
        answer = await self.client.get(where)
        if answer is None:
            raise Ended(Failed("not_found", f"there is no droplet {droplet}"))
        return part(answer, "droplet", f"GET {where}", "region")["region"].get("slug")

    async def wanted(self, call: Call, before: Image) -> dict[str, Value]:
        """Give the droplet that is to have it."""
        return {"droplet_id": getattr(call.arguments, "droplet_id", None)}

    async def make(self, call: Call) -> Outcome:
        """Reserve it."""
        if call.restore is not None:
            return Failed("gone", "an address that was given back cannot be had again")
        given = msgspec.to_builtins(call.arguments)
        body = {name: value for name, value in given.items() if value is not None}
        answer = await actions.begin(self.client, self.where(), body)
        address = part(answer, self.one, f"POST {self.where()}", "ip")["ip"]
        begun = [each["id"] for each in (answer.get("links") or {}).get("actions") or []]
        handle = {"id": address, "action": begun[0] if begun else None}
        return self.working(call, handle, f"reserved ip {address} is being made")

    async def change(self, call: Call, live: Thing) -> Outcome:
        """Post the one action that assigns it, or takes it away."""
        droplet, where = goal(call).fields["droplet_id"], self.where(live["ip"], "actions")
        body = {"type": "unassign"} if droplet is None else {"type": "assign", "droplet_id": droplet}
        action = await actions.post(self.client, where, body)
        detail = f"action {action} ({body['type']}) is under way on reserved ip {live['ip']}"
        return self.working(call, {"id": live["ip"], "action": action}, detail)

    async def remove(self, call: Call) -> Outcome:
        """Give it back, once nothing is being done to it."""
        known = await self._id(call)
        live = None if known is None else await self.get(call, known)
        if going_on := await self.under_way(call, live):
            return Failed("locked", f"{going_on}: it cannot be given back before that", transient=True)
        return await super().remove(call)

    async def shows(self, call: Call, live: Thing) -> bool:
        """Of one that was made: until the list shows it too, it could be taken for the next that is made."""
        if not await super().shows(call, live):
            return False
        return not makes(call) or live["ip"] in {each["ip"] for each in await self._all()}

    async def unseen(self, call: Call, action: int) -> Outcome:
        """Go by the address itself."""
        return await self.as_wanted(call, await self.get(call, call.handle["id"]))


def _fits(shown: Mapping[str, Value], wanted: Mapping[str, Value]) -> bool:
    """Tell whether an address may be the one that is wanted; it is not assigned before it is there."""
    new = shown["ip"] not in wanted.get("there", [])
    return new and shown["region"] == wanted["region"] and shown["droplet_id"] in (None, wanted["droplet_id"])
