"""Who may touch what: the locks of all sagas, and who waits for whom.

A step that changes a resource takes its lock for the rest of its saga. What is taken and who waits is in the sagas'
own records (``lock.taken``, ``lock.awaited``, ``lock.released``); this table is drawn from their states, at the start
from the database and from then on after each durable turn (``follow``), so it can neither lose a lock nor leak one. What
only lives here is a reservation: a lock that was found free and is not yet on record.

First come, first served: who has no lock yet is given none that somebody waits for who came before. Who has one already
is not kept waiting by those who merely wait: a free file below a folder that another one waits for, because of this very
saga perhaps. So nobody starves, and a ring of sagas that wait for one another is one of locks that they have: a deadlock,
which is broken as SPEC §3 says.

What a completed saga keeps for its batch is the batch's: its other sagas pass by it, and count as having a lock already.
It is kept until all of them have ended, so whoever waits for it waits for them, and that too may close a ring.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from actors.saga import messages as m
from actors.saga.state import ENDED, State, Touch
from actors.saga.touched import upwards
from actors.saga.wants import turnable

Tell = Callable[[str, m.Message], object]


class Claim(msgspec.Struct, eq=False):
    """One saga's claim to one resource.

    ``held``: on record. ``reserved``: free when it was asked for, and kept until it is on record or its saga's actor has
    gone. ``waiting``: on record, too.
    """

    saga: str
    resource: Touch
    kind: Literal["held", "reserved", "waiting"]
    step: int
    order: int
    """Who came first."""
    batch: str | None
    awaited: bool = False
    """A reservation for a step that has waited."""
    kept: bool = False
    """Its saga has completed, and its batch keeps the lock: that is in the way of others, not of the batch's own."""

    @property
    def in_line(self) -> bool:
        """Whether its saga is on record as waiting for it, its turn having come or not."""
        return self.kind == "waiting" or self.awaited


class Who(msgspec.Struct, frozen=True):
    """What a deadlock is broken by: the youngest of those that can turn back."""

    created_at: int
    id: str
    turnable: bool


class Locks:
    """The table."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.tell: Tell = _to_nobody
        """Tells sagas that their turn has come, or that they are in a deadlock. The directory's."""
        self._claims: dict[str, list[Claim]] = {}
        self._mates: defaultdict[str, set[str]] = defaultdict(set)
        """The sagas of each batch that have or want something."""
        self._who: dict[str, Who] = {}
        self._places = _Places()
        self._order = 0
        self._told: set[str] = set()
        """Those that have been told of their deadlock and have not moved since."""

    # -- asked by who prepares a step ------------------------------------------------------------------------------

    def acquire(self, saga: str, batch: str | None, step: int, resource: Touch) -> str | None:
        """Reserve a lock for a saga, if it is free; else give the saga that is first in the way."""
        mine = self._claims.get(saga, ())
        if any(claim.kind != "waiting" and claim.resource.covers(resource) for claim in mine):
            return None
        claim = Claim(saga, resource, "reserved", step, self._next(), batch)
        for other in self._in_the_way(claim):
            return other.saga
        self._add(claim)
        return None

    def give_back(self, saga: str, step: int) -> None:
        """Let go of what was reserved for a step that was not waiting and cannot be prepared after all."""
        free: list[Touch] = []
        for claim in list(self._claims.get(saga, ())):
            if claim.kind == "reserved" and claim.step == step and not claim.awaited:
                self._remove(claim)
                free.append(claim.resource)
        self._serve(free)

    # -- told by whoever makes something durable --------------------------------------------------------------------

    def follow(self, saga: str, batch: str | None, state: State) -> None:
        """Bring the table up to a saga's state, which is durable."""
        known = self._claims.get(saga)
        if known is None and not state.locks and not state.seen.locked:
            return
        self._who[saga] = Who(state.created_at, saga, turnable(state))
        if state.turn is None and state.deadlock is None and not self._who[saga].turnable:
            self._told.discard(saga)  # it was told to turn back, and by then it no longer could
        free = self._drop(saga, state)
        self._keep(saga, batch, state)
        self._serve(free)
        self._look_again(saga)
        if saga not in self._claims:
            self._who.pop(saga, None)

    def left(self, saga: str) -> None:
        """A saga's actor is gone, and what it had not put on record with it."""
        free: list[Touch] = []
        for claim in [each for each in self._claims.get(saga, ()) if each.kind == "reserved"]:
            if claim.awaited:
                claim.kind, claim.awaited = "waiting", False
            else:
                self._remove(claim)
            free.append(claim.resource)
        self._serve(free)

    def restore(self, states: Iterable[tuple[str, str | None, State]]) -> None:
        """Begin with what is on record: each saga that has locks or waits, its batch, its state; in order of submission."""
        waiting: list[tuple[int, str]] = []
        for saga, batch, state in states:
            if state.locks or state.seen.locked:
                self._who[saga] = Who(state.created_at, saga, turnable(state))
            for resource in state.locks:
                self._hold(saga, batch, resource, state)
            for step, lock in state.seen.locked:
                waiting.append((lock.since, saga))
                self._add(Claim(saga, lock.resource, "waiting", step, 0, batch))
        for number, (_, saga) in enumerate(sorted(waiting, key=lambda each: each[0])):
            for claim in self._claims[saga]:
                if claim.kind == "waiting" and not claim.order:
                    claim.order = self._order + number + 1
        self._order += len(waiting)
        self._serve(None)
        for saga in list(self._claims):
            self._look_for_deadlocks(saga)

    # -- looked at by who is asked ---------------------------------------------------------------------------------

    def holder(self, resource: Touch) -> str | None:
        """Name a saga that has the lock of a resource, or of one that encloses it or lies in it."""
        found = (claim.saga for claim in self._places.overlapping(resource) if claim.kind != "waiting")
        return next(found, None)

    def behind(self, saga: str) -> list[tuple[int, Touch, str]]:
        """Give (step, resource, saga in the way) of each lock that a saga waits for."""
        found = []
        for claim in self._claims.get(saga, ()):
            if claim.kind == "waiting":
                found += [(claim.step, claim.resource, other.saga) for other in self._first(claim)]
        return found

    def awaiting(self, saga: str) -> list[tuple[str, int, Touch]]:
        """Give (saga, its step, resource) of each lock that others wait for and this saga has."""
        found = []
        for claim in self._claims.get(saga, ()):
            if claim.kind != "waiting":
                found += [
                    (other.saga, other.step, other.resource)
                    for other in self._places.overlapping(claim.resource)
                    if other.kind == "waiting" and other.saga != saga
                ]
        return found

    @property
    def idle(self) -> bool:
        """Nobody has or wants anything."""
        return not self._claims

    # -- inside ----------------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._order += 1
        return self._order

    def _add(self, claim: Claim) -> None:
        self._claims.setdefault(claim.saga, []).append(claim)
        self._places.add(claim)
        if claim.batch is not None:
            self._mates[claim.batch].add(claim.saga)

    def _remove(self, claim: Claim) -> None:
        mine = self._claims[claim.saga]
        mine.remove(claim)
        self._places.remove(claim)
        if not mine:
            del self._claims[claim.saga]
            if claim.batch is not None:
                self._mates[claim.batch].discard(claim.saga)
                if not self._mates[claim.batch]:
                    del self._mates[claim.batch]

    def _drop(self, saga: str, state: State) -> list[Touch]:
        """Forget what is no longer so on a saga's record; give what that sets free."""
        held, waits = set(state.locks), {(step, lock.resource) for step, lock in state.seen.locked}
        ended = state.status in ENDED
        free: list[Touch] = []
        for claim in list(self._claims.get(saga, ())):
            recorded = claim.resource in held
            if ended and not claim.kept:
                claim.kept = True
                free += [claim.resource, *self._awaited_by_mates(claim)]
            gone = (
                (claim.kind == "held" and not recorded)
                or (claim.kind == "reserved" and (ended or recorded))
                or (claim.in_line and (claim.step, claim.resource) not in waits)
            )
            if gone:
                self._remove(claim)
                free.append(claim.resource)
                self._told.discard(saga)
        return free

    def _awaited_by_mates(self, claim: Claim) -> Iterator[Touch]:
        for mate in self._mates_of(claim):
            yield from (each.resource for each in self._claims[mate] if each.kind == "waiting")

    def _mates_of(self, claim: Claim) -> tuple[str, ...]:
        """Give the other sagas of its batch that have or want something."""
        if claim.batch is None:
            return ()
        return tuple(mate for mate in self._mates.get(claim.batch, ()) if mate != claim.saga)

    def _hold(self, saga: str, batch: str | None, resource: Touch, state: State) -> None:
        kept = state.status in ENDED
        self._add(Claim(saga, resource, "held", -1, self._next(), batch, kept=kept))

    def _keep(self, saga: str, batch: str | None, state: State) -> None:
        """Take in what is new on a saga's record."""
        mine = self._claims.get(saga, ())
        held = {claim.resource for claim in mine if claim.kind == "held"}
        known = {(claim.step, claim.resource) for claim in mine if claim.in_line}
        for resource in state.locks:
            if resource not in held:
                self._hold(saga, batch, resource, state)
        for step, lock in state.seen.locked:
            if (step, lock.resource) not in known:
                self._add(Claim(saga, lock.resource, "waiting", step, self._next(), batch))

    def _look_again(self, saga: str) -> None:
        """See what a saga that waits may have by now, and whether it ever will; or those who wait for what it keeps."""
        claims = list(self._claims.get(saga, ()))
        for claim in claims:
            if claim.kind == "waiting":
                self._grant(claim)
        if any(claim.kind == "waiting" or claim.kept for claim in claims):
            self._look_for_deadlocks(saga)

    def _serve(self, free: list[Touch] | None) -> None:
        """Give what was set free (None: look at everything) to those who wait for it, in order."""
        if free == []:
            return
        found: dict[int, Claim] = {}
        for claim in self._everybody() if free is None else self._over(free):
            if claim.kind == "waiting":
                found[id(claim)] = claim
        for claim in sorted(found.values(), key=lambda each: each.order):
            self._grant(claim)

    def _everybody(self) -> Iterator[Claim]:
        for claims in self._claims.values():
            yield from claims

    def _over(self, free: list[Touch]) -> Iterator[Claim]:
        for resource in dict.fromkeys(free):
            yield from self._places.overlapping(resource)

    def _grant(self, claim: Claim) -> None:
        if not any(True for _ in self._in_the_way(claim)):
            claim.kind, claim.awaited = "reserved", True
            self.tell(claim.saga, m.Granted(step=claim.step))

    def _in_the_way(self, claim: Claim) -> Iterator[Claim]:
        """Give the claims of others that come first: those that have it; and those who have waited longer, as above."""
        others = [other for other in self._places.overlapping(claim.resource) if _apart(claim, other)]
        yield from (other for other in others if other.kind != "waiting")
        if not self._has_any(claim):
            yield from (other for other in others if other.kind == "waiting" and other.order < claim.order)

    def _waits(self, saga: str) -> bool:
        return any(claim.kind == "waiting" for claim in self._claims.get(saga, ()))

    def _has_any(self, claim: Claim) -> bool:
        """Tell whether its saga has a lock already, or its batch keeps one."""
        mine = self._claims.get(claim.saga, ())
        return any(each.kind != "waiting" for each in mine) or any(
            each.kept for mate in self._mates_of(claim) for each in self._claims[mate]
        )

    def _first(self, claim: Claim) -> list[Claim]:
        return next(([other] for other in self._in_the_way(claim)), [])

    # -- deadlocks -------------------------------------------------------------------------------------------------

    def _look_for_deadlocks(self, saga: str) -> None:
        """Break every deadlock that a saga is in: tell one of them to turn back, or to ask somebody."""
        while ring := self._ring(saga):
            waiting = (self._who[each] for each in ring if self._waits(each))
            who = sorted(waiting, key=lambda each: (each.created_at, each.id))
            chosen = next((each for each in reversed(who) if each.turnable), who[-1])
            self._told.add(chosen.id)
            self.tell(chosen.id, m.Deadlocked(sagas=tuple(sorted(ring)), turns=chosen.turnable))

    def _ring(self, start: str) -> list[str]:
        """Give sagas that wait for one another in a ring, this one first; those that know already break it."""
        came: dict[str, str] = {}
        stack = [start]
        while stack:
            saga = stack.pop()
            if saga in self._told:
                continue
            for other in self._holders(saga):
                if other == start:
                    return self._way(came, start, saga)
                if other not in came:
                    came[other] = saga
                    stack.append(other)
        return []

    def _way(self, came: dict[str, str], start: str, end: str) -> list[str]:
        way = [end]
        while way[-1] != start:
            way.append(came[way[-1]])
        return way[::-1]

    def _holders(self, saga: str) -> Iterator[str]:
        """Give the sagas that have what one waits for; and those whose end is awaited by what one keeps."""
        for claim in self._claims.get(saga, ()):
            if claim.kept:
                yield from (mate for mate in self._mates_of(claim) if self._waits(mate))
            elif claim.kind == "waiting":
                for other in self._places.overlapping(claim.resource):
                    if other.kind != "waiting" and _apart(claim, other):
                        yield other.saga


def _apart(one: Claim, other: Claim) -> bool:
    """Tell whether two claims that overlap exclude each other."""
    if one.saga == other.saga:
        return False
    return not ((one.kept or other.kept) and one.batch is not None and one.batch == other.batch)


def _to_nobody(_: str, __: m.Message) -> None:
    """Tell nobody, before there is a directory."""


class _Places:
    """Claims by what they are to, so that those which overlap a resource are found without looking at all."""

    def __init__(self) -> None:
        self._at: defaultdict[str, list[Claim]] = defaultdict(list)
        """By path."""
        self._below: defaultdict[str, list[Claim]] = defaultdict(list)
        """By each folder above their path."""
        self._named: defaultdict[tuple[str, str], list[Claim]] = defaultdict(list)
        """By type and name, and by type and id."""

    def add(self, claim: Claim) -> None:
        for index, key in self._keys(claim.resource):
            index[key].append(claim)

    def remove(self, claim: Claim) -> None:
        for index, key in self._keys(claim.resource):
            index[key].remove(claim)
            if not index[key]:
                del index[key]

    def _keys(self, resource: Touch) -> Iterator[tuple[defaultdict[str, list[Claim]], str]]:
        if resource.path is not None:
            path, *above = upwards(resource.path)
            yield self._at, path
            for each in above:
                yield self._below, each
            return
        yield self._named, (resource.type, resource.name)  # type: ignore[misc]
        if resource.id is not None and resource.id != resource.name:
            yield self._named, (resource.type, resource.id)  # type: ignore[misc]

    def overlapping(self, resource: Touch) -> list[Claim]:
        """Give the claims to what is, encloses or lies in a resource, in the order in which they came."""
        found: dict[int, Claim] = {}
        if resource.path is not None:
            path, *above = upwards(resource.path)
            for claims in (
                self._at.get(path, ()),
                self._below.get(path, ()),
                *(self._at.get(each, ()) for each in above),
            ):
                found |= {id(claim): claim for claim in claims}
        else:
            for name in (resource.name, resource.id):
                near = self._named.get((resource.type, name), ()) if name is not None else ()
                found |= {id(claim): claim for claim in near if claim.resource.overlaps(resource)}
        return sorted(found.values(), key=lambda claim: claim.order)
