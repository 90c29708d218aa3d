"""`digitalocean.volume`: a volume, known by its name, which is unique in its region, and by a tag of ours.

A volume is attached and detached by actions, and one that is attached cannot be deleted. A delete cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from providers.contract import ABSENT, Call, Ended, Failed, Image, Outcome, Planned, Value, Verb
from providers.digitalocean import actions
from providers.digitalocean.actions import ActingDriver
from providers.digitalocean.calls import goal
from providers.digitalocean.client import Thing, part, path
from providers.digitalocean.verbs import Number, Which, acting, deleting, making


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make, named as in DigitalOcean's API."""

    name: str
    region: str
    size_gigabytes: Annotated[int, msgspec.Meta(gt=0)]
    description: str | None = None
    filesystem_type: str | None = None
    filesystem_label: str | None = None
    snapshot_id: str | None = None
    tags: list[str] = []


class Attach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one, to which droplet."""

    id: str
    droplet_id: Number


OUTPUTS: Mapping[str, Any] = {
    "id": str,
    "name": str,
    "region": str | None,
    "size_gigabytes": int,
    "description": str | None,
    "filesystem_type": str | None,
    "filesystem_label": str | None,
    "tags": list[str],
    "droplet_ids": list[int],
    "created_at": str | None,
}


class Volume(ActingDriver):
    """Makes, attaches, detaches and deletes volumes."""

    type = "digitalocean.volume"
    summary = "a volume, attached to a droplet or not"
    collection, one, many = "volumes", "volume", "volumes"
    relied_on = ("id", "name", "size_gigabytes")
    known_by = ("name", "region", "size_gigabytes")
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(
            Create,
            OUTPUTS,
            "make a volume; its name must be free in its region",
            replaces=frozenset({"name", "region", "filesystem_type", "snapshot_id"}),
        ),
        "delete": deleting("delete a volume that is not attached; there is no way back"),
        "attach": acting(Attach, OUTPUTS, "attach a volume that is free to a droplet"),
        "detach": acting(Which, OUTPUTS, "detach a volume; its undo attaches it again"),
    }

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give what the service tells of a volume, `region` as a create takes it."""
        return {
            "name": thing["name"],
            "region": (thing.get("region") or {}).get("slug"),
            "size_gigabytes": thing["size_gigabytes"],
            "description": thing.get("description"),
            "filesystem_type": thing.get("filesystem_type"),
            "filesystem_label": thing.get("filesystem_label"),
            "tags": sorted(tag for tag in thing.get("tags") or [] if not tag.startswith("sagad-")),
            "droplet_ids": sorted(thing.get("droplet_ids") or []),
            "created_at": thing.get("created_at"),
        }

    async def marked(self, call: Call) -> Thing | None:
        """Look for its name in its region, and whether it has our tag."""
        named = await self._named_so(call)
        return next((each for each in named if _tag(call) in (each.get("tags") or [])), None)

    async def _named_so(self, call: Call) -> list[Thing]:
        name, region = call.arguments.name, call.arguments.region
        pages = self.client.pages(path("volumes"), "volumes", name=name, region=region)
        return [each async for each in pages]

    async def plan_new(self, call: Call) -> Planned:
        """Refuse a name that is taken."""
        given = call.arguments
        if await self._named_so(call):
            where = f"there is a volume {given.name} in {given.region} already"
            raise Ended(Failed("exists", f"{where}: choose another name"))
        wanted: dict[str, Value] = {
            "name": given.name,
            "region": given.region,
            "tags": sorted(given.tags),
            "size_gigabytes": given.size_gigabytes,
        }
        return Planned(before=ABSENT, after=Image(fields=wanted), fields=tuple(wanted))

    async def wanted(self, call: Call, before: Image) -> dict[str, Value]:
        """Refuse to attach one that is attached elsewhere."""
        droplets = [call.arguments.droplet_id] if isinstance(call.arguments, Attach) else []
        attached = before.fields["droplet_ids"]
        if droplets and attached not in ([], droplets):
            where = f"volume {call.arguments.id} is attached to droplet {attached[0]}"
            raise Ended(Failed("attached", f"{where}: detach it"))
        return {"droplet_ids": droplets}

    async def make(self, call: Call) -> Outcome:
        """Post it, with the tag that shows that it is ours."""
        if call.restore is not None:
            return Failed("gone", "a volume that was deleted cannot be made again")
        given = msgspec.to_builtins(call.arguments)
        body = {name: value for name, value in given.items() if value is not None}
        answer = await self.client.post(path("volumes"), body | {"tags": [*call.arguments.tags, _tag(call)]})
        return self.done(call, part(answer, "volume", "POST /v2/volumes", *self.relied_on))

    async def change(self, call: Call, live: Thing) -> Outcome:
        """Post the one action that attaches or detaches it."""
        wanted, attached = goal(call).fields["droplet_ids"], live.get("droplet_ids") or []
        kind, droplet = ("attach", wanted[0]) if wanted else ("detach", attached[0])
        body = {"type": kind, "droplet_id": droplet}
        action = await actions.post(self.client, path("volumes", live["id"], "actions"), body)
        detail = f"action {action} ({kind}) is under way on volume {live['id']}"
        return self.working(call, {"id": live["id"], "action": action}, detail)


def _tag(call: Call) -> str:
    return f"sagad-{call.name}"
