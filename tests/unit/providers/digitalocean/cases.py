"""The operations of each type, as cases of the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from providers.contract import Driver
from providers.digitalocean.droplet import Droplet
from providers.digitalocean.droplet_snapshot import DropletSnapshot
from tests.conformance import Case
from tests.unit.providers.digitalocean.account import Account


def _snapshot(account: Account) -> None:
    account.act("snapshot", name="before")
    account.words["snapshot"] = account.fake.objects("snapshot")[0]["id"]


def _off(account: Account) -> None:
    account.act("power_off")


def _renamed(account: Account) -> None:
    account.act("rename", name="other")


CREATE = {
    "name": "web-2",
    "size": "s-1vcpu-1gb",
    "image": "ubuntu-24-04-x64",
    "region": "nyc3",
    "tags": ["site"],
}

CASES: Mapping[type[Driver], Sequence[Case]] = {
    DropletSnapshot: (
        Case("create", "create", {"droplet_id": "{droplet}"}),
        Case("delete", "delete", {"id": "{snapshot}"}, given=_snapshot),
    ),
    Droplet: (
        Case("create", "create", CREATE),
        Case("delete", "delete", {"id": "{droplet}"}),
        Case("power off", "power_off", {"id": "{droplet}"}),
        Case("shut down", "shutdown", {"id": "{droplet}"}),
        Case("power on", "power_on", {"id": "{droplet}"}, given=_off),
        Case("power off twice", "power_off", {"id": "{droplet}"}, given=_off),
        Case("rename", "rename", {"id": "{droplet}", "name": "new"}, meanwhile=_renamed),
        Case("resize", "resize", {"id": "{droplet}", "size": "s-2vcpu-2gb"}, given=_off),
        Case("missing", "power_off", {"id": 1}, refused="not_found"),
    ),
}
