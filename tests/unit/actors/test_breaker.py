"""The circuit breaker: its table of cases, and that it never goes where it may not."""

from __future__ import annotations

import random

import pytest

from actors.breaker import MOVES, Circuit, Rules, Shut, Turn, answered, asked, failed, let_go

RULES = Rules(failures=3, window=10_000, pause=1_000, longest=3_000, again=50, patience=500, spread=0.5)
NOW = 1_000_000
CLOSED = Circuit()
TWICE = Circuit(failed=(NOW - 9_000, NOW - 10), error="503")
OPEN = Circuit("open", (1, 2, 3), "503", since=NOW - 5_000, pause=1_000, until=NOW + 400)
OVER = Circuit("open", (1, 2, 3), "503", since=NOW - 5_000, pause=1_000, until=NOW)
PROBED = Circuit(
    "half_open", (1, 2, 3), "503", since=NOW - 5_000, pause=1_000, until=NOW - 100, probe=NOW - 100
)
PROBE, OTHER = Turn(probe=NOW - 100), Turn()

ASKED = [
    ("closed: go", CLOSED, "closed", Turn()),
    ("closed, after failures: go", TWICE, "closed", Turn()),
    ("open: wait", OPEN, "open", Shut(NOW + 400)),
    ("open, the pause is over: the first one is the probe", OVER, "half_open", Turn(probe=NOW)),
    ("the probe is out: wait a little", PROBED, "half_open", Shut(NOW + 50)),
    (
        "no word of the probe for long: another one",
        Circuit("half_open", probe=NOW - 500, pause=1_000),
        "half_open",
        Turn(probe=NOW),
    ),
    (
        "open, and the clock was set back by a day: nobody waits for a day",
        Circuit("open", pause=1_000, until=NOW + 86_400_000),
        "half_open",
        Turn(probe=NOW),
    ),
    (
        "the probe is out, and the clock was set back: another one",
        Circuit("half_open", probe=NOW + 86_400_000),
        "half_open",
        Turn(probe=NOW),
    ),
]


@pytest.mark.parametrize(("case", "circuit", "position", "verdict"), ASKED, ids=[each[0] for each in ASKED])
def test_who_asks(case: str, circuit: Circuit, position: str, verdict: Turn | Shut) -> None:
    """Whether somebody may ask, and what becomes of the circuit by that."""
    after, found = asked(circuit, NOW, RULES)

    assert (after.position, found) == (position, verdict)


FAILED = [
    ("the first", CLOSED, OTHER, "closed", 1, 0),
    ("the third in the window opens it", TWICE, OTHER, "open", 3, 1_500),
    (
        "the third, but the first was long ago",
        Circuit(failed=(NOW - 10_000, NOW - 10)),
        OTHER,
        "closed",
        2,
        0,
    ),
    (
        "those of a clock that was ahead do not count",
        Circuit(failed=(NOW + 1, NOW + 2)),
        OTHER,
        "closed",
        1,
        0,
    ),
    ("one that was asked before it opened", OPEN, OTHER, "open", 3, 1_000),
    ("one that was asked before it opened, while the probe is out", PROBED, OTHER, "half_open", 3, 1_000),
    ("the probe: a longer pause, up to the longest", PROBED, PROBE, "open", 3, 3_000),
    ("a probe that was given up", PROBED, Turn(probe=NOW - 9_000), "half_open", 3, 1_000),
]


@pytest.mark.parametrize(
    ("case", "circuit", "turn", "position", "count", "pause"), FAILED, ids=[each[0] for each in FAILED]
)
def test_a_failure(case: str, circuit: Circuit, turn: Turn, position: str, count: int, pause: int) -> None:
    """What a failure makes of a circuit; by chance the pause is half as long again."""
    after = failed(circuit, turn, NOW, "504", RULES, 1.0)

    assert (after.position, len(after.failed), after.pause) == (position, count, pause)
    assert after.error == ("504" if after != circuit else circuit.error)
    assert after.until == (NOW + pause if after.position == "open" and after != circuit else circuit.until)


def test_it_says_since_when_over_all_pauses() -> None:
    """Since the first of the failures that opened it, however many probes have failed since."""
    opened = failed(TWICE, OTHER, NOW, "503", RULES, 0.0)
    probing, turn = asked(opened, opened.until, RULES)
    assert isinstance(turn, Turn)
    again = failed(probing, turn, opened.until + 10, "503", RULES, 0.0)

    assert (opened.since, again.since) == (NOW - 9_000, NOW - 9_000)
    assert (opened.pause, again.pause) == (1_000, 2_000)


ANSWERED = [
    ("an answer forgets the failures before it", TWICE, OTHER, CLOSED),
    ("the probe's closes it", PROBED, PROBE, CLOSED),
    ("one from before it opened is no news", OPEN, OTHER, OPEN),
    ("nor is it while the probe is out", PROBED, OTHER, PROBED),
]


@pytest.mark.parametrize(("case", "circuit", "turn", "after"), ANSWERED, ids=[each[0] for each in ANSWERED])
def test_an_answer(case: str, circuit: Circuit, turn: Turn, after: Circuit) -> None:
    """What an answer makes of a circuit."""
    assert answered(circuit, turn) == after


def test_a_probe_that_found_out_nothing_makes_way_for_the_next() -> None:
    """It was interrupted, say. Of any other call that is nothing to the circuit."""
    free = let_go(PROBED, PROBE, NOW)

    assert asked(free, NOW, RULES)[1] == Turn(probe=NOW)
    assert let_go(PROBED, OTHER, NOW) == PROBED
    assert let_go(TWICE, OTHER, NOW) == TWICE


def test_it_goes_only_where_it_may_and_lets_one_probe_out_at_a_time() -> None:
    """Random calls that overlap: every move is in the table, every one of them is made, and a closed circuit asks all."""
    chance, moves = random.Random(1), set()
    circuit, now, flying = CLOSED, NOW, list[Turn]()
    for _ in range(20_000):
        now += chance.choice((0, 1, 40, 400))
        was = circuit
        if not flying or chance.random() < 0.5:
            circuit, found = asked(circuit, now, RULES)
            if isinstance(found, Turn):
                flying.append(found)
                assert (found.probe is not None) == (was.position != "closed")
                assert was.position != "half_open" or now >= was.probe + RULES.patience
        else:
            turn = flying.pop(chance.randrange(len(flying)))
            how = chance.choice(("down", "down", "down", "there", "nothing"))
            if how == "down":
                circuit = failed(circuit, turn, now, "503", RULES, chance.random())
            else:
                circuit = answered(circuit, turn) if how == "there" else let_go(circuit, turn, now)
        if was.position != circuit.position:
            moves.add((was.position, circuit.position))
        assert circuit.position != "open" or circuit.until <= now + RULES.longest

    assert moves == {(start, end) for start, ends in MOVES.items() for end in ends}
