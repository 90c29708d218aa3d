"""Tags: they come into being by being used."""

from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import DONE, JSON, Answer, Asked, Routes, not_found, paged

ROUTES = Routes()
KINDS = {"droplet": "droplet", "volume": "volume", "image": "snapshot", "volume_snapshot": "snapshot"}
"""By the resource_type of a request, the kind of object."""


def remember(cloud: Cloud, names: list[str]) -> None:
    """Make the tags that are not there yet."""
    known = {tag.id for tag in cloud.existing("tag")}
    for name in names:
        if name not in known:
            cloud.add("tag", name, {"name": name})


def _show(cloud: Cloud, tag: Thing) -> JSON:
    counts = {f"{kind}s": len(_tagged(cloud, kind, tag.id)) for kind in ("droplet", "volume")}
    resources = {kind: {"count": count} for kind, count in counts.items()}
    return {"name": tag.id, "resources": {"count": sum(counts.values())} | resources}


def _tagged(cloud: Cloud, kind: str, name: str) -> list[Thing]:
    return [thing for thing in cloud.existing(kind) if name in thing.fields["tags"]]


@ROUTES.on("GET", "/v2/tags")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All of them."""
    return paged(asked, "tags", [_show(cloud, tag) for tag in cloud.listed("tag")], cloud.base)


@ROUTES.on("POST", "/v2/tags")
def create(cloud: Cloud, asked: Asked) -> Answer:
    """Make one; that it is there already is no fault."""
    remember(cloud, [asked.body["name"]])
    return Answer(201, {"tag": _show(cloud, cloud.alive("tag", asked.body["name"]))})


@ROUTES.on("GET", "/v2/tags/{tag_id}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that name."""
    return Answer(200, {"tag": _show(cloud, cloud.get("tag", asked.ids["tag_id"]))})


@ROUTES.on("DELETE", "/v2/tags/{tag_id}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Take it from everything, and delete it."""
    tag = cloud.alive("tag", asked.ids["tag_id"])
    for kind in set(KINDS.values()):
        for thing in _tagged(cloud, kind, tag.id):
            thing.fields["tags"].remove(tag.id)
    cloud.remove(tag)
    return DONE


@ROUTES.on("POST", "/v2/tags/{tag_id}/resources")
def assign(cloud: Cloud, asked: Asked) -> Answer:
    """Give it to objects."""
    tag = cloud.alive("tag", asked.ids["tag_id"])
    for thing in _named(cloud, asked):
        if tag.id not in thing.fields["tags"]:
            thing.fields["tags"].append(tag.id)
    return DONE


@ROUTES.on("DELETE", "/v2/tags/{tag_id}/resources")
def unassign(cloud: Cloud, asked: Asked) -> Answer:
    """Take it from objects."""
    tag = cloud.alive("tag", asked.ids["tag_id"])
    for thing in _named(cloud, asked):
        if tag.id in thing.fields["tags"]:
            thing.fields["tags"].remove(tag.id)
    return DONE


def _named(cloud: Cloud, asked: Asked) -> list[Thing]:
    named = asked.body["resources"]
    if any(each["resource_type"] not in KINDS for each in named):
        raise not_found()
    return [cloud.alive(KINDS[each["resource_type"]], str(each["resource_id"])) for each in named]
