"""The steps of a plan and how they hang together, and the order in which what is left over is deleted."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any, ClassVar

import msgspec
import pytest

from orchestrator.files.stack import Declared
from orchestrator.stacks.planning import Kind, Planned, in_order_of_deletion
from orchestrator.stacks.steps import Building
from providers.contract import Call, Driver, Outcome, Succeeded, Verb
from store.records import Resource
from tests.unit.providers.calls import NoBlobs


class Args(msgspec.Struct):
    """What a thing is made from."""

    name: str


class Id(msgspec.Struct):
    """Which one."""

    id: str


class Size(msgspec.Struct):
    """Which one, and how large it is to be."""

    id: str
    name: str = ""


class Nothing(msgspec.Struct):
    """No arguments."""


class Soft(Driver):
    """A deletion can be taken back."""

    type = "soft"
    version = "1"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(arguments=Args, inverse="delete"),
        "resize": Verb(arguments=Size),
        "move": Verb(arguments=Size),
        "delete": Verb(arguments=Id, inverse="create"),
    }

    async def apply(self, call: Call) -> Outcome:
        """Do nothing."""
        return Succeeded()


class Hard(Soft):
    """A deletion is for good, and the type is finalized."""

    type = "hard"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(arguments=Args, inverse="delete"),
        "delete": Verb(arguments=Id, irreversible=True),
        "finalize": Verb(arguments=Nothing),
    }


DRIVERS: dict[str, Driver] = {each.type: each({}, NoBlobs()) for each in (Soft, Hard)}


def kept(name: str, *needs: str, type: str = "soft", at: int = 0, stack: str | None = "s") -> Resource:
    """A record."""
    needed = msgspec.json.encode(list(needs))
    return Resource(type, f"id-{name}", name, f"id-{name}", b"{}", 1, b"{}", "x", "y", at, at, stack, needed)


def act(
    kind: Kind,
    name: str,
    *needs: str,
    type: str = "soft",
    old: tuple[str, ...] | None = None,
    replace: Any = "create_before_delete",
    verbs: tuple[str, ...] = (),
) -> Planned:
    """An action on a resource that needs these; `old`: what it needed until now, if not the same."""
    declared = None if kind == "delete" else Declared(0, type, name, {}, needs, replace=replace)
    there = None if kind == "create" else kept(name, *(needs if old is None else old), type=type)
    return Planned(kind, type, name, [], declared, there, {"name": name}, verbs)


def runs(*planned: Planned) -> list[str]:
    """The steps in an order in which they may run; where several may, by name."""
    sorter = TopologicalSorter({step.name: step.needs for step in Building(DRIVERS, planned).steps})
    sorter.prepare()
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        found.append("+".join(ready))
        sorter.done(*ready)
    return found


BEFORE = "delete_before_create"


@pytest.mark.parametrize(
    ("planned", "order"),
    [
        ([act("create", "a"), act("create", "b", "a"), act("create", "c", "a")], ["a", "b+c"]),
        ([act("delete", "b", "a"), act("delete", "a")], ["b", "a"]),
        # The new one, what needs it, and then the old one.
        ([act("replace", "a"), act("update", "b", "a", verbs=("resize",))], ["a", "b", "a-old"]),
        # Both replaced: the old ones go when the new ones are there, each before what it needed.
        ([act("replace", "a"), act("replace", "b", "a")], ["a", "b", "b-old", "a-old"]),
        # The old one first: then the new one, then what needs it.
        (
            [act("replace", "a", replace=BEFORE), act("update", "b", "a", verbs=("resize",))],
            ["a-old", "a", "b"],
        ),
        # Both of them the old one first: what needs the other one's old one goes before it.
        (
            [act("replace", "a", replace=BEFORE), act("replace", "b", "a", replace=BEFORE)],
            ["b-old", "a-old", "a", "b"],
        ),
        # The old one can only go first where what needs it is deleted before.
        ([act("replace", "a", replace=BEFORE), act("delete", "b", "a")], ["b", "a-old", "a"]),
        ([act("replace", "a", replace=BEFORE), act("replace", "b", "a")], ["a-old", "a", "b", "b-old"]),
        ([act("replace", "a"), act("replace", "b", "a", replace=BEFORE)], ["a+b-old", "b", "a-old"]),
        # What a resource needed until now counts for what is deleted, and not what it will need.
        ([act("update", "b", old=("a",), verbs=("resize",)), act("delete", "a")], ["b", "a"]),
        ([act("replace", "a", "b", old=()), act("replace", "b", old=("a",))], ["b", "a+b-old", "a-old"]),
        # What cannot be brought back goes last, one after the other.
        (
            [act("delete", "x", type="hard"), act("delete", "y", type="hard"), act("create", "z")],
            ["z", "x", "y", "finalize-hard"],
        ),
        (
            [
                act("delete", "x", type="hard"),
                act("delete", "m", "x"),
                act("delete", "y", "m", type="hard"),
                act("create", "z"),
            ],
            ["z", "y", "m", "x", "finalize-hard"],
        ),
        ([act("replace", "x", type="hard"), act("create", "z")], ["x+z", "x-old", "finalize-hard"]),
        # Unless it has to be first.
        (
            [act("replace", "x", type="hard", replace=BEFORE), act("delete", "y", type="hard")],
            ["x-old", "x", "y", "finalize-hard"],
        ),
    ],
    ids=lambda each: each[0] if isinstance(each[0], str) else None,
)
def test_the_order_of_steps(planned: list[Planned], order: list[str]) -> None:
    """By needs, old and new; irreversible deletions last; finalizers after everything."""
    assert runs(*planned) == order


def test_several_verbs_of_one_update_go_one_after_the_other() -> None:
    """The last one has the resource's name, by which others refer to it."""
    planned = [act("update", "a", verbs=("resize", "move")), act("create", "b", "a")]

    assert runs(*planned) == ["a-resize", "a", "b"]
    steps = {step.name: step for step in Building(DRIVERS, planned).steps}
    assert [steps[name].operation for name in ("a-resize", "a")] == ["soft.resize", "soft.move"]
    assert steps["a-resize"].with_ == {"id": "id-a", "name": "a"}
    assert steps["a-resize"].alias == steps["a"].alias == "a"


def test_names_of_steps_do_not_collide() -> None:
    """Whatever resources are called."""
    planned = [
        act("replace", "a"),
        act("create", "a-old"),
        act("delete", "a-old"),
        act("create", "finalize-hard"),
        act("create", "h", type="hard"),
    ]
    names = [step.name for step in Building(DRIVERS, planned).steps]

    assert len(set(names)) == len(names)
    assert names[:2] == ["a", "a-old"]


def test_a_type_is_finalized_once_whatever_was_done() -> None:
    """And not one that has no such verb."""
    planned = [act("create", "a", type="hard"), act("delete", "b", type="hard"), act("create", "c")]
    last = Building(DRIVERS, planned).last

    assert [(step.operation, step.with_) for step in last] == [("hard.finalize", {})]


@pytest.mark.parametrize(
    ("records", "order"),
    [
        ([kept("a", at=1), kept("b", at=2), kept("c", at=3)], "c b a"),
        ([kept("a", "b", at=1), kept("b", at=2), kept("c", "a", at=3)], "c a b"),
        ([kept("a", "c", at=1), kept("b", "a", at=2), kept("c", at=3)], "b a c"),
        ([kept("a", "somebody else's", at=1)], "a"),
        ([kept("a", "a", at=1)], "a"),
        ([], ""),
    ],
)
def test_each_is_deleted_before_those_that_it_needs(records: list[Resource], order: str) -> None:
    """Else the newest first."""
    assert " ".join(each.name for each in in_order_of_deletion(records)) == order


def test_needs_that_go_in_circles_are_broken_somewhere() -> None:
    """Each is deleted once all the same."""
    records = [kept("a", "b", at=1), kept("b", "c", at=2), kept("c", "a", at=3), kept("d", "a", at=4)]
    order = [each.name for each in in_order_of_deletion(records)]

    assert sorted(order) == ["a", "b", "c", "d"]
    assert order.index("d") < order.index("a")
