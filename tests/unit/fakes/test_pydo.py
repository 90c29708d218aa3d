"""DigitalOcean's own client drives the fake: its idea of the service is not ours.

It blocks, so the fake runs in a thread; and it imports half a second of libraries, so all that needs it is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fakes.digitalocean import Clock, FakeDigitalOcean
from tests.unit.fakes.asking import DROPLET

pytestmark = pytest.mark.slow
pydo = pytest.importorskip(
    "pydo", reason="pydo not installed: the fake is not held against DigitalOcean's own client"
)


@pytest.fixture
def fake() -> Iterator[FakeDigitalOcean]:
    """A fake in which each request takes a second."""
    with FakeDigitalOcean(Clock(step=1.0)).in_thread() as fake:
        yield fake


def client_of(fake: FakeDigitalOcean, **more: Any) -> Any:
    """Their client; it sends its token to no address without TLS unless a policy of its own does so."""
    from azure.core.pipeline.policies import HeadersPolicy

    policy = HeadersPolicy(base_headers={"Authorization": f"Bearer {fake.token}"})
    return pydo.Client(fake.token, endpoint=fake.url, authentication_policy=policy, **more)


@pytest.fixture
def client(fake: FakeDigitalOcean) -> Iterator[Any]:
    """Their client, that repeats nothing."""
    with client_of(fake, retry_total=0) as client:
        yield client


def refused(call: Callable[..., Any], *args: Any, **named: Any) -> tuple[int, str]:
    """The status and the message with which a call is refused."""
    from azure.core.exceptions import HttpResponseError

    with pytest.raises(HttpResponseError) as error:
        call(*args, **named)
    return error.value.status_code or 0, str(error.value.error and error.value.error.message)


def ended(client: Any, action: dict[str, Any]) -> str:
    """Poll an action until it has ended."""
    while action["status"] == "in-progress":
        action = client.actions.get(action["id"])["action"]
    return str(action["status"])


def droplet(client: Any, **more: Any) -> int:
    """A droplet that is up."""
    made = client.droplets.create(body=DROPLET | more)
    assert ended(client, {"status": "in-progress"} | made["links"]["actions"][0]) == "completed"
    number: int = made["droplet"]["id"]
    return number


def test_the_account(client: Any) -> None:
    """The smallest round."""
    assert client.account.get()["account"]["status"] == "active"


def test_droplets_are_made_listed_page_by_page_and_deleted(client: Any) -> None:
    """Names may be there twice; a page's links lead on as the client's users follow them."""
    numbers = [droplet(client, name=name, tags=["role:web"]) for name in ("web", "web", "db")]
    first = client.droplets.list(tag_name="role:web", per_page=2)
    second = client.droplets.list(tag_name="role:web", per_page=2, page=2)

    assert [each["id"] for each in first["droplets"] + second["droplets"]] == numbers
    assert parse_qs(urlsplit(first["links"]["pages"]["next"]).query)["page"] == ["2"]
    assert "next" not in second["links"]["pages"]
    assert first["meta"]["total"] == 3
    assert len(client.droplets.list(name="web")["droplets"]) == 2
    assert client.droplets.get(numbers[2])["droplet"]["networks"]["v4"][0]["type"] == "public"
    client.droplets.destroy(numbers[2])
    assert client.droplets.get(numbers[2])["id"] == "not_found"


def test_a_snapshot_is_made_found_and_deleted(client: Any) -> None:
    """The action's id is not the snapshot's: the snapshot is found by its name and its droplet."""
    number = droplet(client)
    action = client.droplet_actions.post(number, body={"type": "snapshot", "name": "before"})["action"]
    assert ended(client, action) == "completed"
    (found,) = client.snapshots.list(resource_type="droplet")["snapshots"]

    assert (found["name"], found["resource_id"]) == ("before", str(number))
    assert client.droplets.list_snapshots(number)["snapshots"][0]["id"] == int(found["id"])
    assert client.images.get(int(found["id"]))["image"]["type"] == "snapshot"
    client.snapshots.delete(found["id"])
    assert client.snapshots.list()["snapshots"] == []


def test_a_droplet_is_resized_and_its_disk_only_grows(client: Any) -> None:
    """It has to be off; and what has grown does not fit into the old size any more."""
    number = droplet(client)
    larger = {"type": "resize", "size": "s-2vcpu-2gb", "disk": True}
    running = refused(client.droplet_actions.post, number, body=larger)
    ended(client, client.droplet_actions.post(number, body={"type": "power_off"})["action"])
    ended(client, client.droplet_actions.post(number, body=larger)["action"])
    smaller = {"type": "resize", "size": "s-1vcpu-1gb"}
    back = refused(client.droplet_actions.post, number, body=smaller)

    assert running == (422, "Droplet must be powered off to be resized.")
    assert client.droplets.get(number)["droplet"]["disk"] == 60
    assert back == (422, "This size is not available because it has a smaller disk.")


def test_a_volume_is_attached_detached_and_deleted(client: Any) -> None:
    """An attached one is not deleted, and the droplet is held while it is being attached."""
    number = droplet(client)
    body = {"name": "data", "region": "nyc3", "size_gigabytes": 10}
    volume = client.volumes.create(body=body)["volume"]["id"]
    attach = {"type": "attach", "droplet_id": number}
    action = client.volume_actions.post_by_id(volume, body=attach)["action"]
    held = refused(client.droplet_actions.post, number, body={"type": "reboot"})
    assert ended(client, action) == "completed"

    assert held == (422, "Droplet already has a pending event.")
    assert client.volumes.list(name="data", region="nyc3")["volumes"][0]["droplet_ids"] == [number]
    assert client.droplets.get(number)["droplet"]["volume_ids"] == [volume]
    assert refused(client.volumes.delete, volume)[0] == 409
    ended(client, client.volume_actions.post_by_id(volume, body=attach | {"type": "detach"})["action"])
    client.volumes.delete(volume)
    assert client.volumes.list()["volumes"] == []


def test_a_firewall_is_replaced_as_a_whole(client: Any) -> None:
    """What a PUT does not name is empty then; "all" ports come back as "0"."""
    number = droplet(client)
    rule = {"protocol": "tcp", "ports": "all", "sources": {"addresses": ["0.0.0.0/0"]}}
    body = {"name": "edge", "droplet_ids": [number], "tags": ["web"], "inbound_rules": [rule]}
    made = client.firewalls.create(body=body)["firewall"]
    again = refused(client.firewalls.create, body=body)
    changed = client.firewalls.update(
        made["id"], body={"name": "edge", "inbound_rules": [rule | {"ports": "22"}]}
    )
    client.firewalls.assign_droplets(made["id"], body={"droplet_ids": [number]})
    now = client.firewalls.get(made["id"])["firewall"]

    assert (made["status"], made["inbound_rules"][0]["ports"]) == ("waiting", "0")
    assert again[0] == 409
    assert (changed["firewall"]["droplet_ids"], changed["firewall"]["tags"]) == ([], [])
    assert (now["droplet_ids"], now["inbound_rules"][0]["ports"]) == ([number], "22")
    client.firewalls.delete(made["id"])
    assert client.firewalls.list()["firewalls"] == []


def test_domain_records_are_made_found_by_their_whole_name_changed_and_deleted(client: Any) -> None:
    """The same record twice is two records."""
    client.domains.create(body={"name": "example.com"})
    body = {"type": "A", "name": "www", "data": "192.0.2.7"}
    first, second = (
        client.domains.create_record("example.com", body=body)["domain_record"] for _ in range(2)
    )
    found = client.domains.list_records("example.com", name="www.example.com", type="A")
    short = client.domains.list_records("example.com", name="www")
    client.domains.patch_record("example.com", first["id"], body={"type": "A", "data": "192.0.2.8"})
    client.domains.delete_record("example.com", second["id"])

    assert [each["id"] for each in found["domain_records"]] == [first["id"], second["id"]]
    assert short["domain_records"] == []
    changed = client.domains.get_record("example.com", first["id"])["domain_record"]
    assert (changed["data"], changed["name"]) == ("192.0.2.8", "www")
    assert client.domains.get_record("example.com", second["id"])["id"] == "not_found"


def test_a_reserved_ip_is_reserved_assigned_and_given_back(client: Any) -> None:
    """It goes to a droplet by an action, and has none again when that droplet is deleted."""
    number = droplet(client)
    ip = client.reserved_ips.create(body={"region": "nyc3"})["reserved_ip"]["ip"]
    assign = {"type": "assign", "droplet_id": number}
    action = client.reserved_ips_actions.post(ip, body=assign)["action"]
    assert ended(client, action) == "completed"

    assert client.reserved_ips.get(ip)["reserved_ip"]["droplet"]["id"] == number
    client.droplets.destroy(number)
    assert client.reserved_ips.get(ip)["reserved_ip"]["droplet"] is None
    client.reserved_ips.delete(ip)
    assert client.reserved_ips.list()["reserved_ips"] == []


def test_a_spaces_key_shows_its_secret_once(client: Any) -> None:
    """Afterwards it is found by its name, without."""
    grants = [{"bucket": "pictures", "permission": "read"}]
    made = client.spaces_key.create(body={"name": "reader", "grants": grants})["key"]
    (found,) = client.spaces_key.list(name="reader")["keys"]

    assert made["secret_key"]
    assert found == {name: value for name, value in made.items() if name != "secret_key"}
    client.spaces_key.delete(made["access_key"])
    assert client.spaces_key.list(name="reader")["keys"] == []


def test_an_app_is_made_changed_and_deleted(client: Any, fake: FakeDigitalOcean) -> None:
    """Its name is the only one; each change is a deployment."""
    spec = {"name": "shop", "services": [{"name": "web", "instance_count": 1}]}
    made = client.apps.create(body={"spec": spec})["app"]
    again = refused(client.apps.create, body={"spec": spec})
    fake.clock.advance(60)
    client.apps.update(made["id"], body={"spec": spec | {"services": [{"name": "web", "instance_count": 2}]}})
    fake.clock.advance(60)
    now = client.apps.get(made["id"])["app"]

    assert again[0] == 409
    assert now["active_deployment"]["spec"]["services"][0]["instance_count"] == 2
    phases = [each["phase"] for each in client.apps.list_deployments(made["id"])["deployments"]]
    assert phases == ["ACTIVE", "SUPERSEDED"]
    client.apps.delete(made["id"])
    assert (client.apps.list().get("apps") or []) == []


def test_their_client_makes_two_droplets_where_an_answer_is_lost(fake: FakeDigitalOcean) -> None:
    """Why sagad's drivers do not use it: it repeats a POST by itself (FACTS), and no create has a key."""
    fault = fake.fail(500, after=True, method="POST", path="/v2/droplets")
    with client_of(fake, retry_backoff_factor=0) as client:
        client.droplets.create(body=DROPLET)

    assert fault.struck == 1
    assert len(fake.objects("droplet")) == 2
