"""What is special to reserved addresses: they have no name, come late and go late."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from providers.contract import Ended, Failed, Succeeded, Unknown, Working
from providers.digitalocean.reserved_ip import Create, ReservedIp
from tests.conformance import Case, MemoryBlobs, Trial
from tests.unit.providers.digitalocean.account import Account
from tests.unit.providers.digitalocean.cases import _address, _to_ours
from tests.unit.providers.digitalocean.test_lost import brought_to_its_end

CREATE = Case("create", "create", {"region": "nyc3"})
ASSIGN = Case("assign", "assign", {"id": "{address}", "droplet_id": "{droplet}"}, given=_address)


@pytest.mark.parametrize("lag", ["hidden", "unlisted"])
async def test_one_that_comes_late_is_waited_for(tmp_path: Path, lag: str) -> None:
    """404 right after it was made, or missing in the list: it is made once, and the next is another."""
    account = Account(tmp_path)
    getattr(account.fake.lags, lag)["reserved_ip"] = 6
    first = await brought_to_its_end((trial := Trial(ReservedIp, account, CREATE)).driver, await trial.plan())
    account.fake.lose(after=True, method="POST")
    again = Trial(ReservedIp, account, CREATE)
    getattr(account.fake.lags, lag).clear()
    second = await brought_to_its_end(again.driver, await again.plan(key="k-2"))

    assert first.outputs["ip"] != second.outputs["ip"]
    assert {each["ip"] for each in account.fake.objects("reserved_ip")} == {
        first.outputs["ip"],
        second.outputs["ip"],
    }


async def test_one_counts_as_made_only_when_the_list_shows_it(tmp_path: Path) -> None:
    """Else the next plan would not note it, and take it for its own."""
    account = Account(tmp_path)
    account.fake.lags.unlisted["reserved_ip"] = 20
    _, outcome = await Trial(ReservedIp, account, CREATE).done()
    listed = account.ask("GET", "/v2/reserved_ips")["reserved_ips"]

    assert [each["ip"] for each in listed] == [outcome.outputs["ip"]]


async def test_one_that_goes_late_is_asked_for_again(tmp_path: Path) -> None:
    """A DELETE whose answer was lost, and the address is still shown: 404 and shown is no success yet."""
    account = Account(tmp_path)
    account.fake.lags.remembered["reserved_ip"] = 12
    trial = Trial(ReservedIp, account, Case("delete", "delete", {"id": "{address}"}, given=_to_ours))
    call = await trial.plan()
    account.fake.lose(after=True, method="DELETE")
    with pytest.raises(Ended):
        await trial.driver.apply(call)
    outcome = await trial.driver.apply(call)

    assert isinstance(outcome, Failed)
    assert outcome.transient
    assert isinstance(await _until(trial, call), Succeeded)


async def _until(trial: Trial, call: object) -> object:
    for _ in range(9):
        outcome = await trial.driver.apply(call)  # type: ignore[arg-type]
        if isinstance(outcome, Succeeded):
            return outcome
    return None


async def test_several_that_are_new_are_for_somebody_to_look_at(tmp_path: Path) -> None:
    """Nothing tells which is ours."""
    account = Account(tmp_path)
    trial = Trial(ReservedIp, account, CREATE)
    call = await trial.plan()
    _address(account)
    _address(account)
    with pytest.raises(Ended) as ended:
        await trial.driver.apply(call)

    assert isinstance(ended.value.outcome, Unknown)
    assert len(account.fake.objects("reserved_ip")) == 2


async def test_a_droplet_that_is_busy_is_tried_again(tmp_path: Path) -> None:
    """One action at a time: the service's 422 says so, and is no last word."""
    account = Account(tmp_path)
    trial = Trial(ReservedIp, account, ASSIGN)
    call = await trial.plan()
    account.fake.lags.takes["rename"] = 1e9
    account.ask("POST", f"/v2/droplets/{account.droplet}/actions", {"type": "rename", "name": "busy"})
    with pytest.raises(Ended) as ended:
        await trial.driver.apply(call)

    assert isinstance(ended.value.outcome, Failed)
    assert ended.value.outcome.transient


async def test_one_that_is_being_assigned_is_not_given_back_yet(tmp_path: Path) -> None:
    """It is locked for the moment."""
    account = Account(tmp_path)
    trial = Trial(ReservedIp, account, Case("delete", "delete", {"id": "{address}"}, given=_address))
    call = await trial.plan()
    account.fake.lags.takes["assign"] = 1e9
    where = f"/v2/reserved_ips/{account.words['address']}/actions"
    account.ask("POST", where, {"type": "assign", "droplet_id": account.droplet})
    outcome = await trial.driver.apply(call)

    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.transient) == ("locked", True)


async def test_an_action_that_is_never_shown_is_read_off_the_address(tmp_path: Path) -> None:
    """The address says whose it is."""
    account = Account(tmp_path)
    account.fake.lags.hidden["action"] = 1e9
    trial = Trial(ReservedIp, account, ASSIGN)
    call = await trial.plan()
    outcome = await trial.driver.apply(call)
    while isinstance(outcome, Working):
        outcome = await trial.driver.poll(msgspec.structs.replace(call, handle=outcome.handle))

    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["droplet_id"] == account.droplet


@pytest.mark.parametrize("given", [{}, {"region": "nyc3", "droplet_id": 1}])
def test_either_a_region_or_a_droplet(given: dict[str, object]) -> None:
    """Not both, not neither."""
    driver = ReservedIp({}, MemoryBlobs())

    assert driver.check("create", msgspec.convert(given, Create)) != []
