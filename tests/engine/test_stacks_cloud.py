"""A stack of a web node at DigitalOcean: a droplet with a volume, a firewall, a DNS record; a real daemon, the fake."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.engine.stacks import (
    actions,
    applied,
    asked,
    nothing_to_do,
    one_life,
    outcomes,
    planned,
    res,
    stack,
)
from tests.fakes.digitalocean import Clock, FakeDigitalOcean

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "stacks"
NAMES = ("data", "node", "wall", "www")


class Site:
    """A daemon, and the account that it works on."""

    def __init__(self, daemon: Daemon, fake: FakeDigitalOcean) -> None:
        self.daemon = daemon
        self.fake = fake
        self.ask("POST", "/v2/domains", {"name": "harbour.example"})

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the service as somebody else does."""
        headers = {"Authorization": f"Bearer {self.fake.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.fake.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return dict(json.loads(answer.read() or b"{}"))

    def objects(self) -> dict[tuple[str, str], str]:
        """What there is but the domain with what came with it: (kind, id) -> all of it but what only time changes."""
        found = [each for each in self.fake.objects() if each["kind"] != "domain"]
        own = [each for each in found if each.get("type") not in ("NS", "SOA")]
        passing = ("status", "pending_changes")
        return {
            (each["kind"], str(each["id"])): json.dumps(
                {key: value for key, value in each.items() if key not in passing}, sort_keys=True
            )
            for each in own
        }

    def ids(self) -> dict[str, str]:
        """The id of each kind of thing of which there is one."""
        return dict(list(self.objects()))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon whose provider is the fake; each request takes a second of the fake's time."""
    folder = tmp_path_factory.mktemp("stacks")
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "do-token").write_text(FakeDigitalOcean.token)
    fake = FakeDigitalOcean(Clock(step=10.0))
    with fake.in_thread():
        settings = (
            f'[secrets]\ndir = "{secrets}"\n[providers.digitalocean]\ntoken = "do-token"\nrate = "100000/1m"\n'
            f'base_url = "{fake.url}"\npoll = "20ms"\nsettle = "100ms"\n'
        )
        with Daemon(folder, settings) as daemon:
            yield Site(daemon, fake)


@pytest.fixture(autouse=True)
def clean(site: Site) -> Iterator[None]:
    """What a test leaves is destroyed, so that the next one begins with nothing."""
    yield
    site.fake.faults.clear()
    if planned(site.daemon, web(), destroy=True)["actions"]:
        assert applied(site.daemon, web(), destroy=True)["status"] == "completed"
    assert site.objects() == {}


def rule(port: str) -> dict[str, Any]:
    """A rule for a port that all the world may ask."""
    return {"protocol": "tcp", "ports": port, "sources": {"addresses": ["0.0.0.0/0"]}}


def web(
    *, image: str = "ubuntu-24-04-x64", port: str = "80", record: str = "A", ttl: int = 300, **more: Any
) -> dict[str, Any]:
    """The stack. A volume is attached to one droplet only, so the old droplet goes before the new one comes."""
    droplet = {
        "name": "node",
        "size": "s-1vcpu-1gb",
        "image": image,
        "region": "nyc3",
        "volumes": ["${resources.data.id}"],
    }
    firewall = {"name": "wall", "inbound_rules": [rule(port)], "droplet_ids": ["${resources.node.id}"]}
    address = {
        "domain": "harbour.example",
        "type": record,
        "name": "www",
        "data": "${resources.node.ip_address}",
    }
    return stack(
        res("digitalocean.volume", "data", {"name": "data", "region": "nyc3", "size_gigabytes": 10}),
        res("digitalocean.droplet", "node", droplet, replace="delete_before_create"),
        res("digitalocean.firewall", "wall", firewall),
        res("digitalocean.domain_record", "www", {**address, "ttl": ttl}),
        name="web",
        **more,
    )


def test_the_web_node_from_nothing_to_nothing(site: Site) -> None:
    """Made, made again, changed in place, replaced in either order, destroyed."""
    made = applied(site.daemon, web())
    assert outcomes(made) == [("create", name, "success") for name in NAMES]
    assert nothing_to_do(site.daemon, web())
    first = site.ids()

    assert actions(planned(site.daemon, web(port="443"))) == [("update", "wall", ["inbound_rules"])]
    applied(site.daemon, web(port="443"))
    assert site.ids() == first

    # One that is made before the old one is gone.
    moved = web(port="443", record="AAAA")
    assert actions(planned(site.daemon, moved)) == [("replace", "www", ["type"])]
    applied(site.daemon, moved)
    second = site.ids()
    assert first.keys() == second.keys()
    assert [kind for kind in first if first[kind] != second[kind]] == ["record"]
    asked_for = [
        (each.method, each.path)
        for each in site.fake.requests
        if "/records" in each.path and each.method != "GET"
    ]
    assert [method for method, _ in asked_for[-2:]] == ["POST", "DELETE"]

    # One that has to be gone before: whatever refers to it follows its new id.
    anew = web(port="443", record="AAAA", image="debian-12-x64")
    assert actions(planned(site.daemon, anew)) == [
        ("replace", "node", ["image"]),
        ("update", "wall", ["droplet_ids"]),
        ("update", "www", ["data"]),
    ]
    assert {status for _, _, status in outcomes(applied(site.daemon, anew))} == {"success"}
    third = site.ids()
    assert [kind for kind in first if third[kind] != second[kind]] == ["droplet"]
    firewall, volume = (site.fake.objects(kind)[0] for kind in ("firewall", "volume"))
    droplet = site.fake.objects("droplet")[0]
    assert firewall["droplet_ids"] == volume["droplet_ids"] == [droplet["id"]]
    records = [each for each in site.fake.objects("record") if each["type"] == "AAAA"]
    assert records[0]["data"] == droplet["networks"]["v4"][0]["ip_address"]
    assert nothing_to_do(site.daemon, anew)

    gone = applied(site.daemon, anew, destroy=True)
    assert {(action, status) for action, _, status in outcomes(gone)} == {("delete", "success")}
    assert [name for _, name, _ in outcomes(gone)] == ["www", "wall", "node", "data"]
    assert site.objects() == {}


POSTS = {
    "data": "/v2/volumes",
    "node": "/v2/droplets",
    "wall": "/v2/firewalls",
    "www": "/v2/domains/*/records",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_at_each_creation_leaves_nothing(site: Site, name: str) -> None:
    """What was made is taken back; each action has one outcome, the one that was refused with why."""
    site.fake.fail(422, method="POST", path=POSTS[name], times=20)
    failed = applied(site.daemon, web())
    found = {each: status for _, each, status in outcomes(failed)}

    assert failed["status"] == "rolled_back", failed
    assert found.pop(name) == "error"
    assert set(found.values()) <= {"compensated", "skipped"}
    assert "422" in next(each["error"]["message"] for each in failed["outcomes"] if each["name"] == name)
    assert site.objects() == {}


LOST = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@LOST
def test_each_answer_lost_it_ends_as_it_would_have(site: Site, *, after: bool) -> None:
    """One of each is made, none twice; on the way out the same."""
    for path in POSTS.values():
        site.fake.lose(after=after, method="POST", path=path)
    made = applied(site.daemon, web())
    assert outcomes(made) == [("create", each, "success") for each in NAMES], made
    assert len(site.objects()) == len(NAMES)
    for path in POSTS.values():
        site.fake.lose(after=after, method="DELETE", path=f"{path}/*")
    gone = applied(site.daemon, web(), destroy=True)

    assert gone["status"] == "completed", gone
    assert [fault.struck for fault in site.fake.faults] == [1] * 8
    assert site.objects() == {}


CHANGES = {
    "wall": ("PUT", "/v2/firewalls/*"),
    "www": ("POST", "/v2/domains/*/records"),
    "www-old": ("DELETE", "/v2/domains/*/records/*"),
}


@pytest.fixture
def there(site: Site) -> dict[tuple[str, str], str]:
    """The web node, made."""
    applied(site.daemon, web())
    return site.objects()


@pytest.mark.parametrize("step", CHANGES)
def test_a_refusal_at_each_change_leaves_all_as_before(
    site: Site, there: dict[tuple[str, str], str], step: str
) -> None:
    """An update, and a replacement in either half. What could not be deleted is `delete_failed`, and on record."""
    method, path = CHANGES[step]
    site.fake.fail(422, method=method, path=path)
    to_be = web(port="443", record="AAAA")
    failed = applied(site.daemon, to_be)
    found = {each: status for _, each, status in outcomes(failed)}

    assert failed["status"] == "rolled_back", failed
    assert site.objects() == there
    assert found[step.removesuffix("-old")] == ("delete_failed" if step == "www-old" else "error")
    assert nothing_to_do(site.daemon, web())
    assert len(actions(planned(site.daemon, to_be))) == 2


@LOST
@pytest.mark.usefixtures("there")
def test_each_answer_to_a_change_lost_it_ends_as_it_would_have(site: Site, *, after: bool) -> None:
    """There is still one of each."""
    for method, path in CHANGES.values():
        site.fake.lose(after=after, method=method, path=path)
    to_be = web(port="443", record="AAAA")

    assert {status for _, _, status in outcomes(applied(site.daemon, to_be))} == {"success"}
    assert [fault.struck for fault in site.fake.faults] == [1] * 3
    assert nothing_to_do(site.daemon, to_be)
    assert len(site.objects()) == len(NAMES)


@pytest.mark.usefixtures("there")
def test_past_the_deletion_of_a_droplet_somebody_is_asked(site: Site) -> None:
    """It cannot be brought back: what came after it is taken back, and the rest begun anew when somebody says so."""
    site.fake.fail(422, method="POST", path="/v2/droplets")
    saga = applied(site.daemon, web(image="debian-12-x64", port="443"))
    assert saga["hold"]["reason"] == "attention", saga
    assert saga["outcomes"] is None
    assert site.daemon.say(saga["id"], "retry")[0] == 200
    ended = site.daemon.wait_ended(saga["id"])

    assert {status for _, _, status in outcomes(ended)} == {"success"}
    assert nothing_to_do(site.daemon, web(image="debian-12-x64", port="443"))


@pytest.mark.usefixtures("there")
def test_a_leftover_of_a_replacement_is_deleted_by_the_next_plan(site: Site) -> None:
    """With `stop` both stay, on record and in the account."""
    site.fake.fail(422, method="DELETE", path="/v2/domains/*/records/*", times=20)
    to_be = web(record="AAAA", on_failure="stop")
    failed = applied(site.daemon, to_be)
    assert outcomes(failed) == [("replace", "www", "delete_failed")]
    assert len(site.objects()) == len(NAMES) + 1
    site.fake.faults.clear()

    assert actions(planned(site.daemon, to_be)) == [("delete", "www", [])]
    assert outcomes(applied(site.daemon, to_be)) == [("delete", "www", "success")]
    assert nothing_to_do(site.daemon, to_be)


@pytest.mark.usefixtures("there")
def test_what_somebody_deleted_is_made_anew_with_what_refers_to_it(site: Site) -> None:
    """The record of what is gone makes way for the new one; nobody deletes what is not there."""
    site.ask("DELETE", f"/v2/droplets/{site.ids()['droplet']}")
    assert [each[:2] for each in actions(planned(site.daemon, web()))] == [
        ("create", "node"),
        ("update", "wall"),
        ("update", "www"),
    ]
    applied(site.daemon, web())

    assert nothing_to_do(site.daemon, web())
    assert len(site.objects()) == len(NAMES)


def test_killed_between_a_post_and_its_outcome(site: Site) -> None:
    """What was made is found; one of each is there in the end."""
    site.fake.slow(30, method="POST", path="/v2/firewalls")
    before = len(site.fake.asked("POST", "/v2/firewalls"))
    saga = asked(site.daemon, web(), wait="")[1]["id"]
    site.daemon.wait_until(
        lambda: len(site.fake.asked("POST", "/v2/firewalls")) > before, 20, "the POST has arrived"
    )
    site.daemon.kill()
    site.daemon.start()
    ended = site.daemon.wait_ended(saga)

    assert {status for _, _, status in outcomes(ended)} == {"success"}
    assert nothing_to_do(site.daemon, web())
    assert len(site.objects()) == len(NAMES)


def test_killed_again_and_again_it_ends_as_it_would_have(site: Site) -> None:
    """Every life of the daemon is a few commits long."""
    saga = applied(site.daemon, web(policy={"approve": "start"}))["id"]
    site.daemon.say(saga, "approve")
    site.daemon.kill()
    lives, ended = 0, dict[str, Any]()
    while not ended:
        lives += 1
        ended = one_life(site.daemon, saga, "before", 6)
    site.daemon.start()

    assert lives > 1
    assert outcomes(ended) == [("create", each, "success") for each in NAMES]
    assert nothing_to_do(site.daemon, web())
    assert len(site.objects()) == len(NAMES)


def test_a_reference_that_does_not_resolve_is_the_outcome_of_its_action(site: Site) -> None:
    """What only the run can tell: what was made is taken back."""
    file = web()
    file["resources"][2]["spec"]["name"] = "${resources.node.tags.5}"
    failed = applied(site.daemon, file)
    wall = failed["outcomes"][2]

    assert (failed["status"], wall["status"], site.objects()) == ("rolled_back", "error", {})
    assert "there is no `5`" in wall["error"]["message"]
    assert {status for _, name, status in outcomes(failed) if name != "wall"} <= {"compensated", "skipped"}


def test_the_example_does_what_it_says(site: Site) -> None:
    """Rehearsed, applied, and destroyed once nobody protects the volume any more."""
    text = (EXAMPLES / "web-node.yaml").read_text()
    given = {"source": text, "format": "yaml"}
    rehearsed = site.daemon.ask("POST", "/v1/rehearse", given)[1]
    made = site.daemon.ask("POST", "/v1/plans/apply?wait=30s", given)[1]
    unprotected = {"source": text.replace("protect: true", "protect: false"), "format": "yaml"}
    refused = [
        site.daemon.ask("POST", "/v1/plans/apply", {**each, "destroy": True}) for each in (given, unprotected)
    ]
    taken_away = site.daemon.ask("POST", "/v1/plans/apply?wait=30s", unprotected)[1]
    gone = site.daemon.ask("POST", "/v1/plans/apply?wait=30s", {**unprotected, "destroy": True})[1]

    assert (rehearsed["steps"], rehearsed["clean"]) == (4, True), rehearsed
    assert outcomes(made) == [("create", name, "success") for name in NAMES]
    assert [status for status, _ in refused] == [422] * 2
    assert taken_away["did"] == "nothing"
    assert gone["status"] == "completed"


def test_a_droplet_is_given_another_size_and_is_on_as_before(site: Site) -> None:
    """The service resizes only one that is off: the plan switches it off before, and on again."""
    small = web()
    applied(site.daemon, small)
    before = site.objects()
    large = web()
    next(each for each in large["resources"] if each["name"] == "node")["spec"]["size"] = "s-2vcpu-4gb"
    document = applied(site.daemon, large)
    (droplet,) = site.fake.objects("droplet")

    assert document["status"] == "completed", document
    assert outcomes(document) == [("update", "node", "success")]
    assert [step["do"].rpartition(".")[2] for step in document["steps"]] == [
        "power_off",
        "resize",
        "power_on",
    ]
    assert (droplet["size_slug"], droplet["status"]) == ("s-2vcpu-4gb", "active")
    assert nothing_to_do(site.daemon, large)
    applied(site.daemon, small)
    assert site.objects() == before


def test_a_plan_over_five_hundred_goes_by_pages(site: Site) -> None:
    """Half of them the stack's, half just imported: three pages of a listing are all that is asked.

    And our own work is less than that of starting the daemon.
    """
    spec = {"region": "nyc3", "size_gigabytes": 10}
    ids = fill(site, 500)
    site.daemon.stop()
    with closing(sqlite3.connect(site.daemon.state / "sagad.db")) as database, database:
        database.executemany(
            "INSERT INTO resources (type, identity, name, id, spec, spec_version, outputs, saga, execution, created_at,"
            " updated_at, stack) VALUES ('digitalocean.volume', ?1, ?2, ?1, ?3, 1, ?3, NULL, NULL, 0, 0, ?4)",
            [
                (id_, name, json.dumps({"name": name, **spec}).encode(), "many" if number % 2 else None)
                for number, (name, id_) in enumerate(ids.items())
            ],
        )
    site.daemon.start()
    starting, before = cpu(site.daemon), len(site.fake.requests)
    many = stack(*(res("digitalocean.volume", name, {"name": name, **spec}) for name in ids), name="many")
    assert planned(site.daemon, many)["actions"] == []
    spent, requests = cpu(site.daemon) - starting, site.fake.requests[before:]
    print(f"started: {starting} ticks, planned: {spent} ticks")

    assert [(each.method, each.path) for each in requests] == [("GET", "/v2/volumes")] * 3
    assert spent < starting
    with site.fake.cloud.lock:
        for each in site.fake.cloud.existing("volume"):
            site.fake.cloud.remove(each)


def fill(site: Site, count: int) -> dict[str, str]:
    """Have so many volumes in the account; give their ids by their names."""
    first = {"name": "v0", "region": "nyc3", "size_gigabytes": 10}
    fields = site.ask("POST", "/v2/volumes", first)["volume"]
    with site.fake.cloud.lock:
        more = {f"v{n}": site.fake.cloud.uuid() for n in range(1, count)}
        for name, id_ in more.items():
            site.fake.cloud.add("volume", id_, {**fields, "id": id_, "name": name})
    return {"v0": fields["id"], **more}


def cpu(daemon: Daemon) -> int:
    """Ticks of processor time that a daemon has had."""
    assert daemon.process is not None
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
