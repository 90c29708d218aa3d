"""What takes time, what is seen late, what lingers: all by the fake's clock, which a test moves."""

import aiohttp
import pytest

from tests.fakes.digitalocean import Clock, FakeDigitalOcean, Lags
from tests.unit.fakes.asking import DROPLET, Client


async def test_a_droplet_is_new_until_it_has_booted_and_has_no_address(client: Client) -> None:
    """The action of its create ends when it is up, not when it was answered."""
    made = (await client.ask("POST", "droplets", DROPLET)).body
    path = f"droplets/{made['droplet']['id']}"

    client.fake.clock.advance(19)
    before = (await client.ask("GET", path)).body["droplet"]
    client.fake.clock.advance(1)
    after = (await client.ask("GET", path)).body["droplet"]

    assert (before["status"], before["networks"]["v4"], before["locked"]) == ("new", [], True)
    assert (after["status"], len(after["networks"]["v4"]), after["locked"]) == ("active", 1, False)
    assert await client.status(made["links"]["actions"][0]) == "completed"


async def test_a_new_object_is_hidden_and_unlisted_as_long_as_its_lags_say(client: Client) -> None:
    """By its id and in lists are two lags; `objects` has none."""
    client.fake.lags.hidden["droplet"] = 2
    client.fake.lags.unlisted["droplet"] = 4
    number = (await client.ask("POST", "droplets", DROPLET)).body["droplet"]["id"]
    seen = []
    for _ in range(3):
        status = (await client.ask("GET", f"droplets/{number}")).status
        seen.append((status, await client.names("droplets", name="web")))
        client.fake.clock.advance(2)

    assert seen == [(404, []), (200, []), (200, ["web"])]
    assert [each["name"] for each in client.fake.objects("droplet")] == ["web"]


async def test_a_snapshot_is_listed_only_some_time_after_its_action_has_completed(client: Client) -> None:
    """A completed action is no proof that the snapshot can be found already."""
    client.fake.lags.unlisted["snapshot"] = 10
    number = await client.droplet()
    action = await client.act(f"droplets/{number}", "snapshot", name="before")

    client.fake.clock.advance(39)
    late = (await client.status(action), await client.names("snapshots", resource_type="droplet"))
    exists = [each["name"] for each in client.fake.objects("snapshot")]
    client.fake.clock.advance(1)

    assert late == ("completed", [])
    assert exists == ["before"]
    assert await client.names("snapshots", resource_type="droplet") == ["before"]
    assert await client.names(f"droplets/{number}/snapshots") == ["before"]


async def test_a_deleted_object_lingers_in_lists_and_is_remembered_by_its_id(client: Client) -> None:
    """By its id and in lists are two lags; `objects` has none."""
    client.fake.lags.remembered["volume"] = 2
    client.fake.lags.lingers["volume"] = 4
    body = {"name": "data", "region": "nyc3", "size_gigabytes": 10}
    volume = (await client.ask("POST", "volumes", body)).body["volume"]["id"]
    assert (await client.ask("DELETE", f"volumes/{volume}")).status == 204
    seen = []
    for _ in range(3):
        seen.append(((await client.ask("GET", f"volumes/{volume}")).status, await client.names("volumes")))
        client.fake.clock.advance(2)

    assert seen == [(200, ["data"]), (404, ["data"]), (404, [])]
    assert client.fake.objects("volume") == []


async def test_deleting_again_is_404_while_the_object_lingers(client: Client) -> None:
    """What a reader still sees is not there to be deleted."""
    client.fake.lags.remembered["droplet"] = client.fake.lags.lingers["droplet"] = 60
    number = await client.droplet()

    deleted = [(await client.ask("DELETE", f"droplets/{number}")).status for _ in range(2)]

    assert deleted == [204, 404]


async def test_an_effect_is_dated_when_it_was_due_not_when_it_was_looked_at(client: Client) -> None:
    """However late the next request is, a lag that follows begins when the effect was due."""
    number = await client.droplet()
    action = await client.act(f"droplets/{number}", "power_off")
    client.fake.clock.advance(3600)
    ended = (await client.ask("GET", f"actions/{action['id']}")).body["action"]

    assert ended["completed_at"] == "2026-01-02T03:05:10Z"


async def test_a_clock_with_a_step_lets_a_poll_without_sleeps_come_to_its_end(client: Client) -> None:
    """Thirty virtual seconds of an action are thirty requests."""
    client.fake.clock.step = 1.0
    number = await client.droplet()
    action = await client.act(f"droplets/{number}", "snapshot", name="s")
    polls = 0
    while await client.status(action) == "in-progress":
        polls += 1

    assert polls == 29


async def test_a_doomed_action_is_errored_and_has_no_effect(client: Client) -> None:
    """One doom is for one action."""
    number = await client.droplet()
    client.fake.doom("snapshot", number)
    first = await client.act(f"droplets/{number}", "snapshot", name="s")
    client.fake.clock.advance(30)
    second = await client.act(f"droplets/{number}", "snapshot", name="s")
    client.fake.clock.advance(30)

    assert (await client.status(first), await client.status(second)) == ("errored", "completed")
    assert len(client.fake.objects("snapshot")) == 1


async def test_a_quietly_doomed_shutdown_completes_and_the_droplet_runs_on(client: Client) -> None:
    """The service calls a shutdown its best effort: completed does not mean off."""
    number = await client.droplet()
    client.fake.doom("shutdown", quietly=True)
    action = await client.act(f"droplets/{number}", "shutdown")
    client.fake.clock.advance(30)

    assert await client.status(action) == "completed"
    assert (await client.ask("GET", f"droplets/{number}")).body["droplet"]["status"] == "active"


async def test_a_droplet_that_finds_no_room_vanishes_after_its_202(client: Client) -> None:
    """An accepted create is no droplet yet."""
    client.fake.doom("create")
    number = await client.droplet()

    assert (await client.ask("GET", f"droplets/{number}")).status == 404
    assert client.fake.objects() == []


async def test_an_app_is_deployed_phase_by_phase(client: Client) -> None:
    """A deployment that fails leaves the one before it active."""
    made = await client.ask("POST", "apps", {"spec": {"name": "shop", "services": [{"name": "web"}]}})
    path = f"apps/{made.body['app']['id']}"
    phases = []
    for _ in range(4):
        its = (await client.ask("GET", f"{path}/deployments")).body["deployments"]
        phases.append(its[0]["phase"])
        client.fake.clock.advance(10)

    assert phases == ["PENDING_BUILD", "BUILDING", "DEPLOYING", "ACTIVE"]
    client.fake.doom("deployment")
    await client.ask("POST", f"{path}/deployments", {"force_build": True})
    client.fake.clock.advance(30)
    its = (await client.ask("GET", f"{path}/deployments")).body["deployments"]
    assert [each["phase"] for each in its] == ["ERROR", "ACTIVE"]


def test_a_lag_of_a_kind_that_there_is_not_is_refused() -> None:
    """A misspelt kind would make a test of a lag a test of nothing."""
    with pytest.raises(ValueError, match="snapshots"):
        Lags(unlisted={"snapshots": 3})


async def test_two_runs_are_the_same_to_the_byte() -> None:
    """Ids and times come from counters and the clock, not from chance."""
    bodies = []
    for _ in range(2):
        async with FakeDigitalOcean(Clock(step=0.5)) as fake, aiohttp.ClientSession() as session:
            client = Client(fake, session)
            made = await client.ask("POST", "volumes", {"name": "v", "region": "nyc3", "size_gigabytes": 1})
            bodies.append(made.body)

    assert bodies[0] == bodies[1]
