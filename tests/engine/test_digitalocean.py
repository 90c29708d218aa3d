"""Sagas with DigitalOcean in them: a real daemon, and the service on loopback with faults on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from providers.digitalocean import TYPES
from tests.daemon import Daemon
from tests.engine.site import FAIL, Site
from tests.fakes.digitalocean import FakeDigitalOcean

POST = "/v2/droplets/*/actions"
SNAPSHOT = "/v2/snapshots/*"


def _outputs(site: Site, saga: str) -> list[dict[str, Any]]:
    return [step["output"] for step in site.daemon.saga(saga)["steps"]]


def test_a_snapshot_that_was_taken_is_deleted_again(site: Site) -> None:
    """The next step fails: nothing is left, and the ledger says what was done and undone."""
    document = site.daemon.submit(site.saga(FAIL))

    assert document["status"] == "rolled_back"
    assert [step["status"] for step in document["steps"]] == ["compensated", "failed"]
    assert site.posts() == 1
    assert site.fake.objects("snapshot") == []


def test_a_snapshot_is_named_after_the_saga_and_put_out(site: Site) -> None:
    """The name is `sagad-snap-<droplet>-<first 8 of the saga id>`; a second one in the saga gets `-2`."""
    again = {
        "name": "again",
        "do": "digitalocean.droplet_snapshot.create",
        "with": {"droplet_id": site.droplet},
    }
    document = site.daemon.submit(site.saga(again))
    name = f"sagad-snap-{site.droplet}-{document['id'][:8]}"

    assert document["status"] == "completed", document
    assert [each["name"] for each in _outputs(site, document["id"])] == [name, f"{name}-2"]
    assert {each["id"] for each in site.fake.objects("snapshot")} == {
        each["id"] for each in _outputs(site, document["id"])
    }


FAULTS = {
    "the POST, before": {"after": False, "method": "POST", "path": POST},
    "the POST, after": {"after": True, "method": "POST", "path": POST},
    "the DELETE, before": {"after": False, "method": "DELETE", "path": SNAPSHOT},
    "the DELETE, after": {"after": True, "method": "DELETE", "path": SNAPSHOT},
    "a poll": {"after": True, "method": "GET", "path": "/v2/actions/*"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_lost_once_is_found_out(site: Site, fault: str) -> None:
    """Before its effect or after it: one snapshot was ever made, and none is left."""
    site.fake.lose(**FAULTS[fault])  # type: ignore[arg-type]
    document = site.daemon.submit(site.saga(FAIL))

    assert document["status"] == "rolled_back", document
    assert document["steps"][0]["status"] == "compensated"
    assert site.posts() == 1
    assert site.fake.objects("snapshot") == []


def test_killed_between_the_post_and_its_outcome(site: Site) -> None:
    """The one that is being taken is waited for and adopted by its name; no second one is made."""
    site.fake.lags.takes["snapshot"] = 1e9
    site.fake.slow(30, method="POST", path=POST)
    saga = site.daemon.submit(site.saga(), wait=None)["id"]
    site.daemon.wait_until(lambda: bool(site.fake.asked("POST", POST)), 10, "the POST has arrived")
    site.daemon.kill()
    asked = len(site.fake.asked("GET", POST))
    site.daemon.start()
    # Far longer than `settle`: an action that runs is not taken for one that was never begun.
    site.daemon.wait_until(lambda: len(site.fake.asked("GET", POST)) > asked + 60, 20, "it is asked again")
    site.fake.clock.advance(2e9)
    document = site.daemon.wait_ended(saga)

    assert document["status"] == "completed", document
    assert [each["id"] for each in site.fake.objects("snapshot")] == [_outputs(site, saga)[0]["id"]]
    assert site.posts() == 1


def test_killed_while_the_action_runs(site: Site) -> None:
    """The action's id is on record: it is followed on."""
    site.fake.lags.takes["snapshot"] = 1e9
    saga = site.daemon.submit(site.saga(), wait=None)["id"]
    site.daemon.wait_until(
        lambda: len(site.fake.asked("GET", "/v2/actions/*")) > 2, 10, "the action is polled"
    )
    site.daemon.kill()
    site.fake.clock.advance(2e9)
    site.daemon.start()
    document = site.daemon.wait_ended(saga)

    assert document["status"] == "completed", document
    assert site.posts() == 1


def test_a_delete_answered_404_for_one_made_a_moment_ago_is_no_proof(site: Site) -> None:
    """It is not shown by its id for a while: it is asked again, and deleted."""
    site.fake.lags.hidden["snapshot"] = 12
    document = site.daemon.submit(site.saga(FAIL))

    assert document["status"] == "rolled_back", document
    assert site.fake.objects("snapshot") == []


def test_one_that_somebody_else_has_deleted_is_gone(site: Site) -> None:
    """A 404 that stays is done."""
    asks = {"name": "ask", "do": "wait.approval", "with": {"message": "go on?"}}
    saga = site.daemon.submit(site.saga(asks), wait=None)["id"]
    site.daemon.wait_ended(saga)
    site.ask("DELETE", f"/v2/snapshots/{_outputs(site, saga)[0]['id']}")
    site.daemon.say(saga, "cancel")
    site.daemon.wait_until(lambda: site.daemon.saga(saga)["status"] == "rolled_back", 20, "it is rolled back")

    assert site.daemon.saga(saga)["steps"][0]["status"] == "compensated"


def test_one_that_lags_is_waited_for_and_beyond_settle_nobody_knows(site: Site) -> None:
    """Listed late it is found; never listed it is unknown, for somebody to look."""
    site.fake.lags.unlisted["snapshot"] = 10
    assert site.daemon.submit(site.saga(FAIL))["status"] == "rolled_back"
    site.fake.lags.unlisted["snapshot"] = 1e9
    saga = site.daemon.submit(site.saga(FAIL), wait=None)["id"]
    document = site.daemon.wait_ended(saga)

    assert document["hold"] is not None
    assert document["steps"][0]["status"] == "unknown"
    assert "not listed" in json.dumps(document)


def test_an_action_that_ends_badly_has_made_nothing(site: Site) -> None:
    """The step has failed, and there is nothing to undo."""
    site.fake.doom("snapshot")
    document = site.daemon.submit(site.saga())

    assert document["status"] == "rolled_back", document
    assert site.fake.objects("snapshot") == []


def test_a_service_that_is_down_or_busy_is_waited_for(site: Site) -> None:
    """Polls that are answered 503 or 429 are asked again; nothing is begun anew."""
    site.fake.fail(503, method="GET", path="/v2/actions/*", times=3)
    site.fake.limit(retry_after=0, method="GET", path="/v2/snapshots", times=2)
    document = site.daemon.submit(site.saga())

    assert document["status"] == "completed", document
    assert site.posts() == 1


def test_a_droplet_that_is_not_there_fails_the_plan(site: Site) -> None:
    """Nothing is posted."""
    missing = {"name": "snap", "do": "digitalocean.droplet_snapshot.create", "with": {"droplet_id": 1}}
    document = site.daemon.submit({"saga": "missing", "steps": [missing]})

    assert document["status"] == "rolled_back"
    assert "there is no droplet 1" in json.dumps(document)
    assert site.fake.asked("POST", POST) == []


def test_its_types_are_there_once_a_token_is_named(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And not before: without one no step can name them."""
    types = {each["type"]: each for each in site.daemon.ask("GET", "/v1/providers")[1]["providers"]}
    assert set(TYPES) <= set(types)
    assert types["digitalocean.droplet_snapshot"]["verbs"]["create"]["settle"] == 500
    with Daemon(tmp_path_factory.mktemp("plain")) as plain:
        others = {each["type"] for each in plain.ask("GET", "/v1/providers")[1]["providers"]}
        status, problem = plain.ask("POST", "/v1/sagas", {"saga": site.saga()})

    assert not set(TYPES) & others
    assert status == 422, problem


def test_a_new_token_counts_at_once_and_new_settings_after_a_reload(site: Site, tmp_path: Path) -> None:
    """A wrong token fails the step in the service's words; the settings are read again on request."""
    (tmp_path / "secrets" / "do-token").write_text("no-such-token")
    refused = site.daemon.submit(site.saga())
    (tmp_path / "secrets" / "other").write_text(FakeDigitalOcean.token)
    config = site.daemon.config.read_text().replace('"do-token"', '"other"').replace('"500ms"', '"700ms"')
    site.daemon.config.write_text(config)
    assert site.daemon.ask("POST", "/v1/reload")[0] == 200
    types = {each["type"]: each for each in site.daemon.ask("GET", "/v1/providers")[1]["providers"]}

    assert "answered 401" in json.dumps(refused)
    assert site.daemon.submit(site.saga())["status"] == "completed"
    assert types["digitalocean.droplet_snapshot"]["verbs"]["create"]["settle"] == 700


def test_a_site_is_made_and_taken_back(site: Site) -> None:
    """A droplet, a volume attached to it, a record of its address, a firewall: then something fails."""
    site.ask("POST", "/v2/domains", {"name": "harbour.example"})
    before = sorted(str(each.get("id", each["name"])) for each in site.fake.objects())
    web = {"name": "web-2", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3"}
    ssh = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.0/24"]}}
    record = {
        "domain": "harbour.example",
        "type": "A",
        "name": "www",
        "data": "${steps.web.ip_address}",
    }
    steps = [
        ("web", "droplet.create", web),
        ("disk", "volume.create", {"name": "data", "region": "nyc3", "size_gigabytes": 10}),
        (
            "attach",
            "volume.attach",
            {"id": "${steps.disk.id}", "droplet_id": "${steps.web.id}"},
        ),
        ("record", "domain_record.create", record),
        (
            "wall",
            "firewall.create",
            {"name": "wall", "inbound_rules": [ssh], "droplet_ids": ["${steps.web.id}"]},
        ),
    ]
    made = [{"name": name, "do": f"digitalocean.{verb}", "with": given} for name, verb, given in steps]
    document = site.daemon.submit({"saga": "site", "steps": [*made, FAIL]})

    assert document["status"] == "rolled_back", json.dumps(document, indent=1)
    assert [step["status"] for step in document["steps"]] == ["compensated"] * 5 + ["failed"]
    assert sorted(str(each.get("id", each["name"])) for each in site.fake.objects()) == before


def test_no_token_is_written_anywhere(site: Site, tmp_path: Path) -> None:
    """Not in the record, not in the log."""
    site.daemon.submit(site.saga(FAIL))
    site.daemon.stop()

    for file in (path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "secrets"):
        assert FakeDigitalOcean.token.encode() not in file.read_bytes(), file


def test_a_firewall_that_is_made_anew_gets_its_earlier_rules_back(site: Site) -> None:
    """Changed, then deleted, then something fails: the change is taken back from the firewall with the new id."""
    ssh = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.0/24"]}}
    web = {"protocol": "tcp", "ports": "80", "sources": {"addresses": ["0.0.0.0/0"]}}
    body = {"name": "wall", "inbound_rules": [ssh], "droplet_ids": [site.droplet]}
    wall = str(site.ask("POST", "/v2/firewalls", body)["firewall"]["id"])
    site.fake.clock.advance(60)
    steps = [
        {
            "name": "open",
            "do": "digitalocean.firewall.update",
            "with": {"id": wall, "inbound_rules": [ssh, web]},
        },
        {"name": "drop", "do": "digitalocean.firewall.delete", "with": {"id": wall}},
        FAIL,
    ]
    document = site.daemon.submit({"saga": "walls", "steps": steps})
    (left,) = site.fake.objects("firewall")

    assert document["status"] == "rolled_back", document
    assert left["id"] != wall
    assert [rule["ports"] for rule in left["inbound_rules"]] == ["22"]
    assert left["droplet_ids"] == [site.droplet]
