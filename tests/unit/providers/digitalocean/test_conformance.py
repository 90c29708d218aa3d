"""Every type keeps the drivers' promises, against the fake service."""

from __future__ import annotations

from providers.digitalocean.app import App
from providers.digitalocean.domain_record import DomainRecord
from providers.digitalocean.droplet import Droplet
from providers.digitalocean.droplet_snapshot import DropletSnapshot
from providers.digitalocean.firewall import Firewall
from providers.digitalocean.reserved_ip import ReservedIp
from providers.digitalocean.spaces_key import SpacesKey
from providers.digitalocean.volume import Volume
from tests.conformance import conformance
from tests.unit.providers.digitalocean.account import Account
from tests.unit.providers.digitalocean.cases import CASES

test_app = conformance(App, Account, CASES[App])
test_droplet_snapshot = conformance(DropletSnapshot, Account, CASES[DropletSnapshot])
test_droplet = conformance(Droplet, Account, CASES[Droplet])
test_domain_record = conformance(DomainRecord, Account, CASES[DomainRecord])
test_reserved_ip = conformance(ReservedIp, Account, CASES[ReservedIp])
test_spaces_key = conformance(SpacesKey, Account, CASES[SpacesKey])
test_volume = conformance(Volume, Account, CASES[Volume])
test_firewall = conformance(Firewall, Account, CASES[Firewall])
