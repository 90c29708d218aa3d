"""What differs, and by which verbs it can be changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import pytest

from orchestrator.stacks.changes import LATER, SENSITIVE, Change, changes, verbs_for
from providers.contract import Call, Driver, Outcome, Succeeded, Value, Verb
from providers.digitalocean.droplet import Droplet
from providers.digitalocean.volume import Volume
from providers.local.file import LocalFile
from tests.unit.providers.calls import NoBlobs


class Args(msgspec.Struct):
    """What a thing is made from."""

    name: str
    tags: list[str] = []
    size: int = 1
    key: str = ""


class Size(msgspec.Struct):
    """How large it is to be."""

    id: str
    size: int


class Rename(msgspec.Struct):
    """What it is to be called, and how large to be."""

    id: str
    name: str
    size: int = 1


class Id(msgspec.Struct):
    """Which one."""

    id: str


class Thing(Driver):
    """Compares tags as a set; has a key that is secret."""

    type = "demo.thing"
    version = "1"
    sensitive = frozenset({"key"})
    set_by: ClassVar[Mapping[str, str]] = {"digest": "content"}
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(arguments=Args, replaces=frozenset({"key"})),
        "resize": Verb(arguments=Size),
        "rename": Verb(arguments=Rename),
        "read": Verb(arguments=Args, changes=False),
        "delete": Verb(arguments=Id),
    }

    def normalise(self, field: str, value: Value) -> Value:
        """Compare tags as a set, sizes by text."""
        return sorted(value) if field == "tags" else str(value) if field == "size" else value

    async def apply(self, call: Call) -> Outcome:
        """Do nothing."""
        return Succeeded()


THING = Thing({}, NoBlobs())


@pytest.mark.parametrize(
    ("wanted", "unknown", "live", "recorded", "found"),
    [
        ({"name": "a"}, set(), {"name": "a"}, {}, []),
        ({"name": "b"}, set(), {"name": "a"}, {"name": "b"}, [Change("name", "a", "b")]),
        ({"name": "b"}, set(), {}, {"name": "a"}, [Change("name", "a", "b")]),
        ({"name": "b"}, set(), {}, {}, []),
        ({"tags": ["b", "a"]}, set(), {"tags": ["a", "b"]}, {}, []),
        ({"size": 1}, set(), {"size": "1"}, {}, []),
        ({"name": None}, set(), {"name": "a"}, {}, [Change("name", "a", None)]),
        ({}, set(), {"name": "a"}, {"name": "a"}, []),
        ({"name": "a"}, {"name"}, {"name": "a"}, {}, [Change("name", "a", LATER)]),
        ({}, {"name"}, {}, {}, [Change("name", None, LATER)]),
        ({"key": "x"}, set(), {"key": "y"}, {}, [Change("key", SENSITIVE, SENSITIVE)]),
        ({}, {"key"}, {"key": "y"}, {}, [Change("key", SENSITIVE, SENSITIVE)]),
        (
            {"digest": "2", "name": "b"},
            set(),
            {"digest": "1", "name": "a"},
            {},
            [Change("content", "1", "2"), Change("name", "a", "b")],
        ),
    ],
)
def test_what_differs(
    wanted: dict[str, Any],
    unknown: set[str],
    live: dict[str, Any],
    recorded: dict[str, Any],
    found: list[Change],
) -> None:
    """By the driver's own normalisation; live before recorded; what cannot be seen does not differ."""
    assert changes(THING, wanted, unknown, live, recorded) == found


@pytest.mark.parametrize(
    ("changed", "verbs"),
    [
        (["size"], ("resize",)),
        (["name"], ("rename",)),
        (["name", "size"], ("rename", "resize")),
        (["key"], None),
        (["size", "key"], None),
        (["tags"], None),
        (["tags", "size"], None),
        (["nothing that a create takes"], None),
    ],
)
def test_the_verbs_that_change_fields_in_place(changed: list[str], verbs: tuple[str, ...] | None) -> None:
    """For each field the one that takes least beside it; None: it takes a replacement."""
    assert verbs_for(THING, changed) == verbs


@pytest.mark.parametrize(
    ("driver", "changed", "verbs"),
    [
        (LocalFile, ["content"], ("update",)),
        (LocalFile, ["mode", "owner"], ("update",)),
        (Droplet, ["size"], ("resize",)),
        (Droplet, ["name"], ("rename",)),
        (Droplet, ["image"], None),
        (Droplet, ["region", "size"], None),
        (Volume, ["size_gigabytes"], None),
    ],
)
def test_of_real_types(driver: type[Driver], changed: list[str], verbs: tuple[str, ...] | None) -> None:
    """As their declarations have it."""
    assert verbs_for(driver({}, NoBlobs()), changed) == verbs
