"""The examples for DigitalOcean on a real daemon, against a DigitalOcean on loopback. `make demo-cloud` runs this.

Nothing here reaches the real service. The fake one (`tests/fakes/digitalocean`) has state and time of its own, begins
what takes long and ends it later, and loses an answer where it is told to. The commands are those that a person would
type; what is claimed is compared with the fake's account, and this program exits with 0 only if every claim held.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from functools import partial
from typing import Any

from examples.demo import ROLLED_BACK, Node, Told, run
from tests.fakes.digitalocean import Clock, FakeDigitalOcean
from tests.fakes.web import Web

SETTINGS = """\
[daemon]
state_dir = "{{folder}}/state"
socket = "{{folder}}/sagad.sock"

[secrets]
dir = "{{folder}}/secrets"

[providers.local]
roots = ["{{folder}}/site"]

[providers.http]
allow = ["{site}"]

[providers.digitalocean]
token = "do-token"
base_url = "{service}"
poll = "50ms"
settle = "500ms"
rate = "100000/1m"
"""
PROVEN = "nodes, keys and apps were made, replaced and taken back, and nothing was made twice or left"
ON_HOLD = 5
"""The exit code of sagactl for a saga that asks."""
EXAMPLES = "examples/digitalocean"
NOT_FOUND = 404


class Account:
    """The account at the fake service, as its owner sees it, and the site as visitors see it."""

    def __init__(self, fake: FakeDigitalOcean, web: Web) -> None:
        """Begin with a domain."""
        self.fake, self.web = fake, web
        self.ask("POST", "/v2/domains", {"name": "example.net"})

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the service as its owner would."""
        headers = {"Authorization": f"Bearer {self.fake.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.fake.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return dict(json.loads(answer.read() or b"{}"))

    def things(self) -> list[str]:
        """Give everything there is, by kind and name."""
        return sorted(f"{each['kind']} {_called(each)}" for each in self.fake.objects())

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """Give the one thing of that kind and name; nothing where it is not there."""
        found = [each for each in self.fake.objects(kind) if _called(each) == name]
        return found[0] if len(found) == 1 else {}


def _called(thing: dict[str, Any]) -> str:
    return str(thing.get("name") or thing.get("spec", {}).get("name") or thing["id"])


def submit(node: Node, example: str, **inputs: Any) -> int:
    """Submit an example as a person would, and wait; give the exit code."""
    given = [word for name, value in inputs.items() for word in ("-i", f"{name}={value}")]
    code = node.ctl("submit", f"{EXAMPLES}/{example}.yaml", *given, "--wait")
    node.ctl("show", "last")
    return code


def say(node: Node, verb: str, reason: str) -> int:
    """Answer a saga that asks, and watch it to its end; give the exit code."""
    node.ctl(verb, "last", "--reason", reason)
    return node.ctl("watch", "last")


def makes_a_node(account: Account, node: Node, told: Told) -> None:
    """Make a web node, first one that does not answer."""
    told.chapter(1, "A web node that does not answer: all of it is taken back")
    before = account.things()
    account.web.status = NOT_FOUND
    code = submit(node, "web-node", name="pier", domain="example.net", url=account.web.url)
    told.say()
    told.claim(f"sagactl exited with {ROLLED_BACK}: rolled_back", code == ROLLED_BACK)
    told.claim(
        "the account is as it was: no droplet, volume, firewall or record stays", account.things() == before
    )
    told.chapter(2, "The same, and the answer to the droplet's POST is lost: made once")
    account.web.status = 200
    lost = account.fake.lose(after=True, method="POST", path="/v2/droplets")
    code = submit(node, "web-node", name="pier", domain="example.net", url=account.web.url)
    droplet, disk = account.one("droplet", "pier"), account.one("volume", "pier-data")
    told.say()
    told.claim("an answer was lost, and the saga completed", (lost.struck, code) == (1, 0))
    told.claim("there is one droplet, with its volume", droplet and disk["droplet_ids"] == [droplet["id"]])
    told.claim("its name leads to it", account.one("record", "pier")["data"] == _address(droplet))


def _address(droplet: dict[str, Any]) -> str:
    return str(droplet["networks"]["v4"][0]["ip_address"])


def resizes(account: Account, node: Node, told: Told) -> None:
    """Snapshot, then resize, and find out that it does not answer any more."""
    told.chapter(3, "A droplet gets another size and does not answer: its old size, and no snapshot left")
    account.web.status = NOT_FOUND
    droplet = account.one("droplet", "pier")["id"]
    code = submit(node, "resize", droplet=droplet, size="s-2vcpu-4gb", url=account.web.url)
    now = account.one("droplet", "pier")
    told.say()
    told.claim("it was taken back", code == ROLLED_BACK)
    told.claim(
        "its size is the old one, and it is on",
        (now["size_slug"], now["status"]) == ("s-1vcpu-1gb", "active"),
    )
    told.claim("the snapshot is deleted again", account.fake.objects("snapshot") == [])
    account.web.status = 200


def rotates(account: Account, node: Node, told: Told) -> None:
    """Back out at the last moment, then go through with it."""
    told.chapter(4, "A Spaces key is replaced, the old one deleted last, when somebody has said so")
    old = account.ask("POST", "/v2/spaces/keys", {"name": "backup-1"})["key"]["access_key"]
    file = node.site / "credentials"
    file.write_text(f"access_key={old}\n")
    given = {"old": old, "bucket": "backups", "file": file, "url": account.web.url}
    asked = submit(node, "rotate-key", name="backup-2", **given)
    code = say(node, "reject", "one host still has the old key")
    told.say()
    told.claim("it asked before the step that nothing brings back", asked == ON_HOLD)
    told.claim(
        "rejected, the old key is in the file again",
        (code, file.read_text()) == (ROLLED_BACK, f"access_key={old}\n"),
    )
    told.claim(
        "and the new key is gone",
        [each["name"] for each in account.fake.objects("spaces_key")] == ["backup-1"],
    )
    told.say()
    submit(node, "rotate-key", name="backup-3", **given)
    code = say(node, "approve", "backups run with the new key")
    new = account.one("spaces_key", "backup-3")
    told.say()
    told.claim("approved, the file has the new key", code == 0 and new["access_key"] in file.read_text())
    told.claim(
        "and it is the only one",
        [each["name"] for each in account.fake.objects("spaces_key")] == ["backup-3"],
    )


def replaces(account: Account, node: Node, told: Told) -> None:
    """Put a new app in the place of an old one."""
    told.chapter(5, "An app is replaced: one that cannot be deployed, then one that can")
    image = {"registry_type": "DOCKER_HUB", "repository": "nginx", "tag": "1.0"}
    spec = {"name": "shop-1", "services": [{"name": "web", "image": image}]}
    old = account.ask("POST", "/v2/apps", {"spec": spec})["app"]["id"]
    body = {"type": "CNAME", "name": "shop", "data": "shop-1.example.net.", "ttl": 300}
    record = account.ask("POST", "/v2/domains/example.net/records", body)["domain_record"]["id"]
    account.fake.clock.advance(60)
    before = account.things()
    given = {"old": old, "domain": "example.net", "record": record, "url": account.web.url}
    code = submit(node, "replace-app", name="shop-2", tag="does-not-start", **given)
    told.say()
    told.claim(
        "it was taken back, and the old app serves on", (code, account.things()) == (ROLLED_BACK, before)
    )
    told.say()
    submit(node, "replace-app", name="shop-2", tag="2.0", **given)
    code = say(node, "approve", "orders come in")
    told.say()
    told.claim(
        "now the name leads to the new app", account.one("record", "shop")["data"].startswith("shop-2")
    )
    told.claim("and the old one is gone", code == 0 and "app shop-1" not in account.things())


def suspends(account: Account, node: Node, told: Told) -> None:
    """Suspend a site, and resume it."""
    told.chapter(6, "A site is suspended, and resumed")
    droplet, record = account.one("droplet", "pier"), account.one("record", "pier")
    given = {"droplet": droplet["id"], "domain": "example.net", "record": record["id"]}
    submit(node, "suspend", holding="192.0.2.80", **given)
    off, seen = account.one("droplet", "pier")["status"], account.one("record", "pier")["data"]
    told.say()
    told.claim("its droplet is off, visitors see the page that says so", (off, seen) == ("off", "192.0.2.80"))
    told.say()
    submit(node, "resume", url=account.web.url, **given)
    on, seen = account.one("droplet", "pier")["status"], account.one("record", "pier")["data"]
    told.say()
    told.claim("its droplet is on, and its name leads to it", (on, seen) == ("active", _address(droplet)))


def offboards(account: Account, node: Node, told: Told) -> None:
    """Take the node down for good, but think again first."""
    told.chapter(7, "A site is offboarded: somebody thinks again, and it comes back from its snapshot")
    droplet = account.one("droplet", "pier")["id"]
    asked = submit(node, "offboard", droplet=droplet, domain="example.net", **_parts(account))
    gone = account.one("droplet", "pier") == {}
    code = say(node, "reject", "they have paid")
    again, disk = account.one("droplet", "pier"), account.one("volume", "pier-data")
    told.say()
    told.claim("it asked when the droplet was gone and before the data was", (asked, gone) == (ON_HOLD, True))
    told.claim(
        "rejected, there is a droplet again, with the volume",
        code == ROLLED_BACK and disk["droplet_ids"] == [again.get("id")],
    )
    told.claim(
        "it is a new one, made from the snapshot, which is gone",
        again.get("id") != droplet and not account.fake.objects("snapshot"),
    )
    told.say()
    submit(node, "offboard", droplet=again["id"], domain="example.net", **_parts(account))
    code = say(node, "approve", "they have not")
    left = [each for each in account.things() if "pier" in each or "snapshot" in each]
    told.say()
    told.claim(
        "approved, only the droplet's snapshot is left",
        (code, len(left)) == (0, 1) and left[0].startswith("snapshot"),
    )


def _parts(account: Account) -> dict[str, Any]:
    kinds = {
        "wall": ("firewall", "pier-wall"),
        "record": ("record", "pier"),
        "volume": ("volume", "pier-data"),
    }
    return {name: account.one(*which)["id"] for name, which in kinds.items()}


def tell(account: Account, node: Node, told: Told) -> None:
    """Go through all of it."""
    told.say(f"A daemon in {node.site.parent}, and a DigitalOcean at {account.fake.url}: not the real one.\n")
    secrets = node.site.parent / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "do-token").write_text(account.fake.token)
    node.start()
    for part in (makes_a_node, resizes, rotates, replaces, suspends, offboards):
        part(account, node, told)
    told.say()
    node.ctl("ls")
    node.ctl("resources", "ls")
    told.say()
    told.claim("told to stop, the daemon stopped cleanly", node.stop() == 0)
    told.claim(
        "every exchange was one that DigitalOcean's published contract has", account.fake.violations == []
    )


def main() -> int:
    """Run the demo; give the exit code."""
    fake = FakeDigitalOcean(Clock(step=1.0))
    fake.lags.takes.update({"snapshot": 4, "create": 4, "resize": 4, "deployment": 4})
    with Web().served() as web, fake.in_thread():
        settings = SETTINGS.format(site=web.url, service=fake.url)
        return run(partial(tell, Account(fake, web)), settings, PROVEN)


if __name__ == "__main__":
    sys.exit(main())
