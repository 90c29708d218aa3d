"""The locks of all sagas: nobody touches what another one has, everybody's turn comes, and every deadlock is broken."""

from __future__ import annotations

import random
from collections import deque

import pytest
from msgspec.structs import replace

from actors.locks import Locks
from actors.saga import messages as m
from actors.saga.state import LockWait, State, StepState, Touch


def path(name: str) -> Touch:
    """A file or folder."""
    return Touch(type="local.file", name=name, path=name)


def named(name: str, id: str | None = None, type_: str = "droplet") -> Touch:
    """Something that has a name, and an id once it exists."""
    return Touch(type=type_, name=name, id=id)


class Table:
    """A table, and sagas that put on record what it gives them."""

    def __init__(self) -> None:
        self.told: deque[tuple[str, m.Message]] = deque()
        self.states: dict[str, State] = {}
        self.batches: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        """Begin anew from what is on record."""
        self.told.clear()
        self.locks = Locks()
        self.locks.tell = lambda saga, message: self.told.append((saga, message))
        self.locks.restore((saga, self.batches.get(saga), state) for saga, state in self.states.items())

    def begin(self, *sagas: str) -> None:
        """Have sagas submitted, one after the other."""
        for saga in sagas:
            self.states[saga] = State(created_at=len(self.states), steps=(StepState(),) * 9, status="running")

    def record(self, saga: str, **changes: object) -> None:
        """Make something of a saga durable."""
        self.states[saga] = replace(self.states[saga], **changes)
        self.locks.follow(saga, self.batches.get(saga), self.states[saga])

    def want(self, saga: str, resource: Touch, step: int = 0) -> str | None:
        """Have a saga take a lock, or wait for it; give who is in the way."""
        behind = self.locks.acquire(saga, self.batches.get(saga), step, resource)
        if behind is None:
            self.take(saga, resource, step)
        else:
            self._wait(saga, step, LockWait(resource=resource, since=len(self.states)))
        return behind

    def take(self, saga: str, resource: Touch, step: int = 0) -> None:
        """Put a lock on record."""
        state = self.states[saga]
        self._wait(saga, step, None, locks=(*state.locks, resource))

    def _wait(self, saga: str, step: int, lock: LockWait | None, **changes: object) -> None:
        steps = list(self.states[saga].steps)
        steps[step] = replace(steps[step], lock=lock)
        self.record(saga, steps=tuple(steps), **changes)

    def end(self, saga: str) -> None:
        """End a saga."""
        steps = (StepState(status="completed"),) * 9
        self.record(saga, status="completed", locks=(), steps=steps)

    def complete(self, saga: str) -> None:
        """End a saga that keeps what it has for its batch, where it has one."""
        if saga not in self.batches:
            self.end(saga)
            return
        self.record(saga, status="completed", steps=(StepState(status="completed"),) * 9)
        self.end_batch(self.batches[saga])

    def end_batch(self, batch: str | None) -> None:
        """Have the sagas of a batch let go, if all of them have ended."""
        mates = [saga for saga, theirs in self.batches.items() if theirs == batch]
        if all(self.states[saga].status == "completed" for saga in mates):
            for saga in mates:
                self.end(saga)

    def left(self, saga: str) -> None:
        """Have a saga's actor leave memory, with what it has not read."""
        self.told = deque(each for each in self.told if each[0] != saga)
        self.locks.left(saga)

    def hear(self) -> list[str]:
        """Let those that were told do as they were told; give who got a lock."""
        got = []
        while self.told:
            saga, message = self.told.popleft()
            if isinstance(message, m.Granted):
                lock = self.states[saga].steps[message.step].lock
                if lock is None:
                    continue  # told twice, since it was told before its actor crashed
                self.take(saga, lock.resource, message.step)
                got.append(saga)
            elif isinstance(message, m.Deadlocked) and message.turns:
                self.end(saga)
                self.end_batch(self.batches.get(saga))
        return got


@pytest.fixture
def table() -> Table:
    """Three sagas that have nothing."""
    made = Table()
    made.begin("ada", "bob", "eve")
    return made


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (path("/srv/site"), path("/srv/site"), True),
        (path("/srv/site"), path("/srv/site/page"), True),
        (path("/srv/site/page"), path("/srv/site"), True),
        (path("/"), path("/srv/site/page"), True),
        (path("/srv/site"), path("/srv/sites"), False),
        (path("/srv/site"), path("/srv/other/site"), False),
        (named("web"), named("web"), True),
        (named("web"), named("db"), False),
        (named("web", "1"), named("web", "2"), False),
        (named("web", "1"), named("renamed", "1"), True),
        (named("web", "1"), named("web"), True),
        (named("web"), named("web", type_="volume"), False),
    ],
)
def test_one_lock_is_in_the_way_of_another_where_the_resources_overlap(
    table: Table, one: Touch, other: Touch, *, same: bool
) -> None:
    """As ``Touch.overlaps`` says, by path, id or name; in both orders."""
    table.want("ada", one)
    behind = table.want("bob", other)

    assert one.overlaps(other) == other.overlaps(one) == same
    assert behind == ("ada" if same else None)


def test_those_who_wait_are_served_in_the_order_in_which_they_came(table: Table) -> None:
    """And nobody before the lock is free."""
    table.want("ada", path("/x"))
    assert (table.want("bob", path("/x")), table.want("eve", path("/x"))) == ("ada", "ada")
    assert table.hear() == []

    table.end("ada")
    assert table.hear() == ["bob"]
    table.end("bob")

    assert table.hear() == ["eve"]


def test_who_comes_later_does_not_overtake(table: Table) -> None:
    """A free file in a folder for which somebody waits is not given to whoever comes after."""
    table.want("ada", path("/srv/a"))
    table.want("bob", path("/srv"))

    assert table.want("eve", path("/srv/b")) == "bob"


def test_good_manners_make_no_deadlock(table: Table) -> None:
    """Who waits for ada is not waited for by her."""
    table.want("ada", path("/srv/a"))
    table.want("bob", path("/srv"))

    assert table.want("ada", path("/srv/b"), 1) is None
    assert not table.told


def test_a_lock_on_a_folder_is_one_on_all_that_lies_below(table: Table) -> None:
    """Of the same saga."""
    table.want("ada", path("/srv"))

    assert table.states["ada"].has_lock(path("/srv/x"))
    assert not table.states["ada"].has_lock(path("/"))


def test_the_youngest_of_a_deadlock_turns_back(table: Table) -> None:
    """And the others go on."""
    for saga, name in zip(("ada", "bob", "eve"), "abe", strict=True):
        table.want(saga, named(name))
    table.want("ada", named("b"), 1)
    table.want("bob", named("e"), 1)
    assert not table.told
    table.want("eve", named("a"), 1)

    (told,) = table.told
    assert told == ("eve", m.Deadlocked(sagas=("ada", "bob", "eve"), turns=True))
    assert table.hear() == ["bob"]
    table.end("bob")
    assert table.hear() == ["ada"]


def test_who_cannot_turn_back_is_not_asked_to(table: Table) -> None:
    """One that is on its way back already, or has done what cannot be undone; of such alone, the youngest asks somebody."""
    irreversible = StepState(status="completed", irreversible=True, did=True)
    table.record("bob", steps=(StepState(), irreversible, *[StepState()] * 7))
    table.want("ada", named("a"))
    table.want("bob", named("b"))
    table.want("bob", named("a"))
    table.want("ada", named("b"), 1)
    assert table.told.pop() == ("ada", m.Deadlocked(sagas=("ada", "bob"), turns=True))

    table = Table()
    table.begin("ada", "bob")
    for saga in ("ada", "bob"):
        table.record(saga, status="compensating")
    table.want("ada", named("a"))
    table.want("bob", named("b"))
    table.want("ada", named("b"), 1)
    table.want("bob", named("a"), 1)

    assert list(table.told) == [("bob", m.Deadlocked(sagas=("ada", "bob"), turns=False))]


def test_who_was_told_and_could_not_turn_back_any_more_is_passed_over(table: Table) -> None:
    """A step that cannot be undone ended before it heard: another one has to break the deadlock."""
    table.want("ada", named("a"))
    table.want("bob", named("b"))
    table.want("ada", named("b"), 1)
    table.want("bob", named("a"), 1)
    assert table.told.pop() == ("bob", m.Deadlocked(sagas=("ada", "bob"), turns=True))
    steps = table.states["bob"].steps
    irreversible = StepState(status="completed", irreversible=True, did=True)
    table.record("bob", steps=(*steps[:2], irreversible, *steps[3:]))

    assert list(table.told) == [("ada", m.Deadlocked(sagas=("ada", "bob"), turns=True))]


def test_a_saga_that_takes_another_back_does_not_turn_back_for_others(table: Table) -> None:
    """That would put the bad change in place again."""
    table.record("bob", takes_back=True)
    table.want("ada", named("a"))
    table.want("bob", named("b"))
    table.want("ada", named("b"), 1)
    table.want("bob", named("a"), 1)

    assert list(table.told) == [("ada", m.Deadlocked(sagas=("ada", "bob"), turns=True))]


def test_a_deadlock_is_found_again_after_a_restart(table: Table) -> None:
    """The daemon was killed before anybody could be told."""
    table.want("ada", named("a"))
    table.want("bob", named("b"))
    table.want("ada", named("b"), 1)
    table.want("bob", named("a"), 1)
    table.restart()

    assert list(table.told) == [("bob", m.Deadlocked(sagas=("ada", "bob"), turns=True))]


def test_a_reservation_goes_with_its_actor(table: Table) -> None:
    """What was free when it was asked for, and never came on record."""
    assert table.locks.acquire("ada", None, 0, path("/x")) is None
    assert table.want("bob", path("/x")) == "ada"
    table.locks.left("ada")

    assert table.hear() == ["bob"]


def test_a_reservation_is_given_back_where_it_comes_to_nothing(table: Table) -> None:
    """The step could not be prepared; what another step of the saga has reserved is not touched."""
    assert table.locks.acquire("ada", None, 0, path("/x")) is None
    assert table.locks.acquire("ada", None, 1, path("/y")) is None
    assert table.want("bob", path("/x")) == "ada"
    table.locks.give_back("ada", 0)

    assert table.hear() == ["bob"]
    assert table.want("eve", path("/y")) == "ada"


def test_who_had_its_turn_and_was_lost_gets_it_again(table: Table) -> None:
    """Its actor crashed before it could put the lock on record."""
    table.want("ada", path("/x"))
    table.want("bob", path("/x"))
    table.end("ada")
    table.told.clear()
    assert table.want("eve", path("/x")) == "bob"
    table.locks.left("bob")

    assert table.hear() == ["bob"]


def test_who_gave_up_waiting_as_its_turn_came_is_passed_over(table: Table) -> None:
    """Its lock is free for the next one; it is not told of it again and again, each time its actor leaves memory."""
    table.want("ada", path("/a"))
    table.want("bob", path("/a"))
    table.want("eve", path("/a"))
    table.end("ada")
    table._wait("bob", 0, None)  # its time was up, before it heard that its turn had come
    table.left("bob")

    assert table.hear() == ["eve"]
    assert table.locks.awaiting("bob") == []


def test_a_restart_gives_to_those_who_waited_what_is_free(table: Table) -> None:
    """The daemon was killed between the end of one saga and the turn of the next; the order is the same."""
    table.want("ada", path("/x"))
    table.want("bob", path("/x"))
    table.want("eve", path("/x"))
    table.states["ada"] = replace(table.states["ada"], status="completed", locks=())
    table.restart()

    assert table.hear() == ["bob"]


def test_who_is_in_the_way_and_who_waits_can_be_seen(table: Table) -> None:
    """From both sides."""
    table.want("ada", path("/x"))
    table.want("bob", path("/x"))

    assert table.locks.behind("bob") == [(0, path("/x"), "ada")]
    assert table.locks.awaiting("ada") == [("bob", 0, path("/x"))]
    assert not table.locks.behind("ada")
    assert not table.locks.awaiting("bob")


def test_what_a_batch_keeps_is_in_the_way_of_others_only(table: Table) -> None:
    """A completed saga of a batch keeps its locks; the batch's other sagas may have them, one at a time."""
    table.batches = {"ada": "batch", "bob": "batch"}
    table.want("ada", path("/x"))
    assert table.want("bob", path("/x")) == "ada"
    table.record("ada", status="completed")
    assert table.hear() == ["bob"]
    table.restart()
    table.begin("una")
    table.batches["una"] = "batch"

    assert table.want("eve", path("/x")) == "ada"
    assert table.want("una", path("/x")) == "bob"


def test_a_batch_is_not_kept_waiting_by_who_waits_for_it(table: Table) -> None:
    """What takes back a saga of the batch needs the very lock for which others wait until the batch is over."""
    table.begin("una")
    table.batches = {"ada": "batch", "una": "batch"}
    table.want("ada", path("/x"))
    table.record("ada", status="completed")
    assert table.want("eve", path("/x")) == "ada"

    assert table.want("una", path("/x")) is None


def test_a_deadlock_through_what_a_batch_keeps_is_found(table: Table) -> None:
    """Eve waits for what a completed saga of the batch has, which is kept for as long as bob goes on."""
    table.batches = {"ada": "batch", "bob": "batch"}
    table.want("ada", path("/x"))
    table.record("ada", status="completed")
    table.want("eve", path("/y"))
    table.want("bob", path("/z"))
    assert table.want("eve", path("/x"), 1) == "ada"
    assert not table.told
    table.want("bob", path("/y"), 1)

    assert list(table.told) == [("eve", m.Deadlocked(sagas=("ada", "bob", "eve"), turns=True))]


def test_who_merely_waits_does_not_come_between_the_sagas_of_a_batch(table: Table) -> None:
    """Else they would wait for one who waits for what is kept until they have ended; also beside what is kept."""
    table.begin("una")
    table.batches = {"ada": "batch", "bob": "batch", "una": "batch"}
    table.want("ada", path("/x/ada"))
    assert table.want("eve", path("/x")) == "ada"
    assert table.want("bob", path("/x/bob")) == "eve"
    table.record("ada", status="completed")

    assert table.hear() == ["bob"]
    assert table.want("una", path("/x/ada")) is None


def test_two_batches_that_wait_for_what_the_other_keeps_are_a_deadlock(table: Table) -> None:
    """Found when the last of it is kept, too; it is broken by one that waits."""
    table.begin("una")
    table.batches = {"ada": "one", "bob": "one", "eve": "two", "una": "two"}
    table.want("ada", path("/a"))
    table.want("eve", path("/e"))
    assert (table.want("bob", path("/e")), table.want("una", path("/a"))) == ("eve", "ada")
    table.record("ada", status="completed")
    assert not table.told
    table.record("eve", status="completed")

    assert table.told == deque([("una", m.Deadlocked(sagas=("ada", "bob", "eve", "una"), turns=True))])


def test_what_two_sagas_of_a_batch_keep_is_no_deadlock(table: Table) -> None:
    """Nobody waits."""
    table.batches = {"ada": "batch", "bob": "batch"}
    table.want("ada", path("/a"))
    table.want("bob", path("/b"))
    table.record("ada", status="completed")
    table.record("bob", status="completed")

    assert not table.told


RESOURCES = [
    path("/a"),
    path("/a/b"),
    path("/a/b/c"),
    path("/d"),
    named("w"),
    named("w", "1"),
    named("z", "1"),
]


@pytest.mark.parametrize("batches", [(None,), (None, "one", "two")])
@pytest.mark.parametrize("seed", range(300))
def test_whatever_happens_locks_exclude_and_everybody_ends(
    seed: int, batches: tuple[str | None, ...]
) -> None:
    """Sagas at random, with crashes of actors and restarts of the daemon: no two have what overlaps, and all end."""
    choose = random.Random(seed)
    table = Table()
    table.begin(*(f"s{number}" for number in range(choose.choice((2, 3, 8)))))
    table.batches = {saga: batch for saga in table.states if (batch := choose.choice(batches)) is not None}
    wishes = {saga: choose.choices(RESOURCES, k=choose.randint(1, 5)) for saga in table.states}
    for _ in range(2_000):
        live = [saga for saga, state in table.states.items() if state.status == "running"]
        if not live:
            break
        _something(table, choose, choose.choice(live), wishes)
        _excluded(table)
    assert {state.status for state in table.states.values()} == {"completed"}
    assert table.locks.idle


def _something(table: Table, choose: random.Random, saga: str, wishes: dict[str, list[Touch]]) -> None:
    happens = choose.choice(("want", "want", "want", "hear", "hear", "left", "restart", "acquire"))
    state = table.states[saga]
    if happens == "hear":
        table.hear()
    elif happens == "left":
        table.left(saga)
    elif happens == "restart":
        table.restart()
    elif happens == "acquire" and not state.seen.locked and wishes[saga]:
        table.locks.acquire(saga, table.batches.get(saga), 0, wishes[saga][-1])
    elif not state.seen.locked:
        if not wishes[saga]:
            table.complete(saga)
        elif not state.has_lock(resource := wishes[saga].pop()):
            table.want(saga, resource, len(wishes[saga]))


def _excluded(table: Table) -> None:
    held = [(saga, lock) for saga, state in table.states.items() for lock in state.locks]
    for saga, lock in held:
        for other, another in held:
            assert saga == other or _kept_for(table, saga, other) or not lock.overlaps(another)


def _kept_for(table: Table, *sagas: str) -> bool:
    batch, other = (table.batches.get(each) for each in sagas)
    kept = any(table.states[each].status == "completed" for each in sagas)
    return kept and batch is not None and batch == other
