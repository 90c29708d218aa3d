"""What all types do alike, beyond the conformance suite."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from providers.contract import (
    ABSENT,
    Call,
    Ended,
    Failed,
    Image,
    Outcome,
    Succeeded,
    Unclear,
    Unknown,
    Working,
)
from providers.digitalocean.domain_record import DomainRecord
from providers.digitalocean.droplet import Droplet, Resize
from providers.digitalocean.droplet_snapshot import DropletSnapshot
from tests.conformance import Case, MemoryBlobs, Trial
from tests.unit.providers.calls import call_of
from tests.unit.providers.digitalocean.account import Account

SNAPSHOT = Case("create", "create", {"droplet_id": "{droplet}"})
NOW = 1_800_000_000_000


async def begun(account: Account) -> tuple[DropletSnapshot, Call, Working]:
    """Begin a snapshot."""
    trial = Trial(DropletSnapshot, account, SNAPSHOT)
    call = msgspec.structs.replace(await trial.plan(), now=NOW)
    outcome = await trial.driver.apply(call)
    assert isinstance(outcome, Working)
    assert isinstance(trial.driver, DropletSnapshot)
    return trial.driver, call, outcome


async def test_an_action_under_way_is_never_taken_for_not_done(tmp_path: Path) -> None:
    """Its answer was lost, so neither its id nor the snapshot is known: it is asked again."""
    account = Account(tmp_path)
    account.fake.lags.takes["snapshot"] = 1e9
    driver, call, _ = await begun(account)
    with pytest.raises(Ended) as ended:
        await driver.find(call)

    assert isinstance(ended.value.outcome, Working)


async def test_a_snapshot_that_stays_unlisted_is_for_somebody_to_look_at(tmp_path: Path) -> None:
    """With its action's id or without: it was taken, so it is not `not done`."""
    account = Account(tmp_path)
    account.fake.lags.unlisted["snapshot"] = 1e9
    driver, call, working = await begun(account)
    account.fake.clock.advance(60)
    polled = await driver.poll(msgspec.structs.replace(call, handle=working.handle))
    assert isinstance(polled, Working)
    late = msgspec.structs.replace(call, handle=polled.handle, now=NOW + 500)
    assert isinstance(await driver.poll(late), Unknown)

    assert isinstance(await driver.find(late), Unclear)
    assert isinstance(await driver.find(call), Unclear)


async def test_a_snapshot_that_somebody_else_took_does_not_count(tmp_path: Path) -> None:
    """Ours was never begun, theirs was since the plan: it has a name of its own."""
    account = Account(tmp_path)
    trial = Trial(DropletSnapshot, account, SNAPSHOT)
    call = await trial.plan()
    account.act("snapshot", name="theirs")

    assert type(await trial.driver.find(call)).__name__ == "NotDone"


async def test_a_poll_that_cannot_be_answered_is_no_failure(tmp_path: Path) -> None:
    """It was begun: a service that is down is waited for, one that says no leaves it unknown."""
    account = Account(tmp_path)
    driver, call, working = await begun(account)
    polling = msgspec.structs.replace(call, handle=working.handle)
    account.fake.fail(503, path="/v2/actions/*")
    assert isinstance(await driver.poll(polling), Working)
    account.settings["secret"].__self__["do"] = "no-such-token"

    assert isinstance(await driver.poll(polling), Unknown)


async def test_a_delete_of_what_is_young_asks_again(tmp_path: Path) -> None:
    """Not shown by its id yet, a DELETE is answered 404; it is gone only once it was found, or is old."""
    account = Account(tmp_path)
    account.fake.lags.hidden["snapshot"] = 8
    driver, call, working = await begun(account)
    found: Outcome = working
    while isinstance(found, Working):
        found = await driver.poll(msgspec.structs.replace(call, handle=found.handle))
    assert isinstance(found, Succeeded)
    undo = msgspec.structs.replace(
        call, verb="delete", restore=ABSENT, before=found.after, after=ABSENT, outputs=found.outputs
    )

    assert isinstance(await driver.apply(undo), Succeeded)
    assert account.fake.objects("snapshot") == []


async def test_what_changed_under_the_plan_is_left_alone(tmp_path: Path) -> None:
    """Also where it has gone."""
    account = Account(tmp_path)
    trial = Trial(Droplet, account, Case("off", "power_off", {"id": "{droplet}"}))
    call = await trial.plan()
    account.ask("DELETE", f"/v2/droplets/{account.droplet}")
    outcome = await trial.driver.apply(call)

    assert isinstance(outcome, Failed)
    assert outcome.code == "changed"


async def test_the_inventory_is_read_by_pages_with_the_readers_token(tmp_path: Path) -> None:
    """Nothing else is asked, and nothing with the token that may change things."""
    account = Account(tmp_path)
    account.act("snapshot", name="one")
    account.act("snapshot", name="two")
    secrets = {"do": "never", "look": account.fake.read_token}
    settings = {**account.settings, "read_token": "look", "secret": secrets.__getitem__, "per_page": 1}
    driver = DropletSnapshot(settings, MemoryBlobs())
    asked = len(account.fake.requests)
    found = [image async for _, image in driver.inventory()]

    assert [image.fields["name"] for image in found] == ["one", "two"]
    assert all(isinstance(image, Image) for image in found)
    assert len(account.fake.requests) - asked == 2


async def test_the_inventory_of_records_is_that_of_every_domain(tmp_path: Path) -> None:
    """Domain by domain: the service lists records below their domain only."""
    account = Account(tmp_path)
    for name in ("one.example", "two.example"):
        account.ask("POST", "/v2/domains", {"name": name, "ip_address": "192.0.2.1"})
    driver = DomainRecord(account.settings, MemoryBlobs())
    found = [image.fields["data"] async for _, image in driver.inventory() if image.fields["type"] == "A"]

    assert found == ["192.0.2.1", "192.0.2.1"]


def test_a_disk_that_grows_cannot_be_taken_back() -> None:
    """A size can."""
    driver = Droplet({}, MemoryBlobs())
    call = call_of(driver, "resize", {"id": 1, "size": "s-2vcpu-2gb"})
    grown = driver.refine("resize", Resize(id=1, size="s-2vcpu-2gb", disk=True))

    assert driver.refine("resize", call.arguments).compensable
    assert not grown.compensable
    assert grown.irreversible
