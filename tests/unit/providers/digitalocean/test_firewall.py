"""A firewall is known by its name, in lists that show what was there a moment ago."""

from __future__ import annotations

from pathlib import Path

from providers.contract import NotDone, Succeeded
from providers.digitalocean.firewall import Firewall
from tests.conformance import Trial
from tests.unit.providers.digitalocean.account import Account
from tests.unit.providers.digitalocean.cases import CASES, SSH

CREATE = next(each for each in CASES[Firewall] if each.verb == "create" and each.refused is None)


async def test_one_that_was_deleted_and_is_still_listed_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    """As when a step is started anew right after it was taken back."""
    account = Account(tmp_path)
    account.fake.lags.unlisted["firewall"] = 30
    account.fake.lags.lingers["firewall"] = 1e9
    old = account.ask("POST", "/v2/firewalls", {"name": CREATE.arguments["name"], "inbound_rules": [SSH]})
    account.ask("DELETE", f"/v2/firewalls/{old['firewall']['id']}")
    trial = Trial(Firewall, account, CREATE)
    call = await trial.plan()
    account.fake.clock.advance(60)

    assert isinstance(await trial.driver.find(call), NotDone)
    outcome = await trial.driver.apply(call)

    assert isinstance(outcome, Succeeded)
    assert [each["id"] for each in account.fake.objects("firewall")] == [outcome.outputs["id"]]
