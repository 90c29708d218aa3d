"""What outcomes make of the registry, where that takes more than one saga of a real daemon to see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.resources import Resources
from actors.saga import register
from actors.saga.dossier import INTENT, Dossier, Entry, Header, Intent
from actors.saga.plan import Plan, PlanStep
from actors.saga.register import Done
from providers.contract import ABSENT, Image, Resource
from providers.registry import Registry
from store.journal import Journal
from store.queries import Queries
from store.records import Resource as Record
from store.records import ResourceChange
from store.runner import Inline
from tests.engine.cloud import Thing
from tests.unit.store.samples import AT, KEY, submitted

HEADER = Header("a", "x", b"{}", b"{}", "ann", None, AT)
PLAN = Plan("x", tuple(PlanStep(index, f"s{index}", "cloud.thing.create") for index in range(3)))


class NoBlobs:
    """The thing keeps none."""

    keep: Any = None
    chunks: Any = None


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """A registry with one record: thing 7, which is called web."""
    path = tmp_path / "sagad.db"
    journal = Journal.open(path, KEY, Inline(), reserve=0)
    commit = submitted("a")
    commit.resources = [ResourceChange("cloud.thing", "7", record("7", version=4))]
    await journal.commit(commit)
    queries = await Queries.open(path)
    yield Resources(queries, Registry({"cloud.thing": Thing({}, NoBlobs())}, {}))
    await queries.close()
    await journal.close()


def record(id: str, version: int = 1, **spec: Any) -> Record:
    """A thing's record."""
    outputs = msgspec.json.encode({"id": id, "token": "***"})
    return Record(
        "cloud.thing",
        id,
        "web",
        id,
        msgspec.json.encode(spec or {"size": 1}),
        version,
        outputs,
        "a",
        "e",
        AT,
        AT,
    )


def entry(
    verb: str, intent: Intent, outputs: dict[str, Any] | None = None, after: Image | None = None
) -> Entry:
    """An execution that has its outcome."""
    return Entry("e", "a-0-f-1", "forward", f"cloud.thing.{verb}", 1, {}, intent, outputs, after)


def on(id: str | None = None) -> Resource:
    """The thing, by its name or its id."""
    return Resource("cloud.thing", id or "web", id)


def done(step: int = 0, direction: Any = "forward", *, partly: bool = False) -> Done:
    """An outcome that is there."""
    return Done(step, direction, partly, AT + 1)


def test_an_operation_by_name_finds_the_record_that_has_an_id(resources: Resources) -> None:
    """Only where something is there: who makes another of that name makes a record of its own."""
    there = Intent("update", "n", "d", on(), Image(), Image(fields={"size": 2}), ("size",))
    absent = Intent("create", "n", "d", on(), ABSENT, Image(fields={"size": 2}), ("size",))
    dossier = Dossier(HEADER, PLAN)

    assert [each.id for each in register.before(resources, dossier, there, None, None)] == ["7"]
    assert register.before(resources, dossier, absent, None, None) == ()


def test_later_steps_see_what_earlier_ones_have_made_before_it_is_on_disk(resources: Resources) -> None:
    """Of one commit: an outcome, and the intent of what comes next."""
    intent = Intent("update", "n", "d", on("7"), Image(), Image(fields={"size": 2}), ("size",))
    dossier = Dossier(HEADER, PLAN)
    found = register.before(resources, dossier, intent, None, None)
    dossier.entries[0, "forward"] = entry(
        "update", msgspec.structs.replace(intent, recorded=found), {"id": "7"}
    )
    (change,) = register.after(resources, dossier, done())
    (seen,) = register.before(resources, dossier, intent, None, None)

    assert change.record == seen
    assert (seen.spec, seen.spec_version) == (b'{"size":2}', 5)


def test_an_undo_follows_an_id_that_has_changed(resources: Resources) -> None:
    """Changed, then deleted; taking back the delete gave it another id, under which the change is taken back."""
    dossier = Dossier(HEADER, PLAN)
    earlier, changed = record("7", 4), record("7", 5, size=2)
    update = Intent(
        "update", "n", "d", on("7"), Image(), Image(fields={"size": 2}), ("size",), recorded=(earlier,)
    )
    delete = Intent("delete", "n", "d", on("7"), Image(), ABSENT, ("size",), recorded=(changed,))
    dossier.entries[0, "forward"] = entry("update", update, {"id": "7"})
    dossier.entries[1, "forward"] = entry("delete", delete, {"id": "7"})
    back = msgspec.structs.replace(delete, verb="create", restore=True, recorded=())
    dossier.entries[1, "undo"] = entry("create", back, {"id": "8", "token": "***"})
    move = dossier.move(1, "undo", {"id": "8", "token": "***"})
    assert move is not None
    dossier.moves += (move,)
    undone = {each.identity: each.record for each in register.after(resources, dossier, done(1, "undo"))}
    restore = Intent("update", "n", "d", on("7"), restore=True)
    found = register.before(resources, dossier, restore, None, dossier.entries[0, "forward"])
    dossier.entries[0, "undo"] = entry("update", msgspec.structs.replace(restore, recorded=found), {})
    last = {each.identity: each.record for each in register.after(resources, dossier, done(0, "undo"))}

    assert undone["7"] is None
    assert undone["8"] is not None
    assert (undone["8"].id, undone["8"].spec) == ("8", b'{"size":2}')
    assert [each.id for each in found] == ["8"]
    assert last.get("7") is None
    assert last["8"] is not None
    assert (last["8"].id, last["8"].spec) == ("8", b'{"size":1}')
    assert last["8"].spec_version > undone["8"].spec_version


def test_what_was_undone_by_hand_is_undone_on_record(resources: Resources) -> None:
    """Also where sagad has never begun to undo it, because another undo failed."""
    dossier = Dossier(HEADER, PLAN)
    made = Intent("create", "n", "d", on(), ABSENT, Image(fields={"size": 1}), ("size",), recorded=())
    dossier.entries[0, "forward"] = entry("create", made, {"id": "9"})
    (change,) = register.after(resources, dossier, done(0, "undo"))
    update = msgspec.structs.replace(made, verb="update", before=Image(), recorded=(record("7", 4),))
    dossier.entries[1, "forward"] = entry("update", update, {"id": "7"})
    (back,) = register.after(resources, dossier, done(1, "undo"))

    assert (change.identity, change.record) == ("9", None)
    assert back.record is not None
    assert (back.record.spec, back.record.spec_version) == (b'{"size":1}', 6)


def test_of_what_is_there_in_part_the_record_says_what_is_there(resources: Resources) -> None:
    """Not what was meant."""
    intent = Intent(
        "create", "n", "d", on(), ABSENT, Image(fields={"size": 5}), ("size", "tags"), recorded=()
    )
    dossier = Dossier(HEADER, PLAN)
    dossier.entries[0, "forward"] = entry("create", intent, {"id": "9"}, Image(fields={"size": 1, "x": 2}))
    (partly,) = register.after(resources, dossier, done(partly=True))
    (whole,) = register.after(resources, dossier, done())

    assert partly.record is not None
    assert whole.record is not None
    assert (partly.record.spec, whole.record.spec) == (b'{"size":1}', b'{"size":5}')


def test_a_sensitive_value_is_kept_as_a_reference_only(resources: Resources) -> None:
    """A reference to it stays one."""
    values = {"id": "9", "token": "tok"}

    assert resources.presentable("cloud.thing", values) == {"id": "9", "token": "***"}
    assert resources.presentable("cloud.thing", {"token": "${secret.x}"}) == {"token": "${secret.x}"}
    assert resources.presentable("local.file", values) == values


def test_what_has_no_part_in_the_registry_leaves_it_alone(resources: Resources) -> None:
    """An execution of an earlier release, or of a step that says so; and what takes it back."""
    intent = Intent("create", "n", "d", on(), ABSENT, Image(fields={"size": 5}), ("size",))
    dossier = Dossier(HEADER, PLAN)
    dossier.entries[0, "forward"] = entry("create", intent, {"id": "9"})

    assert register.after(resources, dossier, done()) == []
    assert register.after(resources, dossier, done(direction="undo")) == []
    assert register.after(resources, dossier, done(2)) == []


def test_a_record_survives_in_an_intent() -> None:
    """As an undo after a crash finds it: bytes stay bytes."""
    intent = Intent("update", "n", "d", on("7"), recorded=(record("7"),), alias="web")

    assert INTENT.decode(msgspec.msgpack.encode(intent)) == intent
