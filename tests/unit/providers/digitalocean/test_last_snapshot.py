"""A delete with ``snapshot_first``: no droplet goes before its snapshot is there, and no snapshot goes while that is in doubt."""

from __future__ import annotations

from pathlib import Path

import msgspec

from providers.contract import Failed, NotDone, Succeeded, Unknown
from providers.digitalocean.droplet import Droplet
from providers.digitalocean.last_snapshot import Delete
from tests.conformance import Case, MemoryBlobs, Trial
from tests.unit.providers.digitalocean.account import Account
from tests.unit.providers.digitalocean.cases import KEPT

DELETE = Case("delete", "delete", KEPT)
PLAIN = Case("delete", "delete", {"id": "{droplet}"})
DROPLET = "/v2/droplets/*"


async def test_the_droplet_goes_only_when_its_snapshot_is_listed(tmp_path: Path) -> None:
    """Not while it is being taken, nor while the list does not show it."""
    account = Account(tmp_path)
    account.fake.lags.unlisted["snapshot"] = 10
    trial = Trial(Droplet, account, DELETE)
    _, outcome = await trial.done()

    asked = [(each.method, each.path) for each in account.fake.requests]
    deleted = asked.index(("DELETE", f"/v2/droplets/{account.droplet}"))
    assert asked.index(("POST", f"/v2/droplets/{account.droplet}/actions")) < deleted
    assert len([each for each in asked[:deleted] if each == ("GET", "/v2/snapshots")]) >= 3
    assert [each["id"] for each in account.fake.objects("snapshot")] == [str(outcome.outputs["snapshot_id"])]
    assert account.fake.objects("droplet") == []


async def test_without_a_snapshot_it_does_not_go(tmp_path: Path) -> None:
    """The service could not take it: the delete has failed, and nothing has changed."""
    account = Account(tmp_path)
    account.fake.doom("snapshot")
    trial = Trial(Droplet, account, DELETE)
    outcome = await trial.apply(await trial.plan())

    assert isinstance(outcome, Failed), outcome
    assert trial.world.state() == trial.before


async def test_one_that_is_never_listed_leaves_the_droplet(tmp_path: Path) -> None:
    """It was taken, but nobody can see it: that is for somebody to look at."""
    account = Account(tmp_path)
    account.fake.lags.unlisted["snapshot"] = 1e9
    trial = Trial(Droplet, account, DELETE)
    call = await trial.plan()
    working = await trial.driver.apply(call)
    handle = working.handle  # type: ignore[union-attr]
    account.fake.clock.advance(60)
    polled = await trial.driver.poll(msgspec.structs.replace(call, handle=handle, now=1_000))
    handle = polled.handle  # type: ignore[union-attr]
    late = await trial.driver.poll(msgspec.structs.replace(call, handle=handle, now=1_000_000))

    assert isinstance(late, Unknown), late
    assert len(account.fake.objects("droplet")) == 1


async def test_a_delete_that_is_refused_leaves_no_snapshot(tmp_path: Path) -> None:
    """The service says no, and shows the droplet: its snapshot is of no use."""
    account = Account(tmp_path)
    account.fake.fail(422, method="DELETE", path=DROPLET, times=9)
    trial = Trial(Droplet, account, DELETE)
    outcome = await trial.apply(await trial.plan())

    assert isinstance(outcome, Failed), outcome
    assert trial.world.state() == trial.before


async def test_while_it_is_in_doubt_the_snapshot_stays(tmp_path: Path) -> None:
    """The droplet is deleted, the answer lost, and the service still shows it: what is seen to be not done may be done."""
    account = Account(tmp_path)
    account.fake.lags.remembered["droplet"] = 1e9
    trial = Trial(Droplet, account, DELETE)
    call = await trial.plan()
    account.fake.lose(after=True, method="DELETE", path=DROPLET)
    outcome = await trial.attempt(call, lambda _, act: act())

    assert isinstance(outcome, Unknown), outcome
    assert account.fake.objects("droplet") == []
    assert isinstance(await trial.driver.find(call), NotDone)
    assert len(account.fake.objects("snapshot")) == 1


async def test_what_is_made_again_is_like_the_one_that_went(tmp_path: Path) -> None:
    """Name, size, region, tags, features, volumes; made from its snapshot, which is deleted after that."""
    account = Account(tmp_path)
    body = {"name": "db", "size": "s-1vcpu-2gb", "image": "debian-12-x64", "region": "ams3", "ipv6": True}
    account.given["droplet"] = account.ask("POST", "/v2/droplets", body | {"tags": ["db"]})["droplet"]["id"]
    account.fake.clock.advance(60)
    trial = Trial(Droplet, account, DELETE)
    call, outcome = await trial.done()
    again = await trial.apply(trial.undo(call, outcome))
    assert isinstance(again, Succeeded), again
    droplet = next(each for each in account.fake.objects("droplet") if each["name"] == "db")

    assert droplet["id"] == again.outputs["id"] != account.given["droplet"]
    assert droplet["image"]["id"] == outcome.outputs["snapshot_id"]
    assert (droplet["size_slug"], droplet["region"]["slug"], droplet["features"]) == (
        "s-1vcpu-2gb",
        "ams3",
        ["ipv6"],
    )
    assert droplet["tags"] == ["db", "sagad-again-sagad-k-restore"]
    assert account.fake.objects("snapshot") == []


async def test_without_its_snapshot_nothing_can_be_made_again(tmp_path: Path) -> None:
    """A plain delete is final, by its declaration and in truth."""
    account = Account(tmp_path)
    trial = Trial(Droplet, account, PLAIN)
    call, outcome = await trial.done()
    assert outcome.outputs["snapshot_id"] is None
    undone = await trial.apply(trial.undo(call, outcome))

    assert isinstance(undone, Failed)
    assert undone.code == "gone"


def test_only_a_delete_after_a_snapshot_has_a_way_back() -> None:
    """What a step is held to comes from its arguments."""
    driver = Droplet({}, MemoryBlobs())
    plain, kept = (driver.refine("delete", Delete(id=1, snapshot_first=first)) for first in (False, True))

    assert (plain.irreversible, plain.compensable) == (True, False)
    assert (kept.irreversible, kept.compensable, kept.inverse) == (False, True, "create")
