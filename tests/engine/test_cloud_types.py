"""Each newer type of DigitalOcean in a saga that fails after it: whichever answer is lost, nothing is made twice or left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.engine.site import FAIL, Site, served
from tests.fakes.digitalocean.apps import BROKEN


class Operation(NamedTuple):
    """A step, and the requests that change something for it, forward and back."""

    do: str
    given: dict[str, Any]
    requests: tuple[tuple[str, str], ...]


def app(tag: str) -> dict[str, Any]:
    """Give the spec of an app."""
    image = {"registry_type": "DOCKER_HUB", "repository": "nginx", "tag": tag}
    return {"name": "shop", "services": [{"name": "web", "image": image}]}


POSTED = {"snapshot": "/v2/droplets/*/actions"}
OPERATIONS = {
    "reserved_ip": Operation(
        "reserved_ip.create",
        {"region": "nyc3"},
        (("POST", "/v2/reserved_ips"), ("DELETE", "/v2/reserved_ips/*")),
    ),
    "spaces_key": Operation(
        "spaces_key.create",
        {"name": "backup", "grants": [{"bucket": "b", "permission": "read"}]},
        (("POST", "/v2/spaces/keys"), ("DELETE", "/v2/spaces/keys/*")),
    ),
    "app": Operation("app.create", {"spec": app("1.27")}, (("POST", "/v2/apps"), ("DELETE", "/v2/apps/*"))),
    "droplet": Operation(
        "droplet.delete",
        {"id": "{droplet}", "snapshot_first": True},
        (
            ("POST", POSTED["snapshot"]),
            ("DELETE", "/v2/droplets/*"),
            ("POST", "/v2/droplets"),
            ("DELETE", "/v2/snapshots/*"),
        ),
    ),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One daemon for all: each saga leaves the account as it was."""
    with served(tmp_path_factory.mktemp("types"), 'rate = "100000/1m"\n', "150ms") as site:
        site.fake.lags.takes.update({"deployment": 4, "create": 4})
        yield site


def step(site: Site, operation: Operation) -> dict[str, Any]:
    """Make its step, on the droplet that there is now."""
    droplet = site.fake.objects("droplet")[0]["id"]
    given = {name: droplet if value == "{droplet}" else value for name, value in operation.given.items()}
    soon = {"attempts": 5, "delay": "20ms"}
    return {
        "name": "step",
        "do": f"digitalocean.{operation.do}",
        "with": given,
        "retry": soon,
        "undo_retry": soon,
    }


def things(site: Site) -> list[tuple[str, str]]:
    """Give what there is, by kind and name."""
    return sorted((each["kind"], each.get("name", "")) for each in site.fake.objects())


CASES = [
    pytest.param(
        operation, request, after, id=f"{name}: {request[0]} {request[1]}, {'after' * after or 'before'}"
    )
    for name, operation in OPERATIONS.items()
    for request in operation.requests
    for after in (False, True)
]


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "request_", "after"), CASES)
def test_an_answer_lost_once_is_found_out(
    shared: Site, operation: Operation, request_: tuple[str, str], after: bool
) -> None:
    """Before its effect or after it, forward or on the way back: the saga ends as it would have without."""
    before = things(shared)
    fault = shared.fake.lose(after=after, method=request_[0], path=request_[1])
    document = shared.daemon.submit({"saga": "lost", "steps": [step(shared, operation), FAIL]})

    assert document["status"] == "rolled_back", json.dumps(document, indent=1)
    assert [each["status"] for each in document["steps"]] == ["compensated", "failed"]
    assert fault.struck == 1
    assert things(shared) == before


def test_an_app_whose_change_cannot_be_deployed_is_compensated_by_its_driver(shared: Site) -> None:
    """The step ends `compensated` by itself, the saga is rolled back, and no undo of it was ever begun."""
    made = shared.ask("POST", "/v2/apps", {"spec": app("1.27")})["app"]["id"]
    shared.fake.clock.advance(60)
    change = {"name": "change", "do": "digitalocean.app.update", "with": {"id": made, "spec": app(BROKEN)}}
    document = shared.daemon.submit({"saga": "broken", "steps": [change]})
    executions = shared.daemon.executions(document["id"])
    live = shared.ask("GET", f"/v2/apps/{made}")["app"]["spec"]["services"][0]["image"]["tag"]
    shared.ask("DELETE", f"/v2/apps/{made}")

    assert document["status"] == "rolled_back", document
    assert document["steps"][0]["status"] == "compensated"
    assert [each["nature"] for each in executions] == ["forward"]
    assert live == "1.27"


def test_an_app_is_changed_and_changed_back(shared: Site) -> None:
    """The next step fails: its former spec is deployed again."""
    made = shared.ask("POST", "/v2/apps", {"spec": app("1.27")})["app"]["id"]
    shared.fake.clock.advance(60)
    change = {"name": "change", "do": "digitalocean.app.update", "with": {"id": made, "spec": app("1.28")}}
    document = shared.daemon.submit({"saga": "changed", "steps": [change, FAIL]})
    live = shared.ask("GET", f"/v2/apps/{made}")["app"]
    shared.ask("DELETE", f"/v2/apps/{made}")

    assert document["status"] == "rolled_back", document
    assert live["spec"]["services"][0]["image"]["tag"] == "1.27"
    assert live["active_deployment"]["spec"] == live["spec"]


def test_an_address_is_moved_and_moved_back(shared: Site) -> None:
    """Whoever had it has it again."""
    body = {"name": "web-9", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3"}
    other = shared.ask("POST", "/v2/droplets", body)["droplet"]["id"]
    shared.fake.clock.advance(60)
    address = shared.ask("POST", "/v2/reserved_ips", {"droplet_id": other})["reserved_ip"]["ip"]
    shared.fake.clock.advance(60)
    droplet = next(each["id"] for each in shared.fake.objects("droplet") if each["name"] == "web-1")
    move = {
        "name": "move",
        "do": "digitalocean.reserved_ip.assign",
        "with": {"id": address, "droplet_id": droplet},
    }
    document = shared.daemon.submit({"saga": "moved", "steps": [move, FAIL]})
    now = shared.ask("GET", f"/v2/reserved_ips/{address}")["reserved_ip"]["droplet"]["id"]
    shared.ask("DELETE", f"/v2/reserved_ips/{address}")
    shared.ask("DELETE", f"/v2/droplets/{other}")

    assert document["status"] == "rolled_back", document
    assert now == other


def test_a_delete_without_a_snapshot_is_a_point_of_no_return(site: Site) -> None:
    """The saga stops there and asks; with a snapshot it goes all the way back."""
    gone = {"name": "gone", "do": "digitalocean.droplet.delete", "with": {"id": site.droplet}}
    document = site.daemon.submit({"saga": "final", "steps": [gone, FAIL]})

    assert document["hold"]["reason"] == "attention", document
    assert document["steps"][0]["status"] == "completed"
    assert site.fake.objects("droplet") == []


@pytest.mark.slow
def test_killed_between_the_snapshot_and_the_end_of_its_droplet(site: Site) -> None:
    """The handle is on record: it goes on where it was; one snapshot was ever begun, and the droplet is gone."""
    site.fake.lags.takes["snapshot"] = 1e9
    keep = {"id": site.droplet, "snapshot_first": True}
    gone = {"name": "gone", "do": "digitalocean.droplet.delete", "with": keep}
    saga = site.daemon.submit({"saga": "killed", "steps": [gone]}, wait=None)["id"]
    site.daemon.wait_until(lambda: len(site.fake.asked("GET", "/v2/actions/*")) > 2, 10, "it is polled")
    posts = site.posts()
    site.daemon.kill()
    site.fake.clock.advance(2e9)
    site.daemon.start()
    document = site.daemon.wait_ended(saga)

    assert document["status"] == "completed", document
    assert posts == 1
    assert len(site.fake.objects("snapshot")) == 1
    assert site.fake.objects("droplet") == []
