"""Snapshots of droplets and volumes; a droplet's is an image as well, of the same number."""

from typing import Any

from tests.fakes.digitalocean.catalogue import IMAGES, base_image
from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import DONE, JSON, Answer, Asked, Routes, not_found, paged, unprocessable

ROUTES = Routes()


def add(cloud: Cloud, droplet: Thing, name: str) -> None:
    """A droplet's snapshot is done: it is there, though a list may not show it yet. Names are not unique."""
    number = cloud.number()
    fields = {
        "id": str(number),
        "name": name,
        "created_at": cloud.now(),
        "regions": [droplet.fields["region"]["slug"]],
        "min_disk_size": droplet.fields["disk"],
        "size_gigabytes": 2.34,
        "resource_id": droplet.id,
        "resource_type": "droplet",
        "tags": [],
        "_distribution": droplet.fields["image"]["distribution"],
    }
    cloud.add("snapshot", str(number), fields)


def add_of_volume(cloud: Cloud, volume: Thing, name: str, tags: list[str]) -> Thing:
    """A volume's snapshot; it has a uuid, and is no image."""
    uuid = cloud.uuid()
    fields = {
        "id": uuid,
        "name": name,
        "created_at": cloud.now(),
        "regions": [volume.fields["region"]["slug"]],
        "min_disk_size": volume.fields["size_gigabytes"],
        "size_gigabytes": 0.1,
        "resource_id": volume.id,
        "resource_type": "volume",
        "tags": tags,
    }
    return cloud.add("snapshot", uuid, fields)


def show(snapshot: Thing) -> JSON:
    """The snapshot as an answer has it."""
    return {name: value for name, value in snapshot.fields.items() if not name.startswith("_")}


def of_droplet(cloud: Cloud, id: str) -> list[Thing]:
    """The snapshots of a droplet that lists show."""
    return [
        each
        for each in cloud.listed("snapshot")
        if (each.fields["resource_type"], each.fields["resource_id"]) == ("droplet", id)
    ]


def as_droplets(snapshot: Thing) -> JSON:
    """The snapshot as its droplet lists it: the id is a number there."""
    names = ("name", "created_at", "regions", "min_disk_size", "size_gigabytes")
    shown = {name: snapshot.fields[name] for name in names}
    return shown | {"id": int(snapshot.id), "type": "snapshot"}


def as_image(snapshot: Thing) -> JSON:
    """The snapshot as an image."""
    return as_droplets(snapshot) | {
        "distribution": snapshot.fields["_distribution"],
        "slug": None,
        "public": False,
        "description": "",
        "tags": snapshot.fields["tags"],
        "status": "available",
        "error_message": "",
    }


def chosen(cloud: Cloud, named: Any) -> JSON:
    """The image to make a droplet from: a base image's slug or id, or a snapshot's number."""
    found = base_image(str(named))
    if found is not None:
        return found
    for each in cloud.existing("snapshot"):
        if each.id == str(named) and each.fields["resource_type"] == "droplet":
            return as_image(each)
    raise unprocessable("You specified an invalid image for Droplet creation.")


# --- /v2/snapshots


@ROUTES.on("GET", "/v2/snapshots")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All, or those of droplets, or of volumes. There is no filter by name."""
    wanted = asked.query.get("resource_type")
    listed = [each for each in cloud.listed("snapshot") if wanted in {None, each.fields["resource_type"]}]
    return paged(asked, "snapshots", [show(each) for each in listed], cloud.base)


@ROUTES.on("GET", "/v2/snapshots/{snapshot_id}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that id."""
    return Answer(200, {"snapshot": show(cloud.get("snapshot", asked.ids["snapshot_id"]))})


@ROUTES.on("DELETE", "/v2/snapshots/{snapshot_id}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Delete it; lists may show it for a while."""
    cloud.remove(cloud.alive("snapshot", asked.ids["snapshot_id"]))
    return DONE


# --- /v2/images


@ROUTES.on("GET", "/v2/images")
def every_image(cloud: Cloud, asked: Asked) -> Answer:
    """The base images and the account's own; ``private=true``: only those."""
    own = [as_image(each) for each in cloud.listed("snapshot") if "_distribution" in each.fields]
    private = asked.query.get("private") == "true"
    base = [] if private else [image for slug in IMAGES if (image := base_image(slug))]
    return paged(asked, "images", [*base, *own], cloud.base)


@ROUTES.on("GET", "/v2/images/{image_id}")
def one_image(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that number or slug."""
    named = asked.ids["image_id"]
    return Answer(200, {"image": base_image(named) or as_image(_own(cloud, named))})


@ROUTES.on("PUT", "/v2/images/{image_id}")
def rename_image(cloud: Cloud, asked: Asked) -> Answer:
    """Give one's own another name."""
    image = _own(cloud, asked.ids["image_id"])
    image.fields["name"] = asked.body.get("name", image.fields["name"])
    return Answer(200, {"image": as_image(image)})


@ROUTES.on("DELETE", "/v2/images/{image_id}")
def delete_image(cloud: Cloud, asked: Asked) -> Answer:
    """Delete one's own: the snapshot is gone with it."""
    cloud.remove(_own(cloud, asked.ids["image_id"]))
    return DONE


def _own(cloud: Cloud, id: str) -> Thing:
    image = cloud.alive("snapshot", id)
    if "_distribution" not in image.fields:
        raise not_found()
    return image
