"""Reserved addresses: of a region, and of a droplet for as long as they are assigned."""

from ipaddress import IPv4Address

from tests.fakes.digitalocean import actions, droplets
from tests.fakes.digitalocean.catalogue import region
from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import DONE, JSON, Answer, Asked, Routes, paged, unprocessable

ROUTES = Routes()
FIRST = IPv4Address("192.0.2.1")
PROJECT = "746c6152-2fa2-11ed-92d3-27aaa54e4988"


def _show(cloud: Cloud, address: Thing) -> JSON:
    number = address.fields["droplet_id"]
    droplet = next((each for each in cloud.existing("droplet") if each.fields["id"] == number), None)
    return {
        "ip": address.id,
        "region": address.fields["region"],
        "droplet": None if droplet is None else droplets.show(cloud, droplet),
        "locked": actions.busy(cloud, address),
        "project_id": PROJECT,
    }


@ROUTES.on("POST", "/v2/reserved_ips")
def create(cloud: Cloud, asked: Asked) -> Answer:
    """Reserve one in a region, or for a droplet, to which it is then being assigned."""
    number = asked.body.get("droplet_id")
    if number is None:
        address = _reserve(cloud, str(asked.body["region"]))
        return Answer(202, {"reserved_ip": _show(cloud, address), "links": {}})
    droplet = cloud.alive("droplet", str(number))
    actions.refuse_busy(cloud, droplet)
    address = _reserve(cloud, droplet.fields["region"]["slug"])
    action = _assigning(cloud, address, droplet)
    to_droplet = {"id": number, "rel": "droplet", "href": f"{cloud.base}/v2/droplets/{number}"}
    links = {"droplets": [to_droplet], "actions": [actions.link(cloud, action, "assign_ip")]}
    return Answer(202, {"reserved_ip": _show(cloud, address), "links": links})


def _reserve(cloud: Cloud, where: str) -> Thing:
    taken = {each.id for each in cloud.existing("reserved_ip")}
    ip = next(str(FIRST + step) for step in range(250) if str(FIRST + step) not in taken)
    fields = {"id": ip, "ip": ip, "region": region(where), "droplet_id": None}
    return cloud.add("reserved_ip", ip, fields)


@ROUTES.on("GET", "/v2/reserved_ips")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All of them; there is no filter."""
    shown = [_show(cloud, each) for each in cloud.listed("reserved_ip")]
    return paged(asked, "reserved_ips", shown, cloud.base)


@ROUTES.on("GET", "/v2/reserved_ips/{reserved_ip}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """That one."""
    address = cloud.get("reserved_ip", asked.ids["reserved_ip"])
    return Answer(200, {"reserved_ip": _show(cloud, address)})


@ROUTES.on("DELETE", "/v2/reserved_ips/{reserved_ip}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Give it back; a droplet that has it loses it."""
    address = cloud.alive("reserved_ip", asked.ids["reserved_ip"])
    actions.refuse_busy(cloud, address)
    cloud.remove(address)
    return DONE


# --- actions


@ROUTES.on("GET", "/v2/reserved_ips/{reserved_ip}/actions")
def its_actions(cloud: Cloud, asked: Asked) -> Answer:
    """What was done to it."""
    return actions.page(cloud, asked, cloud.get("reserved_ip", asked.ids["reserved_ip"]))


@ROUTES.on("GET", "/v2/reserved_ips/{reserved_ip}/actions/{action_id}")
def its_action(cloud: Cloud, asked: Asked) -> Answer:
    """One of them."""
    address = cloud.get("reserved_ip", asked.ids["reserved_ip"])
    return Answer(200, {"action": actions.show(actions.of(cloud, address, asked.ids["action_id"]))})


@ROUTES.on("POST", "/v2/reserved_ips/{reserved_ip}/actions")
def act(cloud: Cloud, asked: Asked) -> Answer:
    """Assign it, which takes it from whoever has it, or unassign it."""
    address = cloud.alive("reserved_ip", asked.ids["reserved_ip"])
    if asked.body["type"] == "assign":
        action = _assigning(cloud, address, cloud.alive("droplet", str(asked.body["droplet_id"])))
    else:
        action = _unassigning(cloud, address)
    return Answer(201, {"action": actions.show(action) | {"project_id": PROJECT}})


def _assigning(cloud: Cloud, address: Thing, droplet: Thing) -> Thing:
    if droplet.fields["region"]["slug"] != address.fields["region"]["slug"]:
        raise unprocessable("The Droplet is in another region than the reserved IP.")
    number = droplet.fields["id"]
    return _start(
        cloud,
        "assign",
        address,
        droplet,
        lambda: address.fields.update(droplet_id=number if droplet.exists else None),
    )


def _unassigning(cloud: Cloud, address: Thing) -> Thing:
    number = address.fields["droplet_id"]
    if number is None:
        raise unprocessable("The reserved IP is not assigned.")
    droplet = cloud.alive("droplet", str(number))
    return _start(cloud, "unassign", address, droplet, lambda: address.fields.update(droplet_id=None))


def _start(cloud: Cloud, type: str, address: Thing, droplet: Thing, effect: actions.Effect) -> Thing:
    return actions.start(
        cloud,
        type,
        address,
        effect,
        shown_type=f"{type}_ip",
        resource_id=int(IPv4Address(address.id)),
        droplet=droplet,
    )
