"""What sets a resource back to its spec: which verb, with which arguments; or why none does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from actors.clock import WallClock
from actors.drift.reverting import CannotRevert, Case, Operation, Reverting, template
from actors.saga.calls import Calls
from actors.saga.contents import Contents
from providers import registry
from providers.digitalocean import TYPES
from store.blobs import Blobs
from store.drift import Drift
from store.records import Resource
from store.secrets import Secrets


@pytest.fixture
def reverting(tmp_path: Path) -> Reverting:
    """With the drivers that there are, and one secret."""
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "page").write_text("a secret page")
    drivers = registry.load({}, Contents(Blobs(tmp_path / "blobs", b"k" * 32)), configured=TYPES)
    return Reverting(Calls(drivers, Secrets([tmp_path / "secrets"], b"k" * 32), WallClock()))


def case(
    type_: str,
    identity: str,
    spec: dict[str, Any],
    *fields: str,
    done: tuple[tuple[str, dict[str, Any]], ...] = (),
    **outputs: Any,
) -> Case:
    """A resource of which these fields differ."""
    id_ = None if identity.startswith("/") else identity
    encoded = json.dumps(spec).encode(), json.dumps(outputs).encode()
    record = Resource(type_, identity, "name", id_, encoded[0], 1, encoded[1], None, None, 1, 1)
    drifts = [
        Drift(f"d{field}", type_, identity, "name", field, "changed", b"1", b"2", "open", 1, 1)
        for field in fields
    ]
    return Case(record, drifts, done)


async def found(reverting: Reverting, given: Case) -> list[Operation]:
    """Ask for the operations."""
    driver = reverting._calls.registry.get(given.record.type)
    return await reverting.operations(driver, given)


async def test_each_field_by_the_verb_that_takes_it(reverting: Reverting) -> None:
    """An id is a number where the verb wants one."""
    spec = {"name": "web", "size": "s-2", "region": "nyc3"}

    assert await found(reverting, case("digitalocean.droplet", "7", spec, "name", "size")) == [
        ("rename", {"id": 7, "name": "web"}),
        ("resize", {"id": 7, "size": "s-2"}),
    ]


async def test_a_path_is_set_back_with_its_whole_field_by_update(reverting: Reverting) -> None:
    """What is required beside it is on record."""
    rules = [{"protocol": "tcp", "ports": "22"}, {"protocol": "tcp", "ports": "80"}]
    firewall = case(
        "digitalocean.firewall",
        "f",
        {"inbound_rules": rules, "tags": ["a"]},
        "inbound_rules[1].ports",
        "tags",
    )
    record = case("digitalocean.domain_record", "9", {"data": "192.0.2.1"}, "data", domain="a.example")

    assert await found(reverting, firewall) == [
        ("update", {"id": "f", "inbound_rules": rules, "tags": ["a"]})
    ]
    assert await found(reverting, record) == [
        ("update", {"id": 9, "domain": "a.example", "data": "192.0.2.1"})
    ]


def sha(content: str) -> str:
    """Give what a spec says of a content."""
    return hashlib.sha256(content.encode()).hexdigest()


DONE = (
    ("update", {"path": "/p", "content": "newer"}),
    ("update", {"path": "/p", "mode": "0600"}),
    ("create", {"path": "/p", "content": "wanted", "mode": "0640"}),
)


async def test_a_content_is_looked_for_in_what_was_done(reverting: Reverting, tmp_path: Path) -> None:
    """The one of which just this comes, not merely the latest."""
    path = str(tmp_path / "p")
    changed = case("local.file", path, {"sha256": sha("wanted"), "mode": "0644"}, "sha256", "mode", done=DONE)
    missing = case("local.file", path, {"sha256": sha("wanted"), "mode": "0644"}, "", done=DONE)
    content = {"path": path, "content": "wanted", "mode": "0644"}

    assert await found(reverting, changed) == [("update", content)]
    assert await found(reverting, missing) == [("create", content)]


async def test_a_secret_stays_a_reference(reverting: Reverting, tmp_path: Path) -> None:
    """It is put in only to see what comes of it."""
    done = (("create", {"path": "/p", "content": "${secret.page}"}),)
    path = str(tmp_path / "p")
    given = case("local.file", path, {"sha256": sha("a secret page")}, "sha256", done=done)

    assert await found(reverting, given) == [("update", {"path": path, "content": "${secret.page}"})]


async def test_what_is_missing_is_created_as_it_was_with_what_is_wanted_by_now(reverting: Reverting) -> None:
    """What the spec does not hold comes from what was done."""
    created = {"name": "web", "size": "s-1", "image": "debian-12", "region": "nyc3", "monitoring": True}
    given = case(
        "digitalocean.droplet",
        "7",
        {"name": "web", "size": "s-2"},
        "",
        done=(("create", created),),
        image="x",
    )

    assert await found(reverting, given) == [("create", created | {"size": "s-2"})]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (case("digitalocean.droplet", "7", {"region": "nyc3"}, "region"), "no verb that sets `region` back"),
        (case("local.file", "/p", {"sha256": sha("unheard of")}, "sha256", done=DONE), "`sha256`"),
        (case("local.file", "/p", {"sha256": sha("unheard of")}, "", done=DONE), "cannot be created again"),
        (case("digitalocean.droplet", "7", {"size": "s-1"}, ""), "cannot be created again"),
    ],
)
async def test_what_cannot_be_set_back_says_why(reverting: Reverting, given: Case, why: str) -> None:
    """And nothing is done by half."""
    with pytest.raises(CannotRevert, match=why):
        await found(reverting, given)


def test_a_value_of_the_world_is_no_reference() -> None:
    """Only secrets are."""
    assert template({"a": ["${secret.x}", "${inputs.y}", "plain", 1]}) == {
        "a": ["${secret.x}", "$${inputs.y}", "plain", 1]
    }
