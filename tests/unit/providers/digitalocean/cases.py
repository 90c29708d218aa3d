"""The operations of each type, as cases of the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from providers.contract import Driver
from providers.digitalocean.app import App
from providers.digitalocean.domain_record import DomainRecord
from providers.digitalocean.droplet import Droplet
from providers.digitalocean.droplet_snapshot import DropletSnapshot
from providers.digitalocean.firewall import Firewall
from providers.digitalocean.reserved_ip import ReservedIp
from providers.digitalocean.spaces_key import SpacesKey
from providers.digitalocean.volume import Volume
from tests.conformance import Case
from tests.unit.providers.digitalocean.account import Account


def _snapshot(account: Account) -> None:
    account.act("snapshot", name="before")
    account.given["snapshot"] = account.fake.objects("snapshot")[0]["id"]


def _off(account: Account) -> None:
    account.act("power_off")


def _renamed(account: Account) -> None:
    account.act("rename", name="other")


def _domain(account: Account) -> None:
    account.ask("POST", "/v2/domains", {"name": "harbour.example"})


def _record(account: Account) -> None:
    _domain(account)
    body = {"type": "A", "name": "www", "data": "192.0.2.1", "ttl": 300}
    records = "/v2/domains/harbour.example/records"
    account.given["record"] = account.ask("POST", records, body)["domain_record"]["id"]


def _twin(account: Account) -> None:
    """One that is alike in everything is somebody else's."""
    _record(account)
    _record_again(account)


def _record_again(account: Account) -> None:
    body = {"type": "A", "name": "www", "data": "192.0.2.1", "ttl": 300}
    account.ask("POST", "/v2/domains/harbour.example/records", body)


def _moved(account: Account) -> None:
    account.ask(
        "PATCH",
        f"/v2/domains/harbour.example/records/{account.words['record']}",
        {"type": "A", "data": "192.0.2.9"},
    )


def _volume(account: Account) -> None:
    body = {"name": "data", "region": "nyc3", "size_gigabytes": 10}
    account.given["volume"] = account.ask("POST", "/v2/volumes", body)["volume"]["id"]


def _attached(account: Account) -> None:
    _volume(account)
    body = {"type": "attach", "droplet_id": account.droplet}
    account.ask("POST", f"/v2/volumes/{account.words['volume']}/actions", body)
    account.fake.clock.advance(60)


def _address(account: Account) -> None:
    address = account.ask("POST", "/v2/reserved_ips", {"region": "nyc3"})["reserved_ip"]["ip"]
    account.given["address"] = address


def _assigned(account: Account) -> None:
    """Assigned to another droplet."""
    _address(account)
    _to(account, account.another("web-0"))


def _to_ours(account: Account) -> None:
    _address(account)
    _to(account, account.droplet)


def _to_a_third(account: Account) -> None:
    _to(account, account.another("web-3"))


def _to(account: Account, droplet: int) -> None:
    where = f"/v2/reserved_ips/{account.words['address']}/actions"
    account.ask("POST", where, {"type": "assign", "droplet_id": droplet})
    account.fake.clock.advance(60)


WEB = {"name": "web", "image": {"registry_type": "DOCKER_HUB", "repository": "nginx", "tag": "1.27"}}
TOKEN = {"key": "TOKEN", "type": "SECRET", "value": "not-for-everybody"}
SHOP = {"name": "shop", "services": [WEB]}
SEALED = {"name": "shop", "services": [WEB | {"envs": [TOKEN]}]}
RESEALED = {"name": "shop", "services": [WEB | {"envs": [TOKEN | {"value": "another"}]}]}
GROWN = {"name": "shop", "services": [WEB | {"instance_count": 3}]}


def _app(account: Account, spec: Any = SHOP) -> None:
    account.given["app"] = account.ask("POST", "/v2/apps", {"spec": spec})["app"]["id"]
    account.fake.clock.advance(60)


def _sealed(account: Account) -> None:
    _app(account, SEALED)


def _grown(account: Account) -> None:
    account.ask("PUT", f"/v2/apps/{account.words['app']}", {"spec": {"name": "shop", "region": "ams"}})
    account.fake.clock.advance(60)


READ = {"bucket": "logs", "permission": "read"}
WRITE = {"bucket": "logs", "permission": "readwrite"}
KEY = {"name": "backup", "grants": [READ]}


def _key(account: Account) -> None:
    account.given["key"] = account.ask("POST", "/v2/spaces/keys", KEY)["key"]["access_key"]


def _granted(account: Account) -> None:
    account.ask("PATCH", f"/v2/spaces/keys/{account.words['key']}", {"grants": []})


WWW = {"domain": "harbour.example", "type": "A", "name": "www", "data": "192.0.2.1", "ttl": 300}
RECORD = {"domain": "harbour.example", "id": "{record}"}

SSH = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.0/24"]}}
OUT = {"protocol": "tcp", "ports": "all", "destinations": {"addresses": ["0.0.0.0/0"]}}


def _firewall(account: Account) -> None:
    body = {"name": "harbour", "inbound_rules": [SSH], "droplet_ids": [account.droplet]}
    account.given["firewall"] = account.ask("POST", "/v2/firewalls", body)["firewall"]["id"]


def _opened(account: Account) -> None:
    rules = {"inbound_rules": [SSH | {"ports": "80"}]}
    account.ask("POST", f"/v2/firewalls/{account.words['firewall']}/rules", rules)


WALL = {"name": "harbour", "inbound_rules": [SSH], "outbound_rules": [OUT], "droplet_ids": ["{droplet}"]}

CREATE = {
    "name": "web-2",
    "size": "s-1vcpu-1gb",
    "image": "ubuntu-24-04-x64",
    "region": "nyc3",
    "tags": ["site"],
}

KEPT = {"id": "{droplet}", "snapshot_first": True}

CASES: Mapping[type[Driver], Sequence[Case]] = {
    DropletSnapshot: (
        Case("create", "create", {"droplet_id": "{droplet}"}),
        Case("delete", "delete", {"id": "{snapshot}"}, given=_snapshot),
    ),
    Droplet: (
        Case("create", "create", CREATE),
        Case("delete", "delete", {"id": "{droplet}"}),
        Case("delete after a snapshot", "delete", KEPT, renames=True),
        Case("delete one with a volume", "delete", KEPT, given=_attached, renames=True),
        Case("power off", "power_off", {"id": "{droplet}"}),
        Case("shut down", "shutdown", {"id": "{droplet}"}),
        Case("power on", "power_on", {"id": "{droplet}"}, given=_off),
        Case("power off twice", "power_off", {"id": "{droplet}"}, given=_off),
        Case("rename", "rename", {"id": "{droplet}", "name": "new"}, meanwhile=_renamed),
        Case("resize", "resize", {"id": "{droplet}", "size": "s-2vcpu-2gb"}, given=_off),
        Case("missing", "power_off", {"id": 1}, refused="not_found"),
    ),
    DomainRecord: (
        Case("create", "create", WWW, given=_domain),
        Case("create beside its twin", "create", WWW, given=_record),
        Case("create a host", "create", WWW | {"type": "CNAME", "data": "harbour.example."}, given=_domain),
        Case("update", "update", RECORD | {"data": "192.0.2.2"}, given=_record, meanwhile=_moved),
        Case("delete", "delete", RECORD, given=_record, renames=True),
        Case("delete one of twins", "delete", RECORD, given=_twin, renames=True),
        Case("missing", "update", {"domain": "harbour.example", "id": 1, "ttl": 60}, refused="not_found"),
    ),
    Firewall: (
        Case("create", "create", WALL),
        Case("taken", "create", WALL, given=_firewall, refused="exists"),
        Case(
            "update",
            "update",
            {"id": "{firewall}", "inbound_rules": [SSH | {"ports": "2222"}]},
            given=_firewall,
            meanwhile=_opened,
        ),
        Case("rename", "update", {"id": "{firewall}", "name": "pier", "tags": ["site"]}, given=_firewall),
        Case("delete", "delete", {"id": "{firewall}"}, given=_firewall, renames=True),
    ),
    App: (
        Case("create", "create", {"spec": SHOP}),
        Case("create with a secret", "create", {"spec": SEALED}),
        Case("taken", "create", {"spec": GROWN}, given=_app, refused="exists"),
        Case("update", "update", {"id": "{app}", "spec": GROWN}, given=_app, meanwhile=_grown),
        Case("update to a secret", "update", {"id": "{app}", "spec": SEALED}, given=_app),
        Case("update a secret alone", "update", {"id": "{app}", "spec": RESEALED}, given=_sealed),
        Case("update from a secret", "update", {"id": "{app}", "spec": SHOP}, given=_sealed),
        Case("delete", "delete", {"id": "{app}"}, given=_app),
        Case("missing", "update", {"id": "no-such-app", "spec": SHOP}, refused="not_found"),
    ),
    ReservedIp: (
        Case("create", "create", {"region": "nyc3"}),
        Case("create beside another", "create", {"region": "nyc3"}, given=_address),
        Case("create for a droplet", "create", {"droplet_id": "{droplet}"}, given=_assigned),
        Case("taken", "create", {"droplet_id": "{droplet}"}, given=_to_ours, refused="assigned"),
        Case("no droplet", "create", {"droplet_id": 1}, refused="not_found"),
        Case("assign", "assign", {"id": "{address}", "droplet_id": "{droplet}"}, given=_address),
        Case(
            "move",
            "assign",
            {"id": "{address}", "droplet_id": "{droplet}"},
            given=_assigned,
            meanwhile=_to_a_third,
        ),
        Case("unassign", "unassign", {"id": "{address}"}, given=_to_ours),
        Case("delete", "delete", {"id": "{address}"}, given=_to_ours),
        Case("missing", "unassign", {"id": "192.0.2.99"}, refused="not_found"),
    ),
    SpacesKey: (
        Case("create", "create", KEY, once=True),
        Case("taken", "create", KEY | {"grants": []}, given=_key, refused="exists"),
        Case("update", "update", {"id": "{key}", "grants": [WRITE]}, given=_key, meanwhile=_granted),
        Case("rename", "update", {"id": "{key}", "name": "spare"}, given=_key),
        Case("delete", "delete", {"id": "{key}"}, given=_key),
        Case("missing", "update", {"id": "DO00", "name": "spare"}, refused="not_found"),
    ),
    Volume: (
        Case("create", "create", {"name": "data", "region": "nyc3", "size_gigabytes": 10, "tags": ["site"]}),
        Case(
            "taken",
            "create",
            {"name": "data", "region": "nyc3", "size_gigabytes": 9},
            given=_volume,
            refused="exists",
        ),
        Case("delete", "delete", {"id": "{volume}"}, given=_volume),
        Case("attach", "attach", {"id": "{volume}", "droplet_id": "{droplet}"}, given=_volume),
        Case("detach", "detach", {"id": "{volume}"}, given=_attached),
        Case("elsewhere", "attach", {"id": "{volume}", "droplet_id": 1}, given=_attached, refused="attached"),
    ),
}
