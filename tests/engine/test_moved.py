"""Taking back a delete gives a new id: what is taken back later, and whatever refers to it, follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.slow

CLOUD = ("tests.engine.cloud",)
FAIL = {"name": "last", "do": "test.fail"}
Step = dict[str, Any]


class Site:
    """A daemon and its service, in which there is thing 1, size 3, and what was there before anything was done."""

    def __init__(self, daemon: Daemon, cloud: Path) -> None:
        self.daemon = daemon
        self._cloud = cloud
        self.run(do("make", "thing.create", name="web", size=3))

    def things(self) -> dict[str, dict[str, Any]]:
        """What there is, by id."""
        there = json.loads(self._cloud.read_text())
        there.pop("last", None)
        return dict(there)

    def run(self, *steps: Step, **more: Any) -> dict[str, Any]:
        """Run a saga to its end, or to where somebody is needed."""
        return self.daemon.submit({"saga": "change", "steps": list(steps), **more})

    def rollback(self, saga: str, **how: Any) -> dict[str, Any]:
        """Take a saga back."""
        status, answer = self.daemon.say(saga, "rollback", **how)
        assert status == 200, answer
        return self.daemon.wait_ended(str(answer["saga"]["id"]))


def do(name: str, what: str, undo: Any = None, /, **given: Any) -> Step:
    """A step."""
    return {"name": name, "do": f"cloud.{what}", "with": given, **({} if undo is None else {"undo": undo})}


SETTINGS = '[limits]\nwait_passivate = "50ms"\n'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site of its own for each test."""
    cloud = tmp_path / "cloud.json"
    with Daemon(tmp_path, SETTINGS, {"CLOUD": str(cloud)}).start(module=CLOUD) as daemon:
        yield Site(daemon, cloud)


WEB = {"name": "web", "size": 3, "tags": []}


def test_what_is_taken_back_after_a_delete_follows_the_new_id(site: Site) -> None:
    """Linked, changed, deleted: the undos of the change and of the link are of what was made anew."""
    document = site.run(
        do("link", "link.create", thing_id="1"),
        do("grow", "thing.update", id="1", size=5),
        do("drop", "thing.delete", id="1"),
        FAIL,
    )

    assert document["status"] == "rolled_back", document
    assert [step["status"] for step in document["steps"]] == ["compensated"] * 3 + ["failed"]
    assert site.things() == {"2": WEB}


def test_it_is_on_record_and_in_the_arguments_of_what_follows(site: Site) -> None:
    """An event says which id became which; the new one is the saga's to lock; and each undo says what it was called with."""
    saga = site.run(do("link", "link.create", thing_id="1"), do("drop", "thing.delete", id="1"), FAIL)["id"]
    events = site.daemon.events(saga)
    (moved,) = [each for each in events if each["type"] == "resource.moved"]
    locked = [each["data"]["resource"] for each in events if each["type"] == "lock.taken"]
    undone = {each["step"]: each for each in site.daemon.executions(saga) if each["direction"] == "undo"}

    assert (moved["step"], moved["data"]["resource"]["id"], moved["data"]["to"]) == ("drop", "1", "2")
    assert {"type": "cloud.thing", "name": "2", "id": "2"} in locked
    assert undone["drop"]["arguments"] == {"id": "1"}
    assert undone["link"]["arguments"] == {"thing_id": "2"}
    assert undone["link"]["before"]["thing_id"] == "2"


def test_references_in_an_undo_of_its_own_follow(site: Site) -> None:
    """`${steps…}`, `${self…}` and what was written there as it is."""
    made = do("made", "thing.create", name="db", size=1)
    ways = {
        "by-step": {"do": "cloud.thing.update", "with": {"id": "${steps.made.id}", "size": 1}},
        "by-self": {"do": "cloud.thing.update", "with": {"id": "${self.id}", "size": 2}},
        "as-it-is": {"do": "cloud.thing.update", "with": {"id": "2", "size": 3}},
    }
    grown = [
        do(name, "thing.update", way, id="${steps.made.id}", size=size)
        for size, (name, way) in enumerate(ways.items(), 2)
    ]
    saga = site.run(made, *grown, do("drop", "thing.delete", id="${steps.made.id}"), FAIL)["id"]
    undone = {each["step"]: each for each in site.daemon.executions(saga) if each["direction"] == "undo"}

    assert {name: undone[name]["arguments"]["id"] for name in ways} == dict.fromkeys(ways, "3")
    assert site.daemon.saga(saga)["status"] == "rolled_back"
    assert site.things() == {"1": WEB}


def test_an_undo_of_its_own_may_be_what_makes_it_anew(site: Site) -> None:
    """A correcting create of the same type has the id that counts from then on."""
    again = {"do": "cloud.thing.create", "with": {"name": "web", "size": 5}}
    document = site.run(
        do("grow", "thing.update", id="1", size=5), do("drop", "thing.delete", again, id="1"), FAIL
    )

    assert document["status"] == "rolled_back", document
    assert site.things() == {"2": WEB}


def test_it_outlives_a_crash(site: Site) -> None:
    """The saga waits for a word between the two undos, and the daemon is killed."""
    site.daemon.config.write_text(SETTINGS + '[policy."cloud.link"]\nundo = "hold"\n')
    site.daemon.stop()
    site.daemon.start(module=CLOUD)
    saga = site.run(do("link", "link.create", thing_id="1"), do("drop", "thing.delete", id="1"), FAIL)["id"]
    assert site.daemon.saga(saga)["hold"]["reason"] == "approval"
    site.daemon.kill()
    site.daemon.start(module=CLOUD)
    site.daemon.say(saga, "approve")
    site.daemon.wait_until(lambda: site.daemon.saga(saga)["status"] == "rolled_back", 10, "it is rolled back")

    assert site.things() == {"2": WEB}


def test_forward_again_after_an_unwinding_it_is_followed_too(site: Site) -> None:
    """What stopped at a point of no return starts anew, with the id that the thing has by then."""
    point = {**do("point", "thing.create", name="db"), "irreversible": True}
    drop = do("drop", "thing.delete", id="1")
    saga = site.run(point, drop, {"name": "last", "do": "test.fail", "with": {"times": 3}})["id"]
    assert site.daemon.saga(saga)["hold"]["reason"] == "attention"
    assert site.things()["3"] == WEB
    site.daemon.say(saga, "retry")
    site.daemon.wait_until(lambda: site.daemon.saga(saga)["status"] == "compensating", 10, "it turns again")
    site.daemon.wait_ended(saga)
    forward = [
        each
        for each in site.daemon.executions(saga)
        if (each["step"], each["direction"]) == ("drop", "forward")
    ]

    assert [each["arguments"]["id"] for each in forward] == ["1", "3"]


def test_a_rollback_follows_and_so_do_the_rollbacks_of_that(site: Site) -> None:
    """A saga of yesterday is taken back, that is taken back, and that again: the thing has another id each time."""
    first = site.run(
        do("link", "link.create", thing_id="1"),
        do("grow", "thing.update", id="1", size=5),
        do("drop", "thing.delete", id="1"),
    )["id"]
    assert site.things() == {}
    back = site.rollback(first)
    assert (back["status"], site.things()) == ("completed", {"2": WEB})
    forth = site.rollback(back["id"])
    assert (forth["status"], site.things()) == ("completed", {})
    again = site.rollback(forth["id"])

    assert again["status"] == "completed", again
    assert site.things() == {"3": WEB}


def test_a_rollback_follows_what_an_earlier_one_has_moved(site: Site) -> None:
    """First back to a step, then the rest."""
    saga = site.run(do("grow", "thing.update", id="1", size=5), do("drop", "thing.delete", id="1"))["id"]
    part = site.rollback(saga, to_step="grow")
    assert (part["status"], site.things()) == ("completed", {"2": {**WEB, "size": 5}})
    rest = site.rollback(saga)

    assert rest["status"] == "completed", rest
    assert site.things() == {"2": WEB}
