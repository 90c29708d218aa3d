"""The laws about the world at the end of a run: what was done to it, what was taken back, and what is on record of it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from tests.simulation.laws import Broken
from tests.simulation.seen import Seen, place_of

if TYPE_CHECKING:
    from orchestrator.parts import Parts
    from tests.simulation.run import Run
    from tests.simulation.world import Effect

_JSON = msgspec.json.Decoder()


def apart(run: Run, seen: list[Seen]) -> None:
    """Between a saga's first and last touch of a place no other saga touches it."""
    excused = {each.id for each in seen if each.reopened}
    for place, effects in places(run).items():
        owners = [each.saga for each in effects if each.key]
        for saga in set(owners) - excused:
            first, last = owners.index(saga), len(owners) - owners[::-1].index(saga)
            if others := set(owners[first:last]) - {saga} - excused:
                raise Broken("apart", f"{place} was {saga}'s, and {min(others)} changed it")


def restored(seen: Seen, run: Run, all_: list[Seen]) -> None:
    """The world after the way back is the world before; and so after a rollback of what had completed."""
    status = seen.document["status"]
    for place, effects in places(run).items():
        if place in run.world.disturbed or seen.reopened:
            continue
        mine = [each for each in effects if each.saga == seen.id]
        if not mine or seen.left(place):
            continue
        before, after = mine[0].before, mine[-1].after
        if status == "rolled_back" and seen.gentle(place) and before != after:
            raise Broken("restored", f"{seen.id} is rolled back; {place} was {before!r} and is {after!r}")
        if status == "failed" and seen.file is not None and before != after and seen.gentle(place):
            raise Broken(
                "restored", f"{seen.id} has failed and does not say that it left {place} as {after!r}"
            )
        taker = next((each for each in all_ if each.id == seen.document["rolled_back_by"]), None)
        if status == "completed" and taker is not None and seen.gentle(place):
            _taken_back(seen, taker, place, effects, before)


def _taken_back(seen: Seen, taker: Seen, place: str, effects: list[Effect], before: str | None) -> None:
    owners = [each.saga for each in effects]
    last = len(owners) - owners[::-1].index(seen.id)
    taken = {step["name"] for step in taker.document["steps"]}
    if taker.document["left_behind"] or taker.reopened or not _done_at(seen, place) <= taken:
        return
    following = effects[last:]
    if any(each.saga != taker.id for each in following[:1]):
        return
    theirs = [each for each in following if each.saga == taker.id]
    skipped = any(step["status"] != "completed" for step in taker.document["steps"])
    after = theirs[-1].after if theirs else effects[last - 1].after
    if not skipped and after != before:
        raise Broken("restored", f"{taker.id} took back {seen.id}; {place} was {before!r} and is {after!r}")


def _done_at(seen: Seen, place: str) -> set[str]:
    files = (seen.file or {}).get("steps", ())
    there = {step["name"] for step in files if place_of(step) == place}
    return {step["name"] for step in seen.document["steps"] if step["status"] == "completed"} & there


def registered(made: Parts, run: Run, seen: list[Seen]) -> None:
    """A record says what is there; what a saga has completed is on record."""
    for place, effects in places(run).items():
        touched = [each for each in seen if any(effect.saga == each.id for effect in effects)]
        spoilt = any(not _clean(each, place) for each in touched)
        if place in run.world.disturbed or spoilt:
            continue
        record = made.host.queries.resource("sim.place" if place.startswith("/") else "sim.cloud", place)
        value = run.world.values.get(place)
        spec = None if record is None else _JSON.decode(record.spec).get("value")
        if record is not None and spec != value:
            raise Broken("registry", f"{place} is {value!r}, and on record {spec!r}")
        if record is None and value is not None and value.startswith("by "):
            raise Broken("registry", f"{place} is {value!r} by sagad's doing, and not on record")


def _clean(seen: Seen, place: str) -> bool:
    """Tell whether a saga has left no doubt about a place: all that it did there stays, or none of it."""
    status = seen.document["status"]
    if seen.reopened or seen.document["left_behind"] or status == "failed":
        return False
    return seen.gentle(place) if seen.file is not None else seen.document["rollback_of"] is not None


def places(run: Run) -> dict[str, list[Effect]]:
    """Give what was done to each place, in order."""
    found: dict[str, list[Effect]] = defaultdict(list)
    for each in run.world.log:
        if not each.resource.startswith("bell"):
            found[each.resource].append(each)
    return found
