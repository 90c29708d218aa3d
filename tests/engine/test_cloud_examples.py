"""The examples for DigitalOcean, each run by a real daemon against the service on loopback: to its end, and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.site import Site, served
from tests.fakes.web import Web

FOLDER = Path(__file__).parents[2] / "examples" / "digitalocean"
NOT_FOUND = 404


class Harbour:
    """The account of a small company: droplets and a domain; its daemon; and what visitors see."""

    def __init__(self, site: Site, web: Web, folder: Path) -> None:
        self.site, self.web = site, web
        self.file = folder / "srv" / "credentials"
        site.ask("POST", "/v2/domains", {"name": "example.net"})
        networks = site.ask("GET", f"/v2/droplets/{site.droplet}")["droplet"]["networks"]
        self.inputs: dict[str, Any] = {
            "droplet": site.droplet,
            "domain": "example.net",
            "record": self.record("www", networks["v4"][0]["ip_address"]),
            "url": web.url,
            "file": str(self.file),
            "holding": "192.0.2.80",
            "bucket": "backups",
        }

    def record(self, name: str, data: str, type: str = "A") -> int:
        """Make a record; give its id."""
        body = {"type": type, "name": name, "data": data, "ttl": 300}
        made = self.site.ask("POST", "/v2/domains/example.net/records", body)
        return int(made["domain_record"]["id"])

    def run(self, example: str, **inputs: Any) -> dict[str, Any]:
        """Submit an example and wait for it."""
        source = (FOLDER / f"{example}.yaml").read_text()
        declared = source.partition("inputs:")[2].partition("steps:")[0]
        given = {name: value for name, value in self.inputs.items() if f"  {name}: " in declared}
        body = {"source": source, "format": "yaml", "inputs": given | inputs}
        status, document = self.site.daemon.ask("POST", "/v1/sagas?wait=60s", body)
        assert status == 201, document
        return dict(document)

    def approved(self, document: dict[str, Any]) -> dict[str, Any]:
        """Say yes, and wait for the end."""
        return self._told(document, "approve")

    def rejected(self, document: dict[str, Any]) -> dict[str, Any]:
        """Say no, and wait for the end."""
        return self._told(document, "reject")

    def _told(self, document: dict[str, Any], verb: str) -> dict[str, Any]:
        assert document["hold"]["reason"] == "approval", json.dumps(document, indent=1)
        status, answer = self.site.daemon.say(document["id"], verb, reason="as we said")
        assert status == 200, answer
        self.site.daemon.wait_until(
            lambda: self.site.daemon.saga(document["id"])["status"] in {"completed", "rolled_back"}, 30, verb
        )
        return self.site.daemon.saga(document["id"])

    def things(self) -> list[str]:
        """Give everything that is there, without what differs from one making to the next."""
        return sorted(json.dumps(_steady(each), sort_keys=True) for each in self.site.fake.objects())

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """Give the one thing of this name."""
        (found,) = [each for each in self.site.fake.objects(kind) if each.get("name") == name]
        return found


def _steady(thing: dict[str, Any]) -> dict[str, Any]:
    kept = ("kind", "name", "status", "size_slug", "type", "data", "ttl", "spec", "grants", "inbound_rules")
    left_out = {"status"} if thing["kind"] == "firewall" else set()
    return {name: thing[name] for name in kept if name in thing and name not in left_out}


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """One daemon for all examples."""
    folder = tmp_path_factory.mktemp("harbour")
    (folder / "srv").mkdir()
    with Web().served() as web:
        more = f'rate = "100000/1m"\n[providers.local]\nroots = ["{folder}/srv"]\n'
        more += f'[providers.http]\nallow = ["{web.url}"]\n'
        with served(folder, more, "150ms") as site:
            site.fake.lags.takes.update({"deployment": 4, "create": 4, "resize": 4})
            yield Harbour(site, web, folder)


@pytest.fixture(autouse=True)
def _answers(harbour: Harbour) -> None:
    """Visitors see the site at first."""
    harbour.web.status = 200


def test_a_droplet_is_resized(harbour: Harbour) -> None:
    """Another size, switched on, and a snapshot to fall back on."""
    document = harbour.run("resize", size="s-1vcpu-2gb")
    droplet = harbour.one("droplet", "web-1")
    snapshots = harbour.site.fake.objects("snapshot")
    harbour.site.ask("DELETE", f"/v2/snapshots/{snapshots[0]['id']}")

    assert document["status"] == "completed", document
    assert (droplet["size_slug"], droplet["status"], droplet["disk"]) == ("s-1vcpu-2gb", "active", 25)
    assert [each["resource_id"] for each in snapshots] == [str(droplet["id"])]


def test_a_droplet_that_does_not_answer_has_its_old_size_again(harbour: Harbour) -> None:
    """Switched on as before, and the snapshot is gone."""
    before = harbour.things()
    harbour.web.status = NOT_FOUND
    document = harbour.run("resize", size="s-2vcpu-4gb")

    assert document["status"] == "rolled_back", document
    assert [each["status"] for each in document["steps"]] == ["compensated"] * 4 + ["failed"]
    assert harbour.things() == before


def test_a_snapshot_is_taken_and_rolled_back(harbour: Harbour) -> None:
    """What `make live` does at the real service."""
    before = harbour.things()
    document = harbour.run("snapshot")
    _, answer = harbour.site.daemon.say(document["id"], "rollback")
    harbour.site.daemon.wait_ended(answer["saga"]["id"])

    assert document["status"] == "completed"
    assert harbour.things() == before


def key(harbour: Harbour) -> str:
    """Make the key that is to go, and put it where it is read."""
    body = {"name": "backup-1", "grants": [{"bucket": "backups", "permission": "readwrite"}]}
    old = harbour.site.ask("POST", "/v2/spaces/keys", body)["key"]
    harbour.file.write_text(f"access_key={old['access_key']}\nsecret_key={old['secret_key']}\n")
    return str(old["access_key"])


def test_a_key_is_rotated(harbour: Harbour) -> None:
    """The file has the new key with its secret, and the old one is deleted only after somebody has said so."""
    old = key(harbour)
    document = harbour.run("rotate-key", old=old, name="backup-2")
    both = {each["name"] for each in harbour.site.fake.objects("spaces_key")}
    ended = harbour.approved(document)
    new = harbour.one("spaces_key", "backup-2")
    text = harbour.file.read_text()
    harbour.site.ask("DELETE", f"/v2/spaces/keys/{new['id']}")

    assert both == {"backup-1", "backup-2"}
    assert ended["status"] == "completed", ended
    assert text == f"access_key={new['access_key']}\nsecret_key={new['secret_key']}\n"
    assert harbour.file.stat().st_mode & 0o777 == 0o600
    assert harbour.site.fake.objects("spaces_key") == []


@pytest.mark.parametrize("way", ["the check fails", "rejected"])
def test_a_key_is_not_rotated(harbour: Harbour, way: str) -> None:
    """Backed out at the check, or at the last moment: the old key, and the file with it, are there."""
    old = key(harbour)
    before, text = harbour.things(), harbour.file.read_text()
    harbour.web.status = NOT_FOUND if way == "the check fails" else 200
    document = harbour.run("rotate-key", old=old, name="backup-2")
    if way == "rejected":
        document = harbour.rejected(document)
    after = harbour.things()
    harbour.site.ask("DELETE", f"/v2/spaces/keys/{old}")

    assert document["status"] == "rolled_back", document
    assert after == before
    assert harbour.file.read_text() == text


def test_the_secret_of_a_rotated_key_is_in_the_file_alone(harbour: Harbour) -> None:
    """Not in the record, the log or an answer: an output that is sensitive is sealed."""
    old = key(harbour)
    document = harbour.run("rotate-key", old=old, name="backup-2")
    secret = harbour.one("spaces_key", "backup-2")["secret_key"]
    handed_over = secret in harbour.file.read_text()
    harbour.rejected(document)
    harbour.site.ask("DELETE", f"/v2/spaces/keys/{old}")
    daemon = harbour.site.daemon
    kept = [daemon.log, *(path for path in daemon.state.rglob("*") if path.is_file())]

    assert handed_over
    assert secret not in json.dumps([document, daemon.executions(document["id"])])
    assert [str(path) for path in kept if secret.encode() in path.read_bytes()] == []


SPEC = {
    "name": "shop-1",
    "services": [{"name": "web", "image": {"registry_type": "DOCKER_HUB", "repository": "x"}}],
}


@pytest.mark.parametrize("way", ["approved", "rejected", "the check fails", "it cannot be deployed"])
def test_an_app_is_replaced_with_a_way_back(harbour: Harbour, way: str) -> None:
    """Up to the last moment the name leads to the old one again, and the new one goes."""
    old = harbour.site.ask("POST", "/v2/apps", {"spec": SPEC})["app"]["id"]
    record = harbour.record("shop", "old.example.net.", "CNAME")
    harbour.site.fake.clock.advance(60)
    before = harbour.things()
    harbour.web.status = NOT_FOUND if way == "the check fails" else 200
    tag = "does-not-start" if way == "it cannot be deployed" else "2.0"
    document = harbour.run("replace-app", old=old, name="shop-2", tag=tag, record=record)
    if way in {"approved", "rejected"}:
        document = harbour.approved(document) if way == "approved" else harbour.rejected(document)
    after = harbour.things()
    names = [each["spec"]["name"] for each in harbour.site.fake.objects("app")]
    data = harbour.site.ask("GET", f"/v2/domains/example.net/records/{record}")["domain_record"]["data"]
    for each in harbour.site.fake.objects("app"):
        harbour.site.ask("DELETE", f"/v2/apps/{each['id']}")
    harbour.site.ask("DELETE", f"/v2/domains/example.net/records/{record}")

    if way == "approved":
        assert (document["status"], names) == ("completed", ["shop-2"]), document
        assert data.startswith("shop-2-")
    else:
        assert (document["status"], names) == ("rolled_back", ["shop-1"]), document
        assert after == before


def test_a_web_node_is_made_taken_down_and_offboarded(harbour: Harbour) -> None:
    """Made from nothing, or not at all; and gone again, or there again, as somebody says."""
    before = harbour.things()
    harbour.web.status = NOT_FOUND
    assert harbour.run("web-node", name="pier")["status"] == "rolled_back"
    assert harbour.things() == before
    harbour.web.status = 200
    made = harbour.run("web-node", name="pier")
    assert made["status"] == "completed", made
    out = {each["name"]: each["output"] for each in made["steps"]}
    droplet = harbour.one("droplet", "pier")
    assert harbour.one("volume", "pier-data")["droplet_ids"] == [droplet["id"]]
    assert harbour.one("record", "pier")["data"] == out["web"]["ip_address"]
    given = {"wall": out["wall"]["id"], "record": out["record"]["id"], "volume": out["disk"]["id"]}
    whole = harbour.things()

    rejected = harbour.rejected(harbour.run("offboard", droplet=droplet["id"], **given))
    assert rejected["status"] == "rolled_back", rejected
    assert harbour.things() == whole
    again = harbour.one("droplet", "pier")
    assert again["id"] != droplet["id"]
    assert harbour.one("volume", "pier-data")["droplet_ids"] == [again["id"]]

    walls = {
        "wall": harbour.one("firewall", "pier-wall")["id"],
        "record": harbour.one("record", "pier")["id"],
    }
    gone = harbour.approved(harbour.run("offboard", droplet=again["id"], **given | walls))
    (snapshot,) = harbour.site.fake.objects("snapshot")
    harbour.site.ask("DELETE", f"/v2/snapshots/{snapshot['id']}")
    assert gone["status"] == "completed", gone
    assert str(again["id"]) in snapshot["name"]
    assert harbour.things() == before


def test_a_site_is_suspended_and_resumed(harbour: Harbour) -> None:
    """By its own saga, or by taking back the one that suspended it."""
    before = harbour.things()
    record = harbour.inputs["record"]

    def seen() -> tuple[str, str]:
        data = harbour.site.ask("GET", f"/v2/domains/example.net/records/{record}")["domain_record"]["data"]
        return data, harbour.one("droplet", "web-1")["status"]

    assert harbour.run("suspend")["status"] == "completed"
    assert seen() == ("192.0.2.80", "off")
    harbour.web.status = NOT_FOUND
    assert harbour.run("resume")["status"] == "rolled_back"
    assert seen() == ("192.0.2.80", "off")
    harbour.web.status = 200
    resumed = harbour.run("resume")
    address = resumed["steps"][0]["output"]["ip_address"]
    assert seen() == (address, "active")
    assert harbour.things() == before

    suspended = harbour.run("suspend")
    _, answer = harbour.site.daemon.say(suspended["id"], "rollback")
    assert harbour.site.daemon.wait_ended(answer["saga"]["id"])["status"] == "completed"
    assert harbour.things() == before
