"""Firewalls. A change takes a while to reach the droplets; PUT replaces the whole."""

import copy
from collections.abc import Sequence

from tests.fakes.digitalocean import tags
from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import DONE, JSON, Answer, Asked, Routes, conflict, paged, unprocessable

ROUTES = Routes()
DIRECTIONS = ("inbound_rules", "outbound_rules")


@ROUTES.on("POST", "/v2/firewalls")
def create(cloud: Cloud, asked: Asked) -> Answer:
    """Make one; its name is the only one in the account."""
    uuid = cloud.uuid()
    fields = _fields(cloud, asked.body, None) | {"id": uuid, "created_at": cloud.now(), "status": "waiting"}
    firewall = cloud.add("firewall", uuid, fields)
    _spread(cloud, firewall)
    return Answer(202, {"firewall": firewall.fields})


def _fields(cloud: Cloud, body: JSON, itself: Thing | None) -> JSON:
    if any(each is not itself and each.fields["name"] == body["name"] for each in cloud.existing("firewall")):
        raise conflict("duplicate name")
    if not any(body.get(direction) for direction in DIRECTIONS):
        raise unprocessable("firewall must have at least one rule")
    droplets = _droplets(cloud, body.get("droplet_ids") or [])
    tags.remember(cloud, body.get("tags") or [])
    rules = {direction: _rules(body.get(direction) or []) for direction in DIRECTIONS}
    return {
        "name": body["name"],
        "droplet_ids": droplets,
        "tags": list(body.get("tags") or []),
        "pending_changes": [],
    } | rules


def _droplets(cloud: Cloud, numbers: list[int]) -> list[int]:
    known = {each.fields["id"] for each in cloud.existing("droplet")}
    if missing := [number for number in numbers if number not in known]:
        raise unprocessable(f"no such Droplet: {missing}")
    return list(numbers)


def _rules(rules: list[JSON]) -> list[JSON]:
    """The service writes "all" ports as "0"."""
    return [
        copy.deepcopy(rule) | {"ports": {"all": "0"}.get(rule.get("ports", "0"), rule.get("ports", "0"))}
        for rule in rules
    ]


def _spread(cloud: Cloud, firewall: Thing) -> None:
    numbers = firewall.fields["droplet_ids"]
    changes = [{"droplet_id": each, "removing": False, "status": "waiting"} for each in numbers]
    firewall.fields.update(status="waiting", pending_changes=changes)
    done = {"status": "succeeded", "pending_changes": []}
    cloud.later(cloud.lags.duration("firewall"), lambda: firewall.fields.update(done))


@ROUTES.on("GET", "/v2/firewalls")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All of them; there is no filter."""
    return paged(asked, "firewalls", [each.fields for each in cloud.listed("firewall")], cloud.base)


@ROUTES.on("GET", "/v2/firewalls/{firewall_id}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that id."""
    return Answer(200, {"firewall": cloud.get("firewall", asked.ids["firewall_id"]).fields})


@ROUTES.on("PUT", "/v2/firewalls/{firewall_id}")
def replace(cloud: Cloud, asked: Asked) -> Answer:
    """Replace the whole: what is not given is empty then."""
    firewall = _alive(cloud, asked)
    firewall.fields.update(_fields(cloud, asked.body, firewall))
    _spread(cloud, firewall)
    return Answer(200, {"firewall": firewall.fields})


@ROUTES.on("DELETE", "/v2/firewalls/{firewall_id}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Delete it."""
    cloud.remove(_alive(cloud, asked))
    return DONE


def _alive(cloud: Cloud, asked: Asked) -> Thing:
    return cloud.alive("firewall", asked.ids["firewall_id"])


@ROUTES.on("GET", "/v2/droplets/{droplet_id}/firewalls")
def of_droplet(cloud: Cloud, asked: Asked) -> Answer:
    """Those that a droplet is in, itself or by a tag."""
    droplet = cloud.get("droplet", asked.ids["droplet_id"])
    its = [
        each.fields
        for each in cloud.listed("firewall")
        if droplet.fields["id"] in each.fields["droplet_ids"]
        or set(droplet.fields["tags"]) & set(each.fields["tags"])
    ]
    return paged(asked, "firewalls", its, cloud.base)


# --- parts


@ROUTES.on("POST", "/v2/firewalls/{firewall_id}/rules")
def add_rules(cloud: Cloud, asked: Asked) -> Answer:
    """Add rules; one that is there already is not there twice."""
    firewall = _alive(cloud, asked)
    for direction in DIRECTIONS:
        _add(firewall, direction, _rules(asked.body.get(direction) or []))
    return _changed(cloud, firewall)


@ROUTES.on("DELETE", "/v2/firewalls/{firewall_id}/rules")
def remove_rules(cloud: Cloud, asked: Asked) -> Answer:
    """Take rules away."""
    firewall = _alive(cloud, asked)
    for direction in DIRECTIONS:
        _remove(firewall, direction, _rules(asked.body.get(direction) or []))
    return _changed(cloud, firewall)


@ROUTES.on("POST", "/v2/firewalls/{firewall_id}/droplets")
def add_droplets(cloud: Cloud, asked: Asked) -> Answer:
    """Put droplets behind it."""
    firewall = _alive(cloud, asked)
    _add(firewall, "droplet_ids", _droplets(cloud, asked.body["droplet_ids"]))
    return _changed(cloud, firewall)


@ROUTES.on("DELETE", "/v2/firewalls/{firewall_id}/droplets")
def remove_droplets(cloud: Cloud, asked: Asked) -> Answer:
    """Take droplets from behind it."""
    firewall = _alive(cloud, asked)
    _remove(firewall, "droplet_ids", asked.body["droplet_ids"])
    return _changed(cloud, firewall)


@ROUTES.on("POST", "/v2/firewalls/{firewall_id}/tags")
def add_tags(cloud: Cloud, asked: Asked) -> Answer:
    """Put what has a tag behind it."""
    firewall = _alive(cloud, asked)
    tags.remember(cloud, asked.body["tags"])
    _add(firewall, "tags", asked.body["tags"])
    return _changed(cloud, firewall)


@ROUTES.on("DELETE", "/v2/firewalls/{firewall_id}/tags")
def remove_tags(cloud: Cloud, asked: Asked) -> Answer:
    """Take what has a tag from behind it."""
    firewall = _alive(cloud, asked)
    _remove(firewall, "tags", asked.body["tags"])
    return _changed(cloud, firewall)


def _add(firewall: Thing, name: str, more: Sequence[object]) -> None:
    has = firewall.fields[name]
    has.extend(each for each in more if each not in has)


def _remove(firewall: Thing, name: str, less: Sequence[object]) -> None:
    firewall.fields[name] = [each for each in firewall.fields[name] if each not in less]


def _changed(cloud: Cloud, firewall: Thing) -> Answer:
    _spread(cloud, firewall)
    return DONE
