"""What happens in one run, as data: what is submitted, who says what and when, and everything that goes wrong.

`random_scenario` makes one from a seed. Nothing else of a run depends on chance but how long things take, and that is
drawn from the seed by name (`World.draw`), so a part can be taken out and the rest goes on as it did: see `shrink`.
"""

from __future__ import annotations

import random
from typing import Any, Literal

import msgspec

PLACES = ("/a", "/a/b", "/c", "/d/e", "/d")
HOW = ("failed", "transient", "limited", "partial", "compensated", "lost_before", "lost_after", "raises_before",
       "raises_after", "nonsense", "hangs_before", "hangs_after")  # fmt: skip
BACK = ("failed", "transient", "limited", "lost_before", "lost_after", "raises_after", "nonsense", "hangs_after",
        "partial")  # fmt: skip
VERBS = ("cancel", "cancel", "pause", "resume", "retry", "skip", "resolve", "approve", "approve", "reject", "abandon",
         "rollback", "rollback", "preview", "correct", "look")  # fmt: skip
CLOUDS = ("x", "y")
CLOUD = ("put", "put", "create", "update", "delete")
OPERATIONS = ("put", "put", "create", "update", "delete", "blind", "token", "again", "slow", "burn")


class Action(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody says something to a saga, at this second."""

    at: float
    verb: str
    saga: int
    step: int = 0
    by: str = "ada"
    flag: bool = False
    """``now``, ``force`` or ``past_irreversible``."""


class Crash(msgspec.Struct, frozen=True, omit_defaults=True):
    """The daemon ends: its process (``kill``), the power of its machine, or in good order (``stop``)."""

    how: Literal["kill", "power", "stop"]
    point: str
    """``at`` a second; or the n-th ``turn`` of the loop, ``write``, ``sync`` or ``effect``, before or after."""
    at: float


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True):
    """The disk is full, or does not do as told, from this second to that."""

    kind: Literal["full", "write", "sync"]
    at: float
    until: float


class Other(msgspec.Struct, frozen=True, omit_defaults=True):
    """Other hands put something in a place, or take it away."""

    at: float
    place: str
    value: str | None = None


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sagas that are submitted together: the last so many."""

    members: int
    mode: str = "all_or_nothing"
    parallel: int | None = None
    on_failure: str = "compensate"


class Scenario(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run."""

    seed: int
    sagas: tuple[dict[str, Any], ...]
    starts: tuple[float, ...]
    """When each saga is submitted."""
    values: dict[str, str] = {}
    """What there is before."""
    batch: Batch | None = None
    actions: tuple[Action, ...] = ()
    crashes: tuple[Crash, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    others: tuple[Other, ...] = ()
    faults: dict[str, tuple[str, ...]] = {}
    passivate: int = 5_000
    in_flight: int = 1_000


def random_scenario(seed: int) -> Scenario:
    """Make the scenario of a seed."""
    chance = random.Random(seed)
    calm = chance.random() < 0.3
    count = chance.choice((1, 1, 1, 1, 2, 2, 3, 4))
    faults: dict[str, tuple[str, ...]] = {}
    bad = chance.choice((0.0, 0.05, 0.15, 0.35))
    sagas = tuple(_saga(chance, f"s{number}", faults, bad) for number in range(count))
    # From a chance of its own: what else there is of a seed stays what it is.
    if (apart := random.Random(f"{seed} no return")).random() < 0.05:
        sagas = (_past_no_return(apart, "s0", faults), *sagas[1:])
    rounds = 0 if calm and chance.random() < 0.5 else chance.choice((0, 1, 2, 3, 5, 8))
    return Scenario(
        seed=seed,
        sagas=sagas,
        starts=tuple(round(chance.random() * chance.choice((0.1, 5, 15)), 3) for _ in sagas),
        values=_values(chance),
        batch=_batch(chance, count) if count > 1 and chance.random() < 0.25 else None,
        actions=tuple(sorted((_action(chance, count) for _ in range(rounds)), key=lambda each: each.at)),
        crashes=() if calm else _crashes(chance),
        troubles=tuple(_trouble(chance) for _ in range(chance.random() < 0.2)),
        others=tuple(_other(chance) for _ in range(chance.random() < 0.15)),
        faults=faults,
        passivate=chance.choice((0, 500, 5_000)),
        in_flight=chance.choice((1_000, 1_000, 1)),
    )


def _values(chance: random.Random) -> dict[str, str]:
    there = {place for place in (*PLACES, *CLOUDS) if chance.random() < 0.6}
    there |= {above for place in there if (above := place.rpartition("/")[0])}
    return {place: f"{place} before" for place in sorted(there)}


def _batch(chance: random.Random, count: int) -> Batch:
    return Batch(
        members=chance.randint(2, count),
        mode=chance.choice(("all_or_nothing", "all_or_nothing", "best_effort")),
        parallel=chance.choice((None, 1, 2)),
        on_failure=chance.choice(("compensate", "compensate", "hold")),
    )


def _action(chance: random.Random, count: int) -> Action:
    return Action(
        at=round(chance.random() * chance.choice((2, 10, 30)), 3),
        verb=chance.choice(VERBS),
        saga=chance.randrange(count + 2),
        step=chance.randrange(4),
        by=chance.choice(("ada", "bob", "eve")),
        flag=chance.random() < 0.3,
    )


def _crashes(chance: random.Random) -> tuple[Crash, ...]:
    found = [_crash(chance) for _ in range(chance.choice((0, 1, 1, 1, 2)))]
    soon = [each for each in found if each.point in ("write", "sync") and chance.random() < 0.3]
    return (*found, *(Crash("power", each.point, each.at + chance.randint(1, 3)) for each in soon))


def _crash(chance: random.Random) -> Crash:
    how: Any = chance.choice(("kill", "power", "power", "stop"))
    point = "at" if how == "stop" else chance.choice(("at", "turn", "write", "sync", "effect", "after"))
    most = {"at": 20, "turn": 400, "write": 120, "sync": 40, "effect": 8, "after": 8}[point]
    at = chance.random() * most
    return Crash(how, point, round(at, 3) if point == "at" else int(at) + 1)


def _trouble(chance: random.Random) -> Trouble:
    at = round(chance.random() * 10, 3)
    kind: Any = chance.choice(("full", "write", "sync"))
    return Trouble(kind, at, round(at + chance.random() * chance.choice((0.1, 5, 30)), 3))


def _other(chance: random.Random) -> Other:
    value = chance.choice(("theirs", None))
    return Other(round(chance.random() * 20, 3), chance.choice(PLACES), value)


# --- saga files ------------------------------------------------------------------------------------------------------


def _saga(chance: random.Random, name: str, faults: dict[str, tuple[str, ...]], bad: float) -> dict[str, Any]:
    graph = chance.random() < 0.4
    places = chance.sample(PLACES, chance.choice((1, 2, 4)))
    count = chance.choice((1, 1, 2, 2, 3, 4))
    steps = [_step(chance, f"{name}.{index}", index, places, graph=graph) for index in range(count)]
    for step in steps:
        _go_wrong(chance, step, faults, bad)
    file: dict[str, Any] = {"saga": name, "labels": {"name": name}, "steps": steps}
    file |= _some(chance, 0.3, on_failure=chance.choice(("hold", "stop", "compensate")))
    file |= _some(chance, 0.3, on_undo_failure="hold") | _some(chance, 0.1, deadline="10s")
    file |= _some(chance, 0.3, on_conflict=chance.choice(("force", "skip")))
    if chance.random() < 0.2:
        policy = {"approve": chance.choice(("start", "irreversible", "each"))}
        policy |= _some(chance, 0.2, quorum=2) | _some(chance, 0.3, four_eyes=True)
        file["policy"] = policy | _some(chance, 0.3, expires="20s")
    return file


def _past_no_return(chance: random.Random, name: str, faults: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Make one that stops at its first step, which is irreversible, with one in between that has no way back."""
    first, second, third = chance.sample(PLACES, 3)
    steps: list[dict[str, Any]] = []
    for index, path in enumerate((first, second, first, third, second)):
        given = {"path": path, "mark": f"{name}.{index}", "value": f"by {name}.{index}"}
        steps.append({"name": f"n{index}", "timeout": "20s", "do": "sim.place.put", "with": given})
    steps[0]["irreversible"] = True
    steps[2]["undo"] = "none"
    faults[steps[chance.choice((3, 4))]["with"]["mark"]] = ("failed", "", "", "")
    return {"saga": name, "labels": {"name": name}, "steps": steps}


def _step(chance: random.Random, mark: str, index: int, places: list[str], *, graph: bool) -> dict[str, Any]:
    step: dict[str, Any] = {"name": f"n{index}", "timeout": "20s"}
    if chance.random() < 0.12:
        timer = {"do": "wait.timer", "with": {"duration": chance.choice(("2s", "15s"))}}
        echo = {"do": "test.echo", "with": {"message": mark}}
        step |= chance.choice((timer, timer, echo, {"do": "wait.approval", "with": {"message": "may I?"}}))
    else:
        cloud = chance.random() < 0.2
        verb = chance.choice(CLOUD if cloud else OPERATIONS)
        given = {"path": chance.choice(CLOUDS if cloud else places), "mark": mark}
        step |= {
            "do": f"sim.{'cloud' if cloud else 'place'}.{verb}",
            "with": given if verb == "delete" else given | {"value": f"by {mark}"},
        }
        step |= _ways_back(chance, verb, given)
        if chance.random() < 0.15:
            ring = {
                "do": f"sim.bell.{chance.choice(('ring', 'once', 'asked'))}",
                "with": {"mark": f"{mark}!"},
            }
            step["hooks"] = {chance.choice(("applied", "applied", "deleted")): ring}
    if graph:
        step["needs"] = [f"n{other}" for other in range(index) if chance.random() < 0.3]
    if index and "value" in step.get("with", {}) and chance.random() < 0.2:
        step["with"]["note"] = "${saga.id}"
    step |= _some(
        chance, 0.3, retry={"attempts": chance.choice((1, 2, 4)), "delay": chance.choice(("1s", "8s"))}
    )
    step |= _some(chance, 0.1, lock_timeout="5s")
    return step


def _ways_back(chance: random.Random, verb: str, given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"undo_retry": {"attempts": chance.choice((1, 2, 3)), "delay": "1s"}}
    drawn = chance.random()
    if verb == "burn":
        return {}
    if drawn < 0.1:
        return {"undo": "none"}
    if drawn < 0.2:
        correct = {
            "path": given["path"],
            "mark": f"{given['mark']}^",
            "value": f"made good for {given['mark']}",
        }
        verb = chance.choice(("put", "again", "blind"))
        place = f"sim.place.{verb}" if given["path"].startswith("/") else "sim.cloud.put"
        found["undo"] = {"do": place, "with": correct}
    found |= _some(chance, 0.1, undo_when="started") | _some(chance, 0.05, irreversible=True)
    return found if not found.get("irreversible") else {"irreversible": True}


def _go_wrong(
    chance: random.Random, step: dict[str, Any], faults: dict[str, tuple[str, ...]], bad: float
) -> None:
    mark = step.get("with", {}).get("mark")
    if mark is None:
        return

    def some(of: str, kinds: tuple[str, ...], how_bad: float) -> None:
        found = tuple("" if chance.random() >= how_bad else chance.choice(kinds) for _ in range(4))
        if any(found):
            faults[of] = found

    some(mark, HOW, bad)
    some(f"{mark}~", BACK, bad / 2)
    some(f"{mark}?", ("fails",), bad / 4)
    some(f"{mark}+", ("fails",), bad)
    some(f"{mark}!", HOW, bad)
    some(f"{mark}^", BACK, bad / 2)


def _some(chance: random.Random, often: float, **keys: Any) -> dict[str, Any]:
    return keys if chance.random() < often else {}
