"""The laws about the end of a run: what a user is shown, what is on record, and (``restored``) what there is."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from actors.replay import replay
from store import audit
from tests.simulation.laws import FINAL, Broken, Told, told
from tests.simulation.node import KEY
from tests.simulation.restored import apart, places, registered, restored
from tests.simulation.seen import Seen, place_of

if TYPE_CHECKING:
    from orchestrator.parts import Parts
    from tests.simulation.run import Run

_JSON = msgspec.json.Decoder()
_ENDS = ("saga.completed", "saga.rolled_back", "saga.failed")
_OUTCOMES = ("succeeded", "failed")


async def check(made: Parts, run: Run) -> None:
    """Hold all laws about the end. Raises Broken."""
    db = run.laws.db
    assert db is not None
    run.laws.acknowledged(db)
    report = audit.verify(db, KEY)
    if report.problem:
        raise Broken("chain", report.problem)
    for seq, head in run.operators.heads:
        row = db.execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchone()
        if row is None or row[0].hex() != head:
            raise Broken("chain", f"a head that was shown, {seq}:{head[:12]}, is not on the record")
    if problems := replay(db, 0, 1_000).differing:
        raise Broken("folds", f"{problems[0].saga}: {problems[0].problem}")
    if "bug" in str(_JSON.decode(await made.service.health())["warnings"]):
        raise Broken("moves", str(_JSON.decode(await made.service.health())["warnings"]))
    seen = [each async for each in _all(made, run)]
    for each in seen:
        _final(each)
        _linked(each, seen)
        _in_order(each)
        _again_in_order(each)
        _said(each, run)
    for place, effects in places(run).items():
        # What goes on elsewhere goes on when its saga was given up.
        if any(each.reopened and each.id in {effect.saga for effect in effects} for each in seen):
            run.world.disturbed.add(place)
    apart(run, seen)
    for each in seen:
        restored(each, run, seen)
    registered(made, run, seen)


async def _all(made: Parts, run: Run) -> Any:
    assert run.laws.db is not None
    events: dict[str, list[Told]] = defaultdict(list)
    for each in told(run.laws.db):
        events[each.saga].append(each)
    files = {file["saga"]: file for file in run.scenario.sagas}
    for (saga,) in run.laws.db.execute("SELECT id FROM sagas ORDER BY number").fetchall():
        document = _JSON.decode(await made.service.saga(saga))
        executions = _JSON.decode(await made.service.executions(saga))["executions"]
        taker = document["rollback_of"] is not None
        yield Seen(document, executions, events[saga], None if taker else files.get(document["kind"]))


# --- of each saga ----------------------------------------------------------------------------------------------------


def _final(seen: Seen) -> None:
    for step in seen.document["steps"]:
        if step["status"] not in FINAL:
            raise Broken("final", f"{seen.id} has ended, and step {step['name']} is {step['status']}")
    _one_end(seen)
    _one_outcome(seen)


def _one_end(seen: Seen) -> None:
    """A saga ends once, and then nothing of it begins, unless somebody repairs what was left."""
    ends = 0
    for each in seen.events:
        ends += each.type in _ENDS
        if each.actor != "sagad" or each.type == "saga.reopened":
            ends = 0
        if ends > 1:
            raise Broken("final", f"{seen.id} has ended twice: {each.type}")
        if ends and each.type.endswith(".started"):
            raise Broken("final", f"{seen.id} had ended, and {each.type} of {each.step}")


def _one_outcome(seen: Seen) -> None:
    """An execution has one outcome, until its step or undo is started anew, or somebody has its saga try once more."""
    outcomes: dict[tuple[str | None, str], int] = defaultdict(int)
    for each in seen.events:
        prefix, _, what = each.type.rpartition(".")
        if each.type in ("saga.turned_forward", "saga.reopened"):
            outcomes.clear()
        elif what in ("started", "reset"):
            outcomes[each.step, prefix] = 0
        elif what in _OUTCOMES and prefix in ("step", "undo", "hook") and each.actor == "sagad":
            outcomes[each.step, prefix] += 1
            if outcomes[each.step, prefix] > 1:
                raise Broken("final", f"{seen.id}: a second outcome, {each.type} of {each.step}")


def _linked(seen: Seen, all_: list[Seen]) -> None:
    by_id = {each["id"]: each for one in all_ for each in one.executions}
    for each in seen.executions:
        if (original := each["compensates"]) is not None:
            back = by_id.get(original)
            if back is None or each["id"] not in back["compensated_by"]:
                raise Broken("linked", f"{each['id']} compensates {original}, which does not name it back")
        elif each["direction"] == "undo" or (each["nature"] != "forward" and not seen.document["corrects"]):
            raise Broken("linked", f"{seen.id}: {each['nature']} of step {each['step']} names nothing")
        for other in each["compensated_by"]:
            if by_id[other]["compensates"] != each["id"]:
                raise Broken("linked", f"{each['id']} is compensated by {other}, which does not say so")


def _in_order(seen: Seen) -> None:
    """Undos of steps that come one after the other begin in the opposite order, the last first."""
    if seen.file is None or seen.reopened or any("needs" in step for step in seen.file["steps"]):
        return
    started: dict[str | None, int] = {}
    numbers: dict[str | None, int] = {}
    for number, each in enumerate(seen.events):
        if each.type == "step.started":
            numbers[each.step] = number
        elif each.type == "undo.started" and each.step not in started:
            started[each.step] = number
    turned = any(each.type == "saga.turned_forward" for each in seen.events)
    undone = sorted((number, step) for step, number in started.items())
    for (_, one), (_, other) in pairwise(undone):
        if not turned and numbers[one] < numbers[other]:
            raise Broken("order", f"{seen.id}: the undo of {one} began before that of {other}")


def _again_in_order(seen: Seen) -> None:
    """Of steps that come one after the other none starts before an earlier one that was taken back is done again."""
    if seen.file is None or any("needs" in step for step in seen.file["steps"]):
        return
    places = {step["name"]: index for index, step in enumerate(seen.file["steps"])}
    back: set[int] = set()
    for each in seen.events:
        place = places.get(each.step or "", -1)
        if each.type == "undo.started":
            back.add(place)
        elif each.type in ("step.succeeded", "step.skipped", "step.kept"):
            back.discard(place)
        elif each.type == "step.started" and (missing := [one for one in back if one < place]):
            raise Broken("order", f"{seen.id}: {each.step} began again before step {min(missing)}")


def _said(seen: Seen, run: Run) -> None:
    """What is completed was done."""
    if seen.file is None:
        return
    by_words = {each.step for each in seen.events if each.actor != "sagad"}
    for index, step in enumerate(seen.document["steps"]):
        file = seen.file["steps"][index]
        changes = step["do"].startswith(("sim.place", "sim.cloud")) and not step["do"].endswith(".delete")
        if step["status"] != "completed" or not changes or step["name"] in by_words:
            continue  # what is gone already need not be deleted
        key = f"{seen.id}-{index}-f-"
        done = any(each.key.startswith(key) and each.kind != "cleanup" for each in run.world.log)
        if not done and place_of(file) not in run.world.disturbed:
            raise Broken("done", f"{seen.id}: step {step['name']} is completed, and nothing was done")
