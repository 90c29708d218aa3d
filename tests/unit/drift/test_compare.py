"""The rules of comparison, each with its cases: SPEC §6, docs/drift.md."""

from __future__ import annotations

from typing import Any

import pytest

from actors.drift.compare import (
    Difference,
    at,
    differences,
    equal,
    lies_in,
    parts_of,
    root_of,
    with_value,
)
from providers.digitalocean.firewall import Firewall

ABSENT = object()

# What the spec says of a field, what is there, and whether that is the same.
CASES: list[tuple[str, Any, Any, bool]] = [
    ("the same text", "nyc3", "nyc3", True),
    ("another text", "nyc3", "ams3", False),
    ("another case", "Web", "web", False),
    ("a space more", "web", "web ", False),
    ("a number and its text", 1, "1", True),
    ("a text and its number", "1", 1, True),
    ("a whole number written as a fraction", 1, 1.0, True),
    ("the text of a fraction and a whole number", "1.0", 1, True),
    ("the text of a whole number and a fraction", "1", 1.0, True),
    ("two texts that write one number", "1.0", "1", False),
    ("another number", 1, 2, False),
    ("a fraction", 0.5, "0.5", True),
    ("a fraction that is not quite", 0.1, 0.10000000000000001, True),
    ("a large number, to its last digit", 9007199254740993, 9007199254740992, False),
    ("a large number and its text", 9007199254740993, "9007199254740993", True),
    ("an exponent", 1000, "1e3", True),
    ("a mode is no number", 644, "0644", False),
    ("an infinite number of digits is no number", 1, "1e999999999", False),
    ("true and its text", True, "true", True),
    ("the text of true and true", "true", True, True),
    ("true and another text", True, "yes", False),
    ("true and one", True, 1, False),
    ("false and null", False, None, False),
    ("zero and null", 0, None, False),
    ("an empty text and null", "", None, False),
    ("null is not set", None, "whatever", True),
    ("null and null", None, None, True),
    ("something that is gone", "x", None, False),
    ("a field that its driver does not show", "x", ABSENT, True),
    ("lists in another order", [80, 443], [443, 80], True),
    ("a repeated element", [80, 80], [80], True),
    ("an element repeated there", [80], [80, 80], True),
    ("an element more", [80], [80, 443], False),
    ("an element less", [80, 443], [80], False),
    ("elements as text", [80, 443], ["443", "80"], True),
    ("elements that are null", [80, None], [80], True),
    ("an empty list and none", [], None, True),
    ("an empty list and an empty object", [], {}, True),
    ("an empty list and a full one", [], [80], False),
    ("a full list and none", [80], None, False),
    ("a list and a scalar", [80], 80, False),
    ("lists of lists", [[1, 2], [3]], [["3"], ["2", "1"]], True),
    ("an object", {"a": 1, "b": "x"}, {"b": "x", "a": "1"}, True),
    ("a default that the provider fills in", {"a": 1}, {"a": 1, "timeout": 30}, True),
    ("a timestamp beside it", {"a": 1}, {"a": 1, "updated_at": "2026-11-21T00:00:00Z"}, True),
    ("a null in an object, absent there", {"a": 1, "b": None}, {"a": 1}, True),
    ("a key that is gone", {"a": 1, "b": 2}, {"a": 1}, False),
    ("an empty object and none", {}, None, True),
    ("an object of nulls and none", {"a": None}, None, True),
    ("an object and none", {"a": 1}, None, False),
    ("an object and a text", {"a": 1}, "a", False),
    ("objects in another order", [{"p": 80}, {"p": 443}], [{"p": 443}, {"p": 80}], True),
    ("objects with defaults filled in", [{"p": 80}], [{"p": "80", "proto": "tcp"}], True),
    ("an object twice and once", [{"p": 80}, {"p": 80}], [{"p": 80}], True),
    ("an object that nobody asked for", [{"p": 80}], [{"p": 80}, {"p": 22}], False),
    ("an object with another value", [{"p": 80, "a": 1}], [{"p": 80, "a": 2}], False),
]


@pytest.mark.parametrize(("what", "wanted", "live", "same"), CASES, ids=[case[0] for case in CASES])
def test_what_is_the_same(what: str, wanted: Any, live: Any, same: bool) -> None:
    """Each rule, with what it lets through and what it does not."""
    fields = {} if live is ABSENT else {"field": live}

    assert (differences({"field": wanted}, fields) == []) is same


def test_only_what_the_spec_sets_is_compared() -> None:
    """Whatever else there is."""
    live = {"size": "s-1", "region": "nyc3", "created_at": "2026", "status": "active"}

    assert differences({"size": "s-2", "region": "nyc3"}, live) == [Difference("size", "s-2", "s-1")]


PLACES: list[tuple[str, dict[str, Any], dict[str, Any], list[tuple[str, Any, Any]]]] = [
    ("a key of an object", {"o": {"a": 1, "b": 2}}, {"o": {"a": 1, "b": 3}}, [("o.b", 2, 3)]),
    ("two keys", {"o": {"a": 1, "b": 2}}, {"o": {}}, [("o.a", 1, None), ("o.b", 2, None)]),
    ("a key that is gone", {"o": {"a": 1, "b": 2}}, {"o": {"a": 1}}, [("o.b", 2, None)]),
    ("deep", {"o": {"a": {"b": {"c": "x"}}}}, {"o": {"a": {"b": {"c": "y"}}}}, [("o.a.b.c", "x", "y")]),
    (
        "an object of a list",
        {"rules": [{"port": 80, "proto": "tcp"}, {"port": 22, "proto": "tcp"}]},
        {"rules": [{"port": 22, "proto": "tcp"}, {"port": 81, "proto": "tcp"}]},
        [("rules[0].port", 80, 81)],
    ),
    (
        "two objects, each by what it has in common",
        {"rules": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
        {"rules": [{"name": "b", "port": 3}, {"name": "a", "port": 4}]},
        [("rules[0].port", 1, 4), ("rules[1].port", 2, 3)],
    ),
    (
        "objects that have nothing in common",
        {"rules": [{"port": 80}]},
        {"rules": [{"port": 81}]},
        [("rules", [{"port": 80}], [{"port": 81}])],
    ),
    (
        "an object more",
        {"rules": [{"port": 80}]},
        {"rules": [{"port": 80}, {"port": 22}]},
        [("rules", [{"port": 80}], [{"port": 80}, {"port": 22}])],
    ),
    ("a list of scalars as a whole", {"tags": ["a", "b"]}, {"tags": ["b"]}, [("tags", ["a", "b"], ["b"])]),
    ("a key that is no word", {"o": {"a.b": 1, "c": 2}}, {"o": {"a.b": 2, "c": 2}}, [('o["a.b"]', 1, 2)]),
]


@pytest.mark.parametrize(("what", "spec", "live", "found"), PLACES, ids=[case[0] for case in PLACES])
def test_where_it_differs(what: str, spec: Any, live: Any, found: Any) -> None:
    """A path, as deep as can be told."""
    assert differences(spec, live) == [Difference(*each) for each in found]


def test_the_order_in_which_things_come_does_not_matter_for_the_place() -> None:
    """Else each sweep would open another record."""
    wanted = {"rules": [{"n": 1, "a": 1}, {"n": 1, "a": 2}]}
    live = [{"n": 1, "a": 3}, {"n": 1, "a": 4}]

    assert differences(wanted, {"rules": live}) == differences(wanted, {"rules": live[::-1]})


def test_the_driver_normalises_first_and_places_stay_the_spec_s() -> None:
    """The service writes all ports as 0, sorts, leaves out what is empty; the second rule is the one that differs."""
    normalise = Firewall({}, None).normalise  # type: ignore[arg-type]
    every = {"protocol": "tcp", "ports": "all", "sources": {"addresses": ["::/0", "0.0.0.0/0"], "tags": []}}
    ssh = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["192.0.2.1"]}}
    shown = {"protocol": "tcp", "ports": "0", "sources": {"addresses": ["0.0.0.0/0", "::/0"]}}
    spec = {"inbound_rules": [every, ssh]}

    assert differences(spec, {"inbound_rules": [ssh, shown]}, normalise) == []
    assert differences(spec, {"inbound_rules": [ssh | {"ports": "2222"}, shown]}, normalise) == [
        Difference("inbound_rules[1].ports", "22", "2222")
    ]


def test_what_differs_as_a_whole_is_told_as_it_is_written() -> None:
    """A mode is compared as a number, and shown as it is."""
    found = differences({"mode": "0644"}, {"mode": "0600"}, lambda _, value: int(value, 8))

    assert found == [Difference("mode", "0644", "0600")]


def test_what_cannot_be_normalised_is_compared_as_it_is() -> None:
    """No driver's exception ends a sweep."""
    found = differences({"mode": "0644"}, {"mode": "***"}, lambda _, value: int(value, 8))

    assert found == [Difference("mode", "0644", "***")]


def test_long_lists_are_compared_in_time() -> None:
    """Two thousand objects against as many: by what they are, not each with each."""
    many = [{"port": number, "tags": [number]} for number in range(2_000)]

    assert equal(many, many[::-1])
    assert not equal(many, many[1:])


@pytest.mark.parametrize("path", ["size", "rules[0].port", 'o["a.b"].c', "a.b[2][3]", 'o["q\\"x"]'])
def test_a_path_is_read_as_it_is_written(path: str) -> None:
    """And what is put there is there."""
    parts = parts_of(path)
    value: Any = "new"
    spec: Any = "old"
    for part in reversed(parts):
        spec = {part: spec} if isinstance(part, str) else [{"x": 1}] * part + [spec]
    changed = with_value(spec, path, value)

    assert (at(spec, path), at(changed, path)) == ("old", "new")
    assert root_of(path) == parts[0]


def test_null_takes_a_key_away() -> None:
    """What is absent there is not set any more."""
    assert with_value({"a": {"b": 1, "c": 2}}, "a.b", None) == {"a": {"c": 2}}
    assert with_value({"a": 1}, "a", None) == {}


@pytest.mark.parametrize("path", ["x.y", "a[0]", "b[5]", "b[0].x"])
def test_there_is_no_place_for_it(path: str) -> None:
    """Said, not guessed."""
    with pytest.raises(ValueError, match="no"):
        with_value({"a": 1, "b": [1]}, path, 1)


def test_what_lies_in_what() -> None:
    """By whole parts."""
    assert lies_in("rules[0].port", "rules")
    assert lies_in("rules", "rules")
    assert not lies_in("rules_out", "rules")
