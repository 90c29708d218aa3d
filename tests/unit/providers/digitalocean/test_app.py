"""What is special to apps: deployments that fail, and what is taken back of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from providers.contract import (
    ABSENT,
    Call,
    Compensated,
    Done,
    Driver,
    Ended,
    Failed,
    NotDone,
    Outcome,
    Partial,
    Succeeded,
    Unclear,
    Unknown,
    Working,
)
from providers.digitalocean.app import App
from providers.digitalocean.app_spec import alike, veiled
from tests.conformance import Case, Trial
from tests.fakes.digitalocean.apps import BROKEN
from tests.unit.providers.digitalocean.account import Account
from tests.unit.providers.digitalocean.cases import GROWN, SEALED, SHOP, WEB, _app

BROKEN_WEB = WEB | {"image": {"registry_type": "DOCKER_HUB", "repository": "nginx", "tag": BROKEN}}
BAD = {"name": "shop", "services": [BROKEN_WEB]}
NOW = 1_800_000_000_000
CHANGE = Case("update", "update", {"id": "{app}", "spec": BAD}, given=_app)
CREATE = Case("create", "create", {"spec": BAD})


async def driven(driver: Driver, call: Call) -> Outcome:
    """Do what the engine does until there is an outcome that it would not settle itself."""
    handle = None
    while True:
        outcome = await _once(
            driver, msgspec.structs.replace(call, handle=handle), polling=handle is not None
        )
        if isinstance(outcome, Unknown):
            finding = await _found(driver, msgspec.structs.replace(call, handle=handle))
            if isinstance(finding, Done):
                return Succeeded(finding.outputs, finding.after)
            assert isinstance(finding, NotDone), finding
            handle = None
        elif isinstance(outcome, Working):
            handle = outcome.handle
        elif not (isinstance(outcome, Failed) and outcome.transient):
            return outcome


async def _once(driver: Driver, call: Call, *, polling: bool) -> Outcome:
    try:
        return await (driver.poll(call) if polling else driver.apply(call))
    except Ended as ended:
        return ended.outcome


async def _found(driver: Driver, call: Call) -> Any:
    while True:
        try:
            return await driver.find(call)
        except Ended as ended:
            if not isinstance(ended.outcome, Working | Failed | Unknown):
                raise


async def test_a_change_that_cannot_be_deployed_is_taken_back(tmp_path: Path) -> None:
    """The former spec is there again, deployed, and the driver says so by itself."""
    account = Account(tmp_path)
    trial = Trial(App, account, CHANGE)
    outcome = await trial.apply(await trial.plan())

    assert isinstance(outcome, Compensated), outcome
    assert "ERROR" in outcome.message
    assert trial.world.state() == trial.before
    where = f"/v2/apps/{account.words['app']}/deployments"
    phases = [each["phase"] for each in account.ask("GET", where)["deployments"]]
    assert phases == ["ACTIVE", "ERROR", "SUPERSEDED"]


async def test_whichever_answer_is_lost_it_is_taken_back(tmp_path: Path) -> None:
    """Of the change, of the way back, of what is asked in between: the outcome and the app are the same."""
    plain = Trial(App, Account(tmp_path), CHANGE)
    call = await plain.plan()
    asked = len(plain.world.fake.requests)  # type: ignore[attr-defined]
    await driven(plain.driver, call)
    count = len(plain.world.fake.requests) - asked  # type: ignore[attr-defined]
    for after in (False, True):
        for nth in range(1, count + 1):
            account = Account(tmp_path)
            trial = Trial(App, account, CHANGE)
            call = await trial.plan()
            account.fake.lose(after=after, nth=nth)
            outcome = await driven(trial.driver, call)
            where = f"{'after' if after else 'before'} request {nth} of {count}"
            assert isinstance(outcome, Compensated), f"{where}: {outcome}"
            assert trial.world.state() == trial.before, where


async def test_a_way_back_that_fails_too_leaves_what_served_before(tmp_path: Path) -> None:
    """The former spec is back; the deployment that is active is still the first."""
    account = Account(tmp_path)
    trial = Trial(App, account, CHANGE)
    call = await trial.plan()
    account.fake.doom("deployment")
    account.fake.doom("deployment")
    outcome = await trial.apply(call)

    assert isinstance(outcome, Compensated), outcome
    assert trial.world.state() == trial.before


async def test_what_somebody_else_has_changed_since_is_left_alone(tmp_path: Path) -> None:
    """The deployment failed, but the spec is theirs by now: it is partly done, and the undo will meet the conflict."""
    account = Account(tmp_path)
    trial = Trial(App, account, CHANGE)
    call = await trial.plan()
    working = await trial.driver.apply(call)
    assert isinstance(working, Working)
    account.fake.clock.advance(60)
    theirs = {"name": "shop", "services": [BROKEN_WEB | {"instance_count": 2}]}
    account.ask("PUT", f"/v2/apps/{account.words['app']}", {"spec": theirs})
    account.fake.clock.advance(60)
    outcome = await trial.driver.poll(msgspec.structs.replace(call, handle=working.handle))

    assert isinstance(outcome, Partial), outcome
    assert "somebody else" in outcome.message


async def test_a_new_app_that_cannot_be_deployed_is_there_to_be_looked_at(tmp_path: Path) -> None:
    """And goes with its undo."""
    account = Account(tmp_path)
    trial = Trial(App, account, CREATE)
    call = await trial.plan()
    outcome = await trial.apply(call)
    assert isinstance(outcome, Partial), outcome
    assert len(account.fake.objects("app")) == 1
    undone = await trial.apply(trial.undo(call, Succeeded(outcome.outputs, outcome.after)))

    assert isinstance(undone, Succeeded)
    assert account.fake.objects("app") == []


async def test_a_new_app_that_cannot_be_deployed_and_whose_answer_is_lost(tmp_path: Path) -> None:
    """There is never a second one."""
    account = Account(tmp_path)
    trial = Trial(App, account, CREATE)
    call = await trial.plan()
    account.fake.lose(after=True, method="POST")
    outcome = await driven(trial.driver, call)

    assert isinstance(outcome, Partial), outcome
    assert len(account.fake.objects("app")) == 1


async def test_an_app_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    """It has taken the name since the plan: it is neither adopted nor deleted."""
    account = Account(tmp_path)
    trial = Trial(App, account, Case("create", "create", {"spec": SHOP}))
    call = await trial.plan()
    _app(account, BAD)
    outcome = await trial.apply(call)

    assert isinstance(outcome, Failed), outcome
    assert isinstance(await trial.driver.find(call), Unclear)
    assert len(account.fake.objects("app")) == 1


async def test_a_way_back_that_cannot_be_deployed_is_for_somebody_to_look_at(tmp_path: Path) -> None:
    """An undo is not undone: its spec is put back, and what is said of it is not that it is done."""
    account = Account(tmp_path)
    trial = Trial(App, account, Case("update", "update", {"id": "{app}", "spec": GROWN}, given=_app))
    call, outcome = await trial.done()
    undo = msgspec.structs.replace(trial.undo(call, outcome), now=NOW)
    account.fake.doom("deployment")
    undone = await trial.apply(undo)

    assert isinstance(undone, Unknown), undone
    assert isinstance(await trial.driver.find(undo), Unclear)


async def test_a_deployment_that_shows_late_is_waited_for(tmp_path: Path) -> None:
    """And one that never comes is unknown."""
    account = Account(tmp_path)
    account.fake.lags.unlisted["deployment"] = 12
    trial = Trial(App, account, Case("create", "create", {"spec": SHOP}))
    assert isinstance(await trial.apply(await trial.plan()), Succeeded)
    account.fake.lags.unlisted["deployment"] = 1e9
    call = msgspec.structs.replace(
        await Trial(App, account, Case("u", "update", {"id": _id(account), "spec": GROWN})).plan(), now=NOW
    )
    working = await trial.driver.apply(call)
    assert isinstance(working, Working)
    waiting = await trial.driver.poll(msgspec.structs.replace(call, handle=working.handle))
    assert isinstance(waiting, Working)
    late = msgspec.structs.replace(call, handle=waiting.handle, now=NOW + 500)

    assert isinstance(await trial.driver.poll(late), Unknown)


def _id(account: Account) -> str:
    return str(account.fake.objects("app")[0]["id"])


async def test_a_secret_that_stood_in_plain_is_not_put_back_as_its_name(tmp_path: Path) -> None:
    """What is on record of it is a reference, which would become the variable's value."""
    account = Account(tmp_path)
    trial = Trial(App, account, Case("update", "update", {"id": "{app}", "spec": GROWN}, given=_app))
    call, outcome = await trial.done()
    undo = trial.undo(call, outcome)
    before = undo.restore
    assert before is not None
    envs = [{"key": "TOKEN", "value": "${secret.token}"}]
    spec = before.fields["spec"] | {"envs": envs}
    before = msgspec.structs.replace(before, fields=before.fields | {"spec": spec})
    with pytest.raises(Ended) as ended:
        await trial.driver.apply(msgspec.structs.replace(undo, restore=before, after=before))

    assert isinstance(ended.value.outcome, Failed)
    assert ended.value.outcome.code == "secret"


SECRET = {"key": "T", "type": "SECRET", "value": "x"}
LIKE: list[tuple[Any, Any, bool]] = [
    ({"a": 1}, {"a": 1.0}, True),
    ({"a": 1}, {"a": 1, "b": None, "c": [], "d": {}, "e": "", "f": False}, True),
    ({"a": 1}, {"a": 1, "b": 0}, False),
    ({"a": [1, 2]}, {"a": [2, 1]}, False),
    ({"a": [1]}, {"a": [1, 2]}, False),
    ({"a": {"b": "x"}}, {"a": {"b": "y"}}, False),
    ({"a": "pre-${secret.token}"}, {"a": "whatever"}, True),
    (SECRET, SECRET | {"value": "EV[1:2]"}, True),
    (SECRET | {"value": "EV[1:1]"}, SECRET | {"value": "EV[1:2]"}, False),
    (SECRET, SECRET | {"value": "EV[1:2]", "key": "U"}, False),
    ({"key": "T", "value": "x"}, {"key": "T", "value": "y"}, False),
]


@pytest.mark.parametrize(("one", "other", "expected"), LIKE)
def test_specs_are_compared_as_far_as_they_can_be_seen(one: Any, other: Any, expected: bool) -> None:
    """And the other way round."""
    assert alike(one, other) is expected
    assert alike(other, one) is expected


def test_what_cannot_be_seen_is_known() -> None:
    """A secret given in plain, a reference on record; not what the service has sealed."""
    assert veiled(SEALED)
    assert veiled({"envs": [{"value": "${secret.token}"}]})
    assert not veiled(SHOP)
    assert not veiled(SECRET | {"value": "EV[1:2]"})


async def test_a_delete_is_not_taken_back(tmp_path: Path) -> None:
    """Its declaration says so, and a restore that comes all the same makes nothing."""
    account = Account(tmp_path)
    trial = Trial(App, account, Case("delete", "delete", {"id": "{app}"}, given=_app))
    call, outcome = await trial.done()
    assert not trial.verb.compensable
    undone = await trial.apply(trial.undo(call, outcome))

    assert isinstance(undone, Failed)
    assert call.after == ABSENT
    assert account.fake.objects("app") == []
