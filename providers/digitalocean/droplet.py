"""`digitalocean.droplet`: a droplet, known by a tag that is made from the saga.

Names of droplets are not unique, so the mark is the tag `sagad-…`, looked for before any repeat. The service answers
with 202 and an action, and the droplet may yet vanish when no place is found for it; it is done when it is active.

What is done to a droplet (resize, power, rename) is an action. Its end is awaited; an answer to its POST that was lost
is found out from the droplet itself, once no action is under way on it.

A delete cannot be taken back, unless it says ``snapshot_first``: then its undo makes a droplet from that snapshot, of the
same name, size, region and tags, with the same volumes. It has another id and other addresses, is switched on, and is not
in the firewalls that name droplets by their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from providers.contract import (
    ABSENT,
    Call,
    Ended,
    Failed,
    Image,
    Outcome,
    Planned,
    Unknown,
    Value,
    Verb,
)
from providers.digitalocean import actions
from providers.digitalocean.calls import goal
from providers.digitalocean.client import Thing, part, path
from providers.digitalocean.last_snapshot import Delete, KeepingDriver, makes_again
from providers.digitalocean.verbs import Number, WhichNumber, acting, deleting, making


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make, named as in DigitalOcean's API."""

    name: str
    size: str
    image: int | str
    region: str | None = None
    tags: list[str] = []
    ssh_keys: list[int | str] = []
    backups: bool = False
    ipv6: bool = False
    monitoring: bool = False
    user_data: str | None = None
    volumes: list[str] = []
    vpc_uuid: str | None = None


class Resize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To which size. With ``disk`` the disk grows too, for good."""

    id: Number
    size: str
    disk: bool = False


class Rename(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To what."""

    id: Number
    name: str


FEATURES = ("backups", "ipv6", "monitoring")
OUTPUTS: Mapping[str, Any] = {
    "id": int,
    "name": str,
    "status": str,
    "size": str | None,
    "image": Any,
    "region": str | None,
    "tags": list[str],
    "created_at": str | None,
    "vpc_uuid": str | None,
    "ip_address": str | None,
    "private_ip_address": str | None,
    "volumes": list[str],
    **dict.fromkeys(FEATURES, bool),
}

MADE_AGAIN = ("name", "size", "region", "tags", "vpc_uuid", "volumes", *FEATURES)
"""What a droplet that is made again gets of the one that was deleted; the rest is in the snapshot."""
STATUS = {"power_on": "active", "power_off": "off", "shutdown": "off"}


class Droplet(KeepingDriver):
    """Makes, changes and deletes droplets."""

    type = "digitalocean.droplet"
    summary = "a droplet"
    collection, one, many = "droplets", "droplet", "droplets"
    relied_on = ("id", "name", "status")
    known_by = ("name", "size", "tags")
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(
            Create,
            OUTPUTS,
            "make a droplet and wait until it is active",
            may_end=frozenset({"partial"}),
            replaces=frozenset({"region", "image", "vpc_uuid"}),
        ),
        "delete": deleting(
            "delete a droplet; there is no way back, unless it is kept as a snapshot first",
            Delete,
            outputs={"id": int, "snapshot_id": int | None},
        ),
        "resize": acting(
            Resize,
            OUTPUTS,
            "give a droplet that is off another size; a grown disk cannot be taken back",
            only_while=("status", "off"),
            around=("power_off", "power_on"),
        ),
        "power_on": acting(WhichNumber, OUTPUTS, "switch a droplet on"),
        "power_off": acting(WhichNumber, OUTPUTS, "switch a droplet off, as pulling its plug would"),
        "shutdown": acting(WhichNumber, OUTPUTS, "ask a droplet's system to shut down"),
        "rename": acting(Rename, OUTPUTS, "give a droplet another name"),
    }

    def refine(self, verb: str, arguments: Any) -> Verb:
        """Say of growing a disk that it cannot be taken back, of a delete after a snapshot that it can."""
        declared = self.verbs[verb]
        if isinstance(arguments, Delete) and arguments.snapshot_first:
            return msgspec.structs.replace(declared, irreversible=False, inverse="create")
        if isinstance(arguments, Resize) and arguments.disk:
            return msgspec.structs.replace(declared, irreversible=True, inverse="none")
        return declared

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give what the service tells of a droplet, `size`, `image` and `region` as a create takes them."""
        image, region = thing.get("image") or {}, thing.get("region") or {}
        return {
            "name": thing["name"],
            "status": thing["status"],
            "size": thing.get("size_slug"),
            "image": image.get("slug") or image.get("id"),
            "region": region.get("slug"),
            "tags": sorted(tag for tag in thing.get("tags") or [] if not tag.startswith("sagad-")),
            "created_at": thing.get("created_at"),
            "vpc_uuid": thing.get("vpc_uuid"),
            "ip_address": _address(thing, "public"),
            "private_ip_address": _address(thing, "private"),
            "volumes": sorted(thing.get("volume_ids") or []),
            **{name: name in (thing.get("features") or []) for name in FEATURES},
        }

    def normalise(self, field: str, value: Value) -> Value:
        """Compare tags and volumes as sets, images by text."""
        if field in {"tags", "volumes"}:
            return sorted(value or [])
        return str(value) if field == "image" else value

    async def marked(self, call: Call) -> Thing | None:
        """Look for its tag."""
        pages = self.client.pages(path("droplets"), "droplets", tag_name=_tag(call))
        found = [each async for each in pages]
        if len(found) > 1:
            which = ", ".join(str(each["id"]) for each in found)
            raise Ended(
                Unknown("twice", f"several droplets have the tag {_tag(call)}: {which}; delete all but one")
            )
        return found[0] if found else None

    async def plan_new(self, call: Call) -> Planned:
        """Say what is wanted; names need not be free."""
        given = call.arguments
        wanted: dict[str, Value] = {
            "name": given.name,
            "size": given.size,
            "tags": sorted(given.tags),
            "image": given.image,
            "region": given.region,
        }
        # Not its status: that it was switched off since is no reason to keep what is to be undone.
        fields = ("name", "size", "tags") + (("region",) if given.region else ())
        return Planned(before=ABSENT, after=Image(fields=wanted), fields=fields)

    async def wanted(self, call: Call, before: Image) -> dict[str, Value]:
        """Give the one field that an action sets."""
        match call.arguments:
            case Resize(size=size):
                return {"size": size}
            case Rename(name=name):
                return {"name": name}
        return {"status": STATUS[call.verb]}

    async def make(self, call: Call) -> Outcome:
        """Post it, with the tag that it is looked for by."""
        if call.restore is not None and call.outputs.get("snapshot_id") is None:
            return Failed("gone", "a droplet that was deleted without a snapshot cannot be made again")
        answer = await self.client.post(path("droplets"), _body(call))
        droplet = part(answer, "droplet", "POST /v2/droplets", "id")
        begun = [
            each["id"]
            for each in (answer.get("links") or {}).get("actions") or []
            if each.get("rel") == "create"
        ]
        handle = {"id": droplet["id"], "action": begun[0] if begun else None}
        return self.working(call, handle, f"droplet {droplet['id']} is being made")

    async def change(self, call: Call, live: Thing) -> Outcome:
        """Post the one action that brings it from how it is to how it is to become."""
        body = _action(call)
        action = await actions.post(self.client, path("droplets", live["id"], "actions"), body)
        return self.working(
            call,
            {"id": live["id"], "action": action},
            f"action {action} ({body['type']}) is under way on droplet {live['id']}",
        )

    def ready(self, thing: Thing) -> bool:
        """Tell whether it has been made."""
        return bool(thing["status"] != "new")


def _tag(call: Call) -> str:
    return f"sagad-again-{call.name}" if makes_again(call) else f"sagad-{call.name}"


def _body(call: Call) -> Thing:
    """Give the spec as the service takes it: what is not set is not sent."""
    if call.restore is None:
        given = msgspec.to_builtins(call.arguments)
    else:
        given = {name: call.restore.fields.get(name) for name in MADE_AGAIN}
        given |= {"image": call.outputs["snapshot_id"]}
    set_ = {name: value for name, value in given.items() if value not in (None, [], False)}
    return set_ | {"tags": [*given["tags"], _tag(call)]}


def _action(call: Call) -> Thing:
    """Give the action that makes the one field that the call sets as it is to become."""
    wanted = goal(call).fields
    match call.arguments:
        case Resize():
            return {
                "type": "resize",
                "size": wanted["size"],
                "disk": call.arguments.disk and call.restore is None,
            }
        case Rename():
            return {"type": "rename", "name": wanted["name"]}
    if wanted["status"] == "active":
        return {"type": "power_on"}
    return {"type": "power_off" if call.restore is not None else call.verb}


def _address(thing: Thing, kind: Literal["public", "private"]) -> str | None:
    networks = (thing.get("networks") or {}).get("v4") or []
    return next((each.get("ip_address") for each in networks if each.get("type") == kind), None)
