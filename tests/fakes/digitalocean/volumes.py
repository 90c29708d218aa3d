"""Block storage: grows only, is in one place at a time, and is not deleted while attached."""

from collections.abc import Callable

from tests.fakes.digitalocean import actions, images, tags
from tests.fakes.digitalocean.actions import Effect
from tests.fakes.digitalocean.catalogue import region
from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import (
    DONE,
    JSON,
    Answer,
    Asked,
    Routes,
    conflict,
    not_found,
    paged,
    unprocessable,
)

ROUTES = Routes()
MOST = 16_384


@ROUTES.on("POST", "/v2/volumes")
def create(cloud: Cloud, asked: Asked) -> Answer:
    """Make one; its name is the only one in its region."""
    body = asked.body
    where, name = region(str(body["region"])), str(body["name"])
    if _find(cloud, name, where["slug"]):
        raise conflict("a volume with that name already exists in the region")
    number = cloud.uuid()
    fields = {
        "id": number,
        "name": name,
        "region": where,
        "size_gigabytes": _size(body["size_gigabytes"], 1),
        "description": body.get("description", ""),
        "droplet_ids": [],
        "created_at": cloud.now(),
        "filesystem_type": body.get("filesystem_type", ""),
        "filesystem_label": body.get("filesystem_label", ""),
        "tags": list(body.get("tags") or []),
    }
    tags.remember(cloud, fields["tags"])
    return Answer(201, {"volume": cloud.add("volume", number, fields).fields})


def _size(wanted: int, least: int) -> int:
    if not least <= wanted <= MOST:
        raise unprocessable(f"size_gigabytes must be from {least} to {MOST}")
    return wanted


def _find(cloud: Cloud, name: str, where: str) -> list[Thing]:
    return [
        each
        for each in cloud.existing("volume")
        if (each.fields["name"], each.fields["region"]["slug"]) == (name, where)
    ]


@ROUTES.on("GET", "/v2/volumes")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All, or those of a name, of a region, or of both."""
    name, where = asked.query.get("name"), asked.query.get("region")
    chosen = [
        each.fields
        for each in cloud.listed("volume")
        if name in {None, each.fields["name"]} and where in {None, each.fields["region"]["slug"]}
    ]
    return paged(asked, "volumes", chosen, cloud.base)


@ROUTES.on("DELETE", "/v2/volumes")
def delete_named(cloud: Cloud, asked: Asked) -> Answer:
    """Delete the one of that name in that region."""
    found = _find(cloud, asked.query.get("name", ""), asked.query.get("region", ""))
    if not found:
        raise not_found()
    return _deleted(cloud, found[0])


@ROUTES.on("GET", "/v2/volumes/{volume_id}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that id."""
    return Answer(200, {"volume": cloud.get("volume", asked.ids["volume_id"]).fields})


@ROUTES.on("DELETE", "/v2/volumes/{volume_id}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Delete it, with all that is on it."""
    return _deleted(cloud, cloud.alive("volume", asked.ids["volume_id"]))


def _deleted(cloud: Cloud, volume: Thing) -> Answer:
    if volume.fields["droplet_ids"] or actions.busy(cloud, volume):
        raise conflict("A volume that is attached to a Droplet cannot be deleted")
    cloud.remove(volume)
    return DONE


# --- actions


@ROUTES.on("GET", "/v2/volumes/{volume_id}/actions")
def its_actions(cloud: Cloud, asked: Asked) -> Answer:
    """What was done to it."""
    return actions.page(cloud, asked, cloud.get("volume", asked.ids["volume_id"]))


@ROUTES.on("GET", "/v2/volumes/{volume_id}/actions/{action_id}")
def its_action(cloud: Cloud, asked: Asked) -> Answer:
    """One of them."""
    volume = cloud.get("volume", asked.ids["volume_id"])
    return Answer(200, {"action": actions.show(actions.of(cloud, volume, asked.ids["action_id"]))})


@ROUTES.on("POST", "/v2/volumes/{volume_id}/actions")
def act(cloud: Cloud, asked: Asked) -> Answer:
    """Attach, detach or grow it."""
    volume = cloud.alive("volume", asked.ids["volume_id"])
    kind = str(asked.body["type"])
    if kind not in EFFECTS:
        raise unprocessable(f"the fake knows no volume action {kind}")
    effect = EFFECTS[kind](cloud, volume, asked.body)
    droplet = cloud.alive("droplet", str(asked.body["droplet_id"])) if kind != "resize" else None
    action = actions.start(cloud, kind, volume, effect, shown_type=f"{kind}_volume", droplet=droplet)
    return Answer(202, {"action": actions.show(action)})


def _attach(cloud: Cloud, volume: Thing, body: JSON) -> Effect:
    droplet = cloud.alive("droplet", str(body["droplet_id"]))
    if volume.fields["droplet_ids"]:
        raise unprocessable("the volume is already attached to a Droplet")
    if droplet.fields["region"]["slug"] != volume.fields["region"]["slug"]:
        raise unprocessable("the Droplet is in another region than the volume")
    return lambda: volume.fields.update(droplet_ids=[droplet.fields["id"]])


def _detach(cloud: Cloud, volume: Thing, body: JSON) -> Effect:
    if body["droplet_id"] not in volume.fields["droplet_ids"]:
        raise unprocessable("the volume is not attached to that Droplet")
    return lambda: volume.fields.update(droplet_ids=[])


def _resize(cloud: Cloud, volume: Thing, body: JSON) -> Effect:
    new = _size(body["size_gigabytes"], volume.fields["size_gigabytes"])
    return lambda: volume.fields.update(size_gigabytes=new)


EFFECTS: dict[str, Callable[[Cloud, Thing, JSON], Effect]] = {
    "attach": _attach,
    "detach": _detach,
    "resize": _resize,
}
"""By type of action: checks what it is asked, and gives what happens at its end."""


# --- snapshots


@ROUTES.on("GET", "/v2/volumes/{volume_id}/snapshots")
def snapshots(cloud: Cloud, asked: Asked) -> Answer:
    """Its snapshots, as far as they are listed."""
    volume = cloud.get("volume", asked.ids["volume_id"])
    its = [each for each in cloud.listed("snapshot") if each.fields["resource_id"] == volume.id]
    return paged(asked, "snapshots", [images.show(each) for each in its], cloud.base)


@ROUTES.on("POST", "/v2/volumes/{volume_id}/snapshots")
def snapshot(cloud: Cloud, asked: Asked) -> Answer:
    """Make one, at once."""
    volume = cloud.alive("volume", asked.ids["volume_id"])
    made = images.add_of_volume(cloud, volume, str(asked.body["name"]), list(asked.body.get("tags") or []))
    return Answer(201, {"snapshot": images.show(made)})
