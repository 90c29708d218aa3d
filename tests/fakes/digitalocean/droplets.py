"""Droplets and what is done to them."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from tests.fakes.digitalocean import actions, images, tags
from tests.fakes.digitalocean.actions import Effect
from tests.fakes.digitalocean.catalogue import region, size
from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import (
    DONE,
    JSON,
    Answer,
    Asked,
    Refused,
    Routes,
    not_found,
    paged,
    unprocessable,
)

ROUTES = Routes()
NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?")
GATEWAY = "203.0.113.1"
FIRST_ADDRESS = IPv4Address("198.18.0.10")


def show(cloud: Cloud, droplet: Thing) -> JSON:
    """The droplet as an answer has it; its snapshots and volumes are looked up, with their lag."""
    return droplet.fields | {
        "locked": actions.busy(cloud, droplet),
        "snapshot_ids": [int(each.id) for each in images.of_droplet(cloud, droplet.id)],
        "volume_ids": [
            volume.id
            for volume in cloud.existing("volume")
            if droplet.fields["id"] in volume.fields["droplet_ids"]
        ],
    }


@ROUTES.on("POST", "/v2/droplets")
def create(cloud: Cloud, asked: Asked) -> Answer:
    """Make one, or several: nothing stops a second of the same name."""
    body = asked.body
    names = body.get("names") or [body.get("name")]
    made = [_made(cloud, str(name), body) for name in names]
    links = {"actions": [actions.link(cloud, action, "create") for _, action in made]}
    shown = [show(cloud, droplet) for droplet, _ in made]
    many = "names" in body
    return Answer(202, ({"droplets": shown} if many else {"droplet": shown[0]}) | {"links": links})


def _made(cloud: Cloud, name: str, body: JSON) -> tuple[Thing, Thing]:
    if not NAME.fullmatch(name):
        raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    number = cloud.number()
    fields = _fields(cloud, number, name, body)
    attached = [_free(cloud, str(each), fields["region"]["slug"]) for each in body.get("volumes") or []]
    droplet = cloud.add("droplet", str(number), fields)
    for volume in attached:
        volume.fields["droplet_ids"] = [number]
    tags.remember(cloud, body.get("tags") or [])
    action = actions.start(
        cloud,
        "create",
        droplet,
        lambda: _booted(cloud, droplet),
        resource_id=number,
        failed=lambda: _leave(cloud, droplet),
    )
    return droplet, action


def _free(cloud: Cloud, id: str, where: str) -> Thing:
    """Give a volume that a new droplet can have: one that is there, in the same region, and attached to none."""
    found = [each for each in cloud.existing("volume") if each.id == id]
    if not found or found[0].fields["region"]["slug"] != where:
        raise unprocessable(f"failed to find the volume {id} in the region {where}")
    if found[0].fields["droplet_ids"]:
        raise unprocessable(f"the volume {id} is already attached to a Droplet")
    return found[0]


def _fields(cloud: Cloud, number: int, name: str, body: JSON) -> JSON:
    chosen = size(str(body["size"]))
    image = images.chosen(cloud, body["image"])
    if (image["min_disk_size"] or 0) > chosen["disk"]:
        raise unprocessable("The image needs a larger disk than the size has.")
    return {
        "id": number,
        "name": name,
        "memory": chosen["memory"],
        "vcpus": chosen["vcpus"],
        "disk": chosen["disk"],
        "locked": True,
        "status": "new",
        "kernel": None,
        "created_at": cloud.now(),
        "features": [each for each in ("backups", "ipv6", "monitoring") if body.get(each)],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": image,
        "volume_ids": [],
        "size": chosen,
        "size_slug": chosen["slug"],
        "networks": {"v4": [], "v6": []},
        "region": region(str(body.get("region") or "nyc3")),
        "tags": list(body.get("tags") or []),
        "vpc_uuid": str(body.get("vpc_uuid") or "760e09ef-dc84-11e8-981e-3cfdfeaae000"),
    }


def _booted(cloud: Cloud, droplet: Thing) -> None:
    address = str(FIRST_ADDRESS + cloud.number() % 60_000)
    network = {"ip_address": address, "netmask": "255.255.240.0", "gateway": GATEWAY, "type": "public"}
    droplet.fields.update(status="active", networks={"v4": [network], "v6": []})


@ROUTES.on("GET", "/v2/droplets")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All, or those of a name or of a tag."""
    name, tag = asked.query.get("name"), asked.query.get("tag_name")
    chosen = [
        show(cloud, each)
        for each in cloud.listed("droplet")
        if name in {None, each.fields["name"]} and (tag is None or tag in each.fields["tags"])
    ]
    return paged(asked, "droplets", chosen, cloud.base)


@ROUTES.on("DELETE", "/v2/droplets")
def delete_tagged(cloud: Cloud, asked: Asked) -> Answer:
    """Delete all that have the tag."""
    tag = asked.query.get("tag_name")
    for each in cloud.existing("droplet"):
        if tag in each.fields["tags"]:
            _leave(cloud, each)
    return DONE


@ROUTES.on("GET", "/v2/droplets/{droplet_id}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that id."""
    return Answer(200, {"droplet": show(cloud, cloud.get("droplet", asked.ids["droplet_id"]))})


@ROUTES.on("DELETE", "/v2/droplets/{droplet_id}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Delete it for good; its snapshots stay."""
    droplet = cloud.alive("droplet", asked.ids["droplet_id"])
    actions.refuse_busy(cloud, droplet)
    _leave(cloud, droplet)
    return DONE


def _leave(cloud: Cloud, droplet: Thing) -> None:
    number = droplet.fields["id"]
    cloud.remove(droplet)
    for other in [*cloud.existing("volume"), *cloud.existing("firewall")]:
        other.fields["droplet_ids"] = [each for each in other.fields["droplet_ids"] if each != number]
    for address in cloud.existing("reserved_ip"):
        if address.fields["droplet_id"] == number:
            address.fields["droplet_id"] = None


@ROUTES.on("GET", "/v2/droplets/{droplet_id}/snapshots")
def snapshots(cloud: Cloud, asked: Asked) -> Answer:
    """Its snapshots, as far as they are listed; here an id is a number."""
    droplet = cloud.get("droplet", asked.ids["droplet_id"])
    shown = [images.as_droplets(each) for each in images.of_droplet(cloud, droplet.id)]
    return paged(asked, "snapshots", shown, cloud.base)


# --- actions


@ROUTES.on("GET", "/v2/droplets/{droplet_id}/actions")
def its_actions(cloud: Cloud, asked: Asked) -> Answer:
    """What was done to it."""
    return actions.page(cloud, asked, cloud.get("droplet", asked.ids["droplet_id"]))


@ROUTES.on("GET", "/v2/droplets/{droplet_id}/actions/{action_id}")
def its_action(cloud: Cloud, asked: Asked) -> Answer:
    """One of them."""
    droplet = cloud.get("droplet", asked.ids["droplet_id"])
    return Answer(200, {"action": actions.show(actions.of(cloud, droplet, asked.ids["action_id"]))})


@ROUTES.on("POST", "/v2/droplets/{droplet_id}/actions")
def act(cloud: Cloud, asked: Asked) -> Answer:
    """Begin an action; the answer is 201, and the action in progress."""
    droplet = cloud.alive("droplet", asked.ids["droplet_id"])
    kind = str(asked.body["type"])
    if kind not in EFFECTS:
        raise Refused(422, "unprocessable_entity", f"the fake knows no droplet action {kind}")
    effect = EFFECTS[kind](cloud, droplet, asked.body)
    action = actions.start(cloud, kind, droplet, effect, resource_id=droplet.fields["id"])
    return Answer(201, {"action": actions.show(action)})


def _snapshot(cloud: Cloud, droplet: Thing, body: JSON) -> Effect:
    name = str(body.get("name") or f"{droplet.fields['name']}-{int(cloud.time() * 1000)}")
    return lambda: images.add(cloud, droplet, name)


def _resize(cloud: Cloud, droplet: Thing, body: JSON) -> Effect:
    new = size(str(body["size"]))
    if droplet.fields["status"] != "off":
        raise unprocessable("Droplet must be powered off to be resized.")
    if new["disk"] < droplet.fields["disk"]:
        raise unprocessable("This size is not available because it has a smaller disk.")
    changed = {"size": new, "size_slug": new["slug"], "memory": new["memory"], "vcpus": new["vcpus"]}
    return lambda: droplet.fields.update(changed | ({"disk": new["disk"]} if body.get("disk") else {}))


def _power(status: str, *, refused: str | None) -> Callable[[Cloud, Thing, JSON], Effect]:
    def power(cloud: Cloud, droplet: Thing, body: JSON) -> Effect:
        if droplet.fields["status"] == refused:
            raise unprocessable(f"Droplet is already powered {'on' if refused == 'active' else 'off'}.")
        return lambda: droplet.fields.update(status=status)

    return power


def _rename(cloud: Cloud, droplet: Thing, body: JSON) -> Effect:
    name: Any = body.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    return lambda: droplet.fields.update(name=name)


def _restore(cloud: Cloud, droplet: Thing, body: JSON) -> Effect:
    try:
        image = images.chosen(cloud, body["image"])
    except Refused as refused:
        raise not_found() from refused
    return lambda: droplet.fields.update(image=image)


EFFECTS: dict[str, Callable[[Cloud, Thing, JSON], Effect]] = {
    "snapshot": _snapshot,
    "resize": _resize,
    "power_off": _power("off", refused="off"),
    "shutdown": _power("off", refused="off"),
    "power_on": _power("active", refused="active"),
    "reboot": _power("active", refused="off"),
    "power_cycle": _power("active", refused=None),
    "rename": _rename,
    "restore": _restore,
    "rebuild": _restore,
}
"""By type of action: checks what it is asked, and gives what happens at its end."""
