"""Drift through the socket of a real daemon, with files and with a fake DigitalOcean behind it."""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.daemon import Daemon
from tests.fakes.digitalocean import Clock, FakeDigitalOcean

pytestmark = pytest.mark.slow

Record = dict[str, Any]
DROPLET = "digitalocean.droplet"


class Site:
    """A daemon, the account that it works on, and what somebody else does there."""

    def __init__(self, daemon: Daemon, fake: FakeDigitalOcean, folder: Path) -> None:
        self.daemon = daemon
        self.fake = fake
        self.folder = folder
        self._before: set[str] = set()
        self._seq = 0

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the service as somebody else does."""
        headers = {"Authorization": f"Bearer {self.fake.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.fake.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return dict(json.loads(answer.read() or b"{}"))

    def droplet(self, name: str) -> int:
        """Have a droplet made that nobody keeps."""
        body = {"name": name, "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3"}
        made: int = self.call("POST", "/v2/droplets", body)["droplet"]["id"]
        self.fake.clock.advance(60)
        return made

    def changed(self, id_: int, **fields: Any) -> None:
        """Have a droplet be something else, as somebody else would."""
        with self.fake.cloud.lock:
            self.fake.cloud.get("droplet", str(id_)).fields.update(fields)

    def kept(self, name: str, id_: int, type_: str = DROPLET, **more: Any) -> None:
        """Have it kept."""
        status, answer = self.daemon.ask(
            "POST", f"/v1/resources/{type_}/{name}/import", {"id": str(id_), **more}
        )
        assert status == 200, answer

    def detect(self, **scope: str) -> dict[str, Any]:
        """Look and compare."""
        status, answer = self.daemon.ask("POST", "/v1/drift/detect", scope)
        assert status == 200, answer
        return dict(answer)

    def records(self, status: str = "open") -> list[Record]:
        """The records of a status."""
        code, answer = self.daemon.ask("GET", f"/v1/drift?status={status}")
        assert code == 200, answer
        return [each for each in answer["drift"] if each["id"] not in self._before]

    def begin(self, folder: Path) -> None:
        """Begin with nothing on record, nothing in the account, and a folder of its own."""
        self.folder = folder
        for each in self.daemon.ask("GET", "/v1/resources?limit=1000")[1]["resources"]:
            route = f"/v1/resources/{each['type']}/{quote(each['id'] or each['name'], safe='')}/forget"
            assert self.daemon.ask("POST", route, {})[0] == 200
        self.detect()
        self._before = {
            each["id"] for each in self.daemon.ask("GET", "/v1/drift?status=all&limit=1000")[1]["drift"]
        }
        self._seq = max(
            (each["seq"] for each in self.daemon.ask("GET", "/v1/events")[1]["events"]), default=0
        )

    def say(self, record: Record, verb: str, query: str = "", **body: Any) -> tuple[int, dict[str, Any]]:
        """Say something about a record."""
        return self.daemon.ask("POST", f"/v1/drift/{record['id']}/{verb}{query}", body)

    def resource(self, name: object, type_: str = DROPLET) -> dict[str, Any]:
        """A resource's record."""
        status, answer = self.daemon.ask("GET", f"/v1/resources/{type_}/{quote(str(name), safe='')}")
        assert status == 200, answer
        return dict(answer)

    def events(self, prefix: str = "drift.") -> list[dict[str, Any]]:
        """What happened."""
        found = self.daemon.ask("GET", f"/v1/events?after={self._seq}")[1]["events"]
        return [each for each in found if each["type"].startswith(prefix)]

    def file(self, name: str, content: str = "wanted", **more: Any) -> Path:
        """Have a file made and kept."""
        path = self.folder / name
        step = {
            "name": "f",
            "do": "local.file.create",
            "with": {"path": str(path), "content": content, **more},
        }
        assert self.daemon.submit({"saga": "file", "steps": [step]})["status"] == "completed"
        return path

    def warnings(self) -> str:
        """What health warns of."""
        return "\n".join(self.daemon.ask("GET", "/v1/health")[1]["warnings"])

    def settings(self, **drift: Any) -> None:
        """Run with other settings."""
        text = self.daemon.config.read_text().partition("[drift]")[0]
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in drift.items())
        self.daemon.config.write_text(f"{text}[drift]\n{lines}\n")
        assert self.daemon.ask("POST", "/v1/reload")[0] == 200


@pytest.fixture
def site(shared: Site, tmp_path: Path) -> Iterator[Site]:
    """The daemon, with nothing on record; it is afterwards as it was before."""
    config = shared.daemon.config.read_text()
    folder = shared.daemon.folder / "srv" / tmp_path.name
    folder.mkdir()
    shared.begin(folder)
    yield shared
    shared.fake.faults.clear()
    shared.fake.lags.unlisted.clear()
    with shared.fake.cloud.lock:
        shared.fake.cloud._things.clear()
    shared.daemon.config.write_text(config)
    if shared.daemon.process is not None and shared.daemon.process.poll() is None:
        assert shared.daemon.ask("POST", "/v1/reload")[0] == 200
    else:
        shared.daemon.start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon whose provider is the fake; it looks with a token that may only read."""
    tmp_path = tmp_path_factory.mktemp("drift")
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "do-token").write_text(FakeDigitalOcean.token)
    (secrets / "do-read").write_text(FakeDigitalOcean.read_token)
    (secrets / "verify").write_text("a-secret-that-nobody-sees")
    (tmp_path / "srv").mkdir()
    fake = FakeDigitalOcean(Clock(step=1.0))
    with fake.in_thread():
        settings = (
            f'[secrets]\ndir = "{secrets}"\n[providers.digitalocean]\ntoken = "do-token"\nread_token = "do-read"\n'
            f'base_url = "{fake.url}"\npoll = "20ms"\nsettle = "200ms"\n'
            f'[providers.local]\nroots = ["{tmp_path}/srv"]\n'
        )
        with Daemon(tmp_path, settings) as daemon:
            yield Site(daemon, fake, tmp_path / "srv")


# --- what is found ---------------------------------------------------------------------------------------------------


def test_a_wrong_size_is_one_record_and_one_event_until_it_is_accepted(site: Site) -> None:
    """The region is right; a second sweep opens nothing; the spec is then what is there, and nothing differs."""
    web = site.droplet("web")
    site.kept("web", web, spec={"size": "s-2vcpu-2gb", "region": "nyc3"})
    first, second = site.detect(), site.detect()
    (record,) = site.records()
    status, answer = site.say(record, "accept", reason="it is enough")
    third = site.detect()

    assert [first["opened"], second["opened"], second["still_open"], third["opened"]] == [1, 0, 1, 0]
    assert (record["type"], record["name"], record["field"], record["kind"]) == (
        DROPLET,
        "web",
        "size",
        "changed",
    )
    assert (record["wanted"], record["live"], record["count"]) == ("s-2vcpu-2gb", "s-1vcpu-1gb", 2)
    assert [each["type"] for each in site.events()] == ["drift.detected", "drift.accepted"]
    assert (status, answer["did"]) == (200, "accepted")
    assert any("size" in line and "s-1vcpu-1gb" in line for line in answer["lines"])
    assert (site.resource("web")["spec"]["size"], site.resource("web")["spec_version"]) == ("s-1vcpu-1gb", 2)
    assert third["drift"] == []
    (closed,) = site.records("accepted")
    assert closed["resolved_by"] == answer["drift"][0]["resolved_by"] is not None


def test_what_was_fixed_elsewhere_is_stale(site: Site) -> None:
    """With an event; should it come back, it is a new record."""
    web = site.droplet("web")
    site.kept("web", web, spec={"name": "web"})
    site.changed(web, name="other")
    site.detect()
    site.changed(web, name="web")
    report = site.detect()
    site.changed(web, name="other")
    again = site.detect()

    assert (report["stale"], report["drift"]) == (1, [])
    assert [each["type"] for each in site.events()] == ["drift.detected", "drift.stale", "drift.detected"]
    assert again["opened"] == 1
    assert len(site.records("all")) == 2


def test_what_was_seen_is_shown_beside_the_record(site: Site) -> None:
    """And nothing else was done than looked, with the token that may only do that."""
    web = site.droplet("web")
    site.kept("web", web)
    asked = len(site.fake.requests)
    site.detect()
    shown = site.resource("web")

    assert shown["live"]["size"] == "s-1vcpu-1gb"
    assert shown["seen_at"] is not None
    assert shown["seen_error"] is None
    assert {(each.method, each.token) for each in site.fake.requests[asked:]} == {
        ("GET", FakeDigitalOcean.read_token)
    }


def test_one_trouble_hides_nothing_else(site: Site) -> None:
    """A list that does not come, a file that may not be read: they are unknown, and named; the others are right."""
    web = site.droplet("web")
    site.kept("web", web, spec={"size": "s-2vcpu-2gb"})
    volume = site.call("POST", "/v2/volumes", {"name": "data", "region": "nyc3", "size_gigabytes": 10})
    site.kept("data", volume["volume"]["id"], "digitalocean.volume")
    for folder in ("open", "closed"):
        (site.folder / folder).mkdir()
    page, secret = site.file("open/page"), site.file("closed/page")
    site.detect()
    site.fake.fail(503, method="GET", path="/v2/volumes", times=100)
    config = site.daemon.config.read_text()
    inside = config.replace(f'roots = ["{site.folder.parent}"]', f'roots = ["{site.folder}/open"]')
    site.daemon.config.write_text(inside)
    site.daemon.stop()  # roots count from a start on
    site.daemon.start()
    page.write_text("changed")
    report = site.detect()
    data = site.resource("data", "digitalocean.volume")
    site.daemon.stop()  # the next one is to start with the roots of before

    assert {(each["type"], each["name"]) for each in report["unknown"]} == {
        ("digitalocean.volume", "data"), ("local.file", str(secret)),
    }  # fmt: skip
    assert "503" in report["unknown"][0]["why"] + report["unknown"][1]["why"]
    assert {(each["name"], each["field"]) for each in report["drift"]} == {
        ("web", "size"),
        (str(page), "sha256"),
    }
    assert data["seen_error"] is not None
    assert data["live"]["size_gigabytes"] == 10


def test_a_resource_that_a_saga_is_at_is_passed_over(site: Site) -> None:
    """What it has done so far is no drift."""
    page = site.file("page")
    update = {"name": "u", "do": "local.file.update", "with": {"path": str(page), "content": "new"}}
    asks = {"name": "ask", "do": "wait.approval", "with": {"message": "go on?"}}
    saga = site.daemon.submit({"saga": "slow", "steps": [update, asks]})
    page.write_text("neither")
    report = site.detect()
    site.daemon.say(saga["id"], "cancel")
    site.daemon.say(saga["id"], "abandon", reason="it is over")
    site.daemon.wait_until(lambda: site.daemon.saga(saga["id"])["status"] == "failed", 10, "it has let go")
    after = site.detect()

    assert saga["hold"] is not None
    assert (report["opened"], report["passed_over_count"]) == (0, 1)
    assert saga["id"] in report["passed_over"][0]["why"]
    assert (after["opened"], after["passed_over_count"]) == (1, 0)


def test_a_path_in_a_list_is_found_accepted_and_reverted(site: Site) -> None:
    """In whatever order and form the service shows it, the place is the spec's."""
    every = {"protocol": "tcp", "ports": "0", "sources": {"addresses": ["192.0.2.0/24"]}}
    ssh = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.0/24", "198.51.100.0/24"]}}
    wall = site.call("POST", "/v2/firewalls", {"name": "wall", "inbound_rules": [every, ssh]})["firewall"][
        "id"
    ]
    wanted = [every | {"ports": "all"}, ssh | {"sources": {"addresses": ssh["sources"]["addresses"][::-1]}}]  # type: ignore[index]
    site.kept("wall", wall, "digitalocean.firewall", spec={"inbound_rules": wanted})

    def shown(ports: str) -> None:
        with site.fake.cloud.lock:
            fields = site.fake.cloud.get("firewall", wall).fields
            fields["inbound_rules"] = [ssh | {"ports": ports}, every]

    same = site.detect()
    shown("2222")
    site.detect()
    (record,) = site.records()
    _, accepted = site.say(record, "accept")
    after = site.detect()
    shown("22")
    site.detect()
    (again,) = site.records()
    _, reverted = site.say(again, "revert", "?wait=20s")
    last = site.detect()

    assert (same["there"], same["opened"]) == (1, 0)
    assert (record["field"], record["wanted"], record["live"]) == ("inbound_rules[1].ports", "22", "2222")
    assert '"ports":"2222"' in accepted["lines"][-1]
    spec = site.resource("wall", "digitalocean.firewall")["spec"]
    assert spec == {"inbound_rules": [wanted[0], wanted[1] | {"ports": "2222"}]}
    assert (after["drift"], again["field"]) == ([], "inbound_rules[1].ports")
    assert reverted["drift"][0]["status"] == "reverted", reverted
    assert last["drift"] == []
    assert sorted(each["ports"] for each in site.fake.objects("firewall")[0]["inbound_rules"]) == [
        "0",
        "2222",
    ]


# --- what is missing ------------------------------------------------------------------------------------------------


def test_what_is_gone_is_missing_after_two_looks_and_made_again(site: Site) -> None:
    """Once is not enough. The new one has another id, under which the record goes on; the old one is nobody's."""
    made = {"name": "web", "do": f"{DROPLET}.create", "as": "web"}
    made["with"] = {"name": "web", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3"}  # type: ignore[assignment]
    assert site.daemon.submit({"saga": "made", "steps": [made]})["status"] == "completed"
    site.kept("db", site.droplet("db"))
    site.detect()
    old = site.resource("web")
    site.call("DELETE", f"/v2/droplets/{old['id']}")
    once, twice = site.detect(), site.detect()
    (record,) = site.records()
    status, answer = site.say(record, "revert", "?wait=20s")
    new = site.resource("web")
    site.fake.clock.advance(60)
    last = site.detect()

    assert (once["opened"], once["absent"], twice["opened"]) == (0, 1, 1)
    assert (record["kind"], record["field"], record["live"]) == ("missing", None, None)
    assert (status, answer["saga"]["status"], answer["drift"][0]["status"]) == (
        200,
        "completed",
        "reverted",
    ), answer
    assert new["id"] not in (None, old["id"])
    assert new["spec"] == old["spec"]
    assert new["spec_version"] == old["spec_version"] + 1
    resources = site.daemon.ask("GET", "/v1/resources")[1]["resources"]
    assert sorted(each["name"] for each in resources) == ["db", "web"]
    assert (last["drift"], last["unknown_count"]) == ([], 0)


def test_wrong_credentials_never_make_anything_missing(site: Site) -> None:
    """Refused ones, those of another account, those of an empty one: nothing is missing, and health warns."""
    for name in ("one", "two"):
        site.kept(name, site.droplet(name))
    site.detect()
    token = site.daemon.folder / "secrets" / "do-read"
    token.write_text("refused")
    refused = [site.detect() for _ in range(3)]
    token.write_text(FakeDigitalOcean.read_token)
    assert site.detect()["there"] == 2
    own = site.fake.url
    other = FakeDigitalOcean(Clock(step=1.0))
    with other.in_thread():
        config = site.daemon.config.read_text()
        site.daemon.config.write_text(config.replace(own, other.url))
        assert site.daemon.ask("POST", "/v1/reload")[0] == 200
        empty = [site.detect() for _ in range(3)]
        elsewhere = Site(site.daemon, other, site.folder)
        other.cloud._numbers = itertools.count(9_000_001)  # no id of ours
        elsewhere.droplet("theirs")
        strange = [site.detect() for _ in range(3)]
        alarmed = site.warnings()
        site.daemon.config.write_text(config)
        assert site.daemon.ask("POST", "/v1/reload")[0] == 200
        back = site.detect()

    assert [each["unknown_count"] for each in refused] == [2, 2, 2]
    assert "401" in refused[0]["unknown"][0]["why"]
    assert [len(each["alarms"]) for each in (*empty, *strange)] == [1] * 6
    assert "the right account" in alarmed
    assert site.records("all") == []
    assert (back["there"], back["alarms"], site.warnings()) == (2, [], "")
    assert [each["type"] for each in site.events()] == ["drift.alarmed", "drift.calmed"]


def test_mass_absence_is_an_alarm(site: Site) -> None:
    """Most of it gone at once is a disk that is not mounted, not drift."""
    pages = [site.file(f"page{number}") for number in range(5)]
    site.detect()
    for page in pages[:3]:
        page.rename(page.with_suffix(".gone"))
    reports = [site.detect() for _ in range(3)]
    pages[0].with_suffix(".gone").rename(pages[0])
    fewer = [site.detect() for _ in range(2)]

    assert [(each["opened"], len(each["alarms"])) for each in reports] == [(0, 1)] * 3
    assert [(each["opened"], len(each["alarms"])) for each in fewer] == [(0, 0), (2, 0)]


def test_a_list_that_lags_makes_nothing_missing(site: Site) -> None:
    """What is not listed is asked for by itself, with the token that may only read."""
    site.fake.lags.unlisted["droplet"] = 1e9
    web = site.droplet("web")
    site.kept("web", web)
    asked = len(site.fake.requests)
    reports = [site.detect() for _ in range(3)]
    by_id = [each for each in site.fake.requests[asked:] if each.path == f"/v2/droplets/{web}"]

    assert [each["there"] for each in reports] == [1, 1, 1]
    assert [each.token for each in by_id] == [FakeDigitalOcean.read_token] * 3
    assert site.records("all") == []


# --- what is done about it ------------------------------------------------------------------------------------------


def test_a_revert_sets_back_what_was_wanted(site: Site) -> None:
    """By the verb that takes the field; a file's content from what was done before; each with a way back."""
    web, page = site.droplet("web"), site.file("page", mode="0640")
    site.kept("web", web, spec={"name": "web"})
    site.changed(web, name="other")
    page.write_text("changed")
    page.chmod(0o600)
    site.detect()
    told = {record["field"]: site.say(record, "revert", "?wait=20s") for record in site.records()}

    assert {field: answer["drift"][0]["status"] for field, (_, answer) in told.items()} == {
        "name": "reverted", "sha256": "reverted", "mode": "reverted",
    }  # fmt: skip
    assert site.fake.objects("droplet")[0]["name"] == "web"
    assert (page.read_text(), oct(page.stat().st_mode & 0o777)) == ("wanted", "0o640")
    for _, answer in told.values():
        assert answer["drift"][0]["resolved_by"] == answer["saga"]["id"]
        assert answer["saga"]["kind"] == "drift-revert"
    rolled_back = site.daemon.say(told["sha256"][1]["saga"]["id"], "rollback")[1]["saga"]["id"]
    site.daemon.wait_ended(rolled_back)
    assert page.read_text() == "changed"


def test_a_revert_that_fails_leaves_the_record_open_with_why(site: Site) -> None:
    """Its saga rolls back; the next one may be better."""
    web = site.droplet("web")
    site.kept("web", web, spec={"name": "web"})
    site.changed(web, name="other")
    site.detect()
    (record,) = site.records()
    site.fake.doom("rename")
    _, failed = site.say(record, "revert", "?wait=20s")
    _, done = site.say(record, "revert", "?wait=20s")

    assert failed["saga"]["status"] == "rolled_back"
    assert (failed["drift"][0]["status"], failed["drift"][0]["resolved_by"]) == ("open", None)
    assert failed["saga"]["id"] in failed["drift"][0]["why"]
    assert (done["drift"][0]["status"], done["drift"][0]["why"]) == ("reverted", None)
    assert [each["type"] for each in site.events()][1:] == [
        "drift.revert_started", "drift.revert_failed", "drift.revert_started", "drift.reverted",
    ]  # fmt: skip


def test_what_no_verb_sets_back_says_so(site: Site) -> None:
    """And what is possible."""
    site.kept("web", site.droplet("web"), spec={"region": "ams3"})
    page = site.folder / "page"
    page.write_text("theirs")
    assert (
        site.daemon.ask("POST", f"/v1/resources/local.file/{quote(str(page), safe='')}/import", {})[0] == 200
    )
    page.write_text("changed")
    site.detect()
    told = {record["field"]: site.say(record, "revert") for record in site.records()}

    assert {status for status, _ in told.values()} == {409}
    assert all("sagactl drift accept" in answer["detail"] for _, answer in told.values())
    assert "`region`" in told["region"][1]["detail"]
    assert {each["resolved_by"] for each in site.records()} == {None}


def test_all_of_it_is_reverted_by_a_batch(site: Site) -> None:
    """A saga a resource, each for itself; what cannot be is named."""
    pages = [site.file(f"page{number}", mode="0640") for number in range(3)]
    site.kept("web", site.droplet("web"), spec={"region": "ams3"})
    for page in pages:
        page.write_text("changed")
        page.chmod(0o600)
    site.detect()
    status, answer = site.daemon.ask("POST", "/v1/drift/revert", {})
    site.daemon.wait_ended(answer["batch"])
    site.daemon.wait_until(lambda: len(site.records("reverted")) == 6, 10, "the records are closed")

    assert status == 200
    assert "not digitalocean.droplet/web" in answer["detail"]
    assert len({each["resolved_by"] for each in site.records("reverted")}) == 3
    assert [page.read_text() for page in pages] == ["wanted"] * 3
    assert [each["field"] for each in site.records()] == ["region"]


def test_what_is_ignored_is_not_heard_of_until_the_rule_is_over(site: Site) -> None:
    """Neither listed nor recorded; a rule whose time is up says so once."""
    page = site.file("page", mode="0640")
    page.chmod(0o600)
    site.detect()
    (record,) = site.records()
    _, answer = site.say(record, "ignore", reason="the editor does it", scope="resource", expires="700ms")
    hidden, everything = site.records(), site.records("all")
    page.write_text("changed")
    ignored = site.detect()
    site.daemon.wait_until(lambda: bool(site.records()), 10, "the rule is over")
    heard = [site.detect() for _ in range(2)]

    assert answer["rule"]["reason"] == "the editor does it"
    assert (hidden, [each["ignored"] for each in everything]) == ([], [answer["rule"]["id"]])
    assert (ignored["opened"], ignored["drift"]) == (0, [])
    assert [each["opened"] for each in heard] == [1, 0]
    assert [each["type"] for each in site.events()].count("drift.heeded") == 1


def test_a_rule_of_a_type_can_be_ended(site: Site) -> None:
    """It hides the field of all; another field is heard of."""
    one, two = site.file("one", mode="0640"), site.file("two", mode="0640")
    one.chmod(0o600)
    site.detect()
    (record,) = site.records()
    _, answer = site.say(record, "ignore", reason="umask", scope="type")
    two.chmod(0o600)
    two.write_text("changed")
    found = site.detect()["drift"]
    status, _ = site.daemon.ask("POST", f"/v1/drift/rules/{answer['rule']['id']}/heed", {})
    site.detect()

    assert [(each["name"], each["field"]) for each in found] == [(str(two), "sha256")]
    assert status == 200
    assert len(site.records()) == 3
    assert site.daemon.ask("GET", "/v1/drift/rules")[1] == {"rules": []}


def test_who_fights_is_noticed_and_not_fed(site: Site) -> None:
    """Reverted by the settings twice within the hour; the third time health says so instead."""
    site.settings(auto_revert=["local.file"], auto_revert_limit=2)
    page = site.file("page")
    for number in range(3):
        page.write_text(f"theirs {number}")
        site.detect()
        if number < 2:
            site.daemon.wait_until(lambda: site.records() == [], 10, "it is reverted")
            assert page.read_text() == "wanted"
    (record,) = site.records()

    assert page.read_text() == "theirs 2"
    assert record["resolved_by"] is None
    assert "somebody else changes it too" in site.warnings()
    assert {each["automatic"] for each in site.records("reverted")} == {True}
    page.write_text("wanted")
    site.detect()
    assert site.warnings() == ""


# --- what is not shown ----------------------------------------------------------------------------------------------


def test_what_stands_in_a_secret_s_place_is_compared_and_never_shown(site: Site) -> None:
    """Its reference is the same; another value is a difference, and stands nowhere."""
    value, other = "a-secret-that-nobody-sees", "an-older-secret-that-nobody-sees"
    web = site.droplet(value)
    site.kept("web", web, spec={"name": "${secret.verify}"})
    same = site.detect()
    site.changed(web, name=other)
    changed = site.detect()
    (record,) = site.records()
    status, answer = site.say(record, "accept")
    site.daemon.stop()

    assert (same["there"], same["opened"], changed["opened"]) == (1, 0, 1)
    assert (record["wanted"], record["live"]) == ("${secret.verify}", "***")
    assert (status, answer["code"]) == (409, "sensitive")
    files = [
        path for path in site.daemon.folder.rglob("*") if path.is_file() and path.parent.name != "secrets"
    ]
    for text in (other, value):
        assert [path for path in files if text.encode() in path.read_bytes()] == []


# --- when -----------------------------------------------------------------------------------------------------------


def test_what_was_missed_while_sagad_was_down_is_done_once_at_its_start(site: Site) -> None:
    """Both jobs, in their order; then they are planned anew."""
    yearly = "0 0 1 1 *"
    site.settings(sync=yearly, schedule=yearly)
    page = site.file("page")
    site.daemon.stop()
    database = site.daemon.state / "sagad.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        for job in ("sync", "sweep"):
            row = json.dumps({"cron": yearly, "due": 1}).encode()
            db.execute("INSERT OR REPLACE INTO drift_notes VALUES ('job', ?, ?)", (job, row))

    def due() -> list[int]:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT value FROM drift_notes WHERE kind = 'job'").fetchall()
        return [json.loads(value)["due"] for (value,) in rows]

    page.write_text("changed")
    site.daemon.start()
    site.daemon.wait_until(lambda: len(site.records()) == 1, 10, "the sweep has come by")
    site.daemon.wait_until(lambda: min(due()) > 1, 10, "the jobs are planned anew")

    assert site.records()[0]["count"] == 1
    assert max(due()) - min(due()) <= 30_000
    assert min(due()) > time.time() * 1000
