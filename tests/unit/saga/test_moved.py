"""Who follows an id that has changed: the table of cases, and what of an execution's record is followed."""

from __future__ import annotations

from typing import Any

import pytest

from actors.saga import moved
from actors.saga.dossier import Dossier, Entry, Header, Intent, Past
from actors.saga.plan import Plan, PlanStep, Undo
from actors.saga.references import Ref
from actors.saga.state import Move, State, StepState
from providers.contract import ABSENT, Image, Resource

DROPLET, VOLUME, WALL = "digitalocean.droplet", "digitalocean.volume", "digitalocean.firewall"
NUMBER = Move(DROPLET, "7000001", "7000009")
UUID = Move(VOLUME, "506f78a4-e098", "9d1a9b3e-0c11")
TO_TEXT = Move(DROPLET, "7000001", "d-9")

FOLLOWED: list[tuple[str, Move, str, Any, Any]] = [
    ("its own id", NUMBER, DROPLET, {"id": 7000001}, {"id": 7000009}),
    ("as text it stays text", NUMBER, DROPLET, {"id": "7000001"}, {"id": "7000009"}),
    ("a number becomes text where it must", TO_TEXT, DROPLET, {"id": 7000001}, {"id": "d-9"}),
    ("the same number as another type's id", NUMBER, VOLUME, {"id": 7000001}, {"id": 7000001}),
    ("named by its type's noun", NUMBER, VOLUME, {"droplet_id": 7000001}, {"droplet_id": 7000009}),
    ("among several", NUMBER, WALL, {"droplet_ids": [1, 7000001]}, {"droplet_ids": [1, 7000009]}),
    ("named by another noun", NUMBER, VOLUME, {"image_id": 7000001}, {"image_id": 7000001}),
    (
        "a number that is no id",
        NUMBER,
        DROPLET,
        {"size": 7000001, "ids": [7000001]},
        {"size": 7000001, "ids": [7000009]},
    ),
    ("true is no number", Move(DROPLET, "1", "2"), DROPLET, {"id": True}, {"id": True}),
    (
        "deep down",
        NUMBER,
        WALL,
        {"inbound_rules": [{"ports": "22", "sources": {"droplet_ids": [7000001]}}]},
        {"inbound_rules": [{"ports": "22", "sources": {"droplet_ids": [7000009]}}]},
    ),
    (
        "what cannot be a mere number, anywhere",
        UUID,
        DROPLET,
        {"volumes": ["506f78a4-e098"]},
        {"volumes": ["9d1a9b3e-0c11"]},
    ),
    (
        "but not as a part of a text",
        UUID,
        DROPLET,
        {"note": "was 506f78a4-e098"},
        {"note": "was 506f78a4-e098"},
    ),
    ("nor as a key", UUID, DROPLET, {"506f78a4-e098": 1}, {"506f78a4-e098": 1}),
    ("nothing there", NUMBER, DROPLET, None, None),
]


@pytest.mark.parametrize(
    ("case", "move", "own", "value", "now"), FOLLOWED, ids=[each[0] for each in FOLLOWED]
)
def test_a_value(case: str, move: Move, own: str, value: Any, now: Any) -> None:
    """What an old id is among the values of an execution on type ``own``."""
    found = moved.followed([move], value, own)

    assert found == now
    assert repr(found) == repr(now)


def test_moves_are_followed_one_after_the_other() -> None:
    """Deleted and made anew twice; and a service that gives an id again leads nobody in a circle."""
    twice = [Move(DROPLET, "1", "2"), Move(VOLUME, "2", "9"), Move(DROPLET, "2", "3")]

    assert moved.follow(twice, DROPLET, "1") == "3"
    assert moved.followed(twice, {"id": 1}, DROPLET) == {"id": 3}
    assert moved.follow([Move(DROPLET, "1", "2"), Move(DROPLET, "2", "1")], DROPLET, "1") == "2"


RESOURCES = {
    "named by its id": (Resource(DROPLET, "7000001", "7000001"), Resource(DROPLET, "7000009", "7000009")),
    "named otherwise": (Resource(DROPLET, "web", "7000001"), Resource(DROPLET, "web", "7000009")),
    "of another type": (Resource(VOLUME, "x", "7000001"), Resource(VOLUME, "x", "7000001")),
    "without an id": (Resource(DROPLET, "7000001"), Resource(DROPLET, "7000001")),
    "none": (None, None),
}


@pytest.mark.parametrize("case", RESOURCES)
def test_a_resource(case: str) -> None:
    """It is the same one under its new id."""
    was, now = RESOURCES[case]

    assert moved.resource([NUMBER], was) == now


IS_MOVED = {
    "made anew": (Resource(DROPLET, "1", "1"), {"id": 2}, True, "2"),
    "under its own id": (Resource(DROPLET, "1", "1"), {"id": 1}, True, None),
    "it was there all the time": (Resource(DROPLET, "1", "1"), {"id": 2}, False, None),
    "nobody knows its id": (Resource(DROPLET, "web"), {"id": 2}, True, None),
    "nor is one put out": (Resource(DROPLET, "1", "1"), {}, True, None),
    "by something of another type": (Resource(VOLUME, "1", "1"), {"id": 2}, True, None),
    "a path is what it is known by": (Resource(DROPLET, "1", "1", path="/1"), {"id": 2}, True, None),
    "nothing was touched": (None, {"id": 2}, True, None),
}


@pytest.mark.parametrize("case", IS_MOVED)
def test_what_is_a_move(case: str) -> None:
    """Taking back the deletion of something has put out another id for it."""
    was, outputs, gone, to = IS_MOVED[case]
    found = moved.made_by(was, outputs, DROPLET, gone=gone)

    assert (None if found is None else found.to) == to


# --- a saga: a volume is attached to a droplet, then the droplet is deleted ---------------------------------------------

PLAN = Plan(
    "x",
    (
        PlanStep(0, "attach", f"{VOLUME}.attach", undo=Undo("given", f"{VOLUME}.detach", {})),
        PlanStep(1, "delete", f"{DROPLET}.delete"),
    ),
)
DROP = Resource(DROPLET, "7000001", "7000001")
STATE = State(created_at=0, steps=(StepState(), StepState()))


def entry(key: str, direction: Any, operation: str, intent: Intent, arguments: Any, outputs: Any) -> Entry:
    """An execution that is done."""
    return Entry("e", key, direction, operation, 1, arguments, intent, outputs)


def dossier(past: Past | None = None) -> Dossier:
    """That of the saga, in which both steps are done."""
    made = Dossier(Header("a", "x", b"{}", b"{}", "ann", None, 0), PLAN, past)
    fields = {"droplet_ids": [7000001]}
    attach = Intent(
        "attach", "n", "d", Resource(VOLUME, "data", "v"), ABSENT, Image(fields=fields), ("droplet_ids",)
    )
    delete = Intent("delete", "n", "d", DROP, Image(fields={"id": 7000001}), ABSENT, ("name",))
    made.entries[0, "forward"] = entry(
        "a-0-f-1",
        "forward",
        f"{VOLUME}.attach",
        attach,
        {"droplet_id": 7000001},
        {"id": "v", "droplet_id": 7000001},
    )
    made.entries[1, "forward"] = entry(
        "a-1-f-1", "forward", f"{DROPLET}.delete", delete, {"id": 7000001}, {"id": 7000001}
    )
    back = Intent("create", "n", "d", DROP, restore=True)
    made.entries[1, "undo"] = entry("a-1-u-1", "undo", f"{DROPLET}.create", back, {"id": 7000001}, None)
    return made


def test_the_undo_of_a_delete_is_a_move_and_no_other_execution_is() -> None:
    """Only what takes it back, and only by the id that it puts out."""
    saga = dossier()

    assert saga.move(1, "undo", {"id": 7000009}) == NUMBER
    assert saga.move(1, "undo", {"id": 7000001}) is None
    assert saga.move(1, "undo", None) is None
    assert saga.move(1, "forward", {"id": 7000009}) is None
    assert saga.move(0, "undo", {"id": 7000009}) is None


def test_what_is_to_be_taken_back_is_seen_with_the_ids_of_now() -> None:
    """Its resource, arguments, outputs and images; what was on record about it before is as it was."""
    saga = dossier()
    before = saga.original(0, "undo")
    saga.recall(State(created_at=0, steps=(), moves=(NUMBER,)))
    attach, delete = saga.original(0, "undo"), saga.original(1, "undo")

    assert before is saga.entries[0, "forward"]
    assert attach is not None
    assert attach.arguments == {"droplet_id": 7000009}
    assert attach.outputs == {"id": "v", "droplet_id": 7000009}
    assert attach.left == Image(fields={"droplet_ids": [7000009]})
    assert delete is not None
    assert delete.known == Resource(DROPLET, "7000009", "7000009")
    assert delete.intent.before == Image(fields={"id": 7000009})
    assert saga.entries[0, "forward"].arguments == {"droplet_id": 7000001}


def test_references_give_the_ids_of_now() -> None:
    """`${steps…}` and `${self…}`, in whatever they are used."""
    saga = dossier()
    saga.recall(State(created_at=0, steps=(), moves=(NUMBER,)))
    find = saga.lookup(STATE, 1)

    assert find(Ref("steps", ("attach", "droplet_id"))) == 7000009
    assert find(Ref("self", ("id",))) == 7000009


def test_a_rollback_follows_what_the_saga_and_its_own_steps_have_moved() -> None:
    """Moved by an undo of the saga, then by the rollback: both count, in that order."""
    later = Move(DROPLET, "7000009", "7000010")
    saga = dossier()
    rollback = Dossier(
        Header("r", "x", b"{}", b"{}", "ann", None, 0),
        Plan("x", (PlanStep(0, "attach", f"{VOLUME}.detach", takes_back=0),)),
        Past(saga, STATE, (NUMBER,)),
    )
    rollback.recall(State(created_at=0, steps=(), moves=(later,)))
    original = rollback.original(0, "forward")

    assert original is not None
    assert original.arguments == {"droplet_id": 7000010}
    assert saga.lookup(STATE, 0, rollback.moves)(Ref("self", ("droplet_id",))) == 7000010
