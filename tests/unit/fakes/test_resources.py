"""The rules of each family of resources, and that every route answers at least once as the contract says."""

import re
from typing import Any

import pytest

from tests.fakes.digitalocean.server import TABLE
from tests.unit.fakes.asking import DROPLET, Client

VOLUME = {"name": "data", "region": "nyc3", "size_gigabytes": 10}
RULE = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.0/24"]}}
APP = {"spec": {"name": "shop", "services": [{"name": "web"}]}}


async def test_every_route_answers_well_at_least_once(client: Client) -> None:
    """A tour of all there is; each answer is held against the contract by the fake itself."""
    well: set[tuple[str, re.Pattern[str]]] = set()

    async def ask(method: str, path: str, body: Any = None, **query: str) -> Any:
        answer = await client.ask(method, path, body, **query)
        assert answer.status < 300, (method, path, answer)
        well.update(route[:2] for route in TABLE if route[0] == method and route[1].fullmatch(f"/v2/{path}"))
        client.fake.clock.advance(60)
        return answer.body

    await ask("GET", "account")
    droplet = (await ask("POST", "droplets", DROPLET | {"tags": ["web"]}))["droplet"]["id"]
    its = f"droplets/{droplet}"
    volume = (await ask("POST", "volumes", VOLUME))["volume"]["id"]
    ip = (await ask("POST", "reserved_ips", {"droplet_id": droplet}))["reserved_ip"]["ip"]
    await _look(ask, its, volume, ip)
    await _snapshots(ask, its, volume)
    await _tags(ask, droplet)
    await _domains(ask)
    await _firewalls(ask, its, droplet)
    await _keys_and_apps(ask)
    await ask("DELETE", f"reserved_ips/{ip}")
    await ask("DELETE", f"volumes/{volume}")
    await ask("POST", "volumes", VOLUME)
    await ask("DELETE", "volumes", name="data", region="nyc3")
    await ask("DELETE", its)
    await ask("POST", "droplets", DROPLET | {"tags": ["web"]})
    await ask("DELETE", "droplets", tag_name="web")

    assert well == {route[:2] for route in TABLE}
    assert client.fake.objects() == []


async def _look(ask: Any, its: str, volume: str, ip: str) -> None:
    number = int(its.rpartition("/")[2])
    acted = [
        (its, {"type": "reboot"}),
        (f"volumes/{volume}", {"type": "attach", "droplet_id": number}),
        (f"volumes/{volume}", {"type": "detach", "droplet_id": number}),
        (f"volumes/{volume}", {"type": "resize", "size_gigabytes": 20}),
        (f"reserved_ips/{ip}", {"type": "unassign"}),
    ]
    for path, body in acted:
        action = (await ask("POST", f"{path}/actions", body))["action"]["id"]
        assert (await ask("GET", f"{path}/actions/{action}"))["action"]["status"] == "completed"
        assert (await ask("GET", f"{path}/actions"))["actions"][0]["id"] == action
        await ask("GET", path)
        await ask("GET", f"actions/{action}")
    for path in ("actions", "droplets", "volumes", "reserved_ips"):
        await ask("GET", path)


async def _snapshots(ask: Any, its: str, volume: str) -> None:
    for name in ("a", "b"):
        await ask("POST", f"{its}/actions", {"type": "snapshot", "name": name})
    await ask("POST", f"volumes/{volume}/snapshots", {"name": "c"})
    assert len((await ask("GET", f"volumes/{volume}/snapshots"))["snapshots"]) == 1
    first, second = (each["id"] for each in (await ask("GET", f"{its}/snapshots"))["snapshots"])
    renamed = await ask("PUT", f"images/{first}", {"name": "z"})
    assert renamed["image"] == (await ask("GET", f"images/{first}"))["image"]
    assert len((await ask("GET", "images", private="true"))["images"]) == 2
    await ask("DELETE", f"images/{first}")
    await ask("GET", f"snapshots/{second}")
    for each in (await ask("GET", "snapshots"))["snapshots"]:
        await ask("DELETE", f"snapshots/{each['id']}")


async def _tags(ask: Any, droplet: int) -> None:
    named = {"resources": [{"resource_id": str(droplet), "resource_type": "droplet"}]}
    await ask("POST", "tags", {"name": "blue"})
    await ask("POST", "tags/blue/resources", named)
    assert (await ask("GET", "tags/blue"))["tag"]["resources"]["droplets"]["count"] == 1
    assert len((await ask("GET", "droplets", tag_name="blue"))["droplets"]) == 1
    await ask("DELETE", "tags/blue/resources", named)
    assert (await ask("GET", "droplets", tag_name="blue"))["droplets"] == []
    await ask("DELETE", "tags/blue")
    assert [each["name"] for each in (await ask("GET", "tags"))["tags"]] == ["web"]


async def _domains(ask: Any) -> None:
    await ask("POST", "domains", {"name": "example.com", "ip_address": "192.0.2.1"})
    await ask("GET", "domains")
    await ask("GET", "domains/example.com")
    records = "domains/example.com/records"
    body = {"type": "MX", "name": "@", "data": "mail.example.com.", "priority": 10}
    record = (await ask("POST", records, body))["domain_record"]["id"]
    await ask("PUT", f"{records}/{record}", body | {"priority": 20})
    changed = (await ask("PATCH", f"{records}/{record}", {"type": "MX", "ttl": 60}))["domain_record"]
    assert (changed["priority"], changed["ttl"]) == (20, 60)
    assert (await ask("GET", f"{records}/{record}"))["domain_record"] == changed
    assert len((await ask("GET", records, name="example.com"))["domain_records"]) == 5
    await ask("DELETE", f"{records}/{record}")
    await ask("DELETE", "domains/example.com")


async def _firewalls(ask: Any, its: str, droplet: int) -> None:
    made = (await ask("POST", "firewalls", {"name": "edge", "inbound_rules": [RULE]}))["firewall"]["id"]
    path = f"firewalls/{made}"
    parts = {
        "rules": {"inbound_rules": [RULE | {"ports": "443"}]},
        "droplets": {"droplet_ids": [droplet]},
        "tags": {"tags": ["web"]},
    }
    for part, body in parts.items():
        await ask("POST", f"{path}/{part}", body)
    full = (await ask("GET", path))["firewall"]
    assert [rule["ports"] for rule in full["inbound_rules"]] == ["22", "443"]
    assert (full["droplet_ids"], full["tags"], full["status"]) == ([droplet], ["web"], "succeeded")
    assert len((await ask("GET", f"{its}/firewalls"))["firewalls"]) == 1
    for part, body in parts.items():
        await ask("DELETE", f"{path}/{part}", body)
    assert (await ask("GET", f"{its}/firewalls"))["firewalls"] == []
    await ask("PUT", path, {"name": "edge", "inbound_rules": [RULE]})
    await ask("GET", "firewalls")
    await ask("DELETE", path)


async def _keys_and_apps(ask: Any) -> None:
    key = (await ask("POST", "spaces/keys", {"name": "k", "grants": []}))["key"]["access_key"]
    await ask("PUT", f"spaces/keys/{key}", {"name": "l", "grants": []})
    await ask("PATCH", f"spaces/keys/{key}", {"name": "m"})
    assert (await ask("GET", f"spaces/keys/{key}"))["key"]["name"] == "m"
    assert len((await ask("GET", "spaces/keys", name="m"))["keys"]) == 1
    await ask("DELETE", f"spaces/keys/{key}")
    assert (await ask("POST", "apps/propose", APP))["app_name_available"]
    app = f"apps/{(await ask('POST', 'apps', APP))['app']['id']}"
    await ask("PUT", app, APP)
    deployment = (await ask("POST", f"{app}/deployments", {"force_build": True}))["deployment"]["id"]
    its = await ask("GET", f"{app}/deployments/{deployment}")
    assert its["deployment"]["phase"] == "ACTIVE"
    await ask("GET", app)
    await ask("GET", "apps")
    await ask("GET", f"{app}/deployments")
    await ask("DELETE", app)


REFUSED: list[tuple[str, str, Any, int]] = [
    ("POST", "droplets", DROPLET | {"image": 12345}, 422),
    ("POST", "droplets", DROPLET | {"size": "s-none"}, 422),
    ("POST", "droplets", DROPLET | {"region": "mars"}, 422),
    ("POST", "volumes", VOLUME, 409),
    ("POST", "volumes", VOLUME | {"name": "b", "size_gigabytes": 20_000}, 422),
    ("POST", "volumes/{volume}/actions", {"type": "resize", "size_gigabytes": 5}, 422),
    ("POST", "volumes/{volume}/actions", {"type": "detach", "droplet_id": 1}, 422),
    ("POST", "volumes/{volume}/actions", {"type": "attach", "droplet_id": 1}, 404),
    ("POST", "droplets/{droplet}/actions", {"type": "power_on"}, 422),
    ("POST", "droplets/{droplet}/actions", {"type": "rename", "name": "no spaces"}, 422),
    ("POST", "droplets/{droplet}/actions", {"type": "restore", "image": 12345}, 404),
    ("POST", "droplets/1/actions", {"type": "reboot"}, 404),
    ("POST", "reserved_ips", {"droplet_id": 1}, 404),
    ("POST", "firewalls", {"name": "edge", "inbound_rules": [RULE], "droplet_ids": [1]}, 422),
    ("POST", "domains/example.org/records", {"type": "A", "name": "www", "data": "192.0.2.1"}, 404),
    ("GET", "images/12345", None, 404),
    ("DELETE", "snapshots/12345", None, 404),
    ("DELETE", "spaces/keys/none", None, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REFUSED)
async def test_what_the_contract_allows_and_the_service_refuses(
    client: Client, method: str, path: str, body: Any, status: int
) -> None:
    """It says so, and has no effect."""
    droplet = await client.droplet()
    volume = (await client.ask("POST", "volumes", VOLUME)).body["volume"]["id"]
    before = client.fake.objects()
    answer = await client.ask(method, path.format(droplet=droplet, volume=volume), body)
    client.fake.clock.advance(60)

    assert answer.status == status
    assert answer.body["message"]
    assert client.fake.objects() == before


async def test_a_droplet_with_an_action_in_progress_is_neither_changed_nor_deleted(client: Client) -> None:
    """One that boots has one, too: its undo has to wait."""
    number = (await client.ask("POST", "droplets", DROPLET)).body["droplet"]["id"]
    begun = (await client.ask("DELETE", f"droplets/{number}")).status
    client.fake.clock.advance(20)
    ip = (await client.ask("POST", "reserved_ips", {"region": "nyc3"})).body["reserved_ip"]["ip"]
    await client.act(f"reserved_ips/{ip}", "assign", droplet_id=number)
    assigning = (await client.ask("DELETE", f"droplets/{number}")).status
    client.fake.clock.advance(20)

    assert (begun, assigning) == (422, 422)
    assert (await client.ask("DELETE", f"droplets/{number}")).status == 204
    assert client.fake.objects("reserved_ip")[0]["droplet_id"] is None


async def test_a_droplet_leaves_its_snapshots_and_frees_its_volumes(client: Client) -> None:
    """And a new one is made from the snapshot, where its disk is large enough."""
    number = await client.droplet(size="s-1vcpu-2gb")
    volume = (await client.ask("POST", "volumes", VOLUME)).body["volume"]["id"]
    await client.act(f"volumes/{volume}", "attach", droplet_id=number)
    client.fake.clock.advance(60)
    await client.act(f"droplets/{number}", "snapshot", name="last")
    client.fake.clock.advance(60)
    await client.ask("DELETE", f"droplets/{number}")
    (snapshot,) = client.fake.objects("snapshot")
    smaller = await client.ask("POST", "droplets", DROPLET | {"image": int(snapshot["id"])})

    assert client.fake.objects("volume")[0]["droplet_ids"] == []
    assert smaller.status == 422
    assert await client.droplet(image=int(snapshot["id"]), size="s-1vcpu-2gb")
    assert (await client.ask("DELETE", f"volumes/{volume}")).status == 204


async def test_several_droplets_are_made_at_once(client: Client) -> None:
    """With ``names``, as the contract has it."""
    several = {name: value for name, value in DROPLET.items() if name != "name"} | {"names": ["a", "b"]}
    made = await client.ask("POST", "droplets", several)

    assert [each["name"] for each in made.body["droplets"]] == ["a", "b"]
    assert len(made.body["links"]["actions"]) == 2


async def test_the_last_page_has_no_next_and_a_page_beyond_it_is_empty(client: Client) -> None:
    """Twenty on a page unless told, two hundred at most."""
    for number in range(21):
        await client.ask("POST", "spaces/keys", {"name": f"k{number}"})
    first = (await client.ask("GET", "spaces/keys")).body
    second = (await client.ask("GET", "spaces/keys", page="2")).body
    third = (await client.ask("GET", "spaces/keys", page="3")).body

    assert [len(each["keys"]) for each in (first, second, third)] == [20, 1, 0]
    assert sorted(first["links"]["pages"]) == ["last", "next"]
    assert sorted(second["links"]["pages"]) == ["first", "prev"]
    assert second["links"]["pages"]["prev"] == f"{client.fake.url}/v2/spaces/keys?page=1"
    assert {each["meta"]["total"] for each in (first, second, third)} == {21}


async def test_a_droplet_is_made_with_volumes_that_are_free(client: Client) -> None:
    """One that is attached elsewhere, in another region or not there is refused; a deleted droplet lets its volumes go."""
    volume = (await client.ask("POST", "volumes", VOLUME)).body["volume"]["id"]
    far = (await client.ask("POST", "volumes", VOLUME | {"region": "ams3"})).body["volume"]["id"]
    first = await client.ask("POST", "droplets", DROPLET | {"volumes": [volume]})
    client.fake.clock.advance(60)
    its = f"droplets/{first.body['droplet']['id']}"
    shown = (await client.ask("GET", its)).body["droplet"]["volume_ids"]
    refused = [
        (await client.ask("POST", "droplets", DROPLET | {"volumes": [each]})).status
        for each in (volume, far, "506f78a4-e098-11e5-ad9f-000f53306ae1")
    ]
    assert (first.status, shown, refused) == (202, [volume], [422, 422, 422])
    assert len(client.fake.objects("droplet")) == 1

    assert (await client.ask("DELETE", f"volumes/{volume}")).status == 409
    assert (await client.ask("DELETE", its)).status == 204
    assert (await client.ask("DELETE", f"volumes/{volume}")).status == 204
