"""What is special to Spaces keys: a lost answer is a lost secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.contract import Ended, NotDone, Succeeded
from providers.digitalocean.spaces_key import SpacesKey
from tests.conformance import Case, Trial
from tests.unit.providers.digitalocean.account import Account
from tests.unit.providers.digitalocean.cases import KEY

CREATE = Case("create", "create", KEY, once=True)


async def test_one_that_is_listed_late_is_deleted_before_another_is_made(tmp_path: Path) -> None:
    """Its answer was lost, and nobody could see it when it was looked for: there is one key in the end, with its secret."""
    account = Account(tmp_path)
    account.fake.lags.unlisted["spaces_key"] = 10
    trial = Trial(SpacesKey, account, CREATE)
    call = await trial.plan()
    account.fake.lose(after=True, method="POST")
    with pytest.raises(Ended):
        await trial.driver.apply(call)
    assert isinstance(await trial.driver.find(call), NotDone)
    account.fake.clock.advance(20)
    outcome = await trial.driver.apply(call)
    (key,) = account.fake.objects("spaces_key")

    assert isinstance(outcome, Succeeded)
    assert (outcome.outputs["id"], outcome.outputs["secret_key"]) == (key["id"], key["secret_key"])


async def test_one_of_the_same_name_that_is_not_ours_stays(tmp_path: Path) -> None:
    """Made since the plan, with other grants: it is somebody else's."""
    account = Account(tmp_path)
    trial = Trial(SpacesKey, account, CREATE)
    call = await trial.plan()
    account.ask("POST", "/v2/spaces/keys", KEY | {"grants": []})
    assert isinstance(await trial.driver.find(call), NotDone)
    assert isinstance(await trial.driver.apply(call), Succeeded)

    assert len(account.fake.objects("spaces_key")) == 2


def test_its_secret_is_declared() -> None:
    """So that it is sealed; no image has it, and no other verb puts it out."""
    assert SpacesKey.sensitive == {"secret_key"}
    assert [name for name, verb in SpacesKey.verbs.items() if "secret_key" in verb.outputs] == ["create"]
